"""From labelled answers to a judge card: what is weighed, how it is measured, and what is refused."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.judges.calibration.calibrate import _groups, calibrate, metric_card, observe
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.calibration.judge_card import JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.calibration.labels.examples import Labelled, labels_digest
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens

Features = Mapping[str, float]


class Told:
    """A reader that sees in each example what it was told to, by the example's id.

    Args:
        seen: The features of each claim; None for no verdict. The model's own word is `yes`, as log odds.
        metrics: What it reads.
    """

    name, fingerprint = "told", "f" * 64

    def __init__(
        self, seen: Mapping[str, Sequence[Features] | None], metrics: tuple[str, ...] = ("relevancy",)
    ) -> None:
        self.metrics = metrics
        self.asked: list[tuple[str, str, bool]] = []
        self._seen = seen

    def read(self, metrics: Sequence[str], question: Question, answer: Answer) -> Mapping[str, RawScores]:
        self.asked += [(metric, question.id, question.answerable) for metric in metrics]
        return {metric: self._readings(question) for metric in metrics}

    def _readings(self, question: Question) -> RawScores:
        claims = self._seen[question.id]
        if claims is None:
            return RawScores(tokens=Tokens(evaluated=10), reason="the reader was told nothing")
        items = tuple(RawScore(f"claim {n}", _share(c.get("yes", 0.0)), c) for n, c in enumerate(claims))
        return RawScores(items, Tokens(evaluated=10, reused=5))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def example(n: int, source: str = "", text: str = "", **labels: int) -> Labelled:
    context = Context("Some passage.")
    question = Question(f"e{n:02}", "A question?")
    text = text or f"Answer {n:02}."
    return Labelled(question, Answer(text, (context,)), tuple(sorted(labels.items())), source or question.id)


def labelled(metric: str = "relevancy", count: int = 32, sources: int = 8) -> list[Labelled]:
    """Return examples of which every other one is labelled 1, from sources of both labels."""
    return [example(n, f"s{n // (count // sources)}", **{metric: n % 2}) for n in range(count)]


def label_of(one: Labelled) -> int:
    return dict(one.labels)[next(iter(dict(one.labels)))]


def telling(examples: Sequence[Labelled], strength: float, seed: int = 0) -> dict[str, float]:
    """Return a number for each example: around `strength` for label 1, around -`strength` for label 0."""
    rng = random.Random(seed)
    return {one.question.id: strength * (2 * label_of(one) - 1) + rng.gauss(0.0, 1.0) for one in examples}


def card_of(
    examples: Sequence[Labelled], seen: Mapping[str, Sequence[Features] | None], **options
) -> MetricCard:
    metric = next(iter(dict(examples[0].labels)))
    observed = observe(Told(seen, (metric,)), [metric], examples)[metric]
    return metric_card(METRICS[metric], observed, **options)


def yes_of(numbers: Mapping[str, float], **others: Mapping[str, float]) -> dict[str, list[Features]]:
    """Return one claim a example, with the model's word and other features."""
    return {
        key: [{"yes": yes, **{name: of[key] for name, of in others.items()}}] for key, yes in numbers.items()
    }


EXAMPLES = labelled()
NOISE = telling(EXAMPLES, 0.0, seed=7)
CLEAR = telling(EXAMPLES, 2.0)


@pytest.fixture(scope="module")
def informed() -> MetricCard:
    """The card of a reader whose word is worth much, beside a feature that is noise."""
    return card_of(EXAMPLES, yes_of(CLEAR, noise=NOISE))


# --- what is weighed ---


def test_an_informative_reader(informed):
    """It ranks and decides well, its threshold lies between the classes, its intervals above chance."""
    found = informed.accuracy
    assert (found.count, found.positives) == (32, 16)
    assert found.auroc.value > 0.9
    assert found.auroc.low > 0.5
    assert found.balanced_accuracy.value > 0.8
    assert found.threshold == informed.calibration.threshold
    value, threshold = informed.calibration.value, informed.calibration.threshold
    assert value({"yes": -3.0}) < threshold < value({"yes": 3.0})


