"""What services that speak OpenAI's chat completions do differently: a table of facts, and nothing else.

Owns the table and how a row is found: by kind of provider, by host, by family of model. A fact that is not known is
not invented: an unlisted service gets `GENERIC`. Each row names its source. Services change; a row is data, so that a
change is one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head, present

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every effort that OpenAI's API knows, least first. Source: `ReasoningEffort` of OpenAI's API description."""

_LMH = ("low", "medium", "high")
_SAMPLERS = frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "seed"})
_CACHING = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
# `metadata` is not among them: OpenAI takes it together with `store` alone, and `store` is never sent.
# https://github.com/spiceai/spiceai/pull/5231 "The 'metadata' parameter is only allowed when 'store' is enabled."
_OPENAI_KNOBS = (
    _SAMPLERS
    | _CACHING
    | {"prediction", "safety_identifier", "service_tier", "verbosity", "web_search_options", "moderation"}
)


class ChatHabits(msgspec.Struct, frozen=True, kw_only=True):
    """How one service wants to be asked. The defaults are those of a service that is not listed (`GENERIC`).

    For requests written anew: `max_tokens_field` carries the limit. `efforts` are the values that `reasoning_effort`
    may have, none: it is not sent. `sampling`: temperature and top_p are taken; `sampling_idle`: only while the model
    does not reason, which is its default. `stops`: most stop sequences, None: no limit. `top_k`, `user`,
    `parallel_tool_calls`, `tool_choice`, `strict_tools`, `names` (of messages), `files`, `json_schema`, `refusals`,
    `cache_control`: whether the field is known. `prefill`: an answer that the client has begun can be gone on with.
    `reasoning_field` carries a message's reasoning back to the service. `call_id_length` is the most characters of a
    tool call's id, None: no limit; `call_id_exact`: letters and digits, exactly that many. `tool_name_length`: the
    most characters of a tool's name ("string too long" in OpenAI's and others' words), None: no limit. `knobs` are the
    further top-level fields that are copied.

    For requests that pass through: `both_max_tokens`: the service reads `max_tokens` and `max_completion_tokens` alike,
    else the other one is renamed. `stream_options`: known. `developer_role`: known. `renamed` maps fields of OpenAI's
    to the service's own; `refused` are tuning knobs that it answers with an error.
    """

    max_tokens_field: str = "max_tokens"
    both_max_tokens: bool = False
    stream_options: bool = True
    sampling: bool = True
    sampling_idle: bool = False
    efforts: tuple[str, ...] = EFFORTS
    stops: int | None = None
    top_k: bool = False
    user: bool = True
    parallel_tool_calls: bool = True
    tool_choice: bool = True
    strict_tools: bool = True
    names: bool = True
    files: bool = True
    json_schema: bool = True
    refusals: bool = False
    cache_control: bool = False
    prefill: bool = False
    developer_role: bool = True
    reasoning_field: str | None = None
    call_id_length: int | None = None
    call_id_exact: bool = False
    tool_name_length: int | None = 64
    knobs: frozenset[str] = _OPENAI_KNOBS
    renamed: Mapping[str, str] = {}
    refused: frozenset[str] = frozenset()

    @property
    def reasoning(self) -> bool:
        """Whether the effort of reasoning can be said."""
        return bool(self.efforts)


GENERIC = ChatHabits()
"""A service that is not listed: `max_tokens`, which all know (llama.cpp before 2026, llama-cpp-python and LM Studio
pass over `max_completion_tokens` in silence: https://github.com/ggml-org/llama.cpp/pull/19831,
https://github.com/abetlen/llama-cpp-python/issues/1907)."""

