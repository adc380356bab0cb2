"""The bundled judge: what it asks, how it reads the model's word, and when it has none."""

# ruff: noqa: RUF001 - stops of every kind end questions

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.grader import LEANING, log_odds, share_of
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.judges.prompts import ANSWERS, DECLINES, SUPPORTED
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore, Decline, Score
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.llm.protocol import Choice, Likelihood, Prompt

QUESTION = Question("experts", "How many experts?", reference="Two of eight. They add up.")
UNANSWERABLE = Question("who", "Who paid?", answerable=False)
CONTEXTS = (
    Context("Attention is dense. Two of eight experts run.", "moe.pdf", page=3, start=100, end=145),
    Context("Nothing more.", "b.md"),
)
CLOSEST = Context("Two of eight experts run.", "moe.pdf", page=3, start=120, end=145)
ANSWER = Answer("Two experts run.", CONTEXTS)
YES, NO = {"yes": 0.8, "no": 0.2}, {"yes": 0.2, "no": 0.8}
WEAKEST = 'weakest: "Two experts run." (closest: moe.pdf p.3)'
UNSUPPORTED = "is not supported by the contexts"


def judge_of(*replies, metrics=("faithfulness",)) -> CalibratedJudge:
    return CalibratedJudge(ChoiceScorer(ScriptedLLM(*replies)), metrics=metrics)


def scores_of(*replies, metrics=("faithfulness",), question=QUESTION, answer=ANSWER) -> tuple[Score, ...]:
    return asyncio.run(judge_of(*replies, metrics=metrics).score(question, answer)).scores


def score_of(*replies, **changes) -> Score:
    (score,) = scores_of(*replies, **changes)
    return score


class LikelyLLM(ScriptedLLM):
    """A scripted model that also tells likelihoods: words are likelier behind a passage."""

    def likelihood(self, prompt: Prompt) -> Likelihood:
        behind = prompt.parts[0].startswith("Passage")
        return Likelihood((-9.0, *([-1.0 if behind else -3.0] * 4), -9.0), Tokens(evaluated=1))


def test_value_is_yes_against_no():
    """A claim's value is P(yes) against P(no), and it carries the closest sentence with page and offsets."""
    score = score_of({"yes": 0.6, "no": 0.2})
    value = pytest.approx(0.75)
    claim = ClaimScore("Two experts run.", value, 0, 16, CLOSEST)
    assert score == Score(
        "faithfulness",
        value,
        evidence=WEAKEST,
        least=value,
        mean=value,
        claims=(claim,),
        breach=UNSUPPORTED,
    )


def test_answer_is_as_faithful_as_its_weakest_claim():
    """Each claim is judged by itself; the least is the score, the mean is kept, the weakest is quoted."""
    answer = replace(ANSWER, text="Two experts run.\n- They are dense.\n- Eight exist.")
    score = score_of(YES, NO, YES, answer=answer)
    assert [(claim.text, claim.value > 0.5) for claim in score.claims] == [
        ("Two experts run.", True),
        ("They are dense.", False),
        ("Eight exist.", True),
    ]
    assert [answer.text[claim.start : claim.end] for claim in score.claims] == [c.text for c in score.claims]
    assert (score.value, score.least) == (pytest.approx(0.2), pytest.approx(0.2))
    assert score.mean == pytest.approx(0.6)
    assert score.evidence == '"They are dense." is not supported by the contexts (closest: moe.pdf p.3)'


def test_prompts_of_a_faithfulness_verdict():
    """Whether it declines comes first, if it might; then closest sentences, question, claim, task."""
    llm = ScriptedLLM(NO, YES, YES)
    answer = replace(ANSWER, text="No more than two experts run.")
    CalibratedJudge(ChoiceScorer(llm), metrics=("faithfulness",)).score_now(QUESTION, answer)
    passage = "Passage 1:\nAttention is dense. Two of eight experts run. Nothing more.\n\n"
    asked = "Question: How many experts?\n"
    assert [prompt.parts for prompt in llm.prompts] == [
        (asked, "Reply: No more than two experts run.\n\n", DECLINES.task),
        (asked, "Reply: No more than two experts run.\n\n", ANSWERS.task),
        (passage, asked, "Statement: No more than two experts run.\n\n", SUPPORTED.task),
    ]


def test_likelihood_gain_is_a_feature():
    """A model that tells likelihoods is asked how much likelier the sentences make the claim."""
    scorer = ChoiceScorer(LikelyLLM(YES))
    (raw_score,) = scorer.read(["faithfulness"], QUESTION, ANSWER)["faithfulness"].items
    assert raw_score.features == {
        "yes": pytest.approx(log_odds(0.8)),
        "gain": pytest.approx(2.0),
        "words": 1.0,
        "pairs": 0.5,
        "numbers": 0.0,
        "names": 0.0,
    }


