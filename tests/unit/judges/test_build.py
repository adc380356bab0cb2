"""From the word of `--evals-judge` to a judge: each form, its card, and what is wrong with others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.build import judge_for, scorer_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.ensemble import EnsembleJudge
from rag_evals.evals.judges.entailment import EntailmentScorer
from rag_evals.evals.judges.llamaindex import LlamaIndexScorer
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.retrieval.entailment import NLI, Entailment, Entailments

QUESTION = Question("experts", "How many experts?")
ANSWER = Answer("Two experts run.", (Context("Two of eight experts run."),))
MEASURED = accuracy([0.9] * 10 + [0.1] * 10, [1] * 10 + [0] * 10, range(20), resamples=50)


class Scripted(ScriptedLLM):
    """A scripted model that says how much it reads at once."""

    context_size = 2048


class Entailing:
    """An entailment model to which everything follows by 0.8."""

    limit, form = 100, NLI

    def __init__(self, name: str) -> None:
        self.name = self.fingerprint = name

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def read(self, pairs):
        return Entailments(tuple(Entailment(0.8, 0.1) for _ in pairs), Tokens(evaluated=9))


class Embedding:
    """An embedder that is only named here."""

    name = fingerprint = "minilm"

    def embed(self, texts):
        raise NotImplementedError


class Models:
    """What judges are made of, and which of it was asked for."""

    def __init__(self, llm: ScriptedLLM | None = None) -> None:
        self.asked: list[str] = []
        self._llm = llm or Scripted(name="qwen")

    def llm(self):
        self.asked.append("llm")
        return self._llm

    def embedder(self):
        self.asked.append("embedder")
        return Embedding()

    def entailment(self, name):
        self.asked.append(f"entailment {name}")
        return EntailmentScorer(Entailing(name))


def card_of(scorer, threshold: float = 0.42) -> JudgeCard:
    calibration = Calibration("faithfulness", {"yes": 2.0}, -1.0, None, threshold)
    metric = MetricCard(
        calibration=calibration,
        accuracy=MEASURED,
        at_half=MEASURED.balanced_accuracy,
        plain=MEASURED.auroc,
        baselines={},
        gains={},
        method={"logistic": 0.3},
        coverage=1.0,
        seconds=0.1,
        tokens=9.0,
    )
    labels = {"name": "labels.jsonl", "digest": "0" * 64, "examples": 20, "sources": 20}
    return JudgeCard(scorer.name, scorer.fingerprint, labels, (metric,))


def write(card: JudgeCard, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card_to_json(card), encoding="utf-8")


@pytest.mark.parametrize(
    ("spec", "kind", "name", "asked"),
    [
        ("choice", ChoiceScorer, "choice (qwen)", ["llm", "embedder"]),
        ("cross-encoder:x", EntailmentScorer, "cross-encoder (x)", ["entailment x"]),
        ("cross-encoder:a/b:c", EntailmentScorer, "cross-encoder (a/b:c)", ["entailment a/b:c"]),
        ("minicheck", EntailmentScorer, "minicheck (qwen)", ["llm"]),
        ("guardian", EntailmentScorer, "guardian (qwen)", ["llm"]),
        ("llamaindex", LlamaIndexScorer, "llamaindex (qwen)", ["llm"]),
    ],
)
def test_each_form_builds_its_reader(spec, kind, name, asked):
    """The word names the reader, and no model is loaded that it does not need."""
    models = Models()
    scorer = scorer_for(spec, models)
    assert (type(scorer), scorer.name, models.asked) == (kind, name, asked)


@pytest.mark.parametrize("spec", ["choice", "cross-encoder:x", "llamaindex"])
def test_each_reader_becomes_a_judge_without_a_card(spec):
    """Without a card the judge has no thresholds of its own."""
    judge = judge_for(spec, Models())
    assert isinstance(judge, CalibratedJudge)
    assert (judge.card, judge.profile.thresholds) == (None, {})


def test_the_metrics_are_passed_on():
    """Of the metrics, those that the reader can read are scored."""
    judge = judge_for("cross-encoder:x", Models(), metrics=("relevancy", "faithfulness"))
    assert judge.profile.settings == {"metrics": ("faithfulness",), "card": None}
    (score,) = judge.score_now(QUESTION, ANSWER).scores
    assert (score.metric, score.value) == ("faithfulness", 0.8)


def test_an_ensemble_of_two(tmp_path):
    """The members are built as by themselves, each with its own card; blanks around the plus are allowed."""
    write(card_of(scorer_for("cross-encoder:x", Models())), tmp_path / "x.json")
    models = Models()
    judge = judge_for("ensemble:choice + cross-encoder:x", models, folders=[tmp_path])
    assert isinstance(judge, EnsembleJudge)
    assert judge.name == "ensemble (choice (qwen), cross-encoder (x))"
    assert models.asked == ["llm", "embedder", "entailment x"]
    assert judge.profile.thresholds == {}
    choice, encoder = judge.profile.settings["members"]
    assert choice["card"] is None
    assert encoder["card"]["labels"]["name"] == "labels.jsonl"


@pytest.mark.parametrize(
    "spec", ["chioce", "choice:qwen", "cross-encoder", "cross-encoder:", "minicheck:x", "llamaindex:x", ""]
)
def test_unknown_forms(spec):
    """Any other word is named, with all forms there are, and nothing is loaded."""
    models = Models()
    with pytest.raises(UsageError) as caught:
        judge_for(spec, models)
    assert str(caught.value) == (
        f"unknown judge {spec!r}: write choice, cross-encoder:NAME, minicheck, guardian, "
        "llamaindex, auto, or "
        "ensemble:JUDGE+JUDGE"
    )
    assert models.asked == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "ensemble:choice+chioce",
            "unknown judge 'chioce': write choice, cross-encoder:NAME, minicheck, guardian, "
            "llamaindex, auto, or "
            "ensemble:JUDGE+JUDGE",
        ),
        (
            "ensemble:",
            "unknown judge '': write choice, cross-encoder:NAME, minicheck, guardian, llamaindex, auto, or "
            "ensemble:JUDGE+JUDGE",
        ),
        (
            "ensemble:choice",
            "an ensemble needs two judges or more, and there is only choice (qwen): add one, or "
            "use it alone.",
        ),
        (
            "ensemble:choice+choice",
            "an ensemble needs judges that differ, and these are the same: choice (qwen), choice (qwen): "
            "leave one out, or give it another model.",
        ),
    ],
)
def test_wrong_ensembles(spec, message):
    """A member that is none, one alone, or the same twice."""
    with pytest.raises(UsageError) as caught:
        judge_for(spec, Models())
    assert str(caught.value) == message


def test_an_ensemble_is_no_reader():
    """What is calibrated are the members."""
    with pytest.raises(UsageError) as caught:
        scorer_for("ensemble:choice+llamaindex", Models())
    assert str(caught.value) == (
        "ensemble:choice+llamaindex has several judges: calibrate each of them, the ensemble uses "
        "their cards."
    )


def test_llamaindex_needs_a_window():
    """A model that does not say what its window holds is refused by the reader's own message."""
    with pytest.raises(UsageError) as caught:
        judge_for("llamaindex", Models(ScriptedLLM(name="far")))
    assert str(caught.value) == (
        "the llamaindex judge packs its prompts by the model's context window, and far does not say how many "
        "tokens that holds: use a local model, one on a server, or another judge."
    )


