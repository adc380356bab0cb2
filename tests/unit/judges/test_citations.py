"""Precision and recall of citations: what is held against what, what is a breach by itself, what is said."""

from __future__ import annotations

import time

import pytest
from rag_evals.evals.engine.reuse import scores_key
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard
from rag_evals.evals.judges.calibration.probe import Probe
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.citations.reading import CITATION_METRICS, MOST_PAIRS
from rag_evals.evals.judges.entailment import EntailmentScorer
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import (
    Evaluation,
    answer_from_json,
    answer_to_json,
    evaluation_from_json,
    evaluation_to_json,
)
from rag_evals.evals.runs.masking import without_secrets
from rag_evals.evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag_evals.rag.answer import Answer, Citation, Context, Tokens
from rag_evals.rag.profile import NOTHING_SAID
from rag_evals.rag.retrieval.entailment import Entailment, Entailments, Form

QUESTION = Question("q", "How many experts has Mixtral?")
EXPERTS = Context("Mixtral has eight experts.", "moe.pdf", 3)
ROUTER = Context("Routers pick two of them.", "guides/intro.md")
DENSE = Context("Dense models use all weights.", "moe.pdf", 5, page_end=6)
CONTEXTS = (EXPERTS, ROUTER, DENSE)


def judged(text, supports=(), contexts=CONTEXTS, asked=None, card=None, **told):
    """Judge an answer with a model that finds each claim supported (0.9) but those of `supports`.

    Each has words that the whole prompt has, and the probability that it gives then; the first counts.
    """

    def reply(prompt):
        whole = "".join(prompt.parts)
        if asked is not None:
            asked.append(whole)
        yes = next((value for words, value in supports if all(word in whole for word in words)), 0.9)
        return {"yes": yes, "no": 1 - yes}

    judge = CalibratedJudge(
        ChoiceScorer(ScriptedLLM(*[reply] * 500)), metrics=CITATION_METRICS, asked_card=card
    )
    scores = judge.score_now(QUESTION, Answer(text, contexts, **told)).scores
    return {score.metric.removeprefix("citation_"): score for score in scores}


def values(score):
    return [(claim.text, claim.value and round(claim.value, 2)) for claim in score.claims]


def test_each_claim_is_held_against_what_it_cites_alone():
    """Without the marks, next to the cited passage, in the words of faithfulness; each pair is read once."""
    asked = []
    found = judged("Sure! Mixtral has eight experts [1]. It picks two of them.[2]", asked=asked)
    assert asked == [
        "Passage 1:\nMixtral has eight experts.\n\nQuestion: How many experts has Mixtral?\n"
        "Statement: Mixtral has eight experts.\n\n"
        "Can the statement be inferred from the passages above? Answer no or yes.",
        "Passage 1:\nRouters pick two of them.\n\nQuestion: How many experts has Mixtral?\n"
        "Statement: Mixtral has eight experts. It picks two of them.\n\n"
        "Can the statement be inferred from the passages above? Answer no or yes.",
    ]
    said = [("Mixtral has eight experts [1].", 0.9), ("It picks two of them.", 0.9)]
    assert values(found["precision"]) == values(found["recall"]) == said
    first, second = found["precision"].claims
    assert first.citations == (Citation(32, 35, (0,), mark="[1]"),)
    assert first.closest == EXPERTS
    assert second.citations == (Citation(58, 61, (1,), mark="[2]"),)


def test_a_citation_that_does_not_support_its_sentence():
    """Is named, with what it cites and what of the sentence is not there."""
    found = judged("Mixtral has eight experts [2].", [(["Routers pick"], 0.1)])
    assert (found["precision"].value, found["recall"].value) == pytest.approx((0.1, 0.1))
    assert found["precision"].evidence == (
        '"Mixtral has eight experts [2]." is not supported by what it cites '
        "(cited: [2]; unsupported: Mixtral, eight, experts; closest: guides/intro.md)"
    )
    assert found["recall"].evidence == (
        '"Mixtral has eight experts [2]." cites nothing that supports it '
        "(cited: [2]; unsupported: Mixtral, eight, experts; closest: guides/intro.md)"
    )


def test_a_claim_that_cites_nothing():
    """Lowers recall by its share, and precision not at all."""
    found = judged("Mixtral has eight experts [1]. Dense models are slower. They use all weights.")
    assert found["precision"].value == pytest.approx(0.9)
    assert found["recall"].value == pytest.approx(0.3)
    assert found["recall"].evidence == (
        '"Dense models are slower." cites nothing; "They use all weights." cites nothing'
    )


