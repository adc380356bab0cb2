"""A card follows its model: when a server's model takes the card of its weights, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.build import LABELS, judge_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.calibration.card_check import (
    BOUND,
    ENDING,
    CardChecks,
    Reference,
    choose,
    reader_of,
    reference_of,
    reference_to_json,
)
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM
from rag_evals.rag.llm.weights import Weights

from tests.servers.openai import LoopbackOpenAI, Said, graded, reply

MODEL = "qwen2.5-coder-1.5b-instruct"
WEIGHTS = Weights((MODEL, f"{MODEL}-q4_k_m.gguf"), "ab" * 32)
QUESTION, ANSWER = Question("q", "How many?"), Answer("Two run.", (Context("Two of eight run."),))
MEASURED = accuracy([0.9] * 10 + [0.1] * 10, [1] * 10 + [0] * 10, range(20), resamples=50)
REMEDY = "`rag-evals calibrate --judge-model MODEL --labels FILE` fits one of its own"


def metric_card(metric: str, **weights: float) -> MetricCard:
    nothing = Interval(0.9, 0.8, 0.95)
    calibration = Calibration(metric, weights, -1.0, None, 0.6)
    return MetricCard(calibration, MEASURED, nothing, nothing, {}, {}, {}, 1.0, 0.1, 9.0)


FAITHFUL, RELEVANT = metric_card("faithfulness", yes=1.0, gain=0.5), metric_card("relevancy", yes=1.0)
VARIANT = metric_card("faithfulness", yes=0.7)
CARD = JudgeCard("choice (own)", "f" * 64, {"name": "mine.jsonl"}, (FAITHFUL, RELEVANT), (VARIANT,))


class Server:
    """A server whose model says yes by `share` to everything, or by words where that is None."""

    def __init__(self) -> None:
        self.share: float | None = 0.8
        self.http = LoopbackOpenAI(self._answer)

    def _answer(self, body: dict[str, Any]) -> Said | dict[str, Any]:
        if "logprobs" not in body:
            return reply("Yes.")
        if self.share is None:
            return Said({"error": {"message": "logprobs is not supported"}}, 500)
        return graded({"yes": self.share, "no": 1.0 - self.share})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made.http:
        yield made


class Models:
    """The models of a judge on a server, without an embedder."""

    def __init__(self, llm: RemoteLLM) -> None:
        self.llm = lambda: llm
        self.embedder = lambda: None


@pytest.fixture(scope="module")
def made() -> tuple[Reference, int]:
    """What the card's weights say, and how many requests that takes: some examples may decline."""
    own = Server()
    with own.http:
        reference = reference_of(ChoiceScorer(RemoteLLM("own", own.http.url)), WEIGHTS, LABELS)
    return replace(reference, card=CARD.fingerprint), len(own.http.asked)


class House:
    """A folder with a card and its reference, and judges that may take it."""

    def __init__(self, folder: Path, server: Server, reference: Reference, requests: int) -> None:
        self.folder, self.server, self.said = folder, server, []
        self.reference, self.requests = reference, requests
        self.write(CARD)

    def write(self, card: JudgeCard) -> None:
        (self.folder / "own.json").write_text(card_to_json(card), encoding="utf-8")
        (self.folder / f"own{ENDING}").write_text(reference_to_json(self.reference), encoding="utf-8")

    def judge(self, model: str = MODEL, **how: Any) -> CalibratedJudge:
        how = {"folder": self.folder / "checks", "tell": self.said.append, **how}
        llm = RemoteLLM(model, self.server.http.url)
        judge = judge_for("choice", Models(llm), folders=[self.folder], checks=CardChecks(LABELS, **how))
        assert isinstance(judge, CalibratedJudge)
        return judge


@pytest.fixture
def house(tmp_path: Path, server: Server, made: tuple[Reference, int]) -> House:
    return House(tmp_path, server, *made)


