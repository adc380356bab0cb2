"""The fields of each line of the records, as a table; whatever else is there is passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag_evals.evals.base.fields import (
    Kind,
    anything,
    at_least_one,
    count,
    fields,
    keyed,
    listed,
    maybe,
    number,
    one_of,
    text,
    truth,
    whole,
)

_objects = keyed(anything)
_texts = listed(text)
_offsets = {name: maybe(whole) for name in ("page", "start", "end", "page_end")}
_span = fields({"document": text}, _offsets)
_context = fields(
    {"text": text}, {"document": text, **_offsets, "score": maybe(number), "copies": maybe(listed(_span))}
)
_source = fields(
    {"document": text},
    {**_offsets, "quote": maybe(text), "relevance": maybe(number), "any_of": maybe(text)},
)
_message = fields({"role": one_of("user", "assistant"), "content": text})
# What a service tells of its citations has the same form.
citation = fields(
    {},
    {
        **{name: maybe(whole) for name in ("start", "end", "page", "page_end")},
        "contexts": maybe(listed(whole)),
        "document": maybe(text),
        "mark": text,
    },
)
_claim = fields(
    {"text": text, "value": maybe(number)},
    {
        "start": whole,
        "end": whole,
        "closest": maybe(_context),
        "reason": maybe(text),
        "unsupported": _texts,
        "citations": maybe(listed(citation)),
        "fault": maybe(text),
    },
)
_decline = fields({"text": text, "start": whole, "end": whole, "by": text})
_score = fields(
    {"value": maybe(number), "threshold": maybe(number)},
    {
        **{name: maybe(number) for name in ("least", "mean", "spread")},
        **{name: maybe(text) for name in ("reason", "evidence", "breach", "explanation")},
        "graded": truth,
        "claims": listed(_claim),
        "declines": listed(_decline),
        "again": maybe(listed(maybe(number))),
    },
)
_tokens = dict.fromkeys(("evaluated", "reused", "generated"), count)
_answered = fields({"finished": truth, "omitted": count, "contexts": listed(_context)})
_drawn = fields({"stratum": text, "population": at_least_one, "count": at_least_one})
_evaluation = fields(
    {
        "question_id": text,
        "question": text,
        "pipeline": text,
        "answer": maybe(text),
        "scores": keyed(_score),
        "seconds": keyed(number),
        "tokens": fields({}, {**_tokens, "stages": keyed(fields({}, _tokens))}),
        "repeat": count,
        "error": maybe(text),
    },
    {
        "attempt": maybe(count),
        "reference": maybe(text),
        "answerable": truth,
        "tags": _texts,
        "sources": maybe(listed(_source)),
        "contexts_known": truth,
        "candidates": maybe(listed(_span)),
        "retrieved": maybe(keyed(listed(_span))),
        "cached": maybe(_texts),
        "usd": maybe(number),
        "citations": maybe(listed(citation)),
        "cites": maybe(truth),
        "conditions": maybe(_texts),
        "test": maybe(text),
        "keys": maybe(keyed(maybe(text))),
        "logged": maybe(_objects),
        "drawn": maybe(_drawn),
        "outcome": text,
        "history": maybe(listed(_message)),
        "conversation": maybe(text),
        "turn": maybe(count),
    },
)


def evaluation(value: Any) -> None:
    """An evaluation."""
    _evaluation(value)
    if value["answer"] is not None:
        _answered(value)


# Of a line about the run itself: a field that is wrong is left out, and the rest counts.
HEAD: Mapping[str, Kind] = {
    "run": text,
    "mode": maybe(one_of("strict", "gate", "report")),
    "metrics": maybe(_texts),
    "criteria": maybe(keyed(_objects)),
    "retrieval_metrics": maybe(_texts),
    "tau": maybe(number),
    "thresholds": maybe(keyed(number)),
    "max_unscored": maybe(number),
    "judge_floor": maybe(number),
    "gate": maybe(_texts),
    "inconclusive": maybe(one_of("pass", "warn", "block")),
    "margin": maybe(number),
    "stop_early": maybe(truth),
    "offline": maybe(truth),
    "baseline": maybe(text),
    "trackers": maybe(keyed(_objects)),
    "questions": maybe(listed(fields({}, {"path": text, "digest": text}))),
    "answers": maybe(_objects),
    "used": maybe(listed(fields({}, {"artifact": text}))),
    "stale": maybe(_texts),
    "notes": maybe(_texts),
    "remarks": maybe(_texts),
    "args": maybe(_texts),
    "directory": maybe(text),
    "as_module": maybe(truth),
    "versions": maybe(_objects),
    "machine": maybe(_objects),
    "git": maybe(_objects),
    "merged": maybe(listed(_objects)),
}
COMPONENT: Mapping[str, Kind] = {
    "settings": maybe(_objects),
    "identity": maybe(_objects),
    "versioned": truth,
    "remarks": _texts,
}
_asked = fields(
    {
        "test": text,
        "pipeline": maybe(text),
        "question_id": text,
        "question": text,
        "answerable": truth,
        "tags": _texts,
        "repeat": count,
        "metrics": _texts,
    }
)
_verdict = one_of("PASS", "INCONCLUSIVE", "BLOCK")
_interval = fields({"value": number, "low": number, "high": maybe(number)})
_held = fields(
    {
        "condition": text,
        "pipeline": maybe(text),
        "count": count,
        "interval": maybe(_interval),
        "verdict": _verdict,
        "needed": maybe(whole),
        "notes": _texts,
    }
)
_row = fields(
    {
        "pipeline": text,
        "metric": text,
        "tag": maybe(text),
        "difference": fields(
            {
                "count": count,
                **dict.fromkeys(("before", "after", "value", "low", "high", "p_worse"), number),
                "detectable": maybe(number),
            }
        ),
        "p_adjusted": number,
        "verdict": _verdict,
    }
)
_comparison = fields(
    {
        "name": text,
        "rows": listed(_row),
        "verdict": _verdict,
        "notes": _texts,
        "detectable": maybe(number),
    },
    {"margin": number, "is_comparable": truth},
)
_ruling = fields(
    {"verdict": maybe(_verdict)},
    {
        "conditions": listed(_held),
        "comparison": maybe(_comparison),
        "is_over_budget": truth,
        "baseline": maybe(text),
        "lines": maybe(_texts),
    },
)
# Of a line that is one thing: where a field is wrong, all of it is left out. Other types are passed over.
LINES: Mapping[str, Kind] = {
    "pipeline": fields({"name": text, "fingerprint": text}),
    "judge": fields({"name": text, "fingerprint": text}),
    "evaluation": evaluation,
    "rejudged": evaluation,
    "asked": fields({"tests": listed(_asked)}),
    "cache": fields({"problem": text}),
    "ruling": _ruling,
}
SPAN = fields(
    {
        **dict.fromkeys(("trace_id", "span_id", "name"), text),
        **dict.fromkeys(("parent_id", "error"), maybe(text)),
        **dict.fromkeys(("start_ns", "end_ns"), count),
        "attributes": _objects,
    }
)
