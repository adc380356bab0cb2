"""Sources after their documents changed: unchanged, moved, stale, orphaned; and how alike is alike enough."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.check import (
    check_question,
    check_questions,
    lost_words,
    misplaced_sources,
    outdated_refusals,
)
from rag_evals.evals.questions.sources.locate import STALE, SourceFinder, stale_reason, stale_reasons
from rag_evals.evals.questions.sources.quotes import LEAST_LIKENESS, find_quote, nearest_to
from rag_evals.fixtures.corpus import build
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.documents.read import read_documents

PRIMER = (Path(__file__).parents[4] / "fixtures" / "corpus" / "primer.md").read_text("utf-8")
SENTENCES = [m.span() for m in re.finditer(r"[A-Z][^.!?\n]{40,260}[.!?](?=\s)", PRIMER)][::6]

OPENING = "Experts are small networks that stand side by side. "
QUOTE = "A router sends every token to two of the eight experts in a layer."
ENDING = " Their outputs are added, weighted by the router's scores."
TEXT = OPENING + QUOTE + ENDING
START = len(OPENING)
SOURCE = Source("a.md", None, START, START + len(QUOTE), QUOTE)


def document(text: str, name: str = "a.md", starts: tuple[int, ...] = ()) -> Document:
    return Document(name, text, starts, f"hash of {text}")


def finder(*documents: Document) -> SourceFinder:
    return SourceFinder(Corpus(documents))


def located(text: str, source: Source = SOURCE):
    return finder(document(text)).locate(source)


# --- quotes ---


def test_the_same_words_at_the_same_place():
    place = find_quote(QUOTE, TEXT, START)
    assert place is not None
    assert (place.start, place.end, place.how) == (START, START + len(QUOTE), "same")


def test_of_several_places_the_nearest_to_the_old_one():
    text = "here. " * 10
    assert [find_quote("here", text, start).start for start in (0, 20, 22, 59)] == [0, 18, 24, 54]
    assert find_quote("here", text).start == 0


def test_another_setting_of_the_same_words():
    """Line breaks, dashes and quotation marks are no other words."""
    quote = 'It\'s the "mixture-of-experts" layer - of course.'
    text = "So: It\u2019s the\n\u201cmixture\u2011of-experts\u201d  layer \u2013 of course."
    place = find_quote(quote, text)
    assert place is not None
    assert (text[place.start : place.end], place.how) == (text[4:], "reset")


def test_other_words_are_not_found():
    assert find_quote(QUOTE, TEXT.replace("two", "four")) is None


def test_the_passage_that_was_edited_is_given_whole():
    """With words that were put in, and up to the end of its sentence."""
    new = "A router sends each and every token to four of the eight experts in a layer at a time."
    place = nearest_to(QUOTE, OPENING + new + ENDING)
    assert place is not None
    assert (OPENING + new + ENDING)[place.start : place.end] == new
    assert 0.8 < place.likeness < 1


def edits(sentence: str) -> dict[str, str]:
    words = sentence.split(" ")
    return {
        "a misprint": sentence[:20] + sentence[21] + sentence[20] + sentence[22:],
        "a number": re.sub(r"\d+", "77", sentence),
        "one word in five exchanged": " ".join("certain" if n % 5 == 2 else w for n, w in enumerate(words)),
        "one word in ten left out": " ".join(w for n, w in enumerate(words) if n % 10 != 4),
        "one word in three added": " ".join(f"{w} indeed" if n % 3 == 1 else w for n, w in enumerate(words)),
    }


def test_edited_sentences_are_found():
    """Of the edits above the threshold's measurement, at least 95 in 100, at their place."""
    tried = found = 0
    for start, end in SENTENCES:
        sentence = PRIMER[start:end]
        for new in edits(sentence).values():
            if new == sentence:
                continue
            tried += 1
            place = nearest_to(sentence, PRIMER[:start] + new + PRIMER[end:])
            found += place is not None and place.start < start + len(new) / 2 < place.end
    assert tried > 150
    assert found / tried >= 0.95


def test_deleted_sentences_are_gone():
    """At most one in ten is taken for another one; the text says some things twice."""
    taken = [nearest_to(PRIMER[a:b], PRIMER[:a] + PRIMER[b:]) for a, b in SENTENCES]
    assert sum(place is not None for place in taken) <= len(taken) / 10


