"""OpenAI's legacy completions (`POST /v1/completions`) as clients speak them.

Owns the whole dialect: reading requests in part and in full, and writing the answers of models that chat. A prompt is
one user message there. What only a model that continues text can do is refused. Source: `CreateCompletionRequest` and
`CreateCompletionResponse` of OpenAI's API description.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.head import (
    Head,
    flag_field,
    integer_field,
    invalid,
    kind_of,
    not_json,
    present,
    read_fields,
    text_field,
)
from tollway.core.dialects.openai_answer import DONE, encoded, write_error_event
from tollway.core.dialects.openai_head import MAX_CHOICES, include_usage, splice
from tollway.core.dialects.openai_request import between, wrong_type
from tollway.core.dialects.openai_usage import write_usage
from tollway.core.errors import Code, TollwayError

__all__ = ["DEFAULT_MAX_TOKENS", "StreamWriter", "check_urls", "read_head", "read_request", "splice", "write_answer"]

DEFAULT_MAX_TOKENS = 16
"""What the API gives to a client that sets no limit."""

_MAX_BEST_OF = 20
_PROMPTS_DECODER = msgspec.json.Decoder(list[Raw])


class _Body(msgspec.Struct):
    """The modelled fields. `model`, `stream`, `stream_options`, `n` and `max_tokens` come from the head."""

    prompt: Any = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    logprobs: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    user: str | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MODELLED = frozenset(_Body.__struct_fields__) | {"model", "stream", "stream_options", "n", "max_tokens"}
_CHAT = "Use a model that completes text, or the chat completions API."


def read_head(body: bytes) -> Head:
    """The head of a request. Raises TollwayError(invalid_json | invalid_request) naming the field.

    `n` counts the answers that the provider has to write: for each prompt, as many as `n` or `best_of` says.
    """
    fields = read_fields(body)
    model = text_field(fields, "model")
    prompts = _count_prompts(fields)
    n = integer_field(fields, "n", 1, MAX_CHOICES) or 1
    best_of = integer_field(fields, "best_of", 0, _MAX_BEST_OF) or 1
    return Head(
        model=model,
        stream=flag_field(fields, "stream"),
        include_usage=include_usage(fields),
        max_tokens=integer_field(fields, "max_tokens", 0),
        n=max(n, best_of) * prompts,
        fields=fields,
    )


def _count_prompts(fields: dict[str, Raw]) -> int:
    raw = present(fields, "prompt")
    if raw is None:
        raise invalid("Missing required parameter: 'prompt'.", "prompt")
    kind = kind_of(raw)
    if kind == "a string":
        return 1
    if kind != "an array":
        message = f"Invalid type for 'prompt': expected a string or an array, but got {kind} instead."
        raise invalid(message, "prompt")
    items = _PROMPTS_DECODER.decode(raw)
    if not items:
        raise invalid("Invalid 'prompt': empty array. Expected an array with at least one prompt.", "prompt")
    # An array of numbers is one prompt, in tokens.
    return len(items) if kind_of(bytes(items[0])) in ("a string", "an array") else 1


def check_urls(head: Head) -> None:
    """As for the other dialects; a prompt holds no URL that anyone would fetch."""


def read_request(body: bytes, head: Head | None = None) -> chat.Request:
    """The whole request, for a model that chats. `head`: what `read_head` made of the same body.

    Raises TollwayError(invalid_json | invalid_request | unsupported_parameter) that names the field.
    """
    head = head or read_head(body)
    try:
        parsed = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error)) from None
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise not_json("it is nested too deeply") from None
    prompt = _prompt(parsed.prompt)
    _refuse(parsed)
    if head.max_tokens == 0:
        raise invalid("Invalid 'max_tokens': expected a value >= 1 for this model.", "max_tokens")
    stop = (parsed.stop,) if isinstance(parsed.stop, str) else tuple(parsed.stop or ())
    return chat.Request(
        model=head.model,
        messages=(chat.Message(role=chat.Role.USER, path="prompt", parts=(chat.Text(prompt),)),),
        stream=head.stream,
        include_usage=head.include_usage,
        max_tokens=DEFAULT_MAX_TOKENS if head.max_tokens is None else head.max_tokens,
        temperature=between(parsed.temperature, "temperature", 2.0),
        top_p=between(parsed.top_p, "top_p", 1.0),
        stop=stop,
        n=integer_field(head.fields, "n", 1, MAX_CHOICES) or 1,
        user=parsed.user,
        rest={name: raw for name, raw in head.fields.items() if name not in _MODELLED and bytes(raw) != b"null"},
    )


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def _prompt(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt and all(isinstance(item, str) for item in prompt):
        raise _unsupported("prompt", f"Several prompts a request are not available for this model. {_CHAT}")
    if isinstance(prompt, list) and prompt and all(isinstance(item, int | list) for item in prompt):
        raise _unsupported("prompt", f"Prompts in tokens are not available for this model. {_CHAT}")
    raise invalid("Invalid 'prompt': expected a string, strings, tokens or arrays of tokens.", "prompt")


def _refuse(parsed: _Body) -> None:
    """What a model that chats cannot do."""
    if parsed.suffix:
        raise _unsupported("suffix", f"Insertion before a suffix is not available for this model. {_CHAT}")
    if parsed.echo:
        raise _unsupported("echo", "This model cannot echo the prompt. Leave 'echo' out.")
    if parsed.best_of is not None and parsed.best_of > 1:
        raise _unsupported("best_of", "This model gives one answer a request. Leave 'best_of' out.")
    if parsed.logprobs is not None:
        raise _unsupported("logprobs", "Log probabilities are not available for this model. Leave 'logprobs' out.")


def _finish(finish: chat.Finish) -> str:
    """This dialect knows no tools."""
    return "stop" if finish is chat.Finish.TOOL_CALLS else finish.value


def write_answer(answer: chat.Answer) -> bytes:
    """A whole `text_completion` body. A refusal is text here; reasoning has no place."""
    text = "".join(block.text for block in answer.blocks if isinstance(block, chat.Text | chat.Refusal))
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": _finish(answer.finish)}],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return encoded(body)


class StreamWriter:
    """Neutral events to `text_completion` chunks. With `include_usage`, the last chunk carries the usage."""

    __slots__ = ("_before", "_created", "_id", "_include_usage", "_model", "_tail")

    def __init__(self, *, model: str, created: int, include_usage: bool) -> None:
        """`model` is shown until the provider names its own; `created` is Unix seconds."""
        self._created = created
        self._include_usage = include_usage
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._open("cmpl", model)

    def _open(self, answer_id: str, model: str) -> None:
        self._id = answer_id
        self._model = model
        self._before = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":' % (
            encoded(answer_id),
            self._created,
            encoded(model),
        )

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client; `Closed` writes the finish, the usage when asked for, and `[DONE]`."""
        match event:
            case chat.TextDelta(text) | chat.RefusalDelta(text):
                return self._chunk(encoded(text), b"null")
            case chat.Opened(answer_id, model):
                self._open(answer_id or self._id, model or self._model)
            case chat.Closed(finish, usage):
                out = self._chunk(b'""', encoded(_finish(finish)))
                if self._include_usage and usage is not None:
                    out += self._before + b'[],"usage":' + encoded(write_usage(usage)) + b"}\n\n"
                return out + DONE
        return b""

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `ports.StreamWriter.fail`."""
        return write_error_event(message, error_type, code, param)

    def _chunk(self, text: bytes, finish: bytes) -> bytes:
        choice = b'[{"text":%b,"index":0,"logprobs":null,"finish_reason":%b}]' % (text, finish)
        return self._before + choice + self._tail
