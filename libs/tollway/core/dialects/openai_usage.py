"""OpenAI's usage object to the neutral form and back.

Owns what the many OpenAI-shaped services write into it; a count that is missing is unknown, an explicit zero is zero.
"""

from __future__ import annotations

from typing import Any

from tollway.core.usage import Usage


def _count(value: Any) -> int | None:
    """A token count, or None when the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value != value or value < 0 or value > 2**53:
        return None
    return int(value)


def _part(holder: Any, *names: str) -> int:
    """The first of `names` that `holder` has as a count, else 0."""
    if isinstance(holder, dict):
        for name in names:
            count = _count(holder.get(name))
            if count is not None:
                return count
    return 0


_USUAL = {
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
}


def _says_nothing(details: Any) -> bool:
    """Whether details are absent, or zero all of them."""
    return not details or (type(details) is dict and not any(details.values()))


def read_usage(value: Any) -> Usage | None:
    """The usage of a decoded usage object; None when it does not say how many tokens the prompt had.

    Cached tokens are in `prompt_tokens_details.cached_tokens`, at the top for some providers behind Hugging Face's
    router, and in `prompt_cache_hit_tokens` for DeepSeek. OpenAI's `cache_write_tokens` have no stated duration and are
    counted as the short one. xAI counts reasoning beside `completion_tokens` ("counted separately from
    completion_tokens, but will be counted in the total_tokens"), which shows in the total.
    """
    if not isinstance(value, dict):
        return None
    prompt = _count(value.get("prompt_tokens"))
    if prompt is None:
        return None
    total = _count(value.get("total_tokens"))
    completion = _count(value.get("completion_tokens"))
    if completion is None:
        completion = max(0, total - prompt) if total is not None else 0
    details_in = value.get("prompt_tokens_details")
    details_out = value.get("completion_tokens_details")
    if value.keys() <= _USUAL and _says_nothing(details_in) and _says_nothing(details_out):
        return Usage(input=prompt, output=completion)  # as most answers are
    reasoning = _part(details_out, "reasoning_tokens") or _part(value, "reasoning_tokens")
    if reasoning and total == prompt + completion + reasoning:
        completion += reasoning
    cached = _part(details_in, "cached_tokens") or _part(value, "cached_tokens", "prompt_cache_hit_tokens")
    return Usage(
        input=prompt,
        cached_input=min(cached, prompt),
        cache_write_5m=min(_part(details_in, "cache_write_tokens"), prompt),
        audio_input=min(_part(details_in, "audio_tokens"), prompt),
        image_input=min(_part(details_in, "image_tokens"), prompt),
        output=completion,
        reasoning=min(reasoning, completion),
        audio_output=min(_part(details_out, "audio_tokens"), completion),
        image_output=min(_part(details_out, "image_tokens"), completion),
        prediction_accepted=min(_part(details_out, "accepted_prediction_tokens"), completion),
        prediction_rejected=min(_part(details_out, "rejected_prediction_tokens"), completion),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object that OpenAI's clients read. Cache writes are shown as OpenAI does, in `cache_write_tokens`.

    What only some models tell (images, predictions, cache writes) is written where there is any.
    """
    details_in = {"cached_tokens": usage.cached_input, "audio_tokens": usage.audio_input}
    details_out = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output}
    some_in = {"image_tokens": usage.image_input, "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h}
    some_out = {
        "image_tokens": usage.image_output,
        "accepted_prediction_tokens": usage.prediction_accepted,
        "rejected_prediction_tokens": usage.prediction_rejected,
    }
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": details_in | {name: count for name, count in some_in.items() if count},
        "completion_tokens_details": details_out | {name: count for name, count in some_out.items() if count},
    }
