"""From documents to passages and sentences: what is left out, how parts come in turn, what cannot be used."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.generation.candidate import Passage
from rag_evals.evals.generation.generate import check_capacity
from rag_evals.evals.generation.kinds import parse_mix
from rag_evals.evals.generation.planner import targets_in_turn
from rag_evals.evals.generation.text.layout import layout_of
from rag_evals.evals.generation.text.passages import (
    LONGEST,
    OVERLAP,
    SHORTEST,
    USUAL,
    all_passages,
    in_turn,
    survey,
)
from rag_evals.evals.generation.text.target_sentences import falsified, have_own_names, targets_of
from rag_evals.evals.generation.text.words import english_share, is_english
from rag_evals.evals.questions.sources.quotes import find_words
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.documents.read import read_documents

PRIMER = Path(__file__).parents[4] / "fixtures/corpus/primer.pdf"
DUNES = (
    "The dunes of Ostra move eleven metres a year towards the lake. A belt of willows was planted in 1904 to "
    "hold the sand, and it still stands. The lake itself is fed by two springs that never freeze. Otters "
    "live on its northern shore, where the reeds are thick and the water is shallow."
)


def document(*pages: str, name: str = "a.pdf") -> Document:
    text = "\n\n".join(pages)
    starts, offset = [], 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + 2
    has_pages = name.endswith(".pdf")
    return Document(name, text, tuple(starts) if has_pages else (), hashlib.sha256(text.encode()).hexdigest())


def corpus(*documents: Document) -> Corpus:
    return Corpus(documents)


def passage(text: str, section: str = "", name: str = "a.md", start: int = 0) -> Passage:
    return Passage(name, "0" * 64, None, start, start + len(text), text, section)


def texts(given: Document) -> list[str]:
    return [given.text[block.start : block.end] for block in layout_of(given).blocks]


# --- layout ---


def test_boilerplate_is_left_out_and_counted():
    """References, contents, captions, rows of numbers, names and addresses are no text to ask about."""
    given = document(
        "# Dunes\n\nContents\n\n1 Lakes ........ 3\n2 Springs ........ 7\n\n"
        "## Lakes\n\n" + DUNES + "\n\nFigure 1: A lake seen from the air in spring.\n\n"
        "12 45 7 99 3.5 7 12\n\n| a | b |\n\nAda Lund, Bo Ek, Cy Dahl, Di Moe, Ed Roe, Fay Lie, Gus Ny\n\n"
        "Write to ada@lakes.example for more about lakes.\n\n"
        "## References\n\n[1] A. Lund. Sand on the move. 1999.\n\n[2] B. Ek. Willows. 2004.\n",
        name="a.md",
    )
    assert texts(given) == [DUNES]
    assert dict(layout_of(given).left_out) == {
        "contents": 8,
        "captions": 10,
        "tables and rows of numbers": 12,
        "authors": 14,
        "addresses": 7,
        "references": 13,
    }


def test_page_headers_are_left_out():
    """A short line that stands on three pages is a header, whatever its number; elsewhere it is text."""
    page = "Sand and Water, page {n}\nThe {lake} is deep and cold, and nobody at all knows what lies in it."
    pages = [page.format(n=n, lake=lake) for n, lake in enumerate(("lake", "pond", "well"), 1)]
    assert texts(document(*pages)) == [text.split("\n")[1] for text in pages]
    assert layout_of(document(*pages)).left_out == {"page headers": 15}
    assert layout_of(document(*pages[:2])).left_out == {}


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("## Lakes and springs", "Lakes and springs"),
        ("2.1 Lakes and Springs", "Lakes and Springs"),
        ("3. Lakes", "Lakes"),
        ("Lakes and springs", "Lakes and springs"),
        ("2.2 Ostra (2020)", "Ostra (2020)"),
        ("Abstract", "Abstract"),
    ],
)
def test_headings(heading, section):
    """A passage knows the heading that it stands under: marked, numbered, or a short line alone."""
    (block,) = layout_of(document(f"{heading}\n\n{DUNES}", name="a.md")).blocks
    assert block.section == section


def test_appendix_behind_references_is_text_again():
    """Only a marked or numbered heading ends the references: a short line alone may be part of one."""
    given = document(
        f"References\n\n[1] Lund, A. Sand. 1999.\n\nSand on the Move\n\nA. More Dunes\n\n{DUNES}",
        name="a.txt",
    )
    assert texts(given) == [DUNES]


# --- passages ---


def test_places_are_those_of_the_document():
    """A passage is its document's text between its offsets, in whole sentences, on its page."""
    given = read_documents(PRIMER)
    (read,) = given.documents
    found = survey(given).passages
    assert len(found) > 40
    for each in found:
        assert each.text == read.text[each.start : each.end]
        assert (each.document, each.sha256, each.page) == (read.name, read.sha256, read.page_at(each.start))
        assert SHORTEST <= len(each.text.split()) <= LONGEST + 60
        assert each.text[0].isupper()
        assert each.text[-1] in ".!?"
        assert each.section != "References"


