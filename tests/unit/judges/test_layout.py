"""Layout and small talk are no claims, and what stands around a claim is read with it."""

# ruff: noqa: RUF001 - colons, bullets and numbers of every kind are what is tested

from __future__ import annotations

import asyncio
import time

import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.evidence import Evidence
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.claims import read_claims, split_claims
from rag_evals.evals.judges.prompts import SUPPORTED
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.retrieval.text.sentences import split_sentences

TWO = "The router picks two experts."
MLP = "Each expert is an MLP."


def table(cases):
    return pytest.mark.parametrize(("text", "expected"), list(cases.values()), ids=list(cases))


def wholes(text: str) -> list[str]:
    return [claim.whole for claim in read_claims(text).claims]


def shown(text: str) -> list[str]:
    return [span.text for span in split_claims(text)]


@table(
    {
        "sources in bold": (f"{TWO}\n\n**Sources**\n- mixtral.pdf (page 3)\n- b.md", [TWO]),
        "sources with a colon": (f"{TWO} [1]\n\nSources:\n[1] mixtral.pdf, p. 3", [f"{TWO} [1]"]),
        "sources in a line": (f"{TWO}\n\nSources: [1] a.pdf", [TWO]),
        "source right below": (f"{TWO}\nSource: mixtral.pdf, page 3", [TWO]),
        "references of papers": (f"{TWO}\n\n## References\n1. Jiang et al. Mixtral of Experts. 2024.", [TWO]),
        "footnotes": (f"{TWO}[^1]\n\n[^1]: mixtral.pdf, page 3", [f"{TWO}[^1]"]),
        "a link": (f"{TWO}\n\nhttps://example.org/mixtral.html", [TWO]),
        "text behind sources": (f"**Sources**\n- a.pdf\n\n{TWO}", [TWO]),
        "Quellen": (f"{TWO}\n\nQuellen:\n- mixtral.pdf, Seite 3", [TWO]),
        "来源": (f"{TWO}\n\n来源：\n- mixtral.pdf", [TWO]),
        "title in bold": (f"**Key points**\n\n- {TWO}\n- {MLP}", [TWO, MLP]),
        "title in bold, no blank line": (f"**Routing**\n{TWO}\n\n**Experts**\n{MLP}", [TWO, MLP]),
        "underlined title": (f"Routing\n-------\n{TWO}", [TWO]),
        "long title that asks": (f"## How the router of the Mixtral model chooses its experts\n{TWO}", [TWO]),
        "steps": ("## Step 1\nOpen the lid.\n## Step 2\nPress Start.", ["Open the lid.", "Press Start."]),
        "confidence": (f"{TWO}\n\nConfidence: high", [TWO]),
        "confidence in per cent": (f"{TWO}\n\n**Confidence:** 95%", [TWO]),
        "greeting and offer": (f"Hello! {TWO} If you need anything else, just ask!", [TWO]),
        "question to the reader": (f"{TWO} Do you want me to explain how the loss works?", [TWO]),
        "notice": (f"{TWO} Please note that this may change.", [TWO]),
        "adviser": (f"{TWO} Please consult a professional for advice.", [TWO]),
        "what was found": (f"I found the following in the documents. {TWO}", [TWO]),
        "the documents answer": (f"The documents provide the answer. {TWO}", [TWO]),
        "thoughts": (f"<think>The passage says three.</think>\n\n{TWO}", [TWO]),
        "caption": (f"{TWO}\n\n*Table 1: Sizes of experts*", [TWO]),
        "raised footnote": (f"{TWO}¹\n\n¹ mixtral.pdf, p. 3", [f"{TWO}¹"]),
        "disclaimer": (f"As an AI model, I cannot give legal advice. {TWO}", [TWO]),
        "German small talk": (f"Gerne! {TWO} Ich hoffe, das hilft Ihnen weiter.", [TWO]),
        "French small talk": (f"Bonjour ! {TWO} N'hésitez pas à me contacter.", [TWO]),
        "Chinese small talk": ("您好！费用为5元。希望对您有所帮助！", ["费用为5元。"]),
        "quoted lines": (f"> {TWO}\n\n{MLP}", [TWO, MLP]),
        "steps in a line each": ("Step 1. Open.\nStep 2. Press.", ["Step 1. Open.", "Step 2. Press."]),
        "paragraphs of HTML": (f"<p>{TWO}</p><p>{MLP}</p>", [TWO, MLP]),
        "roman numbers": (f"i. {TWO}\nii. {MLP}\niii. Done.", [TWO, MLP, "Done."]),
        "numbers in circles": ("① 打开盖子\n② 按下开始", ["打开盖子", "按下开始"]),
        "Chinese numbers": ("1、打开盖子。\n2、按下开始。", ["打开盖子。", "按下开始。"]),
        "header of a table": ("| Model | Experts |\n|---|---|\n| Mixtral | 8 |", ["| Mixtral | 8 |"]),
    }
)
def test_layout_and_small_talk_are_no_claims(text, expected):
    """Lists of sources, titles, labels, headers, greetings and offers claim nothing of the matter."""
    assert shown(text) == expected