@pytest.mark.parametrize(
    ("text", "contexts", "fault"),
    [
        ("Eight [9].", CONTEXTS, "cites passage 9, and 3 were retrieved"),
        ("Eight [9].", (EXPERTS,), "cites passage 9, and 1 was retrieved"),
        ("Eight [1].", (), "cites passage 1, and none was retrieved"),
        ("Eight [gone.pdf].", CONTEXTS, "cites gone.pdf, which was not retrieved"),
        ("Eight [gone.pdf p.2].", CONTEXTS, "cites gone.pdf p.2, which was not retrieved"),
        ("Eight [moe.pdf p.9].", CONTEXTS, "cites moe.pdf p.9, and of it only p.3, p.5-6 was retrieved"),
        ("Eight [p. 9].", CONTEXTS, "cites p.9, of which nothing was retrieved"),
    ],
)
def test_what_was_not_retrieved_is_a_breach_by_itself(text, contexts, fault):
    """Whatever else is cited, and whatever a model would say: none is asked."""
    asked = []
    found = judged(text, contexts=contexts, asked=asked)
    for score in found.values():
        assert (score.value, score.evidence) == (0.0, f'"{text}" {fault}')
        assert [claim.fault for claim in score.claims] == [fault]
    assert asked == []


def test_one_of_several_that_was_not_retrieved():
    """Precision is that of the worst citation; recall has one that supports the claim."""
    found = judged("Mixtral has eight experts [1][9]. It picks two [2][7][8].")
    assert (found["precision"].value, found["recall"].value) == pytest.approx((0.0, 0.9))
    assert found["precision"].mean == pytest.approx(1.8 / 5)
    assert found["precision"].evidence == (
        '"Mixtral has eight experts [1][9]." cites passage 9, and 3 were retrieved; '
        '"It picks two [2][7][8]." cites passage 7, and 3 were retrieved; '
        '"It picks two [2][7][8]." cites passage 8, and 3 were retrieved'
    )
    more = judged("Mixtral has eight experts [6][7][8][9].")["precision"].evidence
    assert more == "; ".join(
        [
            *(
                f'"Mixtral has eight experts [6][7][8][9]." cites passage {n}, and 3 were retrieved'
                for n in (6, 7, 8)
            ),
            "and 1 more",
        ]
    )


ALONE = ([f"Passage 1:\n{EXPERTS.text}\n\n", "Statement"], [f"Passage 1:\n{ROUTER.text}\n\n", "Statement"])


@pytest.mark.parametrize(
    ("first", "second", "precision", "recall"),
    [
        (0.2, 0.3, [0.7, 0.8], 0.9),  # neither says all of it, both together do: each is needed
        (0.9, 0.1, [0.9, 0.1], 0.9),  # the first says all of it: the second is not needed
        (0.8, 0.7, [0.8, 0.7], 0.9),  # each says it
    ],
)
def test_several_citations_of_one_sentence(first, second, precision, recall):
    """A citation counts that supports its sentence alone, or without which the others do not."""
    found = judged("Eight experts, and two are picked [1][2].", [(ALONE[0], first), (ALONE[1], second)])
    assert [claim.value for claim in found["precision"].claims] == pytest.approx(precision)
    assert found["recall"].value == pytest.approx(recall)


def test_passages_of_a_document_count_together():
    """A document without a page is all that was retrieved of it."""
    asked = []
    judged("Eight experts, dense ones all [moe.pdf].", asked=asked)
    assert [one.partition("\n\n")[0] for one in asked] == ["Passage 1:\n" + f"{EXPERTS.text} {DENSE.text}"]


def test_an_answer_without_citations():
    """Nothing can be said of it, but where it was to cite."""
    found = judged("Mixtral has eight experts.")
    assert [(score.value, score.reason) for score in found.values()] == [
        (None, "the answer cites nothing"),
        (None, "the answer cites nothing, and nothing says that its pipeline is to cite"),
    ]
    found = judged("Mixtral has eight experts.", cites=True)
    assert (found["precision"].value, found["precision"].reason) == (None, "the answer cites nothing")
    assert (found["recall"].value, found["recall"].evidence) == (
        0.0,
        '"Mixtral has eight experts." cites nothing, and its pipeline is to cite',
    )


def test_a_decline_needs_no_citation():
    """It claims nothing, and may cite what it declines on."""
    for score in judged("The documents do not say.", cites=True).values():
        assert (score.value, score.reason) == (None, "the answer declines: it makes no claim")
        assert [decline.by for decline in score.declines] == ["rule"]
    found = judged("The documents do not say. [1]")
    assert [score.reason for score in found.values()] == [
        "what the answer cites stands behind nothing that it claims",
        "the answer makes no claim that needs a citation",
    ]


