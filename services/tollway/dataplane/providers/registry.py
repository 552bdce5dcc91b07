"""Which adapter speaks to which provider kind."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tollway.core.catalog import ProviderKind
from tollway.dataplane.providers.anthropic import Anthropic
from tollway.dataplane.providers.azure_openai import AzureOpenAI
from tollway.dataplane.providers.huggingface import HuggingFace
from tollway.dataplane.providers.openai import OpenAI
from tollway.dataplane.providers.openai_compatible import OpenAICompatible
from tollway.dataplane.providers.port import Adapter
from tollway.dataplane.providers.simulator import Simulator
from tollway.dataplane.providers.vllm import VLLM

Registry = Mapping[ProviderKind, Adapter]

REGISTRY: Registry = MappingProxyType(
    {
        ProviderKind.OPENAI: OpenAI(),
        ProviderKind.AZURE_OPENAI: AzureOpenAI(),
        ProviderKind.ANTHROPIC: Anthropic(),
        ProviderKind.HUGGINGFACE: HuggingFace(),
        ProviderKind.VLLM: VLLM(),
        ProviderKind.OPENAI_COMPATIBLE: OpenAICompatible(),
        ProviderKind.SIMULATOR: Simulator(),
    }
)
