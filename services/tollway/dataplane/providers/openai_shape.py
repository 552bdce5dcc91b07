"""What all providers with an OpenAI-shaped chat API have in common: bytes pass through, little is read.

Owns the shared behaviour; each kind's own file says where it lives and how it wants to be asked.
"""

# ruff: noqa: ARG002 - signatures are those of the port and of its overriders

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.catalog import Credential, Provider
from tollway.core.dialects.head import Head
from tollway.core.dialects.openai_chat import read_received, read_usage, splice
from tollway.dataplane.providers.faults import fault_in_stream, fault_of, garbage
from tollway.dataplane.providers.openai_stream import OpenAIRelay
from tollway.dataplane.providers.port import USER_AGENT, Finished, Outgoing, ProviderFault, StreamRelay
from tollway.dataplane.providers.told import read_told

CHAT_PATH = "/chat/completions"


def versioned(base_url: str) -> str:
    """The base URL with its `/v1`, which operators write or leave out."""
    base_url = base_url.rstrip("/")
    return base_url if base_url.endswith("/v1") else base_url + "/v1"


class OpenAIShape:
    """An Adapter for a provider of the client's own dialect; a kind overrides where it differs."""

    def url(self, provider: Provider, target_model: str) -> str:
        """Where chat requests go."""
        return versioned(provider.base_url) + CHAT_PATH

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """The headers that carry the credential; none without one."""
        return {} if credential is None else {"authorization": f"Bearer {credential.api_key}"}

    def refused_fields(self, provider: Provider) -> tuple[str, ...]:
        """Top-level fields that this provider answers with an error, so that it is not sent them."""
        return ()

    def chat(
        self,
        provider: Provider,
        target_model: str,
        credential: Credential | None,
        head: Head,
        body: bytes,
        *,
        max_output_tokens: int | None = None,
    ) -> Outgoing:
        """As `Adapter.chat`; `body` travels in the fields of `head`."""
        refused = self.refused_fields(provider)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if head.stream else "application/json",
            "user-agent": USER_AGENT,
            **self.authorization(credential),
        }
        sent = splice(head, target_model, want_usage="stream_options" not in refused, without=refused)
        return Outgoing(
            self.url(provider, target_model), headers, sent, tuple(name for name in refused if name in head.fields)
        )

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Adapter.answer`; the body is handed on as it is."""
        try:
            received = read_received(body)
        except ValueError:
            raise garbage("the body is not a chat completion") from None
        if received.error:
            raise fault_in_stream(read_told(body))
        if received.choices is None:
            raise garbage("the body is not a chat completion")
        return Finished(body, read_usage(received.usage), received.chars())

    def stream(self, head: Head, model_name: str, *, created: int = 0) -> StreamRelay:
        """As `Adapter.stream`; the provider tells model and time itself."""
        return OpenAIRelay(show_usage=head.include_usage)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> ProviderFault:
        """As `Adapter.error`."""
        return fault_of(status, headers, body, now=now)
