"""Traces of evaluations: every step, the outcome on the root, lines that survive, the waterfall."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.engine import Engine
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.ensemble import EnsembleJudge
from rag_evals.evals.judges.entailment import EntailmentScorer
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.html.waterfall import (
    DEEPEST,
    MOST_ROWS,
    Bar,
    bar_rules,
    rows_html,
    waterfall_of,
    waterfalls_of,
)
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.trace_lines import (
    FILE,
    load_traces,
    span_from_json,
    span_to_json,
    spans_of,
    trace_lines,
)
from rag_evals.evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag_evals.rag.answer import Answer, Context, Retrieval, Tokens
from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.errors import ModelError
from rag_evals.rag.pipelines.adapters import pipeline_from
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline
from rag_evals.rag.retrieval.entailment import Entailment
from rag_evals.rag.retrieval.entailment.forms import NLI
from rag_evals.rag.retrieval.reranker import Ranking
from rag_evals.rag.tracing.conventions import described_passages
from rag_evals.rag.tracing.spans import TraceSpan, span

QUESTION = Question("experts", "How many experts read each token?")
CONTEXT = Context("Each token is read by two experts.", "primer.pdf", 3, 100, 134, 0.9)
SURE = {"yes": 0.9, "no": 0.1}


def evaluated(pipeline, judge, *, reuse_cache=None, question=QUESTION, **more) -> Evaluation:
    """Evaluate with traces on, in an engine of its own."""
    engine = Engine(reuse_cache, is_traced=True, **more)
    metrics = ("faithfulness", "relevancy")
    try:
        return engine.submit(Task(pipeline, question, judge, metrics, "mine")).result(timeout=20)
    finally:
        engine.close()


def tree(spans: Sequence[TraceSpan]) -> list[str]:
    """Return the spans as lines, indented below the one around them."""
    return [f"{'  ' * bar.depth}{bar.name} {bar.kind}" for bar in waterfall_of(spans).bars]


class FakeIndex:
    identity: dict = {}  # noqa: RUF012
    fingerprint = "index"

    def load(self) -> None:
        with span("embed", kind="EMBEDDING"):
            pass

    def retrieve(self, question: str, wordings=()) -> Retrieval:
        with span("embed", kind="EMBEDDING"):
            return Retrieval((CONTEXT, replace(CONTEXT, text="Eight in all.", start=140, end=153)))


class Backwards:
    """Anyone's own reranker."""

    name = "backwards"
    fingerprint = "backwards"

    def rerank(self, question: str, contexts: Sequence[Context]) -> Ranking:
        return Ranking(tuple(contexts)[::-1], Tokens(evaluated=7))


def own_pipeline(*replies) -> RetrievalPipeline:
    config = PipelineConfig("mine", retriever="vector", top_k=2)
    return RetrievalPipeline(config, FakeIndex(), ScriptedLLM(*replies), Backwards())


