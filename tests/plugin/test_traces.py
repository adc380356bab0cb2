"""`--evals-traces`: the spans of each test in one file of the run folder, and a waterfall of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rag_evals.evals.runs.trace_lines import FILE, load_traces

GOOD = "faithfulness=0.9 relevancy=0.8"
BAD = "faithfulness=0.1 relevancy=0.8"
UNSCORED = "faithfulness=none relevancy=0.8"


def traces_of(project) -> dict:
    (run,) = project.runs
    return dict(load_traces(run))


def test_each_test_has_a_root_and_its_steps(project, how):
    """Serial and with workers it is the same file: what came of a test is on its root."""
    project.ask(good=GOOD, bad=BAD, unscored=UNSCORED, broken="no-disk")
    project.run("--evals-traces", *how)
    traces = traces_of(project)
    assert sorted(traces) == [("baseline", name, 0, False) for name in ("bad", "broken", "good", "unscored")]
    roots = {name: spans[0] for (_, name, *_), spans in traces.items()}
    outcomes = {name: root.attributes["evals.outcome"] for name, root in roots.items()}
    assert outcomes == {"good": "passed", "bad": "failed", "unscored": "unscored", "broken": "error"}
    assert roots["good"].attributes["evals.test"] == "test_it.py::test_answer[baseline-good]"
    assert roots["good"].attributes["evals.score.faithfulness"] == 0.9
    assert roots["broken"].error == "OSError: no disk"
    assert roots["unscored"].error == "faithfulness unscored: the fake judge gives no verdict"
    assert [span.name for span in traces["baseline", "good", 0, False]] == ["evaluation", "answer", "judge"]
    assert [span.name for span in traces["baseline", "broken", 0, False]] == ["evaluation", "answer"]


def test_without_the_option_there_is_no_file(project):
    project.run()
    (run,) = project.runs
    assert sorted(path.name for path in run.iterdir()) == ["records.jsonl", "run.json"]


def test_the_ini_file_turns_them_on(project):
    project.append("pytest.ini", "evals_traces = true\n")
    project.run()
    assert list(traces_of(project)) == [("baseline", "good", 0, False)]


def test_the_records_are_the_same_with_and_without(project):
    """Traces lie beside the records: these know nothing of them."""
    project.run("--evals-traces")
    (run,) = project.runs
    with_traces = project.evaluations
    for file in run.iterdir():
        file.unlink()
    run.rmdir()
    project.run()
    for evaluation in (*with_traces, *project.evaluations):
        evaluation["seconds"] = {}
    assert project.evaluations[0].keys() == with_traces[0].keys()


def test_repeats_have_traces_of_their_own(project):
    project.run("--evals-traces", "--evals-repeat", "2")
    assert sorted(traces_of(project)) == [("baseline", "good", 0, False), ("baseline", "good", 1, False)]


def test_what_was_reused_has_a_root_alone(project):
    """The cache gave it: there was nothing to time, and the root says so."""
    conftest = (project.path / "conftest.py").read_text()
    answers, scores = f"{{{GOOD!r}: {GOOD!r}}}", "{'faithfulness': 0.9, 'relevancy': 0.8}"
    conftest = conftest.replace("FakePipeline(answer,", f"FakePipeline({answers},")
    project.write("conftest.py", conftest.replace("FakeJudge(scores)", f"FakeJudge({scores})"))
    project.run("--evals-traces")
    project.run("--evals-traces", "--evals-html", "report.html")
    last = load_traces(project.path / ".rag-evals" / "runs" / "latest")
    (spans,) = last.values()
    assert [span.name for span in spans] == ["evaluation"]
    assert spans[0].attributes["evals.cached"] == ["answer", "scores"]
    assert '<table class="trace">' not in (project.path / "report.html").read_text()


def test_the_report_has_a_waterfall(project):
    project.ask(good=GOOD, broken="no-disk")
    project.run("--evals-traces", "--evals-html", "report.html")
    page = (project.path / "report.html").read_text()
    assert page.count('<table class="trace">') == 2
    steps = re.findall(r'<th scope="row" class="in(\d)">([^<]+)<', page)
    assert steps == [
        ("0", "evaluation"),
        ("1", "answer"),
        ("0", "evaluation"),
        ("1", "answer"),
        ("1", "judge · evaluator"),
    ]
    assert "style=" not in page  # the policy of the page heeds none
    assert '<span class="error" dir="auto">OSError: no disk</span>' in page
    project.run("--evals-html", "without.html")
    assert '<table class="trace">' not in (project.path / "without.html").read_text()


def test_hostile_texts_are_text_in_the_waterfall(project):
    project.append(
        "conftest.py",
        "from rag_evals.rag.tracing.spans import span\n"
        "@pytest.fixture(scope='session')\n"
        "def hostile():\n"
        "    async def ask(question):\n"
        "        with span('<script>alert(1)</script>') as step:\n"
        "            step.fail('<img src=x onerror=alert(2)> \\u202e \\x07')\n"
        "        return question, []\n"
        "    from rag_evals import pipeline_from\n"
        "    return pipeline_from(ask)\n",
    )
    project.run("--evals-traces", "--evals-html", "report.html", "--evals-pipelines", "hostile")
    page = (project.path / "report.html").read_text()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u202e" not in page
    assert "\x07" not in page


def test_traces_that_cannot_be_written_fail_nothing(project):
    """A full disk for the traces is a line at the end; the tests and the records go on."""
    project.append(
        "conftest.py",
        "from rag_evals.evals.runs.run_folder import RunFolder\n"
        "def append_trace(self, lines):\n"
        "    raise OSError(28, 'No space left on device')\n"
        "@pytest.fixture(autouse=True, scope='session')\n"
        "def full(request):\n"
        "    patch = pytest.MonkeyPatch()\n"
        "    patch.setattr(RunFolder, 'append_trace', append_trace)\n"
        "    request.config.add_cleanup(patch.undo)\n",
    )
    project.ask(good=GOOD, other=GOOD)
    result = project.run("--evals-traces")
    result.assert_outcomes(passed=2)
    lines = [line for line in result.outlines if "traces.jsonl" in line]
    assert lines == ["traces.jsonl ends early: it could not be written (No space left on device)"]
    assert len(project.evaluations) == 2


def test_a_report_of_a_finished_run_has_them_as_well(project, capsys):
    from rag_evals.evals.cli.main import main

    project.run("--evals-traces")
    (run,) = project.runs
    assert main(["report", str(run), "--format", "html", "--out", "again.html"]) == 0
    assert Path("again.html").read_text().count('<table class="trace">') == 1
    capsys.readouterr()


def test_the_file_is_json_lines(project):
    project.run("--evals-traces")
    (run,) = project.runs
    lines = [json.loads(line) for line in (run / FILE).read_text().splitlines()]
    assert {line["type"] for line in lines} == {"span"}
    assert len({line["trace_id"] for line in lines}) == 1
    assert [line["attributes"]["openinference.span.kind"] for line in lines] == [
        "CHAIN",
        "CHAIN",
        "EVALUATOR",
    ]


def test_shards_are_joined_with_their_traces(project, capsys):
    """A run of all shards has the traces of each."""
    from rag_evals.evals.cli.main import main

    project.ask(**{f"q{n}": GOOD for n in range(6)})
    for shard in ("1/2", "2/2"):
        project.run("--evals-traces", "--evals-shard", shard)
    parts = [str(run) for run in project.runs]
    main(["merge", *parts])
    capsys.readouterr()
    (whole,) = (run for run in project.runs if str(run) not in parts)
    assert sorted(load_traces(whole)) == [("baseline", f"q{n}", 0, False) for n in range(6)]
