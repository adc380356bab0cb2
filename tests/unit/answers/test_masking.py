"""What is masked in a line of a log, and how that is asked for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from rag_evals.evals.answers.lines import parse_logged
from rag_evals.evals.answers.logged_answer import LoggedAnswer
from rag_evals.evals.answers.masking import Mask, mask_line, masked_entry, parse_mask
from rag_evals.evals.base.errors import UsageError

ALL = Mask(("secrets", "emails", "phones"))


def plain(text: str, *words: str) -> str:
    return masked_entry({"question": text}, Mask(words))[0]["question"]


@pytest.mark.parametrize(
    "address",
    [
        *("a@b.de", "ada.lovelace+x@mail.example.co.uk", "o'hara@example.com", "USER_1@EXAMPLE.COM"),
        *("j\u00fcrgen@m\u00fcller.de", "a@xn--mller-kva.xn--p1ai", "a" * 64 + "@example.com"),
    ],
)
def test_addresses(address):
    """Every form of address, wherever it stands."""
    for before, after in (("", ""), ("<", ">"), ("mailto:", "?subject=x"), ("To ", ".")):
        assert plain(f"{before}{address}{after}", "emails") == f"{before}***{after}"


@pytest.mark.parametrize("text", ["@home", "a@b", "5 @ 3", "a @b.de", "@decorator.name", "price@10.5"])
def test_what_is_no_address(text):
    """A sign alone is none."""
    assert plain(text, "emails") == text


@pytest.mark.parametrize(
    "number",
    [
        *("+49 30 1234567", "+49-(0)30-123 45 67", "0049 30 1234567", "+14155552671", "(030) 123 4567"),
        *("030 1234567", "0151 23456789", "415-555-2671", "415.555.2671", "+44 20 7946 0958"),
    ],
)
def test_numbers_of_telephones(number):
    """International, national and American forms."""
    for before, after in (("", ""), ("Call ", "."), ("(", ")")):
        if not (before == "(" and number.startswith("(")):
            assert plain(f"{before}{number}{after}", "phones") == f"{before}***{after}"


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-29", "29.05.2024", "05/29/2024", "12:30:00", "1.234.567,89", "10,000,000", "1000000000"),
        *("0.123456789", "v1.0.234.5678", "3.14159265358979", "ISBN 9783161484100", "2026-03-01T12:00:00Z"),
        *("id-0151-23456789", "0x1234567890", "10 000 000", "00:00:00.000000"),
    ],
)
def test_what_is_no_number_of_a_telephone(text):
    """Dates, prices, versions and ids stay."""
    assert plain(text, "phones") == text


def test_all_of_a_line():
    """Every text of a line is masked, its metadata by the names in it as well; the counts are by word."""
    line: dict[str, Any] = {
        "id": "a-1",
        "question": "Is a@b.de there?",
        "answer": "Call +49 30 1234567.",
        "contexts": ["a@b.de", {"text": "sk-aaaaaaaaaaaaaaaaaaaaaaaa", "page": 2}],
        "history": [{"role": "user", "content": "I am a@b.de"}],
        "time": "2026-03-01T12:00:00Z",
        "trace": "t-1",
        "seconds": 0.5,
        "metadata": {"user": "a@b.de", "api_key": "abc", "n": 3},
    }
    assert masked_entry(line, ALL) == (
        {
            "id": "a-1",
            "question": "Is *** there?",
            "answer": "Call ***.",
            "contexts": ["***", {"text": "***", "page": 2}],
            "history": [{"role": "user", "content": "I am ***"}],
            "time": "2026-03-01T12:00:00Z",
            "trace": "t-1",
            "seconds": 0.5,
            "metadata": {"user": "***", "api_key": "***", "n": 3},
        },
        Counter({"emails": 4, "secrets": 2, "phones": 1}),
    )


def test_an_id_that_is_an_address():
    """Such an id is left out, and such a trace is masked: another id is made of what is left."""
    line = {"id": "a@b.de", "question": "Why?", "answer": "So.", "trace": "a@b.de"}
    assert masked_entry(line, ALL)[0] == {"question": "Why?", "answer": "So.", "trace": "***"}


def test_a_logged_answer():
    """A logged answer is masked in the same way."""
    line = {"id": "one", "question": "Is a@b.de there?", "answer": "a@b.de is."}
    masked = parse_logged(masked_entry(line, ALL)[0])
    assert isinstance(masked, LoggedAnswer)
    assert (masked.question.id, masked.question.question, masked.answer.text) == (
        "one",
        "Is *** there?",
        "*** is.",
    )


def test_what_was_asked_for():
    """Words parted by commas, patterns each by itself; nothing asked for is nothing."""
    assert parse_mask([], "--mask") is None
    assert parse_mask([""], "--mask") is None
    mask = parse_mask(["secrets, emails", "emails", "re:a{1,3}"], "--mask")
    assert mask is not None
    assert (mask.words, [pattern.pattern for pattern in mask.own]) == (("secrets", "emails"), ["a{1,3}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names", '--mask "names" is none of secrets, emails, phones, nor re:PATTERN'),
        ("re:(", '--mask "re:(" is no regular expression: missing ), unterminated subpattern at position 0'),
        ("re:a*", '--mask "re:a*" fits an empty text: say what it must hold'),
        ("re:", '--mask "re:" fits an empty text: say what it must hold'),
    ],
)
def test_what_cannot_be_asked_for(text, message):
    """What is no word and no pattern is refused."""
    with pytest.raises(UsageError) as caught:
        parse_mask([text], "--mask")
    assert str(caught.value) == message


def test_how_much_was_masked():
    """Counts in words."""
    assert mask_line(Counter()) == "no place masked"
    assert mask_line(Counter({"emails": 1})) == "1 place masked: 1 e-mail address"
    assert mask_line(Counter({"secrets": 2, "re:x": 1})) == "3 places masked: 2 secrets, 1 by re:x"
