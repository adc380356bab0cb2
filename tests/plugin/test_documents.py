"""What was not read of documents is said once, and kept with the run."""

from __future__ import annotations

import json

import pytest

CONFTEST = """
import pytest
from rag_evals import Context
from rag_evals.testing import FakeJudge
from rag_evals.rag.answer import Answer
from rag_evals.rag.profile import Profile


class Reads:
    name = "reads"
    fingerprint = "1"

    def __init__(self, remarks):
        self.profile = Profile(remarks=lambda: remarks)

    async def answer(self, question):
        return Answer("Two of eight.", (Context("Two of eight.", "a.md", 3, page_end=4),))


@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.9})


@pytest.fixture(scope="session")
def reads(evals_corpus, evals_session):
    return Reads(evals_session.materials.remarks)
"""
LEFT_OUT = "left out bad.txt: not UTF-8 text (byte 0xFF at 0); convert it to UTF-8"
PASSED_OVER = "1 file of other formats passed over (.png 1): plan.png"


@pytest.fixture
def documents(project):
    """A folder with a good file, a bad one and an image."""
    folder = project.path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("Two of eight.\n")
    (folder / "bad.txt").write_bytes(b"\xff\xff")
    (folder / "plan.png").write_bytes(b"png")
    (project.path / "conftest.py").write_text(CONFTEST)
    return project


def test_remarks_of_a_run(documents):
    """A loss is a warning; all remarks are in run.json, in the pipeline's line and in the report."""
    result = documents.run(
        "--evals-docs=docs", "--evals-pipelines=reads", "--evals-html=report.html", "-W", "default"
    )
    result.assert_outcomes(passed=len(documents.evaluations), warnings=1)
    result.stdout.fnmatch_lines([f"*DocumentWarning: {LEFT_OUT}"])
    result.stdout.no_fnmatch_line("*passed over*")
    (run,) = documents.runs
    assert json.loads((run / "run.json").read_text("utf-8"))["remarks"] == [LEFT_OUT, PASSED_OVER]
    (pipeline,) = [line for line in documents.lines if line["type"] == "pipeline"]
    assert pipeline["remarks"] == [LEFT_OUT, PASSED_OVER]
    report = (documents.path / "report.html").read_text("utf-8")
    assert "What was not read of the documents: 2" in report
    assert f'<li dir="auto">{PASSED_OVER}</li>' in report
    assert "a.md p.3-4" in report


INDEXES = """

class Indexes(Reads):
    def __init__(self):
        self.found = []
        self.profile = Profile(remarks=lambda: self.found)

    async def answer(self, question):
        self.found = ["half is not read"]
        return await super().answer(question)


@pytest.fixture(scope="session")
def indexes():
    return Indexes()
"""


def test_what_is_known_with_the_first_answer(documents):
    """A remark of the index, which the first question opens, is a warning once and kept like the others."""
    (documents.path / "conftest.py").write_text(CONFTEST + INDEXES)
    result = documents.run("--evals-pipelines=indexes", "--evals-html=report.html", "-W", "default")
    result.assert_outcomes(passed=len(documents.evaluations), warnings=1)
    result.stdout.fnmatch_lines(["*DocumentWarning: half is not read"])
    told = [line.get("remarks") for line in documents.lines if line["type"] == "pipeline"]
    assert told == [None, ["half is not read"]]
    assert "What was not read of the documents: 1" in (documents.path / "report.html").read_text("utf-8")


def test_a_loss_as_an_error(documents):
    """Who wants all of the documents or nothing asks pytest."""
    result = documents.run("--evals-docs=docs", "--evals-pipelines=reads", "-W", "error::UserWarning")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*DocumentWarning: {LEFT_OUT}"])
