"""Kept beginnings of prompts: what is worth keeping, what is found again, what is given up."""

from __future__ import annotations

import pytest
from rag_evals.rag.llm.local.kept_prefixes import Prefixes, Saved, TokenBlock, common, length_of

HEAD = tuple(range(20))
FIRST, SECOND, THIRD = (tuple(range(n, n + 100)) for n in (1000, 2000, 3000))
LONG = tuple(range(5000, 5400))
QUESTION, TAIL = (7,) * 20, (8,) * 20


def filled(*beginnings: tuple[TokenBlock, ...], most_tokens: int = 1000) -> Prefixes:
    prefixes = Prefixes(most_tokens)
    for beginning in beginnings:
        prefixes.keep(Saved(beginning, None))
    return prefixes


def found(prefixes: Prefixes, *blocks: TokenBlock, beyond: int = 0) -> tuple[TokenBlock, ...] | None:
    saved = prefixes.longest(blocks, beyond=beyond)
    return saved.blocks if saved else None


def test_equal_blocks_are_counted_from_the_start():
    """Blocks count as common until the first that differs, though later ones are equal again."""
    assert common([HEAD, FIRST, SECOND], [HEAD, THIRD, SECOND]) == 1
    assert common([HEAD], [HEAD, FIRST]) == 1
    assert common([], [HEAD]) == 0
    assert length_of([HEAD, FIRST]) == 120


def test_the_longest_beginning_is_found():
    """Of all that is kept, what shares most with the prompt is given, though it goes on differently."""
    prefixes = filled((HEAD, FIRST), (HEAD, SECOND, THIRD), (HEAD, QUESTION))
    assert found(prefixes, HEAD, SECOND, FIRST, QUESTION) == (HEAD, SECOND, THIRD)
    assert found(prefixes, HEAD, FIRST, QUESTION) == (HEAD, FIRST)


def test_what_the_cache_holds_itself_is_not_taken():
    """Only what shares more than stays in the cache is worth copying back."""
    prefixes = filled((HEAD, FIRST))
    assert found(prefixes, HEAD, FIRST, SECOND, beyond=1) == (HEAD, FIRST)
    assert found(prefixes, HEAD, FIRST, SECOND, beyond=2) is None
    assert found(prefixes, SECOND) is None
    assert found(Prefixes(1000), HEAD) is None


def test_the_last_block_is_never_kept():
    """No other prompt goes on from the end of one: its last block ends in the template's tail."""
    assert filled().worth_saving([HEAD, FIRST, TAIL], beyond=0) == (HEAD, FIRST)
    assert filled().worth_saving([], beyond=0) == ()


@pytest.mark.parametrize(
    ("cached", "kept"),
    [
        ([HEAD, FIRST, SECOND, THIRD, TAIL], (HEAD, FIRST, SECOND, THIRD)),
        ([HEAD, FIRST, SECOND, THIRD, QUESTION, QUESTION, TAIL], (HEAD, FIRST, SECOND, THIRD, QUESTION)),
        ([HEAD, LONG, FIRST, TAIL], (HEAD, LONG)),
    ],
)
def test_long_prompts_are_kept_up_to_a_border(cached, kept):
    """Beginnings end at the last border within 350 tokens; the head and one part are kept in any case."""
    assert filled().worth_saving(cached, beyond=1) == kept


def test_what_stays_in_the_cache_is_not_saved():
    """Nothing is saved where the cache goes on from the same beginning, or drops a few tokens of it."""
    few = (1, 2, 3, 4, 5, 6, 7)
    assert filled().worth_saving([HEAD, FIRST, TAIL], beyond=2) == ()
    assert filled().worth_saving([HEAD, few, TAIL], beyond=1) == ()
    assert filled().worth_saving([HEAD, (*few, 8), TAIL], beyond=1) == (HEAD, (*few, 8))


def test_nothing_is_saved_twice():
    """A beginning of what is kept is kept."""
    prefixes = filled((HEAD, FIRST, SECOND))
    assert prefixes.worth_saving([HEAD, FIRST, TAIL], beyond=1) == ()
    assert prefixes.worth_saving([HEAD, FIRST, THIRD, TAIL], beyond=1) == (HEAD, FIRST, THIRD)


def test_a_longer_beginning_takes_the_place_of_a_shorter():
    """What begins alike and goes further serves both."""
    prefixes = filled((HEAD, FIRST), (HEAD, SECOND), (HEAD, FIRST, SECOND))
    assert prefixes.tokens == 340
    assert found(prefixes, HEAD, FIRST) == (HEAD, FIRST, SECOND)


def test_the_least_recently_used_is_given_up():
    """The bound holds, and what was looked up, or would have been saved again, outlives what was not."""
    prefixes = filled((HEAD, FIRST), (HEAD, SECOND), most_tokens=250)
    found(prefixes, HEAD, FIRST)
    prefixes.keep(Saved((HEAD, THIRD), None))
    assert prefixes.tokens == 240
    assert found(prefixes, HEAD, SECOND, beyond=1) is None
    assert found(prefixes, HEAD, FIRST, beyond=1) == (HEAD, FIRST)
    prefixes.worth_saving([HEAD, THIRD, TAIL], beyond=1)
    prefixes.keep(Saved((HEAD, SECOND), None))
    assert found(prefixes, HEAD, FIRST, beyond=1) is None
    assert found(prefixes, HEAD, THIRD, beyond=1) == (HEAD, THIRD)


def test_nothing_is_kept_without_room():
    """0 keeps nothing, and what is longer than all of the room drives out nothing else."""
    assert Prefixes(0).worth_saving([HEAD, FIRST, TAIL], beyond=0) == ()
    assert filled(most_tokens=100).worth_saving([HEAD, FIRST, TAIL], beyond=0) == ()
