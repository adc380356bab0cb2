"""`--evals-generate`: questions about the documents are written once, on the way to the run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.servers.terminal_emulator import run_in_terminal

# A model that asks for the owner of each mill, one embedder, and one rule that drops every second item.
CONFTEST = """
import json
import time
from pathlib import Path

import numpy as np
import pytest
from rag_evals.evals.generation.rules.rule import Criterion, Measured, Rule
from rag_evals.testing import FakeJudge, FakePipeline, ScriptedLLM
from rag_evals.rag.pipelines.resources import Resources

CALLS = Path(__file__).with_name("calls.txt")

def writer(prompt):
    with CALLS.open("a") as file:
        file.write("call\\n")
    if Path("interrupt").exists() and len(CALLS.read_text().splitlines()) > 2:
        raise KeyboardInterrupt
    if Path("slow").exists():
        time.sleep(0.2)
    if Path("silent").exists():
        return "I cannot."
    sentence = prompt.parts[1].rpartition("Sentence: ")[2].removesuffix("\\nJSON:")
    owner, number = sentence.split()[3], sentence.split()[8]
    return json.dumps({
        "subject": f"the mill of {owner}",
        "quote": f"grinds {number} sacks",
        "question": f"How many sacks does the mill of {owner} grind?",
        "answer": f"{number} sacks.",
    })

class Embedder:
    def embed(self, texts):
        return np.ones((len(texts), 1))

ODD = Criterion("odd", "The number of the item is even.", 0.0, "at most", "every second one is odd")

def odd(candidate, kept):
    return Measured(float(candidate.number % 2), "its number is odd")

def pytest_configure(config):
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(Resources, "llm", lambda self, config: ScriptedLLM(*[writer] * 100, name="writer"))
    patch.setattr(Resources, "embedder", lambda self, name: Embedder())
    patch.setattr("rag_evals.evals.generation.generate.default_rules", lambda *given: (Rule(ODD, odd),))
    patch.setattr("rag_evals.evals.generation.kinds.DEFAULT_MIX", {"number": 100})

