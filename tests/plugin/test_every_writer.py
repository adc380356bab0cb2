"""Every byte that a session leaves or sends is looked through for secrets, of every shape and place."""

from __future__ import annotations

import pytest

from tests.servers.planted_secrets import found_in, kept_in, secrets_of
from tests.servers.wandb import LoopbackWandb

# Where the secrets stand, and what belongs to the user's own texts.
PLACES = (
    "settings",
    "identity",
    "fingerprint",
    "span",
    "error",
    "judge",
    "reason",
    "environment",
    "argument",
)
ADDRESSES = ("document",)
TEXTS = ("question", "answer", "passage", "evidence", "claim", "closest", "reference", "tag")

CONFTEST = """
import asyncio
import os

import pytest
from rag_evals import Answer, Context
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.profile import Profile
from rag_evals.rag.tracing.spans import span
from tests.servers.planted_secrets import secrets_of

def told(place):
    return " and ".join(secrets_of(place).values())

class Remote:
    name = "baseline"
    fingerprint = "version 1 " + told("fingerprint")
    profile = Profile(
        settings={
            "notes": secrets_of("settings"),
            "list": list(secrets_of("settings").values()),
            "text": told("settings"),
            "environment": os.environ["SOME_PASSWORD"],
            "headers": {"Authorization": "Bearer " + os.environ["SOME_PASSWORD"]},
        },
        identity={"notes": secrets_of("identity"), told("identity"): 1},
        is_cacheable=True,
    )

    async def answer(self, question):
        if "refused" in question:
            raise OSError("401 from the server for " + told("error") + os.environ["SOME_PASSWORD"])
        with span("search", notes=told("span"), **{"http.url": secrets_of("span")["url-user"]}) as step:
            step.set({"evals.more": list(secrets_of("span").values())})
        return Answer(
            "It is 8. " + told("answer") + " So it is.",
            (Context("It is 8. " + told("passage"), document=secrets_of("document")["url-user"]),
             Context("More.", document=secrets_of("document")["database"])),
        )

class Judge:
    name = "strict"
    fingerprint = "j" * 64
    profile = Profile(settings={"notes": secrets_of("settings")}, identity={"notes": secrets_of("identity")})

    async def score(self, question, answer):
        if "unjudged" in question.question:
            raise OSError("no verdict: " + told("judge"))
        end = len(answer.text)
        claims = (
            ClaimScore(told("claim"), 0.1, start=0, end=9, closest=Context(told("closest"))),
            ClaimScore("So it is.", 0.2, start=end - 9, end=end),
            ClaimScore("a", None, reason=told("reason")),
        )
        return Judgement((
            Score("faithfulness", 0.1, evidence="see " + told("evidence"), claims=claims),
            Score("relevancy", None, reason="the server said " + told("reason")),
        ))

@pytest.fixture(scope="session")
def baseline():
    return Remote()

@pytest.fixture(scope="session")
def judge():
    return Judge()

def pytest_addoption(parser):
    parser.addoption("--note", action="append")
"""


@pytest.fixture
def planted(project, monkeypatch):
    """Write a project with secrets wherever there is a place for one; run it, and return what came of it."""

    def run(*options: str, how=()) -> tuple[dict[str, bytes], object]:
        project.write("conftest.py", CONFTEST)
        text = " and ".join(secrets_of("question").values())
        more = {
            "reference": " and ".join(secrets_of("reference").values()),
            "tags": [secrets_of("tag")["openai"], secrets_of("tag")["github"]],
        }
        asked = {"good": "good", "refused": "refused", "unjudged": "unjudged"}
        project.ask(**{id: {"question": f"{asked[id]}? {text}", **more} for id in asked})
        given = set(kept_in(project.path))
        # The environment's own secrets have no shape: what they are called tells.
        monkeypatch.setenv("SOME_PASSWORD", secrets_of("environment")["aws-secret"].partition("=")[2])
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
        arguments = [f"--note={secret}" for secret in secrets_of("argument").values()]
        with LoopbackWandb() as server:
            for name, value in server.env.items():
                monkeypatch.setenv(name, value)
            wandb = ("--evals-wandb=loopback/rag", "--evals-otlp=wandb")
            reports = ("--evals-traces", "--evals-html=report.html", "--junitxml=junit.xml", "--tb=short")
            result = project.run_apart(
                *how, *options, *wandb, *reports, "--evals-update-baseline", *arguments
            )
            kept = {name: data for name, data in kept_in(project.path).items() if name not in given}
            assert {"junit.xml", "report.html", "summary.md", "evals-baselines/main.jsonl"} <= set(kept)
            assert [one for one in server.unknown if "Viewer" not in one] == []
            assert len(server.spans) >= 1
            assert len(server.runs) == 1
            keyed = [name for name, data in kept.items() if server.env["WANDB_API_KEY"].encode() in data]
            assert keyed == []
            sent = {f"body {number} of W&B": body for number, body in enumerate(server.bodies)}
        return {**kept, **sent, "the terminal": "\n".join(result.outlines + result.errlines).encode()}, result

    return run


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_what_is_not_the_users_text(planted, how):
    """Of settings, identities, spans, errors, reasons, addresses and arguments no secret is anywhere."""
    left, result = planted(how=how)
    assert result.ret == 1
    assert found_in(left, (*PLACES, *ADDRESSES)) == []
    assert len(found_in(left, ("answer",))) > 20, "answers are kept as they are"


def test_texts(planted, project):
    """With the option none of a question, an answer or a passage is either, and scores are the same."""
    left, result = planted("--evals-mask-texts")
    assert result.ret == 1
    assert found_in(left, (*PLACES, *ADDRESSES, *TEXTS)) == []
    said = {line["question_id"]: line for line in project.evaluations}
    assert said["good"]["answer"].startswith("It is 8. *** and aws_secret_access_key=*** and")
    assert said["good"]["scores"]["faithfulness"]["value"] == 0.1
    claim = said["good"]["scores"]["faithfulness"]["claims"][1]
    assert said["good"]["answer"][claim["start"] : claim["end"]] == "So it is."
