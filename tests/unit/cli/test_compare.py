"""`rag-evals compare` and `rag-evals baseline`: what they print and how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import EvalsError, RunFileError, UsageError
from rag_evals.evals.cli.main import parser_for
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.markdown import comparison_markdown
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical


def evaluation(name: str, value: float | None) -> Evaluation:
    reason = None if value is not None else "no key"
    scores = (Score("faithfulness", value, reason),)
    return Evaluation(Question(name, f"{name}?"), "one", Answer("Two."), scores, {"faithfulness": 0.5})


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home):
    """Write a run with these values; return its id."""
    from rag_evals.evals.runs.evaluation import evaluation_to_json

    def written(*values: float | None, judge="f") -> str:
        folder = RunFolder(home)
        folder.start({"mode": "gate"})
        folder.append(canonical({"type": "judge", "name": "fake", "fingerprint": judge * 64}))
        for n, value in enumerate(values):
            folder.append(canonical(evaluation_to_json(evaluation(f"q{n:03}", value))))
        folder.finish({})
        return folder.run_id

    return written


@pytest.fixture
def run(capsys, home, tmp_path):
    """Run a command; give status, what was printed, and what was said of errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        words = [*map(str, arguments), "--baselines", str(tmp_path / "baselines")]
        words += ["--home", str(home)] if "list" not in words else []
        options = parser_for(words).parse_args(words)
        status = options.run(options)
        out, err = capsys.readouterr()
        return status, out, err

    return run


PASSING, FAILING = [0.9] * 60, [0.1] * 30 + [0.9] * 30


@pytest.mark.parametrize(
    ("after", "before", "options", "status", "verdict"),
    [
        (PASSING, PASSING, [], 0, "PASS"),
        (PASSING, PASSING, ["--strict"], 0, "PASS"),
        (FAILING, PASSING, [], 1, "BLOCK"),
        (FAILING, PASSING, ["--strict"], 1, "BLOCK"),
        (FAILING, PASSING, ["--margin", "0.9"], 0, "PASS"),
        ([0.1], [0.9], [], 0, "INCONCLUSIVE"),
        ([0.1], [0.9], ["--strict"], 2, "INCONCLUSIVE"),
    ],
)
def test_exit_status(run, store, after, before, options, status, verdict):
    """The verdict is said in any case."""
    base, new = store(*before), store(*after)
    found, out, err = run("compare", new, base, *options)
    assert (found, err) == (status, "")
    assert out.startswith(f"{verdict}: ")


def test_formats(run, store, home, monkeypatch):
    """The report goes to where it is read, and the verdict beside it."""
    monkeypatch.setenv("COLUMNS", "60")
    base, new = store(*PASSING), store(*FAILING)
    said = f"BLOCK: {new} is worse than {base} beyond chance, by 0.05 or more\n"
    _, out, err = run("compare", "latest", base)
    assert max(map(len, out.splitlines())) <= 60
    assert err == ""
    _, out, err = run("compare", new, base, "--format", "json")
    assert (json.loads(out)["verdict"], err) == ("BLOCK", said)
    _, out, err = run("compare", new, base, "--format", "markdown")
    assert (out[:8], err) == ("## BLOCK", said)
    from rag_evals.evals.gate.comparison.compare import compare as compared

    runs = [read_run(home / "runs" / name) for name in (new, base)]
    assert out == comparison_markdown(compared(*runs))


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_a_file(run, store, tmp_path, monkeypatch, form):
    """The same bytes, whatever the terminal."""
    base, new = store(*PASSING), store(*FAILING)
    written = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        file = tmp_path / f"out{columns}"
        status, out, err = run("compare", new, base, "--format", form, "--out", file)
        assert (status, out, err) == (
            1,
            f"BLOCK: {new} is worse than {base} beyond chance, by 0.05 or more\n",
            "",
        )
        written.append(file.read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) > 1000


def test_usage(run, store, tmp_path):
    """Each error is one that the command line turns into status 4."""
    new = store(*PASSING)
    for margin in ("x", "0", "-1", "1.5", "nan", "inf"):
        with pytest.raises(UsageError) as caught:
            run("compare", new, new, f"--margin={margin}")
        assert str(caught.value) == (f"--margin {margin}: write a number above 0 and at most 1, such as 0.05")
    with pytest.raises(RunFileError, match=r"^no run 'gone': "):
        run("compare", new, "gone")
    with pytest.raises(UsageError) as caught:
        run("compare", new, new, "--out", tmp_path)
    assert str(caught.value) == f"{tmp_path} cannot be written: Is a directory: give another file with --out"


