"""Pipelines: the budget for passages, the one prompt, identities, and anyone's own function as a pipeline."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import (
    Answer,
    Context,
    Message,
    Pipeline,
    Retrieval,
    Span,
    Tokens,
    context_parts,
    history_part,
    put,
    question_part,
)
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.errors import ConfigError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.protocol import Completion, Prompt
from rag_evals.rag.pipelines.adapters import pipeline_from, pipeline_from_query_engine
from rag_evals.rag.pipelines.resources import AUTO_RERANKER, Resources, reranker_name
from rag_evals.rag.pipelines.retrieval_pipeline import CITE, RetrievalPipeline
from rag_evals.rag.retrieval.reranker import LLMReranker, NoReranker, Ranking

QUESTION = "How many experts does each token use?"


@dataclass(frozen=True)
class FoundIndex:
    """An index that finds the same passages for every question."""

    passages: tuple[Context, ...] = ()
    fingerprint: str = "index"

    @property
    def identity(self) -> dict[str, str]:
        return {"index": self.fingerprint}

    def load(self) -> None:
        """Nothing to load."""

    def retrieve(self, question: str, wordings=()) -> Retrieval:
        return Retrieval(self.passages, stages={"candidates": (Span("paper.pdf", 3, 0, 100),)})


class Backwards:
    """A reranker that turns the order around."""

    name = fingerprint = "backwards"

    def rerank(self, question: str, contexts: Any) -> Ranking:
        return Ranking(tuple(reversed(contexts)))


def config(**knobs: Any) -> PipelineConfig:
    return PipelineConfig(**{"name": "mine", "instruction": "Answer.", "top_k": 9, **knobs})


def pipeline(*texts: str, model: Any = None, reranker: Any = None, **knobs: Any) -> RetrievalPipeline:
    """Make a pipeline that finds `texts`, best first; ScriptedLLM counts a word as a token."""
    index: Any = FoundIndex(tuple(Context(text, score=1 / n) for n, text in enumerate(texts, 1)))
    return RetrievalPipeline(config(**knobs), index, model or ScriptedLLM("Two."), reranker or NoReranker())


def words(count: int, word: str) -> str:
    """Return a text that makes a passage of `count` tokens: two are the passage's head."""
    return " ".join([word] * (count - 2))


def kept(answer: Answer) -> list[str]:
    return [context.text.split()[0] for context in answer.contexts]


# --- the answer ---


def test_an_answer_is_one_call_of_the_model():
    """The prompt is the passages' parts, the question's part, the instruction; the model is called once."""
    llm = ScriptedLLM("Two of eight.")
    answer = pipeline("One a.", "Two b.", model=llm).answer_now(QUESTION)
    contexts = (Context("One a.", score=1.0), Context("Two b.", score=0.5))
    assert llm.prompts == [Prompt((*context_parts(contexts), question_part(QUESTION), "Answer."))]
    assert (answer.text, answer.contexts, answer.omitted) == ("Two of eight.", contexts, 0)


def test_a_pipeline_can_be_asked_to_cite():
    """The passages have their numbers already: a sentence behind the instruction asks for them."""
    llm = ScriptedLLM("Two [1].")
    answer = pipeline("One a.", model=llm, cite=True).answer_now(QUESTION)
    asked = "Behind each sentence give the numbers of the passages that it is from, such as [1] or [2, 3]."
    assert llm.prompts[0].parts[-1] == f"Answer. {asked}"
    assert (answer.text, answer.cites) == ("Two [1].", True)
    assert not pipeline("a").answer_now(QUESTION).cites


def test_one_that_is_not_asked_to_cite_is_as_it_was():
    """Nothing of it is in the identity, so that what was answered before is found."""
    plain, citing = pipeline("a"), pipeline("a", cite=True)
    assert "cite" not in plain.identity["knobs"]
    assert citing.identity["prompt"] == [*plain.identity["prompt"], CITE]
    assert "cite" not in plain.profile.settings
    assert citing.profile.settings["cite"] is True
    assert plain.fingerprint != citing.fingerprint
    assert plain.writing != citing.writing
    assert plain.searching == citing.searching


def test_what_the_model_says_of_its_work_is_kept():
    """Tokens, an answer cut at its bound, and the seconds of each stage come with the answer."""
    tokens = Tokens(evaluated=5, reused=4, generated=3)
    answer = pipeline("a", model=ScriptedLLM(Completion("Two of", tokens, finished=False))).answer_now(
        QUESTION
    )
    assert (answer.tokens, answer.total) == ({"rerank": Tokens(), "generate": tokens}, tokens)
    assert answer.finished is False
    assert list(answer.seconds) == ["retrieve", "rerank", "generate"]
    assert all(seconds >= 0 for seconds in answer.seconds.values())


