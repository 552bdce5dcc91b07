"""Serves one request: reads it, lets the model behave as it should, writes the answer, and counts what was written.

Owns time, sockets and faults. What is answered is not decided here (answer.py, dialects).
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket
import struct
from collections.abc import Callable, Iterator

import orjson
from aiohttp import web

from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.simulator.answer import Answer, Asked, compose, longest
from tollway.simulator.behaviour import BEFORE, STATUSES, Behaviour, BehaviourError, Behaviours
from tollway.simulator.counts import Counts, Record
from tollway.simulator.dialects.port import BadRequest, Dialect, Event, Part, Reply
from tollway.simulator.settings import Settings

_log = log.get(__name__)
ATTEMPT_HEADERS = ("x-tollway-attempt", "x-client-request-id")
"""Which attempt of its caller a request is; the first that is present. The data plane sends the second."""
LONGEST_NAME = 300
"""Characters of a model's name or an attempt that are kept."""
INVALID_KEY = "sk-invalid"
"""A credential that begins so is refused with 401; every other one, and none at all, is taken."""
_FLUSH_BYTES = 16 * 1024
_RESET_AFTER_SECONDS = 0.02
"""What was written before a reset gets this long to leave, as a reset discards what waits."""
_BREAKS = frozenset(("stall", "cut", "reset", "error-event"))
_HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
_BODIES = {
    "html": (502, "text/html", _HTML),
    "garbage": (200, _JSON, b'{"id": "chatcmpl-1", "choices": [{"mess'),
    "empty": (200, _JSON, b""),
    "wrong-shape": (200, _JSON, b'{"status": "ok"}'),
}
_GARBAGE_EVENTS = b'data: {"id": "chatcmpl-1", "choices": [{"del\n\ndata: \xff\xfe not json\n\n'


class Call:
    """One request on its way: what came in, and where the answer goes."""

    def __init__(self, request: web.Request, dialect: Dialect, record: Record) -> None:
        self.request, self.dialect, self.record = request, dialect, record
        self.asked: Asked | None = None

    def headers(self, content_type: str) -> dict[str, str]:
        """The headers of the answer."""
        return {"content-type": content_type, **self.dialect.headers(self.record.id, self.asked)}


