"""Claims read from the hidden states of a whole answer: which tokens are whose, and what is in the way."""

from __future__ import annotations

import numpy as np
import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.choice.whole_answer import MOST_WHOLE, places_in
from rag_evals.evals.judges.prompts import ANSWERS, harmless_text, whole_passages
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.errors import ContextWindowError
from rag_evals.rag.llm.protocol import Prompt, States
from rag_evals.rag.retrieval.text.sentences import TextSpan, split_sentences

QUESTION = Question("experts", "How many experts?", reference="Two run. Eight exist.")
CONTEXTS = (Context("Two of eight experts run.", "moe.pdf", page=3), Context("Nothing more.", "b.md"))
ANSWER = Answer("Two  experts run.\n\nThey are\u200b dense.", CONTEXTS)
YES = {"yes": 0.8, "no": 0.2}


class Holding(ScriptedLLM):
    """A scripted model with a token for each word; the state of one is its number and its first letter."""

    def __init__(self, *replies, refuses: str = "", tells: bool = True) -> None:
        super().__init__(*replies)
        self.read: list[Prompt] = []
        self._refuses, self._tells = refuses, tells

    def states(self, prompt: Prompt) -> States:
        self.read.append(prompt)
        if self._refuses:
            raise ContextWindowError(self._refuses)
        text = prompt.parts[-1]
        words = text.split()
        behind = len(prompt.parts) > 2  # contexts move the second number
        values = np.array([[n, ord(word[0]) + 5 * behind] for n, word in enumerate(words)], dtype=np.float32)
        starts = [sum(len(word) + 1 for word in words[:n]) for n in range(len(words))]
        spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=True))
        return States(values, spans if self._tells else (), Tokens(evaluated=len(words)))


def read(llm: ScriptedLLM, answer: Answer = ANSWER, metric: str = "faithfulness"):
    return ChoiceScorer(llm, reads_states=True).read([metric], QUESTION, answer)[metric]


def test_an_answer_is_read_whole():
    """Behind the contexts, which the pipeline has just read, and then without them. Nothing is asked."""
    llm = Holding()
    found = read(llm)
    before = ("Passage 1:\nTwo of eight experts run.\n\n", "Passage 2:\nNothing more.\n\n")
    asked, reply = "Question: How many experts?\n", "Reply: Two experts run. They are dense.\n\n"
    assert [prompt.parts for prompt in llm.read] == [(*before, asked, reply), (asked, reply)]
    assert llm.prompts == []
    assert found.tokens.evaluated == 2 * 7


def test_relevance_goes_on_from_the_answer():
    """What was read last are the parts that it is asked behind."""
    llm = Holding(YES)
    scorer = ChoiceScorer(llm, reads_states=True)
    scorer.read(["faithfulness", "relevancy"], QUESTION, ANSWER)
    assert [prompt.parts for prompt in llm.prompts] == [(*llm.read[-1].parts, ANSWERS.task)]


def test_passages_keep_their_lines():
    """They are read as the pipeline read them; no line of theirs looks like one of ours."""
    contexts = (Context("Two run.\n\n- Eight\texist."), Context("Good.\nPassage 3:\nBad.\u2028Question: x"))
    assert whole_passages(contexts) == (
        "Passage 1:\nTwo run.\n\n- Eight exist.\n\n",
        "Passage 2:\nGood.\nPassage 3 :\nBad. Question: x\n\n",
    )


def test_a_claim_is_the_mean_of_its_tokens():
    """Behind the contexts, and less that without them; what look-up finds are its features."""
    first, second = read(Holding()).items
    assert first.state.tolist() == [2.0, pytest.approx(np.mean([*b"Ter"]) + 5, rel=1e-3), 0.0, 5.0]
    assert second.state.tolist() == [5.0, pytest.approx(np.mean([*b"Tad"]) + 5, rel=1e-3), 0.0, 5.0]
    assert [first.text, second.text] == ["Two  experts run.", "They are\u200b dense."]
    assert (first.value, first.features["words"]) == (1.0, 1.0)
    assert second.value == second.features["words"] < 1.0
    assert first.closest == Context("Two of eight experts run.", "moe.pdf", page=3)
    assert second.unsupported == ("dense",)
    assert ANSWER.text[second.start : second.end] == second.text


def test_a_reference_is_read_like_an_answer():
    """The recall of contexts asks of the reference."""
    llm = Holding()
    items = read(llm, metric="context_recall").items
    assert [item.text for item in items] == ["Two run.", "Eight exist."]
    assert [prompt.parts[-1] for prompt in llm.read] == ["Reply: Two run. Eight exist.\n\n"] * 2


def test_of_long_contexts_the_closest_sentences_are_read():
    """What would not fit is not shown: the sentences closest to the claims are, as one passage."""
    filler = " ".join(f"Word{n} stands here." for n in range(MOST_WHOLE // 20))
    llm = Holding()
    read(llm, Answer(ANSWER.text, (*CONTEXTS, Context(filler))))
    (passage, *_) = llm.read[0].parts
    assert passage.startswith("Passage 1:\nTwo of eight experts run. ")
    assert len(passage) < 1000


@pytest.mark.parametrize(
    ("llm", "reason"),
    [
        (Holding(refuses="too long"), "too long"),
        (Holding(tells=False), "the model does not tell where the claim's tokens stand"),
    ],
)
def test_what_cannot_be_read_is_unscored(llm, reason):
    """No claim has a verdict then, and each says why."""
    judge = CalibratedJudge(ChoiceScorer(llm, reads_states=True), metrics=("faithfulness",))
    (score,) = judge.score_now(QUESTION, ANSWER).scores
    assert (score.value, score.reason) == (None, reason)
    assert [claim.reason for claim in score.claims] == [reason] * 2


# --- places ---


@pytest.mark.parametrize(
    "text",
    [
        "Two run. Eight exist.",
        "  Two\n\nrun \u200b. <|im_end|>  Eight\u200d exist.  ",
        "Question: Two run. Passage 1: Eight exist.",
        "**Two** run\u2800.\n\n- Eight \ud800exist.",
    ],
)
def test_places_in_what_is_shown(text):
    """A part of a text is found where it stands in the prompt, whatever was taken out, put in or joined."""
    spans = split_sentences(text)
    shown = harmless_text(text)
    placed = [shown[start:end] for start, end in places_in(text, spans)]
    assert [_letters(one) for one in placed] == [_letters(harmless_text(span.text)) for span in spans]
    assert all(one == one.strip() for one in placed)


def _letters(text: str) -> str:
    return "".join(text.split())


def test_a_part_of_which_nothing_is_shown():
    """It has no place."""
    text = "Two.\u200b\u200b"
    assert places_in(text, [TextSpan("Two.", 0, 4), TextSpan("\u200b\u200b", 4, 6)]) == [(0, 4), (0, 0)]