def test_the_card_found_by_fingerprint_is_used(tmp_path):
    """The first folder with a card of this reader; its calibration and its threshold become the judge's."""
    scorer = scorer_for("cross-encoder:x", Models())
    write(card_of(replaced(scorer, "other")), tmp_path / "home" / "a.json")
    write(card_of(scorer, 0.61), tmp_path / "home" / "b.json")
    write(card_of(scorer, 0.99), tmp_path / "bundled" / "a.json")
    folders = (tmp_path / "gone", tmp_path / "home", tmp_path / "bundled")
    judge = judge_for("cross-encoder:x", Models(), folders=folders)
    assert judge.profile.thresholds == {"faithfulness": 0.61}
    (score,) = judge.score_now(QUESTION, ANSWER).scores
    odds = 4.0**2 / 2.718281828459045  # log odds of 0.8 is log 4; weight 2, intercept -1
    assert score.value == pytest.approx(odds / (1 + odds))
    assert judge.fingerprint != judge_for("cross-encoder:x", Models()).fingerprint


def replaced(scorer, fingerprint: str):
    """Return a reader of the same name with another fingerprint."""
    other = EntailmentScorer(Entailing("x"))
    other.fingerprint = fingerprint
    return other


class Holding(Scripted):
    """A model whose hidden states can be read."""

    def states(self, prompt):
        raise NotImplementedError


