"""LlamaIndex's evaluators as a reader: what they make of a reply, by script and for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.evals.judges.llamaindex import LlamaIndexScorer
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM

from tests.servers.openai import LoopbackOpenAI, reply

QUESTION = Question("experts", "How many experts does a token use?")
ANSWER = Answer("Two experts.", (Context("The router sends a token to two experts.", "moe.pdf", page=3),))
BOTH = ("faithfulness", "relevancy")


class Scripted(ScriptedLLM):
    """A scripted model that says how much it reads at once."""

    context_size = 2048


def read(*replies, metrics=("faithfulness",), answer=ANSWER) -> RawScores:
    return LlamaIndexScorer(Scripted(*replies)).read(metrics, QUESTION, answer)[metrics[0]]


@pytest.mark.parametrize(
    ("reply", "value"), [("YES", 1.0), ("Yes.", 1.0), ("NO", 0.0), ("Perhaps", 0.0), ("as of yesterday", 1.0)]
)
@pytest.mark.parametrize("metric", BOTH)
def test_what_they_make_of_a_reply_stays(metric, reply, value):
    """A reply with "yes" in it passes, any other does not: one ungraded reading of the whole answer."""
    (item,) = read(reply, metrics=(metric,)).items
    features = {"yes": 7.0 if value else -7.0}
    assert item == RawScore("Two experts.", value, features, 0, 12, graded=False)


def test_they_ask_in_their_own_words():
    """The prompts are LlamaIndex's, with all contexts; relevancy holds question and answer against them."""
    llm = Scripted("YES", "NO")
    readings = LlamaIndexScorer(llm).read(BOTH, QUESTION, ANSWER)
    faithful, relevant = ("".join(prompt.parts) for prompt in llm.prompts)
    assert "Information: Two experts.\nContext: The router sends" in faithful
    assert "Question: How many experts does a token use?\nResponse: Two experts." in relevant
    assert readings["faithfulness"].tokens == Tokens(evaluated=len(faithful.split()), generated=1)
    assert readings["relevancy"].tokens == Tokens(evaluated=len(relevant.split()), generated=1)


def test_without_contexts_they_do_not_pass_and_ask_nothing():
    """That, too, is what they make of it."""
    (item,) = read(answer=Answer("Two experts.")).items
    assert item.value == 0.0


def test_an_exception_is_no_verdict():
    """An evaluator that fails leaves the metric unscored with the reason, and the other one is asked."""

    def fails(prompt):
        raise RuntimeError("the model is gone")

    llm = Scripted(fails, "YES")
    readings = LlamaIndexScorer(llm).read(BOTH, QUESTION, ANSWER)
    reason = "LlamaIndex's FaithfulnessEvaluator raised RuntimeError: the model is gone"
    assert readings["faithfulness"] == RawScores(reason=reason)
    assert [item.value for item in readings["relevancy"].items] == [1.0]


async def test_within_a_running_loop():
    """A caller with an event loop of its own is no trouble, and the judge says that it is not graded."""
    judge = CalibratedJudge(LlamaIndexScorer(Scripted("YES", "NO")), metrics=BOTH)
    scores = judge.score_now(QUESTION, ANSWER).scores
    assert [(score.metric, score.value, score.graded) for score in scores] == [
        ("faithfulness", 1.0, False),
        ("relevancy", 0.0, False),
    ]


def test_name_and_identity():
    """The judge is its model, in LlamaIndex's hands."""
    one, same, other = (LlamaIndexScorer(Scripted(name=name)) for name in ("qwen", "qwen", "smollm"))
    assert one.name == "llamaindex (qwen)"
    assert one.metrics == BOTH
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_a_model_without_a_known_window_is_refused():
    """LlamaIndex packs its prompts by the context window: a model that does not say it cannot serve."""
    with pytest.raises(UsageError) as caught:
        LlamaIndexScorer(ScriptedLLM(name="far"))
    assert str(caught.value) == (
        "the llamaindex judge packs its prompts by the model's context window, and far does not say how many "
        "tokens that holds: use a local model, one on a server, or another judge."
    )


def test_a_model_on_a_server():
    """It is asked in LlamaIndex's words, several answers at once, and the window is that of its settings."""
    with LoopbackOpenAI(lambda _: reply("YES")) as server:
        llm = RemoteLLM("m", server.url)
        scorer, wider = LlamaIndexScorer(llm), LlamaIndexScorer(RemoteLLM("m", server.url, context_size=9000))
        judge = CalibratedJudge(scorer, metrics=BOTH)
        judge.load()
        scores = judge.score_now(QUESTION, ANSWER).scores
        assert [(score.metric, score.value, score.graded) for score in scores] == [
            ("faithfulness", 1.0, False),
            ("relevancy", 1.0, False),
        ]
        said = [body["messages"][-1]["content"] for body in server.bodies]
        assert said[0] == "Say yes."
        assert "Information: Two experts.\nContext: The router sends" in said[1]
        assert len(said) == 3
    assert scorer.name == "llamaindex (openai:m@127.0.0.1)"
    assert scorer.fingerprint != wider.fingerprint
    assert (judge.profile.most_at_once, judge.profile.priced_as) == (llm.most_at_once, "m")


def test_no_network_and_no_model_of_a_vendor():
    """A verdict opens no connection at all, and the global model of LlamaIndex is never made."""
    code = f"""
import sys
def refuse(event, arguments):
    assert event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo"), (event, arguments)
sys.addaudithook(refuse)
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from rag_evals.evals.judges.llamaindex import LlamaIndexScorer
from rag_evals import Question
from rag_evals.testing import ScriptedLLM
from rag_evals import Answer, Context
class Scripted(ScriptedLLM):
    context_size = 2048
reader = LlamaIndexScorer(Scripted("YES", "NO"))
answer = Answer("Two experts.", (Context("Two experts."), Context("Rain.")))
readings = reader.read(reader.metrics, Question("q", "How many?"), answer)
from llama_index.core import Settings
print([of.items[0].value for of in readings.values()], Settings._llm, Settings._embed_model)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[1.0, 0.0] None None\n", "")


@pytest.mark.model
def test_a_real_model(llm):
    """A real model gives a verdict by each metric, the same each time, and its tokens are counted."""
    scorer = LlamaIndexScorer(llm)
    one, two = (scorer.read(BOTH, QUESTION, ANSWER) for _ in range(2))
    for metric in BOTH:
        (item,) = one[metric].items
        assert item.value in (0.0, 1.0)
        assert one[metric].items == two[metric].items
        assert one[metric].tokens.evaluated > 0
        assert one[metric].tokens.generated > 0