def test_every_step_of_our_own_pipeline_and_judge():
    """Retrieval, reranking, writing, and one span for each question that is put to the judge."""
    judge = CalibratedJudge(ChoiceScorer(ScriptedLLM(SURE, SURE)), metrics=("faithfulness", "relevancy"))
    spans = evaluated(own_pipeline("Two experts."), judge).spans
    assert tree(spans) == [
        "evaluation CHAIN",
        "  load CHAIN",
        "    embed EMBEDDING",
        "  retrieve RETRIEVER",
        "    embed EMBEDDING",
        "  rerank RERANKER",
        "  generate LLM",
        "  load CHAIN",
        "  judge EVALUATOR",
        "    faithfulness CHAIN",
        "      verdict EVALUATOR",
        "    relevancy CHAIN",
        "      verdict EVALUATOR",
    ]
    told = {one.name: one.attributes for one in spans if one.name != "verdict"}
    ids = ["primer.pdf:100-134", "primer.pdf:140-153"]
    assert [passage["id"] for passage in described_passages(told["retrieve"])] == ids
    assert described_passages(told["retrieve"])[0]["content"] == CONTEXT.text
    outputs = described_passages(told["rerank"], "reranker.output_documents")
    assert [passage["id"] for passage in outputs] == ids[::-1]
    assert told["rerank"]["reranker.model_name"] == "backwards"
    assert told["generate"]["output.value"] == "Two experts."
    assert told["generate"]["llm.model_name"] == "scripted"
    assert told["generate"]["llm.token_count.completion"] == 2
    assert told["judge"]["evals.score.faithfulness"] == pytest.approx(0.9)
    faithful, relevant = (one.attributes for one in spans if one.name == "verdict")
    assert faithful["evals.claim"] == "Two experts."
    assert faithful["evals.value"] == pytest.approx(0.9)
    assert faithful["evals.closest"] == CONTEXT.text
    assert "Can the statement be inferred" in faithful["input.value"]
    assert "Does the reply give the information" in relevant["input.value"]
    assert relevant["llm.token_count.prompt"] > 0


def test_children_lie_in_their_parents():
    judge = CalibratedJudge(ChoiceScorer(ScriptedLLM(SURE, SURE)), metrics=("faithfulness", "relevancy"))
    spans = evaluated(own_pipeline("Two experts."), judge).spans
    by_id = {one.span_id: one for one in spans}
    for one in spans[1:]:
        around = by_id[one.parent_id]
        assert around.start_ns <= one.start_ns <= one.end_ns <= around.end_ns


class FakeEntailment:
    name = "cross"
    fingerprint = "cross"
    limit, form = 512, NLI

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def read(self, pairs):
        from rag_evals.rag.retrieval.entailment import Entailments

        return Entailments(tuple(Entailment(0.8, 0.1) for _ in pairs), Tokens(evaluated=5))


def test_a_batch_of_claims_has_one_verdict_a_claim():
    pipeline = FakePipeline(lambda _: Answer("There are eight. Two read a token.", (CONTEXT,)))
    judge = CalibratedJudge(EntailmentScorer(FakeEntailment()), metrics=("faithfulness",))
    spans = evaluated(pipeline, judge).spans
    assert tree(spans) == [
        "evaluation CHAIN",
        "  answer CHAIN",
        "  load CHAIN",
        "  judge EVALUATOR",
        "    faithfulness CHAIN",
        "      entailment CHAIN",
        "        verdict EVALUATOR",
        "        verdict EVALUATOR",
    ]
    claims = [one.attributes["evals.claim"] for one in spans if one.name == "verdict"]
    assert sorted(claims) == ["There are eight.", "Two read a token."]


def test_a_pipeline_of_anyones_own():
    """A function is one step; what it tells itself, in a thread of its own as well, hangs under it."""

    def ask(question: str) -> tuple[str, list[str]]:
        with span("look up", kind="TOOL", pages=2):
            return "Two.", ["Two experts."]

    spans = evaluated(pipeline_from(ask), FakeJudge({"faithfulness": 0.9})).spans
    assert tree(spans) == [
        "evaluation CHAIN",
        "  answer CHAIN",
        "    look up TOOL",
        "  judge EVALUATOR",
    ]
    told = {one.name: one.attributes for one in spans}
    assert told["answer"]["input.value"] == QUESTION.question
    assert told["answer"]["output.value"] == "Two."
    assert described_passages(told["answer"])[0]["content"] == "Two experts."
    assert told["look up"] == {"pages": 2}


class YesModel(ScriptedLLM):
    context_size = 2048