def test_bad_runs(run, store, home, tmp_path):
    """A newer schema is refused; a damaged line is left out, and that is said first."""
    base, new = store(*PASSING), store(*PASSING)
    file = home / "runs" / new / "records.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:10], "{broken", *lines[11:]]) + "\n")
    _, out, _ = run("compare", new, base)
    assert " ".join(out.split()).split(" - ")[1] == (f"{new}: records.jsonl:11 is not JSON: left out")
    file.write_text(file.read_text().replace('"schema":1', '"schema":9'))
    with pytest.raises(EvalsError) as caught:
        run("compare", new, base)
    assert str(caught.value) == (
        f"{file}:1: is of schema 9, and this version reads 1: "
        "read it with the version of rag-evals that wrote it"
    )


def test_baselines(run, store, tmp_path):
    """Set, list, compare by name; a baseline can be set from a baseline."""
    folder = tmp_path / "baselines"
    new = store(0.9, 0.1, None)
    assert run("baseline", "list") == (
        0,
        f"no baseline in {folder}: write one with rag-evals baseline set latest --name main\n",
        "",
    )
    about = "  one: 3 evaluations, pass_rate 0.50, faithfulness 0.50\n"
    file = folder / "main.jsonl"
    assert run("baseline", "set", "latest", "--name", "main") == (
        0,
        f"written: {file}, of run {new}\n{about}",
        "",
    )
    assert run("baseline", "set", "main", "--name", "copy")[0] == 0
    assert (folder / "copy.jsonl").read_bytes() == file.read_bytes()
    assert run("baseline", "list")[1] == f"copy: of run {new}\n{about}main: of run {new}\n{about}"
    assert run("compare", new, "main")[1].startswith(f"INCONCLUSIVE: whether {new} is worse than main")


def test_a_damaged_baseline(run, store, tmp_path):
    """The others are listed all the same; the status says that one cannot be read."""
    store(0.9)
    run("baseline", "set", "latest", "--name", "main")
    (tmp_path / "baselines" / "broken.jsonl").write_text("{}\n")
    with pytest.raises(RunFileError, match=r"^.*broken.jsonl:1: is no object with a type$"):
        run("baseline", "list")


def test_an_unfinished_run_as_a_baseline(run, store, home, tmp_path):
    """It is written, and said."""
    new = store(0.9, 0.9)
    file = home / "runs" / new / "records.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert run("baseline", "set", new, "--name", "main")[1].splitlines()[1:] == [
        "  it was not finished: it is read as far as it goes",
        "  one: 2 evaluations, pass_rate 1.00, faithfulness 0.90",
    ]
    with pytest.raises(RunFileError, match=r"^main has no evaluation|has no evaluation, so nothing"):
        run("baseline", "set", store(), "--name", "empty")


# --- two pipelines ---


def test_two_pipelines_of_one_run(run, home):
    """One pipeline is put beside another on the same questions, of the same run or of two."""
    from dataclasses import replace

    from rag_evals.evals.runs.evaluation import evaluation_to_json

    folder = RunFolder(home)
    folder.start({"mode": "gate"})
    for n in range(60):
        for name, value in (("one", 0.9), ("two", 0.9 if n % 2 else 0.1)):
            line = replace(evaluation(f"q{n:03}", value), pipeline=name)
            folder.append(canonical(evaluation_to_json(line)))
    folder.finish({})
    name = folder.run_id
    status, out, _ = run("compare", name, name, "--pipeline", "two", "--base-pipeline", "one")
    assert status == 1
    assert out.startswith(f"BLOCK: {name} [two] is worse than {name} [one]")
    assert "newly failing: 30" in out
    assert run("compare", name, name, "--pipeline", "one", "--base-pipeline", "two")[0] == 0


def test_no_such_pipeline(run, store):
    """It is named, with those that there are."""
    name = store(0.9)
    with pytest.raises(UsageError, match=f"^{name} has no pipeline 'three': it has one$"):
        run("compare", name, name, "--pipeline", "three")
    with pytest.raises(UsageError, match=r"^--base-pipeline alone: name with --pipeline"):
        run("compare", name, name, "--base-pipeline", "one")
