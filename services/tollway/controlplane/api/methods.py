"""Every method of the contract with its handler: the features' own lists, together."""

from __future__ import annotations

from tollway.controlplane.audit.api import METHODS as AUDIT
from tollway.controlplane.call import Method
from tollway.controlplane.catalog.api import METHODS as CATALOG
from tollway.controlplane.configuration.api import METHODS as CONFIGURATION
from tollway.controlplane.identity.api import METHODS as IDENTITY
from tollway.controlplane.keys.api import METHODS as KEYS
from tollway.controlplane.ledger.api import METHODS as LEDGER
from tollway.wire.contract import management


def methods(*more: dict[str, Method]) -> dict[str, Method]:
    """Handlers by full method name. Raises LookupError when the contract and the handlers differ."""
    found: dict[str, Method] = {}
    for part in (IDENTITY, KEYS, CATALOG, CONFIGURATION, LEDGER, AUDIT, *more):
        found.update(part)
    if found.keys() != management().keys():
        raise LookupError(f"contract and handlers differ: {sorted(found.keys() ^ management().keys())}")
    return found
