"""The chain of the audit log: the one form of an entry, its hash and its seal, and the check of entries in order. Pure.

The hash (SHA-256) covers an entry and the hash of the one before it, so anybody can recompute it from an export. The
seal (HMAC-SHA-256 of the hash) needs a key that is in no database: who can write to the database and no more can make
new hashes, but no new seals. docs/guide/audit.md tells what that proves.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

FIRST = bytes(32)
"""Stands for the hash before the first entry's."""
FORM = "tollway audit 1"
MAX_PROBLEMS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARK = b"tollway audit unproven"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says. `before` and `after` are JSON texts as the database writes them, or empty."""

    organisation: str
    seq: int
    id: UUID
    at: datetime
    actor: str
    actor_kind: str
    actor_id: str
    method: str
    action: str
    resource: str
    reason: str
    source: str
    agent: str
    transport: str
    request_id: str
    before: str
    after: str


class Link(Content, frozen=True, kw_only=True):
    """An entry as it is stored. `seal` None: nobody with the key wrote it."""

    hash: bytes
    seal: bytes | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chain ends, and up to where entries without a seal are accepted (`unproven_to`, sealed itself).

    `last` is the highest number among the entries; `unproven_hash` the hash of the entry `unproven_to`.
    """

    organisation: str
    seq: int
    hash: bytes
    at: datetime
    last: int
    unproven_to: int
    unproven_until: datetime | None = None
    unproven_seal: bytes | None = None
    unproven_hash: bytes | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong at `seq`; `id` is the entry's, where there is one."""

    kind: str
    seq: int
    id: str = ""
    detail: str


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _joined(fields: Iterable[str]) -> bytes:
    parts = [field.encode() for field in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def digest(prior: bytes, entry: Content) -> bytes:
    """The hash of an entry that comes after one with the hash `prior`. The database has the same as `audit_hash`."""
    e = entry
    fields = (
        FORM, e.organisation, str(e.seq), str(e.id), str(_microseconds(e.at)), e.actor, e.actor_kind, e.actor_id,
        e.method, e.action, e.resource, e.reason, e.source, e.agent, e.transport, e.request_id, e.before, e.after,
    )  # fmt: skip
    return hashlib.sha256(prior + _joined(fields)).digest()


def seal(key: bytes, entry_hash: bytes) -> bytes:
    """The seal of an entry with that hash."""
    return hmac.digest(key, entry_hash, "sha256")


def mark(key: bytes, organisation: str, unproven_to: int, entry_hash: bytes, until: datetime) -> bytes:
    """The seal of "entries up to `unproven_to`, which has that hash, need none"."""
    fields = (organisation, str(unproven_to), entry_hash.hex(), str(_microseconds(until)))
    return hmac.digest(key, _MARK + _joined(fields), "sha256")


def marked(key: bytes, head: Head) -> bool:
    """Whether somebody with the key has said up to where entries need no seal, be it that none is without."""
    found = FIRST if head.unproven_to == 0 else head.unproven_hash
    if head.unproven_until is None or head.unproven_seal is None or found is None:
        return False
    expected = mark(key, head.organisation, head.unproven_to, found, head.unproven_until)
    return hmac.compare_digest(expected, head.unproven_seal)


def accepted_to(key: bytes, head: Head) -> int:
    """Up to which number entries need no seal; 0 when nobody with the key has said so."""
    return head.unproven_to if marked(key, head) else 0


class Verifier:
    """Checks entries one after the other; it remembers no more than the last of them, and the first problems."""

    def __init__(self, key: bytes, *, seq: int = 0, hash_: bytes = FIRST, accepted: int = 0) -> None:
        self._key = key
        self._accepted = accepted
        self.seq, self.hash = seq, hash_
        self.verified = self.unproven = self.found = 0
        self.problems: list[Problem] = []

    def problem(self, kind: str, seq: int, detail: str, identifier: UUID | None = None) -> None:
        """Notes a problem: counted always, kept while there are few."""
        self.found += 1
        if len(self.problems) < MAX_PROBLEMS:
            shown = str(identifier) if identifier is not None else ""
            self.problems.append(Problem(kind=kind, seq=seq, id=shown, detail=detail))

    def take(self, entry: Link) -> None:
        """The next entry by number."""
        if entry.seq != self.seq + 1:
            self.problem("missing", self.seq + 1, _missing(self.seq + 1, entry.seq - 1))
        elif digest(self.hash, entry) != entry.hash:
            self.problem(
                "changed", entry.seq, "its content, its place or the entry before it is not what was written", entry.id
            )
        if entry.seal is None:
            self.unproven += 1
            if entry.seq > self._accepted:
                self.problem("unsealed", entry.seq, "it was not written by a control plane", entry.id)
        elif not hmac.compare_digest(seal(self._key, entry.hash), entry.seal):
            self.problem("forged", entry.seq, "its seal was not made by a control plane for this hash", entry.id)
        self.seq, self.hash = entry.seq, entry.hash
        self.verified += 1

    def end(self, head: Head) -> None:
        """After the last entry up to the head: whether the head says the same, and has its mark."""
        if head.last and not marked(self._key, head):
            self.problem("unmarked", 1, "the mark that says which entries need no seal is gone, or was not made here")
        if head.last > head.seq:
            self.problem("head", head.seq + 1, f"the head was set back; there are entries up to {head.last}")
        if self.seq < head.seq:
            self.problem("truncated", self.seq + 1, _missing(self.seq + 1, head.seq))
        elif self.seq == head.seq and self.hash != head.hash:
            self.problem("head", head.seq, "the head of the chain has another hash than the last entry")


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
