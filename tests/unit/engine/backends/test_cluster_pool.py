"""The pool of a cluster: places go to whoever has least to do, and none is lost with those who gave up."""

from __future__ import annotations

import asyncio

import pytest
from rag_evals.evals.engine.backends.cluster.pool import Pool, PoolClosedError


class Member:
    def __init__(self, label):
        self.label = label

    async def evaluate(self, request, name):
        return request

    def kill(self):
        pass


A, B = Member("a"), Member("b")


async def test_the_idle_one_comes_first():
    pool = Pool()
    pool.add(A)
    pool.add(B)
    first = await pool.take("g", 2)
    second = await pool.take("g", 2)
    assert {first.member, second.member} == {A, B}
    pool.give_back(second)
    assert (await pool.take("g", 2)).member is second.member


async def test_the_one_that_is_ready_for_the_group_comes_first():
    pool = Pool()
    pool.add(A)
    pool.add(B)
    one, other = await pool.take("x", 1), await pool.take("y", 1)
    pool.give_back(one)
    pool.give_back(other)
    assert (await pool.take("y", 1)).member is other.member


async def test_who_waits_is_served_first_come_first_served():
    pool = Pool()
    waiting = [asyncio.ensure_future(pool.take("g", 1)) for _ in range(2)]
    await asyncio.sleep(0)
    pool.add(A)
    place = await waiting[0]
    assert not waiting[1].done()
    pool.give_back(place)
    assert (await waiting[1]).member is A
    waiting.append(asyncio.ensure_future(pool.take("g", 1)))
    await asyncio.sleep(0)
    assert not waiting[2].done()
    pool.add(B)
    assert (await waiting[2]).member is B


async def test_while_many_wait_each_has_one_more_at_hand():
    """So that none idles while an answer is on its way; the last ones go to whoever is free."""
    pool = Pool()
    waiting = [asyncio.ensure_future(pool.take("g", 1)) for _ in range(8)]
    await asyncio.sleep(0)
    pool.add(A)
    pool.add(B)
    await asyncio.sleep(0.01)
    assert [one.result().member for one in waiting[:4]] == [A, A, B, B]
    assert not any(one.done() for one in waiting[4:])


async def test_a_place_is_not_lost_with_one_who_gave_up():
    """Neither where it waited, nor where it was given the place at that moment."""
    pool = Pool()
    pool.add(A)
    held = await pool.take("g", 1)
    gone = asyncio.ensure_future(pool.take("g", 1))
    at_once = asyncio.ensure_future(pool.take("g", 1))
    await asyncio.sleep(0)
    gone.cancel()
    pool.give_back(held)
    at_once.cancel()
    await asyncio.gather(gone, at_once, return_exceptions=True)
    assert (await asyncio.wait_for(pool.take("g", 1), 1)).member is A


async def test_a_member_that_is_lost_gives_no_place_back():
    pool = Pool()
    pool.add(A)
    place = await pool.take("g", 1)
    assert pool.remove(A)
    assert not pool.remove(A)
    pool.give_back(place)
    assert (pool.members, pool.lost_in_a_row) == ([], 1)
    waiting = asyncio.ensure_future(pool.take("g", 1))
    await asyncio.sleep(0)
    pool.add(B)
    pool.give_back(await waiting, is_finished=True)
    assert (pool.finished, pool.lost_in_a_row) == (1, 0)


async def test_a_place_of_a_loop_that_was_given_up_is_given_back_once():
    """Its tasks end when it is free again, and by then others may have their places."""
    pool = Pool()
    pool.add(A)
    before = await pool.take("g", 1)
    pool.forget_waiting()
    held = await pool.take("g", 1)
    pool.give_back(before)
    waiting = asyncio.ensure_future(pool.take("g", 1))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    pool.give_back(held)
    assert (await asyncio.wait_for(waiting, 1)).member is A


async def test_nobody_waits_for_what_will_not_come():
    pool = Pool()
    waiting = asyncio.ensure_future(pool.take("g", 1))
    await asyncio.sleep(0)
    pool.fail(PoolClosedError("the cluster is gone"))
    with pytest.raises(PoolClosedError, match="the cluster is gone"):
        await waiting
    with pytest.raises(PoolClosedError, match="the cluster is gone"):
        await pool.take("g", 1)
