"""The documentation: its examples run as they stand, and what it leads to is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from rag_evals.evals.judges.choice.grader import Grader, whole_of
from rag_evals.evals.judges.judge import RawScore
from rag_evals.evals.judges.metrics import Metric
from rag_evals.evals.judges.prompts import Wording
from rag_evals.evals.questions.question import Question
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Answer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]


def test_metric_of_your_own():
    """The metric that docs/judging.md adds in under 30 lines works, and so does its test."""
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "judging.md").read_text("utf-8"), re.DOTALL)
    assert len(example.splitlines()) < 30
    names = {
        thing.__name__: thing
        for thing in (Grader, whole_of, Metric, Wording, Question, RawScore, ScriptedLLM, Answer, Iterable)
    }
    exec(compile(example, "docs/judging.md", "exec"), names)
    names["test_conciseness"]()
    assert names["metric"].name == "conciseness"
    assert names["how"] == {"conciseness": names["conciseness"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """To a file of the repository, and to a heading where one is named."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_tests_that_hold_what_is_promised():
    """Each test that docs/security.md names is there."""
    named = re.findall(
        r"`((?:unit|plugin|integration|browser|tests)/[^`]*)`", (DOCS / "security.md").read_text()
    )
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "tests" / name.removeprefix("tests/")).exists()] == []
