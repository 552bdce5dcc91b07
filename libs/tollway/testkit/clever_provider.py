"""A provider that answers sensibly and by the rules of its API, for clients' own test suites.

It speaks OpenAI's chat completions and Anthropic's messages over the scripted upstream. Requests that the real service
would refuse are refused with its error, so that a translation that is nearly right fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from tollway.testkit import clever_anthropic, clever_openai
from tollway.testkit.clever_mind import reply_to
from tollway.testkit.upstream import Received, head


class Clever:
    """A Script for the scripted upstream. `refusals` are the messages of requests that broke a rule."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self._count = 0
        self._prompts: set[str] = set()

    async def __call__(self, request: Received, writer: asyncio.StreamWriter) -> None:
        """Answers one request."""
        path = request.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            speak: Any = self._chat
        elif path.endswith("/messages/count_tokens"):
            speak = self._counted
        elif path.endswith("/messages"):
            speak = self._message
        else:
            await _whole(writer, 404, clever_openai.error(f"Unknown request URL: {path}"))
            return
        dialect = clever_openai if speak == self._chat else clever_anthropic
        try:
            told = speak(request)
        except (clever_openai.Refused, KeyError, TypeError, ValueError) as error:
            self.refusals.append(f"{type(error).__name__}: {error} in {request.body[:2000]!r}")
            await _whole(writer, 400, dialect.error(str(error)))
            return
        await (_whole(writer, 200, told) if isinstance(told, dict) else _streamed(writer, told))

    def _chat(self, request: Received) -> dict[str, Any] | Iterable[bytes]:
        body = request.json
        question = clever_openai.question_of(body)
        reply, known = reply_to(question), self._known(question.prompt)
        cached = reply.input_tokens // 2 if known else 0
        if not body.get("stream"):
            return clever_openai.answer(reply, body["model"], self._count, cached)
        include = bool((body.get("stream_options") or {}).get("include_usage"))
        return clever_openai.events(reply, body["model"], self._count, cached, include)

    def _message(self, request: Received) -> dict[str, Any] | Iterable[bytes]:
        body = request.json
        question = clever_anthropic.question_of(body, request.headers)
        reply = reply_to(question)
        told = clever_anthropic.usage(reply, body, self._known(question.prompt))
        if not body.get("stream"):
            return clever_anthropic.answer(reply, body["model"], self._count, told)
        return clever_anthropic.events(reply, body["model"], self._count, told)

    def _counted(self, request: Received) -> dict[str, Any]:
        question = clever_anthropic.question_of(request.json, request.headers, counting=True)
        return {"input_tokens": reply_to(question).input_tokens}

    def _known(self, prompt: str) -> bool:
        """Whether the same prompt has come before; numbers the answer."""
        self._count += 1
        known = prompt in self._prompts
        self._prompts.add(prompt)
        return known


async def _whole(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    writer.write(head(status, request_id="req_clever") + b"content-length: %d\r\n\r\n" % len(data) + data)
    await writer.drain()


async def _streamed(writer: asyncio.StreamWriter, events: Iterable[bytes]) -> None:
    writer.write(head(content_type="text/event-stream", request_id="req_clever"))
    writer.write(b"transfer-encoding: chunked\r\n\r\n")
    for data in events:
        writer.write(b"%x\r\n" % len(data) + data + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