def test_what_a_service_tells():
    """Offsets of what is cited for, of marks, none at all; each wrong one is at fault."""
    text = "Mixtral has eight experts. Routers pick two."
    told = (Citation(0, 25, (0,)), Citation(27, 43, document="intro.md"))
    found = judged(text, citations=told)
    assert values(found["precision"]) == [("Mixtral has eight experts.", 0.9), ("Routers pick two.", 0.9)]
    wrong = (Citation(90, 120, (0,)), Citation(0, 25, (7,)), Citation(0, 25, (-1,)), Citation(0, 5))
    found = judged(text, citations=(*wrong, Citation(document="gone.pdf")))
    assert [(claim.text, claim.fault) for claim in found["precision"].claims] == [
        ("Mixtral has eight experts.", "cites passage 8, and 3 were retrieved"),
        ("Mixtral has eight experts.", "cites passage 0, and 3 were retrieved"),
        (
            "Mixtral has eight experts.",
            "cites nothing that can be told: no passage, no document, no page",
        ),
        (text, "cites gone.pdf, which was not retrieved"),
        (text, "is cited for at characters 90 to 120, and the answer has 44"),
    ]


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Gold is dear [1]. Tin is cheap.", [["[1]"], []]),
        ("Gold is dear. [1] Tin is cheap.", [["[1]"], []]),
        ("Gold is dear. [1] says that tin is cheap.", [[], ["[1]"]]),
        ("[1] Gold is dear.\n[2] Tin is cheap.", [["[1]"], ["[2]"]]),
        ("Gold is dear.\n[1]\n\nTin is cheap.", [["[1]"], []]),
        ("Gold is dear.\n\n[1]\n\nTin is cheap.", [[], []]),
        ("- Gold is dear [1]\n- Tin is cheap [2]\n", [["[1]"], ["[2]"]]),
        ("| Metal | Price |\n|---|---|\n| Gold | dear [1] |\n| Tin | cheap [2] |", [["[1]"], ["[2]"]]),
        ("According to [1], gold is dear, and [2] agrees. Tin is cheap.", [["[1]", "[2]"], []]),
    ],
)
def test_which_sentence_a_mark_stands_behind(text, cited):
    """The one that it is in; the one before it on its line; at the beginning of a line the one behind it."""
    claims = judged(text, cites=True)["recall"].claims
    assert [[one.mark for one in claim.citations] for claim in claims] == cited


def test_a_long_answer_is_taken_apart_in_a_moment():
    """However many marks and sentences it has."""
    text = "Gold is dear [9]. " * 1_100
    start = time.process_time()
    assert judged(text)["precision"].value == 0.0
    assert time.process_time() - start < 5.0


def test_what_is_cited_for_the_whole_answer():
    """It counts by the claim that it supports best, and for each claim that it supports."""
    text = "Mixtral has eight experts. Routers pick two."
    found = judged(text, [(["Routers pick two.\n"], 0.2)], citations=(Citation(contexts=(0,)),))
    assert values(found["precision"]) == [("Mixtral has eight experts.", 0.9)]
    assert [claim.value for claim in found["recall"].claims] == pytest.approx([0.9, 0.2])


def test_too_many_pairs_are_not_read():
    """They would take a quarter of an hour."""
    contexts = tuple(Context(f"Fact {n}.") for n in range(60))
    text = " ".join(f"Claim {n} holds [{n}-{n + 15}]." for n in range(1, 15))
    reason = judged(text, contexts=contexts)["precision"].reason
    assert reason == (f"238 pairs of a sentence and what it cites are to be read; at most {MOST_PAIRS} are")


def test_a_claim_without_a_verdict():
    """Leaves the score without one, as with other metrics."""
    llm = ScriptedLLM(*[{"maybe": 1.0}] * 9)
    judge = CalibratedJudge(ChoiceScorer(llm), metrics=CITATION_METRICS)
    scores = judge.score_now(QUESTION, Answer("Eight [1].", CONTEXTS)).scores
    reason = "only 0.00 of the judge's probability fell on yes or no"
    assert [(score.value, score.reason) for score in scores] == [(None, reason), (None, reason)]


# --- calibration ---


def _card(probe=None):
    calibration = Calibration("faithfulness", {"yes": 1.0}, -5.0, None, 0.4, probe)
    card = MetricCard(calibration, None, None, None, {}, {}, {}, 1.0, 0.0, 0.0)
    return JudgeCard("choice", "f", {}, (card,))


def test_scores_are_calibrated_as_faithfulness_is():
    """By the card of the model asked claim by claim; what a rule found stays as it is."""
    found = judged("Eight [1]. Two [9].", card=_card())
    assert [round(claim.value, 3) for claim in found["precision"].claims] == [0.057, 0.0]


def test_a_probe_of_hidden_states_is_nothing_to_go_by():
    """Citations are read by asking: with a card of states alone the probabilities count as they are."""
    found = judged("Eight [1].", card=_card(Probe("", 0.0)))
    assert found["precision"].value == pytest.approx(0.9)