# --- sources ---


def test_unchanged():
    found = located(TEXT)
    assert (found.status, found.now) == ("unchanged", SOURCE)


def test_moved_gets_its_new_offsets():
    found = located("A new beginning. " + TEXT)
    assert found.status == "moved"
    assert found.now == replace(SOURCE, start=START + 17, end=START + 17 + len(QUOTE))


def test_what_it_is_worth_stays_with_a_source():
    """A source that has moved keeps its relevance, and what it is an alternative for."""
    source = replace(SOURCE, relevance=2.0, any_of="x")
    now = finder(document("A new beginning. " + TEXT)).locate(source).now
    assert now == replace(source, start=START + 17, end=START + 17 + len(QUOTE))


def test_what_is_of_no_use_makes_no_question_stale():
    """Words that were judged to be of no use may go."""
    gone = replace(SOURCE, relevance=0.0)
    question = Question("q", "?", sources=(gone,), provenance={"document_sha256": {"a.md": "0" * 64}})
    now = document("All is said in another way.")
    assert stale_reason(question, Corpus((now,))) is None
    assert check_question(question, SourceFinder(Corpus((now,)))).status == "unchanged"
    needed = replace(question, sources=(SOURCE,))
    assert stale_reason(needed, Corpus((now,))) is not None


def test_sources_that_stand_nowhere():
    """Beyond the text, beyond the pages, in no document; what is of no use need not stand anywhere."""
    corpus = Corpus((document("A text.", "a.md"), document("One. Two.", "b.pdf", (0, 5))))
    questions = [
        Question(
            "right", "?", sources=(Source("a.md", start=0, end=7), Source("b.pdf", 2), Source("a.md", 9))
        ),
        Question("beyond", "?", sources=(Source("a.md", start=5, end=8), Source("a.md", start=70))),
        Question("page", "?", sources=(Source("b.pdf", 3),)),
        Question("other", "?", sources=(Source("b.pdff", 1), Source("d17"), Source("d18", relevance=0))),
        Question("none", "?", sources=(Source("d19"),), answerable=False),
    ]
    assert misplaced_sources(questions, corpus) == (
        'beyond: character 8 of "a.md", whose text has 7',
        'beyond: character 70 of "a.md", whose text has 7',
        'page: page 3 of "b.pdf", which has 2',
        'other: "b.pdff" is not among the 2 documents (did you mean "b.pdf"?)',
        'other: "d17" is not among the 2 documents',
    )


def test_moved_to_another_page():
    source = replace(SOURCE, document="a.pdf", page=1)
    found = finder(document("First page.\n\n" + TEXT, "a.pdf", (0, 13))).locate(source)
    assert (found.status, found.now.page, found.now.start) == ("moved", 2, START + 13)


def test_the_page_decides_where_offsets_are_unknown():
    """A quote that stands on several pages is that of its own page."""
    source = Source("a.pdf", 2, quote="the same words")
    text = "the same words\n\nand the same words"
    assert finder(document(text, "a.pdf", (0, 16))).locate(source).status == "unchanged"
    moved = finder(document(text, "a.pdf", (0,))).locate(source)
    assert (moved.status, moved.now) == ("moved", replace(source, page=1))


def test_a_quote_without_offsets_gets_none():
    source = Source("a.md", quote=QUOTE)
    assert located("More. " + TEXT, source).now == source
    assert located(TEXT.replace("two of", "two\nof"), source).status == "unchanged"


def test_stale_shows_the_new_words():
    new = QUOTE.replace("two", "four")
    found = located(OPENING + new + ENDING)
    assert (found.status, found.now.quote) == ("stale", new)
    assert (found.now.start, found.now.end) == (START, START + len(new))
    assert LEAST_LIKENESS < found.likeness < 1


def test_orphaned_says_what_is_gone():
    found = located(OPENING + ENDING)
    assert (found.status, found.reason) == ("orphaned", "nothing like its words is in a.md any more")
    assert found.now == SOURCE
    found = finder(document("Else.", "b\x1b.md")).locate(replace(SOURCE, document="c\x1b.md"))
    assert found.reason == "c\N{REPLACEMENT CHARACTER}.md is not among the documents, nor are its words"