def test_the_answer_is_no_longer_than_asked():
    """max_answer_tokens reaches the model."""
    answer = pipeline("a", model=ScriptedLLM("one two three"), max_answer_tokens=2).answer_now(QUESTION)
    assert (answer.text, answer.finished) == ("one two", False)


async def test_an_event_loop_is_never_blocked():
    """`answer` works in a thread of its own and gives what `answer_now` gives."""
    threads: list[int] = []

    def reply(prompt: Prompt) -> str:
        threads.append(threading.get_ident())
        return "Two."

    answer = await pipeline("a", model=ScriptedLLM(reply)).answer(QUESTION)
    assert answer.text == "Two."
    assert threads != [threading.get_ident()]


def test_nothing_found_is_still_asked():
    """Where the index finds nothing, the model says so itself; the harness scores what it says."""
    llm = ScriptedLLM("The documents do not say.")
    answer = pipeline(model=llm).answer_now(QUESTION)
    assert (answer.text, answer.contexts) == ("The documents do not say.", ())
    assert llm.prompts[0].parts == (question_part(QUESTION), "Answer.")


def test_the_reranker_decides_the_order():
    """Passages reach the prompt in the reranker's order."""
    answer = pipeline("a", "b", "c", reranker=Backwards()).answer_now(QUESTION)
    assert kept(answer) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"retriever": "vector", "top_k": 2, "rerank_top_n": 1}, ["d", "c"]),
        ({"retriever": "auto_merging", "chunk_sizes": (64, 32), "rerank_top_n": 3}, ["d", "c", "b"]),
    ],
)
def test_how_many_passages_stay(knobs, expected):
    """The vector retriever keeps top_k, the auto-merging one rerank_top_n; the best, after reranking."""
    answer = pipeline("a", "b", "c", "d", reranker=Backwards(), **knobs).answer_now(QUESTION)
    assert (kept(answer), answer.omitted) == (expected, 0)


def test_where_the_candidates_stand_is_kept():
    """The answer tells what the retriever found before anything was reranked or left out."""
    answer = pipeline("a", "b", "c", retriever="vector", top_k=1).answer_now(QUESTION)
    assert answer.candidates == (Span("paper.pdf", 3, 0, 100),)


# --- the budget ---


def test_passages_that_just_fit_all_stay():
    """A budget that is met to the token leaves nothing out."""
    answer = pipeline(words(10, "a"), words(20, "b"), context_tokens=30).answer_now(QUESTION)
    assert (kept(answer), answer.omitted) == (["a", "b"], 0)


def test_the_lowest_ranked_go_first():
    """One token too many leaves out the last passage whole, and counts it."""
    answer = pipeline(words(10, "a"), words(20, "b"), words(5, "c"), context_tokens=30).answer_now(QUESTION)
    assert (kept(answer), answer.omitted) == (["a", "b"], 1)
    assert answer.contexts[1].text == words(20, "b")


def test_a_passage_too_long_by_itself_goes_before_any_other():
    """A passage that could never fit does not push out those that do, wherever it ranks."""
    answer = pipeline(words(31, "a"), words(10, "b"), words(20, "c"), context_tokens=30).answer_now(QUESTION)
    assert (kept(answer), answer.omitted) == (["b", "c"], 1)


def test_what_is_left_out_does_not_reach_the_model():
    """The prompt has the parts of the passages that stay, numbered anew."""
    llm = ScriptedLLM("Two.")
    pipeline(words(31, "a"), words(10, "b"), context_tokens=30, model=llm).answer_now(QUESTION)
    assert llm.prompts[0].parts[:-2] == (f"Passage 1:\n{words(10, 'b')}\n\n",)


def test_nothing_fits():
    """A budget below the shortest passage is a wrong setting, not an answer without passages."""
    llm = ScriptedLLM()
    with pytest.raises(ConfigError) as caught:
        pipeline(words(50, "a"), words(40, "b"), context_tokens=30, model=llm).answer_now(QUESTION)
    assert str(caught.value) == (
        "pipeline mine: context_tokens = 30, but the shortest passage has 40 tokens: "
        "raise context_tokens or use smaller chunk_sizes"
    )
    assert llm.prompts == []


# --- identity ---