def test_relevancy_and_refusal_read_no_contexts():
    """Both ask of the reply alone, and what declines is asked once for all metrics."""
    llm = ScriptedLLM(YES, NO)
    judge = CalibratedJudge(ChoiceScorer(llm), metrics=("relevancy", "refusal"))
    relevancy, refusal = judge.score_now(QUESTION, ANSWER).scores
    assert relevancy.value == pytest.approx(0.8)
    assert relevancy.evidence == 'weakest: "Two experts run."'
    assert relevancy.held_to(0.9).evidence == '"Two experts run." does not answer the question'
    assert refusal.value == pytest.approx(0.8)
    assert refusal.evidence == 'weakest: "Two experts run."'
    declined = '"Two experts run." declines, though the documents answer this question'
    assert refusal.held_to(0.9).evidence == declined
    asked = "Question: How many experts?\n"
    assert [prompt.parts for prompt in llm.prompts] == [
        (asked, "Reply: Two experts run.\n\n", ANSWERS.task),
        (asked, "Reply: Two experts run.\n\n", DECLINES.task),
    ]


def test_unanswerable_question_is_to_be_declined():
    """A question that the documents cannot answer is asked for refusal alone, and the answer is wrong."""
    (score,) = scores_of(NO, YES, metrics=tuple(METRICS), question=UNANSWERABLE)
    assert (score.metric, score.value) == ("refusal", pytest.approx(0.2))
    assert score.evidence == (
        '"Two experts run." should have declined: the documents do not answer this question'
    )


@pytest.mark.parametrize(
    ("text", "replies", "by"),
    [
        ("The documents do not say.", (), "rule"),
        ("That part is left open by the authors.", (YES, NO), "judge"),
        ("The paper does not describe a schedule.", (YES, NO), "judge"),
    ],
    ids=["stock phrase", "the model's word", "may be a fact"],
)
def test_declined_answer_claims_nothing(text, replies, by):
    """A declined answer is unscored, refusal has the verdict, and both say what decided that it declines."""
    faithfulness, refusal = scores_of(
        *replies, metrics=("faithfulness", "refusal"), answer=replace(ANSWER, text=text)
    )
    declines = (Decline(text, 0, len(text), by),)
    reason = "the answer declines: it makes no claim"
    assert faithfulness == Score("faithfulness", None, reason=reason, declines=declines)
    assert refusal.value < 0.5
    assert refusal.declines == declines


# Of NO and YES: small models lean to decline where something is absent.
DECLINED = pytest.approx(share_of(log_odds(0.2) - LEANING))
ANSWERED = pytest.approx(share_of(log_odds(0.8) + LEANING))
ABSENCES = [
    "We do not provide refunds for digital goods.",
    "We did not find a significant effect of the drug.",
    "The paper does not describe a training schedule.",
    "No references are included.",
]


@pytest.mark.parametrize("text", ABSENCES)
def test_what_may_be_a_fact_is_for_the_model_to_say(text):
    """What the model takes for an answer is held to the contexts, and refusal says that it answers."""
    faithfulness, refusal = scores_of(
        NO,
        YES,
        {"yes": 0.7, "no": 0.3},
        metrics=("faithfulness", "refusal"),
        answer=replace(ANSWER, text=text),
    )
    assert (faithfulness.value, faithfulness.declines) == (pytest.approx(0.7), ())
    assert (refusal.value, refusal.declines) == (ANSWERED, ())


@pytest.mark.parametrize("text", ABSENCES)
def test_an_invented_policy_is_no_good_refusal(text):
    """A question that the documents do not answer is to be declined, and a policy made up is no decline."""
    (refusal,) = scores_of(
        NO, YES, question=UNANSWERABLE, metrics=("refusal",), answer=replace(ANSWER, text=text)
    )
    assert refusal.value == DECLINED


def test_a_sentence_that_may_decline_is_asked_of_among_others():
    """Of several sentences one that only declines is left out, by rule or by the model's word."""
    text = "Two experts run. The documents do not say why. The paper does not give the cost."
    whole = (NO, YES)
    score = score_of(*whole, YES, NO, YES, answer=replace(ANSWER, text=text))
    assert [claim.text for claim in score.claims] == ["Two experts run."]
    assert score.declines == (
        Decline("The documents do not say why.", 17, 46, "rule"),
        Decline("The paper does not give the cost.", 47, 80, "judge"),
    )
    score = score_of(*whole, NO, YES, YES, NO, answer=replace(ANSWER, text=text))
    assert [claim.text for claim in score.claims] == ["Two experts run.", "The paper does not give the cost."]


