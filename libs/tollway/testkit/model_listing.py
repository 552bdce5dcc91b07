"""A stand-in for providers' listings of models, which is what keys are checked by: over real HTTP, on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from dataclasses import dataclass, field

from aiohttp import web

from tollway.controlplane.credentials import guarded

GOOD = "sk-good-provider-key-4711"
ENTRA = "eyJhbGciOiJub25l.eyJzdWIiOiJ4.c2ln"
"""Keys that it may take: one of a provider, and an access token of Azure."""


@dataclass
class StandIn:
    """Lists models as OpenAI, Azure and Anthropic do, to who has one of `keys`; `mode` changes what it says.

    `most` is how many calls it kept waiting at the same time, in the mode `slow`.
    """

    keys: set[str]
    url: str = ""
    mode: str = ""
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    most: int = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What a provider answers."""
        sent = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(request.path_qs)
        self.headers.append(sent)
        bearer = sent.get("authorization", "").removeprefix("Bearer ")
        key = sent.get("x-api-key") or sent.get("api-key") or bearer
        models = json.dumps({"object": "list", "data": [{"id": "m"}], "has_more": False}).encode()
        match self.mode:
            case "slow":
                self.waiting += 1
                self.most = max(self.most, self.waiting)
                try:
                    await self.released.wait()
                finally:
                    self.waiting -= 1
            case "down":
                return web.json_response({"error": {"message": key}}, status=503)
            case "moved":
                return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
            case "page":
                return web.Response(text="<html>hello</html>", content_type="text/html")
            case "packed":
                headers = {"Content-Encoding": "gzip"}
                return web.Response(body=gzip.compress(models), headers=headers, content_type="application/json")
            case "endless":
                return web.Response(body=b'{"data": [' + b" " * (guarded.MAX_BODY_BYTES + 1))
            case "restricted":
                said = f"You have insufficient permissions for this operation. Missing scopes: api.model.read. {key}"
                return web.json_response({"error": {"message": said}}, status=403)
        if self.mode != "open" and key not in self.keys:
            refused = {"error": {"message": f"Incorrect API key provided: {key}", "type": "authentication_error"}}
            return web.json_response(refused, status=401)
        return web.Response(body=models, content_type="application/json")


async def serve(stand_in: StandIn, tls: ssl.SSLContext | None = None) -> web.ServerRunner:
    """Starts it on a free port of loopback."""
    runner = web.ServerRunner(web.Server(stand_in.answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    stand_in.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    return runner
