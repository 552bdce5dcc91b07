"""The golden table: usage objects as providers send them, and what the provider's published formula makes of them.

Every expectation is worked out here in decimals from counts and list prices, without the product's arithmetic. Whole
and streamed answers, relayed and translated, must come to the same cost.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tollway.core.dialects import anthropic_messages, openai_audio, openai_chat, openai_images, openai_responses, sse
from tollway.core.money import NANO_PER_DOLLAR, parse_dollars
from tollway.core.pricing import Price, Tier, cost
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.openai_relay import OpenAIRelay

HALF_NANO = Decimal("5e-10")


def rates(**dollars: str) -> dict[str, Any]:
    """Rates in nano-dollars from the dollars of a price list."""
    return {name: parse_dollars(text) for name, text in dollars.items()}


def tokens(*parts: tuple[int, str]) -> Decimal:
    """Dollars of counts at dollars per million."""
    return sum((count * Decimal(rate) / 1_000_000 for count, rate in parts), Decimal(0))


class Case(NamedTuple):
    """A usage object, verbatim but for its place, the list prices, and the dollars that the provider charges."""

    usage: dict[str, Any]
    price: Price
    dollars: Decimal


MINI = Price(version="t", **rates(input="0.15", cached_input="0.075", output="0.60"))
O4 = Price(version="t", **rates(input="1.10", cached_input="0.275", output="4.40"))
AUDIO = Price(version="t", **rates(input="2.50", output="10", audio_input="40", audio_output="80"))
IMAGE = Price(version="t", **rates(input="2", output="12", image_input="8", image_output="120"))
PREDICTED = Price(version="t", **rates(input="2.50", cached_input="1.25", output="10"))
PREDICTED_APART = Price(
    version="t", **rates(input="2.50", output="10", prediction_accepted="8", prediction_rejected="11")
)
WRITES = Price(version="t", **rates(input="1.25", cached_input="0.125", cache_write_5m="1.5625", output="10"))
DEEPSEEK = Price(version="t", **rates(input="0.28", cached_input="0.028", output="0.42"))
GROK = Price(version="t", **rates(input="0.30", cached_input="0.075", output="0.50"))
SONNET = Price(
    version="t",
    **rates(input="3", cached_input="0.30", cache_write_5m="3.75", cache_write_1h="6", output="15", search="10"),
    tiers=(
        Tier(
            above=200_000,
            **rates(input="6", cached_input="0.60", cache_write_5m="7.50", cache_write_1h="12", output="22.50"),
        ),
    ),
)
GEMINI = Price(
    version="t",
    **rates(input="1.25", cached_input="0.125", output="10"),
    tiers=(Tier(above=200_000, **rates(input="2.50", cached_input="0.25", output="15")),),
)
NO_DETAILS = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}

CHAT = {
    "OpenAI cached": Case(
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": NO_DETAILS,
        },
        MINI,
        tokens((86, "0.15"), (1920, "0.075"), (300, "0.60")),
    ),
    "OpenAI reasoning": Case(
        {
            "prompt_tokens": 241,
            "completion_tokens": 214,
            "total_tokens": 455,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": NO_DETAILS | {"reasoning_tokens": 192},
        },
        O4,
        tokens((241, "1.10"), (214, "4.40")),
    ),
    "OpenAI cache write": Case(
        {
            "prompt_tokens": 1220,
            "completion_tokens": 100,
            "total_tokens": 1320,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1217, "audio_tokens": 0},
            "completion_tokens_details": NO_DETAILS | {"reasoning_tokens": 100},
        },
        WRITES,
        tokens((3, "1.25"), (1217, "1.5625"), (100, "10")),
    ),
    "OpenAI audio in and out": Case(
        {
            "prompt_tokens": 64,
            "completion_tokens": 131,
            "total_tokens": 195,
            "prompt_tokens_details": {"audio_tokens": 44, "cached_tokens": 0, "image_tokens": 0, "text_tokens": 20},
            "completion_tokens_details": NO_DETAILS | {"audio_tokens": 107, "text_tokens": 24},
        },
        AUDIO,
        tokens((20, "2.50"), (44, "40"), (24, "10"), (107, "80")),
    ),
    "image tokens in and out": Case(
        {
            "prompt_tokens": 1103,
            "completion_tokens": 1301,
            "total_tokens": 2404,
            "prompt_tokens_details": {"cached_tokens": 0, "image_tokens": 1087, "text_tokens": 16},
            "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 1290, "text_tokens": 11},
        },
        IMAGE,
        tokens((16, "2"), (1087, "8"), (11, "12"), (1290, "120")),
    ),
    "OpenAI prediction": Case(
        {
            "prompt_tokens": 173,
            "completion_tokens": 115,
            "total_tokens": 288,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": NO_DETAILS
            | {"accepted_prediction_tokens": 77, "rejected_prediction_tokens": 21},
        },
        PREDICTED,
        tokens((173, "2.50"), (115, "10")),
    ),
    "prediction at rates of its own": Case(
        {
            "prompt_tokens": 173,
            "completion_tokens": 115,
            "total_tokens": 288,
            "completion_tokens_details": NO_DETAILS
            | {"accepted_prediction_tokens": 77, "rejected_prediction_tokens": 21},
        },
        PREDICTED_APART,
        tokens((173, "2.50"), (17, "10"), (77, "8"), (21, "11")),
    ),
    "DeepSeek cache hit": Case(
        {
            "prompt_tokens": 1033,
            "completion_tokens": 207,
            "total_tokens": 1240,
            "prompt_cache_hit_tokens": 960,
            "prompt_cache_miss_tokens": 73,
        },
        DEEPSEEK,
        tokens((960, "0.028"), (73, "0.28"), (207, "0.42")),
    ),
    "xAI reasoning beside the completion": Case(
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 5},
            "completion_tokens_details": NO_DETAILS | {"reasoning_tokens": 94},
            "num_sources_used": 0,
        },
        GROK,
        tokens((27, "0.30"), (5, "0.075"), (103, "0.50")),
    ),
    "Gemini below the tier": Case(
        {
            "prompt_tokens": 200_000,
            "completion_tokens": 1_001,
            "total_tokens": 201_001,
            "prompt_tokens_details": {"cached_tokens": 150_001},
        },
        GEMINI,
        tokens((49_999, "1.25"), (150_001, "0.125"), (1_001, "10")),
    ),
    "Gemini above the tier": Case(
        {
            "prompt_tokens": 200_001,
            "completion_tokens": 1_001,
            "total_tokens": 201_002,
            "prompt_tokens_details": {"cached_tokens": 150_001},
        },
        GEMINI,
        tokens((50_000, "2.50"), (150_001, "0.25"), (1_001, "15")),
    ),
    "Hugging Face cached at the top": Case(
        {
            "prompt_tokens": 511,
            "completion_tokens": 33,
            "total_tokens": 544,
            "cached_tokens": 448,
            "prompt_tokens_details": None,
        },
        MINI,
        tokens((63, "0.15"), (448, "0.075"), (33, "0.60")),
    ),
}
MESSAGES = {
    "Anthropic cache read": Case(
        {
            "input_tokens": 11,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 1031,
            "output_tokens": 27,
            "service_tier": "standard",
        },
        SONNET,
        tokens((11, "3"), (1031, "0.30"), (27, "15")),
    ),
    "Anthropic 5 minute write": Case(
        {
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 418},
            "cache_creation_input_tokens": 418,
            "cache_read_input_tokens": 1111,
            "inference_geo": "not_available",
            "input_tokens": 3,
            "output_tokens": 33,
            "service_tier": "standard",
        },
        SONNET,
        tokens((3, "3"), (1111, "0.30"), (418, "3.75"), (33, "15")),
    ),
    "Anthropic 1 hour write": Case(
        {
            "cache_creation": {"ephemeral_1h_input_tokens": 2048, "ephemeral_5m_input_tokens": 101},
            "cache_creation_input_tokens": 2149,
            "cache_read_input_tokens": 0,
            "input_tokens": 7,
            "output_tokens": 19,
        },
        SONNET,
        tokens((7, "3"), (101, "3.75"), (2048, "6"), (19, "15")),
    ),
    "Anthropic iterations": Case(
        {
            "input_tokens": 181,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 8,
            "iterations": [
                {
                    "input_tokens": 100,
                    "output_tokens": 83,
                    "cache_read_input_tokens": 55096,
                    "cache_creation_input_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "type": "compaction",
                },
                {
                    "input_tokens": 181,
                    "output_tokens": 8,
                    "cache_read_input_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "type": "message",
                },
            ],
        },
        SONNET,
        tokens((281, "3"), (55096, "0.30"), (91, "15")),
    ),
    "Anthropic search": Case(
        {
            "input_tokens": 11665,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 186,
            "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0},
        },
        SONNET,
        tokens((11665, "3"), (186, "15")) + 3 * Decimal(10) / 1000,
    ),
    "Anthropic long context": Case(
        {
            "input_tokens": 1_001,
            "cache_creation_input_tokens": 49_000,
            "cache_read_input_tokens": 150_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 48_000, "ephemeral_1h_input_tokens": 1_000},
            "output_tokens": 501,
        },
        SONNET,
        tokens((1_001, "6"), (48_000, "7.50"), (1_000, "12"), (150_000, "0.60"), (501, "22.50")),
    ),
}


def holds(usage: Usage | None, case: Case) -> None:
    """The cost is the provider's, to the nano-dollar."""
    assert usage is not None
    assert abs(Decimal(cost(usage, case.price)) / NANO_PER_DOLLAR - case.dollars) <= HALF_NANO


