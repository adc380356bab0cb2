"""Marks of citation: which are read, which brackets and numbers are none, and what is left of the text."""

# ruff: noqa: RUF001 - dashes and raised digits of every kind

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rag_evals.evals.judges.citations import read_citations
from rag_evals.rag.answer import Answer, Citation, Context, Span

CONTEXTS = (
    Context("Eight experts.", "moe.pdf", 3),
    Context("Two of them.", "guides/intro.md"),
    Context("Dense models.", "moe.pdf", 5, page_end=6),
    Context("Returns within 30 days.", "https://shop.example/faq", copies=(Span("old faq.html"),)),
)


def read(text: str, contexts=CONTEXTS) -> list[tuple]:
    """Return mark and what it names of each citation: numbers counted from 1, or document and pages."""
    cited = read_citations(Answer(text, contexts))
    assert len(cited.text) == len(text)
    for one in cited.citations:
        assert one.start is None or text[one.start : one.end] == one.mark
    return [_told(one) for one in cited.citations]


def _told(citation: Citation) -> tuple:
    named = tuple(n + 1 for n in citation.contexts)
    document = (citation.document, citation.page, citation.page_end)
    return citation.mark, named or tuple(one for one in document if one is not None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Eight experts [1].", [("[1]", (1,))]),
        ("Eight experts.[1] Two [2, 3].", [("[1]", (1,)), ("[2, 3]", (2, 3))]),
        ("All of it [1-3], or [2–4].", [("[1-3]", (1, 2, 3)), ("[2–4]", (2, 3, 4))]),
        ("Both [1][2] and [1], [4].", [("[1]", (1,)), ("[2]", (2,)), ("[1]", (1,)), ("[4]", (4,))]),
        ("[4] shows that.", [("[4]", (4,))]),
        ("As shown in [1, 3].", [("[1, 3]", (1, 3))]),
        ("In 2023[1] it was (late)[2].", [("[1]", (1,)), ("[2]", (2,))]),
        ("Eight [moe.pdf p.3].", [("[moe.pdf p.3]", ("moe.pdf", 3))]),
        ("Eight [moe.pdf, pages 5-6].", [("[moe.pdf, pages 5-6]", ("moe.pdf", 5, 6))]),
        (
            "Eight [moe#page=3; intro].",
            [("[moe#page=3; intro]", ("moe", 3)), ("[moe#page=3; intro]", ("intro",))],
        ),
        ("Eight (Source: moe.pdf, page 3).", [("(Source: moe.pdf, page 3)", ("moe.pdf", 3))]),
        ("Eight (see MOE, pp. 5–6).", [("(see MOE, pp. 5–6)", ("MOE", 5, 6))]),
        ("Eight (source: gone.txt).", [("(source: gone.txt)", ("gone.txt",))]),
        ("Eight. Source: moe.pdf, page 3", [("Source: moe.pdf, page 3", ("moe.pdf", 3))]),
        (
            "Two [guides/intro.md] (old faq).",
            [("[guides/intro.md]", ("guides/intro.md",)), ("(old faq)", ("old faq",))],
        ),
        ("Two [Passage 2] (passages 1 and 3).", [("[Passage 2]", (2,)), ("(passages 1 and 3)", (1, 3))]),
        ("Eight [p. 3] (page 5).", [("[p. 3]", (3,)), ("(page 5)", (5,))]),
        ("Eight experts.¹ Two words², all¹².", [("¹", (1,)), ("²", (2,)), ("¹²", (1, 2))]),
        ("Words<sup>1, 2</sup> here.", [("<sup>1, 2</sup>", (1, 2))]),
        (
            "Wide 【1】【3†source】【4:0†moe.pdf】.",
            [("【1】", (1,)), ("【3†source】", (3,)), ("【4:0†moe.pdf】", ("moe.pdf",))],
        ),
        ("A link [2](http://x.example) as a number.", [("[2](http://x.example)", (2,))]),
        (
            "[The FAQ](https://shop.example/faq) says so.",
            [("[The FAQ](https://shop.example/faq)", ("https://shop.example/faq",))],
        ),
        ("**[1]** and *[2]* of MoE8x7B[3].", [("[1]", (1,)), ("[2]", (2,)), ("[3]", (3,))]),
        ("- [1, 3] of these data[2].", [("[1, 3]", (1, 3)), ("[2]", (2,))]),
        ("混合专家[1]。它[2]表示", [("[1]", (1,)), ("[2]", (2,))]),
        ("It costs $5 [1] and not $6 [2].", [("[1]", (1,)), ("[2]", (2,))]),
    ],
)
def test_what_is_a_citation(text, found):
    """Numbers of passages, documents and pages, in the brackets and raised digits that people use."""
    assert read(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "In [2023] and [1999-2001].",
        "a[1] = 5, x[2], arr[3] and items[0].",
        "data.values[1] and row_ids[2] and x1[3] are numbers, arr[1].",
        "[0], [0, 1] and [1, 0].",
        "The interval [1, 3], values in [1, 3], x ∈ [1, 2], the range [1-3] and shape [2, 2].",
        "x = [1] or index [2].",
        "A [text](http://a.example) and [9](http://a.example/9).",
        "Code: `a [1]` and ``b [2]``.",
        "```py\nprint(a) # [1]\n```",
        "~~~\nnever closed [1]",
        "$$x [1]$$ and $y \\in [1]$ and \\(z [2]\\) and \\[w [3]\\]",
        "10² m², km² and CO₂, 5 min².",
        "[x] [ ] [TODO] [INST] [sic] [...]",
        "(1) first, (2) second, (2023).",
        "Edit settings (config.json) first.",
        "A vector of [128] numbers goes on.",
        "Jiang et al. (2024) [Jiang 2024].",
        "[1-100] and [3-1] and [1, x].",
        "",
    ],
)
def test_what_is_no_citation(text):
    """Years, indexes, intervals, code, formulas, links, units, boxes, items."""
    assert read(text) == []
    assert read_citations(Answer(text, CONTEXTS)).text == text