@pytest.mark.parametrize(
    "knobs",
    [
        {"retriever": "auto_merging", "chunk_sizes": (64, 32)},
        {"chunk_sizes": (100,)},
        {"chunk_overlap": 1},
        {"top_k": 8},
        {"merge_ratio": 0.6},
        {"rerank_top_n": 5},
        {"context_tokens": 1000},
        {"max_answer_tokens": 100},
        {"instruction": "Answer!"},
    ],
)
def test_every_knob_is_in_the_identity(knobs):
    """A pipeline with another knob is another pipeline."""
    assert pipeline().fingerprint != pipeline(**knobs).fingerprint


def test_settings_of_servers_are_in_the_models_identity_alone():
    """They change no pipeline that was fingerprinted before they came; in records a credential is masked."""
    llm = LLMConfig(headers={"X-Key": "s3cr3t", "X-Env": "$MINE", "X-Team": "evals"}, reasoning_effort="low")
    plain, other = pipeline(), pipeline(llm=llm)
    assert plain.fingerprint == other.fingerprint
    assert (
        digest(plain.identity["knobs"]) == "90c6fe2de7d225c49d478b51301b680616b0072c4b9c7c9695de185ca8faa580"
    )
    assert other.profile.settings["llm"]["headers"] == {"X-Key": "***", "X-Env": "***", "X-Team": "evals"}


def test_index_model_and_reranker_are_in_the_identity():
    """So is one on another index (documents, embedder), model, or reranker."""
    llm = ScriptedLLM(name="a")
    one: Any = FoundIndex(fingerprint="one")
    two: Any = FoundIndex(fingerprint="two")
    pipelines = [
        RetrievalPipeline(config(), one, llm, NoReranker()),
        RetrievalPipeline(config(), two, llm, NoReranker()),
        RetrievalPipeline(config(), one, ScriptedLLM(name="b"), NoReranker()),
        RetrievalPipeline(config(), one, llm, LLMReranker(llm)),
    ]
    assert len({pipeline.fingerprint for pipeline in pipelines}) == 4


@pytest.mark.parametrize(
    "knobs",
    [
        {"llm": LLMConfig(n_threads=7)},
        {"llm": LLMConfig(n_ctx=2048)},
        {"llm": LLMConfig(model="another-name.gguf")},
        {"embedder": "another-name"},
    ],
)
def test_what_changes_no_answer_is_not_in_the_identity(knobs):
    """Threads, room and the names of models change no answer: models count by their weights."""
    assert pipeline().fingerprint == pipeline(**knobs).fingerprint


def test_an_identity_is_one_of_text():
    """Identities take any text, a file's name that is not valid Unicode too, and no NaN."""
    assert len(digest({"document": "caf\udce9.md"})) == 64
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        digest(float("nan"))


# --- rerankers by name ---


def test_auto_is_none_where_the_cross_encoder_is_not_cached(tmp_path, monkeypatch):
    """Without the cross-encoder on this machine, `auto` keeps the retriever's order and fetches nothing."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    auto = config(reranker="auto")
    assert reranker_name(auto) == "none"
    assert list(tmp_path.iterdir()) == []


def test_auto_is_the_cross_encoder_where_it_is_cached(tmp_path, monkeypatch):
    """With it there, `auto` is its name, the same one that may be written out."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    (tmp_path / AUTO_RERANKER).mkdir()
    (tmp_path / AUTO_RERANKER / "config.json").write_text("{}")
    assert reranker_name(config(reranker="auto")) == AUTO_RERANKER


def test_a_reranker_by_name_is_that_one():
    """Any other setting is taken as it is."""
    assert reranker_name(config(reranker="llm")) == "llm"
    assert isinstance(Resources().reranker(config(reranker="none")), NoReranker)


# --- anyone's own function ---


def answered(pipeline: Pipeline) -> Answer:
    assert isinstance(pipeline, Pipeline)
    return asyncio.run(pipeline.answer(QUESTION))


def test_an_async_function():
    """An async function's text and passages become an answer, with the seconds it took."""

    async def mine(question: str) -> tuple[str, list[str]]:
        return f"To {question}", ["one", "two"]

    answer = answered(pipeline_from(mine))
    assert (answer.text, answer.contexts) == (f"To {QUESTION}", (Context("one"), Context("two")))
    assert list(answer.seconds) == ["answer"]


def test_a_plain_function_runs_in_a_thread():
    """A function that is not async does not block the event loop."""
    threads: list[int] = []

    def mine(question: str) -> tuple[str, list[str]]:
        threads.append(threading.get_ident())
        return "Two.", []

    assert answered(pipeline_from(mine)).text == "Two."
    assert threads != [threading.get_ident()]


