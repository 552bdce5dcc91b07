"""A small S3-compatible server on a real socket: objects, listings and batch deletes of one bucket, in memory.

It checks what every client must do (a signature of the known access key, the digest of a signed body) and answers as
the protocol's reference says. `refusing` and `down` make it misbehave.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

ACCESS_KEY = "AKIATESTTESTTEST"
SECRET_KEY = "secret-of-the-test-bucket"
BUCKET = "bodies"
_NS = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class S3Server:
    """`objects` by key; `calls` are method and path of each request; `refusing` answers 403, `down` 503 to all."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusing: bool = False
    down: bool = False
    page: int = 1000

    async def handle(self, request: web.Request) -> web.Response:
        """One call of the protocol."""
        body = await request.read()
        self.calls.append((request.method, request.path))
        if self.down:
            return _error(503, "SlowDown")
        refusal = self._refusal(request, body)
        if refusal is not None:
            return refusal
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            return _error(404, "NoSuchBucket")
        if not key:
            if request.method == "POST" and "delete" in request.query:
                return self._delete_many(body)
            return self._list(request)
        return self._object(request.method, key, body)

    def _refusal(self, request: web.Request, body: bytes) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        signed = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/[^/]+/s3/aws4_request, SignedHeaders=", header)
        if signed is None or "Signature=" not in header:
            return _error(403, "AccessDenied")
        if signed[1] != ACCESS_KEY:
            return _error(403, "InvalidAccessKeyId")
        digest = request.headers.get("x-amz-content-sha256", "")
        if digest != "UNSIGNED-PAYLOAD" and digest != hashlib.sha256(body).hexdigest():
            return _error(400, "XAmzContentSHA256Mismatch")
        return _error(403, "AccessDenied") if self.refusing else None

    def _object(self, method: str, key: str, body: bytes) -> web.Response:
        if method == "PUT":
            self.objects[key] = body
            return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if method == "DELETE":
            self.objects.pop(key, None)
            return web.Response(status=204)
        if key not in self.objects:
            return _error(404, "NoSuchKey")
        return web.Response(body=self.objects[key])

    def _list(self, request: web.Request) -> web.Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        most = min(int(request.query.get("max-keys", "1000")), self.page)
        keys, folders = [], []
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
            if found and (folder := f"{prefix}{head}{delimiter}") not in folders:
                folders.append(folder)
            elif not found:
                keys.append(key)
        parts = [f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in keys[:most]]
        parts += [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders[:most]]
        more = "true" if len(keys) > most or len(folders) > most else "false"
        text = f'<ListBucketResult xmlns="{_NS}"><IsTruncated>{more}</IsTruncated>{"".join(parts)}</ListBucketResult>'
        return web.Response(text=text, content_type="application/xml")

    def _delete_many(self, body: bytes) -> web.Response:
        for entry in ElementTree.fromstring(body).iter(f"{{{_NS}}}Key"):
            self.objects.pop(entry.text or "", None)
        return web.Response(text=f'<DeleteResult xmlns="{_NS}"/>', content_type="application/xml")


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>", content_type="application/xml")


@asynccontextmanager
async def s3_server() -> AsyncIterator[S3Server]:
    """A running server, stopped at the end."""
    server = S3Server()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        await runner.cleanup()
