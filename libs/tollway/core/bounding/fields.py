"""Which fields of a request may be sent under a hard budget: those that are known not to change what it costs.

Owns the lists, one for each dialect of clients, and the refusals. A field that is not listed is refused by name:
providers add fields, and one that changes the bill must not pass because nobody has looked at it yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from tollway.core.dialects.head import decoded
from tollway.core.errors import Code, TollwayError
from tollway.core.operations import Operation
from tollway.core.pricing import Price

_NULL = b"null"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# https://platform.openai.com/docs/api-reference/chat/create; `functions` and what belongs to them are the older tools.
_CHAT = _words(
    """messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
    max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options"""
)
# What servers of open models take beside: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, Text
# Generation Inference, Ollama, Mistral, DeepSeek, Groq, xAI, Gemini. All of them choose among tokens or constrain them.
# Left out because they bill: beam search, chat templates of the client's own, plug-ins, searches, other models.
_OPEN = _words(
    """add_generation_prompt add_special_tokens allowed_token_ids bad_words chat_template_kwargs continue_final_message
    cache_salt detokenize enable_thinking guided_choice guided_decoding_backend guided_grammar guided_json
    guided_regex guided_whitespace_pattern grammar ignore_eos include_reasoning include_stop_str_in_output
    keep_alive length_penalty logits_processors max_logprobs min_p min_tokens mirostat mirostat_eta mirostat_tau
    priority prompt_logprobs random_seed reasoning reasoning_budget reasoning_format reasoning_split repeat_last_n
    repeat_penalty repetition_penalty request_id return_token_ids return_tokens_as_token_ids safe_prompt
    skip_special_tokens spaces_between_special_tokens stop_token_ids structural_tag structured_outputs thinking
    thinking_budget top_a top_k truncate_prompt_tokens typical_p"""
)
# https://platform.openai.com/docs/api-reference/completions/create
_COMPLETIONS = _words(
    """model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream
    stream_options suffix temperature top_p user"""
)
# https://platform.openai.com/docs/api-reference/responses/create
_RESPONSES = _words(
    """background conversation include input instructions max_output_tokens max_tool_calls metadata model moderation
    parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention
    reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools
    top_logprobs top_p truncation user"""
)
# https://docs.anthropic.com/en/api/messages. Left out because they bill: `speed` (fast mode), `inference_geo`,
# `mcp_servers` (the provider goes on by itself).
_MESSAGES = _words(
    """cache_control container context_management max_tokens messages metadata model output_config output_format
    service_tier stop_sequences stream system temperature thinking thread tool_choice tools top_k top_p"""
)
_LISTS: Mapping[Operation, frozenset[str]] = {
    Operation.CHAT: _CHAT | _OPEN,
    Operation.COMPLETIONS: _COMPLETIONS | _OPEN,
    Operation.RESPONSES: _RESPONSES,
    Operation.MESSAGES: _MESSAGES,
    Operation.COUNT_TOKENS: _MESSAGES,
    # https://platform.openai.com/docs/api-reference/embeddings/create; vLLM, Hugging Face, Jina, Voyage, Cohere
    Operation.EMBEDDINGS: _words(
        """add_special_tokens dimensions embedding_type encoding_format input input_type late_chunking messages model
        normalize normalized output_dimension output_dtype priority task truncate truncate_prompt_tokens truncation
        truncation_direction user"""
    ),
    Operation.MODERATIONS: frozenset({"input", "model"}),
    # https://platform.openai.com/docs/api-reference/images/create and /createEdit; `quality` and `size` are bounded
    Operation.IMAGE_GENERATION: _words(
        """background model moderation n output_compression output_format partial_images prompt quality response_format
        size stream style user seed negative_prompt"""
    ),
    Operation.IMAGE_EDIT: _words(
        """background image images input_fidelity mask model moderation n output_compression output_format
        partial_images prompt quality response_format size stream user"""
    ),
    # https://platform.openai.com/docs/api-reference/audio
    Operation.SPEECH: _words("input instructions model response_format speed stream_format voice"),
    Operation.TRANSCRIPTION: _words(
        """chunking_strategy file include language model prompt response_format stream temperature
        timestamp_granularities"""
    ),
    Operation.TRANSLATION: _words("file model prompt response_format stream temperature"),
    # https://docs.cohere.com/reference/rerank, Jina, Voyage, vLLM
    Operation.RERANK: _words(
        """documents max_tokens_per_doc max_chunks_per_doc model priority query rank_fields return_documents top_k top_n
        truncate_prompt_tokens truncation user"""
    ),
}
_LOOKED_AT = frozenset({"context_management", "modalities", "prediction", "service_tier", "web_search_options"})
_TIERS = (b'"auto"', b'"default"', b'"standard"', b'"standard_only"', b'"flex"', _NULL)
"""Of the same price or, `flex`, a lower one."""
_EDITS = frozenset({"clear_thinking_20251015", "clear_tool_uses_20250919"})
"""They only take away from the input. Compaction is a turn of its own, billed beside."""


def refused(param: str, why: str, remedy: str) -> TollwayError:
    """What cannot be bounded at `param`, why, and what to do instead."""
    message = f"'{param}' is not available under a hard budget: {why}. {remedy}"
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def check_fields(operation: Operation, fields: Mapping[str, Raw], price: Price) -> None:
    """Refuse fields that could change what the request costs. Nulls are as if absent.

    Raises TollwayError(unsupported_parameter) naming the field.
    """
    allowed = _LISTS[operation]
    if not fields.keys() <= allowed:
        for name in sorted(fields.keys() - allowed):
            if name.partition("[")[0] not in allowed and bytes(fields[name]) != _NULL:
                raise refused(name, "it is not known whether it changes what the request costs", "Leave it out.")
    if not _LOOKED_AT.isdisjoint(fields):
        _check_values(fields, price)


def _check_values(fields: Mapping[str, Raw], price: Price) -> None:
    present = {name: bytes(fields[name]) for name in _LOOKED_AT if name in fields and bytes(fields[name]) != _NULL}
    if present.get("service_tier", _NULL) not in _TIERS:
        raise refused("service_tier", "other tiers have other prices", "Leave it out, or say 'default'.")
    if "prediction" in present:
        raise refused("prediction", "rejected tokens are billed beyond any limit of output", "Leave it out.")
    if "web_search_options" in present:
        raise refused("web_search_options", "searches are billed by the call, without a limit", "Leave it out.")
    if "modalities" in present:
        _check_modalities(decoded(Raw(present["modalities"])), price)
    if "context_management" in present:
        _check_edits(decoded(Raw(present["context_management"])))


def _check_modalities(value: Any, price: Price) -> None:
    wanted = value if isinstance(value, list) else [value]
    for kind in wanted:
        if kind == "audio" and price.audio_output is None:
            raise refused("modalities", "the model has no price for audio that it makes", "Ask for text alone.")
        if kind not in ("text", "audio"):
            raise refused("modalities", "what it asks for has no limit of output", "Ask for text or audio.")


def _check_edits(value: Any) -> None:
    edits = value.get("edits") if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.keys() - {"edits"} or not isinstance(edits, list | None):
        raise refused("context_management", "it is not known what it costs", "Leave it out.")
    for index, edit in enumerate(edits or ()):
        if not isinstance(edit, dict) or edit.get("type") not in _EDITS:
            param = f"context_management.edits[{index}].type"
            raise refused(param, "it makes turns that are billed beside the answer", "Leave the edit out.")
