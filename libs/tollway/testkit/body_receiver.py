"""The receiving end of the request log alone, on a real gRPC port: it keeps what it is sent, or is away for a while."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.requestlog import LoggedBody
from tollway.wire.server import Unavailable, add_body_ingest, listen, make_server


class BodyReceiver:
    """A server that stores by request id, as the control plane does. `dropped` adds up what senders told."""

    def __init__(self, token: str = "join") -> None:
        self._token = token
        self.bodies: dict[str, LoggedBody] = {}
        self.calls: list[int] = []
        self.defects: list[object] = []
        self.dropped = 0
        self.away = False
        self.port = 0

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> BodyReceiver:
        self._server = make_server()
        add_body_ingest(self._server, self._store, self._token, lambda *defect: self.defects.append(defect))
        self.port = listen(self._server, "127.0.0.1", 0)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    async def _store(self, _replica: str, bodies: Sequence[LoggedBody], dropped: int) -> int:
        if self.away:
            raise Unavailable("away")
        self.calls.append(len(bodies))
        self.dropped += dropped
        self.bodies.update({body.request_id: body for body in bodies})
        return len(bodies)