def test_a_function_that_gives_an_awaitable():
    """A lambda around an async function, or an object with an async call, is awaited too."""

    async def mine(question: str) -> tuple[str, list[str]]:
        return "Two.", []

    class Mine:
        async def __call__(self, question: str) -> tuple[str, list[str]]:
            return await mine(question)

    assert answered(pipeline_from(lambda question: mine(question))).text == "Two."
    assert answered(pipeline_from(Mine())).text == "Two."


def test_a_function_that_gives_an_answer():
    """An Answer goes through as it is, tokens and all; Context objects in a tuple do too."""
    whole = Answer("Two.", (Context("one", "a.pdf", page=3),), {"think": 1.5}, Tokens(1, 2, 3))
    assert answered(pipeline_from(lambda question: whole)) is whole
    context = Context("one", "a.pdf", page=3)
    assert answered(pipeline_from(lambda question: ("Two.", [context, "two"]))).contexts == (
        context,
        Context("two"),
    )


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ("Two.", "str"),
        (None, "NoneType"),
        (("Two.",), "tuple of str"),
        (("Two.", "one"), "tuple of str"),
        (("Two.", None), "tuple of str, NoneType"),
        (("Two.", {"one": 1}), "tuple of str, dict"),
        (("Two.", [SimpleNamespace(text="one")]), "tuple of str, list of SimpleNamespace"),
        ((2, ["one"]), "tuple of int, list of str"),
        (("Two.", [], 1), "tuple of str, list, int"),
    ],
)
def test_a_function_that_gives_something_else(given, shape):
    """Nothing is guessed: what is not (text, contexts) or an Answer is refused with what it is."""
    with pytest.raises(TypeError) as caught:
        answered(pipeline_from(lambda question: given, name="mine"))
    assert str(caught.value) == (
        f"pipeline mine gave {shape}: it must give (text, contexts) or an Answer, "
        "where contexts is a list of texts or Context objects"
    )


def test_an_error_of_the_function_is_its_own():
    """What the function raises is not dressed up."""
    error = ConnectionError("no route to the cluster")

    def mine(question: str) -> None:
        raise error

    with pytest.raises(ConnectionError) as caught:
        answered(pipeline_from(mine))
    assert caught.value is error


def test_not_a_function():
    """Something that cannot be called is refused at once."""
    not_a_function: Any = "mine"
    with pytest.raises(TypeError) as caught:
        pipeline_from(not_a_function)
    assert str(caught.value) == "pipeline_from wants a function of a question, not str"


def test_name_and_identity_of_a_function():
    """The name is the function's unless given; the identity changes with what the user says changes."""

    def mine(question: str) -> None: ...

    plain, named, newer = (
        pipeline_from(mine),
        pipeline_from(mine, name="other"),
        pipeline_from(mine, fingerprint="v2"),
    )
    assert [plain.name, named.name, newer.name] == ["mine", "other", "mine"]
    assert len({plain.fingerprint, named.fingerprint, newer.fingerprint}) == 3
    assert plain.fingerprint == pipeline_from(mine).fingerprint


# --- query engines ---


class Engine:
    """A query engine that answers with one source node."""

    def __init__(self, **metadata: Any) -> None:
        self._metadata = metadata

    async def aquery(self, question: str) -> Any:
        from llama_index.core.base.response.schema import Response
        from llama_index.core.schema import NodeWithScore, TextNode

        node = TextNode(text="Two.", metadata=self._metadata, start_char_idx=7, end_char_idx=11)
        return Response(f"To {question}", source_nodes=[NodeWithScore(node=node, score=0.5)])


def test_a_query_engine():
    """The response's text and source nodes become the answer, with file, page, offsets and score."""
    answer = answered(pipeline_from_query_engine(Engine(file_name="a.pdf", page_label="3")))
    assert (answer.text, list(answer.seconds)) == (f"To {QUESTION}", ["answer"])
    assert answer.contexts == (Context("Two.", "a.pdf", page=3, start=7, end=11, score=0.5),)


@pytest.mark.parametrize(
    ("metadata", "page"),
    [({}, None), ({"page": 4}, 4), ({"page_label": "iv"}, None), ({"page_label": "²"}, None)],
)
def test_pages_of_a_query_engine(metadata, page):
    """A page label that is no number is no page; metadata of the reader's own does not enter the text."""
    (context,) = answered(pipeline_from_query_engine(Engine(**metadata))).contexts
    assert (context.text, context.page) == ("Two.", page)


