"""`rag-evals flaky`: which runs it reads, what it prints and what it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.evals.base.errors import RunFileError, UsageError
from rag_evals.evals.cli.main import parser_for
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import canonical

NOISE = [
    "noise         judge  answers  pipeline  questions",
    "faithfulness      -        0     0.566          1",
    "standard deviations: judge, of one answer judged again; pipeline, of a question answered again, "
    "which has the judge's noise in it where no answer was judged again",
    "questions whose verdict flips: 1 of 1 measured more than once",
    "pipeline  question  scores                     measured  passed",
    "baseline  why       faithfulness 0.10 to 0.90         2     50%",
]
NONE = "no question was measured more than once: give --evals-repeat N or --evals-judge-repeat N"


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home):
    """Write a run of one question, answered and scored; return its folder."""
    numbers = iter(range(10))

    def written(value: float) -> Path:
        number = next(numbers)
        folder = RunFolder(home)
        folder.run_id = f"20260701-12000{number}-abcdef"
        folder.path = home / "runs" / folder.run_id
        folder.start({})
        for kind in ("pipeline", "judge"):
            folder.append(canonical({"type": kind, "name": "baseline", "fingerprint": "f"}))
        evaluation = Evaluation(
            Question("why", "Why?"),
            "baseline",
            Answer(f"Because of {number}."),
            (Score("faithfulness", value),),
            {"faithfulness": 0.5},
        )
        folder.append(canonical(evaluation_to_json(evaluation)))
        folder.finish({})
        return folder.path

    return written


def run(*arguments: object) -> int:
    words = ["flaky", *map(str, arguments)]
    options = parser_for(words).parse_args(words)
    status: int = options.run(options)
    return status


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_every_run_of_the_home_folder_is_read_once(home, store, capsys) -> None:
    store(0.9), store(0.1)
    assert (home / "runs" / "latest").is_symlink()
    assert run("--home", home) == 0
    assert printed(capsys) == ["read: 2 runs", *NOISE]


def test_only_the_newest(home, store, capsys) -> None:
    for value in (0.5, 0.9, 0.1):
        store(value)
    assert run("--home", home, "--last", 2) == 0
    assert printed(capsys) == ["read: 2 runs", *NOISE]


def test_runs_can_be_named_each_counts_once(home, store, capsys) -> None:
    first, _, last = store(0.9), store(0.5), store(0.1)
    assert run(first, last.name, "latest", last / "records.jsonl", "--home", home) == 0
    assert printed(capsys) == ["read: 2 runs", *NOISE]


def test_one_run_has_nothing_to_compare(home, store, capsys) -> None:
    store(0.9)
    assert run("--home", home) == 0
    assert printed(capsys) == ["read: 1 run", NONE]


def test_a_damaged_run_in_the_home_folder_is_left_out_and_said(home, store, capsys) -> None:
    path = store(0.5)
    store(0.9), store(0.1)
    file = path / "records.jsonl"
    file.write_text(file.read_text("utf-8") + "{no\n", encoding="utf-8")
    assert run("--home", home) == 0
    assert printed(capsys) == [
        "left out: 20260701-120000-abcdef: a line of a run cannot be read",
        "read: 2 runs",
        *NOISE,
    ]


def test_a_damaged_run_that_was_named_is_an_error(home, store) -> None:
    path = store(0.5)
    file = path / "records.jsonl"
    file.write_text(file.read_text("utf-8") + "{no\n", encoding="utf-8")
    with pytest.raises(RunFileError, match="a line of a run cannot be read"):
        run("latest", "--home", home)


def test_without_any_run_that_is_said(home) -> None:
    with pytest.raises(RunFileError) as caught:
        run("--home", home)
    assert str(caught.value) == f"there is no run in {home / 'runs'}: name runs, or give another --home"


def test_last_is_a_number_and_of_the_home_folder(home, store) -> None:
    store(0.9)
    with pytest.raises(UsageError, match=r"^--last = 0: at least 1$"):
        run("--home", home, "--last", 0)
    with pytest.raises(UsageError) as caught:
        run("latest", "--home", home, "--last", 1)
    assert str(caught.value) == "--last counts the runs in --home: name runs, or give --last, not both"


def test_a_text_where_a_number_belongs(tmp_path):
    """It is damage, named by its line, not a traceback."""
    folder = RunFolder(tmp_path)
    folder.start({"mode": "gate"})
    question = Question("q", "What?")
    line = evaluation_to_json(Evaluation(question, "one", Answer("So."), (Score("faithfulness", 0.5),), {}))
    line["scores"]["faithfulness"]["value"] = "high"
    folder.append(canonical(line))
    folder.finish({})
    with pytest.raises(
        RunFileError, match=r'records.jsonl:2: is no evaluation: scores.faithfulness.value is "high", not a'
    ):
        read_run(folder.path, strict=True)