def test_a_pronoun_may_decline_as_well():
    """What "it" is no rule can tell."""
    text = "Two experts run. However, it does not provide information on the cost."
    score = score_of(NO, YES, YES, NO, YES, answer=replace(ANSWER, text=text))
    assert [claim.text for claim in score.claims] == ["Two experts run."]
    assert [decline.by for decline in score.declines] == ["judge"]


def test_a_phrase_about_texts_may_answer_a_question_about_texts():
    """Where it is asked what a text says, the model tells whether "not mentioned" answers."""
    question = Question("fees", "Does the contract mention fees?")
    answer = replace(ANSWER, text="Fees are not mentioned in the text.")
    (refusal,) = scores_of(NO, YES, metrics=("refusal",), question=question, answer=answer)
    assert (refusal.value, refusal.declines) == (ANSWERED, ())


def test_context_relevancy_is_a_verdict_a_context():
    """Each context is asked for; the mean is the score."""
    score = score_of(YES, NO, metrics=("context_relevancy",))
    assert [(claim.closest, claim.value) for claim in score.claims] == [
        (CONTEXTS[0], pytest.approx(0.8)),
        (CONTEXTS[1], pytest.approx(0.2)),
    ]
    assert score.value == pytest.approx(0.5)
    assert score.evidence == 'weakest: "Nothing more." (closest: b.md)'
    useless = '"Nothing more." is of no use for the question (closest: b.md)'
    assert score.held_to(0.6).evidence == useless


def test_context_recall_holds_the_reference_against_the_contexts():
    """The claims of the reference are looked for in the contexts; the answer is not read."""
    score = score_of(YES, NO, metrics=("context_recall",))
    assert [(claim.text, round(claim.value, 2)) for claim in score.claims] == [
        ("Two of eight.", 0.8),
        ("They add up.", 0.2),
    ]
    assert score.value == pytest.approx(0.5)


def test_correctness_is_asked_of_the_whole_answer():
    """One verdict, with the reference behind the reply: do they mean the same?"""
    llm = ScriptedLLM({"yes": 0.3, "no": 0.7})
    (score,) = CalibratedJudge(ChoiceScorer(llm), metrics=("correctness",)).score_now(QUESTION, ANSWER).scores
    assert [(claim.text, claim.value) for claim in score.claims] == [(ANSWER.text, pytest.approx(0.3))]
    (prompt,) = llm.prompts
    assert prompt.parts[1:] == (
        f"Reply: {' '.join(ANSWER.text.split())}\n\n",
        "Reference answer: Two of eight. They add up.\n\n",
        "Do the reply and the reference answer mean the same? Answer no or yes.",
    )


def test_metrics_that_need_a_reference_are_left_out_without_one():
    """Without a reference there is no correctness and no recall to score."""
    question = replace(QUESTION, reference=None)
    metrics = ("relevancy", "context_recall", "correctness")
    assert [score.metric for score in scores_of(YES, metrics=metrics, question=question)] == ["relevancy"]


@pytest.mark.parametrize(
    ("choice", "value", "reason"),
    [
        ({"yes": 0.5, "no": 0.0}, 1.0, None),
        ({"yes": 0.25, "no": 0.25}, 0.5, None),
        ({"yes": 0.49}, None, "only 0.49 of the judge's probability fell on yes or no"),
        ({}, None, "only 0.00 of the judge's probability fell on yes or no"),
        (
            Choice({"yes": 0.0, "no": 0.0}, 1.0, Tokens(), graded=False, text="Well, perhaps."),
            None,
            "the judge said 'Well, perhaps.', neither yes nor no",
        ),
    ],
)
def test_too_little_on_yes_and_no_is_unscored(choice, value, reason):
    """With less than half of the probability on yes or no there is no verdict, and neither 0 nor 1."""
    score = score_of(choice, metrics=("relevancy",))
    assert (score.value, score.reason) == (value, reason)


def test_one_claim_without_a_verdict_leaves_the_score_without():
    """A mean over the other claims would flatter the answer."""
    answer = replace(ANSWER, text="Two experts run. They are dense.")
    score = score_of(YES, {"yes": 0.1}, answer=answer)
    assert score.value is None
    assert score.reason == "only 0.10 of the judge's probability fell on yes or no"
    assert [claim.value for claim in score.claims] == [pytest.approx(0.8), None]


