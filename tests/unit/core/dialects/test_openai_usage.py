"""Usage objects of OpenAI-shaped services."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.openai_chat import read_usage, write_usage
from tollway.core.pricing import OUTPUT_PARTS
from tollway.core.usage import Usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"prompt_tokens": 17, "completion_tokens": 19, "total_tokens": 36}, Usage(input=17, output=19)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}, Usage(input=10, cached_input=4, output=5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 0,
                "cached_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            Usage(input=10, cached_input=9),
        ),
        (
            {
                "prompt_tokens": 1220,
                "completion_tokens": 100,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1217, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 100, "audio_tokens": 0},
            },
            Usage(input=1220, cache_write_5m=1217, audio_input=3, output=100, reasoning=100),
        ),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 30,
                "prompt_tokens_details": {"text_tokens": 9, "image_tokens": 11},
                "completion_tokens_details": {
                    "image_tokens": 4,
                    "audio_tokens": 3,
                    "accepted_prediction_tokens": 5,
                    "rejected_prediction_tokens": 6,
                },
            },
            Usage(
                input=20,
                image_input=11,
                output=30,
                audio_output=3,
                image_output=4,
                prediction_accepted=5,
                prediction_rejected=6,
            ),
        ),
        # xAI: reasoning is counted beside completion_tokens.
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=103, reasoning=94),
        ),
        ({"prompt_tokens": 5, "total_tokens": 9, "prompt_tokens_details": None}, Usage(input=5, output=4)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 7.0, "completion_tokens": 1}, Usage(input=7, output=1)),
        ({"prompt_tokens": None, "completion_tokens": 5}, None),
        ({"prompt_tokens": "7"}, None),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": True}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_read(value: Any, usage: Usage | None) -> None:
    assert read_usage(value) == usage


counts = st.integers(0, 10**9)


@given(counts, counts, st.data())
def test_what_is_written_is_read_again(prompt: int, output: int, data: st.DataObject) -> None:
    usage = Usage(
        input=prompt,
        cached_input=data.draw(st.integers(0, prompt)),
        cache_write_5m=data.draw(st.integers(0, prompt)),
        audio_input=data.draw(st.integers(0, prompt)),
        image_input=data.draw(st.integers(0, prompt)),
        output=output,
        **{name: data.draw(st.integers(0, output)) for name in OUTPUT_PARTS},
    )
    assert read_usage(write_usage(usage)) == usage


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"]),
        st.floats() | st.integers() | st.text() | st.none(),
    )
)
def test_no_object_breaks_it(value: dict[str, Any]) -> None:
    usage = read_usage(value)
    assert usage is None or usage.input >= 0
