"""A run as a table, one row an evaluation: a pandas DataFrame, CSV, Parquet.

A verdict that could not be had is a missing value, never zero: `frame.groupby("pipeline")[metrics].mean()`
is the mean of the scores that are there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag_evals.evals.base.cells import cell_text
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.judges.metrics import in_order
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run, find_run, read_run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer

if TYPE_CHECKING:
    import pandas
    import pyarrow

HOME = Path(".rag-evals")
BASELINES = Path("evals-baselines")

ColumnKind = Literal["text", "number", "count", "texts", "counts"]

_BEFORE: Mapping[str, ColumnKind] = {
    "question_id": "text",
    "pipeline": "text",
    "repeat": "count",
    "question": "text",
    "answer": "text",
    "reference": "text",
    "tags": "texts",
    "outcome": "text",
}
_AFTER: Mapping[str, ColumnKind] = {
    "tokens_evaluated": "count",
    "tokens_reused": "count",
    "tokens_generated": "count",
    "contexts": "texts",
    "documents": "texts",
    "pages": "counts",
    "error": "text",
    "usd": "number",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A run, one row an evaluation.

    Attributes:
        columns: Name and kind of each column, in order.
        rows: One cell a column; None where there is nothing.
    """

    columns: Mapping[str, ColumnKind]
    rows: tuple[tuple[Any, ...], ...]


def to_pandas(run: Run | Path | str, *, home: Path = HOME, baselines: Path = BASELINES) -> pandas.DataFrame:
    """Return a run as a DataFrame, one row an evaluation in the order in which they were finished.

    `attrs` has the run's name and `notes`, a line for everything that is wrong with it.

    Args:
        run: A run in memory, or what names one: its folder, its records, its id, `latest`, or a baseline.
            What W&B keeps is fetched first: `to_pandas(run_of("wandb:PROJECT/RUN_ID", home))`, with `run_of`
            of `rag_evals.evals.trackers.wandb.fetched_files`.
        home: Folder of runs.
        baselines: Folder of baselines.

    Raises:
        RunFileError: There is no such run, or it cannot be read.
        UsageError: pandas is not installed.
    """
    pandas = _pandas()
    loaded = run if isinstance(run, Run) else read_run(find_run(str(run), home, baselines))
    table = evaluation_table(loaded.evaluations)
    cells = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    frame = pandas.DataFrame(
        {
            name: pandas.Series(list(column), dtype=_DTYPES[kind])
            for (name, kind), column in zip(table.columns.items(), cells, strict=True)
        }
    )
    frame.attrs.update(run=loaded.name, notes=list(loaded.notes))
    return frame


def to_csv(run: Run) -> str:
    """Return a run as CSV with a header; no pandas needed.

    Lists are JSON. A text that a spreadsheet would take for a formula gets an apostrophe before it;
    numbers are numbers.
    """
    table = evaluation_table(run.evaluations)
    text = io.StringIO()
    # Every text in quotes: with this line end csv takes a lone carriage return for harmless.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(map(_cell, table.columns))
    writer.writerows(map(_cell, row) for row in table.rows)
    return text.getvalue()


def write_parquet(run: Run, file: Path) -> None:
    """Write a run as Parquet; the columns have the same types in every run.

    Raises:
        UsageError: pandas or pyarrow is not installed.
        OSError: `file` cannot be written.
    """
    frame = to_pandas(run)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(_missing("Parquet", "pyarrow")) from error
    types = _arrow_types(pyarrow)
    columns = evaluation_table(run.evaluations).columns
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    whole = pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False)
    # Opened by Python, whose errors have a reason in words.
    with file.open("wb") as opened:
        parquet.write_table(whole, opened)


