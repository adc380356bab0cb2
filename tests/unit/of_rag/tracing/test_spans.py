"""Spans: nested, timed by one clock, carried into threads and tasks, and nothing at all without a trace."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import timeit
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rag_evals.evals.engine.engine import DaemonThreads
from rag_evals.rag.answer import Context, Span, Tokens
from rag_evals.rag.tracing import spans as tracing
from rag_evals.rag.tracing.attributes import MOST_CHARACTERS
from rag_evals.rag.tracing.conventions import (
    described_passages,
    embedded,
    reranked,
    retrieved,
    token_attributes,
)
from rag_evals.rag.tracing.spans import OFF, Trace, TraceSpan, is_tracing, span

# Nanoseconds; 200 were measured on one of two shared cores.
MOST_WHEN_OFF = 1_000


def by_name(spans: tuple[TraceSpan, ...]) -> dict[str, TraceSpan]:
    return {one.name: one for one in spans}


def test_without_a_trace_there_is_one_step_that_keeps_nothing():
    """Off, every site gets the same object, and what would describe the step is not called."""

    def must_not_be_called() -> dict[str, str]:
        raise AssertionError

    with span("retrieve", kind="RETRIEVER", question="What?") as step:
        assert step is OFF
        assert not step.is_recording
        assert not is_tracing()
        step.set({"a": 1}, b=2)
        step.set_from(must_not_be_called)
        step.fail("nothing")
        step.child("verdict", "EVALUATOR")


def test_off_costs_next_to_nothing():
    def site() -> None:
        with span("retrieve", kind="RETRIEVER") as step:
            step.set_from(retrieved, "What?", ())

    count = 20_000
    nanoseconds = min(timeit.repeat(site, number=count, repeat=5)) / count * 1e9
    assert nanoseconds < MOST_WHEN_OFF


def test_importing_it_imports_little():
    code = (
        "import sys; before = set(sys.modules); import rag_evals.rag.tracing.spans, "
        "rag_evals.rag.tracing.conventions; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} "
        "- sys.stdlib_module_names))"
    )
    root = Path(tracing.__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout == "['rag_evals']\n"


def test_spans_are_nested_and_lie_in_each_other():
    trace = Trace("evaluation", {"evals.repeat": 0})
    with trace.root:
        with span("retrieve", kind="RETRIEVER") as step:
            step.set({"input.value": "What?"}, n=1)
            with span("embed", kind="EMBEDDING"):
                pass
        with span("generate", kind="LLM"):
            pass
    spans = trace.close()
    root, retrieve, embed, generate = spans
    assert [one.name for one in spans] == ["evaluation", "retrieve", "embed", "generate"]
    assert [one.kind for one in spans] == ["CHAIN", "RETRIEVER", "EMBEDDING", "LLM"]
    assert [one.parent_id for one in spans] == [None, root.span_id, retrieve.span_id, root.span_id]
    assert {one.trace_id for one in spans} == {trace.trace_id}
    assert len(trace.trace_id) == 32
    assert {len(one.span_id) for one in spans} == {16}
    assert root.start_ns <= retrieve.start_ns <= embed.start_ns <= embed.end_ns <= retrieve.end_ns
    assert retrieve.end_ns <= generate.start_ns <= generate.end_ns <= root.end_ns
    assert retrieve.attributes == {"input.value": "What?", "n": 1}
    assert not is_tracing()


def test_an_exception_is_noted_and_goes_on():
    trace = Trace("evaluation")
    with pytest.raises(OSError, match="no disk"), trace.root, span("retrieve"):
        raise OSError("no disk")
    root, retrieve = trace.close()
    assert retrieve.error == "OSError: no disk"
    assert root.error == "OSError: no disk"


def test_a_reason_without_an_exception():
    trace = Trace("evaluation")
    with trace.root:
        with span("verdict", kind="EVALUATOR") as step:
            step.fail("the judge said 'perhaps'")
        with span("other") as step:
            step.fail(KeyError())
    assert [one.error for one in trace.close()] == [None, "the judge said 'perhaps'", "KeyError"]


def test_children_that_are_over_at_once():
    """A batch tells of each of its items: all take its time until then."""
    trace = Trace("evaluation")
    with trace.root, span("entailment") as step:
        step.child("verdict", "EVALUATOR", value=0.5)
        step.child("verdict", "EVALUATOR", error="too long")
    _, batch, *both = trace.close()
    second, first = sorted(both, key=lambda one: one.error is None)
    assert {first.parent_id, second.parent_id} == {batch.span_id}
    assert first.start_ns == second.start_ns == batch.start_ns
    assert first.attributes == {"value": 0.5}
    assert [first.error, second.error] == [None, "too long"]


async def _in_tasks() -> None:
    async def one(number: int) -> None:
        with span(f"task {number}"):
            await asyncio.to_thread(inside, number)

    def inside(number: int) -> None:
        with span(f"thread {number}"):
            pass

    await asyncio.gather(*map(one, range(20)))


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, DaemonThreads])
def test_tasks_and_threads_know_the_span_around_them(executor):
    """What runs at the same time does not get mixed up, in the pool's threads and in the engine's."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(executor())
        with trace.root:
            await _in_tasks()

    trace = Trace("evaluation")
    asyncio.run(main())
    spans = by_name(trace.close())
    assert len(spans) == 41
    for number in range(20):
        assert spans[f"thread {number}"].parent_id == spans[f"task {number}"].span_id
        assert spans[f"task {number}"].parent_id == spans["evaluation"].span_id


