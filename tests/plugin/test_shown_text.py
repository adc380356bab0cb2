"""Whatever is shown of what others wrote drives no terminal and gives a CI runner no command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# A title, a clipboard, a link, a bell, an old window's command, a colour, and commands to runners of CI.
EVIL = (
    "\x1b]0;t\x07 \x1b]52;c;aGk=\x1b\\ \x1b]8;;http://x\x07l \x9b31m \x9d52;c;aGk=\x9c \u202e"
    " ::set-env name=A::b ##[add-path]/x"
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
COLOURS = re.compile("\x1b\\[[0-9;]*m")

CONFTEST = f"""
import pytest
from rag_evals import Answer, Context
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.profile import Profile
from rag_evals.rag.tracing.spans import span
EVIL = {EVIL!r}

class Remote:
    name = "baseline"
    fingerprint = "f" * 64
    profile = Profile(
        settings={{"note" + EVIL: EVIL}}, identity={{"note": EVIL}}, remarks=lambda: ("lost " + EVIL,)
    )

    async def answer(self, question):
        if "refused" in question:
            raise OSError("401 " + EVIL)
        with span("search " + EVIL, note=EVIL):
            pass
        return Answer("It is 8. " + EVIL, (Context("passage " + EVIL, document="a" + EVIL),))

class Judge:
    name = "strict"
    fingerprint = "j" * 64

    async def score(self, question, answer):
        if "unjudged" in question.question:
            raise OSError("no verdict: " + EVIL)
        closest = Context("near " + EVIL, document="d" + EVIL)
        claims = (ClaimScore("claim " + EVIL, 0.1, end=5, closest=closest),)
        return Judgement((
            Score("faithfulness", 0.1, evidence="see " + EVIL, claims=claims),
            Score("relevancy", None, reason="said " + EVIL),
        ))

@pytest.fixture(scope="session")
def baseline():
    return Remote()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""


def test_no_door_lets_it_through(project, monkeypatch):
    """The session, verbose, and the commands that show its run: terminal, Markdown, HTML, JUnit."""
    project.write("conftest.py", CONFTEST)
    more = {"reference": EVIL, "tags": [EVIL]}
    project.ask(**{name: {"question": f"{name}? {EVIL}", **more} for name in ("good", "refused", "unjudged")})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    reports = ("--evals-traces", "--evals-html=report.html", "--junitxml=junit.xml", "--color=yes")
    session = project.run_apart("-vv", "-rA", "--tb=line", *reports)
    shown = {"session": "\n".join((*session.outlines, *session.errlines))}
    for file in ("summary.md", "report.html", "junit.xml"):
        shown[file] = project.read(file)
    shows = (
        "report latest",
        "report latest --format markdown",
        "report latest --format junit",
        "cache explain good",
    )
    for command in (*shows, "compare latest latest", "flaky", "cache stats"):
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "rag_evals.evals.cli", *command.split()],
            cwd=project.path,
            capture_output=True,
            text=True,
        )
        shown[command] = ran.stdout + ran.stderr
    text = {name: COLOURS.sub("", said) for name, said in shown.items()}
    assert {
        name: found for name, said in text.items() if (found := CONTROL.findall(said)) or "\x1b" in said
    } == {}
    assert [name for name, said in text.items() if not said.strip()] == []
    logged = [
        name for name in text if Path(name).suffix not in (".md", ".html", ".xml") and "format" not in name
    ]
    assert [name for name in logged if "##[" in text[name]] == []
    begun = r"(?m)^\s*::(?!stop-commands::|[0-9a-f]{32}::|error |warning )"
    assert [name for name in logged if re.search(begun, text[name])] == []