def remarks(judge: CalibratedJudge) -> tuple[str, ...]:
    return tuple(judge.profile.remarks())


def test_the_same_verdicts_take_the_card(house: House):
    """Twenty verdicts are compared, it is said, and scores are calibrated by what the server can tell."""
    judge = house.judge()
    assert remarks(judge) == (
        f"takes the card of {MODEL}: 20 of 20 verdicts within {BOUND:.2f} of those of its weights, "
        "the largest difference 0.00",
    )
    name = f"choice (openai:{MODEL}@127.0.0.1)"
    assert house.said == [f"judge: {name} is held against the card of {MODEL}: 20 verdicts"]
    assert len(house.server.http.asked) == house.requests
    assert judge.card == replace(CARD, metrics=(VARIANT, RELEVANT), variants=())
    (score,) = (s for s in judge.score_now(QUESTION, ANSWER).scores if s.metric == "faithfulness")
    assert score.value == pytest.approx(VARIANT.calibration.value({"yes": 1.386}), abs=1e-3)
    assert judge.profile.settings["check"] == {
        "model": MODEL,
        "card": "f" * 64,
        "count": 20,
        "within": 20,
        "largest": pytest.approx(0.0, abs=1e-6),
        "bound": BOUND,
        "tokens": house.reference.tokens,
    }


def test_it_is_made_once(house: House):
    """What came of it is kept: nothing is asked again, by whichever process; anew only when that is asked."""
    first = house.judge()
    count, told = len(house.server.http.asked), len(house.server.http.told)
    again = house.judge(asks=False)
    assert (again.fingerprint, remarks(again)) == (first.fingerprint, remarks(first))
    assert (len(house.server.http.asked), len(house.server.http.told)) == (count, told)
    house.judge(is_anew=True)
    assert len(house.server.http.asked) == 2 * count
    house.judge(folder=None)
    assert len(house.server.http.asked) == 3 * count


def test_a_reference_of_other_verdicts_is_another_check(house: House):
    """A card that is fitted anew has another reference: what was kept of the old one does not count."""
    house.judge()
    house.reference = replace(house.reference, tokens=1)
    house.write(replace(CARD, metrics=(RELEVANT,)))
    house.judge()
    assert len(house.server.http.asked) == 2 * house.requests


def test_other_verdicts_do_not(house: House):
    """Beyond the bound the card is not taken; one line says so, and what to do."""
    house.server.share = 0.8 - BOUND - 0.05
    judge = house.judge()
    assert judge.card is None
    assert remarks(judge) == (
        f"does not take the card of {MODEL}: 0 of 20 verdicts within {BOUND:.2f} of those of its weights, "
        f"the largest difference {BOUND + 0.05:.2f}: {REMEDY}",
    )
    assert judge.profile.settings["card"] is None


def test_a_server_that_gives_words_does_not(house: House):
    """Verdicts of 0 or 1 are no verdicts of the card's weights."""
    house.server.share = None
    (said,) = remarks(house.judge())
    assert said.startswith(f"does not take the card of {MODEL}: 0 of 20 verdicts within")


def test_a_card_without_a_variant_is_not_applied_as_if_what_is_missing_were_0(house: House):
    """The metric that weighs it is left uncalibrated, and that is said; others have the card."""
    house.write(replace(CARD, variants=()))
    judge = house.judge()
    assert judge.card.metrics == (RELEVANT,)
    assert remarks(judge)[1:] == (
        f"uncalibrated in faithfulness: the card weighs gain, which its server does not tell: {REMEDY}",
    )
    (score,) = (s for s in judge.score_now(QUESTION, ANSWER).scores if s.metric == "faithfulness")
    assert score.value == pytest.approx(0.8)


