"""Facts about provider kinds that both planes need."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tollway.core.catalog import ProviderKind

WELL_KNOWN_BASE_URLS: Mapping[ProviderKind, str] = MappingProxyType(
    {
        ProviderKind.OPENAI: "https://api.openai.com/v1",
        ProviderKind.ANTHROPIC: "https://api.anthropic.com",
        ProviderKind.HUGGINGFACE: "https://router.huggingface.co/v1",
    }
)
"""Where a kind is found when the operator names no `base_url`. Kinds that are not listed need one."""
