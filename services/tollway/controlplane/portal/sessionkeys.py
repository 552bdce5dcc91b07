"""Short-lived keys with which the playground calls the gateway for somebody: one for a session and a project.

They are made, looked at and revoked by the API's own methods with the rights of the person, so that permission, audit,
budget and limits are those of any other key. A secret lives in this process's memory until the key expires, and is in
no page, address or log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal.forms import stamp
from tollway.controlplane.portal.visit import Visit
from tollway.runtime import log

_log = log.get(__name__)
SECONDS = 900
"""How long a key lives."""
LEAST_SECONDS = 30
"""A key that has less left is not used any more: a call would begin with it and be refused."""
MAX_HELD = 2000
PREFIX = "playground-"
TAG = {"made-for": "playground"}
SWEPT, LOOKED_THROUGH = 20, 200
_ACTIVE, _EXPIRED = 1, 2
"""Numbers of `KeyStatus` in the contract."""


@dataclass(frozen=True)
class Held:
    """A key with its secret. `until` is wall time, `made_at` monotonic, both in seconds."""

    id: str
    secret: str = field(repr=False)
    until: float
    made_at: float


@dataclass
class _Place:
    """Where the key of one session and project is; made by one at a time."""

    lock: asyncio.Lock
    held: Held | None = None


class SessionKeys:
    """What one process holds: of the sessions that used the playground last, at most `MAX_HELD`."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], _Place] = OrderedDict()

    async def get(self, visit: Visit, project: str) -> Held:
        """The session's key for a project, made unless there is one that still holds.

        The key is looked at with the person's present rights before every use, so that who has left the project, or
        whose key was revoked, does not go on with it. Raises ApiError.
        """
        self._drop_expired(visit)
        place = self._places.setdefault((str(visit.session.id), project), _Place(asyncio.Lock()))
        self._places.move_to_end((str(visit.session.id), project))
        while len(self._places) > MAX_HELD:
            self._places.popitem(last=False)
        async with place.lock:
            held = place.held
            if held is not None and held.until - visit.now.timestamp() > LEAST_SECONDS:
                key = await visit.call("KeyService/GetKey", {"key": held.id})
                if key.status == _ACTIVE:
                    return held
            place.held = await self._make(visit, project)
            return place.held

    def _drop_expired(self, visit: Visit) -> None:
        now = visit.now.timestamp()
        gone = [name for name, place in self._places.items() if place.held is not None and place.held.until <= now]
        for name in gone:
            del self._places[name]

    async def _make(self, visit: Visit, project: str) -> Held:
        until = visit.now + timedelta(seconds=SECONDS)
        fields = {
            "project": project,
            "name": f"{PREFIX}{secrets.token_hex(4)}",
            "tags": TAG,
            "expires_at": stamp(until),
            "user": "" if visit.principal.kind == "bootstrap" else visit.principal.name,
        }
        made = await visit.call("KeyService/CreateKey", fields, reason="a try in the playground")
        await _sweep(visit, project)
        return Held(made.key.id, made.secret, until.timestamp(), visit.services.clock.monotonic())


async def _sweep(visit: Visit, project: str) -> None:
    """Revokes the person's expired keys of earlier tries, so that they stand in no list. It may fail: they are dead."""
    name = "" if visit.principal.kind == "bootstrap" else visit.principal.name
    try:
        found = await visit.call("KeyService/ListKeys", {"project": project, "page_size": LOOKED_THROUGH})
        old = [key for key in found.keys if key.name.startswith(PREFIX) and key.status == _EXPIRED and key.user == name]
        for key in old[:SWEPT]:
            await visit.call("KeyService/RevokeKey", {"key": key.id}, reason="its try in the playground is over")
    except ApiError as error:
        _log.warning("expired keys of the playground are still in the lists", project=project, error=error.message)
