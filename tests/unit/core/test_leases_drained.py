"""Near the limit: slices shrink to single requests, nothing is left lying about, and odd numbers change nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.leases import SHARE, Account, Ask, Pool
from tollway.testkit.lease_machine import GIVEN_BACK_AFTER, Request, World

HUGE = 2**53 - 1


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    limit=st.integers(0, 2000),
    amount=st.integers(1, 60),
    processes=st.integers(1, 12),
    floor=st.integers(0, 50),
)
def test_whoever_waits_gets_all_that_is_left(
    data: st.DataObject, limit: int, amount: int, processes: int, floor: int
) -> None:
    world = World([limit])
    holders = [world.start(floor) for _ in range(processes)]
    draw = data.draw
    # A past in which some hold in advance what others need now.
    for number, past in draw(st.lists(st.tuples(st.integers(0, processes - 1), st.integers(1, 60)), max_size=25)):
        who = holders[number]
        who.want(Request((0,), past))
        world.exchange(who, 0)
        who.admit()
        if who.running and past % 2:
            who.settle(who.running[0], draw(st.integers(0, who.running[0].amount)))
    for holder in holders:
        for request in list(holder.waiting):
            holder.give_up(request)
        for request in list(holder.running):
            holder.settle(request, request.amount)
    spent = world.spent(0)
    waiters = draw(st.lists(st.sampled_from(holders), min_size=1, max_size=processes, unique=True))
    for waiter in waiters:
        for _ in range(limit // amount + 1):
            waiter.want(Request((0,), amount))
    order = draw(st.permutations(holders))
    for _ in range(GIVEN_BACK_AFTER):
        for holder in order:
            world.exchange(holder, 0)
            holder.admit()
    assert sum(len(holder.running) for holder in holders) == (limit - spent) // amount


@given(
    limit=st.integers(1, HUGE),
    used=st.integers(0, HUGE),
    want=st.integers(0, HUGE),
    extra=st.integers(0, HUGE),
    unit=st.integers(1, HUGE),
    floor=st.integers(0, 10**6),
    holders=st.integers(1, 500),
)
def test_a_grant_is_what_is_waited_for_and_a_share_of_the_rest(
    limit: int, used: int, want: int, extra: int, unit: int, floor: int, holders: int
) -> None:
    pool = Pool(spent=used)
    told = pool.answer("h", Ask(1, 0, 0, unit, want, extra, floor), limit, holders)
    free = limit - used
    waited = min(want, free) if free >= unit else 0
    assert told.tight == (free - waited < holders * floor)
    share = 0 if told.tight else max(0, free - waited) // (SHARE * holders)
    assert told.granted == waited + min(extra, share)
    assert told.free == free - told.granted


def test_nothing_is_granted_below_the_least_that_is_of_use() -> None:
    pool = Pool(spent=95)
    assert pool.answer("h", Ask(1, 0, 0, unit=6, want=12), 100, 1).granted == 0
    assert pool.answer("h", Ask(2, 0, 0, unit=5, want=12), 100, 1).granted == 5


def test_a_holder_alone_comes_to_hold_what_it_needs_between_two_asks() -> None:
    pool, account = Pool(), Account(8)
    asked = 0
    for _ in range(50):
        for _ in range(10):
            if not account.take(7):
                account.waiting.append(7)
                account.told(pool.answer("h", account.ask(), 10**6, 1))
                account.waiting.remove(7)
                asked += 1
                assert account.take(7)
            account.settle(7, 7)
        account.told(pool.answer("h", account.ask(), 10**6, 1))
    assert asked <= 5  # of 500: afterwards no request waited for an answer


def test_what_is_not_needed_is_given_back_while_others_wait() -> None:
    pool, rich, poor = Pool(), Account(0), Account(0)
    for _ in range(5):
        rich.waiting.append(100)
        rich.told(pool.answer("rich", rich.ask(), 1000, 2))
        rich.waiting.clear()
        assert rich.take(100)
        rich.settle(100, 0)
    assert rich.free > 0
    for _ in range(GIVEN_BACK_AFTER - 1):
        rich.told(pool.answer("rich", rich.ask(), 1000, 2))
        poor.waiting = [1000]
        poor.told(pool.answer("poor", poor.ask(), 1000, 2))
        if poor.take(1000):
            break
    assert poor.reserved == 1000


@given(spent=st.integers(0, HUGE), held=st.integers(0, HUGE), more=st.integers(0, HUGE), late=st.integers(1, HUGE))
def test_a_dead_holder_counts_for_what_it_spent_or_for_all_that_it_held(
    spent: int, held: int, more: int, late: int
) -> None:
    for total, booked in ((None, spent + held), (spent + more, spent + more), (max(0, spent - late), spent)):
        pool = Pool()
        pool.answer("other", Ask(1, 5, 7), HUGE, 2)
        pool.answer("dead", Ask(1, spent, held), HUGE, 2)
        for _ in range(2):
            pool.close("dead", total)
            assert (pool.spent, pool.held) == (5 + booked, 7)