def test_a_useless_reader():
    """What is noise has an interval with 0.5 in it, and no verdicts that are better than chance for sure."""
    found = card_of(EXAMPLES, yes_of(NOISE)).accuracy
    assert found.auroc.low < 0.5 < found.auroc.high
    assert found.balanced_accuracy.low < 0.5


def test_a_feature_against_its_name_gets_no_weight():
    """A feature is named so that more is better: one that says the opposite has learnt an accident."""
    against = {key: -number for key, number in telling(EXAMPLES, 2.0, seed=3).items()}
    weights = card_of(EXAMPLES, yes_of(CLEAR, words=against)).calibration.weights
    assert set(weights) == {"yes"}
    assert weights["yes"] > 0


def test_a_reader_that_is_always_wrong_is_not_turned_round():
    """Where every feature speaks against its name none has a weight: all scores are neutral."""
    card = card_of(EXAMPLES, yes_of({key: -number for key, number in CLEAR.items()}))
    assert card.calibration.weights == {}
    assert [card.calibration.value({"yes": yes}) for yes in (-5.0, 5.0)] == pytest.approx([0.5] * 2, abs=0.05)
    assert card.accuracy.auroc.value <= 0.5


def test_the_weakest_claim_decides():
    """One claim that is not supported makes an answer unfaithful, among however many that are."""
    examples = labelled("faithfulness")
    word = telling(examples, 2.0)
    seen = {one.question.id: [{"yes": 2.0}, {"yes": word[one.question.id]}, {"yes": 2.5}] for one in examples}
    card = card_of(examples, seen)
    assert card.accuracy.auroc.value > 0.9
    scorer = Told(
        {"good": [{"yes": 2.0}] * 3, "bad": [{"yes": 2.0}, {"yes": -2.0}, {"yes": 2.0}]}, ("faithfulness",)
    )
    judge = CalibratedJudge(scorer, card=JudgeCard("told", scorer.fingerprint, {}, (card,)))
    (good,), (bad,) = (
        judge.score_now(Question(key, "A question?"), Answer("An answer.")).scores for key in ("good", "bad")
    )
    assert bad.value < card.calibration.threshold <= good.value
    assert bad.value == min(claim.value for claim in bad.claims)
    assert bad.evidence == '"claim 1" is not supported by the contexts'


def test_the_curve_is_that_of_the_lower_loss_on_sources_left_out(informed):
    """Logistic, or isotonic where that is better; both losses are on the card."""
    separable = card_of(EXAMPLES, yes_of({one.question.id: 4.0 * label_of(one) for one in EXAMPLES}))
    noisy = card_of(EXAMPLES, yes_of(telling(EXAMPLES, 0.6, seed=1)))
    for card in (informed, separable, noisy):
        assert set(card.method) == {"logistic", "isotonic"}
        assert card.calibration.curve is None or card.method["isotonic"] < card.method["logistic"]
    assert noisy.method["logistic"] < noisy.method["isotonic"]
    assert separable.calibration.curve is not None
    assert noisy.calibration.curve is None


def test_gains_are_without_each_feature(informed):
    """Without the word little is left, without the noise nothing is lost; one feature alone has no row."""
    assert set(informed.gains) == {"yes", "noise"}
    assert informed.gains["yes"] < 0.75 < 0.9 < informed.gains["noise"]
    assert card_of(EXAMPLES, yes_of(CLEAR)).gains == {}


# --- how it is measured ---


def test_what_holds_in_one_source_only_does_not_look_good():
    """A feature that tells the labels of its own source, and none of others: the figures are held out."""
    own = {
        name: {one.question.id: (2.0 * label_of(one) - 1.0) * (one.source == name) for one in EXAMPLES}
        for name in sorted({one.source for one in EXAMPLES})
    }
    card = card_of(EXAMPLES, yes_of(NOISE, **own))
    assert card.accuracy.auroc.low < 0.5
    assert card.accuracy.auroc.value < 0.7


