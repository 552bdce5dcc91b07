"""Which path speaks which dialect, and under which name its requests are counted: a table, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

from tollway.simulator.dialects.anthropic import Anthropic
from tollway.simulator.dialects.azure import Azure
from tollway.simulator.dialects.completions import Completions
from tollway.simulator.dialects.count_tokens import CountTokens
from tollway.simulator.dialects.embeddings import Embeddings, FeatureExtraction
from tollway.simulator.dialects.huggingface import HuggingFace
from tollway.simulator.dialects.images import Images
from tollway.simulator.dialects.moderations import Moderations
from tollway.simulator.dialects.openai import OpenAI
from tollway.simulator.dialects.port import Dialect
from tollway.simulator.dialects.rerank import Rerank
from tollway.simulator.dialects.responses import Responses
from tollway.simulator.dialects.speech import Speech
from tollway.simulator.dialects.transcripts import Transcripts

AZURE = "/openai/deployments"
_NOT_BY_DEPLOYMENT = ("/responses", "/moderations", "/rerank")


class Route(NamedTuple):
    """One path; `{model}` in it is the model."""

    path: str
    counted: str
    dialect: Dialect


def routes() -> list[Route]:
    """All paths of providers' models; the first that fits is taken."""
    openai, azure, anthropic, huggingface = OpenAI(), Azure(), Anthropic(), HuggingFace()
    found = [
        *_family("/v1", openai),
        *_family("/openai/v1", azure),
        *_family("/hf/v1", huggingface),
        *(
            Route(f"{AZURE}/{{model:.+}}{path}", f"{AZURE}{path}", dialect)
            for path, dialect in _endpoints(azure).items()
            if path not in _NOT_BY_DEPLOYMENT
        ),
        Route("/openai/responses", "/openai/responses", Responses(azure)),
        Route("/v1/messages", "/v1/messages", anthropic),
        Route("/v1/messages/count_tokens", "/v1/messages/count_tokens", CountTokens(anthropic)),
    ]
    found += [Route(path, path, Rerank(openai)) for path in ("/rerank", "/v2/rerank")]
    for before in ("", "/hf", "/{behind:[^/]+}", "/hf/{behind:[^/]+}"):
        path = f"{before}/models/{{model:.+}}/pipeline/feature-extraction"
        found.append(Route(path, "/models/pipeline/feature-extraction", FeatureExtraction(huggingface)))
    return found


def _family(prefix: str, provider: OpenAI) -> list[Route]:
    return [Route(prefix + path, prefix + path, dialect) for path, dialect in _endpoints(provider).items()]


def _endpoints(provider: OpenAI) -> dict[str, Dialect]:
    """A provider's endpoints of OpenAI's shape. Chat comes first: its path ends as that of completions does."""
    return {
        "/chat/completions": provider,
        "/completions": Completions(provider),
        "/responses": Responses(provider),
        "/embeddings": Embeddings(provider),
        "/moderations": Moderations(provider),
        "/images/generations": Images(provider, edits=False),
        "/images/edits": Images(provider, edits=True),
        "/audio/speech": Speech(provider),
        "/audio/transcriptions": Transcripts(provider, translates=False),
        "/audio/translations": Transcripts(provider, translates=True),
        "/rerank": Rerank(provider),
    }
