"""The time that is left for a question: nested, and seen in the threads that work on it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from rag_evals.rag.llm.deadline import deadline, remaining


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
