"""Where each kind sends a chat request, with which headers and which body."""

from __future__ import annotations

import json

import pytest

from tollway.core.catalog import Credential, ProviderKind
from tollway.core.errors import Code, TollwayError
from tollway.core.provider_kinds import WELL_KNOWN_BASE_URLS
from tollway.dataplane.providers.registry import REGISTRY
from tollway.testkit.codecs import send

CREDENTIAL = Credential(id="c", name="main", api_key="secret-value")


@pytest.mark.parametrize(
    ("kind", "base_url", "version", "url"),
    [
        ("openai", "https://api.openai.com/v1", "", "https://api.openai.com/v1/chat/completions"),
        ("openai", "https://api.openai.com", "", "https://api.openai.com/v1/chat/completions"),
        ("openai", "https://proxy.example/openai", "", "https://proxy.example/openai/chat/completions"),
        ("huggingface", "https://router.huggingface.co/v1", "", "https://router.huggingface.co/v1/chat/completions"),
        ("vllm", "http://10.0.0.2:8000", "", "http://10.0.0.2:8000/v1/chat/completions"),
        ("vllm", "http://10.0.0.2:8000/v1/", "", "http://10.0.0.2:8000/v1/chat/completions"),
        ("simulator", "http://127.0.0.1:8089", "", "http://127.0.0.1:8089/v1/chat/completions"),
        ("openai_compatible", "https://e.org/openai", "", "https://e.org/openai/chat/completions"),
        ("openai_compatible", "https://e.org/chat/completions", "", "https://e.org/chat/completions"),
        ("anthropic", "https://api.anthropic.com", "", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "https://api.anthropic.com/v1", "", "https://api.anthropic.com/v1/messages"),
        ("azure_openai", "https://r.openai.azure.com", "", "https://r.openai.azure.com/openai/v1/chat/completions"),
        (
            "azure_openai",
            "https://r.openai.azure.com/openai/v1/",
            "v1",
            "https://r.openai.azure.com/openai/v1/chat/completions",
        ),
        (
            "azure_openai",
            "https://r.openai.azure.com",
            "preview",
            "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview",
        ),
        (
            "azure_openai",
            "https://r.openai.azure.com/openai",
            "2024-10-21",
            "https://r.openai.azure.com/openai/deployments/my%2Ftarget/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_urls(kind: str, base_url: str, version: str, url: str) -> None:
    assert send(kind, base_url, version=version, model="my/target")[0].url == url


def test_every_kind_has_an_adapter_and_no_credential_leaks_into_the_url() -> None:
    assert set(REGISTRY) == set(ProviderKind)
    for kind in ProviderKind:
        outgoing, _ = send(kind, credential=CREDENTIAL)
        assert "secret-value" not in outgoing.url
        assert b"secret-value" not in outgoing.body
        assert json.loads(outgoing.body)["model"] == "target"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("openai", "authorization", "Bearer secret-value"),
        ("huggingface", "authorization", "Bearer secret-value"),
        ("vllm", "authorization", "Bearer secret-value"),
        ("azure_openai", "api-key", "secret-value"),
        ("anthropic", "x-api-key", "secret-value"),
    ],
)
def test_credentials(kind: str, name: str, value: str) -> None:
    headers = send(kind, credential=CREDENTIAL)[0].headers
    assert headers[name] == value
    assert sum("secret-value" in each for each in headers.values()) == 1
    bare = send(kind)[0].headers
    assert name not in bare


def test_common_headers() -> None:
    for kind in ProviderKind:
        assert send(kind)[0].headers["accept"] == "application/json"
        headers = send(kind, stream=True)[0].headers
        assert (headers["accept"], headers["content-type"]) == ("text/event-stream", "application/json")
        assert headers["user-agent"] == "tollway"
    assert send("anthropic")[0].headers["anthropic-version"] == "2023-06-01"


def test_usage_is_asked_for_on_streams_where_it_is_understood() -> None:
    asked = json.loads(send("openai", stream=True)[0].body)
    assert asked["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(send("openai")[0].body)
    old, dropped = send(
        "azure_openai", "https://e.org", version="2024-02-01", stream=True, stream_options={"include_usage": True}
    )
    assert ("stream_options" in json.loads(old.body), dropped) == (False, ("stream_options",))
    legacy, dropped = send(
        "azure_openai",
        path="/v1/completions",
        model="gpt-35-turbo-instruct",
        version="2024-02-01",
        prompt="q",
        stream=True,
        stream_options={"include_usage": True},
    )
    assert ("stream_options" in json.loads(legacy.body), dropped) == (False, ("stream_options",))
    new, _ = send("azure_openai", "https://e.org", version="2024-10-21", stream=True)
    assert json.loads(new.body)["stream_options"] == {"include_usage": True}
    mistral, dropped = send("openai_compatible", "https://api.mistral.ai/v1", stream=True)
    assert ("stream_options" in json.loads(mistral.body), dropped) == (False, ())


def test_anthropic_gets_a_translation_and_names_what_is_dropped() -> None:
    outgoing, dropped = send("anthropic", "https://e.org", model="claude-sonnet-4-5", seed=7, max_tokens=5)
    assert json.loads(outgoing.body)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert dropped == ("seed",)
    with pytest.raises(TollwayError) as caught:
        send("anthropic", "https://e.org", n=2)
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, "n")


def test_well_known_addresses_are_complete_enough_to_use() -> None:
    for kind, base_url in WELL_KNOWN_BASE_URLS.items():
        assert send(kind, base_url)[0].url.startswith(base_url)