def test_a_renamed_document_is_known_by_its_content():
    known = document(TEXT).sha256
    found = finder(document(TEXT, "new/name.md"), document("Other.", "b.md")).locate(SOURCE, known)
    assert (found.status, found.now) == ("moved", replace(SOURCE, document="new/name.md"))


def test_documents_that_changed_names_with_each_other():
    """The content counts, not the name."""
    known = document(TEXT).sha256
    found = finder(document("Other words.", "a.md"), document(TEXT, "b.md")).locate(SOURCE, known)
    assert (found.status, found.now.document) == ("moved", "b.md")


def test_a_document_in_another_folder_that_was_edited():
    found = finder(document(TEXT.replace("two", "four"), "docs/a.md"), document("x", "b.md")).locate(SOURCE)
    assert (found.status, found.now.document) == ("stale", "docs/a.md")


def test_a_renamed_and_edited_document_is_known_by_a_quote_in_it():
    """Also by a question that comes later in the file."""
    edited = TEXT.replace("two", "four")
    other = Question("later", "Why?", sources=(Source("a.md", quote=ENDING.strip()),))
    questions = [Question("first", "How many?", sources=(SOURCE,)), other]
    first, later = check_questions(questions, finder(document("x", "b.md"), document(edited, "c.md")))
    assert (first.status, later.status) == ("stale", "moved")
    assert first.located[0].now.document == "c.md"


def test_words_that_moved_into_another_document():
    found = finder(document(OPENING), document("Now here: " + QUOTE, "b.md")).locate(SOURCE)
    assert (found.status, found.now) == ("moved", Source("b.md", None, 10, 10 + len(QUOTE), QUOTE))


def test_a_few_words_are_not_looked_for_in_other_documents():
    """They may stand there by chance."""
    source = Source("a.md", quote="two experts")
    assert finder(document("None."), document("two experts", "b.md")).locate(source).status == "orphaned"


def test_a_source_without_a_quote():
    """It is right while its document is the same, and cannot be found in another."""
    same, other = document(TEXT), document("More. " + TEXT)
    span, page = replace(SOURCE, quote=None), Source("a.md", 3)
    known = same.sha256
    assert finder(same).locate(span, known).status == "unchanged"
    assert (
        finder(other).locate(span, known).reason == "a.md has changed, and without a quote it cannot be found"
    )
    assert finder(other).locate(span).status == "unchanged"  # of whatever it was taken from nothing is known
    assert finder(other).locate(page, known).status == "unchanged"
    assert finder(document("Short.")).locate(span).reason == "a.md ends before it"
    assert finder(document("a\n\nb", starts=(0, 3))).locate(page).reason == "a.md ends before it"
    assert finder(document("x", "z.md")).locate(page).reason == "a.md is not among the documents"


# --- questions ---


QUESTION = Question(
    "experts",
    "How many experts process a token?",
    "Two of the eight experts.",
    (SOURCE,),
    ("fact",),
    provenance={"origin": "generated", "document_sha256": {"a.md": document(TEXT).sha256}},
)


def test_a_moved_question_gets_places_and_hashes():
    new = document("More. " + TEXT, "b.md")
    checked = check_question(QUESTION, finder(new))
    assert checked.status == "moved"
    assert checked.now.provenance == {"origin": "generated", "document_sha256": {"b.md": new.sha256}}
    assert checked.now.sources[0].start == START + 6
    assert checked.now.tags == ("fact",)


def test_a_stale_question_is_tagged_and_keeps_its_words():
    """Until a person has accepted the new ones."""
    new = document(TEXT.replace("two", "four"))
    checked = check_question(QUESTION, finder(new))
    assert checked.status == "stale"
    assert checked.now == replace(QUESTION, tags=("fact", "stale"))
    assert check_question(checked.now, finder(new)).now == checked.now
    accepted = check_question(checked.now, finder(new)).accepted
    assert accepted.tags == ("fact",)
    assert accepted.sources[0].quote == QUOTE.replace("two", "four")
    assert check_question(accepted, finder(new)).status == "unchanged"


def test_a_question_that_stands_again_loses_its_tag():
    tagged = replace(QUESTION, tags=("fact", "stale"))
    assert check_question(tagged, finder(document(TEXT))).now == QUESTION