# https://platform.openai.com/docs/api-reference/chat/create (stop: "Up to 4 sequences"); ids of tool calls over 40
# characters are answered with 400 "string too long".
_OPENAI = ChatHabits(
    max_tokens_field="max_completion_tokens",
    both_max_tokens=True,
    efforts=(),
    stops=4,
    refusals=True,
    call_id_length=40,
)
# https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (extra parameters; both limits are read)
_VLLM = ChatHabits(
    both_max_tokens=True,
    efforts=_LMH,
    top_k=True,
    files=False,
    prefill=True,
    tool_name_length=None,
    reasoning_field="reasoning",
    knobs=_SAMPLERS | {"chat_template_kwargs", "min_p", "min_tokens", "priority", "repetition_penalty"},
)
# https://huggingface.co/docs/inference-providers/tasks/chat-completion documents `max_tokens`; TGI reads
# `max_completion_tokens` as an alias since 3.0.2 (https://github.com/huggingface/text-generation-inference/pull/2932),
# and takes 4 stop sequences unless started with --max-stop-sequences.
_HUGGINGFACE = ChatHabits(efforts=_LMH, stops=4, files=False, knobs=_SAMPLERS)

_KINDS: Mapping[str, ChatHabits] = {
    "openai": _OPENAI,
    "azure_openai": _OPENAI,  # https://learn.microsoft.com/azure/ai-foundry/openai/reference
    "vllm": _VLLM,
    "huggingface": _HUGGINGFACE,
    "simulator": ChatHabits(both_max_tokens=True),
}

_HOSTS: Mapping[str, ChatHabits] = {
    "api.openai.com": _OPENAI,
    # 422 "Extra inputs are not permitted" for whatever https://docs.mistral.ai/api/ does not list:
    # https://github.com/mistralai/platform-docs-public/issues/7, https://github.com/zed-industries/zed/issues/57122.
    # Ids of tool calls: https://github.com/anomalyco/opencode/issues/1680. Usage comes without asking.
    "api.mistral.ai": ChatHabits(
        stream_options=False,
        efforts=(),
        user=False,
        names=False,
        files=False,
        developer_role=False,
        call_id_length=9,
        call_id_exact=True,
        knobs=frozenset({"frequency_penalty", "metadata", "prediction", "presence_penalty", "seed"}),
        renamed={"seed": "random_seed"},
        refused=_CACHING
        | {"logit_bias", "safety_identifier", "service_tier", "store", "stream_options", "user", "verbosity"},
    ),
    # https://api-docs.deepseek.com/api/create-chat-completion (16 stop sequences, json_object alone) and
    # /guides/thinking_mode (reasoning_content goes back with tool calls); `max_completion_tokens` is ignored:
    # https://github.com/earendil-works/pi/issues/8018.
    "api.deepseek.com": ChatHabits(
        efforts=("low", "medium", "high", "xhigh", "max"),
        stops=16,
        strict_tools=False,
        parallel_tool_calls=False,
        files=False,
        json_schema=False,
        developer_role=False,
        reasoning_field="reasoning_content",
        knobs=frozenset({"frequency_penalty", "presence_penalty"}),
    ),
    # https://docs.x.ai/docs/api-reference#chat-completions; models that reason: see `_FAMILIES`.
    "api.x.ai": ChatHabits(
        max_tokens_field="max_completion_tokens",
        both_max_tokens=True,
        efforts=(),
        stops=4,
        files=False,
        knobs=_SAMPLERS | {"web_search_options"},
    ),
    # https://ai.google.dev/gemini-api/docs/openai; unknown fields are 400 "Unknown name ...: Cannot find field"
    # (https://github.com/Vali-98/ChatterUI/issues/227); stopSequences takes 5.
    "generativelanguage.googleapis.com": ChatHabits(
        both_max_tokens=True,
        efforts=("none", "low", "medium", "high"),
        stops=5,
        user=False,
        parallel_tool_calls=False,
        strict_tools=False,
        names=False,
        files=False,
        knobs=frozenset(),
        refused=_CACHING | _SAMPLERS | {"metadata", "safety_identifier", "store", "user", "verbosity"},
    ),
    # https://console.groq.com/docs/openai: logprobs, logit_bias, top_logprobs and messages[].name are 400.
    "api.groq.com": ChatHabits(
        max_tokens_field="max_completion_tokens",
        both_max_tokens=True,
        efforts=(),
        stops=4,
        names=False,
        files=False,
        knobs=frozenset({"frequency_penalty", "presence_penalty", "seed", "service_tier"}),
        refused=frozenset({"logit_bias"}),
    ),
    # https://openrouter.ai/docs/api-reference/parameters, /docs/features/prompt-caching and
    # /docs/use-cases/reasoning-tokens
    "openrouter.ai": ChatHabits(
        both_max_tokens=True,
        efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
        stops=4,
        top_k=True,
        cache_control=True,
        reasoning_field="reasoning",
        knobs=_SAMPLERS | {"min_p", "prediction", "repetition_penalty", "verbosity"},
    ),
    # https://docs.together.ai/reference/chat-completions-1
    "api.together.xyz": ChatHabits(
        efforts=_LMH,
        top_k=True,
        user=False,
        files=False,
        knobs=_SAMPLERS | {"min_p", "repetition_penalty"},
    ),
}
_ALIASES = {"api.together.ai": "api.together.xyz", "router.huggingface.co": "huggingface"}

