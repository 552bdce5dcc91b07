"""Short-lived keys with which the playground calls the gateway for somebody: one for a session and a project.

They are made, looked at and revoked by the API's own methods with the rights of the person, so that permission, audit,
budget and limits are those of any other key. A secret lives in this process's memory until the person signs out here,
or else until the key is about to expire, and is in no page, address or log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal.forms import stamp
from tollway.controlplane.portal.visit import Visit
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
SECONDS = 900
"""How long a key lives."""
LEAST_SECONDS = 30
"""A key that has less left is not used any more: a call would begin with it and be refused."""
LOOK_SECONDS = 1.0
"""How often it is looked which secrets are not used any more."""
MAX_HELD = 2000
PREFIX = "playground-"
TAG = {"made-for": "playground"}
PAGE, PAGES = 200, 5
"""How much of a project's keys is looked through for old ones at a time; the next time goes on from there."""
BACKGROUND_SECONDS = 30.0
_ACTIVE, _EXPIRED = 1, 2
"""Numbers of `KeyStatus` in the contract."""


@dataclass(frozen=True)
class Held:
    """A key with its secret. `until` is wall time, `made_at` monotonic, both in seconds."""

    id: str
    secret: str = field(repr=False)
    until: float
    made_at: float


class SessionKeys:
    """What one process holds: of the sessions that used the playground last, at most `MAX_HELD`.

    `start` it, `close` it. Only a key that was made takes a place here; whoever is refused leaves nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks = Tasks()
        self._held: OrderedDict[tuple[str, str], Held] = OrderedDict()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._sweeping: set[tuple[str, str]] = set()
        self._reached: OrderedDict[tuple[str, str], str] = OrderedDict()
        """Where the next look for a person's old keys in a project begins, as a page's token."""

    def start(self) -> None:
        """Begins to forget what is over; inside the event loop."""
        self._tasks.keep(self._run, "playground-keys")

    async def close(self) -> None:
        """Ends the background work."""
        await self._tasks.close()

    async def get(self, visit: Visit, project: str) -> Held:
        """The session's key for a project, made unless there is one that still holds.

        The person's present rights are looked at before every use, so that who may not make keys there any more, or
        whose key was revoked, does not go on with it. Raises ApiError.
        """
        name = (str(visit.session.id), project)
        lock = self._locks.setdefault(name, asyncio.Lock())  # it lasts as long as somebody has or awaits it
        async with lock:
            held = self._held.get(name)
            if held is not None and await self._holds(visit, project, held):
                if name in self._held:
                    self._held.move_to_end(name)
                return held
            self._held.pop(name, None)
            made = self._held[name] = await self._make(visit, project)
            while len(self._held) > MAX_HELD:
                self._held.popitem(last=False)
        self._sweep_later(visit, project)
        return made

    def leave(self, visit: Visit) -> None:
        """Forgets the secrets of a session that is signed out, and has its keys revoked in the background."""
        names = [name for name in self._held if name[0] == str(visit.session.id)]
        if ended := [self._held.pop(name).id for name in names]:
            self._tasks.spawn(_end(visit, ended), "playground-sign-out")

    async def _run(self) -> None:
        while True:
            now = self._clock.now_ms() / 1000
            for name in [name for name, held in self._held.items() if held.until - now <= LEAST_SECONDS]:
                del self._held[name]
            await asyncio.sleep(LOOK_SECONDS)

    async def _holds(self, visit: Visit, project: str, held: Held) -> bool:
        """Whether the key works, and the person could make it now. Who could not is told so by making the next."""
        if held.until - visit.now.timestamp() <= LEAST_SECONDS:
            return False
        key, place = await visit.several(
            ("KeyService/GetKey", {"key": held.id}), ("ProjectService/GetProject", {"project": project})
        )
        if key is None or place is None or key.status != _ACTIVE:
            return False
        standing, me = await visit.standing(), visit.principal.name
        return standing.may("keys.create", unit=place.business_unit, project=place.name, owner=me)

    async def _make(self, visit: Visit, project: str) -> Held:
        until = visit.now + timedelta(seconds=SECONDS)
        fields = {
            "project": project,
            "name": f"{PREFIX}{secrets.token_hex(4)}",
            "tags": TAG,
            "expires_at": stamp(until),
            "user": _user(visit),
        }
        made = await visit.call("KeyService/CreateKey", fields, reason="a try in the playground")
        return Held(made.key.id, made.secret, until.timestamp(), self._clock.monotonic())

    def _sweep_later(self, visit: Visit, project: str) -> None:
        name = (visit.principal.name, project)
        if name not in self._sweeping:
            self._sweeping.add(name)
            self._tasks.spawn(self._sweep(visit, project, name), "playground-sweep")

    async def _sweep(self, visit: Visit, project: str, name: tuple[str, str]) -> None:
        """Revokes the person's expired keys of earlier tries, so that they stand in no list.

        It may fail: they are dead. A listing begins with the oldest keys, of which large projects have many.
        """
        try:
            async with asyncio.timeout(BACKGROUND_SECONDS):
                for _ in range(PAGES):
                    asked = {"project": project, "page_size": PAGE, "page_token": self._reached.pop(name, "")}
                    found = await visit.call("KeyService/ListKeys", asked)
                    if found.next_page_token:
                        self._reached[name] = found.next_page_token
                    await _revoke(visit, [key.id for key in found.keys if _is_over(key, _user(visit))])
                    if not found.next_page_token:
                        return
        except (ApiError, TimeoutError) as error:
            _log.warning(
                "expired keys of the playground are still in the lists",
                project=project,
                error=str(error) or "it takes too long",
            )
        finally:
            self._sweeping.discard(name)
            while len(self._reached) > MAX_HELD:
                self._reached.popitem(last=False)


def _user(visit: Visit) -> str:
    return "" if visit.principal.kind == "bootstrap" else visit.principal.name


def _is_over(key: Any, user: str) -> bool:
    ours = key.name.startswith(PREFIX) and TAG.items() <= dict(key.tags).items()
    return ours and key.status == _EXPIRED and key.user == user


async def _revoke(visit: Visit, keys: Iterable[str]) -> None:
    for key in keys:
        await visit.call("KeyService/RevokeKey", {"key": key}, reason="its try in the playground is over")


async def _end(visit: Visit, keys: Iterable[str]) -> None:
    """Revokes keys of which nobody has the secret any more. It may fail: they expire."""
    try:
        await _revoke(visit, keys)
    except ApiError as error:
        _log.warning("keys of the playground last until they expire", error=error.message)
