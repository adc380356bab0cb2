"""Checks: rules of a project's own that look at an answer without a model, and what they may give."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import CellType, CodeType
from typing import Any

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import kind_name, printable, short_repr
from rag_evals.evals.judges.criteria.criterion import Applies, check_name, check_parameters
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.masking import masked_text
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest
from rag_evals.rag.tracing.spans import span

Rule = Callable[[Question, Answer], Any]
_GIVES = "a check gives True or False, a number from 0 to 1, or a Score"


def of_all(question: Question) -> bool:  # noqa: ARG001 - whatever is asked
    """Return that something applies to `question`."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """A rule that looks at an answer without a model.

        Check("short", lambda question, answer: len(answer.text) < 500)

    Attributes:
        name: Name of the metric in options, records and reports.
        rule: A function of the question and the answer; it gives True or False, a number from 0 to 1, or a
            Score that says why in its `evidence`, or in its `reason` why it has no value.
        applies: Tells whether it is asked of a question; by default of every one.
        breach: What a low score means, for the assertion's text; by default what the function's docstring
            says first.
        threshold: Least score that is no breach; None for 0.5.
        told: What a run says of it, beside the rule itself.

    Raises:
        UsageError: Something of it is wrong.
    """

    name: str
    rule: Rule
    applies: Applies = of_all
    breach: str = ""
    threshold: float | None = None
    told: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name("check", self.name)
        check_parameters("check", self.name, self.applies, self.threshold)
        if not callable(self.rule):
            raise UsageError(f"check {self.name}: its rule is {kind_name(self.rule)}: give a function")
        if inspect.iscoroutinefunction(self.rule):
            raise UsageError(f"check {self.name}: its function is async: give a plain one")
        if not self.told:
            object.__setattr__(self, "told", _function_told(self.rule))
        if not self.breach:
            object.__setattr__(self, "breach", _first_line(self.rule))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what a run says of it: another one is another check."""
        return digest(dict(self.told))

    def is_for(self, question: Question) -> bool:
        """Return whether it is asked of `question`."""
        return bool(self.applies(question))

    def score(self, question: Question, answer: Answer) -> Score:
        """Score `answer`; whatever the rule raises, or gives in place of a score, leaves it unscored."""
        with span(self.name, kind="EVALUATOR") as step:
            try:
                score = self._score(self.rule(question, answer))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - pytest.skip() is no Exception, and no verdict either
                score = Score(self.name, None, reason=f"check {self.name} raised {raised(error)}")
            if score.reason:
                step.fail(score.reason)
        return score

    def _score(self, given: Any) -> Score:
        if isinstance(given, Score):
            return self._of_score(given)
        if type(given).__module__ == "numpy" and hasattr(given, "item"):
            given = given.item()
        if not isinstance(given, numbers.Real) or not _is_share(float(given)):
            return self._unscored(f"gave {_shown(given)}")
        value = float(given)
        return Score(self.name, value, evidence=self.breach or None if value < 1.0 else None)

    def _of_score(self, given: Score) -> Score:
        if given.value is None:
            named = replace(given, metric=self.name)
            return named if given.reason else self._unscored("gave a Score without a value or a reason")
        if not isinstance(given.value, numbers.Real) or not _is_share(float(given.value)):
            return self._unscored(f"gave a Score of {_shown(given.value)}")
        return replace(given, metric=self.name, value=float(given.value), reason=None)

    def _unscored(self, problem: str) -> Score:
        return Score(self.name, None, reason=f"check {self.name} {problem}: {_GIVES}")


def check_scores(checks: Iterable[Check], question: Question, answer: Answer) -> tuple[Score, ...]:
    """Score `answer` by those of `checks` that apply, in the calling thread."""
    scores = []
    for check in checks:
        problem = applies_problem("check", check.name, check.applies, question)
        scores.append(Score(check.name, None, reason=problem) if problem else check.score(question, answer))
    return tuple(scores)


def applies_problem(kind: str, name: str, applies: Applies, question: Question) -> str | None:
    """Return what the function says that tells whether `question` is asked, if it raises; None else."""
    try:
        applies(question)
    except Exception as error:  # noqa: BLE001 - it is somebody's own
        return f"applies of {kind} {name} raised {raised(error)}"
    return None


def raised(error: BaseException) -> str:
    """Return the type of an error and what it says, in one line and without secrets."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= 200 else f"{text[:199]}…"
    name = type(error).__name__
    return printable(masked_text(f"{name}: {shown}" if shown else name))


def _is_share(value: float) -> bool:
    return math.isfinite(value) and 0.0 <= value <= 1.0


def _shown(given: object) -> str:
    if given is None:
        return "None"
    is_number = isinstance(given, int | float)
    return repr(given) if is_number else f"{short_repr(given)} ({type(given).__name__})"


def _first_line(rule: Rule) -> str:
    doc = inspect.getdoc(rule) if inspect.isfunction(rule) or inspect.ismethod(rule) else None
    return (doc or "").strip().partition("\n")[0]


def _function_told(rule: Rule) -> dict[str, Any]:
    """Return where a function stands, and a hash of its source and of what it closes over."""
    if isinstance(rule, partial):
        inner = _function_told(rule.func)
        given = [_plain(list(rule.args)), {name: _plain(value) for name, value in rule.keywords.items()}]
        return {**inner, "source": digest([inner["source"], given])[:16]}
    code = getattr(rule, "__code__", None)
    name = getattr(rule, "__qualname__", type(rule).__qualname__)
    try:
        source = inspect.getsource(rule)
    except (OSError, TypeError):
        source = ""
    # Two lambdas may stand in one line.
    compiled = _code_told(code) if code and (not source or code.co_name == "<lambda>") else None
    module = getattr(rule, "__module__", None) or type(rule).__module__
    told = [source, compiled, _closed_over(rule)]
    return {"function": f"{module}.{name}", "source": digest(told)[:16]}


def _code_told(code: CodeType) -> list[Any]:
    consts = [_code_told(one) if isinstance(one, CodeType) else _plain(one) for one in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), consts]


def _closed_over(rule: Rule) -> dict[str, Any]:
    """Return the plain values that a function takes from around it, by name, and its defaults."""
    if not inspect.isfunction(rule):
        return {}
    cells = zip(rule.__code__.co_freevars, rule.__closure__ or (), strict=True)
    taken = {name: _content(cell) for name, cell in cells}
    defaults = {"defaults": list(rule.__defaults__)} if rule.__defaults__ else {}
    return {name: _plain(value) for name, value in {**taken, **defaults}.items()}


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is bound later
        return None


def _plain(value: Any) -> Any:
    """Return a value as it is the same in every process: of anything but plain ones its type."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, map(_plain, value)))
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return type(value).__qualname__