def test_the_fingerprint_of_a_judge_has_the_card_that_its_citations_are_read_by():
    """And is that of before where there is none."""
    scorer = ChoiceScorer(ScriptedLLM())
    plain, asked = CalibratedJudge(scorer), CalibratedJudge(scorer, asked_card=_card())
    assert plain.fingerprint == CalibratedJudge(scorer, metrics=CITATION_METRICS).fingerprint
    assert plain.fingerprint != asked.fingerprint
    assert asked.profile.identity["asked card"] == _card().digest


# --- trained judges ---


class Pairs:
    """An entailment model that finds a claim supported where the premise has its last word."""

    name, fingerprint, profile, limit = "pairs", "pairs", NOTHING_SAID, 512
    form = Form("nli", "pairs")

    def count_tokens(self, text):
        return len(text.split())

    def read(self, asks):
        found = [
            Entailment(0.95 if claim.split()[-1].strip(".") in premise else 0.05) for premise, claim in asks
        ]
        return Entailments(tuple(found), Tokens(len(asks)))


def test_trained_judges_read_citations_too():
    """The same claims, each as a pair with what it cites."""
    scorer = EntailmentScorer(Pairs())
    answer = Answer("Mixtral has eight experts [1]. It picks weights [2].", CONTEXTS)
    read = scorer.read(CITATION_METRICS, QUESTION, answer)
    assert [(item.text, item.value) for item in read["citation_precision"].items] == [
        ("Mixtral has eight experts [1].", 0.95),
        ("It picks weights [2].", 0.05),
    ]
    assert [item.value for item in read["citation_recall"].items] == [0.95, 0.05]
    # Each pair is read once, whichever metric asks for it first.
    assert [read[metric].tokens.evaluated for metric in CITATION_METRICS] == [2, 0]
    nothing = scorer.read(CITATION_METRICS, QUESTION, Answer("The documents do not say.", CONTEXTS))
    assert nothing["citation_recall"].reason == "the answer declines: it makes no claim"


# --- what is kept ---


def _evaluation(text="Eight [1]. Two [9].", **told):
    answer = Answer(text, CONTEXTS, **told)
    scores = tuple(judged(text, **told).values())
    return Evaluation(QUESTION, "mine", answer, scores, {"citation_precision": 0.5})


def test_records_carry_citations():
    """Those that a service told, and each verdict with what was cited; absent where nothing is said."""
    told = _evaluation(citations=(Citation(0, 5, (0,)), Citation(document="moe.pdf", page=3)), cites=True)
    for evaluation in (_evaluation(), told):
        line = evaluation_to_json(evaluation)
        read = evaluation_from_json(line)
        assert (read.answer, read.scores) == (evaluation.answer, evaluation.scores)
    assert line["citations"] == [{"start": 0, "end": 5, "contexts": [0]}, {"document": "moe.pdf", "page": 3}]
    assert line["cites"] is True
    first, second = evaluation_to_json(_evaluation())["scores"]["citation_precision"]["claims"]
    assert first["citations"] == [{"start": 6, "end": 9, "contexts": [0], "mark": "[1]"}]
    assert "fault" not in first
    assert second["fault"] == "cites passage 9, and 3 were retrieved"
    plain = Answer("Eight.", CONTEXTS)
    assert not {"citations", "cites"} & (
        answer_to_json(plain).keys() | evaluation_to_json(Evaluation(QUESTION, "mine", plain, (), {})).keys()
    )
    assert answer_from_json(answer_to_json(told.answer)) == told.answer


def test_citations_move_with_the_answer_that_is_masked():
    """They stay where their marks are."""
    key = "sk-" + "a1" * 15
    text = f"The key is {key} [1]."
    masked = without_secrets(
        _evaluation(text, citations=(Citation(len(text) - 4, len(text) - 1, (0,), mark="[1]"),)), texts=True
    )
    assert masked.answer.text == "The key is *** [1]."
    (claim,) = masked.scores[0].claims
    for citation in (*masked.answer.citations, *claim.citations):
        assert masked.answer.text[citation.start : citation.end] == "[1]"


def test_the_key_of_a_judgement_of_citations():
    """What is told beside the text counts for metrics of citations, and for no other."""
    plain, told = Answer("Eight.", CONTEXTS), Answer("Eight.", CONTEXTS, citations=(Citation(0, 5, (0,)),))

    def key(answer, *metrics):
        return scores_key(Task(FakePipeline({}), QUESTION, FakeJudge({}), metrics, "mine"), answer)

    assert key(plain, "faithfulness") == key(told, "faithfulness")
    keys = {
        key(answer, "citation_recall") for answer in (plain, told, Answer("Eight.", CONTEXTS, cites=True))
    }
    assert len(keys) == 3
