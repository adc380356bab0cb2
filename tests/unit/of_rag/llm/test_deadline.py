"""The time that is left for a question: nested, and seen in the threads that work on it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from rag_evals.rag.llm.deadline import current, deadline, remaining


def test_no_bound():
    """Outside of any bound, and inside of a bound of None, the time is unbounded."""
    assert remaining() is None
    with deadline(None):
        assert remaining() is None


def test_a_bound_ends_with_its_block():
    """Inside there are at most the seconds given, behind it there is no bound again."""
    with deadline(5):
        left = remaining()
        assert left is not None
        assert 4 < left <= 5
    assert remaining() is None


def test_a_bound_ends_with_an_error_too():
    """Whatever is raised inside, the next question starts without this one's bound."""
    with pytest.raises(KeyError), deadline(5):
        raise KeyError
    assert remaining() is None


@pytest.mark.parametrize(("outer", "inner"), [(5, 100), (100, 5), (5, None)])
def test_the_earlier_bound_counts(outer, inner):
    """A part gets no more time than the whole; behind the part the whole's bound is back."""
    with deadline(outer):
        with deadline(inner):
            left = remaining()
            assert left is not None
            assert 4 < left <= 5
        left = remaining()
        assert left is not None
        assert outer - 1 < left <= outer


@pytest.mark.parametrize("seconds", [0, -1])
def test_time_that_is_over(seconds):
    """What is left is never negative."""
    with deadline(seconds):
        assert remaining() == 0.0


async def test_worker_threads_know_it():
    """`asyncio.to_thread` carries the bound along; questions beside each other have their own."""

    async def left_in_a_thread(seconds: float | None) -> float | None:
        with deadline(seconds):
            return await asyncio.to_thread(remaining)

    short, long, none = await asyncio.gather(*map(left_in_a_thread, (5, 50, None)))
    assert short is not None
    assert long is not None
    assert (4 < short <= 5, 49 < long <= 50, none) == (True, True, None)


def test_a_thread_of_its_own_has_no_bound():
    """A thread that nobody gave the context to belongs to no question."""
    seen: list[float | None] = []
    with deadline(5):
        thread = threading.Thread(target=lambda: seen.append(remaining()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_wait_stops_the_clock():
    """Of the part and of the whole; waits beside each other count once, and each is told."""
    told: list[float] = []
    with deadline(5, on_wait=told.append) as whole, deadline(3) as part:
        with current().waiting(1), current().waiting(2):
            time.sleep(0.1)
            assert part.left == pytest.approx(3, abs=0.03)
        assert whole.left == pytest.approx(5, abs=0.03)
        time.sleep(0.1)
        assert part.left == pytest.approx(2.9, abs=0.03)
    assert told == [1, 2]


def test_the_end_of_all_is_not_moved():
    """A wait moves the question's end, not that of the run; it may take no longer than either."""
    with deadline(5, latest=time.monotonic() + 2) as bound:
        assert bound.longest_wait == pytest.approx(2, abs=0.05)
        with bound.waiting(1):
            time.sleep(0.1)
        assert bound.left == pytest.approx(1.9, abs=0.05)
    with deadline(5) as bound:
        assert bound.longest_wait == 5
    assert current().longest_wait is None
