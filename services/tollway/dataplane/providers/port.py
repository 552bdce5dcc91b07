"""What the pipeline asks of a provider kind: where a call goes, in whose words, with which key.

Owns the contract alone. An adapter is stateless and does no IO; the HTTP call is made in one place for all kinds.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tollway.core.catalog import Credential, Provider
from tollway.core.errors import Code, TollwayError
from tollway.core.operations import Operation

USER_AGENT = "tollway"


class Outgoing(NamedTuple):
    """A POST to a provider."""

    url: str
    headers: dict[str, str]
    body: bytes


class ProviderFault(TollwayError):
    """An upstream call that failed, in words fit for the client; what only the operator may know is `operator_note`.

    `status` is the provider's HTTP status, None when there was none or it came inside a stream. `retryable`: another
    attempt, here or elsewhere, may succeed with the same request. `provider_code` is the provider's own code.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retryable: bool,
        status: int | None = None,
        provider_code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        operator_note: str | None = None,
    ) -> None:
        """Keyword arguments as described for the class and for TollwayError."""
        super().__init__(
            code, message, param=param, retry_after_seconds=retry_after_seconds, operator_note=operator_note
        )
        self.status = status
        self.retryable: bool | None = retryable
        self.provider_code = provider_code


class Adapter(Protocol):
    """What one provider kind is sent, and where."""

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """In which form the provider serves a call: its own, another's (it is translated), or None: not at all."""

    def url(self, operation: Operation, provider: Provider, target_model: str) -> str:
        """Where calls that the provider serves go."""

    def models_url(self, provider: Provider) -> str:
        """Where the provider lists its models: a GET that costs nothing and tells that it is there."""

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """The headers that carry the credential, and what else every call needs."""
