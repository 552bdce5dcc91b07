"""What every installation has before its first request: an epoch, an organisation, a business unit."""

from __future__ import annotations

import os

import uuid_utils.compat

from tollway.controlplane.db.statements import Database, Statements

ORGANISATION = "default"
_sql = Statements(__package__ or "")


async def ensure_installation(db: Database) -> None:
    """Creates what is missing; run again, or by two processes at once, it changes nothing."""
    await _sql.run(db, "create_installation", epoch=os.urandom(8).hex())
    await _sql.run(db, "create_organisation", id=uuid_utils.compat.uuid7(), name=ORGANISATION)
    await _sql.run(db, "create_default_unit", id=uuid_utils.compat.uuid7(), organisation=ORGANISATION)