def lines(*bodies: object) -> bytes:
    """The data lines of a stream."""
    return b"".join(b"data: %b\n\n" % json.dumps(body).encode() for body in bodies)


@pytest.mark.parametrize("name", CHAT)
def test_chat_whole_and_streamed(name: str) -> None:
    """The usage comes in a chunk of its own (OpenAI), or in every chunk as counted so far (vLLM, Gemini)."""
    case = CHAT[name]
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    body = json.dumps({"id": "i", "object": "chat.completion", "choices": [choice], "usage": case.usage}).encode()
    holds(openai_chat.read_answer(body).usage, case)
    holds(openai_chat.read_usage(openai_chat.read_received(body).usage), case)
    delta = {"id": "i", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    last = {"id": "i", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    partial = {"prompt_tokens": case.usage["prompt_tokens"], "completion_tokens": 1}
    for stream in (
        lines(delta, last, {"id": "i", "choices": [], "usage": case.usage}),
        lines(delta | {"usage": partial}, last | {"usage": case.usage}),
        lines(delta | {"usage": None}, last | {"usage": case.usage}, {"choices": [], "usage": None}),
    ):
        reader, relay = openai_chat.StreamReader(), OpenAIRelay(show_usage=False)
        reader.feed(stream + openai_chat.DONE)
        relay.feed(stream + openai_chat.DONE)
        holds(reader.usage, case)
        holds(relay.usage, case)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_whole_and_streamed(name: str) -> None:
    """The stream's first event has the input and a first guess of the output; the last one is cumulative, perhaps in
    part.
    """
    case = MESSAGES[name]
    message: dict[str, Any] = {"id": "i", "type": "message", "role": "assistant", "model": "m", "content": []}
    body = json.dumps(message | {"stop_reason": "end_turn", "usage": case.usage}).encode()
    holds(anthropic_messages.read_answer(body).usage, case)
    holds(anthropic_messages.read_finished(body)[0], case)
    first = {name: value for name, value in case.usage.items() if name not in ("iterations", "server_tool_use")}
    late = {name: case.usage[name] for name in case.usage.keys() - first.keys()}
    for told in (case.usage, late | {"output_tokens": case.usage["output_tokens"]}):
        stream = lines(
            {"type": "message_start", "message": message | {"usage": first | {"output_tokens": 1}}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": told},
            {"type": "message_stop"},
        )
        reader, view = anthropic_messages.StreamReader(), anthropic_messages.MessagesView()
        reader.feed(stream)
        for block in sse.Framer().feed(stream):
            view.see(block)
        holds(reader.usage, case)
        holds(view.usage, case)


def test_responses_whole_and_streamed() -> None:
    usage = {
        "input_tokens": 2006,
        "input_tokens_details": {"cached_tokens": 1920},
        "output_tokens": 1186,
        "output_tokens_details": {"reasoning_tokens": 1024},
        "total_tokens": 3192,
    }
    case = Case(usage, O4, tokens((86, "1.10"), (1920, "0.275"), (1186, "4.40")))
    ours: dict[str, Any] = {"response_id": "r", "previous_response_id": None, "store": False}
    response = {"id": "x", "object": "response", "status": "completed", "output": [], "usage": usage}
    holds(openai_responses.answer_for_client(json.dumps(response).encode(), **ours).usage, case)
    view = openai_responses.ResponsesView(**ours)
    view.feed(lines({"type": "response.completed", "sequence_number": 1, "response": response}))
    holds(view.usage, case)


def test_what_is_not_sold_by_the_token() -> None:
    """Whisper by the minute, Groq's by the hour, DALL-E by the image, TTS by the character, gpt-image-1 by tokens."""
    whisper = Price(version="t", input=0, output=0, audio_hour=60 * parse_dollars("0.006"))
    heard = openai_audio.read_audio_usage({"type": "duration", "seconds": 61}, None)
    holds(heard, Case({}, whisper, 61 * Decimal("0.006") / 60))
    turbo = Price(version="t", input=0, output=0, audio_hour=parse_dollars("0.04"))
    holds(Usage(audio_ms=3_600_000), Case({}, turbo, Decimal("0.04")))
    dalle = Price(version="t", input=0, output=0, image=parse_dollars("0.04"))
    holds(openai_images.read_image_usage(None, 3), Case({}, dalle, 3 * Decimal("0.04")))
    tts = Price(version="t", input=0, output=0, characters=parse_dollars("15"))
    holds(Usage(characters=4_096), Case({}, tts, tokens((4_096, "15"))))
    usage = {
        "input_tokens": 323,
        "input_tokens_details": {"image_tokens": 311, "text_tokens": 12},
        "output_tokens": 1056,
        "total_tokens": 1379,
    }
    image = Price(version="t", **rates(input="5", image_input="10", output="0", image_output="40"))
    holds(openai_images.read_image_usage(usage, 1), Case(usage, image, tokens((12, "5"), (311, "10"), (1056, "40"))))