@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b-instruct", "gpt-4.1-mini"])
def test_another_name_is_another_model(house: House, model):
    """Nothing is compared with a model that is called otherwise, and nothing is said."""
    judge = house.judge(model)
    assert (judge.card, remarks(judge), house.server.http.asked) == (None, (), [])
    house.judge(model)
    assert house.server.http.told == ["/v1/models"]  # that is known now as well


def test_the_server_says_what_its_model_is(house: House):
    """A model under another name takes the card of the file that the server says it has."""
    listed = {"id": "judge", "owned_by": "llamacpp"}
    about = {"/v1/models": {"data": [listed]}, "/props": {"model_path": f"/models/{WEIGHTS.names[1]}"}}
    house.server.http.about.update(about)
    assert house.judge("judge").card is not None


def test_a_plan_asks_nothing(house: House):
    """Before the check the plan says what it will take; the server is not asked."""
    judge = house.judge(asks=False)
    name = f"choice (openai:{MODEL}@127.0.0.1)"
    once = "whether its model is that of a known card is tried once: at most 20 verdicts"
    assert judge.profile.once == f"{name}: {once}, about {house.reference.tokens:,} tokens"
    assert (judge.card, remarks(judge)) == (None, ())
    assert (house.server.http.asked, house.server.http.told) == ([], [])


def test_another_way_to_read_is_another_judge(house: House):
    """A reference of other wordings or another embedder is none of this judge."""
    house.reference = replace(house.reference, reader="0" * 64)
    house.write(replace(CARD, metrics=(RELEVANT,)))
    assert (house.judge().card, house.server.http.told) == (None, [])


def test_examples_that_are_others_now(house: House):
    """A reference of examples that the file no longer has says nothing."""
    house.reference = replace(house.reference, examples="0" * 64)
    house.write(replace(CARD, metrics=(RELEVANT,)))
    assert (house.judge().card, house.server.http.asked) == (None, [])


def test_a_folder_that_cannot_be_made(house: House):
    """Where nothing can be kept, the check is made each time."""
    house.write(CARD)
    (house.folder / "checks").write_text("no folder", encoding="utf-8")
    assert house.judge().card is not None
    assert house.judge().card is not None
    assert len(house.server.http.asked) == 2 * house.requests


@pytest.mark.parametrize("text", ["", "[]", '{"type": "card-check", "schema": 1}', '{"type": "x"}'])
def test_a_broken_result_is_none(house: House, text):
    """It is made again, and written over."""
    house.judge()
    (file,) = (house.folder / "checks").glob("*.json")
    good = file.read_text("utf-8")
    file.write_text(text, encoding="utf-8")
    assert house.judge().card is not None
    assert file.read_text("utf-8") == good


def test_the_choice_of_examples():
    """It is the same each time: ten a metric, from many sources, and both labels."""
    chosen = choose(load_labels(LABELS))
    assert [metric for metric, _ in chosen] == ["faithfulness"] * 10 + ["relevancy"] * 10
    assert chosen == choose(load_labels(LABELS))
    assert len({example.question.id for _, example in chosen}) == 20
    assert len({example.source for _, example in chosen}) >= 15
    for metric in ("faithfulness", "relevancy"):
        labels = [example.label_for(metric) for of, example in chosen if of == metric]
        assert 3 <= sum(labels) <= 7


def test_what_the_weights_say_nothing_of(house: House):
    """No verdict is the same as none, and another than any."""
    first, *others = house.reference.verdicts
    house.reference = replace(house.reference, verdicts=(replace(first, value=None), *others))
    house.write(CARD)
    (said,) = remarks(house.judge())
    assert said.startswith(f"takes the card of {MODEL}: 19 of 20 verdicts within")
    assert said.endswith("the largest difference 1.00")


def test_how_it_reads_is_all_but_the_model(server: Server):
    """Two models that are read alike have one reader."""
    one, two = (ChoiceScorer(RemoteLLM(name, server.http.url)) for name in ("a", "b"))
    assert reader_of(one) == reader_of(two)
    assert one.fingerprint != two.fingerprint
