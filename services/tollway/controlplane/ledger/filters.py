"""Which rows a report looks at, and what their groups are called. Reads only.

The ledger holds ids (they never change); people say names. What is archived, revoked or gone is still found and shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from tollway.controlplane.access.reach import both, ledger_ids
from tollway.controlplane.call import ApiCode, ApiError, Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid

_sql = Statements(__package__ or "")
NAMED = {
    "project": "project_names",
    "key": "key_names",
    "business_unit": "business_unit_names",
    "provider": "provider_names",
}
"""Dimensions whose groups are ids, with the statement that names them."""
_FIRST = datetime(1970, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


class _Name(msgspec.Struct):
    id: str
    name: str
    ended: bool
    mark: str


class _Named(msgspec.Struct):
    id: str
    ended: bool = False


class Names(msgspec.Struct, frozen=True):
    """Names by id; an id without a name is shown as it is."""

    by_id: dict[str, str]

    def of(self, identifier: str) -> str:
        """The name, else the id."""
        return self.by_id.get(identifier, identifier)


async def names(db: Database, dimension: str, identifiers: Iterable[str]) -> Names:
    """The names of what `identifiers` mean in a dimension of `NAMED`.

    When two share a name, the ones that ended (archived, revoked) carry their id, or the key's public id, behind it.
    """
    ids = [found for text in set(identifiers) if (found := as_uuid(text)) is not None]
    found_names = await _sql.all(db, NAMED[dimension], _Name, ids=ids)
    uses = Counter(found.name for found in found_names)
    shown = {
        found.id: f"{found.name} ({found.mark})" if found.ended and uses[found.name] > 1 else found.name
        for found in found_names
    }
    return Names(shown)


async def selection(
    db: Database,
    begin: datetime | None,
    end: datetime | None,
    project: str,
    key: str,
    model: str,
    reach: Reach | None = None,
) -> dict[str, Any]:
    """The parameters that every report statement takes, narrowed to a reach. Raises ApiError for what cannot be meant.

    Days bound the partitions that are opened: an id's day can differ from the day of the call by a clock's error.
    """
    begin = max(begin or _FIRST, _FIRST)
    end = min(end or _LAST, _LAST)
    if end < begin:
        raise ApiError(ApiCode.INVALID, "the period ends before it begins", field="to")
    first_day, last_day = _day(begin) - timedelta(days=1), _day(end) + timedelta(days=1)
    for field, text in (("project", project), ("key", key), ("model", model)):
        if "\0" in text:
            raise ApiError(ApiCode.INVALID, "has a NUL character", field=field)
    projects, keys = await ledger_ids(db, reach, project)
    return {
        "begin": begin,
        "end": end,
        "first_day": first_day,
        "last_day": last_day,
        "projects": both(await _projects(db, project) if project else None, projects),
        "keys": both(await _keys(db, key) if key else None, keys),
        "model": model or None,
    }


async def _projects(db: Database, text: str) -> list[str]:
    """A project by id or name; of namesakes the one in use, else the archived ones."""
    found = await _sql.all(db, "projects_named", _Named, text=text)
    present = [project.id for project in found if not project.ended]
    return [text, *(present or [project.id for project in found])]


async def units(db: Database, text: str) -> list[str] | None:
    """What the ledger calls a business unit that is given by id or name; None: any. Raises ApiError."""
    if "\0" in text:
        raise ApiError(ApiCode.INVALID, "has a NUL character", field="business_unit")
    if not text:
        return None
    found = await _sql.all(db, "units_named", _Named, text=text)
    present = [unit.id for unit in found if not unit.ended]
    return [text, *(present or [unit.id for unit in found])]


async def _keys(db: Database, text: str) -> list[str]:
    """A key by id, public id or "<project>/<name>"."""
    project, _, name = text.partition("/")
    found = await _sql.all(db, "keys_named", _Named, text=text, project=project, key=name)
    if not found:
        found = await _sql.all(db, "keys_in_ledger", _Named, text=text)
    return [text, *(key.id for key in found)]


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
