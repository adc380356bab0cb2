"""A service of a file of pipelines: a fixture by its name, checked first, waited for, never asked offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.openai import LoopbackOpenAI, Said

CONFTEST = """
import pytest
from rag_evals.testing import FakeJudge

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
"""
TOML = """
[pipelines.support]
service = "http:{url}/ask"
request = {{ query = "{{question}}" }}
answer = "data.answer"
contexts = "data.hits"
context = {{ text = "passage", document = "file" }}
headers = {{ Authorization = "Bearer $SERVICE_TOKEN" }}
"""
REPLY = {"data": {"answer": "Two.", "hits": [{"passage": "Two experts.", "file": "moe.pdf"}]}}


@pytest.fixture
def serve(project, monkeypatch) -> Iterator[Callable[..., LoopbackOpenAI]]:
    """Start a server that answers by the number of the request, and a project that evaluates it."""
    monkeypatch.setenv("SERVICE_TOKEN", "s3cr3t-token-of-the-service")
    servers = []

    def started(answer: Callable[[int], Any] = lambda number: REPLY, toml: str = TOML) -> LoopbackOpenAI:
        server = LoopbackOpenAI(lambda body: answer(len(server.asked)))
        servers.append(server.__enter__())
        project.write("conftest.py", CONFTEST)
        project.write("pipelines.toml", toml.format(url=server.url))
        project.ask(**{f"q{n}": f"Question {n}?" for n in range(6)})
        return server

    yield started
    for server in servers:
        server.__exit__()


def run(project, *options: str) -> pytest.RunResult:
    return project.run("--evals-config", "pipelines.toml", "--evals-pipelines", "support", *options)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_a_service_is_a_pipeline(project, serve, workers):
    """It is known by its name, asked once beforehand, and recorded without its credential."""
    server = serve()
    result = run(project, *workers)
    result.assert_outcomes(passed=6)
    processes = 2 if workers else 1
    asked = [body["query"] for body in server.bodies]
    assert sorted(asked)[:6] == [f"Question {n}?" for n in range(6)]
    assert asked.count("What can I ask you about?") == processes
    assert {one.headers["authorization"] for one in server.asked} == {"Bearer s3cr3t-token-of-the-service"}
    (kept,) = [e for e in project.evaluations if e["question_id"] == "q3"]
    assert (kept["pipeline"], kept["answer"]) == ("support", "Two.")
    assert [(c["text"], c["document"]) for c in kept["contexts"]] == [("Two experts.", "moe.pdf")]
    (folder,) = project.runs
    for file in (file for file in folder.rglob("*") if file.is_file()):
        assert "s3cr3t" not in file.read_text("utf-8", errors="replace")
    if not workers:
        result.stdout.fnmatch_lines(
            [f"support: POST {server.url}/ask, answer at data.answer, contexts at data.hits, 4 at once"]
        )


def test_a_conversation(project, serve):
    """Its turns are sent behind what was said before, where the template has a place for it."""
    server = serve(toml=TOML.replace('{{ query = "{{question}}" }}', '{{ messages = "{{messages}}" }}'))
    turns = {"conversation": "c", "question": "What is Mixtral?", "turn": 1}
    project.ask(c1=turns, c2={**turns, "question": "How many experts?", "turn": 2})
    run(project).assert_outcomes(passed=2)
    first = {"role": "user", "content": "What is Mixtral?"}
    second = {"role": "user", "content": "How many experts?"}
    assert [body["messages"] for body in server.bodies[1:]] == [
        [first],
        [first, {"role": "assistant", "content": "Two."}, second],
    ]


def test_settings_in_the_record(project, serve):
    """The record says what was asked and where what was found; no header that may be a credential."""
    server = serve()
    run(project)
    (folder,) = project.runs
    text = (folder / "run.json").read_text("utf-8") + (folder / "records.jsonl").read_text("utf-8")
    assert json.dumps(f"{server.url}/ask") in text
    assert '"data.answer"' in text


def test_a_fixture_of_the_project_wins(project, serve):
    """A service of the file overrides no fixture of its name."""
    server = serve()
    project.append(
        "conftest.py",
        "from rag_evals.testing import FakePipeline\n\n"
        "@pytest.fixture(scope='session')\ndef support():\n"
        "    return FakePipeline(lambda question: 'Mine.', name='support')\n",
    )
    run(project).assert_outcomes(passed=6)
    assert server.asked == []
    assert {line["answer"] for line in project.evaluations} == {"Mine."}


def test_a_test_may_take_it_by_name(project, serve):
    """As any fixture."""
    serve()
    project.write(
        "test_it.py",
        "def test_it(evaluate, support, question):\n    evaluate(support, question).result().require()\n",
    )
    run(project).assert_outcomes(passed=6)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (
            Said('{"detail": "no such key"}', 401),
            'HTTP 401: {"detail": "no such key"}\n'
            'Have a header let us in: headers = { Authorization = "Bearer $NAME" }, from the environment.',
        ),
        (
            Said("<html><title>Sign in</title>"),
            "HTTP 200, but it is HTML, where JSON is wanted: <html><title>Sign in</title>\n"
            "Correct the URL: what is there is a page for people.",
        ),
        (
            {"data": {"text": "Two."}},
            'HTTP 200, but answer = \'data.answer\' finds nothing in it: {"data": {"text": "Two."}}\n'
            "Correct the path: it is JMESPath.",
        ),
    ],
    ids=["status", "html", "path"],
)
def test_what_is_wrong_is_said_before_the_first_question(project, serve, said, what):
    """One message and the usage status, and no question was asked."""
    server = serve(lambda number: said)
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = "\n".join(result.outlines + result.errlines)
    assert f"{server.url}/ask answered {what}" in text
    assert "Traceback" not in text
    assert [body["query"] for body in server.bodies] == ["What can I ask you about?"]


def test_trouble_of_one_question_is_its_own(project, serve):
    """It is unscored, with that reason; the others are not touched."""
    server = serve(lambda number: {"data": {"answer": 2, "hits": []}} if number == 3 else REPLY)
    result = run(project)
    result.assert_outcomes(passed=5, skipped=1)
    (line,) = [line for line in project.evaluations if line["answer"] is None]
    assert line["scores"]["faithfulness"]["value"] is None
    assert line["scores"]["faithfulness"]["reason"] == (
        f"there is no answer: {server.url}/ask answered HTTP 200, but answer = 'data.answer' finds a number "
        'in it, not a text: {"data": {"answer": 2, "hits": []}}; Lead the path to the text itself; '
        "join('', PATH) makes one of a list of texts."
    )


def test_answers_are_kept_where_it_is_said_what_changes_them(project, serve):
    """With a fingerprint a second run asks nothing; without one it asks again."""
    server = serve(toml=TOML + 'fingerprint = "2026-11"\n')
    for _ in range(2):
        run(project).assert_outcomes(passed=6)
    assert len(server.asked) == 7
    server = serve()
    for _ in range(2):
        run(project).assert_outcomes(passed=6)
    assert len(server.asked) == 14


def test_nothing_is_asked_where_nothing_runs(project, serve):
    """Neither to collect nor to plan."""
    server = serve()
    for options in (["--collect-only"], ["--evals-plan"]):
        run(project, *options)
    assert server.asked == []


def test_offline(project, serve):
    """A service beyond this machine is a wrong configuration; one on it is asked."""
    server = serve()
    project.run_apart(
        "--evals-config", "pipelines.toml", "--evals-pipelines", "support", "--evals-offline"
    ).assert_outcomes(passed=6)
    assert len(server.asked) == 7
    project.write("pipelines.toml", TOML.format(url="https://rag.example.org"))
    result = project.run_apart(
        "--evals-config", "pipelines.toml", "--evals-pipelines", "support", "--evals-offline"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = "\n".join(result.outlines + result.errlines)
    assert (
        "the service of support at rag.example.org is not on this machine, and offline nothing beyond it "
        "is asked"
    ) in text


def test_a_variable_that_is_not_set(project, serve, monkeypatch):
    """One line, and the usage status."""
    serve()
    monkeypatch.delenv("SERVICE_TOKEN")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: the header Authorization wants the environment variable SERVICE_TOKEN, which is not set"
        in result.errlines + result.outlines
    )


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            '[pipelines.support]\nservice = "http:{url}/ask"\nanser = "x"\n',
            "pipelines.toml: [pipelines.support] unknown key 'anser', did you mean 'answer'?",
        ),
        (
            '[pipelines.suport]\nservice = "http:{url}/ask"\n',
            "unknown pipeline 'support': there is no fixture of that name; did you mean 'suport'?",
        ),
    ],
    ids=["key", "name"],
)
def test_a_wrong_file(project, serve, toml, message):
    """What is wrong with the file is said as with any other pipeline of it."""
    serve(toml=toml)
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (said,) = [line for line in result.errlines + result.outlines if line.startswith("ERROR")]
    assert said.removeprefix("ERROR: ").removeprefix(f"{project.path}/") == message


def test_a_session_that_evaluates_nothing(project, serve):
    """A broken file is no trouble of other tests."""
    project.write("pipelines.toml", "no toml")
    project.write("test_it.py", "def test_it():\n    pass\n")
    run(project).assert_outcomes(passed=1)