def test_llama_indexes_evaluators_have_one_verdict_a_metric():
    """They put one question each, about the whole answer."""
    from rag_evals.evals.judges.llamaindex import LlamaIndexScorer

    judge = CalibratedJudge(LlamaIndexScorer(YesModel("YES", "NO")), metrics=("faithfulness", "relevancy"))
    spans = evaluated(FakePipeline(lambda _: Answer("Two.", (CONTEXT,))), judge).spans
    assert tree(spans)[3:] == [
        "  judge EVALUATOR",
        "    faithfulness CHAIN",
        "      verdict EVALUATOR",
        "    relevancy CHAIN",
        "      verdict EVALUATOR",
    ]
    faithful, relevant = (one for one in spans if one.name == "verdict")
    assert faithful.attributes["evals.value"] == 1.0
    assert faithful.attributes["llm.token_count.prompt"] > 0
    assert relevant.attributes["evals.value"] == 0.0


def test_an_ensemble_tells_which_judge_it_was():
    judge = EnsembleJudge([FakeJudge({"faithfulness": 1.0}, name=name) for name in "ab"])
    spans = evaluated(FakePipeline(lambda _: "Two."), judge).spans
    assert tree(spans)[3:] == ["  judge EVALUATOR", "    a CHAIN", "    b CHAIN"]


def test_what_fails_has_its_spans_with_the_error():
    def ask(question: str) -> Exception:
        return OSError("no disk")

    evaluation = evaluated(FakePipeline(ask), FakeJudge({"faithfulness": 0.9}))
    root, answer = spans_of(evaluation)
    assert (root.error, answer.error) == ("OSError: no disk", "OSError: no disk")
    assert answer.attributes["input.value"] == QUESTION.question
    assert root.attributes["evals.outcome"] == "error"


def test_what_is_unscored_has_its_spans_with_the_reason():
    unclear = {"yes": 0.1, "no": 0.1}
    judge = CalibratedJudge(ChoiceScorer(ScriptedLLM(unclear)), metrics=("relevancy",))
    evaluation = evaluated(FakePipeline(lambda _: "Two."), judge)
    reason = "only 0.20 of the judge's probability fell on yes or no"
    spans = spans_of(evaluation)
    told = {one.name: one.error for one in spans}
    assert told["verdict"] == reason
    assert told["judge"] == f"relevancy: {reason}"
    assert told["evaluation"] == f"relevancy unscored: {reason}"
    assert next(s for s in spans if s.name == "verdict").attributes.get("evals.value") is None


def test_a_judge_without_anything_to_read_says_why():
    judge = CalibratedJudge(ChoiceScorer(ScriptedLLM()), metrics=("faithfulness",))
    spans = evaluated(FakePipeline(lambda _: "Two."), judge).spans
    (metric,) = (one for one in spans if one.name == "faithfulness")
    assert metric.error == "there are no contexts to hold the answer against"


def test_what_is_cut_off_by_the_time_bound_says_so():
    go_on = threading.Event()

    def ask(question: str) -> str:
        with span("waiting"):
            go_on.wait(5)
        return "late"

    evaluation = evaluated(pipeline_from(ask), FakeJudge({"faithfulness": 0.9}), seconds=0.1)
    go_on.set()
    told = {one.name: one.error for one in spans_of(evaluation)}
    assert told["answer"] == "CancelledError"
    assert told["waiting"] == "not finished when its trace ended"
    assert told["evaluation"].startswith("faithfulness unscored: there is no answer within 0.1 s")


