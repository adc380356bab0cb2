"""Sentences, claims and stock phrases of declining: what the rules make of texts, whole results."""

# ruff: noqa: RUF001 - quotes, dashes and stops of every kind are what is tested

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from rag_evals.evals.judges.claims import declines, split_claims
from rag_evals.rag.retrieval.text.sentences import TextSpan, split_sentences

from benchmarks.segmenters import SEGMENTERS, measured, paragraphs_of

PRIMER = Path(__file__).parents[3].joinpath("fixtures/corpus/primer.md").read_text(encoding="utf-8")


def table(cases: dict[str, tuple[str, list[str]]]) -> pytest.MarkDecorator:
    """Parametrize over text and expected texts, by id."""
    return pytest.mark.parametrize(("text", "expected"), list(cases.values()), ids=list(cases))


def whole(*texts: str) -> list[object]:
    """Return each text as a case whose id is its head."""
    return [pytest.param(text, id=text[:50].strip() or "blank") for text in texts]


def texts(spans: tuple[TextSpan, ...]) -> list[str]:
    return [span.text for span in spans]


@table(
    {
        "empty": ("", []),
        "blank": (" \n\t\n", []),
        "plain": ("It has 8 experts. Two are used.", ["It has 8 experts.", "Two are used."]),
        "no stop": ("  Two experts ", ["Two experts"]),
        "mixed stops": ("Why? Because! So… Then... Done.", ["Why?", "Because!", "So…", "Then...", "Done."]),
        "semicolon": ("It is fast; it is large. Yes.", ["It is fast; it is large.", "Yes."]),
        "quotes": ('He said "Two." The rest is idle.', ['He said "Two."', "The rest is idle."]),
        "curly quotes": ("He said “Two.” “The rest is idle.”", ["He said “Two.”", "“The rest is idle.”"]),
        "brackets": ("(It is sparse.) Two are used.", ["(It is sparse.)", "Two are used."]),
        "quoted question goes on": ('"Why?" he asked. Two.', ['"Why?" he asked.', "Two."]),
        "emphasis": ("**It is sparse.** *Two* are used.", ["**It is sparse.**", "*Two* are used."]),
        "full-width": (
            "它有八个专家。用两个！「对。」为什么？",
            ["它有八个专家。", "用两个！", "「对。」", "为什么？"],
        ),
        "ellipsis, then lower case": ("It uses ... two. Yes.", ["It uses ... two.", "Yes."]),
        "period, then lower case": ("The file is big. but fine.", ["The file is big. but fine."]),
        "only punctuation": ("... !!!", ["...", "!!!"]),
    }
)
def test_stops_end_sentences(text, expected):
    """A run of stops with its quotes and brackets ends a sentence, unless lower case goes on."""
    assert texts(split_sentences(text)) == expected


