"""HTTP to the control plane: one small pool of connections, time limits, repeats of what can be sent twice.

That is every call: what changes something has an idempotency key, under which the control plane does it once.

It never logs, never follows redirects (a token must not travel to another host), and never shows the token.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from tollway.sdk.errors import ApiError, ConnectionFailed, InvalidAnswer, TollwayError, api_error
from tollway.sdk.idempotency import HEADER, next_key

MAX_ANSWER_BYTES = 256 << 20
MAX_IDLE = 8
RETRY_PAUSES_SECONDS = (0.1, 0.4, 1.0)
MAX_RETRY_AFTER_SECONDS = 5.0


class Transport:
    """Sends calls to `base_url` (http or https, without a path as a rule). Safe to use from several threads."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = 30.0,
        ca_file: str | None = None,
        reason: str = "",
        agent: str = "tollway-sdk",
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the control plane's URL must look like http://host:port or https://host:port")
        if parts.username or parts.password:
            raise ValueError("the control plane's URL must not carry credentials")
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._token = token
        self._headers: dict[str, str | bytes] = {"Accept": "application/json", "User-Agent": agent}
        if why := " ".join(reason.split()):
            self._headers["X-Tollway-Reason"] = why.encode()
        self._timeout = timeout_seconds
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"Transport({self._host}:{self._port})"

    def close(self) -> None:
        """Closes idle connections; further calls are refused."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def call(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """The decoded JSON answer of one call, which is repeated on 503 and on broken connections."""
        target = self._path + path
        if pairs := _pairs(query or {}):
            target += "?" + urlencode(pairs)
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        key = "" if method == "GET" else next_key()
        pauses = iter(RETRY_PAUSES_SECONDS)
        while True:
            try:
                return self._once(method, target, payload, key)
            except _RetryLater as again:
                pause = next(pauses, None)
                if pause is None:
                    raise again.error from again.__cause__
                time.sleep(min(max(pause, again.after_seconds), MAX_RETRY_AFTER_SECONDS))

    def _once(self, method: str, target: str, payload: bytes | None, key: str) -> Any:
        connection, reused = self._take()
        headers = {**self._headers, "Authorization": f"Bearer {self._token}"}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        if key:
            headers[HEADER] = key
        try:
            connection.request(method, target, body=payload, headers=headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES + 1)
            if not content and answer.status < 300:
                # Headers that are cut off look like the end of headers, and an answer without a body like success.
                raise http.client.IncompleteRead(content)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if reused and isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
                # The server closed kept connections (it restarted): the others are dead too.
                self._drop_idle()
            raise _RetryLater(ConnectionFailed(f"{self._host}:{self._port}: {_reason(error)}"), 0.0) from error
        if len(content) > MAX_ANSWER_BYTES or answer.will_close:
            connection.close()
        else:
            self._put(connection)
        return _outcome(answer, content)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._closed:
                raise TollwayError("the client is closed")
            while self._idle:
                connection, now = self._idle.pop(), time.monotonic()
                # Kept connections live shorter than any server's idle limit, so that a call seldom meets one that is
                # being closed.
                if now - getattr(connection, "idle_since", 0.0) < 5.0:
                    return connection, True
                connection.close()
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls), False
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout), False

    def _put(self, connection: http.client.HTTPConnection) -> None:
        connection.idle_since = time.monotonic()  # type: ignore[attr-defined]
        with self._lock:
            if not self._closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class _RetryLater(Exception):
    """A failure that a call may be repeated after."""

    def __init__(self, error: TollwayError, after_seconds: float) -> None:
        self.error = error
        self.after_seconds = after_seconds


def _outcome(answer: http.client.HTTPResponse, content: bytes) -> Any:
    if len(content) > MAX_ANSWER_BYTES:
        raise InvalidAnswer("the answer is too large")
    try:
        data = json.loads(content) if content else {}
    except ValueError as error:
        if answer.status < 400:
            raise InvalidAnswer(f"HTTP {answer.status} without JSON: is this the control plane's address?") from error
        data = {}
    if answer.status < 300:
        return data
    failure = _failure(answer, data)
    if answer.status == 503:
        after = 0.0
        with contextlib.suppress(ValueError):
            after = float(answer.headers.get("Retry-After", "0"))
        raise _RetryLater(failure, after)
    raise failure


def _failure(answer: http.client.HTTPResponse, data: Any) -> ApiError:
    detail = data.get("error", data) if isinstance(data, dict) else {}
    detail = detail if isinstance(detail, dict) else {}
    return api_error(
        answer.status,
        str(detail.get("code") or f"http_{answer.status}"),
        str(detail.get("message") or answer.reason or "no message"),
        field=str(detail["field"]) if detail.get("field") else None,
        request_id=answer.headers.get("x-request-id"),
    )


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters that are set; of a list each item is one."""
    lists = ((name, value if isinstance(value, (list, tuple)) else [value]) for name, value in query.items())
    return [(name, _text(item)) for name, items in lists for item in items if item not in (None, "", False)]


def _text(value: Any) -> str:
    return "true" if value is True else str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__