def test_long_text_is_cut_at_sentences_into_equal_parts():
    """600 words without a break become passages of about 170 words."""
    text = " ".join(
        f"The spring number {n} of the valley gives {n} barrels of water in a day to the mill."
        for n in range(40)
    )
    sizes = [len(each.text.split()) for each in survey(corpus(document(text))).passages]
    assert sum(sizes) == len(text.split())
    assert all(140 <= size <= 200 for size in sizes)


def test_documents_come_in_turn_and_then_their_sections():
    """Any number of the first passages is spread evenly; the seed alone decides the order."""
    made = [
        passage("x", section=f"s{section}", name=name, start=start)
        for name, sections in (("a", 3), ("b", 1))
        for section in range(sections)
        for start in range(2)
    ]
    first = in_turn(made, seed=1)
    assert sorted({each.document for each in first[:2]}) == ["a", "b"]
    assert len({each.section for each in first if each.document == "a"}) == 3
    assert len({each.section for each in [e for e in first if e.document == "a"][:3]}) == 3
    assert first == in_turn(made, seed=1)
    assert any(first != in_turn(made, seed=seed) for seed in range(2, 6))
    assert sorted(map(repr, first)) == sorted(map(repr, made))


def test_two_thousand_pages_take_seconds():
    """A document of 2,000 pages is surveyed before any model is loaded, in time linear in its length."""
    pages = [
        " ".join(
            f"On page {n} the river {chr(65 + n % 26)}{k} has {n + k} mills of the old kind."
            for k in range(12)
        )
        for n in range(2000)
    ]
    given = corpus(document(*pages))
    start = time.perf_counter()
    surveyed = survey(given)
    targets = targets_in_turn(surveyed.passages, 1)
    assert time.perf_counter() - start < 20
    assert len(surveyed.passages) > 1800
    assert len(targets) > 20_000


# --- bad input ---


def test_copies_count_once():
    """The same text under another name gives nothing, nor does one that repeats most of another."""
    given = corpus(
        document(DUNES, name="a.md"),
        document(DUNES, name="b.md"),
        document(f"{DUNES} Here is one sentence more than there.", name="c.md"),
    )
    surveyed = survey(given)
    assert [each.document for each in surveyed.passages] == ["a.md"]
    assert surveyed.copies == (("b.md", "a.md"),)
    assert surveyed.lines == ["text that stands elsewhere too: 62 words", "b.md: the same text as a.md"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Too short.",
            "no passage to ask about in 1 document of 2 words\n  fragments: 2 words\n",
        ),
        (
            "Die Dünen wandern jedes Jahr elf Meter auf den See zu, und niemand hält sie auf. " * 4,
            "no passage to ask about in 1 document of 64 words\n  text that is not English: 64 words\n",
        ),
        (
            "| 1 | 2 |\n| 3 | 4 |\n\n12 13 14 15\n",
            "no passage to ask about in 1 document of 14 words\n  tables and rows of numbers: 14 words\n",
        ),
    ],
)
def test_nothing_to_ask_about(text, message):
    """Too short, in another language, only tables: the error says what there is instead."""
    with pytest.raises(GenerationError) as caught:
        survey(corpus(document(text, name="a.md")))
    assert str(caught.value) == message + (
        "Questions are written from running English text, in passages of at least 30 words: "
        "give documents that have some."
    )


def test_more_questions_than_sentences():
    """More than the documents can give are refused before a model is loaded, with how many and why."""
    surveyed = survey(
        corpus(
            document(f"{DUNES}\n\n12 13 14 15", name="a.md"), document(f"{DUNES}\n\n12 13 14 15", name="b.md")
        )
    )
    targets = targets_in_turn(surveyed.passages, 1)
    with pytest.raises(GenerationError) as caught:
        check_capacity(9, surveyed, targets)
    assert str(caught.value) == (
        "9 questions are wanted, but the documents can give at most 4: one for each sentence that can be "
        "asked about by itself, of 1 passage in 2 documents of 118 words\n"
        "  left out: tables and rows of numbers: 4 words\n"
        "  left out: b.md: the same text as a.md\n"
        "Ask for 4 or fewer, or give more documents."
    )
    check_capacity(4, surveyed, targets)


def test_language():
    """English is told from other languages by its most common words."""
    assert english_share(DUNES) > 0.35
    assert is_english(DUNES)
    assert not is_english(
        "Les dunes avancent de onze mètres par an vers le lac, que deux sources nourrissent."
    )
    assert not is_english("沙丘每年向湖边移动十一米。")
    assert english_share("") == 0


# --- sentences ---


