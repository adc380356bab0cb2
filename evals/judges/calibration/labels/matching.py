"""Labels and the answers of a run: which label is of which answer, and why one is of none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rag_evals.evals.base.messages import count_of, first_names
from rag_evals.evals.judges.calibration.labels.draw import shown_contexts
from rag_evals.evals.judges.calibration.labels.examples import BY_CONTEXT, LABELS, Labelled
from rag_evals.evals.judges.calibration.labels.people import is_of_context
from rag_evals.evals.runs.evaluation import Evaluation


class RunAnswers:
    """The answers of a run, to be found by what was labelled.

    A label is of every answer with its question and its text; one that was drawn from a run also has to have
    the same passages and the same history, and be of the same pipeline.
    """

    def __init__(self, evaluations: Iterable[Evaluation]) -> None:
        self._by_text: dict[tuple[str, str], list[Evaluation]] = {}
        self._by_name: dict[tuple[str, str], Evaluation] = {}
        self._questions: set[str] = set()
        for one in evaluations:
            text = one.answer.text if one.answer else ""
            self._by_text.setdefault((one.question.question, text), []).append(one)
            self._by_name[one.pipeline, one.question.id] = one
            self._questions.add(one.question.question)

    def of(self, example: Labelled) -> list[Evaluation]:
        """Return the evaluations of the answer that was labelled."""
        found = self._by_text.get((example.question.question, example.answer.text), [])
        by = example.labelling
        return [one for one in found if _is_drawn_from(one, example)] if by.pipeline else list(found)

    def why_not(self, example: Labelled) -> str:
        """Return why there is no such answer."""
        by = example.labelling
        question, answer = example.question.question, example.answer.text
        now = self._by_name.get((by.pipeline or "", by.question_id or ""))
        if now is None:
            return "the answer is another now" if question in self._questions else "no such question"
        if now.question.question != question:
            return "the question is another now"
        if now.answer is None or now.answer.text != answer:
            return "the answer is another now"
        is_behind = now.question.history == example.question.history
        return "the passages are others now" if is_behind else "what was said before is another now"


def _is_drawn_from(one: Evaluation, example: Labelled) -> bool:
    by = example.labelling
    there = [context.text for context in shown_contexts(one)]
    labelled = [context.text for context in example.answer.contexts]
    is_same = set(labelled) <= set(there) if is_of_context(example) else labelled == there
    return is_same and (one.pipeline, one.question.history) == (by.pipeline, example.question.history)


def judged_value(one: Evaluation, metric: str, example: Labelled) -> float | None:
    """Return what the judge says of what was labelled: of the answer, or of the one passage."""
    score = next((score for score in one.scores if score.metric == metric), None)
    if score is None or metric != LABELS[BY_CONTEXT]:
        return score.value if score else None
    text = example.answer.contexts[0].text if example.answer.contexts else ""
    return next((claim.value for claim in score.claims if claim.text == text), None)


def should_pass(metric: str, one: Evaluation, label: int) -> int:
    """Return whether an answer with `label` should pass: a decline should only where there is no answer."""
    return 1 - label if metric == "refusal" and one.question.answerable else label


@dataclass(frozen=True, slots=True)
class Stray:
    """A label of no answer of the run.

    Attributes:
        name: Its id.
        run: The run that it was drawn from, where that is known.
        why: What is not as it was.
    """

    name: str
    run: str | None
    why: str


def strays_of(answers: RunAnswers, examples: Iterable[Labelled]) -> list[Stray]:
    """Return the labels that are of no answer, each entry of a file once."""
    found = {
        one.question.id: Stray(one.question.id, one.labelling.run, answers.why_not(one))
        for one in examples
        if not answers.of(one)
    }
    return list(found.values())


def stray_line(strays: Sequence[Stray], count: int) -> str:
    """Return the line that says which of `count` labelled answers are not in the run, and why."""
    whys: dict[str, list[str]] = {}
    for one in strays:
        whys.setdefault(one.why, []).append(one.name)
    told = "; ".join(f"{why}: {first_names(names)}" for why, names in whys.items())
    runs = ", ".join(dict.fromkeys(one.run for one in strays if one.run))
    of = f" (labelled in run {runs})" if runs else ""
    return f"labels: {len(strays)} of {count_of(count, 'answer')} are not in this run{of}: {told}"
