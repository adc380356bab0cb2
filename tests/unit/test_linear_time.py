"""Functions that take text of others take time linear in its length."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from rag_evals.evals.answers.formats.messages import answered_in, asked_in
from rag_evals.evals.answers.formats.retrieved import passages_in
from rag_evals.evals.answers.masking import WORDS, Mask, masked_entry
from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.generation.rules.self_contained import dangling
from rag_evals.evals.generation.text.layout import layout_of
from rag_evals.evals.generation.text.passages import survey
from rag_evals.evals.generation.text.words import is_english, names_in
from rag_evals.evals.judges.claims import split_claims
from rag_evals.evals.questions.sources.quotes import find_words
from rag_evals.evals.reports.text import visible_text, wrapped
from rag_evals.evals.runs.masking import masked_text
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.documents.html import html_text
from rag_evals.rag.documents.legibility import illegible_share
from rag_evals.rag.documents.line_breaks import flowing_pages
from rag_evals.rag.llm.remote.replies import without_thoughts


def document(text: str) -> Document:
    return Document("d", text, (), "0" * 64)


def surveyed(text: str) -> None:
    with suppress(GenerationError):
        survey(Corpus((document(text),)))


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "answered_in": answered_in,
    "asked_in": asked_in,
    "dangling": dangling,
    "find_words": lambda text: find_words(f"{text[: len(text) // 10]}Z", text),
    "flowing_pages": lambda text: flowing_pages([text]),
    "html_text": html_text,
    "illegible_share": illegible_share,
    "is_english": is_english,
    "layout_of": lambda text: layout_of(document(text)),
    "masked_entry": lambda text: masked_entry({"question": text}, Mask(WORDS)),
    "masked_text": masked_text,
    "names_in": names_in,
    "passages_in": passages_in,
    "split_claims": split_claims,
    "survey": surveyed,
    "visible_text": visible_text,
    "without_thoughts": without_thoughts,
    "wrapped": lambda text: wrapped(text, 80),
}
# What repeats; each was slow for one of these, or for one of the kind.
UNITS = (
    *(
        "a",
        "A ",
        "1.",
        "\n",
        " \n",
        "\xa0",
        "....",
        "-\n",
        "a-",
        "a-\n",
        "'",
        '"',
        "`",
        "(",
        "[1",
        "<a ",
        "<b>",
    ),
    *("the ", "it is not ", "the the ", "A, B. ", "key=", "password: ", "://", "--a-key ", "eyJaaaaaaaa."),
    *("\u3002", "\u6f22", "\u0301", "...\xa0", "#", "|", "- ", "1-", "no information ", "based on the "),
    *("a@", "a.b@", "@a.", "+1 ", "0-1", "(030) ", "555-", '["', '{"input": "', '\\"'),
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_with_the_text(name):
    """The slowest of the units at one length is not sixteen times as slow at four times the length."""

    def seconds(unit: str, length: int) -> float:
        """Return the least of two runs: what is loaded at the first call counts for neither length."""
        text = f"No {unit * (length // len(unit))}?"
        times = []
        for _ in range(2):
            start = time.process_time()
            FUNCTIONS[name](text)
            times.append(time.process_time() - start)
        return min(times)

    for unit in UNITS:
        long = seconds(unit, 32_000)
        # What takes less is fast enough whatever it does, and too short to be compared.
        assert long < 0.2 or long < 9 * seconds(unit, 8000), unit