@pytest.mark.parametrize(
    "said",
    [
        "Sources: five of sixteen experts process each token",
        "Source: the router picks five of sixteen experts",
        "Confidence: 5 of 16 experts",
        "[1] says that five of sixteen experts process each token.",
        "Hello, five of sixteen experts process each token.",
        "If you need more, five of sixteen experts process each token.",
        "Do you want me to say that five of sixteen experts process each token?",
        "Please note that this may change to five of sixteen experts.",
        "The documents provide the answer five of sixteen.",
        "Step 1 uses five of sixteen experts",
        "Table 1: the router picks five of sixteen experts",
        "As an AI model, I cannot give more than five of sixteen experts.",
    ],
)
def test_nothing_said_hides_in_layout(said):
    """What says something is a claim, whatever it is dressed as; also below a title of sources."""
    assert shown(f"{TWO}\n\n{said}") == [TWO, said]
    assert shown(f"{TWO}\n\n**Sources**\n- five of sixteen experts process each token") == [
        TWO,
        "five of sixteen experts process each token",
    ]


@table(
    {
        "row": (
            "| Plan | Storage (GB) |\n| :--- | ---: |\n| Basic | 5 |\n| Pro | 50 |",
            ["Plan: Basic; Storage (GB): 5", "Plan: Pro; Storage (GB): 50"],
        ),
        "row without outer marks": ("Plan | GB\n--- | ---\nBasic | 5", ["Plan: Basic; GB: 5"]),
        "row with a title of its own": (
            "| | Basic | Pro |\n|---|---|---|\n| Storage | 5 | 50 |",
            ["Storage; Basic: 5; Pro: 50"],
        ),
        "row without a header": ("| Basic | 5 |\n| Pro | 50 |", ["| Basic | 5 |", "| Pro | 50 |"]),
        "row behind a lead-in": (
            "The plans of 2024 are:\n\n| Plan | GB |\n|---|---|\n| Basic | 5 |",
            ["The plans of 2024 are:", "The plans of 2024 are: Plan: Basic; GB: 5"],
        ),
        "bullet": (
            "The Basic plan includes:\n- email support\n- a trial",
            ["The Basic plan includes: email support", "The Basic plan includes: a trial"],
        ),
        "bullet that says all": (
            "To start it:\n- Turn the key to the right and wait.\n- Wait.",
            ["Turn the key to the right and wait.", "To start it: Wait."],
        ),
        "lead-in of itself": (
            "Based on the given passages, here are the benefits of massage:\n- less pain",
            ["the benefits of massage: less pain"],
        ),
        "bullet behind a blank line": (
            "The Basic plan includes:\n\n- email support",
            ["The Basic plan includes: email support"],
        ),
        "bullet in a bullet": (
            "- **Router**\n  - picks two\n- **Experts**\n  - are MLPs",
            ["Router: picks two", "Experts: are MLPs"],
        ),
        "bullet below a title": ("## Refunds\n- within 30 days", ["Refunds: within 30 days"]),
        "bullet behind what says nothing": (f"Here are the main points:\n- {TWO}", [TWO]),
        "text behind a list": (
            f"The plan includes:\n- email support\n\n{TWO}",
            ["The plan includes: email support", TWO],
        ),
        "it": (f"{TWO} It is a small network.", [TWO, f"{TWO} It is a small network."]),
        "it, twice": (
            f"{TWO} It is small. It is fast.",
            [TWO, f"{TWO} It is small.", f"{TWO} It is fast."],
        ),
        "this": (f"{MLP} {TWO} This saves time.", [MLP, TWO, f"{TWO} This saves time."]),
        "however, they": (f"{MLP} However, they differ.", [MLP, f"{MLP} However, they differ."]),
        "it at first": ("It is small.", ["It is small."]),
        "German": (
            "Der Router wählt zwei. Er ist klein.",
            ["Der Router wählt zwei.", "Der Router wählt zwei. Er ist klein."],
        ),
        "Chinese": (
            "路由器选择两个专家。它很小。",
            ["路由器选择两个专家。", "路由器选择两个专家。 它很小。"],
        ),
        "a name that begins like it": (f"{TWO} Italy is far.", [TWO, "Italy is far."]),
        "not over a title": (f"{TWO}\n## Cost\nIt is high.", [TWO, "It is high."]),
    }
)
def test_what_stands_around_a_claim_is_read_with_it(text, expected):
    """A row is read with its header, a bullet with its lead-in, what points back with what it points to."""
    assert wholes(text) == expected