@pytest.fixture(scope="session")
def baseline():
    return FakePipeline(lambda question: "So many.", name="baseline")

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.9})
"""

NAMES = [head + tail for head in "BDFGHKL" for tail in ("ado", "elin", "iro", "omar", "una", "yx")]
FOUND = "generating questions: 1 document, 1 passage, 12 sentences to ask about"
SET = r"\.rag-evals/generated/[0-9a-f]{16}/questions\.jsonl"


@pytest.fixture
def project(project, monkeypatch):
    """Twelve sentences about mills, and no question file."""
    project.write("conftest.py", CONFTEST)
    project.write(
        "mills.md",
        " ".join(
            f"The mill of {name} in the valley grinds {n + 2} sacks of corn each day."
            for n, name in enumerate(NAMES[:12])
        ),
    )
    (project.path / "questions.jsonl").unlink()
    monkeypatch.chdir(project.path)
    return project


def run(project, count: int, *arguments: str, apart: bool = False):
    runs = project.run_apart if apart else project.run
    return runs("--evals-docs", "mills.md", "--evals-generate", str(count), *arguments)


def calls(project) -> int:
    path = project.path / "calls.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def told(result) -> list[str]:
    """Return what is said of generated questions; the seconds and the name of the set left out."""
    lines = [line for line in result.outlines if re.match("generat(ing|ed) questions: ", line)]
    return [re.sub(SET, "SET", re.sub(r"\d+ s;", "N s;", line)) for line in lines]


def kept(count: int, items: int, earlier: str = "") -> str:
    return (
        f"generating questions: kept {count} of {items} items{earlier}, {items - count} dropped, 0 invalid; "
        "N s; rag-evals questions audit SET says why"
    )


def set_of(project):
    (found,) = project.path.glob(".rag-evals/generated/*/questions.jsonl")
    return found


def test_one_command_from_documents_to_a_judged_run(project):
    """The questions are written, asked and judged; the head of the record says which set they are."""
    result = run(project, 3)
    result.assert_outcomes(passed=3)
    assert told(result) == [FOUND, kept(3, 5)]
    assert calls(project) == 5
    manifest = json.loads(set_of(project).with_name("questions.manifest.json").read_text())
    path = set_of(project).relative_to(project.path / ".rag-evals").as_posix()
    assert project.lines[0]["questions"] == [{"path": f"../../{path}", "digest": manifest["digest"]}]
    assert [one["tags"] for one in project.evaluations] == [["number", "generated"]] * 3


def test_they_are_written_once(project):
    """The same number and a smaller one make nothing; a greater one goes on from what is there."""
    run(project, 3)
    again = run(project, 3)
    assert (told(again), calls(project)) == ([], 5)
    run(project, 2).assert_outcomes(passed=2)
    assert calls(project) == 5
    assert len(set_of(project).read_text().splitlines()) == 3
    more = run(project, 5)
    more.assert_outcomes(passed=5)
    assert told(more) == [FOUND, kept(5, 9, " (5 of them by an earlier run)")]
    assert calls(project) == 9


def test_documents_run_out(project):
    """Fewer than wanted are said, each time, and asked; nothing is tried again."""
    fewer = "generated questions: 6 of 8: the documents have nothing left to ask about"
    result = run(project, 8)
    result.assert_outcomes(passed=6)
    assert told(result) == [FOUND, kept(6, 12), fewer]
    again = run(project, 8)
    again.assert_outcomes(passed=6)
    assert (told(again), calls(project)) == ([fewer], 12)


def test_more_than_there_are_sentences(project):
    """It is a wrong call: one message, exit code 4, and nothing is asked of the model."""
    result = run(project, 13)
    assert (result.ret, calls(project)) == (4, 0)
    assert result.errlines == [
        "ERROR: evals_generate = 13: 13 questions are wanted, but the documents can give at most 12: one for "
        "each sentence that can be asked about by itself, of 1 passage in 1 document of 168 words",
        "Ask for 12 or fewer, or give more documents.",
        "",
    ]


def test_a_model_that_gives_nothing_valid(project):
    """Its last replies are shown, and the remedy names the option of a run."""
    project.write("silent", "")
    result = run(project, 3)
    assert (result.ret, calls(project)) == (4, 12)
    assert result.errlines[0] == (
        "ERROR: evals_generate = 3: writer gave no valid item 12 times in a row; the last replies were"
    )
    assert "Use a larger model (--llm, of a run --evals-model)" in result.errlines[-2]


def test_without_documents(project):
    """The documents are named as for the pipelines."""
    result = project.run("--evals-generate", "3")
    assert result.ret == 4
    assert result.errlines == [
        "ERROR: no documents: give --evals-docs PATH, or set evals_docs in the ini file",
        "",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [("-1", "at least 0"), ("x", "not a whole number"), ("2.5", "not a whole number")],
)
def test_wrong_numbers(project, given, problem):
    """What is no number of questions is a wrong call."""
    result = project.run("--evals-docs", "mills.md", "--evals-generate", given)
    assert (result.ret, result.errlines) == (4, [f"ERROR: evals_generate = {given}: {problem}", ""])


def test_nothing_is_said_when_quiet(project):
    """With -q only pytest's own lines and the record are left."""
    assert told(run(project, 3, "-q")) == []
    assert calls(project) == 5


def test_in_parallel(project):
    """One worker writes, the others wait for it; what it had to say comes at the end."""
    result = run(project, 3, "-n", "2")
    result.assert_outcomes(passed=3)
    assert told(result) == [FOUND, kept(3, 5)]
    assert calls(project) == 5
    digest = json.loads(set_of(project).with_name("questions.manifest.json").read_text())["digest"]
    assert [one["digest"] for one in project.lines[0]["questions"]] == [digest]


@pytest.mark.parametrize("option", ["--collect-only", "--evals-plan"])
def test_sessions_that_only_look(project, option):
    """They write nothing and say how; a set that is there is used."""
    none = [
        f"generated questions: none yet, and {option} writes none: "
        "pytest --evals-generate 3 without it writes 3"
    ]
    result = run(project, 3, option)
    assert (result.ret, told(result), calls(project)) == (0, none, 0)
    assert not any(line.startswith("evals: ") for line in result.outlines)
    assert not (project.path / ".rag-evals/generated").exists()
    run(project, 3)
    result = run(project, 3, option)
    assert (told(result), calls(project)) == ([], 5)
    assert "3 evaluations" in result.stdout.str()