def test_traces_at_the_same_time_stay_apart():
    async def one(name: str) -> tuple[TraceSpan, ...]:
        trace = Trace(name)
        with trace.root:
            for _ in range(5):
                with span(f"step of {name}"):
                    await asyncio.sleep(0)
        return trace.close()

    async def main() -> list[tuple[TraceSpan, ...]]:
        return await asyncio.gather(one("a"), one("b"))

    for name, spans in zip("ab", asyncio.run(main()), strict=True):
        assert [s.name for s in spans] == [name, *[f"step of {name}"] * 5]


def test_what_still_runs_when_a_trace_ends_says_so():
    """A thread that outlives its evaluation: its open step ends with it, and what follows is not kept."""
    trace, begun, go_on = Trace("evaluation"), threading.Event(), threading.Event()

    def work() -> None:
        with span("generate", kind="LLM"):
            begun.set()
            go_on.wait(5)
            with span("too late"):
                pass

    async def main() -> None:
        with trace.root:
            running = asyncio.create_task(asyncio.to_thread(work))
            await asyncio.to_thread(begun.wait, 5)
        spans.extend(trace.close())
        go_on.set()
        await running

    spans: list[TraceSpan] = []
    asyncio.run(main())
    root, generate = spans
    assert generate.error == "not finished when its trace ended"
    assert generate.start_ns >= root.start_ns
    assert trace.close() == (root, generate)


def test_a_step_that_was_never_gone_back_from_gets_no_children():
    """Some libraries end a step in another context: what follows hangs under the one around it."""
    trace = Trace("evaluation")
    with trace.root:
        lost = span("lost")
        lost.__enter__()
        other = asyncio.run(_left_in_another_context(lost))
        assert other
        with span("next"):
            pass
    spans = by_name(trace.close())
    assert spans["next"].parent_id == spans["evaluation"].span_id


async def _left_in_another_context(step: tracing.OpenSpan) -> bool:
    step.__exit__(None, None, None)
    return True


