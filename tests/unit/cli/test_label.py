"""`rag-evals label`: the page of a run, files merged, agreement; each wrong call in one message."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.judges.calibration.labels.draw import draw
from rag_evals.evals.judges.calibration.labels.examples import LABELS
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context

NAME = "20261130-100000-abcd"
JUDGE = {"type": "judge", "name": "seer", "fingerprint": "f" * 64, "settings": {}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def truth(n: int) -> int:
    return int(n % 5 > 0)


def write_run(count: int = 60, name: str = NAME, text: str = "Answer") -> Path:
    """Write a run whose judge is mostly right."""
    rng = random.Random(2)
    lines = [{"type": "run", "schema": 1, "run": name, "mode": "report"}, JUDGE]
    for n in range(count):
        value = rng.betavariate(6, 2) if truth(n) else rng.betavariate(2, 3)
        one = Evaluation(
            Question(f"q{n}", f"Question {n}?"),
            "baseline",
            Answer(f"{text} {n}.", (Context(f"Passage {n}.", "a.md", 1),)),
            (Score("faithfulness", value),),
            {"faithfulness": 0.5},
        )
        lines.append(evaluation_to_json(one))
    lines.append({"type": "end"})
    file = Path(".rag-evals/runs") / name / "records.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file.parent


def label(run: Path, name: str, errors: float, seed: int, size: int = 40) -> Path:
    """Write what a person saves of the page of a run."""
    rng, drawn = random.Random(seed), draw(read_run(run), size=size)
    lines = []
    for one in drawn.answers:
        e = one.evaluation
        lines.append(
            {
                "id": one.name,
                "question": e.question.question,
                "contexts": [
                    {"text": c.text, "document": c.document, "page": c.page} for c in e.answer.contexts
                ],
                "answer": e.answer.text,
                "faithful": truth(int(e.question.id[1:])) ^ (rng.random() < errors),
                **{"source": one.source, "labeller": name, "time": "2026-11-30T10:00:00.000Z"},
                **{"run": drawn.run, "draw": drawn.digest, "pipeline": e.pipeline},
                "question_id": e.question.id,
                "weights": {
                    key: one.weights[metric] for key, metric in LABELS.items() if metric in one.weights
                },
            }
        )
    file = Path(f"{name}.jsonl")
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def said(capsys, *arguments: str) -> list[str]:
    assert main(["label", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments: str) -> str:
    assert main(["label", *arguments]) == 4
    return capsys.readouterr().err.rstrip("\n")


def test_the_page(capsys):
    """`label RUN` and `label page RUN` are the same; the page names the run."""
    write_run()
    lines = said(capsys, NAME, "--sample", "20")
    assert lines == [
        f"labels.html: 20 answers of run {NAME} (faithfulness 20 of 60)",
        "Open it in a browser; what it saves is for rag-evals calibrate --labels, pytest --evals-labels and "
        "rag-evals label agreement.",
    ]
    page = Path("labels.html").read_text("utf-8")
    assert f"<title>rag-evals labels: {NAME}</title>" in page
    said(capsys, "page", "latest", "--sample", "20", "--output", "other.html")
    assert Path("other.html").read_text("utf-8") == page
    said(capsys, "--seed", "1", "--sample=20", "--proportional", "--metric", "faithfulness", NAME)
    assert Path("labels.html").read_text("utf-8") != page


def test_merge(capsys):
    """The majority of three in one file; what was disputed is listed with who said what."""
    run = write_run()
    files = [
        str(label(run, name, errors, n))
        for n, (name, errors) in enumerate([("Ann", 0), ("Ben", 0), ("Cleo", 1)])
    ]
    lines = said(capsys, "merge", *files, "--output", "merged.jsonl")
    assert lines[0] == "faithfulness: 40 answers labelled, 40 disputed"
    first = json.loads(Path("Ann.jsonl").read_text().splitlines()[0])
    two, one = ("yes", "no") if first["faithful"] else ("no", "yes")
    people = {two: "Ann at Ann.jsonl:1, Ben at Ben.jsonl:1", one: "Cleo at Cleo.jsonl:1"}
    assert lines[1] == f"  {first['id']}: {two} (yes: {people['yes']}; no: {people['no']})"
    assert lines[-1] == "merged.jsonl: 40 answers of 3 people (Ann, Ben, Cleo)"
    merged = [json.loads(line) for line in Path("merged.jsonl").read_text().splitlines()]
    assert all(one["faithful"] == truth(int(one["question_id"][1:])) for one in merged)
    assert said(capsys, "agreement", "merged.jsonl")[1].startswith("  merged: 40 answers, ")


def test_agreement(capsys):
    """With the run the judge stands beside people."""
    run = write_run()
    files = [
        str(label(run, name, errors, n)) for n, (name, errors) in enumerate([("Ann", 0.05), ("Ben", 0.05)])
    ]
    lines = said(capsys, "agreement", *files, "--run", NAME)
    assert lines[0] == "faithfulness"
    assert [line.split("  ")[1] for line in lines if line.startswith("  judge, ")] == [
        "judge, Ann",
        "judge, Ben",
        "judge, majority",
    ]
    assert any(line.startswith("  counted by how many answers of the run each stands for") for line in lines)


def test_a_report_is_corrected_by_labels(capsys):
    """Of a judge without a card too; the weights of the draw count."""
    file = label(write_run(), "Ann", 0, 1)
    assert main(["report", NAME, "--labels", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("corrected for the judge"))
    name, answers, _, value, low, _, high, method = lines[at + 1].replace("baseline ", "").split()
    assert (name, answers, method) == ("faithfulness", "60", "prediction-powered")
    assert float(low) <= 0.8 <= float(high)  # four of five are right
    assert 0.72 <= float(value) <= 0.88


def test_labels_of_another_run(capsys):
    """They are named, with why; none of this run is a wrong call."""
    old = write_run()
    file = str(label(old, "Ann", 0, 1, size=20))
    write_run(name="20261130-110000-new", text="Another answer")
    named = ", ".join(json.loads(line)["id"] for line in Path(file).read_text().splitlines()[:10])
    assert refused(capsys, "agreement", file, "--run", "20261130-110000-new") == (
        "ERROR: run 20261130-110000-new: labels: 20 of 20 answers are not in this run (labelled in run "
        f"{NAME}): the answer is another now: {named} and 10 more\n"
        "give the run that was labelled with --run, or leave --run out"
    )
    assert main(["report", "20261130-110000-new", "--labels", file]) == 0
    assert "labels: 20 of 20 answers are not in this run (labelled in run " in capsys.readouterr().out


def test_a_part_of_the_run_is_not_there(capsys):
    """It is said, and the rest is compared."""
    run = write_run()
    file = label(run, "Ann", 0, 1)
    first, *rest = file.read_text().splitlines()
    gone = {**json.loads(first), "answer": "It was changed."}
    file.write_text("\n".join([json.dumps(gone), *rest]) + "\n")
    assert main(["label", "agreement", str(file), "--run", NAME]) == 0
    assert capsys.readouterr().err == (
        f"run {NAME}: labels: 1 of 40 answers are not in this run (labelled in run {NAME}): the answer is "
        f"another now: {gone['id']}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["gone"],
            "ERROR: no run 'gone': it is no folder with a records.jsonl, no such file, and no run in ",
        ),
        (
            [NAME, "--metric", "fluency"],
            "ERROR: unknown metric 'fluency': known are faithfulness, relevancy, ",
        ),
        (
            [NAME, "--sample", "2"],
            "ERROR: --sample 2: faithfulness has 4 strata, pipelines by how the judge ",
        ),
        (
            [NAME, "--output", "gone/x.html"],
            "ERROR: gone/x.html cannot be written: No such file or directory",
        ),
        (
            ["merge", "gone.jsonl", "--output", "m.jsonl"],
            "ERROR: 1 problem in label files:\n  gone.jsonl: no such",
        ),
        (["merge", "a.jsonl", "--output", "m.csv"], "ERROR: --output m.csv: a merged file ends in .jsonl"),
        (
            ["merge", "a.jsonl", "--output", "a.jsonl"],
            "ERROR: --output a.jsonl: it is one of the files to merge",
        ),
    ],
)
def test_wrong_calls(capsys, arguments, message):
    write_run()
    assert refused(capsys, *arguments).startswith(message)


def test_an_empty_run(capsys):
    """There is nothing to be asked."""
    write_run(0)
    assert refused(capsys, NAME) == (
        "there is no evaluation in it\n"
        f"ERROR: run {NAME} has no answer with a verdict that people could judge: run its questions with "
        "metrics such as faithfulness, relevancy, correctness, refusal, context_relevancy, context_recall"
    )
