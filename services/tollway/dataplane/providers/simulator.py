"""The simulator that ships with the product: it speaks OpenAI's dialect and asks for no particular credential."""

from __future__ import annotations

from tollway.dataplane.providers.openai_shape import PATHS, OpenAIShape


class Simulator(OpenAIShape):
    """Stands in for a provider in demos, tests and benchmarks."""

    serves = frozenset(PATHS)
