"""`rag-evals questions audit`: rules, shares before and after, drops with their reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.generation.candidate import Candidate, Passage
from rag_evals.evals.generation.rules.default_rules import CRITERIA
from rag_evals.evals.generation.work_file import WorkFile, WorkItem, work_path
from rag_evals.evals.questions.question import Question

GROUNDED = next(one for one in CRITERIA if one.name == "grounded")


def done(number: int, kind: str, outcome: str, document: str = "a.md", **fields) -> WorkItem:
    question = Question(f"q{number}", f"How wide is dune {number}?", f"{number} metres.")
    passage = Passage(document, "0" * 64, None, 0, 1, "x", "")
    candidate = Candidate(question, kind, passage, None, number) if outcome != "invalid" else None
    return WorkItem(number, kind, 0, outcome, candidate=candidate, **fields)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A set whose work has every outcome."""
    out = tmp_path / "questions.jsonl"
    work = WorkFile(work_path(out), {"rules": {"well-formed": 0, "grounded": 0.6}})
    work.load()
    values = {"well-formed": 0.0, "grounded": 0.9}
    for item in (
        done(0, "number", "kept", values=values),
        done(1, "number", "dropped", rule="grounded", value=0.25, threshold=0.6, reason="not\x1b[2Jthere"),
        done(2, "fact", "kept", document="b.md", values=values),
        done(3, "fact", "invalid", reason="the reply is no JSON object", output="Hello\x07!"),
        done(4, "fact", "dropped", rule="repeated", reason="it is there already"),
    ):
        work.append(item)
    return out


def test_counts(file, capsys):
    """Each rule with its threshold, what it measured and dropped; shares among candidates and among kept."""
    assert main(["questions", "audit", str(file)]) == 0
    assert capsys.readouterr().out == (
        "5 items: 2 kept, 2 dropped, 1 invalid\n"
        "\n"
        "rule         needs         measured  dropped\n"
        "well-formed  at most 0            2        0\n"
        "grounded     at least 0.6         2        1\n"
        "repeated                          0        1\n"
        "\n"
        "well-formed: One question in English of 3 to 40 words that begins and ends as one, without markup,\n"
        "  and a reference that does not decline and is not given away.\n"
        f"grounded: {GROUNDED.description}\n"
        "\n"
        "kind    items  kept  dropped  invalid  share before  after\n"
        "number      2     1        1        0           50%    50%\n"
        "fact        3     1        1        1           50%    50%\n"
        "\n"
        "document  items  kept  dropped  invalid  share before  after\n"
        "a.md          3     1        2        0           75%    50%\n"
        "b.md          1     1        0        0           25%    50%\n"
    )


def test_drops(file, capsys):
    """Each with its number and reason, and what was written, fit for a terminal."""
    assert main(["questions", "audit", str(file), "--drops"]) == 0
    said = capsys.readouterr().out
    assert said == (
        "1 number: grounded 0.25 (0.6 needed): not\N{REPLACEMENT CHARACTER}[2Jthere\n"
        "  How wide is dune 1?\n"
        "  - 1 metres.\n"
        "\n"
        "3 fact: invalid: the reply is no JSON object\n"
        "  Hello\N{REPLACEMENT CHARACTER}!\n"
        "\n"
        "4 fact: repeated: it is there already\n"
        "  How wide is dune 4?\n"
        "  - 4 metres.\n"
    )
    assert main(["questions", "audit", str(file), "--rule", "repeated"]) == 0
    assert capsys.readouterr().out == said[said.index("4 fact") :]


def test_json(file, capsys):
    """The counts for programs, without any text of a document or a model."""
    assert main(["questions", "audit", str(file), "--json"]) == 0
    said = capsys.readouterr().out
    value = json.loads(said)
    assert (value["items"], value["kept"], value["dropped_by"]) == (5, 2, {"grounded": 1, "repeated": 1})
    assert "dune" not in said


def test_wrong_calls(file, tmp_path, capsys):
    """A file without work, and a rule that there is none, are said."""
    other = tmp_path / "other.jsonl"
    assert main(["questions", "audit", str(other)]) == 4
    assert capsys.readouterr().err == (
        f"ERROR: {other}.work.jsonl is not there: an audit reads what `rag-evals generate` wrote beside a "
        "set\n"
    )
    assert main(["questions", "audit", str(file), "--rule", "odd"]) == 4
    assert capsys.readouterr().err == (
        "ERROR: no rule odd: one of well-formed, grounded, repeated, invalid\n"
    )
