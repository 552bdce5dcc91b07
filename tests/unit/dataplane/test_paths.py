"""Azure's paths lead to our own."""

from __future__ import annotations

import pytest

from tollway.dataplane.http.paths import Place, place_of


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("/v1/chat/completions", Place("/v1/chat/completions")),
        ("/v1/chat/completions?x=1", Place("/v1/chat/completions")),
        ("/openai/v1/responses", Place("/v1/responses")),
        ("/openai/responses?api-version=2025-03-01-preview", Place("/v1/responses")),
        ("/openai/responses/resp_1", Place("/v1/responses/resp_1")),
        (
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            Place("/v1/chat/completions", "gpt-4o"),
        ),
        ("/openai/deployments/my%2Fown/embeddings", Place("/v1/embeddings", "my/own")),
        ("/openai/deployments/x", Place("/v1/", "x")),
        ("/openaix/v1/models", Place("/openaix/v1/models")),
    ],
)
def test_places(raw: str, place: Place) -> None:
    assert place_of(raw) == place