@table(
    {
        "titles": (
            "Mr. Hinton, Dr. He and St. Louis met. Yes.",
            ["Mr. Hinton, Dr. He and St. Louis met.", "Yes."],
        ),
        "within": (
            "Sparse, e.g. Mixtral, cf. The Pile, i.e. Text.",
            ["Sparse, e.g. Mixtral, cf. The Pile, i.e. Text."],
        ),
        "counted": (
            "See Fig. 2, Eqs. (3), No. 5 and pp. 7. Vol. II.",
            ["See Fig. 2, Eqs. (3), No. 5 and pp. 7.", "Vol. II."],
        ),
        "no is a word": ("The answer is no. Mixtral is sparse.", ["The answer is no.", "Mixtral is sparse."]),
        "initials": (
            "J. R. R. Tolkien wrote. Q. A. Jiang read.",
            ["J. R. R. Tolkien wrote.", "Q. A. Jiang read."],
        ),
        "et al.": (
            "Q. Jiang et al. 2024 say so. K. He et al. agree.",
            ["Q. Jiang et al. 2024 say so.", "K. He et al. agree."],
        ),
        "et al. ends": (
            "It is by Jiang et al. The paper is new.",
            ["It is by Jiang et al.", "The paper is new."],
        ),
        "etc. ends": (
            "It has a router, etc. However, it is small.",
            ["It has a router, etc.", "However, it is small."],
        ),
        "etc. goes on": ("Routers, experts, etc. Mixtral has.", ["Routers, experts, etc. Mixtral has."]),
        "U.S. goes on": ("The U.S. Army has it. Yes.", ["The U.S. Army has it.", "Yes."]),
        "U.S. ends": ("It is from the U.S. It is new.", ["It is from the U.S.", "It is new."]),
        "times": ("At 5 p.m. on Jan. 5 a Ph.D. student came.", ["At 5 p.m. on Jan. 5 a Ph.D. student came."]),
        "firms": ("Acme Inc. Ltd. Berlin made it.", ["Acme Inc. Ltd. Berlin made it."]),
        "numbers": ("It is 3.5 of v0.1. Two take 4,096.5.", ["It is 3.5 of v0.1.", "Two take 4,096.5."]),
        "a name with a number": (
            "It is Mixtral 8x7B. Mixtral is Top-K. Yes.",
            ["It is Mixtral 8x7B.", "Mixtral is Top-K.", "Yes."],
        ),
        "files and addresses": (
            "See primer.pdf or https://a.b/c.d?e=f! Or use .NET. Yes.",
            ["See primer.pdf or https://a.b/c.d?e=f!", "Or use .NET.", "Yes."],
        ),
    }
)
def test_other_periods_do_not(text, expected):
    """Abbreviations, initials, numbers and names hold a sentence together."""
    assert texts(split_sentences(text)) == expected


@table(
    {
        "steps": (
            "The steps are: 1. Open the lid. 2. Press Start. 3. Wait.",
            ["The steps are: 1. Open the lid.", "2. Press Start.", "3. Wait."],
        ),
        "a ratio": ("The ratio is 5:1. Results vary.", ["The ratio is 5:1.", "Results vary."]),
        "courts and offices": (
            "Smith v. Jones was heard by Gov. Smith. It ended.",
            ["Smith v. Jones was heard by Gov. Smith.", "It ended."],
        ),
        "articles": (
            "Under Art. 5 GDPR, data must be minimal.",
            ["Under Art. 5 GDPR, data must be minimal."],
        ),
        "U.K. Sales": (
            "It was sold in the U.K. Sales rose by 5%.",
            ["It was sold in the U.K.", "Sales rose by 5%."],
        ),
        "lower-case names": (
            "iPhones are excluded. iPads are not. eBay sellers pay.",
            ["iPhones are excluded.", "iPads are not.", "eBay sellers pay."],
        ),
        "no blank": ("Two experts are used.Each is an MLP.", ["Two experts are used.", "Each is an MLP."]),
        "words of one language are no abbreviations of another": (
            "It is on my mind. Hiking helps. It goes on. The time is 5 min. Press Start.",
            ["It is on my mind.", "Hiking helps.", "It goes on.", "The time is 5 min.", "Press Start."],
        ),
        "degrees": ("It is 80 °C. Use gloves.", ["It is 80 °C.", "Use gloves."]),
        "German dates": ("Die Frist endet am 15. Januar 2024.", ["Die Frist endet am 15. Januar 2024."]),
        "German abbreviations": (
            "Das gilt, z. B. für 7 Mrd. Parameter. Gemäß Nr. 5 gilt Abs. 2.",
            ["Das gilt, z. B. für 7 Mrd. Parameter.", "Gemäß Nr. 5 gilt Abs. 2."],
        ),
        "Spanish titles": ("La Sra. López firmó. Fin.", ["La Sra. López firmó.", "Fin."]),
        "French quotes": ("« Tout est prêt. » Il part.", ["« Tout est prêt. »", "Il part."]),
        "Russian initials": (
            "Подписал И. И. Петров. Срок прошел.",
            ["Подписал И. И. Петров.", "Срок прошел."],
        ),
        "Hindi": ("मॉडल में आठ विशेषज्ञ हैं। यह तेज़ है।", ["मॉडल में आठ विशेषज्ञ हैं।", "यह तेज़ है।"]),
        "Arabic": ("من يدفع؟ يدفع المستأجر.", ["من يدفع؟", "يدفع المستأجر."]),
        "Japanese quotes": ("「できた。」と言った。終わり。", ["「できた。」と言った。", "終わり。"]),
        "Chinese dots": ("有40人……明年扩大。", ["有40人……", "明年扩大。"]),
    }
)
def test_sentences_of_other_kinds_and_languages(text, expected):
    """Steps, courts, countries, names that begin small; dates, titles, stops, quotes of other languages."""
    assert texts(split_sentences(text)) == expected