def test_what_is_reversed_from_source_to_source_does_not_look_good():
    """A feature that is the label in one half of the sources, and its opposite in the other."""
    word = {
        one.question.id: (2.0 * label_of(one) - 1.0) * (1 if int(one.source[1:]) % 2 else -1)
        for one in EXAMPLES
    }
    found = card_of(EXAMPLES, yes_of(word)).accuracy
    assert found.auroc.value < 0.6
    assert found.balanced_accuracy.low < 0.5


@pytest.mark.parametrize("sources", ["one", "one a label", "one an example"])
def test_sources_of_any_kind(sources):
    """One source, sources of one label each, more sources than are left out one by one: all are measured."""
    name_of = {
        "one": lambda one: "all",
        "one a label": lambda one: f"label {label_of(one)}",
        "one an example": lambda one: one.question.id,
    }[sources]
    examples = [replace(one, source=name_of(one)) for one in EXAMPLES]
    assert card_of(examples, yes_of(CLEAR)).accuracy.auroc.value > 0.9


def test_false_pass_bounds_what_passes_wrongly():
    """The share of wrong answers that may pass sets the threshold; a larger one passes more of the right."""
    seen = yes_of(telling(EXAMPLES, 1.0))
    none, some, half = (card_of(EXAMPLES, seen, false_pass=share) for share in (0.0, 0.125, 0.5))
    thresholds = [card.calibration.threshold for card in (none, some, half)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[2]
    for card, share in ((none, 0.0), (some, 0.125), (half, 0.5)):
        # Each threshold is chosen without the source it is tried on: two examples more or less.
        assert 1 - card.accuracy.specificity.value <= share + 2 / 16
    assert none.accuracy.sensitivity.value < half.accuracy.sensitivity.value


def test_unscored_examples_count_for_coverage_alone():
    """An example without a verdict is in no figure; what it cost is in the means."""
    seen = {**yes_of(CLEAR), "e00": None, "e01": [], "e02": None}
    card = card_of(EXAMPLES, seen)
    assert card.coverage == 29 / 32
    assert (card.accuracy.count, card.accuracy.positives) == (29, 15)
    assert card.tokens == 10.0


def test_one_claim_without_a_verdict_leaves_the_example_unscored():
    """The other claims alone would flatter the answer."""

    class Silent(Told):
        def _readings(self, question):
            found = super()._readings(question)
            if question.id != "e05":
                return found
            return replace(
                found, items=(*found.items, RawScore("claim 1", None, reason="it was told nothing"))
            )

    observed = observe(Silent(yes_of(CLEAR)), ["relevancy"], EXAMPLES)["relevancy"]
    assert [one.example.question.id for one in observed if not one.is_scored] == ["e05"]


def test_uncalibrated_is_the_readings_as_they_are():
    """`plain` ranks by the model's word, whatever the features say; 0.5 is the threshold of `at_half`."""
    turned = {key: -number for key, number in CLEAR.items()}
    card = card_of(EXAMPLES, yes_of(turned, words=CLEAR))
    assert card.plain.value < 0.1
    assert card.accuracy.auroc.value > 0.9
    assert card.at_half.value > 0.7


def test_rules_that_read_nothing():
    """Words found, those of the least sentence, and brevity are measured on the same examples."""
    texts = ("Some quite other words than those of it.", "Some passage.")
    examples = [replace(one, answer=replace(one.answer, text=texts[label_of(one)])) for one in EXAMPLES]
    card = card_of(examples, yes_of(CLEAR))
    assert {name: found.value for name, found in card.baselines.items()} == {
        "words found": 1.0,
        "least sentence": 1.0,
        "brevity": 1.0,
    }
    # Without contexts it is the words of the question that are looked for.
    texts = ("A question? A question?", "")
    examples = [replace(one, answer=Answer(texts[label_of(one)])) for one in EXAMPLES]
    card = card_of(examples, yes_of(CLEAR))
    assert {name: found.value for name, found in card.baselines.items()} == {
        "words found": 0.0,
        "least sentence": 0.0,
        "brevity": 1.0,
    }


def test_figures_of_each_set():
    """Each set has its own figures, from scores whose calibration never saw their sources."""
    examples = [replace(one, set="mine" if n < 16 else "theirs") for n, one in enumerate(EXAMPLES)]
    seen = telling(EXAMPLES, 2.0)
    told = {one.question.id: seen[one.question.id] * (1 if one.set == "mine" else 0) for one in examples}
    mine, theirs = card_of(examples, yes_of(told)).sets
    assert [(one.name, one.sources) for one in (mine, theirs)] == [("mine", 4), ("theirs", 4)]
    assert mine.answers is not None
    assert theirs.answers is not None
    assert (mine.answers.count, mine.answers.positives) == (16, 8)
    assert mine.answers.auroc.value > 0.9
    # Of these it was told nothing: what it learnt on the others does not show here.
    assert theirs.answers.auroc.value == 0.5
    assert (mine.sentences, mine.people) == (None, None)


# --- the whole card ---


def test_calibrate_makes_a_card_of_every_metric_that_is_labelled_and_read():
    """Names, digest, counts, one part a metric; a label that the reader cannot read is left out."""
    examples = [replace(one, labels=(("correctness", 1), *one.labels)) for one in EXAMPLES]
    examples = [
        replace(one, labels=(*one.labels, ("refusal", dict(one.labels)["relevancy"]))) for one in examples
    ]
    scorer = Told(yes_of(CLEAR), ("refusal", "relevancy", "faithfulness"))
    shown = []

    def progress(given):
        shown.extend(given)
        return iter(given)

    card = calibrate(scorer, examples, name="mine.jsonl", progress=progress)
    assert (card.judge, card.fingerprint) == ("told", "f" * 64)
    assert card.labels == {
        "name": "mine.jsonl",
        "digest": labels_digest(examples),
        "examples": 32,
        "sources": 8,
    }
    assert [one.calibration.metric for one in card.metrics] == ["relevancy", "refusal"]
    assert shown == examples
    # `refusal` is read as of a question without an answer: its value is then that the answer declines.
    assert scorer.asked[:2] == [("relevancy", "e00", True), ("refusal", "e00", False)]


def test_the_same_labels_make_the_same_card():
    """Nothing is left to chance: but for the seconds, two cards have the same text."""

    def text(examples) -> str:
        card = calibrate(Told(yes_of(CLEAR, noise=NOISE)), examples, name="mine.jsonl")
        return card_to_json(replace(card, metrics=tuple(replace(one, seconds=0.0) for one in card.metrics)))

    assert text(EXAMPLES) == text(EXAMPLES)


def refusal(scorer: Told, examples: Sequence[Labelled]) -> str:
    with pytest.raises(LabelFileError) as caught:
        calibrate(scorer, examples, name="mine.jsonl")
    return str(caught.value)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (
            labelled("faithfulness"),
            "mine.jsonl labels faithfulness, but told reads relevancy, refusal: "
            "give labels for one of these.",
        ),
        (
            [replace(one, labels=()) for one in EXAMPLES],
            "mine.jsonl labels nothing, but told reads relevancy, refusal: give labels for one of these.",
        ),
        (
            [example(n, relevancy=1) for n in range(20)],
            'all 20 labels of "relevant" are 1: a judge\'s accuracy needs both classes, add examples with 0',
        ),
        (
            [example(n, refusal=0) for n in range(20)],
            'all 20 labels of "declined" are 0: a judge\'s accuracy needs both classes, add examples with 1',
        ),
        (
            [example(n, relevancy=n % 2) for n in range(19)],
            '19 labels of "relevant" (9 are 1, 10 are 0), at least 20 are needed to say how good a judge is: '
            'add examples with "relevant"',
        ),
    ],
    ids=["other metric", "no label", "all right", "all wrong", "too few"],
)
def test_labels_that_do_not_serve(examples, message):
    """What is wrong with the labels is said before anything is read."""
    scorer = Told({}, ("relevancy", "refusal"))
    assert refusal(scorer, examples) == message
    assert scorer.asked == []


