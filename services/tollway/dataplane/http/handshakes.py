"""The clients' port with TLS: accepts connections, and counts their handshakes from that moment.

Who connects and says nothing holds a descriptor until the handshake takes too long, before any request could be
refused. A server of the event loop tells nobody of such connections; so the socket is accepted from here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from tollway.runtime import log
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
HANDSHAKE_SECONDS = 10.0
MOST_AT_ONCE = 64
"""Accepted in one go, before others have their turn."""
PAUSE_SECONDS = 1.0
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class TlsPort:
    """Accepts on a bound socket, which it owns. `make()` is the protocol of a connection; `full(count)` says whether a
    further one must be closed at once while `count` have not shaken hands.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.Protocol],
        full: Callable[[int], bool],
    ) -> None:
        self._sock = sock
        self._context = context
        self._make = make
        self._full = full
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._pause: asyncio.TimerHandle | None = None

    def open(self, backlog: int) -> None:
        """From now on connections are accepted; `backlog` of them may wait for it."""
        self._sock.setblocking(False)
        self._sock.listen(backlog)
        self._listen()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                accepted, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _log.error("no connection can be accepted", reason=error.strerror)
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            if self._full(self._under_way):
                accepted.close()
                continue
            accepted.setblocking(False)
            self._under_way += 1
            self._tasks.spawn(self._shake(accepted), "handshake")

    async def _shake(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make, accepted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except OSError:  # no client that speaks TLS, or none that still waits
            accepted.close()
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Accepts no more; handshakes go on."""
        if self._pause is not None:
            self._pause.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    async def end(self) -> None:
        """Ends handshakes too."""
        self.close()
        await self._tasks.close()
