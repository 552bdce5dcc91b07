"""How often may be tried: per address and in all, in windows that Postgres keeps, so that replicas count together.

An address that tries too often is not counted with the others, so that one of them alone cannot shut everybody out.
When all together tried too often nothing is written any more, so that the number of rows is bounded however many try.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.db.statements import Database
from tollway.controlplane.signin import postgres


@dataclass(frozen=True)
class Limit:
    """At most `of_address` tries of one address and `of_all` tries together in `window`."""

    kind: str
    of_address: int
    of_all: int
    window: timedelta


LOCAL = Limit("local", of_address=10, of_all=200, window=timedelta(minutes=15))
"""Sign-ins with the administrator's token. Bearer calls with it are not among them: the way in stays open."""
CALLBACK = Limit("callback", of_address=60, of_all=3000, window=timedelta(minutes=5))
"""Ends of sign-ins, each of which makes a call to a provider."""


class TooMany(ApiError):
    """Tried too often. `seconds` says when to come back."""

    def __init__(self, seconds: int) -> None:
        super().__init__(ApiCode.UNAVAILABLE, f"too many sign-ins were tried; try again in {seconds} seconds")
        self.seconds = seconds


def scope_of(limit: Limit, address: str) -> str:
    """Whose tries are counted together: of IPv6 a whole /64, which one host can have."""
    try:
        parsed = ip_address(address.split("%", 1)[0])
    except ValueError:
        return f"{limit.kind}|unknown"
    if isinstance(parsed, IPv6Address):
        return f"{limit.kind}|{ip_network((parsed, 64), strict=False)}"
    return f"{limit.kind}|{parsed}"


async def count(db: Database, limit: Limit, address: str, now: datetime) -> None:
    """One more try. Raises TooMany when there were too many already."""
    together = f"{limit.kind}|*"
    before = await postgres.tries(db, together, now)
    if before is not None and before.tries >= limit.of_all:
        raise _too_many(before, now)
    for scope, most in ((scope_of(limit, address), limit.of_address), (together, limit.of_all)):
        found = await postgres.count_try(db, scope, now, now + limit.window)
        if found.tries > most:
            raise _too_many(found, now)


def _too_many(found: postgres.Tries, now: datetime) -> TooMany:
    return TooMany(max(1, round((found.window_end - now).total_seconds())))


async def forgive(db: Database, limit: Limit, address: str) -> None:
    """Forgets the tries of an address that has signed in."""
    await postgres.clear_tries(db, scope_of(limit, address))