class Delivery:
    """Answers requests; `serve` is the handler of every endpoint that has a model."""

    def __init__(self, settings: Settings, behaviours: Behaviours, counts: Counts, clock: Clock) -> None:
        self._settings = settings
        self._behaviours, self._counts, self._clock = behaviours, counts, clock
        start = secrets.token_hex(6)
        self._ids: Iterator[str] = (f"{start}{number:010x}" for number in itertools.count(1))

    async def serve(
        self, request: web.Request, dialect: Dialect, endpoint: str, path_model: str = ""
    ) -> web.StreamResponse:
        """One request from its body to its end, which is counted whatever happens."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _response(dialect.error(413, "Request exceeds the maximum size"), {"content-type": _JSON})
        except (asyncio.CancelledError, ConnectionError):
            self._counts.incomplete += 1
            raise
        record = Record(
            id=next(self._ids),
            attempt=next(
                (request.headers[name][:LONGEST_NAME] for name in ATTEMPT_HEADERS if name in request.headers), None
            ),
            endpoint=endpoint,
            received_ms=self._clock.now_ms(),
        )
        self._counts.begin(record)
        call = Call(request, dialect, record)
        outcome = "failed"
        try:
            response, outcome = await self._answer(call, body, path_model)
        except (asyncio.CancelledError, ConnectionError):
            outcome = "aborted"
            raise
        finally:
            self._counts.end(record, outcome, self._clock.now_ms())
        return response

    async def _answer(self, call: Call, body: bytes, path_model: str) -> tuple[web.StreamResponse, str]:
        dialect, request, record = call.dialect, call.request, call.record
        if _credential(request).startswith(INVALID_KEY):
            return await self._send_error(call, dialect.error(401))
        try:
            asked = dialect.read(body, path_model, request.query, request.headers)
            if len(asked.model) > LONGEST_NAME:
                raise BadRequest(f"the model's name has more than {LONGEST_NAME} characters", param="model")
            self._counts.read(record, asked.model)
            _base, behaviour = self._behaviours.take(asked.model)
            self._check(asked, behaviour)
        except BehaviourError as error:
            return await self._send_error(call, dialect.error(400, str(error), param="model"))
        except RecursionError:
            return await self._send_error(call, dialect.error(400, "The request is nested too deeply."))
        except BadRequest as error:
            shown = dialect.error(error.status, error.message, param=error.param, code=error.code)
            return await self._send_error(call, shown)
        call.asked = asked
        record.stream, record.fault, record.prompt_tokens = asked.stream, behaviour.fault, asked.prompt_tokens
        if behaviour.latency:
            await asyncio.sleep(behaviour.latency)
        if behaviour.fault in BEFORE or behaviour.fault[:1].isdigit():
            return await self._fail(call, behaviour)
        if behaviour.fault == "filter" and asked.natural is not None:
            refused = "Your request was rejected by the safety system."
            return await self._send_error(call, dialect.error(400, refused, code="moderation_blocked"))
        answer = compose(asked, behaviour)
        record.cached_tokens = answer.cached
        record.completion_tokens, record.reasoning_tokens = answer.completion_tokens, answer.reasoning_tokens
        if asked.stream:
            return await self._stream(call, asked, answer, behaviour)
        return await self._whole(call, asked, answer, behaviour)

    def _check(self, asked: Asked, behaviour: Behaviour) -> None:
        """Raises BadRequest for an answer that would be too long or take too long."""
        tokens = longest(asked, behaviour)
        if tokens > self._settings.max_tokens:
            raise BadRequest(f"the answer would have more than {self._settings.max_tokens} tokens", param="model")
        if behaviour.rate and behaviour.latency + tokens / behaviour.rate > self._settings.max_seconds:
            raise BadRequest(f"the answer would take more than {self._settings.max_seconds} s", param="model")

    async def _send(self, call: Call, response: web.Response) -> web.StreamResponse:
        """Writes a whole response; returns when all of it is with the connection."""
        call.record.status = response.status
        await response.prepare(call.request)
        await response.write_eof()
        return response

    async def _send_error(self, call: Call, reply: Reply) -> tuple[web.StreamResponse, str]:
        value = reply.value
        if field := call.dialect.id_in_errors:
            value = {**value, field: call.dialect.headers(call.record.id, None)["request-id"]}
        response = _response(Reply(reply.status, reply.headers, value), call.headers(_JSON))
        return await self._send(call, response), "failed"

    async def _fail(self, call: Call, behaviour: Behaviour) -> tuple[web.StreamResponse, str]:
        """Instead of an answer, a fault."""
        fault = behaviour.fault
        status, _dash, empty = fault.partition("-")
        if status.isdigit() and int(status) in STATUSES:
            reply = call.dialect.error(int(status), retry_after=behaviour.retry_after)
            if not empty:
                return await self._send_error(call, reply)
            return await self._send(call, web.Response(status=reply.status, headers=reply.headers)), "failed"
        if fault == "quota":
            return await self._send_error(call, call.dialect.quota())
        if fault in _BODIES:
            code, content_type, body = _BODIES[fault]
            if fault == "garbage" and call.asked is not None and call.asked.stream and not call.asked.media:
                content_type, body = _SSE, _GARBAGE_EVENTS
            response = web.Response(status=code, body=body, headers=call.headers(content_type))
            return await self._send(call, response), "failed"
        await self._break(call, {"close-first": "cut", "reset-first": "reset", "stall-first": "stall"}[fault])
        return web.Response(), "failed"

    async def _break(self, call: Call, kind: str) -> None:
        """Ends the connection: `cut` (FIN), `reset` (RST), or `stall` (silence until the client leaves, bounded)."""
        if kind == "stall":
            await asyncio.sleep(self._settings.max_seconds)
        transport = call.request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        if kind == "reset":
            await asyncio.sleep(_RESET_AFTER_SECONDS)
            sock: socket.socket | None = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._counts.end(call.record, "failed", self._clock.now_ms())
            transport.abort()
        else:
            self._counts.end(call.record, "failed", self._clock.now_ms())
            transport.close()

    async def _whole(
        self, call: Call, asked: Asked, answer: Answer, behaviour: Behaviour
    ) -> tuple[web.StreamResponse, str]:
        """An answer that is not streamed: all tokens' time passes before its first byte."""
        if behaviour.rate:
            await asyncio.sleep(answer.completion_tokens / behaviour.rate)
        if behaviour.fault == "error-event":
            return await self._send_error(call, call.dialect.error(500))
        usage = behaviour.fault != "no-usage"
        body = call.dialect.whole(asked, answer, call.record.id, self._clock.now_ms() // 1000, usage=usage)
        media = asked.media or _JSON
        if behaviour.fault in _BREAKS:
            response = web.StreamResponse(headers={**call.headers(media), "content-length": str(len(body))})
            call.record.status = 200
            await response.prepare(call.request)
            await response.write(body[: len(body) // 2])
            await self._break(call, behaviour.fault)
            return response, "failed"
        sent = await self._send(call, web.Response(body=body, headers=call.headers(media)))
        call.record.usage_sent = usage and not asked.unmetered
        hidden = answer.reasoning_tokens if asked.hides_reasoning else 0
        call.record.delivered_tokens = answer.completion_tokens - hidden
        return sent, "completed"

    async def _stream(
        self, call: Call, asked: Asked, answer: Answer, behaviour: Behaviour
    ) -> tuple[web.StreamResponse, str]:
        """An answer as events, each when its tokens are due."""
        usage = behaviour.fault != "no-usage"
        events = call.dialect.events(
            asked, answer, call.record.id, self._clock.now_ms() // 1000, usage=usage, chunk=behaviour.chunk
        )
        response = web.StreamResponse(headers={**call.headers(asked.media or _SSE), "cache-control": "no-cache"})
        call.record.status = 200
        await response.prepare(call.request)
        writer = _Writer(response, call.record, behaviour.rate)
        for event in events:
            ends = _ends(behaviour, event, writer.produced)
            if ends and behaviour.fault in _BREAKS:
                await writer.flush()
                return await self._break_stream(call, response, behaviour.fault, writer.events)
            if ends:
                await writer.flush()
                await response.write_eof()
                return response, "failed"
            await writer.add(event)
        await writer.flush()
        await response.write_eof()
        call.record.usage_sent = usage and asked.include_usage and not asked.unmetered
        return response, "completed"

    async def _break_stream(
        self, call: Call, response: web.StreamResponse, fault: str, events: int
    ) -> tuple[web.StreamResponse, str]:
        if fault == "error-event" and not (call.asked and call.asked.media):
            await response.write(call.dialect.error_event(events))
            await response.write_eof()
        else:
            # Bytes that are no events have no place for an error: they end early.
            await self._break(call, "cut" if fault == "error-event" else fault)
        return response, "failed"


class _Writer:
    """Writes events, together where no time passes between them, and counts the tokens that were written."""

    def __init__(self, response: web.StreamResponse, record: Record, rate: float) -> None:
        self._response, self._record, self._rate = response, record, rate
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._began = self._now()
        self._pending: list[bytes] = []
        self._size = self._tokens = 0
        self.produced = 0
        """Tokens of all events so far, hidden ones too."""
        self.events = 0
        """Events so far that have bytes."""

    async def add(self, event: Event) -> None:
        """Takes an event; returns when it is due and not too much is waiting."""
        if self._rate and event.tokens:
            wait = self._began + self.produced / self._rate - self._now()
            if wait > 0:
                await self.flush()
                await asyncio.sleep(wait)
        self.produced += event.tokens
        if not event.data:
            return
        self.events += 1
        self._pending.append(event.data)
        self._size += len(event.data)
        self._tokens += event.tokens
        if self._size >= _FLUSH_BYTES:
            await self.flush()
            # The others have their turn: a fast client never makes the write wait.
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Writes what is waiting."""
        if self._pending:
            data, tokens = b"".join(self._pending), self._tokens
            self._pending.clear()
            self._size = self._tokens = 0
            await self._response.write(data)
            self._record.delivered_tokens += tokens


def _ends(behaviour: Behaviour, event: Event, produced: int) -> bool:
    """Whether the stream's fault comes before this event."""
    match behaviour.fault:
        case "no-finish":
            return event.part in (Part.FINISH, Part.DONE)
        case "no-done":
            return event.part is Part.DONE
        case fault if fault in _BREAKS:
            return event.part in (Part.FINISH, Part.DONE) or (
                event.part is Part.CONTENT and produced >= behaviour.after
            )
    return False


def _credential(request: web.Request) -> str:
    headers = request.headers
    found = headers.get("authorization", "").removeprefix("Bearer ")
    return found or headers.get("x-api-key", "") or headers.get("api-key", "")


def _response(reply: Reply, headers: dict[str, str]) -> web.Response:
    return web.Response(status=reply.status, body=orjson.dumps(reply.value), headers={**headers, **reply.headers})