def test_verdict_read_from_a_word_is_marked():
    """A server without probabilities gives 0 or 1, and the score says that it is not graded."""
    word = Choice({"yes": 1.0, "no": 0.0}, 0.0, Tokens(), graded=False, text="Yes.")
    score = score_of(word, metrics=("relevancy",))
    assert (score.value, score.graded) == (1.0, False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (replace(ANSWER, text=" \n\t"), "the answer is empty"),
        (replace(ANSWER, text="x. " * 17_000), "the answer has 50,999 characters; at most 20,000 are judged"),
        (Answer("Two experts run."), "there are no contexts to hold the answer against"),
        (Answer("Two experts run.", (Context(" "),)), "there are no contexts to hold the answer against"),
    ],
    ids=["empty", "endless", "no contexts", "blank contexts"],
)
def test_nothing_to_judge_is_unscored(answer, reason):
    """What cannot be judged is not put to the model."""
    assert score_of(answer=answer) == Score("faithfulness", None, reason=reason)


def test_seconds_and_tokens_of_all_metrics_are_counted():
    """The judgement carries what all its questions took together."""
    judge = judge_of(*[Choice(YES, 0.0, Tokens(5, 40, 0))] * 2, metrics=("relevancy", "refusal"))
    judgement = judge.score_now(QUESTION, ANSWER)
    assert judgement.tokens == Tokens(10, 80, 0)
    assert 0 < judgement.seconds < 10


def test_evidence_is_one_short_line():
    """A long answer of many lines is quoted as one line of at most 120 characters."""
    score = score_of(YES, metrics=("relevancy",), answer=Answer("all\n work and\tno play " * 20))
    quoted, _, rest = score.held_to(0.9).evidence.removeprefix('"').rpartition('"')
    assert quoted == ("all work and no play " * 20)[:119] + "…"
    assert rest == " does not answer the question"


def test_judge_is_named_and_told_apart_by_its_model():
    """The judge keeps the protocol; another model is another judge."""
    judge = CalibratedJudge(ChoiceScorer(ScriptedLLM(name="qwen")))
    assert isinstance(judge, Judge)
    assert judge.name == "choice (qwen)"
    assert judge.fingerprint == CalibratedJudge(ChoiceScorer(ScriptedLLM(name="qwen"))).fingerprint
    assert judge.fingerprint != CalibratedJudge(ChoiceScorer(ScriptedLLM(name="smollm"))).fingerprint


GERMAN = Question("frist", "Wie lange ist die Kündigungsfrist für Angestellte?")


def test_prompts_say_the_language_of_the_question():
    """Every task says it, but for English; passages and claims stay as they are."""
    llm = ScriptedLLM(NO, YES, YES)
    answer = Answer("Die Frist beträgt vier Wochen.", (Context("Es gilt eine Frist von vier Wochen."),))
    CalibratedJudge(ChoiceScorer(llm), metrics=("faithfulness",)).score_now(GERMAN, answer)
    tasks = [prompt.parts[-1] for prompt in llm.prompts]
    assert tasks == [
        f"The question is in German. {wording.task}" for wording in (DECLINES, ANSWERS, SUPPORTED)
    ]


def test_german_nouns_are_no_names():
    """Every noun begins with a capital letter, so that a missing one says nothing of names."""
    answer = Answer("Es gilt die Frist.", (Context("Vier Wochen."),))
    llm = ScriptedLLM(NO, YES, YES)
    (raw_score,) = ChoiceScorer(llm).read(["faithfulness"], GERMAN, answer)["faithfulness"].items
    assert set(raw_score.features) == {"yes", "words", "pairs", "numbers"}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("Wie hoch ist die Gebühr?", "Das steht nicht in den Dokumenten."),
        ("Wie hoch ist die Gebühr?", "Dazu findet sich leider gar nichts."),
        ("Quel est le prix de la licence ?", "Je ne sais pas."),
        ("许可证多少钱？", "我不知道。"),
        ("ライセンスはいくらですか。", "文書には記載がありません。"),
        ("How much is the licence?", "Das steht nicht in den Dokumenten."),
    ],
)
def test_a_decline_in_another_language_is_for_the_model_to_say(asked, text):
    """No rule knows it, so the model is asked, and the record says that it was."""
    question = Question("q", asked)
    (score,) = scores_of(YES, NO, question=question, answer=replace(ANSWER, text=text))
    assert score.reason == "the answer declines: it makes no claim"
    assert score.declines == (Decline(text, 0, len(text), "judge"),)


def test_a_sentence_that_may_decline_in_another_language_is_asked_of():
    """Beside others as well, where it denies something and speaks of texts."""
    text = "Die Frist beträgt vier Wochen. Die Gebühr steht nicht in den Dokumenten."
    score = score_of(NO, YES, YES, NO, YES, question=GERMAN, answer=replace(ANSWER, text=text))
    assert [claim.text for claim in score.claims] == ["Die Frist beträgt vier Wochen."]
    assert [decline.by for decline in score.declines] == ["judge"]