# https://docs.ollama.com/api/openai-compatibility and `ChatCompletionRequest` of openai/openai.go: all else is ignored.
_OLLAMA = ChatHabits(
    efforts=("none", "low", "medium", "high"),
    user=False,
    parallel_tool_calls=False,
    tool_choice=False,
    strict_tools=False,
    files=False,
    reasoning_field="reasoning",
    knobs=frozenset({"frequency_penalty", "presence_penalty", "seed"}),
)
_OLLAMA_PORT = ":11434"

# Models that reason refuse `max_tokens`, sampling and penalties: https://platform.openai.com/docs/guides/reasoning and
# https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning ("will only work with max_completion_tokens").
_REASONER: dict[str, Any] = {
    "max_tokens_field": "max_completion_tokens",
    "both_max_tokens": False,
    "sampling": False,
    "efforts": _LMH,
    "knobs": _OPENAI_KNOBS - _SAMPLERS | {"seed"},
}
# gpt-5.1 and later do not reason unless asked to, and then sample: https://github.com/langchain-ai/langchain/pull/35424
_GPT_5_1: dict[str, Any] = _REASONER | {
    "stops": 0,
    "efforts": ("none", "low", "medium", "high", "xhigh"),
    "sampling_idle": True,
}

_FAMILIES: tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...] = (
    (re.compile(r"(?:^|/)gpt-5(?:\.\d+)?-chat"), {}),  # chat tunings do not reason
    (re.compile(r"(?:^|/)gpt-5(?:\.\d+)?-(?:pro|codex)"), _REASONER | {"stops": 0}),
    (re.compile(r"(?:^|/)gpt-5(?!\.)"), _REASONER | {"stops": 0, "efforts": ("minimal", "low", "medium", "high")}),
    (re.compile(r"(?:^|/)gpt-(?:5\.\d|[6-9])"), _GPT_5_1),
    (re.compile(r"(?:^|/)o1(?:-|$)"), _REASONER | {"parallel_tool_calls": False}),
    # `stop` is "not supported with latest reasoning models o3 and o4-mini"; o3-mini takes it.
    (re.compile(r"(?:^|/)o3-mini"), _REASONER | {"parallel_tool_calls": False}),
    (re.compile(r"(?:^|/)(?:o[3-9](?:-|$)|codex-mini)"), _REASONER | {"stops": 0, "parallel_tool_calls": False}),
)
# https://docs.x.ai/docs/guides/reasoning: penalties and stop are errors, the effort too but for grok-3-mini.
_GROK_FAMILIES: tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...] = (
    (re.compile("non-reasoning"), {}),
    (re.compile("grok-3-mini"), {"efforts": ("low", "high"), "stops": 0, "knobs": frozenset({"seed"})}),
    (re.compile(r"grok-(?:[4-9]|code)"), {"stops": 0, "knobs": frozenset({"seed"})}),
)
# https://console.groq.com/docs/reasoning: only gpt-oss takes low, medium and high.
_GROQ_FAMILIES: tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...] = ((re.compile("gpt-oss"), {"efforts": _LMH}),)
_OTHER_FAMILIES = {"api.x.ai": _GROK_FAMILIES, "api.groq.com": _GROQ_FAMILIES}
_STREAM_OPTIONS_SINCE = "2024-09-01"


