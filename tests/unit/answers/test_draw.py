"""A drawn sample: how many of each stratum, and which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rag_evals.evals.answers.draw import allocated, draw
from rag_evals.evals.base.drawn import Drawn


@pytest.mark.parametrize(
    ("sizes", "size", "counts"),
    [
        ({"a": 90, "b": 10}, 10, {"a": 9, "b": 1}),
        ({"a": 50, "b": 30, "c": 20}, 7, {"a": 4, "b": 2, "c": 1}),  # 3.5, 2.1, 1.4: the remainder of a
        ({"a": 980, "b": 15, "c": 3, "d": 2}, 10, {"a": 7, "b": 1, "c": 1, "d": 1}),
        ({"a": 2, "b": 2, "c": 2}, 2, {"a": 1, "b": 1, "c": 0}),
        ({"a": 3, "b": 1}, 9, {"a": 3, "b": 1}),
        ({"a": 1, "b": 1}, 1, {"a": 1, "b": 0}),
    ],
)
def test_allocation(sizes, size, counts):
    """In proportion, by largest remainders, at least one of each where there is room."""
    assert allocated(sizes, size) == counts


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=1), st.integers(1, 200))
def test_allocations_add_up(sizes, size):
    """Never more than there are, all in all so many, and each stratum once there is room for it."""
    counts = allocated(sizes, size)
    assert sum(counts.values()) == min(size, sum(sizes.values()))
    assert all(0 <= counts[name] <= sizes[name] for name in sizes)
    assert size < len(sizes) or all(counts.values())


def test_what_is_drawn():
    """The seed and the ids decide, and nothing else; each says what it was drawn from."""
    strata = {f"q{n}": "a" if n < 80 else "b" for n in range(100)}
    first = draw(strata, 10, seed=3)
    assert draw(dict(reversed(strata.items())), 10, seed=3) == first
    assert draw(strata, 10, seed=4) != first
    assert (
        sorted(first.values(), key=lambda one: one.stratum)
        == [Drawn("a", 80, 8)] * 8 + [Drawn("b", 20, 2)] * 2
    )


def test_a_larger_sample_has_what_a_smaller_one_has():
    """So that what was judged of it need not be judged again."""
    strata = {f"q{n}": "" for n in range(100)}
    assert draw(strata, 10, seed=0).keys() < draw(strata, 20, seed=0).keys()


def test_strata_without_any():
    """Where there are more strata than are drawn, what is drawn stands for all of them."""
    found = draw({f"q{n}": f"s{n}" for n in range(10)}, 4, seed=0)
    assert list(found.values()) == [Drawn("", 10, 4)] * 4