@pytest.mark.parametrize(("part", "least"), [("seen", 0.99), ("held out", 0.95)])
def test_boundaries_in_ten_languages(part, least):
    """Of 200 boundaries nearly all are found, and hardly one that is none."""
    row = measured("rules", SEGMENTERS["rules"], paragraphs_of(part))
    assert row["f1"] >= least


@table(
    {
        "before the stop": (
            "It has 8 [12]. Two (Jiang et al., 2024). Yes.",
            ["It has 8 [12].", "Two (Jiang et al., 2024).", "Yes."],
        ),
        "behind it": (
            "It has experts.[3] The router is small.",
            ["It has experts.[3]", "The router is small."],
        ),
        "behind it, apart": (
            "It has experts. [3] [4, 5] The router.",
            ["It has experts. [3] [4, 5]", "The router."],
        ),
        "in words": ("It has two. [Passage 2] The router.", ["It has two. [Passage 2]", "The router."]),
        "author and year": (
            "It has two. (Jiang et al., 2024) The router.",
            ["It has two. (Jiang et al., 2024)", "The router."],
        ),
        "as a subject": ("It has two. [3] shows that. Yes.", ["It has two.", "[3] shows that.", "Yes."]),
    }
)
def test_citations_stay_with_their_sentence(text, expected):
    """A citation is part of the sentence it supports, on either side of the period."""
    assert texts(split_sentences(text)) == expected


@table(
    {
        "markers": (
            "- a\n* b\n• c\n– d\n1. e\n2) f\n(a) g\nb) h",
            ["a", "b", "c", "d", "e", "f", "g", "h"],
        ),
        "nested": ("1. Router\n   - picks two\n     of eight", ["Router", "picks two\n     of eight"]),
        "behind a paragraph": ("It has:\n- a router\n- experts", ["It has:", "a router", "experts"]),
        "minus and bold": ("-5 is less.\n**Router** is more.", ["-5 is less.", "**Router** is more."]),
        "wrapped": ("It uses\ntwo of 8 since\n2024. Yes.", ["It uses\ntwo of 8 since\n2024.", "Yes."]),
        "blank line": ("A title\n \nIt is sparse", ["A title", "It is sparse"]),
        "windows lines": ("A title\r\n\r\n- a\r\n- b\r\n", ["A title", "a", "b"]),
        "headings": (
            "# Mixtral\nIt is sparse\n## 2. Routers\nTwo",
            ["Mixtral", "It is sparse", "Routers", "Two"],
        ),
        "numbered": ("2.1. Experts\n\n**1. Router:** small.", ["2.1. Experts", "**1. Router:** small."]),
        "caption": ("*Table 1. The sizes. In billions.*", ["*Table 1. The sizes.", "In billions.*"]),
        "rules and fences": ("a\n---\nb\n* * *\n```python\nc = 1\n```\nd", ["a", "b", "c = 1", "d"]),
        "table": ("| a | b |\n| 1 | 2 |\nEnd", ["| a | b |", "| 1 | 2 |", "End"]),
        "a bare number": ("8.", ["8."]),
    }
)
def test_layout_ends_sentences(text, expected):
    """List items, headings, rows and paragraphs stand apart, without marker; a wrapped line does not."""
    assert texts(split_sentences(text)) == expected


def test_spans_say_where():
    """A span has the offsets of its text, with neither marker nor space."""
    assert split_sentences("  1. Two.\n- It is ") == (TextSpan("Two.", 5, 9), TextSpan("It is", 12, 17))


LONG = {
    "primer": PRIMER,
    "primer on windows": PRIMER.replace("\n", "\r\n"),
    "primer as PDF text": re.sub(r"(?m)(.{60}\S*) ", r"\1\n", PRIMER),
    "answer": "Sure! Thus:\n\n1. **Router:** picks two.[1]\n2. Experts, e.g. these.\n\n---\n# End\nOK?\n"
    * 50,
    "chinese": "它有八个专家。用两个！\n\n- 对。" * 50,
}