@lru_cache(maxsize=4096)
def habits_of(kind: str, host: str, model: str, api_version: str = "") -> ChatHabits:
    """The habits of a service. `kind` is a `ProviderKind`; `host` may bear a port; `api_version` is Azure's, if dated.

    A model is known by its name, so an Azure deployment called otherwise than its model counts as one that does not
    reason. Azure API versions before 2024-09-01 know neither `stream_options` nor `max_completion_tokens`.
    """
    host = host.lower()
    name = _ALIASES.get(host.partition(":")[0], host.partition(":")[0])
    if kind == "openai_compatible":
        habits = _OLLAMA if host.endswith(_OLLAMA_PORT) else _HOSTS.get(name) or _KINDS.get(name, GENERIC)
    else:
        habits = _KINDS.get(kind, GENERIC)
        name = kind
    # Elsewhere a name that looks like one of OpenAI's models need not be one.
    families = _FAMILIES if habits in (_OPENAI, GENERIC) else _OTHER_FAMILIES.get(name, ())
    habits = _refined(habits, families, model.lower())
    if kind == "azure_openai" and api_version[:1].isdigit() and api_version[:10] < _STREAM_OPTIONS_SINCE:
        habits = msgspec.structs.replace(
            habits, stream_options=False, max_tokens_field="max_tokens", refused=frozenset({"stream_options"})
        )
    return habits


def _refined(
    habits: ChatHabits, families: tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...], model: str
) -> ChatHabits:
    for pattern, facts in families:
        if pattern.search(model):
            return msgspec.structs.replace(habits, **facts) if facts else habits
    return habits


class Changes(NamedTuple):
    """What a passed-through body must have changed: `changes` and `without` as for `head.splice`.

    `dropped` names the fields that are lost; those that are renamed are not.
    """

    changes: Mapping[str, Raw] | None = None
    without: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


UNCHANGED = Changes()

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_SYSTEM = Raw(b'"system"')
_MESSAGES = msgspec.json.Decoder(list[dict[str, Raw]])

_encode = msgspec.json.Encoder().encode


def changes(habits: ChatHabits, head: Head) -> Changes:
    """What must be renamed or left out so that this service reads a client's body as the client meant it.

    Limits of output are renamed where the service would pass over them in silence or refuse them; a client that sent
    both has `max_completion_tokens` counted. The role `developer` becomes `system` where it is unknown. Costs next to
    nothing when there is nothing to do. `head` must be what `read_head` made: its messages are known to be objects.
    """
    fields = head.fields
    foreign = "" if habits.both_max_tokens else _LIMITS[habits.max_tokens_field]
    limited = foreign in fields
    refused = [name for name in habits.refused if name in fields] if habits.refused else None
    renamed = [name for name in habits.renamed if name in fields] if habits.renamed else None
    roles = None if habits.developer_role else _without_developer(fields.get("messages"))
    if not (limited or refused or renamed or roles):
        return UNCHANGED
    changed: dict[str, Raw] = {}
    without: list[str] = refused or []
    dropped = tuple(sorted(without))
    if limited:
        without = [*without, foreign]
        if foreign == "max_completion_tokens" or present(fields, "max_completion_tokens") is None:
            limit = present(fields, foreign)
            if limit is not None:
                changed[habits.max_tokens_field] = Raw(limit)
    for name in renamed or ():
        without = [*without, name]
        changed.setdefault(habits.renamed[name], fields[name])
    if roles:
        changed["messages"] = roles
    return Changes(changed, tuple(without), dropped)


def _without_developer(messages: Raw | None) -> Raw | None:
    """The messages with `system` for `developer`, all else as it was; None when none speaks so."""
    if messages is None or b'"developer"' not in bytes(messages):
        return None
    rewritten = _MESSAGES.decode(messages)
    speakers = [message for message in rewritten if bytes(message.get("role", _SYSTEM)) == b'"developer"']
    for message in speakers:
        message["role"] = _SYSTEM
    return Raw(_encode(rewritten)) if speakers else None
