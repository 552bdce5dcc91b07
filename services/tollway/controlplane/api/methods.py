"""Every method of the contract with the handler that a feature gives it."""

from __future__ import annotations

from collections.abc import Mapping

from tollway.controlplane.access import api as access
from tollway.controlplane.audit import api as audit
from tollway.controlplane.call import Method
from tollway.controlplane.catalog import api as catalog
from tollway.controlplane.configuration import api as configuration
from tollway.controlplane.identity import api as identity
from tollway.controlplane.keys import api as keys
from tollway.controlplane.ledger import api as ledger
from tollway.controlplane.prices import api as prices
from tollway.controlplane.reconciliation import api as reconciliation
from tollway.controlplane.rotation import api as rotation
from tollway.controlplane.rules import api as rules
from tollway.controlplane.workflows import api as workflows
from tollway.wire.contract import METHODS as CONTRACT

_FEATURES = (
    access.METHODS,
    identity.METHODS,
    keys.METHODS,
    catalog.METHODS,
    configuration.METHODS,
    ledger.METHODS,
    audit.METHODS,
    prices.METHODS,
    reconciliation.METHODS,
    rotation.METHODS,
    rules.METHODS,
    workflows.METHODS,
)


def collect(*more: Mapping[str, Method]) -> dict[str, Method]:
    """All methods, `more` included. Raises ValueError when the contract and the features do not agree."""
    found: dict[str, Method] = {}
    for methods in (*_FEATURES, *more):
        if twice := found.keys() & methods.keys():
            raise ValueError(f"methods with two handlers: {sorted(twice)}")
        found.update(methods)
    if wrong := found.keys() ^ CONTRACT.keys():
        raise ValueError(f"methods without a handler, or not in the contract: {sorted(wrong)}")
    return found
