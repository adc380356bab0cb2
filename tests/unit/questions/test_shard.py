"""Shards: every question in exactly one, the same everywhere."""

from __future__ import annotations

import re

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.questions.shard import Shard, parse_shard

IDS = [f"question-{n}" for n in range(2000)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 100])
def test_every_question_is_in_exactly_one_shard(count):
    """The shards are disjoint and make up the whole, also with more shards than questions."""
    shards = [Shard(index, count) for index in range(1, count + 1)]
    for question_id in (*IDS[:200], "", "ünï-大-🦜", "caf\udce9"):
        assert sum(shard.holds(question_id) for shard in shards) == 1


def test_shards_are_the_same_on_every_machine():
    """Known values: another hash, or one with a random seed, would tear running shards apart."""
    held = {index: [i for i in IDS[:12] if Shard(index, 3).holds(i)] for index in (1, 2, 3)}
    assert held == {
        1: ["question-0", "question-1", "question-8", "question-9"],
        2: ["question-2", "question-3", "question-4", "question-6", "question-7", "question-10"],
        3: ["question-5", "question-11"],
    }


@pytest.mark.parametrize("count", [2, 5, 8])
def test_shards_are_balanced(count):
    """No shard has much more to do than another."""
    sizes = [sum(map(Shard(index, count).holds, IDS)) for index in range(1, count + 1)]
    assert sum(sizes) == len(IDS)
    assert max(abs(size - len(IDS) / count) for size in sizes) < 0.25 * len(IDS) / count


def test_adding_questions_moves_none():
    """What holds a question depends on its id alone."""
    before = [i for i in IDS[:100] if Shard(2, 5).holds(i)]
    after = [i for i in IDS if Shard(2, 5).holds(i)]
    assert after[: len(before)] == before


@pytest.mark.parametrize(
    ("text", "shard"), [("2/5", Shard(2, 5)), ("1/1", Shard(1, 1)), (" 3 / 12 ", Shard(3, 12))]
)
def test_parse(text, shard):
    assert parse_shard(text) == shard


def test_a_shard_reads_as_it_is_written():
    assert str(Shard(2, 5)) == "2/5"


EXAMPLE = "write INDEX/COUNT, such as 2/5 for the second of five shards"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/5", "shard '0/5': shards of 5 are numbered 1 to 5"),
        ("6/5", "shard '6/5': shards of 5 are numbered 1 to 5"),
        ("1/0", f"shard '1/0': there is no shard of none: {EXAMPLE}"),
        ("a/b", f"shard 'a/b': 'a' is not a whole number: {EXAMPLE}"),
        ("1/b", f"shard '1/b': 'b' is not a whole number: {EXAMPLE}"),
        ("1/2/3", f"shard '1/2/3': '2/3' is not a whole number: {EXAMPLE}"),
        ("-1/5", f"shard '-1/5': '-1' is not a whole number: {EXAMPLE}"),
        ("1.5/5", f"shard '1.5/5': '1.5' is not a whole number: {EXAMPLE}"),
        ("²/5", f"shard '²/5': '²' is not a whole number: {EXAMPLE}"),
        ("/5", f"shard '/5': '' is not a whole number: {EXAMPLE}"),
        ("2", f"shard '2' does not say of how many: {EXAMPLE}"),
        ("", f"shard '' does not say of how many: {EXAMPLE}"),
    ],
)
def test_wrong_shards(text, message):
    """What is wrong is named, and what is right is shown."""
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        parse_shard(text)
