"""The labelling page as text: what it holds, what it does not, and that it heeds nothing but our own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from rag_evals.evals.judges.calibration.labels.asked import ASKED
from rag_evals.evals.judges.calibration.labels.draw import draw
from rag_evals.evals.judges.calibration.labels.examples import LABELS
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.html.labelling import labelling_html
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Context, Message, Span

HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028&amp;]]>"


def page(text: str = "So.", name: str = "run 1") -> str:
    contexts = (Context(f"One. {text}", "a.md", 2, 5, 9, 0.7, copies=(Span("b.md"),)), Context(" "))
    evaluations = tuple(
        Evaluation(
            Question(f"q{n}", f"Why {n}? {text}", reference=text if n else None),
            "baseline",
            Answer(f"{text} {n}", contexts),
            (Score("faithfulness", 0.123456), Score("relevancy", 0.9)),
            {"faithfulness": 0.5},
        )
        for n in range(2)
    )
    return labelling_html(draw(Run(name, RunHeader(), (), evaluations)))


def data(text: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


class Elements(HTMLParser):
    """Collects the names of elements, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_what_is_in_it():
    """What a label file has of an answer, passages once, and no score, threshold or verdict."""
    held = data(page())
    assert [asked["key"] for asked in held["asked"]] == ["faithful", "relevant"]
    assert held["passages"] == [{"text": "One. So.", "document": "a.md", "page": 2, "start": 5, "end": 9}]
    (first,) = [item for item in held["items"] if item["id"] == "baseline q0"]
    assert first == {
        "id": "baseline q0",
        "question": "Why 0? So.",
        "contexts": [0],
        "answer": "So. 0",
        "source": "q0",
        "pipeline": "baseline",
        "question_id": "q0",
        "weights": {"faithful": 1.0, "relevant": 1.0},
    }
    assert "0.1234" not in page()
    assert "score" not in json.dumps(held)


def test_a_conversation_is_shown():
    """What was said before a question stands beside it, and in what is saved."""
    before = (Message("user", "One?"), Message("assistant", "Two."))
    one = Evaluation(
        Question("q1", "And?", history=before), "baseline", Answer("So."), (Score("relevancy", 0.5),), {}
    )
    (item,) = data(labelling_html(draw(Run("run", RunHeader(), (), (one,)))))["items"]
    assert item["history"] == [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."}]


def test_the_same_draw_gives_the_same_page():
    assert page() == page()


def test_hostile_text_is_data():
    """It ends no element and begins none, and is read back as it was."""
    text = page(HOSTILE, name=HOSTILE)
    plain = Elements(page())
    assert [tag for tag, _ in Elements(text).found] == [tag for tag, _ in plain.found]
    assert HOSTILE in data(text)["items"][0]["answer"]
    assert data(text)["file"] == "script-script-alert-1-script-script-amp"


def test_nothing_else_is_heeded():
    """The policy names this style and this script, and there is no attribute that runs."""
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
    digests = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (style, script)]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    attributes = {name for _, found in Elements(text).found for name in found}
    assert not {name for name in attributes if name.startswith("on") or name in ("style", "src", "href")}


def test_every_label_is_asked_in_plain_words():
    """Each kind of label has a question for people."""
    assert ASKED.keys() == LABELS.keys()
    assert all(one.asks.endswith("?") for one in ASKED.values())