def test_a_number_beyond_the_passages():
    """It is a citation where it stands as one: at the end of a clause, or beside others; not in between."""
    assert read("Eight experts [9].") == [("[9]", (9,))]
    assert read("Eight experts.[9] Two.") == [("[9]", (9,))]
    assert read("A list of [9] things.") == []
    assert read("A list of [9] things [1].") == [("[9]", (9,)), ("[1]", (1,))]
    assert read("Eight experts [1].", ()) == [("[1]", (1,))]


def test_footnotes():
    """A footnote names what its entry does, a number without one its passage; a note names nothing."""
    text = "Eight[^1] of[^n] two[^2], and[^x].\n\n[^1]: moe.pdf, page 3\n[^n]: Without the shared one."
    assert read(text) == [("[^1]", ("moe.pdf", 3)), ("[^2]", (2,))]
    left = read_citations(Answer(text, CONTEXTS)).text
    assert " ".join(left.split()) == "Eight of two , and[^x]."


def test_a_list_of_sources_says_what_the_numbers_are():
    """Its entries count before the numbers of passages; one that names no document is the passage."""
    text = (
        "A [1]. Two [2]. Three [3].\n\nSources:\n[1] guides/intro.md\n2. moe.pdf, p. 5\n[3] Jiang: Mixtral\n"
    )
    assert read(text) == [("[1]", ("guides/intro.md",)), ("[2]", ("moe.pdf", 5)), ("[3]", (3,))]
    assert read_citations(Answer(text, CONTEXTS)).text.split() == ["A", ".", "Two", ".", "Three", "."]


def test_a_label_with_a_colon_is_defined_wherever_it_stands():
    """By a document, or by what is none of these: then the number is a passage's."""
    text = "Eight [1]. Thirty days [2].\n[1]: https://x.example\n[2]: https://shop.example/faq"
    assert read(text) == [("[1]", (1,)), ("[2]", ("https://shop.example/faq",))]


@pytest.mark.parametrize(
    "text", ["Eight.\n\nSources: [1], [3]", "Eight.\n\n**Sources**\n- [1] Jiang, 2024\n- [3] Lee, 2020"]
)
def test_a_list_of_sources_alone_is_cited_for_the_whole_answer(text):
    """Where no mark points into it."""
    assert read_citations(Answer(text, CONTEXTS)).citations == (
        Citation(contexts=(0,)),
        Citation(contexts=(2,)),
    )


def test_what_a_service_tells_counts_before_marks():
    """The marks are left out of what is claimed all the same."""
    told = (Citation(0, 5, (1,)),)
    cited = read_citations(Answer("Eight [1].", CONTEXTS, citations=told))
    assert (cited.citations, cited.text) == (told, "Eight    .")


def test_a_mark_that_is_a_subject_leaves_a_word():
    """Without one its sentence would go on from the one before."""
    assert read_citations(Answer("Eight. [4] shows two.", CONTEXTS)).text == "Eight. One shows two."


PIECES = st.sampled_from(
    [
        *"[](){}【】†^|#*`~$\\<>¹²³⁰,;:.-–—& \n\t",
        "1",
        "2",
        "9",
        "2023",
        "moe.pdf",
        "p. 3",
        "page",
        "Source: ",
        "Sources:\n",
        "[^1]: ",
        "[1]",
        "[2, 3]",
        "word",
        "```\n",
        "$$",
        "\\[",
        "<sup>",
        "</sup>",
        "passages ",
        "and ",
        "٣",
        "\x00",
        "\ud800",
        "é",
        "的",
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_whatever_is_said_is_read(text):
    """Nothing raises; marks are where they are said to be; the rest of the text stays where it was."""
    cited = read_citations(Answer(text, CONTEXTS))
    assert len(cited.text) == len(text)
    for citation in cited.citations:
        assert citation.contexts or citation.document or citation.page is not None
        assert all(n >= 0 for n in citation.contexts)
        assert citation.start is None or text[citation.start : citation.end] == citation.mark != ""
    changed = [n for n, (before, after) in enumerate(zip(text, cited.text, strict=True)) if before != after]
    assert all(cited.text[n] in " One" for n in changed)


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[1",
        "(",
        "[1]",
        "\\[",
        "\\(",
        "$",
        "`",
        "```\n",
        "【",
        "[^",
        "¹",
        "Source: ",
        "[moe.pdf ",
        "[^1]: a\n",
        "1, ",
    ],
)
def test_takes_linear_time(piece):
    """An answer of twenty thousand characters is read in a moment, whatever is in it."""
    start = time.process_time()
    read_citations(Answer(piece * (20_000 // len(piece)), CONTEXTS))
    assert time.process_time() - start < 3.0
