"""What every endpoint but chat and messages has in common: its own wire format, and its provider's headers and errors.

An endpoint is one class, whichever provider it stands at; a provider's own additions come from the provider.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tollway.simulator.answer import Answer, Asked
from tollway.simulator.dialects.port import Event, Provider, Reply


class Endpoint:
    """One endpoint of a provider. A kind has `read`, `whole`, and `events` where it streams."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.name = provider.name
        self.id_in_errors = provider.id_in_errors

    def admit(self, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """As `Provider.admit`."""
        self._provider.admit(path_model, query, headers)

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """As `Provider.headers`."""
        return self._provider.headers(request_id, asked)

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`: nothing, where every answer is written piece by piece."""
        return b""

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`: none, where no answer is streamed."""
        return iter(())

    def error(
        self,
        status: int,
        message: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
    ) -> Reply:
        """As `Provider.error`."""
        return self._provider.error(status, message, param=param, code=code, retry_after=retry_after)

    def quota(self) -> Reply:
        """As `Provider.quota`."""
        return self._provider.quota()

    def error_event(self, number: int) -> bytes:
        """As `Provider.error_event`."""
        return self._provider.error_event(number)