def evaluation_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return `evaluations` as a table, with columns for every metric and stage that occurs."""
    metrics = _metrics(evaluations)
    stages = list(dict.fromkeys(stage for e in evaluations for stage in e.seconds))
    columns: dict[str, ColumnKind] = dict(_BEFORE)
    for metric in metrics:
        name = _name(metric)
        columns |= {name: "number", f"{name}_reason": "text", f"{name}_threshold": "number"}
    columns |= {"worst_claim": "text", "seconds": "number"}
    columns |= {_text(f"seconds_{stage}"): "number" for stage in stages}
    columns |= _AFTER
    rows = (_row(evaluation, metrics, stages) for evaluation in evaluations)
    return Table(columns, tuple(tuple(row[name] for name in columns) for row in rows))


# --- rows ---


def _row(evaluation: Evaluation, metrics: Sequence[str], stages: Sequence[str]) -> dict[str, Any]:
    question, answer, used = evaluation.question, evaluation.answer, evaluation.total
    row: dict[str, Any] = {
        "question_id": question.id,
        "pipeline": evaluation.pipeline,
        "repeat": evaluation.repeat,
        "question": question.question,
        "answer": answer.text if answer else None,
        "reference": question.reference,
        "tags": list(question.tags),
        "outcome": evaluation.outcome,
        "worst_claim": worst_claim(evaluation.scores),
        "seconds": float(sum(evaluation.seconds.values())),
        "tokens_evaluated": used.evaluated,
        "tokens_reused": used.reused,
        "tokens_generated": used.generated,
        **_contexts(answer),
        "error": evaluation.error,
        "usd": evaluation.usd,
    }
    row |= {f"seconds_{stage}": evaluation.seconds.get(stage) for stage in stages}
    scores = {score.metric: score for score in evaluation.scores}
    for metric in metrics:
        row |= _score(_name(metric), scores.get(metric), evaluation.thresholds.get(metric))
    return {_text(name): _whole(cell) for name, cell in row.items()}


def _score(name: str, score: Score | None, threshold: float | None) -> dict[str, Any]:
    return {
        name: score.value if score else None,
        f"{name}_reason": score.reason if score else None,
        f"{name}_threshold": threshold if score else None,
    }


def _contexts(answer: Answer | None) -> dict[str, Any]:
    contexts = answer.contexts if answer else ()
    return {
        "contexts": [context.text for context in contexts],
        "documents": [context.document for context in contexts],
        "pages": [context.page for context in contexts],
    }


def worst_claim(scores: Sequence[Score]) -> str | None:
    """Return the claim with the lowest value; of equal ones the first metric's. None without verdicts."""
    claims: list[ClaimScore] = [c for score in scores for c in score.claims if c.value is not None]
    worst = min(claims, key=lambda claim: claim.value or 0.0, default=None)
    return worst.text if worst else None


def _metrics(evaluations: Sequence[Evaluation]) -> list[str]:
    return in_order(score.metric for e in evaluations for score in e.scores)


def _name(metric: str) -> str:
    """Return the column of `metric`, which must not be that of something else."""
    taken = {*_BEFORE, *_AFTER, "worst_claim", "seconds"}
    return _text(f"metric_{metric}" if metric in taken else metric)


def _whole(cell: Any) -> Any:
    """Return `cell` without halves of surrogate pairs, which no file of text can hold."""
    if isinstance(cell, str):
        return _text(cell)
    return [_whole(part) for part in cell] if isinstance(cell, list) else cell


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# --- the forms ---

# Fixed, as pandas would make a column without a single number one of objects.
_DTYPES: Mapping[ColumnKind, str] = {
    "text": "str",
    "number": "float64",
    "count": "int64",
    "texts": "object",
    "counts": "object",
}


def _arrow_types(pyarrow: Any) -> Mapping[ColumnKind, pyarrow.DataType]:
    return {
        "text": pyarrow.string(),
        "number": pyarrow.float64(),
        "count": pyarrow.int64(),
        "texts": pyarrow.list_(pyarrow.string()),
        "counts": pyarrow.list_(pyarrow.int64()),
    }


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return cell_text(value) if isinstance(value, str) else value


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise UsageError(_missing("a DataFrame", "pandas")) from error
    return pandas


def _missing(what: str, package: str) -> str:
    return printable(f"{what} needs {package}, which is not installed: pip install 'rag-evals[tables]'")
