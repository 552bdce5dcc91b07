"""A small management API on a real socket, for tests of the SDK and the command line. It keeps projects and keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "test-admin-token"


@dataclass
class ManagementApi:
    """`url` is where it listens; `seen` are its calls: method, path, query, body. `faults` are answered first.

    `idempotency_keys` are those of the calls in `seen`, empty for a call without one.
    """

    url: str = ""
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    idempotency_keys: list[str] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    projects: list[dict[str, Any]] = field(default_factory=list)
    apply_answer: dict[str, Any] = field(default_factory=lambda: {"applied": True})

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and JSON of one call."""
        if path == "/api/v1/projects" and method == "POST":
            self.projects.append({"id": f"p{len(self.projects)}", "etag": "1", "business_unit": "default", **body})
            return 200, self.projects[-1]
        if path == "/api/v1/projects":
            start, size = int(query.get("page_token", 0)), int(query.get("page_size", 2)) or 2
            end = start + min(size, 2)
            token = str(end) if end < len(self.projects) else ""
            return 200, {"projects": self.projects[start:end], "next_page_token": token}
        if path.startswith("/api/v1/projects/"):
            name = path.removeprefix("/api/v1/projects/")
            for project in self.projects:
                if name in (project["id"], project["name"]):
                    return self._change(project, body) if method == "PATCH" else (200, project)
            return 404, _error("not_found", f"there is no project {name}")
        if path == "/api/v1/keys" and method == "POST":
            key = {"id": "k1", "public_id": "abcdefgh", "status": "KEY_STATUS_ACTIVE", **body}
            return 200, {"key": key, "secret": "sk-tw-abcdefgh-SECRET"}
        if path == "/api/v1/usage":
            row = {"group": "demo", "requests": "9007199254740993", "cost": "1.5"}
            return 200, {"rows": [row], "total": {**row, "group": ""}}
        if path == "/api/v1/configuration:apply":
            return 200, self.apply_answer
        if path == "/api/v1/status":
            return 200, {"version": "0.1.0", "config_version": "7", "subscribers": [{"replica": "a", "behind": "0"}]}
        return 200, {"path": path}

    def _change(self, project: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        if body.get("etag") not in (None, project["etag"]):
            return 412, _error("etag_mismatch", "somebody else changed it")
        project.update({name: value for name, value in body.items() if name != "etag"})
        project["etag"] = str(int(project["etag"]) + 1)
        return 200, project


def _error(code: str, message: str, **more: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


@contextmanager
def management_api() -> Iterator[ManagementApi]:
    """A running API, stopped at the end."""
    api = ManagementApi()

    class Handler(BaseHTTPRequestHandler):
        """Passes calls on to `api`."""

        protocol_version = "HTTP/1.1"
        timeout = 5

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = json.loads(content) if content else None
            api.seen.append((self.command, parts.path, query, body))
            api.idempotency_keys.append(self.headers.get("Idempotency-Key", ""))
            if api.faults:
                status, headers, answer = api.faults.pop(0)
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, headers, answer = (
                    401,
                    {},
                    json.dumps(_error("unauthenticated", "the token is not valid")).encode(),
                )
            else:
                status, data = api.answer(self.command, unquote(parts.path), query, body)
                headers, answer = {}, json.dumps(data).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Nothing: tests read `seen`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
