"""Which kind of provider serves which call in which form, and where."""

from __future__ import annotations

import pytest

from tollway.core.catalog import Provider, ProviderKind
from tollway.core.operations import GENERATION, Operation
from tollway.dataplane.providers.registry import REGISTRY

BASE = "https://example.com/v1"


def provider(kind: str, version: str = "", base_url: str = BASE) -> Provider:
    return Provider(id="p", name="p", kind=ProviderKind(kind), base_url=base_url, api_version=version)


def native(kind: str, operation: str, *, model: str = "m", version: str = "", base_url: str = BASE) -> str | None:
    found = REGISTRY[ProviderKind(kind)].native(Operation(operation), provider(kind, version, base_url), model)
    return None if found is None else found.value


@pytest.mark.parametrize("kind", list(ProviderKind))
def test_every_kind_answers_every_way_to_ask_for_a_turn(kind: ProviderKind) -> None:
    for operation in GENERATION:
        form = REGISTRY[kind].native(operation, provider(kind.value), "m")
        assert form in GENERATION
        assert REGISTRY[kind].native(form, provider(kind.value), "m") is form, "what is asked for is served as it is"


@pytest.mark.parametrize(
    ("kind", "operation", "form"),
    [
        ("openai", "responses", "responses"),
        ("openai", "messages", "chat"),
        ("openai", "rerank", None),
        ("openai", "count_tokens", None),
        ("azure_openai", "embeddings", "embeddings"),
        ("azure_openai", "moderations", None),
        ("anthropic", "chat", "messages"),
        ("anthropic", "responses", "messages"),
        ("anthropic", "count_tokens", "count_tokens"),
        ("anthropic", "embeddings", None),
        ("vllm", "responses", "chat"),
        ("vllm", "completions", "completions"),
        ("vllm", "rerank", "rerank"),
        ("vllm", "image_generation", None),
        ("openai_compatible", "responses", "chat"),
        ("openai_compatible", "speech", "speech"),
        ("huggingface", "embeddings", "embeddings"),
        ("huggingface", "completions", "completions"),
    ],
)
def test_forms(kind: str, operation: str, form: str | None) -> None:
    assert native(kind, operation) == form


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("gpt-4o", "chat"),
        ("gpt-3.5-turbo-instruct", "completions"),
        ("davinci-002", "completions"),
        ("ft:babbage-002:org::id", "completions"),
        ("my-davinci-like", "chat"),
    ],
)
@pytest.mark.parametrize("kind", ["openai", "azure_openai"])
def test_only_old_models_complete(kind: str, model: str, form: str) -> None:
    assert native(kind, "completions", model=model) == form


@pytest.mark.parametrize(
    ("version", "form"),
    [("", "responses"), ("v1", "responses"), ("2024-10-21", "chat"), ("2025-04-01-preview", "responses")],
)
def test_azure_has_responses_since_a_version(version: str, form: str) -> None:
    assert native("azure_openai", "responses", version=version) == form


ROUTER = "https://router.huggingface.co/v1"


@pytest.mark.parametrize(
    ("operation", "form"),
    [("chat", "chat"), ("completions", "chat"), ("embeddings", "features"), ("speech", None), ("messages", "chat")],
)
def test_hugging_faces_router(operation: str, form: str | None) -> None:
    assert native("huggingface", operation, base_url=ROUTER) == form


@pytest.mark.parametrize(
    ("kind", "operation", "version", "base_url", "url"),
    [
        ("openai", "embeddings", "", "https://api.openai.com", "https://api.openai.com/v1/embeddings"),
        ("openai", "image_edit", "", "https://api.openai.com/v1", "https://api.openai.com/v1/images/edits"),
        ("vllm", "rerank", "", "http://10.0.0.2:8000", "http://10.0.0.2:8000/v1/rerank"),
        (
            "azure_openai",
            "transcription",
            "2024-10-21",
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/deployments/my%2Fm/audio/transcriptions?api-version=2024-10-21",
        ),
        (
            "azure_openai",
            "responses",
            "2025-04-01-preview",
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
        ),
        (
            "azure_openai",
            "speech",
            "v1",
            "https://r.openai.azure.com",
            "https://r.openai.azure.com/openai/v1/audio/speech",
        ),
        (
            "anthropic",
            "count_tokens",
            "",
            "https://api.anthropic.com",
            "https://api.anthropic.com/v1/messages/count_tokens",
        ),
        (
            "huggingface",
            "features",
            "",
            ROUTER,
            "https://router.huggingface.co/hf-inference/models/my/m/pipeline/feature-extraction",
        ),
        ("openai_compatible", "embeddings", "", "https://e.org/x/chat/completions", "https://e.org/x/embeddings"),
    ],
)
def test_urls(kind: str, operation: str, version: str, base_url: str, url: str) -> None:
    adapter = REGISTRY[ProviderKind(kind)]
    assert adapter.url(Operation(operation), provider(kind, version, base_url), "my/m") == url


def test_the_provider_behind_hugging_faces_router_gives_the_features() -> None:
    url = REGISTRY[ProviderKind.HUGGINGFACE].url(
        Operation.FEATURES, provider("huggingface", "", ROUTER), "o/m:sambanova"
    )
    assert url == "https://router.huggingface.co/sambanova/models/o/m/pipeline/feature-extraction"


@pytest.mark.parametrize("model", ["o/m:../../api", "../x", "o/../m", "o/m:.."])
def test_a_models_name_leads_nowhere_else(model: str) -> None:
    assert native("huggingface", "embeddings", model=model, base_url=ROUTER) is None
