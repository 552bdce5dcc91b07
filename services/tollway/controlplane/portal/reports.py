"""Reports that were asked for a moment ago, for those who may see exactly the same.

A report adds up the days of all projects; many people look at the same one, and everyone looks at it twice. What is
kept is at most some seconds old, and belongs to one set of rights: whoever has others is answered anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from tollway.controlplane.call import Principal
from tollway.runtime.clock import Clock

FRESH_SECONDS = 10.0
MAX_KEPT = 200


def _rights(principal: Principal) -> Any:
    """What decides what a report shows: the rights, and who one is where they are one's own alone."""
    grants = [(one.role, str(one.unit), str(one.project)) for one in principal.grants]
    everything = None if principal.permissions is None else sorted(principal.permissions)
    return [principal.name, principal.kind, everything, sorted(grants)]


class Reports:
    """What one process keeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, asyncio.Future[Any]]] = OrderedDict()

    async def get(self, principal: Principal, asked: Mapping[str, Any], work: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of `work`, or what it answered to the same a moment ago. Failures are not kept."""
        key = hashlib.sha256(msgspec.json.encode([_rights(principal), sorted(asked.items())])).digest()
        now = self._clock.monotonic()
        while self._kept and (len(self._kept) > MAX_KEPT or now - next(iter(self._kept.values()))[0] > FRESH_SECONDS):
            self._kept.popitem(last=False)
        while key in self._kept:
            found = await asyncio.shield(self._kept[key][1])
            if found is not None:
                return found
        coming: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._kept[key] = (now, coming)
        found = None
        try:
            found = await work()
            return found
        finally:
            if found is None and self._kept.get(key, (0.0, None))[1] is coming:
                del self._kept[key]
            coming.set_result(found)
