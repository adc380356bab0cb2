"""Checks: what they may give, what they say of an answer, and whatever they raise."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.criteria.check import check_scores
from rag_evals.rag.answer import Tokens

from rag_evals import (
    Answer,
    Check,
    Question,
    Score,
    contains,
    json_schema,
    language,
    max_seconds,
    max_tokens,
    numbers_match,
    regex,
)

QUESTION = Question("q", "How many?", reference="Two of 8, 12.9B.")
GIVES = "a check gives True or False, a number from 0 to 1, or a Score"


def scored(check: Check, text: str = "Two of eight.", **answer) -> Score:
    (score,) = check_scores([check], QUESTION, Answer(text, **answer))
    return score


def given(value: object) -> Score:
    return scored(Check("mine", lambda question, answer: value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 1.0), (False, 0.0), (1, 1.0), (0.25, 0.25), (np.bool_(True), 1.0), (np.float32(0.5), 0.5)],
)
def test_values(value, expected):
    """What is a share is the score; numpy's scalars are."""
    assert given(value) == Score("mine", expected)
    assert isinstance(given(value).value, float)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (2.0, "2.0"),
        (-1, "-1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ("yes", '"yes" (str)'),
        ([1], "[1] (list)"),
        (Score("x", 2.0), "a Score of 2.0"),
        (Score("x", math.nan), "a Score of nan"),
        (Score("x", "1"), 'a Score of "1" (str)'),
    ],
)
def test_no_values(value, shown):
    """Anything else is unscored, with what it was."""
    assert given(value) == Score("mine", None, reason=f"check mine gave {shown}: {GIVES}")


def test_scores():
    """A Score keeps its evidence and reason; its name is the check's."""
    assert given(Score("other", 0.25, evidence="so")) == Score("mine", 0.25, evidence="so")
    assert given(Score("other", None, reason="why")) == Score("mine", None, reason="why")
    assert (
        given(Score("other", None)).reason == f"check mine gave a Score without a value or a reason: {GIVES}"
    )


