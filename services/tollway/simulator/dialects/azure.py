"""Azure OpenAI: OpenAI's chat completions with content filter results, its own error texts and API versions.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference and recorded answers.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollway.simulator.answer import Asked, Choice
from tollway.simulator.dialects.openai import OpenAI, Request
from tollway.simulator.dialects.port import BadRequest, Event, Part, Reply, sse, waiting

_STREAM_OPTIONS_SINCE = "2024-09-01"
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_HARMFUL = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}
_PROMPT = [
    {"prompt_index": 0, "content_filter_results": {**_SAFE, "jailbreak": {"filtered": False, "detected": False}}}
]


class Azure(OpenAI):
    """A resource of Azure OpenAI; with a dated API version the path names the deployment."""

    name = "azure"

    def admit(self, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """As `Provider.admit`; a deployment's path needs an `api-version`."""
        if path_model and not query.get("api-version"):
            raise BadRequest("Resource not found", status=404, code="404")

    def refuse(self, request: Request, query: Mapping[str, str]) -> None:
        """Older API versions do not know `stream_options`."""
        super().refuse(request, query)
        version = query.get("api-version", "")
        dated = re.match(r"\d{4}-\d{2}-\d{2}", version)
        if request.stream_options is not None and dated and dated[0] < _STREAM_OPTIONS_SINCE:
            raise BadRequest("Unrecognized request argument supplied: stream_options")

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """As `Dialect.headers`."""
        found = {"apim-request-id": request_id, "x-ms-region": "Simulated", "x-request-id": request_id}
        if asked is not None:
            found |= {"x-ratelimit-remaining-requests": "119", "x-ratelimit-remaining-tokens": "119984"}
        return found

    def finished(self, found: dict[str, Any]) -> dict[str, Any]:
        """With what the filter says of the prompt."""
        return {**found, **self.prompt_filters()}

    def prompt_filters(self) -> dict[str, Any]:
        """As `OpenAI.prompt_filters`."""
        return {"prompt_filter_results": _PROMPT}

    def filters(self, finish: str) -> dict[str, Any]:
        """As `OpenAI.filters`."""
        return {"content_filter_results": _HARMFUL if finish == "content_filter" else _SAFE}

    def choice(self, choice: Choice, index: int, request_id: str) -> dict[str, Any]:
        """With what the filter says of the answer."""
        found = super().choice(choice, index, request_id)
        return {**found, **self.filters(found["finish_reason"])}

    def opening(self) -> Iterator[Event]:
        """The prompt's filter results come first, in a chunk without id, model and object."""
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": _PROMPT}
        yield Event(sse(first), 0, Part.HEAD)

    def delta(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """Filter results come with each chunk that has content."""
        results = _SAFE if delta.get("content") else (_HARMFUL if finish == "content_filter" else {})
        return {**super().delta(index, delta, finish), "content_filter_results": results}

    def error(
        self,
        status: int,
        message: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
    ) -> Reply:
        """As `Dialect.error`; codes are number strings where Azure itself, not the model, refuses."""
        error: dict[str, Any]
        match status:
            case 401:
                text = "Access denied due to invalid subscription key or wrong API endpoint."
                error = {"code": "401", "message": message or text}
            case 404:
                text = "The API deployment for this resource does not exist."
                shown = {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": text}
                error = {"code": code, "message": message} if message else shown
            case 429:
                text = (
                    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have "
                    f"exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after "
                    f"{max(1, round(retry_after))} seconds."
                )
                error = {"code": "429", "message": message or text}
            case _:
                return super().error(status, message, param=param, code=code, retry_after=retry_after)
        return Reply(status, waiting(status, retry_after), {"error": error})
