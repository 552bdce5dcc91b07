"""OpenAI's legacy completions. Source: https://platform.openai.com/docs/api-reference/completions"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import LONGEST, Answer, Asked, Choice, count, pieces
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.openai import FINISH, MAX_CHOICES, OpenAI, model_of
from tollway.simulator.dialects.port import BadRequest, Event, Part, decode, sse, within

MAX_PROMPTS = 2048
MAX_TOKEN = 1 << 31


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    prompt: str | list[str | int | list[int]] | None = None
    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    echo: bool | None = None


class Completions(Endpoint):
    """Completes one prompt or several; `n` choices each, in the prompts' order."""

    def __init__(self, provider: OpenAI) -> None:
        super().__init__(provider)
        self._openai = provider

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        prompts = texts("prompt", "" if request.prompt is None else request.prompt)
        n = 1 if request.n is None else request.n
        within("max_tokens", request.max_tokens, 0, 1 << 31)
        within("n", n, 1, MAX_CHOICES)
        within("prompt", len(prompts), 1, MAX_PROMPTS)
        if request.stream_options is not None and not request.stream:
            raise BadRequest("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        users = tuple(text[:LONGEST] for text, _tokens in prompts for _ in range(n))
        stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
        return Asked(
            model=model,
            stream=bool(request.stream),
            prompt_tokens=sum(tokens for _text, tokens in prompts),
            last_user=max(users, key=len),
            users=users,
            may_call=False,
            limit=request.max_tokens,
            stop=tuple(stop),
            n=len(users),
            include_usage=bool(request.stream_options and request.stream_options.include_usage),
            hides_reasoning=True,
            detail=users if request.echo else ("",) * len(users),
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        choices = [
            self._choice(index, asked.detail[index] + choice.text, _finish(choice))
            for index, choice in enumerate(answer.choices)
        ]
        found = {**_frame(asked, request_id, created), "choices": choices, **self._openai.prompt_filters()}
        if usage:
            found["usage"] = self._openai.usage(answer)
        return orjson.dumps(found)

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`: one choice after the other."""
        shown = usage and asked.include_usage
        frame = _frame(asked, request_id, created) | ({"usage": None} if shown else {})

        def event(index: int, text: str, finish: str | None, tokens: int, part: Part) -> Event:
            return Event(sse({**frame, "choices": [self._choice(index, text, finish)]}), tokens, part)

        if filtered := self._openai.prompt_filters():
            yield Event(sse({**frame, "choices": [], **filtered}), 0, Part.HEAD)
        for index, choice in enumerate(answer.choices):
            if asked.detail[index]:
                yield event(index, asked.detail[index], None, 0, Part.HEAD)
            for piece in pieces(choice.reasoning, chunk):
                yield Event(b"", count(piece), Part.CONTENT)
            for piece in pieces(choice.text, chunk):
                yield event(index, piece, None, count(piece), Part.CONTENT)
            yield event(index, "", _finish(choice), 0, Part.FINISH)
        if shown:
            yield Event(sse({**frame, "choices": [], "usage": self._openai.usage(answer)}), 0, Part.FINISH)
        yield Event(b"data: [DONE]\n\n", 0, Part.DONE)

    def _choice(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        found = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
        return {**found, **self._openai.filters(finish or "")}


def texts(param: str, value: str | list[Any]) -> list[tuple[str, int]]:
    """What is in a text, an array of texts, an array of tokens or an array of those: each with its number of tokens.

    Raises BadRequest where an array mixes them.
    """
    if isinstance(value, str):
        return [(value, count(value))]
    kinds = {type(item) for item in value}
    if kinds == {int}:
        return [_tokens(param, value)]
    if kinds == {list}:
        return [_tokens(param, item) for item in value]
    if kinds == {str}:
        return [(item, count(item)) for item in value]
    raise BadRequest(f"'{param}' must be a string, or an array of strings, of tokens, or of token arrays.", param=param)


def _tokens(param: str, tokens: list[int]) -> tuple[str, int]:
    if not all(0 <= token < MAX_TOKEN for token in tokens):
        raise BadRequest(f"'{param}' has a token that no model knows.", param=param)
    return " ".join(map(str, tokens)), len(tokens)


def _finish(choice: Choice) -> str:
    return FINISH.get(choice.finish, choice.finish)


def _frame(asked: Asked, request_id: str, created: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{request_id}",
        "object": "text_completion",
        "created": created,
        "model": asked.model,
        "system_fingerprint": "fp_simulated",
    }