def test_name_of_a_query_engine():
    """A query engine has the name and identity it is given."""
    plain = pipeline_from_query_engine(Engine())
    named = pipeline_from_query_engine(Engine(), name="mine", fingerprint="v2")
    assert (plain.name, named.name) == ("query_engine", "mine")
    assert plain.fingerprint != named.fingerprint


def test_the_best_passage_may_stand_last():
    """With `best_last` the model sees the passages worst first, and the answer has them in that order."""
    model = ScriptedLLM("Two.")
    answer = pipeline("a", "b", "c", model=model, passage_order="best_last").answer_now("How many?")
    assert [context.text for context in answer.contexts] == ["c", "b", "a"]
    assert model.prompts[0].parts[:3] == context_parts(answer.contexts)


# --- conversations ---

SAID = (
    Message("user", "What is Mixtral?"),
    Message("assistant", "A sparse\n mixture  of experts."),
    Message("user", "Is it open?"),
    Message("assistant", "Yes."),
)


class ListeningIndex(FoundIndex):
    """An index that keeps what it was asked for."""

    def retrieve(self, question: str, wordings=()) -> Retrieval:
        self.__dict__.setdefault("asked", []).append(question)
        return super().retrieve(question, wordings)


def test_the_prompt_shows_the_conversation_before_the_question():
    """Behind the passages, which are shared with the judge; a message is a line."""
    llm = ScriptedLLM("Two.")
    pipeline("One a.", model=llm).answer_now(QUESTION, SAID)
    assert llm.prompts[0].parts[-2:] == (
        "Conversation so far:\n"
        "User: What is Mixtral?\n"
        "Assistant: A sparse mixture of experts.\n"
        "User: Is it open?\n"
        "Assistant: Yes.\n"
        "\n"
        f"Question: {QUESTION}\n",
        "Answer.",
    )


def test_what_is_searched_for_is_the_question_behind_the_one_before():
    """What was answered is left out: its words would be found again."""
    one = pipeline("One a.")
    one.index = ListeningIndex(one.index.passages)
    one.search_now("How many?", SAID)
    one.retrieve_now("How many?", SAID)
    one.retrieve_now("How many?")
    assert one.index.asked == ["Is it open?\nHow many?", "Is it open?\nHow many?", "How many?"]


def test_of_a_long_conversation_the_end_is_shown_and_of_a_long_message_the_beginning():
    """The prompt stays bounded however long people talk."""
    said = [Message("user", f"{n} " + "word " * 500) for n in range(100)]
    shown = history_part(said).split("\n")
    assert [line.split()[:2] for line in shown[1:7]] == [["User:", str(n)] for n in range(94, 100)]
    assert all(len(line) <= 510 and line.endswith(" word …") for line in shown[1:7])
    assert shown[7:] == ["", ""]
    assert history_part([]) == ""


async def test_a_function_without_a_history_gets_one_text():
    """The conversation stands in front of the question."""
    asked: list[str] = []

    def ask(question: str) -> tuple[str, list[str]]:
        asked.append(question)
        return "Yes.", []

    one: Any = pipeline_from(ask)
    await one.answer("How many?", SAID[2:])
    await one.answer("How many?")
    assert asked == ["Conversation so far:\nUser: Is it open?\nAssistant: Yes.\n\nHow many?", "How many?"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_with_a_history_gets_the_messages(is_async):
    """Whether it is async or not; without a conversation nothing is given."""
    heard: list[Any] = []

    def ask(question: str, history: Any = "nothing") -> tuple[str, list[str]]:
        heard.append((question, history))
        return "Yes.", []

    async def later(question: str, *, history: Any = "nothing") -> tuple[str, list[str]]:
        return ask(question, history)

    one: Any = pipeline_from(later if is_async else ask)
    await one.answer("How many?", list(SAID))
    await one.answer("How many?")
    assert heard == [("How many?", SAID), ("How many?", "nothing")]


def test_what_tells_no_parameters_gets_one_text():
    """As something built in does."""
    assert put(str, "How many?", SAID[3:]) == "Conversation so far:\nAssistant: Yes.\n\nHow many?"


def test_a_function_that_is_to_cite():
    """Its answers say so, whatever it gives; what was kept of it before is another pipeline's."""
    for given in (("Two [1].", ["a"]), Answer("Two.", (Context("a"),))):
        assert answered(pipeline_from(lambda _, given=given: given, cites=True)).cites
        assert not answered(pipeline_from(lambda _, given=given: given)).cites
    plain, citing = (pipeline_from(print, fingerprint="1", cites=cites) for cites in (False, True))
    assert plain.fingerprint == digest({"function": "1"}) != citing.fingerprint