class Outcome(BaseException):
    """As pytest.skip() raises."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), "ValueError: two lines"),
        (KeyError("price"), "KeyError: 'price'"),
        (AssertionError(), "AssertionError"),
        (SystemExit(3), "SystemExit: 3"),
        (Outcome("skipped"), "Outcome: skipped"),
        (OSError("https://me:hunter22@example.com"), "OSError: https://***@example.com"),
        (OSError("\x1b[31mred"), "OSError: \N{REPLACEMENT CHARACTER}[31mred"),
    ],
)
def test_what_is_raised(error, said):
    """It is the reason: one line, masked, nothing that drives a terminal."""

    def rule(question, answer):
        raise error

    assert scored(Check("mine", rule)) == Score("mine", None, reason=f"check mine raised {said}")


def test_applies_that_raises():
    """The metric is unscored, with that cause."""
    check = Check("mine", lambda question, answer: True, applies=lambda question: 1 / 0)
    reason = "applies of check mine raised ZeroDivisionError: division by zero"
    assert scored(check) == Score("mine", None, reason=reason)


def test_the_docstring_says_what_is_wrong():
    """Its first line, where nothing else is said, and only of what does not hold."""

    def rule(question, answer):
        """It is long.

        Very.
        """
        return len(answer.text) < 5

    assert scored(Check("mine", rule)).evidence == "It is long."
    assert scored(Check("mine", rule), "Two.").evidence is None
    assert scored(Check("mine", rule, breach="too long")).evidence == "too long"


def test_the_source_is_in_the_fingerprint():
    """Another function is another check."""
    one, two = Check("mine", lambda question, answer: True), Check("mine", lambda question, answer: False)
    assert one.fingerprint != two.fingerprint
    above = [
        Check("mine", lambda question, answer, least=least: len(answer.text) > least) for least in (1, 2)
    ]
    assert above[0].fingerprint != above[1].fingerprint
    assert [_closed(n).fingerprint == _closed(1).fingerprint for n in (1, 2)] == [True, False]
    assert [_partial(n).fingerprint == _partial(1).fingerprint for n in (1, 2)] == [True, False]
    assert contains("a").fingerprint != contains("b").fingerprint
    assert contains("a", name="x").fingerprint == contains("a").fingerprint


def _closed(least: int) -> Check:
    return Check("mine", lambda question, answer: len(answer.text) > least)


def _least(least: int, question: Question, answer: Answer) -> bool:
    return len(answer.text) > least


def _partial(least: int) -> Check:
    return Check("mine", partial(_least, least))


# --- the checks that are there ---


@pytest.mark.parametrize(
    ("check", "text", "value", "evidence"),
    [
        (contains("two of", "eight"), "Two\nof Eight.", 1.0, None),
        (contains("two of", "nine"), "Two of eight.", 0.0, 'not in the answer: "nine"'),
        (contains("two", matches_case=True), "Two of eight.", 0.0, 'not in the answer: "two"'),
        (regex(r"of (\w+)"), "Two of eight.", 1.0, None),
        (regex(r"of \d"), "Two of eight.", 0.0, r"nothing in the answer matches of \d"),
        (numbers_match(), "2 of eight, 12,900,000,000.", 1.0, None),
        (
            numbers_match(),
            "Two.",
            1 / 3,
            "not in the answer, of 3 in the reference: 8, 12.9B",
        ),
        (language("en"), "It costs twenty euros a month.", 1.0, None),
        (language("de"), "42", 1.0, None),
        (language("de"), "It costs what they say.", 0.0, "the answer is English, not German"),
    ],
)
def test_texts(check, text, value, evidence):
    """What holds has nothing to say; what does not says why."""
    score = scored(check, text)
    assert score.value == pytest.approx(value)
    assert (score.metric, score.evidence) == (check.name, evidence)


SCHEMA = {
    "type": "object",
    "properties": {"price": {"type": "number"}},
    "required": ["price"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ('{"price": 20}', None),
        ('```json\n{"price": 20}\n```\n', None),
        ('{"price": "x"}', "the answer does not fit the schema: $.price: 'x' is not of type 'number'"),
        ("{}", "the answer does not fit the schema: $: 'price' is a required property"),
        (
            "It is 20.",
            'the answer is no JSON (Expecting value: line 1 column 1 (char 0)): "It is 20."',
        ),
    ],
)
def test_json_schema(text, evidence, tmp_path):
    """A schema, or its file."""
    assert scored(json_schema(SCHEMA), text).evidence == evidence
    file = tmp_path / "schema.json"
    file.write_text(__import__("json").dumps(SCHEMA))
    assert scored(json_schema(file), text).evidence == evidence


def test_json_that_is_too_deep():
    """An answer that nests without end does not fit."""
    score = scored(json_schema({}), "[" * 100_000)
    assert score.value == 0.0


def test_a_schema_fetches_nothing():
    """What it refers to elsewhere is not looked up: that leaves the metric unscored."""
    score = scored(json_schema({"$ref": "http://127.0.0.1:9/schema.json"}), "{}")
    assert score.value is None
    assert score.reason.startswith("check json_schema raised _WrappedReferencingError: Unresolvable: http://")


def test_what_an_answer_took():
    """All stages together; of what nobody counted it is said."""
    assert scored(max_seconds(2), seconds={"retrieve": 1.0, "generate": 1.0}).value == 1.0
    slow = scored(max_seconds(2), seconds={"retrieve": 1.0, "generate": 1.5})
    assert slow == Score("max_seconds", 0.0, evidence="the answer took 2.5 s, at most 2 s")
    assert scored(max_seconds(2)).reason == "it is not known how long the answer took"
    long = scored(max_tokens(5), tokens={"generate": Tokens(100, 0, 6)})
    assert long == Score("max_tokens", 0.0, evidence="the answer has 6 tokens, at most 5")
    assert scored(max_tokens(5)).reason == "it is not known how many tokens the answer has"
    assert scored(max_tokens(5), "").value == 1.0


def test_what_they_are_asked_of():
    """Of content where there is some; of numbers where the reference has one; of form always."""
    declined = Question("q", "How many?", answerable=False)
    wordy = Question("q", "How many?", reference="A few.")
    for check in (contains("a"), regex("a"), numbers_match()):
        assert not check.is_for(declined)
    assert not numbers_match().is_for(wordy)
    assert numbers_match().is_for(QUESTION)
    for check in (max_seconds(1), max_tokens(1), language("de"), json_schema({}), Check("a", lambda q, a: 1)):
        assert check.is_for(declined)


async def later(question, answer):
    return True


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: contains(), "check contains: contains() says nothing: give the texts"),
        (lambda: contains("a", " "), 'check contains: contains("a", " ") says nothing: give the texts'),
        (
            lambda: regex("("),
            'check regex: "(" is no regular expression: missing ), unterminated subpattern at position 0',
        ),
        (lambda: max_seconds(0), "check max_seconds: at most 0: give a number above 0"),
        (lambda: max_tokens("9"), 'check max_tokens: at most "9": give a number above 0'),
        (
            lambda: json_schema({"type": "objekt"}),
            "check json_schema: no JSON Schema: $.type: 'objekt' is not valid under any of the given schemas",
        ),
        (lambda: json_schema("none.json"), "check json_schema: none.json: No such file or directory"),
        (lambda: Check("mine", 3), "check mine: its rule is a number: give a function"),
        (lambda: Check("mine", later), "check mine: its function is async: give a plain one"),
        (
            lambda: Check("mine", lambda q, a: True, threshold=2),
            "check mine: threshold = 2 is no number from 0 to 1",
        ),
        (
            lambda: Check("mine", lambda q, a: True, applies=True),
            "check mine: applies is true or false (true): give a function of the question, such as lambda "
            'question: "price" in question.tags',
        ),
    ],
)
def test_wrong_checks(make, said):
    """They are refused when they are made."""
    with pytest.raises(UsageError) as error:
        make()
    assert str(error.value) == said


def test_an_unknown_language():
    """Those that are told apart are named."""
    with pytest.raises(
        UsageError, match=r'^check language: unknown language "tlh": known are ar, cs, da, de'
    ):
        language("tlh")


def test_without_jsonschema(monkeypatch):
    """What to install is said."""
    monkeypatch.setitem(__import__("sys").modules, "jsonschema.exceptions", None)
    with pytest.raises(UsageError) as error:
        json_schema({})
    assert str(error.value) == (
        "check json_schema: the package jsonschema is not installed: pip install 'rag-evals[checks]'"
    )