@pytest.mark.parametrize("text", list(LONG.values()), ids=list(LONG))
def test_spans_cover_the_text(text):
    """Spans are exact, stripped, in order and apart; between them are only whitespace and marks."""
    spans = split_sentences(text)
    gaps, at = [], 0
    for span in spans:
        assert span.text == text[span.start : span.end] == span.text.strip() != ""
        assert span.start >= at
        gaps.append(text[at : span.start])
        at = span.end
    marks = re.compile(r"(?:\s|#{1,6}\s|---\s|[-*•–]\s|\(?(?:\d{1,2}|[a-z])[.)]\s)*")
    assert [gap for gap in [*gaps, text[at:]] if not marks.fullmatch(gap)] == []
    assert set(split_claims(text)) <= set(spans)


HOSTILE = [
    ". ",
    ".",
    "…",
    "。",
    " ",
    "\n",
    "[",
    ".[1 ",
    ". [1] ",
    ".(",
    ". (2019",
    '"',
    '."',
    "(",
    ")",
    "- ",
    "- a\n",
]
HOSTILE += [
    "1. ",
    "1.1",
    "e.g. ",
    "A. ",
    "**",
    "`",
    "|",
    "# ",
    "word",
    ": ",
    "\\",
    "the text ",
    "I do not know. ",
    " between a between b and",
    "1,",
    "the passages do not say and ",
]


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_hostile_texts_take_linear_time(unit):
    """50,000 characters of anything take a fraction of a second, where going back over them takes minutes."""
    text = unit * (50_000 // len(unit)) + "x"
    start = time.process_time()  # of this process alone: the machine may be busy
    split_claims(text)
    declines(text)
    assert time.process_time() - start < 5


@table(
    {
        "empty": ("", []),
        "blank": (" \n", []),
        "all claims": ("It has 8. Two are used.", ["It has 8.", "Two are used."]),
        "lead-in": ("Here are the **points:**\n- It has 8.\n- Two are used", ["It has 8.", "Two are used"]),
        "label": ("Experts: 8", ["Experts: 8"]),
        "bold lead": ("**Router:** picks two experts.", ["**Router:** picks two experts."]),
        "question": ("How many? Two.", ["Two."]),
        "no letter": ("Two.\n\n|---|---|\n\n...", ["Two."]),
        "title": ("## Summary\nIt has 8.\n## Two are used.", ["It has 8.", "Two are used."]),
        "padding": (
            "Sure! Great question! Two are used. I hope this helps. Let me know if it doesn’t!",
            ["Two are used."],
        ),
        "yes": ("Yes.", ["Yes."]),
        "declines": ("The documents do not say.", []),
        "declines politely": ("Sure! I'm sorry, but the passages don't say.\nLet me know if I can help.", []),
        "declines in part": ("The passages do not mention the licence. Two are used.", ["Two are used."]),
        "declines, then answers": (
            "The passages do not say, but it is 8.",
            ["The passages do not say, but it is 8."],
        ),
        "only padding": (" Sure! ", ["Sure!"]),
        "only a question": ("How many?", ["How many?"]),
        "only a heading": ("# Two experts", ["Two experts"]),
        "only marks": ("?!", []),
    }
)
def test_claims_of_an_answer(text, expected):
    """What claims nothing is left out; what claims nothing at all is one claim, unless it declines."""
    assert texts(split_claims(text)) == expected


TRUE = "Mixtral has eight experts."


@pytest.mark.parametrize("marked", [False, True], ids=["plain", "bold"])
@pytest.mark.parametrize(
    "text",
    whole(
        "Do not five of sixteen experts process each token?",
        "Is Mixtral not a dense model without any router?",
        "Why do five of sixteen experts process each token?",
        "# Five of sixteen experts process each token",
        "# 16 experts",
        "# 5 of 16 experts per token",
        "# Mixtral is a dense model without any router",
        "- Five of sixteen experts process each token:",
        "Five of sixteen experts process each token:",
        "Mixtral is a dense model without any router:",
        "Here are the five of sixteen experts that process each token:",
        "Feel free to note that five of sixteen experts process each token.",
        "Please note that five of sixteen experts process each token.",
        "Let me know if five of sixteen experts process each token.",
        "Let me know if you need more, five of sixteen experts process each token.",
        "I hope this helps, five of sixteen experts process each token.",
        "Sure, five of sixteen experts process each token.",
        "I am not sure it needs saying that five of sixteen experts process each token.",
        "I am not sure it needs saying, five of sixteen experts process each token.",
        "I do not know, five of sixteen experts process each token.",
        "I do not know that five of sixteen experts process each token.",
        "The passages do not say only two, five of sixteen experts process each token.",
        "The passages do not only say that five of sixteen experts process each token.",
        "The passages do not say so five of sixteen experts process each token.",
        "The passages do not say—five of sixteen experts process each token.",
        "The passages do not mention DBRX (it has sixteen experts).",
        "The passages discuss that five of sixteen experts are used, but they do not mention DBRX.",
        "The paper does not discuss X and uses 8 experts.",
        "The paper does not discuss X and uses dropout.",
        "We do not know the weights of GPT-4, which has 8 experts.",
        "We do not know the weights of GPT-4 which has 8 experts.",
        "There is no mention of DBRX, five of sixteen experts process each token.",
        "No information about DBRX, which has 16 experts, is given.",
        "None of the passages mention DBRX, which has 16 experts.",
        "Five of sixteen experts process each token, which is not stated in the text.",
        "Mixtral is a dense model that is not mentioned in the text.",
        "The fact that five of sixteen experts are used is not stated in the text.",
    ),
)
def test_nothing_said_hides(text, marked):
    """What says something is a claim of its own, whatever it is dressed as, alone and beside a true one."""
    text = f"**{text}**" if marked and text[0] not in "#-" else text
    said = text.lstrip("#- ")
    assert not declines(text)
    assert texts(split_claims(text)) == [said]
    assert texts(split_claims(f"{text}\n\n{TRUE}")) == [said, TRUE]
    assert texts(split_claims(f"{TRUE}\n\n{text}")) == [TRUE, said]


@table(
    {
        "letters": (
            "Sure! Here are the main points:\n- A.\n- B.\nLet me know if you need more.",
            ["A.", "B."],
        ),
        "counted points": (f"Here are the three main points:\n- {TRUE}", [TRUE]),
        "long lead-in": (
            f"Based on the passages, here are the main differences between Mixtral and Llama:\n1. {TRUE}",
            [TRUE],
        ),
        "numbered lead-in": (f"**1. Router:**\n- {TRUE}", [TRUE]),
        "open lead-in": (f"The differences between Mixtral and the dense Llama include:\n\n- {TRUE}", [TRUE]),
        "summary": ("## Summary\nText.", ["Text."]),
        "titles": (f"# Answer\n## Mixtral 8x7B\n{TRUE}", [TRUE]),
        "a title that asks": (f"{TRUE}\n## How is it trained?\n{TRUE}", [TRUE, TRUE]),
        "title of a decline": ("## Answer\nThe passages do not say.", []),
        "question": ("How many experts? Two of eight.", ["Two of eight."]),
        "question behind padding": (f"Great question! What is in Mixtral? {TRUE}", [TRUE]),
        "does it help": (f"{TRUE} Does that help?", [TRUE]),
        "more": (f"{TRUE}\n\nWould you like more details?", [TRUE]),
        "about": (f"{TRUE} Let me know if you'd like to know more about the router!", [TRUE]),
        "ask": (f"{TRUE} Feel free to ask if you have any other questions.", [TRUE]),
        "anything else": (f"{TRUE} Is there anything else you would like to know?", [TRUE]),
        "unclear": (f"{TRUE} Please let me know if anything is unclear.", [TRUE]),
    }
)
def test_ordinary_answers_have_no_bogus_claims(text, expected):
    """Titles, lead-ins, the question said again, and offers are no claims where they introduce or pad."""
    assert texts(split_claims(text)) == expected


@pytest.mark.parametrize(
    "text",
    whole(
        "The documents do not say.",
        "the documents do not say",
        "**The documents do not say.**",
        "The passages do not mention DBRX.",
        "The provided context does not contain information about DBRX.",
        "The context provided doesn’t contain any specific information on the training of DBRX.",
        "The given information does not include details about that.",
        "The text does not explicitly state how many hours it took.",
        "The passages contain no information about DBRX.",
        "The document makes no mention of it.",
        "None of the passages mention DBRX.",
        "I don't know.",
        "I cannot answer this from the passages.",
        "I can't find any information about this in the documents.",
        "I am unable to determine this from the sources.",
        "I'm not sure.",
        "I do not have enough information to answer.",
        "There is no information about DBRX in the passages.",
        "There is no mention of DBRX.",
        "There is not enough information to answer the question.",
        "No information about DBRX is given.",
        "It is not mentioned in the text.",
        "It is not specified.",
        "The exact number is not mentioned.",
        "The answer is not in the documents.",
        "There is no specific information provided about DBRX.",
        "The number of hours that the training took isn't stated in the excerpts.",
        "Not mentioned in the passages.",
        "The question cannot be answered from the context.",
        "Unfortunately, the documents do not say.",
        "Sorry, the article does not provide this number.",
        "I'm sorry, but I cannot answer that.",
        "Based on the passages, I cannot say how many there are.",
        "Based on the provided context, it is not stated.",
        "The passages do not say how many, so I cannot answer.",
        "While the passages discuss Mixtral, they do not mention DBRX.",
        "The documents do not say. They only discuss Mixtral. Please provide more context.",
        "The passages do not say how Mixtral and DBRX differ.",
        "The passages do not say how many of the eight experts are used for each token.",
        "The passages do not mention the licence and cost of DBRX.",
        "The passages do not explain the difference between Mixtral and DBRX in cost.",
        "The passages do not state which router is used.",
        "I do not know, based on the passages.",
        "I'm not sure how many experts there are.",
        "I'm not sure about the number of experts.",
        "The provided context does not contain information about that topic.",
        "The documents do not contain any information on retrieval-augmented generation (RAG).",
        "There is no information in the passages that says how many experts DBRX has.",
        "The passages only cover Mixtral, so I cannot answer.",
        "The sources do not specify who trained the model or when it was trained.",
    ),
)
def test_stock_phrases_decline(text):
    """Whoever says only that the sources, or they themselves, do not say, declines."""
    assert declines(text)
    assert split_claims(text) == ()


@pytest.mark.parametrize(
    "text",
    whole(
        "",
        "Sorry.",
        "Please provide more context.",
        "No.",
        "The router does not use attention.",
        "The RAG model of Lewis and colleagues is not trained on the query encoder and the generator.",
        "The encoder is not trained.",
        "Mixtral does not say goodbye to attention.",
        "It does not say goodbye to attention.",
        "The text encoder does not provide gradients.",
        "The context does not include more than 32,768 tokens.",
        "The weights are not given to the router.",
        "There is no loss of information in the router.",
        "There is no information bottleneck.",
        "No information is lost.",
        "No data parallelism is used in the paper's model.",
        "I do not think so.",
        "We cannot see inside the experts.",
        "The passages do not say, but it is 8.",
        "The passages do not say; it is 8.",
        "The passages do not say, it is 8.",
        "The passages do not say. It is 8.",
        "The documents do not say how many, because Mixtral has 8 of them.",
        "Mixtral uses 8 experts and its licence is not mentioned in the text.",
        "According to the passages, Mixtral does not use dropout.",
        "The documents do not say. " * 4,
        "We do not provide refunds for digital goods.",
        "Unfortunately, we do not provide refunds for digital goods.",
        "I'm sorry, but we do not cover water damage.",
        "We did not find a significant effect of the drug.",
        "I did not find any side effects.",
        "The paper does not describe a training schedule.",
        "The manual does not list a part number.",
        "No references are included.",
        "No details are provided.",
        "There is no data.",
        "Lunch is not provided.",
        "It is not provided.",
        "The source does not provide power.",
    ),
)
def test_answers_do_not_decline(text):
    """A negative statement about the world, or an answer behind a stock phrase, is an answer."""
    assert not declines(text)
