"""What a session has on a cluster: all that it has here, and the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rag_evals.evals.runs.trace_lines import FILE, load_traces

from tests.servers.wandb import LoopbackWandb

pytestmark = pytest.mark.cluster

# A shop that knows the turn of a conversation, cites, can search alone, and reads half of its documents; a
# judge whose verdicts follow from its prompts; and a plugin that runs a test that fails once more.
CONFTEST = '''
from hashlib import sha256
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from rag_evals import Answer, Citation, Context, Criterion, contains
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.rag.answer import Retrieval
from rag_evals.rag.llm.protocol import Completion
from rag_evals.rag.profile import Profile
from rag_evals.testing import ScriptedLLM

TEXT = "Returns take 30 days. Delivery takes two days. Gifts are wrapped."
CONTEXTS = tuple(Context(TEXT[a:b], "shop.md", start=a, end=b) for a, b in ((0, 21), (22, 46), (47, 65)))

class Shop:
    name = "shop"
    fingerprint = "shop-1"
    searching = "search-1"

    def __init__(self):
        self.found = []
        self.profile = Profile(remarks=lambda: self.found)

    async def search(self, question):
        return Retrieval(CONTEXTS[:2], {"retrieve": 0.0})

    async def answer(self, question, history=()):
        self.found = ["half of shop.md is not read"]
        if "broken" in question:
            raise RuntimeError("no more")
        if "gifts" in question:
            return Answer("Bad.", CONTEXTS, cites=True)
        text = f"Turn {1 + len(history) // 2}: returns take 30 days [1]."
        start = text.index("[1]")
        cited = (Citation(start, start + 3, (0,), "[1]"),)
        return Answer(text, CONTEXTS, {"write": 0.0}, citations=cited, cites=True)

class Model(ScriptedLLM):
    def complete(self, prompt, *, max_tokens, schema=None):
        return Completion("It is not said.", self._tokens(prompt, 4), True)

def reply(prompt):
    said = "".join(prompt.parts)
    yes = 0.1 if "Bad." in said else 0.5 + sha256(said.encode()).digest()[0] / 512
    return {"yes": yes, "no": 1 - yes}

def short(question, answer):
    """The answer is longer than 100 characters."""
    return len(answer.text) <= 100

@pytest.fixture(scope="session")
def evals_criteria():
    return [contains("30", name="has_days"), short, Criterion("says_when", asks="Does it say how long?")]

@pytest.fixture(scope="session")
def shop():
    return Shop()

@pytest.fixture(scope="session")
def judge(evals_settings):
    known = evals_settings.known
    model = Model(*[reply] * 10_000, name=Path(__file__).with_name("judge.txt").read_text())
    scorer = ChoiceScorer(model, criteria=known.criteria)
    return CalibratedJudge(scorer, metrics=evals_settings.metrics, known=known)

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports) and "gifts" in item.name:
        for report in reports:
            report.outcome = "rerun" if report.failed else report.outcome
            item.ihook.pytest_runtest_logreport(report=report)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True
'''
TEST = """
async def test_answer(evaluate, pipeline, question):
    (await evaluate(pipeline, question)).require()

def test_found(evaluate_retrieval, pipeline, question):
    evaluate_retrieval(pipeline, question).result().require()
