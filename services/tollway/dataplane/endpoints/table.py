"""Every endpoint that asks something of a model, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tollway.core.dialects import anthropic_messages, openai_chat, openai_completions, openai_responses
from tollway.core.dialects.openai_audio import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from tollway.core.dialects.openai_embeddings import EMBEDDINGS
from tollway.core.dialects.openai_images import EDITS, GENERATIONS
from tollway.core.dialects.openai_moderations import MODERATIONS
from tollway.core.dialects.rerank import RERANK
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.conversation import Conversation
from tollway.dataplane.endpoints.count_tokens import CountTokens
from tollway.dataplane.endpoints.messages import MessagesClient, MessagesPass
from tollway.dataplane.endpoints.openai_clients import ChatClient, CompletionsClient
from tollway.dataplane.endpoints.openai_pass import OpenAIPass
from tollway.dataplane.endpoints.plain import FORM, Plain
from tollway.dataplane.endpoints.port import JSON, Dialect, Endpoint
from tollway.dataplane.endpoints.responses import ResponsesClient, ResponsesPass

_CONVERSATIONS = (
    Conversation(
        path="/v1/chat/completions",
        operation=Operation.CHAT,
        dialect=Dialect.OPENAI,
        read_head=openai_chat.read_head,
        check_urls=openai_chat.check_urls,
        client=ChatClient(),
        passes=OpenAIPass,
    ),
    Conversation(
        path="/v1/completions",
        operation=Operation.COMPLETIONS,
        dialect=Dialect.OPENAI,
        read_head=openai_completions.read_head,
        check_urls=openai_completions.check_urls,
        client=CompletionsClient(),
        passes=OpenAIPass,
    ),
    Conversation(
        path="/v1/responses",
        operation=Operation.RESPONSES,
        dialect=Dialect.OPENAI,
        read_head=openai_responses.read_head,
        check_urls=openai_responses.check_urls,
        client=ResponsesClient(),
        passes=ResponsesPass,
    ),
    Conversation(
        path="/v1/messages",
        operation=Operation.MESSAGES,
        dialect=Dialect.ANTHROPIC,
        read_head=anthropic_messages.read_head,
        check_urls=anthropic_messages.check_urls,
        client=MessagesClient(),
        passes=MessagesPass,
    ),
)
_PLAIN = (
    Plain("/v1/embeddings", Operation.EMBEDDINGS, EMBEDDINGS),
    Plain("/v1/moderations", Operation.MODERATIONS, MODERATIONS),
    Plain("/v1/images/generations", Operation.IMAGE_GENERATION, GENERATIONS),
    Plain("/v1/images/edits", Operation.IMAGE_EDIT, EDITS, accepts=(FORM, JSON)),
    Plain("/v1/audio/speech", Operation.SPEECH, SPEECH, always_streams=True),
    Plain("/v1/audio/transcriptions", Operation.TRANSCRIPTION, TRANSCRIPTIONS, accepts=(FORM,)),
    Plain("/v1/audio/translations", Operation.TRANSLATION, TRANSLATIONS, accepts=(FORM,)),
    Plain("/v1/rerank", Operation.RERANK, RERANK),
)
_ALL: tuple[Endpoint, ...] = (*_CONVERSATIONS, CountTokens(), *_PLAIN)
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({endpoint.path: endpoint for endpoint in _ALL})