def test_the_worst_source_counts():
    both = replace(QUESTION, sources=(SOURCE, Source("gone.md", quote="words that are nowhere")))
    assert check_question(both, finder(document(TEXT))).status == "orphaned"
    assert check_question(replace(QUESTION, sources=()), finder(document("x"))).status == "unchanged"


@pytest.mark.parametrize(
    ("new", "lost"),
    [
        ("A router sends every token to all of the eight experts.", ("two",)),
        ("Of the eight experts in a layer, two get the token.", ()),
        ("Nothing of it.", ("two", "eight", "experts")),
    ],
)
def test_words_of_the_reference_that_are_gone(new, lost):
    assert lost_words("Two of the eight experts.", QUOTE, new) == lost


def test_a_reference_in_other_words_cannot_be_held_against_the_text():
    assert lost_words("A pair.", QUOTE, "Nothing of it.") is None
    assert lost_words("21,015,324 passages", "held 21,015,324 passages", "held 21 passages") == (
        "21,015,324",
    )


def test_refusals_of_other_documents_are_named():
    """That the documents do not say is true of the documents of that time."""
    refusal = replace(QUESTION, id="price", sources=(), answerable=False)
    assert outdated_refusals([QUESTION, refusal], finder(document(TEXT))) == ()
    assert outdated_refusals([QUESTION, refusal], finder(document("Other."))) == ("price",)


# --- the suite ---


def reason(text: str, question: Question = QUESTION) -> str | None:
    return stale_reason(question, Corpus((document(text),)))


def test_no_reason_while_the_words_stand():
    """In the same document, at another place, and under another name."""
    assert reason(TEXT) is None
    assert reason("More. " + TEXT) is None
    assert stale_reason(QUESTION, Corpus((document(TEXT, "b.md"),))) is None


def test_the_reason_names_document_and_words():
    assert reason(TEXT.replace("two", "four")) == (
        'a.md has changed, and "A router sends every token to two of the eight experts in a…" is no longer '
        "in it"
    )
    assert stale_reason(QUESTION, Corpus((document("x", "b.md"),))) == (
        "a.md, which it was made from, is not among the documents"
    )


def test_without_hashes_only_the_tag_tells():
    """Questions of a person are not held against documents that they never named."""
    plain = replace(QUESTION, provenance=None)
    assert reason("Other.", plain) is None
    assert reason("Other.", replace(plain, tags=("stale",))) == 'it is tagged "stale"'
    assert reason(TEXT, replace(QUESTION, tags=("stale",))) is None  # it stands again


# --- a whole document ---


def test_a_pdf_that_was_built_anew(tmp_path):
    """A section is put in near the beginning: every sentence is found, many of them on another page."""
    old = read_documents(build.TARGET).documents[0]
    spans = [m.span() for m in re.finditer(r"[A-Z][^.!?\n]{40,260}[.!?](?=\s)", old.text)]
    questions = [
        Question(f"q{n}", "Why?", sources=(Source(old.name, old.page_at(a), a, b, old.text[a:b]),))
        for n, (a, b) in enumerate(spans)
    ]
    first, rest = PRIMER.split("\n## ", 1)
    section = "A new section\n\n" + "These words were not here before, and take some room. " * 30
    (tmp_path / old.name).write_bytes(build.build(f"{first}\n## {section}\n\n## {rest}"))
    checked = check_questions(questions, SourceFinder(read_documents(tmp_path)))
    assert {one.status for one in checked} == {"unchanged", "moved"}
    pages = [(one.question.sources[0].page, one.now.sources[0].page) for one in checked]
    assert all(then <= now <= then + 1 for then, now in pages)
    assert sum(then < now for then, now in pages) > 50


def test_many_questions_at_once():
    """The documents are read once, for those that can tell, and not at all where none can."""
    read = []

    def now() -> Corpus:
        read.append(1)
        return Corpus((document("Other words.", "a.md"),))

    plain = replace(QUESTION, id="plain", provenance=None)
    tagged = replace(plain, id="tagged", tags=(STALE,))
    assert stale_reasons([plain, tagged], now) == {"tagged": 'it is tagged "stale"'}
    assert read == []
    reasons = stale_reasons([QUESTION, plain, replace(QUESTION, id="again")], now)
    assert (list(reasons), read) == ([QUESTION.id, "again"], [1])
    assert reasons["again"] == stale_reason(QUESTION, now())
