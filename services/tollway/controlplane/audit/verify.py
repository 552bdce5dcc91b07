"""Recomputes the chain from the database, in pieces of bounded memory. Reads only."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from tollway.controlplane.audit import postgres
from tollway.controlplane.audit.chain import FIRST, Head, Verifier, accepted_to
from tollway.controlplane.audit.model import VerifyAuditRequest, VerifyAuditResponse
from tollway.controlplane.audit.sealing import seal_key
from tollway.controlplane.audit.service import present_head
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import page_start, page_token

LISTING = "audit-verify"
PIECE = 5_000
"""Entries that one call recomputes."""
ROWS = 200
"""Entries in memory at a time."""


class Place(NamedTuple):
    """Where a check goes on: after the entry with that number and hash."""

    seq: int
    hash: bytes


START = Place(0, FIRST)


async def verify_audit(call: Call, request: VerifyAuditRequest) -> VerifyAuditResponse:
    """One piece; the next goes on at its `next_page_token`. Raises ApiError."""
    head = await present_head(call.db)
    key = await seal_key(call.db, call.vault)
    verifier = Verifier(key, accepted=accepted_to(key, head))
    if request.page_token:
        place = _place(page_start(LISTING, request.page_token))
    else:
        place = await _begin(call.db, request.from_)
        await remembered(call.db, verifier, head)
        await _expected(call.db, verifier, request.expect, head)
    to = head.seq if request.to is None else min(await postgres.last_before(call.db, request.to), head.seq)
    verifier.seq, verifier.hash = place
    more = await take(call.db, verifier, to, PIECE)
    if not more and request.to is None:
        verifier.end(head)
    following = page_token(LISTING, f"{verifier.seq}:{verifier.hash.hex()}") if more else ""
    return VerifyAuditResponse(
        verified=verifier.verified,
        seq=verifier.seq,
        hash=verifier.hash.hex(),
        unproven=verifier.unproven,
        found=verifier.found,
        problems=verifier.problems,
        next_page_token=following,
    )


async def take(db: Database, verifier: Verifier, to: int, limit: int) -> bool:
    """Feeds the verifier up to `limit` entries up to the number `to`; whether there are more."""
    left = limit
    while left > 0:
        rows = await postgres.links(db, verifier.seq, to, min(ROWS, left))
        for row in rows:
            verifier.take(row)
        left -= len(rows)
        if len(rows) < ROWS and left > 0:
            return False
    return verifier.seq < to


async def _begin(db: Database, begin: datetime | None) -> Place:
    """Before the first entry of the period. Its predecessor's hash is taken as it stands."""
    if begin is None:
        return START
    first = await postgres.first_from(db, begin)
    if first == 1:
        return START
    before = first - 1 if first else await postgres.last_before(db, begin)
    if not before:
        return START
    known = await postgres.hash_at(db, before)
    # One that is gone is found by the gap before the first entry.
    return Place(before - 1, FIRST) if known is None else Place(before, known)


async def _expected(db: Database, verifier: Verifier, text: str, head: Head) -> None:
    """Whether the chain still has the head that was kept elsewhere."""
    if not text:
        return
    number, _, expected = text.partition(":")
    seq = int(number)
    if seq == 0 and bytes.fromhex(expected) == FIRST:
        return
    found = await postgres.hash_at(db, seq)
    if found is None:
        kind = "truncated" if seq > head.seq else "missing"
        verifier.problem(kind, seq, f"the kept head names entry {seq}, which is gone; the chain ends at {head.seq}")
    elif found.hex() != expected:
        verifier.problem("rewritten", seq, "the kept head has another hash: entries up to here were written anew")


async def remembered(db: Database, verifier: Verifier, head: Head, *places: Place) -> None:
    """Whether the chain still goes through where the checks that run by themselves were, and through `places`."""
    rows = [await postgres.last_check(db, whole=False), await postgres.last_sound(db)]
    known = {Place(row.to_seq, row.hash) for row in rows if row is not None}
    for seen in sorted((known | set(places)) - {START}):
        found = await postgres.hash_at(db, seen.seq)
        if found is None:
            verifier.problem("truncated", seen.seq, f"entry {seen.seq} was there; now the chain ends at {head.seq}")
        elif found != seen.hash:
            verifier.problem("rewritten", seen.seq, "it had another hash: entries up to here were written anew")


def _place(text: str) -> Place:
    number, _, known = text.partition(":")
    try:
        found = bytes.fromhex(known)
    except ValueError:
        found = b""
    if not (number.isascii() and number.isdigit() and len(number) <= 18) or len(found) != len(FIRST):
        raise ApiError(ApiCode.INVALID, "page_token is not one of this method", field="page_token")
    return Place(int(number), found)
