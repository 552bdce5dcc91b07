"""The arithmetic of shared counts: one pool, many holders, and never more given out than the limit.

A pool knows what was spent and what its holders hold; a holder takes from what it holds without asking anybody, and
tells the pool later. What a holder holds counts as spent for everyone else, so

    spent + held by all <= limit

whenever something is granted, whatever is lost, late, repeated or dead. Amounts are integers: nano-dollars, requests,
tokens, or places of requests under way. Pure; the store's script (`tollway.dataplane.admission.scripts`) does what
`Pool` does, and the same tests run on both.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

SHARE = 4
"""Beyond what is waited for, a holder gets at most a share of what is free: one SHARE-th, divided by the holders."""


class Ask(NamedTuple):
    """What a holder tells and wants. `spent` is all it ever spent of the account, `held` what it keeps beside that.

    `want` is waited for: nothing is granted below `unit`, the least that is of use. `extra` would save asking again. A
    free rest below `floor` for each holder is not handed out in advance. `seq` rises with every ask: an older one that
    arrives late is ignored.
    """

    seq: int
    spent: int
    held: int
    unit: int = 1
    want: int = 0
    extra: int = 0
    floor: int = 0


class Told(NamedTuple):
    """The pool's answer: what is added to the holding, and how the pool is after it.

    `tight`: the rest is too small to be held in advance. `known` False: what was used before is not known yet, so
    nothing is granted. `stale`: the ask came too late and was ignored.
    """

    granted: int
    spent: int
    held: int
    limit: int
    tight: bool
    known: bool = True
    stale: bool = False

    @property
    def free(self) -> int:
        """What is neither spent nor held; below zero after something cost more than was reserved."""
        return self.limit - self.spent - self.held


class Holding(msgspec.Struct):
    """What the pool knows of one holder."""

    seq: int = 0
    spent: int = 0
    held: int = 0


class Pool(msgspec.Struct):
    """The common account. `known`: what was spent before it was made is in `spent`."""

    spent: int = 0
    held: int = 0
    known: bool = True
    holders: dict[str, Holding] = {}

    def begin(self, spent_before: int) -> None:
        """Takes in what was spent before, once."""
        if not self.known:
            self.known = True
            self.spent += spent_before

    def answer(self, holder: str, ask: Ask, limit: int, holders: int) -> Told:
        """Takes in what a holder tells and grants what may be granted. `holders` is how many there are."""
        mine = self.holders.setdefault(holder, Holding())
        if ask.seq <= mine.seq:
            return Told(0, self.spent, self.held, limit, tight=True, known=self.known, stale=True)
        self.spent += ask.spent - mine.spent
        self.held += ask.held - mine.held
        free = limit - self.spent - self.held
        granted = 0
        if self.known and ask.want > 0 and free >= ask.unit:
            granted = min(ask.want, free)
            free -= granted
        tight = free < holders * ask.floor
        if self.known and not tight and ask.extra > 0:
            more = max(0, min(ask.extra, free // (SHARE * holders)))
            granted += more
        self.held += granted
        self.holders[holder] = Holding(ask.seq, ask.spent, ask.held + granted)
        return Told(granted, self.spent, self.held, limit, tight, self.known)

    def close(self, holder: str, spent: int | None) -> None:
        """A holder is gone: `spent` is all that it ever spent; None: unknown, so all that it held counts as spent."""
        mine = self.holders.pop(holder, None)
        if mine is None:
            return
        final = mine.spent + mine.held if spent is None else max(spent, mine.spent)
        self.spent += final - mine.spent
        self.held -= mine.held


class Account:
    """A holder's side. `free` may be taken, `reserved` is taken and not settled, `spent` is settled for good."""

    __slots__ = (
        "_demand", "_seq", "_taken", "floor_units", "free", "reserved", "spent", "tight", "typical", "waiting",
    )  # fmt: skip

    def __init__(self, floor_units: int) -> None:
        """Nothing is held in advance while fewer than `floor_units` typical amounts are free for each holder."""
        self.free = 0
        self.reserved = 0
        self.spent = 0
        self.waiting: list[int] = []
        """Amounts of those that wait for a grant, in the order in which they came."""
        self.tight = True
        self.typical = 1
        self.floor_units = floor_units
        self._seq = 0
        self._taken = 0
        self._demand = 0

    def take(self, amount: int) -> bool:
        """Reserves `amount` when it is free."""
        if self.free < amount:
            return False
        self.free -= amount
        self.reserved += amount
        self._taken += amount
        self.typical = amount or 1
        return True

    def overdraw(self, amount: int) -> None:
        """Reserves `amount` that nobody granted: the pool learns of it with the next ask."""
        self.reserved += amount
        self._taken += amount

    def settle(self, reserved: int, spent: int) -> None:
        """A reservation is over. More may be spent than was reserved: the difference is taken from what is free."""
        self.reserved -= reserved
        self.spent += spent
        self.free += reserved - spent

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting the account, once the pool knows what was spent."""
        return not (self.free or self.reserved or self.waiting)

    def ask(self) -> Ask:
        """What to tell the pool now. What is free and not needed soon is given back with it, at once."""
        self._demand = max(self._taken, self._demand * 3 // 4)
        self._taken = 0
        self._seq += 1
        want = sum(self.waiting)
        if self.waiting:
            # All goes back in the same step that asks for the whole: rests too small for anybody would pile up else.
            keep = 0
            self.typical = max(self.waiting)
        else:
            keep = 0 if self.tight else max(0, min(self.free, 2 * self._demand))
        self.free = keep  # below zero the pool learns of it by `spent` and `held`
        return Ask(
            seq=self._seq,
            spent=self.spent,
            held=self.reserved + keep,
            unit=min(self.waiting, default=1),
            want=want,
            extra=max(0, 2 * self._demand - keep),
            floor=self.floor_units * self.typical,
        )

    def told(self, told: Told) -> None:
        """Takes in the answer to the last ask."""
        if told.stale:
            return
        self.free += told.granted
        self.tight = told.tight

    def retire(self) -> None:
        """The next ask gives everything back."""
        self.tight = True
        self._taken = self._demand = 0

    def unanswered(self) -> None:
        """The last ask may or may not have reached the pool: what it granted is not ours."""
        self.tight = True