def test_the_plan_by_its_command(project, capfd):
    """`rag-evals plan` says the same, and nothing else."""
    code = "from rag_evals.evals.cli.main import main; main(['plan', '--evals-docs=mills.md', '--evals-generate=3'])"  # noqa: E501
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == (
        "generated questions: none yet, and --evals-plan writes none: pytest --evals-generate 3 without it "
        "writes 3\n"
    )


def test_interrupted(project):
    """Ctrl-C keeps what was written; the same command goes on from there."""
    project.write("interrupt", "")
    result = run(project, 3, apart=True)
    assert result.ret == 2
    assert told(result) == [
        FOUND,
        "generating questions: interrupted; what was written is kept, and the same command goes on",
    ]
    (project.path / "interrupt").unlink()
    result = run(project, 3)
    result.assert_outcomes(passed=3)
    assert told(result) == [FOUND, kept(3, 5, " (2 of them by an earlier run)")]


def test_workers_are_interrupted(project):
    """Ctrl-C reaches all processes: they end, what was written is kept, and the same command goes on."""
    slow = project.write("slow", "")
    command = [sys.executable, "-m", "pytest", "--evals-docs", "mills.md", "--evals-generate", "6", "-n", "2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True) as session:
        until = time.monotonic() + 30
        while calls(project) < 4 and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(session.pid, signal.SIGINT)
        session.communicate(timeout=20)
    with pytest.raises(ProcessLookupError):
        os.killpg(session.pid, 0)
    assert session.returncode == 2
    slow.unlink()
    result = run(project, 6, "-n", "2")
    result.assert_outcomes(passed=6)
    earlier = int(re.search(r"\((\d+) of them by an earlier run\)", told(result)[1])[1])
    assert earlier >= 3
    assert calls(project) <= 11 + 1  # the one that was under way


def test_workers_show_how_far_they_are(project):
    """One writes while the others wait, and its bar is on the terminal; `-q` has none."""
    command = [sys.executable, "-m", "pytest", "--evals-docs", "mills.md", "--evals-generate", "3", "-n", "2"]
    shown = b"".join(run_in_terminal(command, project.path, dict(os.environ), 100, 30))
    assert re.search(rb"writing: +33%.+ 1/3 ", shown)
    assert b"writing" not in b"".join(
        run_in_terminal([*command, "-q", "--evals-home", "other"], project.path, dict(os.environ), 100, 30)
    )


def test_question_files_beside(project):
    """Files named with it are asked as well; those of the ini file only where it wants both."""
    project.ask("mine.jsonl", mine="Why?")
    run(project, 2, "--evals-questions", "mine.jsonl").assert_outcomes(passed=3)
    head = project.lines[0]
    assert [one["path"].rpartition("/")[2] for one in head["questions"]] == ["mine.jsonl", "questions.jsonl"]
    project.ask(ini="Why?")
    run(project, 2).assert_outcomes(passed=2)
    project.append("pytest.ini", "evals_generate = 2\nevals_docs = mills.md")
    project.run().assert_outcomes(passed=3)
    project.run("--evals-questions", "mine.jsonl").assert_outcomes(passed=1)
    project.run("--evals-generate", "0").assert_outcomes(passed=1)
    assert calls(project) == 3


def test_a_set_that_a_person_changed(project):
    """It is used as it is, with a line that says so; nothing is added to it."""
    run(project, 3)
    path = set_of(project)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:]) + "\n")
    result = run(project, 3)
    result.assert_outcomes(passed=2)
    assert told(result) == [
        "generated questions: SET was edited by hand, so it is used as it is",
        "generated questions: 2 of 3: nothing is added to a set that was edited by hand",
    ]
    run(project, 1).assert_outcomes(passed=1)
    assert calls(project) == 5


def test_a_set_from_which_this_run_cannot_go_on(project):
    """Work that is damaged is said with what to do here."""
    run(project, 2)
    work = set_of(project).with_name("questions.jsonl.work.jsonl")
    work.write_text(work.read_text() + "{}\n")
    result = run(project, 3)
    assert result.ret == 4
    errors = "\n".join(result.errlines).replace(str(project.path), "ROOT")
    assert re.sub("[0-9a-f]{16}", "DIGEST", errors) == (
        "ERROR: evals_generate = 3: ROOT/.rag-evals/generated/DIGEST/questions.jsonl.work.jsonl:5: "
        "not a line of a work file. Give --restart to begin anew, or another --out.\n"
        "Here: remove the folder .rag-evals/generated/DIGEST.\n"
    )