@pytest.mark.parametrize(
    ("silent", "message"),
    [
        (
            lambda n: n >= 8,
            "relevancy: 8 of 32 examples have a verdict, 4 of them labelled 1 and 4 labelled 0: "
            "at least 5 of each are needed.",
        ),
        (
            lambda n: n % 2 == 0,
            "relevancy: 16 of 32 examples have a verdict, 16 of them labelled 1 and 0 labelled 0: "
            "at least 5 of each are needed.",
        ),
        (
            lambda n: True,
            "relevancy: 0 of 32 examples have a verdict, 0 of them labelled 1 and 0 labelled 0: "
            "at least 5 of each are needed.",
        ),
    ],
    ids=["few", "of one class", "none"],
)
def test_too_few_verdicts(silent, message):
    """A reader that says nothing to most examples cannot be measured."""
    seen = {key: None if silent(n) else claims for n, (key, claims) in enumerate(yes_of(CLEAR).items())}
    assert refusal(Told(seen), EXAMPLES) == message


def test_sources_that_share_an_answer_are_left_out_together():
    """An example that another set has taken over does not speak for itself there."""
    examples = [example(n, f"s{n}", "The same answer.", faithfulness=n % 2) for n in range(6)]
    asked = ["One?", "Two?", "two? ", "Three?", "Four?", "Two?"]
    examples = [
        replace(one, question=replace(one.question, question=text))
        for one, text in zip(examples, asked, strict=True)
    ]
    groups = _groups(examples, 20)
    assert groups["s1"] == groups["s2"] == groups["s5"]
    assert len(set(groups.values())) == 4
    assert set(_groups(examples, 2).values()) == {0, 1}


