"""The remote language model against a real server: the same model agrees with itself in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.judges.build import LABELS, judge_for
from rag_evals.evals.judges.calibration.accuracy import accuracy
from rag_evals.evals.judges.calibration.card_check import (
    ENDING,
    LEAST_WITHIN,
    CardChecks,
    reference_of,
    reference_to_json,
)
from rag_evals.evals.judges.calibration.judge_card import Calibration, JudgeCard, MetricCard, card_to_json
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.llamaindex import LlamaIndexScorer
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.llm.load import load_llm
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM
from rag_evals.rag.models.resolve import Model

from tests.integration.conftest import SMALL
from tests.servers.llama_server import llama_server

pytestmark = pytest.mark.model

OPTIONS = ("yes", "no")
PASSAGE = "Passage 1:\nThe router sends each token to two of eight experts.\n\n"
PROMPTS = (
    Prompt(("Is fire hot? Answer yes or no.",)),
    Prompt((PASSAGE, "Is it true? Answer yes or no.")),
    Prompt((PASSAGE, "Statement: Each token uses ten experts.\n\n", "Is it correct? Answer yes or no.")),
)
# The prompt as one part: 0.0004 was measured, spellings behind the first 20 and digits of the server's cache.
JOINED = 0.002
# LocalLLM tokenizes each part by itself, the server the whole: 0.045 was measured, on a model this small.
IN_PARTS = 0.1


@contextmanager
def served(model: Model, log: Path, *settings: str) -> Iterator[RemoteLLM]:
    """Run llama_cpp.server on a free loopback port."""
    with llama_server(model.path, log, "--n_ctx", "512", "--n_threads", "1", *settings) as url:
        llm = load_llm(replace(SMALL, model=f"openai:smollm2@{url}"), offline=True)
        assert isinstance(llm, RemoteLLM)
        try:
            yield llm
        finally:
            llm.close()


@pytest.fixture(scope="module")
def remote(smollm2: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteLLM]:
    """The small model behind a server that gives probabilities."""
    log = tmp_path_factory.mktemp("graded") / "server.log"
    with served(smollm2, log, "--logits_all", "true") as llm:
        yield llm


@pytest.fixture(scope="module")
def textual(smollm2: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteLLM]:
    """The small model behind a server that refuses to give probabilities."""
    log = tmp_path_factory.mktemp("textual") / "server.log"
    with served(smollm2, log, "--logits_all", "false") as llm:
        yield llm


@pytest.mark.parametrize("prompt", PROMPTS)
def test_remote_and_local_probabilities_agree(remote: RemoteLLM, llm: LocalLLM, prompt: Prompt):
    """The same model gives the same verdict: closely on the same tokens, roughly on those of parts."""
    joined = llm.choose(Prompt(("".join(prompt.parts),), prompt.system), OPTIONS)
    in_parts = llm.choose(prompt, OPTIONS)
    choice = remote.choose(prompt, OPTIONS)
    assert (choice.graded, choice.text) == (True, None)
    for option in OPTIONS:
        assert choice.probabilities[option] == pytest.approx(joined.probabilities[option], abs=JOINED)
        assert choice.probabilities[option] == pytest.approx(in_parts.probabilities[option], abs=IN_PARTS)
    assert sum(choice.probabilities.values()) + choice.other == pytest.approx(1)


def test_server_and_local_model_count_alike(remote: RemoteLLM, llm: LocalLLM):
    """The server renders the template that LocalLLM does: its prompt has as many tokens."""
    used = llm.choose(PROMPTS[0], OPTIONS).tokens
    tokens = remote.choose(PROMPTS[0], OPTIONS).tokens
    assert tokens.evaluated + tokens.reused == used.evaluated + used.reused


def test_a_remote_completion(remote: RemoteLLM, llm: LocalLLM):
    """Decoding is greedy at both ends: one part, the same words."""
    prompt = Prompt(("What is the capital of France? Answer in one sentence.",))
    written = remote.complete(prompt, max_tokens=12)
    assert written.text == llm.complete(prompt, max_tokens=12).text != ""
    assert written.tokens.generated > 0
    assert remote.complete(prompt, max_tokens=3).finished is False


def test_llamaindex_judges_by_a_model_on_a_server(remote: RemoteLLM, llm: LocalLLM):
    """Its evaluators get a verdict from the server as they do from the same model in this process."""
    question = Question("experts", "How many experts does a token use?")
    answer = Answer("Two experts.", (Context("The router sends a token to two experts.", "moe.pdf"),))
    far, near = (LlamaIndexScorer(model).read(["relevancy"], question, answer) for model in (remote, llm))
    assert far["relevancy"].items == near["relevancy"].items
    assert far["relevancy"].tokens.generated > 0


class Models:
    """The models of a judge, without an embedder."""

    def __init__(self, llm: LLM) -> None:
        self.llm = lambda: llm
        self.embedder = lambda: None


def test_a_card_follows_its_model(remote: RemoteLLM, llm: LocalLLM, tmp_path: Path):
    """What the weights say in this process they say behind a server, which tells the name of their file."""
    nothing = Interval(0.9, 0.8, 0.95)
    measured = accuracy([0.9] * 10 + [0.1] * 10, [1] * 10 + [0] * 10, range(20), resamples=50)
    calibration = Calibration("relevancy", {"yes": 1.0}, 0.0, None, 0.5)
    metric = MetricCard(calibration, measured, nothing, nothing, {}, {}, {}, 1.0, 0.1, 9.0)
    own = ChoiceScorer(llm)
    card = JudgeCard(own.name, own.fingerprint, {"name": "mine.jsonl"}, (metric,))
    (tmp_path / "card.json").write_text(card_to_json(card), encoding="utf-8")
    reference = reference_of(own, llm.file, LABELS)
    (tmp_path / f"card{ENDING}").write_text(reference_to_json(reference), encoding="utf-8")
    judge = judge_for("choice", Models(remote), folders=[tmp_path], checks=CardChecks(LABELS))
    check = judge.profile.settings["check"]
    assert (check["model"], check["count"]) == ("smollm2-135m-instruct", 20)
    # A model of this size says another thing when a prompt is tokenized whole and not part by part.
    assert check["within"] >= 15
    assert judge.card == (card if check["within"] >= LEAST_WITHIN else None)


def test_template_tokens_in_a_passage_are_letters(remote: RemoteLLM):
    """This server reads special tokens in documents, as most do; spoilt, they cost their letters."""
    one, spoilt = (
        remote.complete(Prompt((text,)), max_tokens=1).tokens.evaluated for text in ("x", "x<|im_end|>")
    )
    assert spoilt - one >= 5


def test_a_server_without_probabilities(textual: RemoteLLM):
    """The choice is read from the text, strictly: one option alone, or none."""
    clear = textual.choose(Prompt(("Repeat after me: yes",)), OPTIONS)
    assert (clear.probabilities, clear.other, clear.graded) == ({"yes": 1.0, "no": 0.0}, 0.0, False)
    assert clear.text is not None
    assert clear.text.casefold().startswith("yes")
    wordy = textual.choose(Prompt(("Is fire hot? Answer yes or no.",)), OPTIONS)
    assert (wordy.probabilities, wordy.other) == ({"yes": 0.0, "no": 0.0}, 1.0)
    assert wordy.text is not None
    assert len(wordy.text.split()) > 3
