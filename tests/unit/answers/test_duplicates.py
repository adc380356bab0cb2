"""Duplicates: word for word, and nearly so."""

from __future__ import annotations

import random
import time

from rag_evals.evals.answers.duplicates import MOST_COMPARED, Wording, duplicates, wording_of

TEXT = (
    "The service is open from Monday to Friday between nine and five, and a person answers every call within "
    "minutes; outside of these hours a message can be left, which is answered on the next morning by mail or "
    "by telephone where a number was left, and in the order in which messages came in, whoever they are from."
)


def found(**answers: str) -> dict[str, str]:
    return duplicates({name: wording_of("When are you open?", answer) for name, answer in answers.items()})


def test_white_space_and_letter_case():
    """They are no difference; a sign is one for short texts, a word always."""
    assert found(a="Two of them.", b="two  OF\nthem.", c="Three of them.") == {"b": "a"}
    assert found(a="\ufb01ne", b="fine") == {"b": "a"}  # the ligature fi


def test_other_questions():
    """The same answer to another question is another one."""
    first, second = wording_of("Is it?", TEXT), wording_of("Was it so that they had it open again?", TEXT)
    assert duplicates({"a": first, "b": second}) == {}


def test_nearly_the_same():
    """A changed word in a long answer, or other punctuation."""
    assert found(a=TEXT, b=TEXT.replace("every call", "each call")) == {"b": "a"}
    assert found(a=TEXT, b=TEXT.replace(",", ";").replace("  ", " ")) == {"b": "a"}
    assert found(a=TEXT, b=TEXT[: len(TEXT) // 2]) == {}


def test_what_changes_the_meaning():
    """Numbers and negations do: such answers are two."""
    assert found(a=f"{TEXT} It costs 5 euros.", b=f"{TEXT} It costs 7 euros.") == {}
    assert found(a=TEXT, b=TEXT.replace("can be", "can not be")) == {}
    assert found(a=TEXT.replace("can be", "can't be"), b=TEXT) == {}


def test_the_same_whatever_the_order():
    """The first by id counts, and what is the same as one that does not is as the one that does."""
    near = TEXT.replace("every call", "each call")
    answers = {"a": TEXT, "b": near, "c": near.upper(), "d": TEXT.lower(), "e": "Other."}
    expected = {"b": "a", "c": "a", "d": "a"}
    assert found(**answers) == found(**dict(reversed(answers.items()))) == expected


def test_nothing_and_blanks():
    assert duplicates({}) == {}
    assert found(a="", b=" ", c=".") == {"b": "a", "c": "a"}


def test_many_texts_that_are_alike_a_little():
    """Each is compared with few others, so that twice as many take about twice the time."""
    rng = random.Random(0)
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}x" for n in range(600)]

    def wordings(count: int) -> dict[str, Wording]:
        shared = words[:40]
        return {f"{n:05}": wording_of("Q", " ".join(shared + rng.choices(words, k=12))) for n in range(count)}

    def seconds(count: int) -> float:
        every = wordings(count)
        start = time.process_time()
        duplicates(every)
        return time.process_time() - start

    assert MOST_COMPARED == 50
    small, large = seconds(1000), seconds(4000)
    assert large < 4 * small * 3 + 0.5