def test_a_card_with_a_probe_has_hidden_states_read(tmp_path):
    """Where such a card is found, or given, the model is read by it; else it is asked claim by claim."""
    models = Models(Holding(name="qwen"))
    asking, reading = scorer_for("choice", models), scorer_for("choice", models, reads_states=True)
    assert asking.fingerprint != reading.fingerprint
    assert judge_for("choice", models).fingerprint == CalibratedJudge(asking).fingerprint
    write(card_of(asking, 0.3), tmp_path / "a.json")
    assert judge_for("choice", models, folders=[tmp_path]).profile.thresholds == {"faithfulness": 0.3}
    write(card_of(reading, 0.61), tmp_path / "b.json")
    assert judge_for("choice", models, folders=[tmp_path]).profile.thresholds == {"faithfulness": 0.61}
    given = judge_for("choice", models, card=card_of(reading, 0.7))
    assert given.fingerprint == CalibratedJudge(reading, card=card_of(reading, 0.7)).fingerprint


def test_citations_are_calibrated_by_the_card_of_the_model_that_is_asked(tmp_path):
    """Whatever other metrics are read by; a judge that reads no citations is as it was."""
    models = Models(Holding(name="qwen"))
    asking, reading = scorer_for("choice", models), scorer_for("choice", models, reads_states=True)
    asked, held = card_of(asking, 0.3), card_of(reading, 0.61)
    write(asked, tmp_path / "a.json")
    write(held, tmp_path / "b.json")
    cited = ("faithfulness", "citation_recall")
    judge = judge_for("choice", models, metrics=cited, folders=[tmp_path])
    both = CalibratedJudge(reading, metrics=cited, card=held, asked_card=asked)
    assert judge.fingerprint == both.fingerprint
    assert (
        judge_for("choice", models, metrics=cited, folders=[tmp_path], card=held).fingerprint
        == both.fingerprint
    )
    plain = judge_for("choice", models, metrics=["faithfulness"], folders=[tmp_path])
    assert plain.fingerprint == CalibratedJudge(reading, card=held).fingerprint != both.fingerprint


def test_a_model_elsewhere_has_no_hidden_states():
    """A server's model is asked claim by claim, whatever was wished."""
    plain = scorer_for("choice", Models())
    assert scorer_for("choice", Models(), reads_states=True).fingerprint == plain.fingerprint


def test_a_given_card_goes_before_those_of_the_folders(tmp_path):
    """What is named by hand is used, whatever else is there."""
    scorer = scorer_for("choice", Models())
    write(card_of(scorer, 0.61), tmp_path / "a.json")
    judge = judge_for("choice", Models(), folders=[tmp_path], card=card_of(scorer, 0.3))
    assert judge.profile.thresholds == {"faithfulness": 0.3}


def test_a_card_of_another_judge_is_refused():
    """A card speaks for the reader it was measured with, and for no other."""
    card = replace(card_of(scorer_for("choice", Models())), fingerprint="other")
    with pytest.raises(UsageError) as caught:
        judge_for("choice", Models(), card=card)
    assert str(caught.value) == (
        "the judge card is of choice (qwen) with other weights, prompts or versions than choice (qwen) has "
        "here: calibrate anew with `rag-evals calibrate`, or leave the card out."
    )


def test_a_card_for_an_ensemble_is_refused():
    """It would be of one of the members, or of none: it is never silently left out."""
    card = card_of(scorer_for("choice", Models()))
    with pytest.raises(UsageError) as caught:
        judge_for("ensemble:choice+llamaindex", Models(), card=card)
    assert str(caught.value) == (
        "the judge card is of choice (qwen), and ensemble:choice+llamaindex has several judges: leave "
        "the card out, those of its judges are found by themselves."
    )
