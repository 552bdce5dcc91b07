"""Whatever a request holds, its bound is found or it is refused in words: no JSON of a client breaks the gateway."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.bounds import most
from tollway.core.errors import TollwayError
from tollway.testkit.codecs import CHAT, PRICE, bound, send


def words(text: str) -> list[str]:
    return text.split()


BASE: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3000},
    "/v1/embeddings": {"input": "hi"},
    "/v1/moderations": {"input": "hi"},
    "/v1/rerank": {"query": "hi", "documents": ["a"]},
    "/v1/images/generations": {"prompt": "a"},
    "/v1/audio/speech": {"input": "hi", "voice": "v"},
}
KINDS = ("openai", "anthropic", "vllm", "openai_compatible")
NAMES = words(
    """messages input documents query tools functions thinking modalities context_management service_tier system
    response_format max_tokens max_completion_tokens max_output_tokens n best_of prompt partial_images quality
    images image mask stream text reasoning output_config content"""
)
TYPES = words(
    """text image image_url input_image input_audio document file tool_result search_result input_file message
    function_call_output computer_call_output image_generation_call reasoning web_search_20250305 function
    bash_1"""
)
KEYS = words(
    """type content source data url image_url input_audio file output result citations max_uses budget_tokens edits
    audio role text id"""
)
LEAF = (
    st.none() | st.booleans() | st.integers(-1, 5000) | st.sampled_from([*TYPES, "base64", "AAAA", "\ufdfa", "a://b"])
)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BASE)), st.sampled_from(KINDS), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3))
def test_only_refusals(path: str, kind: str, fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "gpt-4o", **BASE[path], **fields}).encode()
    with suppress(TollwayError, LookupError):
        found = bound(kind, path=path, model="gpt-4o", body=body, context_tokens=200_000, max_output_tokens=4096)
        assert found.input >= 0
        assert most(found, PRICE, 10) >= 0
    with suppress(TollwayError, LookupError):
        send(kind, path=path, model="gpt-4o", output_cap=2000, body=body)