def test_values_become_what_a_trace_can_hold():
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    trace = Trace(
        "evaluation",
        {
            "none": None,
            "nan": float("nan"),
            "numpy": np.float32(0.5),
            "whole": np.int64(3),
            "truth": True,
            "path": Path("a/b"),
            "mixed": [1, "x", None, 2.5],
            "plain": (1, 2),
            "table": {"a": 1},
            "odd": Odd(),
        },
    )
    with trace.root:
        pass
    assert trace.close()[0].attributes == {
        "nan": "nan",
        "numpy": 0.5,
        "whole": 3,
        "truth": True,
        "path": "a/b",
        "mixed": ["1", "x", "2.5"],
        "plain": [1, 2],
        "table": '{"a": 1}',
        "odd": "<Odd>",
    }


def test_long_texts_are_cut_and_say_so():
    trace = Trace("evaluation", {"text": "x" * 30_000})
    with trace.root as step:
        step.fail("y" * 30_000)
    (root,) = trace.close()
    assert root.attributes["text"] == "x" * MOST_CHARACTERS + "… (30,000 characters)"
    assert root.error == "y" * MOST_CHARACTERS + "… (30,000 characters)"


def test_what_describes_a_step_never_fails_it():
    trace = Trace("evaluation")
    with trace.root as step:
        step.set_from(lambda: {"a": 1 / 0})
    assert trace.close()[0].attributes == {"evals.untold": "ZeroDivisionError: division by zero"}


def test_times_never_go_back():
    """They are of one clock that is counted on, not of the wall clock, which may be set back."""
    trace = Trace("evaluation")
    times = [trace.now() for _ in range(1_000)]
    assert all(before <= after for before, after in pairwise(times))


# --- attributes ---


def test_passages_are_told_by_the_conventions():
    one = Context("Two experts.", "primer.pdf", 3, 10, 22, 0.5)
    other = Context("Eight experts.")
    told = retrieved("How many?", (one, other))
    assert told["input.value"] == "How many?"
    assert told["retrieval.documents.0.document.id"] == "primer.pdf:10-22"
    assert told["retrieval.documents.0.document.content"] == "Two experts."
    assert told["retrieval.documents.0.document.score"] == 0.5
    assert told["retrieval.documents.0.document.metadata"] == (
        '{"document": "primer.pdf", "page": 3, "start": 10, "end": 22}'
    )
    assert told["retrieval.documents.1.document.id"] == ""
    assert [passage["content"] for passage in described_passages(told)] == ["Two experts.", "Eight experts."]


def test_a_passage_tells_where_else_it_stands():
    told = retrieved("How many?", (Context("x", "a.md", copies=(Span("b.md", 2), Span("b.md", 4))),))
    assert told["retrieval.documents.0.document.metadata"] == '{"document": "a.md", "same_in": ["b.md"]}'


def test_a_reranker_tells_what_it_was_given_and_made():
    before = (Context("a", "d", 1, 0, 1, 0.1), Context("b", "d", 1, 2, 3, 0.2))
    told = reranked("Why?", before, before[::-1], name="mine", top=2)
    assert told["reranker.query"] == "Why?"
    assert told["reranker.model_name"] == "mine"
    assert told["reranker.top_k"] == 2
    assert described_passages(told, "reranker.input_documents") == [
        {"id": "d:0-1", "score": 0.1},
        {"id": "d:2-3", "score": 0.2},
    ]
    assert [p["content"] for p in described_passages(told, "reranker.output_documents")] == ["b", "a"]


def test_few_texts_of_an_embedding_are_told():
    assert embedded("mini", ["What?"]) == {
        "embedding.model_name": "mini",
        "evals.texts": 1,
        "embedding.embeddings.0.embedding.text": "What?",
    }
    assert embedded("mini", ["x"] * 1_000) == {"embedding.model_name": "mini", "evals.texts": 1_000}


def test_tokens_that_were_known_are_part_of_the_prompt():
    assert token_attributes(Tokens(evaluated=10, reused=90, generated=5)) == {
        "llm.token_count.prompt": 100,
        "llm.token_count.completion": 5,
        "llm.token_count.total": 105,
        "llm.token_count.prompt_details.cache_read": 90,
    }
