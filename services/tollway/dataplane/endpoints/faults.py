"""Failures that the dialects find in a provider's answer, as faults of the provider."""

from __future__ import annotations

from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import TollwayError
from tollway.dataplane.providers.faults import fault_in_stream, garbage
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.told import told_of


def fault_of_answer(error: TollwayError) -> ProviderFault:
    """An error object by what it says; anything else is garbage."""
    if isinstance(error, ProviderFault):
        return error
    if isinstance(error, ErrorEvent):
        return fault_in_stream(told_of(error.error))
    return garbage(error.message.rstrip("."))
