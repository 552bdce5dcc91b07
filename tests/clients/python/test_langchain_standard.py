"""LangChain's standard tests of its OpenAI and Anthropic chat models, each at providers of both dialects.

What the suite says about a model is said through its properties. Its sample files come from here and not from the web.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import Any

import httpx
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from tollway.testkit.clever_gateway import CleverGateway

pytestmark = [
    # What LangChain and the clients say of their own doings, whoever answers.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema:UserWarning"),
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
]
LONG = "The gateway takes what a client asks and hands it to a provider, word by word. " * 80
# A test has an event loop of its own, while the models share their HTTP clients: no connection may outlive its request.
HEADERS = {"connection": "close"}


def _png() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"\0\xff\0\0")) + part(b"IEND", b"")


def _wav() -> bytes:
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 38, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", 2)


FILES = {"png": _png(), "pdf": b"%PDF-1.4\n%%EOF\n", "wav": _wav() + b"\0\0"}


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample files that the suite fetches, by the end of their addresses."""

    def get(url: str, **_options: Any) -> httpx.Response:
        return httpx.Response(200, content=FILES[url.rpartition(".")[2]])

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture
def vcr() -> None:
    """No cassettes are kept, so the suite leaves out the one test that would time them."""


class Standard(ChatModelIntegrationTests):
    """What all the models can."""

    __test__ = False
    names = ("", "")
    """The gateway's names of the model and of another one that may take its place."""

    @pytest.fixture(autouse=True)
    def reach(self, gateway: CleverGateway) -> None:
        """Makes the gateway known to the properties."""
        self.gateway = gateway

    @property
    def model_override_value(self) -> str:
        return self.names[1]

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    def told(self, model: BaseChatModel, messages: list[BaseMessage], stream: bool) -> AIMessage:
        """The answer, streamed or not."""
        if not stream:
            return model.invoke(messages)
        chunks = list(model.stream(messages))
        full = chunks[0]
        for chunk in chunks[1:]:
            full = full + chunk
        return full


class OpenAIStandard(Standard):
    """`ChatOpenAI`."""

    __test__ = False
    responses = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.names[0],
            "base_url": self.gateway.base_url,
            "api_key": self.gateway.key,
            "max_retries": 0,
            "default_headers": HEADERS,
            "use_responses_api": self.responses,
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        messages: list[BaseMessage] = [HumanMessage(LONG)]
        model = self.chat_model_class(**self.chat_model_params)
        model.invoke(messages)
        told = self.told(model, messages, stream)
        assert told.usage_metadata is not None
        assert told.usage_metadata["input_token_details"]["cache_read"] > 0
        return told


class TestChatAtOpenAI(OpenAIStandard):
    """The same dialect on both sides."""

    __test__ = True
    names = ("gpt-4.1", "gpt-4.1-mini")

    @property
    def supports_audio_inputs(self) -> bool:
        return True


class TestChatAtAnthropic(OpenAIStandard):
    """Chat completions become messages."""

    __test__ = True
    names = ("sonnet", "haiku")

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": [], "stream": []}


class TestChatAtOlderAnthropic(TestChatAtAnthropic):
    """As before, with a model that does not enforce schemas."""

    names = ("3-7-sonnet", "haiku")


class TestResponsesAtOpenAIShape(OpenAIStandard):
    """Responses become chat completions."""

    __test__ = True
    names = ("open-large", "open-small")
    responses = True


class TestResponsesAtAnthropic(OpenAIStandard):
    """Responses become messages."""

    __test__ = True
    names = ("sonnet", "haiku")
    responses = True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> Any:
        return {"invoke": [], "stream": []}


class AnthropicStandard(Standard):
    """`ChatAnthropic`."""

    __test__ = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.names[0],
            "base_url": self.gateway.origin,
            "api_key": self.gateway.key,
            "max_retries": 0,
            "max_tokens": 2000,
            "default_headers": HEADERS,
        }

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True


class TestMessagesAtAnthropic(AnthropicStandard):
    """The same dialect on both sides."""

    __test__ = True
    names = ("sonnet", "haiku")

    @property
    def supported_usage_metadata_details(self) -> Any:
        known = ["cache_read_input", "cache_creation_input"]
        return {"invoke": known, "stream": known}

    def cached(self, *, stream: bool) -> tuple[AIMessage, AIMessage]:
        """Two answers to one prompt with a mark for caching: the first one writes, the second one reads."""
        marked = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
        messages: list[BaseMessage] = [SystemMessage([marked]), HumanMessage(f"Hello {uuid.uuid4()}")]
        model = self.chat_model_class(**self.chat_model_params)
        return self.told(model, messages, stream), self.told(model, messages, stream)

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        written, _ = self.cached(stream=stream)
        assert written.usage_metadata is not None
        assert written.usage_metadata["input_token_details"]["cache_creation"] > 0
        return written

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        _, read = self.cached(stream=stream)
        assert read.usage_metadata is not None
        assert read.usage_metadata["input_token_details"]["cache_read"] > 0
        return read


class TestMessagesAtOpenAI(AnthropicStandard):
    """Messages become chat completions."""

    __test__ = True
    names = ("gpt-4.1", "gpt-4.1-mini")


class TestMessagesAtOpenAIShape(AnthropicStandard):
    """As before, at a service that is not listed."""

    __test__ = True
    names = ("open-large", "open-small")
