"""What OpenAI's own Python client sends and how it reads an answer, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2
import openai


class Exchange(NamedTuple):
    """The request of one call of the client, and what the call returned for the answer that it was given."""

    path: str
    content_type: str
    accept: str
    body: bytes
    result: Any


class _Recorder(httpx2.BaseTransport):
    """Keeps the request; answers it with the same bytes always."""

    def __init__(self, content_type: str, answer: bytes) -> None:
        self._answer = answer
        self._content_type = content_type
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.requests.append(request)
        return httpx2.Response(200, headers={"content-type": self._content_type}, content=self._answer)


def exchange(
    call: Callable[[openai.OpenAI], Any], answer: bytes = b"{}", content_type: str = "application/json"
) -> Exchange:
    """Make one call of the client and answer it. Streams are read to their end: `result` is then the list of events."""
    recorder = _Recorder(content_type, answer)
    with openai.OpenAI(
        api_key="sk-test", base_url="http://gateway/v1", max_retries=0, http_client=httpx2.Client(transport=recorder)
    ) as client:
        result = call(client)
        if isinstance(result, openai.Stream):
            result = list(result)
    (request,) = recorder.requests
    headers = request.headers
    return Exchange(request.url.path, headers["content-type"], headers["accept"], request.content, result)
