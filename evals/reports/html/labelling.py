"""The labelling page: people judge drawn answers in a browser, blind to the judge, and save a file."""

from __future__ import annotations

import json
import re
from typing import Any

from rag_evals.evals.judges.calibration.labels.asked import ASKED
from rag_evals.evals.judges.calibration.labels.draw import Draw, DrawnAnswer, shown_contexts
from rag_evals.evals.judges.calibration.labels.examples import (
    BY_CONTEXT,
    CONTEXT_KEYS,
    LABELS,
    context_content,
)
from rag_evals.evals.questions.question import messages_to_json
from rag_evals.evals.reports.html.frame import asset, policy, template
from rag_evals.evals.reports.text import visible_text
from rag_evals.rag.answer import Context


def labelling_html(drawn: Draw) -> str:
    """Return the page that asks people of the answers of a draw; the same draw gives the same text.

    It holds what a label file holds of an answer. Scores are not in it.
    """
    css, js = asset("palette.css") + asset("labels.css"), asset("labels.js")
    run = visible_text(drawn.run)
    page: str = template("labels.html.j2").render(
        policy=policy([css], [js]),
        css=css,
        js=js,
        title=f"rag-evals labels: {run}",
        run=run,
        count=len(drawn.answers),
        data=_data(drawn),
    )
    return page


def _data(drawn: Draw) -> Any:
    """Return the data of the page as JSON that ends no element and begins none."""
    from markupsafe import Markup

    passages: dict[Context, int] = {}
    items = [_item(one, passages) for one in drawn.answers]
    keys = [key for key, metric in LABELS.items() if metric in drawn.metrics]
    data = {
        "run": drawn.run,
        "draw": drawn.digest,
        "file": re.sub(r"[^\w.]+", "-", drawn.run).strip("-.")[:80] or "run",
        "byContext": BY_CONTEXT,
        "asked": [
            {"key": key, "asks": ASKED[key].asks, "helps": ASKED[key].helps, "shows": ASKED[key].shows}
            for key in keys
        ],
        "passages": [context_content(context) for context in passages],
        "items": items,
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}))


def _item(one: DrawnAnswer, passages: dict[Context, int]) -> dict[str, Any]:
    question = one.evaluation.question
    contexts = [_plain(context) for context in shown_contexts(one.evaluation)]
    return {
        "id": one.name,
        "question": question.question,
        **({} if question.reference is None else {"reference": question.reference}),
        **({"history": messages_to_json(question.history)} if question.history else {}),
        "contexts": [passages.setdefault(context, len(passages)) for context in contexts],
        "answer": one.evaluation.answer.text if one.evaluation.answer else "",
        "source": one.source,
        "pipeline": one.evaluation.pipeline,
        "question_id": question.id,
        "weights": {
            key: round(one.weights[metric], 6) for key, metric in LABELS.items() if metric in one.weights
        },
    }


def _plain(context: Context) -> Context:
    """Return a passage as a label file has it, so that many answers share it."""
    return Context(**{name: getattr(context, name) for name in CONTEXT_KEYS})