def test_what_was_made_before_has_a_root_alone_that_says_so(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")
    pipeline, judge = FakePipeline({QUESTION.question: "Two."}), FakeJudge({"faithfulness": 0.9})
    reuse_cache = ReuseCache(cache)
    evaluated(pipeline, judge, reuse_cache=reuse_cache)
    again = spans_of(evaluated(pipeline, judge, reuse_cache=reuse_cache))
    other = spans_of(evaluated(pipeline, FakeJudge({"faithfulness": 0.8}), reuse_cache=reuse_cache))
    cache.close()
    assert [one.name for one in again] == ["evaluation"]
    assert again[0].attributes["evals.cached"] == ["answer", "scores"]
    assert [one.name for one in other] == ["evaluation", "judge"]
    assert other[0].attributes["evals.cached"] == ["answer"]


def test_a_model_that_cannot_be_loaded_ends_the_evaluation_as_without_traces():
    class Broken(FakePipeline):
        def load(self) -> None:
            raise ModelError("no such model")

    with pytest.raises(Exception, match="no such model"):
        evaluated(Broken(lambda _: "x"), FakeJudge({}))


def test_without_traces_there_are_no_spans():
    engine = Engine()
    pipeline, judge = FakePipeline(lambda _: "Two."), FakeJudge({"faithfulness": 0.9})
    evaluation = engine.submit(Task(pipeline, QUESTION, judge, ("faithfulness",), "mine")).result(timeout=5)
    engine.close()
    assert evaluation.spans == ()
    assert spans_of(evaluation) == ()


def test_the_root_says_what_came_of_it():
    evaluation = evaluated(FakePipeline(lambda _: "Two."), FakeJudge({"faithfulness": 0.9}))
    held = replace(evaluation, thresholds={"faithfulness": 0.95}, test="test_it.py::test[mine-experts]")
    root = spans_of(held)[0]
    assert root.attributes == {
        "evals.question_id": "experts",
        "evals.pipeline": "mine",
        "evals.repeat": 0,
        "input.value": QUESTION.question,
        "output.value": "Two.",
        "evals.test": "test_it.py::test[mine-experts]",
        "evals.outcome": "failed",
        "evals.cached": [],
        "evals.score.faithfulness": 0.9,
    }


# --- lines ---


def a_trace(name: str = "experts", *, repeat: int = 0, text: str = "x") -> tuple[TraceSpan, ...]:
    about = {"evals.question_id": name, "evals.pipeline": "mine", "evals.repeat": repeat}
    trace_id = name.rjust(32, "0")
    root = TraceSpan(trace_id, "1" * 16, None, "evaluation", "CHAIN", 1_000, 11_000, about)
    inner = replace(root, span_id="2" * 16, parent_id=root.span_id, name="retrieve", kind="RETRIEVER")
    return root, replace(inner, start_ns=2_000, end_ns=6_000, attributes={"input.value": text}, error="no")


def write(folder: Path, *traces: Sequence[TraceSpan]) -> Path:
    file = folder / FILE
    file.write_text("".join(trace_lines(trace) + "\n" for trace in traces), "utf-8")
    return file


def test_a_span_reads_back_as_it_was():
    for one in a_trace(text="two lines\nand \u2028 an \x07 alarm"):
        assert span_from_json(json.loads(json.dumps(span_to_json(one)))) == one


def test_a_file_of_traces_is_read_by_evaluation(tmp_path):
    first, second, again = a_trace(), a_trace("bbb", repeat=1), a_trace(text="later")
    write(tmp_path, first, second)
    assert load_traces(tmp_path) == {("mine", "experts", 0, False): first, ("mine", "bbb", 1, False): second}
    write(tmp_path, first, second, again)
    assert load_traces(tmp_path)["mine", "experts", 0, False] == again


def test_a_torn_tail_and_damaged_lines_are_passed_over(tmp_path):
    file = write(tmp_path, a_trace(), a_trace("bbb"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    found = load_traces(tmp_path)
    assert [len(spans) for spans in found.values()] == [2, 1]
    rootless = trace_lines(a_trace("ccc")[1:]).encode()
    other = b'{"type": "span", "attributes": 3}\nnot json\n\xff\xfe\n[]\nnull\n'
    file.write_bytes(rootless + b"\n" + other + whole)
    assert [len(spans) for spans in load_traces(tmp_path).values()] == [2, 2]


def test_a_run_without_traces_has_none(tmp_path):
    assert load_traces(tmp_path) == {}
    (tmp_path / "baseline.jsonl").write_text("")
    assert load_traces(tmp_path / "baseline.jsonl") == {}


def test_halves_of_surrogate_pairs_are_written(tmp_path):
    """The name of a file need not be valid Unicode: it becomes JSON's own escape."""
    write(tmp_path, a_trace(text="half \ud800"))
    assert load_traces(tmp_path)["mine", "experts", 0, False][1].attributes["input.value"] == "half \ud800"


def test_the_run_folder_keeps_them_beside_the_records(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start({})
    assert not (folder.path / FILE).exists()
    folder.append_trace(trace_lines(a_trace()))
    folder.append_trace(trace_lines(a_trace("bbb")))
    assert len(load_traces(folder.path)) == 2
    folder.finish({})


# --- the waterfall ---


def test_a_waterfall_lays_spans_out_in_per_cent():
    bars = waterfall_of(a_trace()).bars
    assert bars == (
        Bar("evaluation", "CHAIN", 0, 0, 100, 1e-05, ""),
        Bar("retrieve", "RETRIEVER", 1, 10, 40, 4e-06, "no"),
    )


def test_bars_can_be_seen_and_stay_within():
    root, inner = a_trace()
    late = replace(inner, start_ns=11_000, end_ns=11_000)
    beyond = replace(inner, span_id="3" * 16, start_ns=0, end_ns=99_000)
    bars = waterfall_of((root, late, beyond)).bars
    assert [(bar.offset, bar.width) for bar in bars] == [(0, 100), (0, 100), (99, 0)]


def test_hostile_traces_are_laid_out_as_well():
    """Spans around each other, of an unknown parent, a thousand deep, or in no time at all."""
    root, inner = a_trace()
    ids = [root.span_id, *(f"{number:016x}" for number in range(1_000, 2_000))]
    chain = [replace(inner, span_id=one, parent_id=above) for above, one in pairwise(ids)]
    circle = (("x" * 16, "y" * 16), ("y" * 16, "x" * 16))
    around = [replace(inner, span_id=one, parent_id=above) for one, above in circle]
    orphan = replace(inner, span_id="z" * 16, parent_id="nobody")
    waterfall = waterfall_of((replace(root, end_ns=root.start_ns), *chain, *around, orphan))
    assert len(waterfall.bars) == MOST_ROWS
    assert waterfall.more == 1_002 - MOST_ROWS
    assert max(bar.depth for bar in waterfall.bars) == DEEPEST


def test_rows_are_escaped_and_say_where_bars_lie():
    root, inner = a_trace()
    inner = replace(inner, name="<b>\u202ename</b>", error='"<i>no</i>"')
    rows = rows_html(waterfall_of((root, inner))).splitlines()
    assert rows == [
        '<tr><th scope="row" class="in0">evaluation</th><td>0.000</td><td class="o0 w100"></td></tr>',
        '<tr><th scope="row" class="in1">&lt;b&gt;\N{REPLACEMENT CHARACTER}name&lt;/b&gt; · retriever'
        '<span class="error" dir="auto">&quot;&lt;i&gt;no&lt;/i&gt;&quot;</span></th>'
        '<td>0.000</td><td class="o10 w40 wrong"></td></tr>',
    ]
    assert ".o10::before{margin-left:10%}" in bar_rules()
    assert ".w40::before{width:40%}" in bar_rules()


def test_the_kind_is_escaped_as_well():
    root, inner = a_trace()
    rows = rows_html(waterfall_of((root, replace(inner, kind="<X>"))))
    assert "&lt;x&gt;" in rows
    assert "<x>" not in rows


def test_an_evaluation_for_which_nothing_was_done_has_no_waterfall(tmp_path):
    write(tmp_path, a_trace(), a_trace("bbb")[:1])
    assert list(waterfalls_of(tmp_path)) == [("mine", "experts", 0, False)]


# --- LlamaIndex ---


@pytest.fixture(scope="module")
def engine_of_llama_index():
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import TextNode

    class LastFirst(BaseNodePostprocessor):
        def _postprocess_nodes(self, nodes, query_bundle=None):
            if "broken" in query_bundle.query_str:
                raise ValueError("no reranking today")
            return nodes[::-1]

    nodes = [TextNode(text=f"Expert {n}.", id_=f"node-{n}") for n in range(3)]
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=8))
    return index.as_query_engine(
        llm=MockLLM(max_tokens=16), similarity_top_k=2, node_postprocessors=[LastFirst()]
    )


def test_steps_inside_a_llama_index_query_engine(engine_of_llama_index):
    from rag_evals.rag.pipelines.adapters import pipeline_from_query_engine

    pipeline = pipeline_from_query_engine(engine_of_llama_index)
    spans = evaluated(pipeline, FakeJudge({"faithfulness": 0.9})).spans
    assert tree(spans) == [
        "evaluation CHAIN",
        "  answer CHAIN",
        "    query CHAIN",
        "      retrieve RETRIEVER",
        "        embed EMBEDDING",
        "      rerank RERANKER",
        "      synthesize CHAIN",
        "        generate LLM",
        "  judge EVALUATOR",
    ]
    told = {one.name: one.attributes for one in spans}
    found = described_passages(told["retrieve"])
    ids = [passage["id"] for passage in found]
    assert len(ids) == 2
    assert [passage["content"] for passage in found] == [f"Expert {one[-1]}." for one in ids]
    assert all(isinstance(passage["score"], float) for passage in found)
    assert told["retrieve"]["input.value"] == QUESTION.question
    output = described_passages(told["rerank"], "reranker.output_documents")
    assert [passage["id"] for passage in output] == ids[::-1]
    assert told["rerank"]["reranker.model_name"] == "LastFirst"
    assert told["rerank"]["reranker.query"] == QUESTION.question
    assert told["embed"]["embedding.embeddings.0.embedding.text"] == QUESTION.question
    assert found[0]["content"] in told["generate"]["input.value"]
    assert told["generate"]["output.value"]


def test_a_step_of_llama_index_that_raises(engine_of_llama_index):
    from rag_evals.rag.pipelines.adapters import pipeline_from_query_engine

    question = Question("broken", "Is it broken?")
    pipeline = pipeline_from_query_engine(engine_of_llama_index)
    spans = evaluated(pipeline, FakeJudge({}), question=replace(question, question="is it broken?")).spans
    told = {one.name: one.error for one in spans}
    assert told["rerank"] == "ValueError: no reranking today"
    assert told["answer"] == "ValueError: no reranking today"
    assert told["retrieve"] is None


def test_llama_index_outside_of_a_trace_is_left_alone(engine_of_llama_index):
    """Neither without traces, nor where somebody else uses it in the same process, is anything kept."""
    from llama_index_instrumentation import get_dispatcher
    from rag_evals.rag.pipelines.llamaindex_spans import Steps, heard

    with heard():
        pass
    (steps,) = (handler for handler in get_dispatcher().span_handlers if isinstance(handler, Steps))
    asyncio.run(engine_of_llama_index.aquery("What?"))
    with heard():
        engine_of_llama_index.query("What?")
    assert steps.open_spans == {}


def test_questions_at_the_same_time_keep_their_own_steps(engine_of_llama_index):
    from rag_evals.rag.pipelines.adapters import pipeline_from_query_engine

    pipeline = pipeline_from_query_engine(engine_of_llama_index)
    engine = Engine(is_traced=True, concurrency=8)
    judge = FakeJudge({"faithfulness": 0.9})
    tasks = [Task(pipeline, Question(f"q{n}", f"What is {n}?"), judge, (), "mine") for n in range(8)]
    futures = [engine.submit(task) for task in tasks]
    traces = [future.result(timeout=20).spans for future in futures]
    engine.close()
    for number, spans in enumerate(traces):
        assert len(spans) == 9
        asked = {one.attributes["input.value"] for one in spans if one.name in ("query", "retrieve")}
        assert asked == {f"What is {number}?"}