def test_the_claim_that_is_shown_is_the_sentence():
    """A claim is put to the judge with what it is read behind; its text and offsets are its own."""
    text = f"{TWO} It is small.\n\n| Plan | GB |\n|---|---|\n| Basic | 5 |"
    llm = ScriptedLLM(*[{"yes": 0.8, "no": 0.2}] * 3)
    contexts = (Context("Nothing.\n\n| Plan | GB |\n|---|---|\n| Basic | 7 |"),)
    judge = CalibratedJudge(ChoiceScorer(llm), metrics=("faithfulness",))
    (score,) = asyncio.run(judge.score(Question("q", "How many?"), Answer(text, contexts))).scores
    assert [claim.text for claim in score.claims] == [TWO, "It is small.", "| Basic | 5 |"]
    assert [text[claim.start : claim.end] for claim in score.claims] == [claim.text for claim in score.claims]
    assert [prompt.parts[-2] for prompt in llm.prompts] == [
        f"Statement: {TWO}\n\n",
        f"Statement: {TWO} It is small.\n\n",
        "Statement: Plan: Basic; GB: 5\n\n",
    ]
    assert {prompt.parts[-1] for prompt in llm.prompts} == {SUPPORTED.task}
    assert "Plan: Basic; GB: 7" in llm.prompts[2].parts[0]


def test_a_row_of_a_context_is_shown_as_it_stands():
    """A row is found by its header as well; what is shown has its own text and place."""
    text = "| Plan | GB |\n|---|---|\n| Basic | 7 |\n| Pro | 50 |"
    evidence = Evidence([Context(text, "a.md", start=10, end=10 + len(text))])
    (row,) = evidence.closest("The Basic plan has 7 GB.", count=1)
    assert (row.text, row.start, row.end) == ("| Basic | 7 |", 34, 47)
    assert [context.text for context in evidence.as_read([row])] == ["Plan: Basic; GB: 7"]


@pytest.mark.parametrize(
    "unit", ["| a ", "|-", "- a\n  ", "<p>", "**a**\n", "Sources: ", "[1] ", "http://a ", "It "]
)
def test_hostile_layout_takes_linear_time(unit):
    """50,000 characters of any mark take a fraction of a second."""
    text = unit * (50_000 // len(unit))
    start = time.process_time()
    read_claims(text)
    split_sentences(text)
    assert time.process_time() - start < 5