def kinds(sentence: str) -> list[str]:
    return sorted(kind for target in targets_of(passage(sentence)) for kind in target.kinds)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("A belt of willows was planted by hand to hold the sand.", ["fact"]),
        ("The dunes of Ostra move 11 metres a year towards the lake.", ["fact", "number"]),
        ("Llama 2 70B is slower than Mistral 7B on all of these tasks.", ["fact"]),
        ("The springs were measured by Lund and Ek for the state [12, 13].", ["fact"]),
        ("Otters, herons and pikes live on the northern shore of the lake.", ["fact", "list"]),
        ("A dune is a hill of sand that the wind has piled up.", ["definition", "fact"]),
        ("Dune belt: a row of willows that holds the sand back.", ["definition", "fact"]),
        ("This shows that willows hold the sand better than walls do.", []),
        ("As shown in Figure 3, willows hold the sand better than walls do.", []),
        ("Willows hold the sand.", []),
        ("Let f(x) = x + 1 and g(x) = x + 2 for all of the dunes.", []),
    ],
)
def test_what_a_sentence_is_good_for(sentence, found):
    """A sentence that needs another one, a picture or a formula is passed over; others say what they hold."""
    assert kinds(sentence) == found


def test_sentences_of_we_come_last():
    """Who "we" are is not known to the reader of a question: other sentences come first."""
    text = f"We planted a belt of willows by hand along the shore. {DUNES}"
    made = targets_in_turn([passage(text)], 3)
    assert len(made) == 5
    assert [target.is_doubtful for target in made] == [False] * 3 + [True] * 2


def test_sentences_with_a_word_in_quotes_come_last():
    """They are mostly said of an example that a text works through."""
    text = f"Lund writes \u201cwillow\u201d where others write reeds in all of those letters. {DUNES}"
    made = targets_in_turn([passage(text)], 3)
    assert [target.is_doubtful for target in made[-2:]] == [True, True]


@pytest.mark.parametrize("seed", range(20))
def test_false_numbers(seed):
    """A false premise has another number in the same form; numbers of names and citations stay."""
    import random

    sentence = "In 1904 two springs gave 4,096 barrels, 37.5 percent more than GPT 4 (Lund 1999) said."
    false, wrong = falsified(sentence, random.Random(seed)) or ("", "")
    assert false != sentence
    assert wrong in false
    assert "GPT 4 (Lund 1999)" in false
    assert falsified("No number is in here, but for GPT 4 and (Lund 1999).", random.Random(seed)) is None
    assert falsified("They gave 20, 30 or 75 barrels, or 6%, 7% and 8%.", random.Random(seed)) is None


def test_comparable_sentences():
    """Two sentences can be compared when each names what the other does not."""

    def one(sentence):
        return targets_of(passage(sentence))[0]

    ours = one("The lake of Ostra has two springs that never freeze.")
    assert have_own_names(ours, one("The lake of Norr has five springs that never freeze."))
    assert not have_own_names(ours, one("The lake of Ostra is fed by water that is cold."))


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("planted in 1904", "planted in 1904"),
        ('"Planted in  1904."', "planted in 1904"),
        ("hold the\nsand", "hold the  sand"),
        ("the 'well' - known", "the \u2018well\u2019 \u2013 known"),
        ("plantedin 19 04", "planted in 1904"),
        ("known one", "kno\u00adwn one"),
        ("planted in 1905", None),
        (" ... ", None),
    ],
)
def test_quotes_are_found_in_the_text(quote, found):
    """Blanks, case, quotation marks and dashes may differ; the place is that of the text's own words."""
    text = "Willows planted in 1904 hold the  sand, the \u2018well\u2019 \u2013 known, kno\u00adwn one."
    place = find_words(quote, text)
    assert (text[place.start : place.end] if place else None) == found


# --- the mix ---


def test_mix():
    """A mix is per cent by kind; without numbers the kinds share alike; a kind with 0 is left out."""
    assert parse_mix("fact=40, number=60,list=0") == {"fact": 40, "number": 60}
    assert parse_mix("fact,number,list") == {"fact": 34, "number": 33, "list": 33}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("fact=40,number=50", ["the shares sum to 90, not to 100"]),
        ("fact=40,riddle=x", ["riddle: no such kind", "riddle=x: not a whole number from 0 to 100"]),
        ("fact,fact", ["fact: named twice"]),
        ("", ["the shares sum to 0, not to 100"]),
    ],
)
def test_wrong_mix(text, problems):
    """Every offender is named, and the kinds there are."""
    with pytest.raises(GenerationError) as caught:
        parse_mix(text)
    kinds = "fact, number, list, definition, comparison, paraphrase, unanswerable, false_premise, distractor"
    assert str(caught.value).splitlines() == [
        f"--kinds {text} is no mix:",
        *(f"  {problem}" for problem in problems),
        f"Kinds are {kinds}.",
    ]


def test_windows_hold_all_of_the_text():
    """What nobody asks about is there as well; a document that stands twice is cut once."""
    thanks = "Acknowledgements\n\nWe thank Ostra Savings Bank for its grant."
    found = all_passages(Corpus((document(DUNES, thanks), document(DUNES, thanks, name="copy.pdf"))))
    assert len(found) == 1
    assert found[0].endswith("We thank Ostra Savings Bank for its grant.")
    words = [str(number) for number in range(400)]
    first, second, third = all_passages(Corpus((document(" ".join(words)),)))
    assert first.split() == words[:USUAL]
    assert second.split()[:OVERLAP] == first.split()[-OVERLAP:]
    assert third.split()[-1] == words[-1]