# --- hidden states ---


class Held(Told):
    """A reader with hidden states, in which a direction tells good claims from bad ones."""

    def __init__(self, examples: Sequence[Labelled], strength: float) -> None:
        super().__init__({one.question.id: [{"yes": 0.0}] for one in examples}, ("faithfulness",))
        self._labels = {one.question.id: label_of(one) for one in examples}
        self._strength = strength

    def _readings(self, question: Question) -> RawScores:
        rng = np.random.default_rng(int(question.id[1:]))
        bad = self._labels[question.id] == 0
        states = rng.normal(size=(3, 16)).astype(np.float32)
        states[:, 0] += self._strength * np.array([1, -1 if bad else 1, 1])
        items = [
            RawScore("claim", 0.5, {"yes": 0.0}, 10 * n, 10 * n + 9, state=state)
            for n, state in enumerate(states)
        ]
        return RawScores(tuple(items), Tokens(evaluated=10))


def held_card(strength: float, *, marked: bool = False) -> MetricCard:
    examples = labelled("faithfulness", count=96, sources=12)
    if marked:
        examples = [replace(one, spans=() if label_of(one) else ((12, 15),)) for one in examples]
    observed = observe(Held(examples, strength), ["faithfulness"], examples)["faithfulness"]
    return metric_card(METRICS["faithfulness"], observed)


@pytest.mark.parametrize("marked", [False, True], ids=["answers", "sentences"])
def test_a_probe_of_hidden_states(marked):
    """The card has a probe, which its calibration puts to the state of a claim."""
    card = held_card(3.0, marked=marked)
    assert card.accuracy.auroc.value > 0.9
    calibration = card.calibration
    assert calibration.probe is not None
    good, bad = np.zeros(16, dtype=np.float32), np.zeros(16, dtype=np.float32)
    good[0], bad[0] = 4.0, -4.0
    assert calibration.value({"yes": 0.0}, good) > 0.5 > calibration.value({"yes": 0.0}, bad)
    assert card.gains.keys() == {"yes", "probe"}
    if marked:
        (of_set,) = card.sets
        assert of_set.sentences is None or of_set.sentences.auroc.value > 0.9


def test_a_probe_of_noise_is_at_chance():
    """What a probe has learnt by heart is no figure of the card: it never saw the source of an example."""
    found = held_card(0.0).accuracy
    assert found.auroc.low < 0.5 < found.auroc.high
    assert found.auroc.value < 0.7