"""
OWN = "has_days,short,says_when"
CITED = f"--evals-metrics=faithfulness,relevancy,refusal,citation_precision,citation_recall,{OWN}"
LOGGED = f"--evals-metrics=faithfulness,relevancy,refusal,{OWN}"
# What differs from one run to the next.
VARIES = {"at", "sum", "seconds", "time"}


def source(start: int, end: int) -> dict[str, Any]:
    return {"sources": [{"document": "shop.md", "start": start, "end": end}]}


@pytest.fixture
def shop(project):
    """A project with conversations, sources, criteria, questions that are stale, unanswerable and broken."""
    project.write("pytest.ini", project.read("pytest.ini").replace("= baseline", "= shop"))
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", TEST)
    project.write("judge.txt", "scripted")
    turns = {
        f"{name}-{n}": {"question": f"{name} turn {n}?", "conversation": name, "turn": n}
        for name, n in (("a", 2), ("a", 1), ("b", 1), ("b", 2), ("b", 3))
    }
    project.write("docs/shop.md", "Returns take 30 days. Delivery takes two days. Gifts are wrapped.")
    project.ask(
        old={"question": "What was sold?", "tags": ["stale"], **source(0, 21)},
        **turns,
        returns={"question": "How long do returns take?", "reference": "30 days", **source(0, 21)},
        gifts={"question": "Are gifts wrapped?", **source(47, 65)},
        nobody={"question": "Who is the king?", "answerable": False},
        first={"question": "What is broken?", "conversation": "c", "turn": 1},
        second={"question": "And then?", "conversation": "c", "turn": 2},
    )
    return project


@pytest.fixture
def collector() -> Iterator[LoopbackWandb]:
    """A server that takes traces."""
    with LoopbackWandb() as server:
        yield server


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_time(one) for key, one in value.items() if key not in VARIES}
    return [without_time(one) for one in value] if isinstance(value, list) else value


def recorded(run: Path) -> tuple[dict[Any, Any], list[Any]]:
    """Return the evaluations of a run by test and attempt, each once, and the lines between its ends."""
    lines = [without_time(json.loads(line)) for line in (run / "records.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["type"] in ("evaluation", "rejudged")]
    for line in found:
        if line["type"] == "rejudged":  # the new evaluation of the same answer was there before, or not
            del line["cached"]
    keys = [(line["type"], line["question_id"], line.get("test"), line.get("attempt", 0)) for line in found]
    assert len(set(keys)) == len(keys)
    others = [line for line in lines if line["type"] not in ("run", "evaluation", "rejudged", "end")]
    return dict(zip(keys, found, strict=True)), others


def steps(run: Path) -> dict[Any, list[tuple[Any, ...]]]:
    """Return the spans of each test, without ids and times, and without what the first one finds undone."""
    found = {}
    for key, spans in load_traces(run).items():
        names = {span.span_id: span.name for span in spans}
        found[key] = sorted(
            repr((span.name, names.get(span.parent_id or ""), span.error, span.attributes))
            for span in spans
            if span.name not in ("load", "reason")
        )
    return found


def run_of(project, home: str) -> Path:
    (run,) = (run for run in (project.path / home / "runs").iterdir() if not run.is_symlink())
    return run


def test_all_that_a_session_has(begin, cluster, shop, collector):
    """Conversations, retrieval, citations, criteria, repeats, reruns, reasons, remarks and traces."""
    endpoint = f"{collector.url}/otel/v1/traces"
    options = (CITED, "--evals-docs=docs", "--evals-repeat=2", "--evals-judge-repeat=2", "--evals-reasons")
    options = (*options, "-W", "default::rag_evals.rag.errors.DocumentWarning")
    here = begin(*options, "--evals-home=here", "--evals-traces")
    said = here.communicate(timeout=300)[0]
    options = (*options, "--evals-home=there", f"--evals-otlp={endpoint}")
    said_there = begin(*options, f"--evals-ray={cluster.address}").communicate(timeout=300)[0]
    here, there = (run_of(shop, home) for home in ("here", "there"))
    assert recorded(there) == recorded(here)
    assert len(recorded(here)[0]) == 2 * (10 + 2 + 2)  # answers, searches, reruns
    for text in (said, said_there):
        assert text.count("DocumentWarning: half of shop.md is not read") == 1
    assert steps(there) == steps(here)
    sent = [ExportTraceServiceRequest.FromString(posted.body) for posted in collector.spans]
    count = sum(len(one.spans) for s in sent for r in s.resource_spans for one in r.scope_spans)
    assert count == len((there / FILE).read_text().splitlines()) > 100


def test_logged_answers_are_judged_there(begin, cluster, shop):
    """Masked and drawn here, the log is not shipped; those of a baseline are judged anew as well."""
    contexts = [{"text": "Returns take 30 days.", "document": "shop.md", "start": 0, "end": 21}]
    turns = [
        {"id": f"a-{n}", "question": f"a turn {n}?", "conversation": "a", "turn": n, "answer": f"{n} days."}
        for n in (1, 2)
    ]
    lines = [
        *({**turn, "contexts": contexts, "model": "big"} for turn in turns),
        {
            "id": "mail",
            "question": "Whom?",
            "answer": "joe@example.com",
            "contexts": contexts,
            **source(0, 21),
        },
        {"id": "one", "question": "What?", "answer": "30.", "contexts": contexts},
        {"id": "other", "question": "What?", "answer": "Bad."},
    ]
    log = shop.path.parent / "elsewhere.jsonl"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    options = (LOGGED, f"--evals-answers={log}", "--evals-mask=emails", "--evals-sample=4", "--evals-seed=3")
    begin(*options, "--evals-home=before").communicate(timeout=300)
    shop.write("judge.txt", "another")
    options = (*options, f"--evals-baseline={run_of(shop, 'before')}", "--evals-rejudge")
    begin(*options, "--evals-home=here").communicate(timeout=300)
    begin(*options, "--evals-home=there", f"--evals-ray={cluster.address}").communicate(timeout=300)
    there, here = (recorded(run_of(shop, home)) for home in ("there", "here"))
    assert there == here
    assert sorted(kind for kind, *_ in here[0]) == ["evaluation"] * 5 + ["rejudged"] * 4
    assert "joe@" not in (run_of(shop, "there") / "records.jsonl").read_text()


# What no question asks for, in letters that the embedder does not know.
FOREIGN = "東京の水車は毎日四十袋の穀物を挽きます。" * 40
FACTS = "The mill of Ado grinds forty sacks of corn each day. The mill of Elin is closed on Sundays."


@pytest.mark.model
def test_real_models_on_two_actors(begin, cluster, project):
    """Answers, passages, scores and what is said of documents are those of a session without a cluster."""
    (project.path / "docs").mkdir()
    project.write("docs/mills.md", f"{FACTS}\n")
    project.write("docs/tokyo.md", f"{FOREIGN}\n")
    project.write("docs/bad.txt", "").write_bytes(b"\xff\xff")
    project.path.joinpath("conftest.py").unlink()
    project.ask(
        sacks="How many sacks does the mill of Ado grind each day?",
        sundays={"question": "When is the mill of Elin closed?", "reference": "On Sundays."},
        nobody={"question": "Who owns the mill of Yx?", "answerable": False},
    )
    project.write("ray.toml", f'home = "{project.path / "nodes"}"\n')
    options = ("--evals-docs=docs", "--evals-model=smollm2-135m-instruct", "--evals-mode=report")
    options = (*options, "-W", "default::rag_evals.rag.errors.DocumentWarning")
    said = begin(*options, "--evals-home=here").communicate(timeout=300)[0]
    options = (*options, "--evals-home=there", "--evals-ray-config=ray.toml")
    said_there = begin(*options, f"--evals-ray={cluster.address}").communicate(timeout=300)[0]
    there, here = (recorded(run_of(project, home)) for home in ("there", "here"))
    for one in (*there[0].values(), *here[0].values()):
        del one["tokens"]  # how much was there already depends on what was asked before
    assert there == here
    assert len(here[0]) == 3
    assert all(one["answer"] and one["contexts"] for one in here[0].values())
    remarks = [re.findall("DocumentWarning: (.*)", text) for text in (said, said_there)]
    assert remarks[0] == remarks[1]
    assert any("tokyo.md" in one for one in remarks[0]), said
    assert len(list((project.path / "nodes" / "indexes").glob("*/notes.json"))) == 1
