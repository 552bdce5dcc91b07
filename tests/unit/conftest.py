"""Unit tests are pure: a test that opens a network socket belongs to another tier, and fails here."""

from __future__ import annotations

import socket
from typing import Any

import pytest

_connect = socket.socket.connect
_bind = socket.socket.bind


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses internet sockets; the event loop's own Unix socket pair stays usable."""

    def refuse(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a unit test used the network: {address}")
        _connect(sock, address)

    def refuse_bind(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a unit test listened on {address}")
        _bind(sock, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse_bind)
