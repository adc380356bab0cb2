"""What a figure of retrieval complains of, in one line: what was missed, and which stage lost it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.retrieval.characters import best_covered
from rag_evals.evals.retrieval.coverage import source_name
from rag_evals.evals.retrieval.judged_retrieval import JudgedRetrieval
from rag_evals.evals.retrieval.metric_names import RetrievalMetric

# Sources that are named before the rest is only counted, and passages.
_NAMED = 3
_COUNTED = 8


class Evidence:
    """What the figures of one list of passages complain of; what several miss is looked into once."""

    def __init__(self, judged: JudgedRetrieval) -> None:
        self._judged = judged
        self._among = f"the {count_of(len(judged.passages), 'passage')}"
        self._wanted = list(dict.fromkeys(one.group for one in judged.targets if one.grade > 0))
        self._names: dict[int, str] = {}
        self._lost: dict[int, str] = {}

    def of(self, metric: RetrievalMetric, value: float) -> str | None:
        """Return what a figure complains of; None where there is nothing to complain of."""
        if metric.kind == "unjudged":
            return self._of_unjudged(metric) if value else None
        if value == 1:
            return None
        if metric.k is None and metric.kind in ("recall", "precision", "iou"):
            return self._of_characters(metric)
        return self._of_ranks(metric)

    def _of_ranks(self, metric: RetrievalMetric) -> str:
        """Return what was not found; where all was, how late."""
        judged, k = self._judged, metric.k
        ranking = judged.ranking(k)
        found = {find.reached.target.group for find in ranking.finds}
        missing = [group for group in self._wanted if group not in found]
        if missing and not (found and metric.kind == "mrr"):
            return _joined(missing, lambda group: self._missed(group, k))
        if metric.kind == "precision":
            return f"{ranking.useful} of the first {count_of(k or 0, 'passage')} helped to find a source"
        late = ranking.finds[0 if metric.kind == "mrr" else -1]
        name = self._name(judged.targets.index(late.reached.target))
        return f"{name} is {ordinal(late.reached.rank + 1)} of {self._among}"

    def _of_characters(self, metric: RetrievalMetric) -> str:
        """Return how many characters of the passages are of no source, and what is missing of the sources."""
        judged, counts = self._judged, self._judged.characters()
        beside = counts.shown - counts.found
        if metric.kind == "precision" and counts.found:
            return self._beside(beside, counts.shown)
        chosen = best_covered(judged.targets, judged.coverages)
        missing = [number for number in chosen if judged.coverages[number].share < 1]
        parts = [_joined(missing, self._missing_of)] if missing else []
        if metric.kind == "iou" and beside:
            parts.append(self._beside(beside, counts.shown))
        return "; ".join(parts)

    def _beside(self, beside: int, shown: int) -> str:
        return f"{beside:,} of {shown:,} characters of {self._among} are of no source"

    def _missing_of(self, number: int) -> str:
        target, share = self._judged.targets[number], self._judged.coverages[number].share
        if not share:
            return self._missed(target.group, None)
        return f"{_percent(1 - share)} of {self._name(number)} is not among {self._among}"

    def _of_unjudged(self, metric: RetrievalMetric) -> str:
        ranks = [str(rank + 1) for rank in self._judged.unjudged(metric.k)]
        more = f" and {len(ranks) - _COUNTED} more" if ranks[_COUNTED:] else ""
        first = count_of(len(self._judged.passages[: metric.k]), "passage")
        shown = f"{', '.join(ranks[:_COUNTED])}{more}"
        return f"no source says anything of {len(ranks)} of the first {first}: {shown}"

    def _missed(self, group: int, k: int | None) -> str:
        """Return that no source of a group is among the first `k` passages, and where it was lost."""
        rank = self._rank_in(list(self._judged.stages)[-1], self._members(group))
        if rank is not None:
            name = self._names_of(group)
            return f"{name} is not among the first {k} passages: it is {ordinal(rank + 1)} of {self._among}"
        if group not in self._lost:
            self._lost[group] = self._not_found(group)
        return self._lost[group]

    def _not_found(self, group: int) -> str:
        members, name = self._members(group), self._names_of(group)
        share = max(self._judged.coverages[number].share for number in members)
        if share:
            return f"only {_percent(share)} of {name} is among {self._among}{self._lost_by(members)}"
        if not self._judged.passages:
            return f"no passage was found, so that {name} is missing{self._lost_by(members)}"
        return f"{name} is not among {self._among}{self._lost_by(members)}"

    def _lost_by(self, members: Sequence[int]) -> str:
        """Return which stage lost a source, and where it was before; or that no stage had it."""
        judged = self._judged
        *earlier, _ = judged.stages
        if not earlier or any(judged.coverages_at(s)[n].undecided for s in earlier for n in members):
            return ""
        following = dict(zip(earlier, [*judged.stages][1:], strict=True))
        for stage in reversed(earlier):
            rank = self._rank_in(stage, members)
            if rank is not None:
                lost_by = printable(following[stage])
                return f": {lost_by} lost it, it was {ordinal(rank + 1)} of the {_plural(stage)}"
        return f", nor among the {len(judged.stages[earlier[0]])} {_plural(earlier[0])}"

    def _rank_in(self, stage: str, members: Sequence[int]) -> int | None:
        """Return with which passage of a stage the first of some targets is found, counted from 0."""
        coverages = self._judged.coverages_at(stage)
        taken = ((coverages[number], coverages[number].reached(self._judged.tau)) for number in members)
        return min((coverage.ranks[n - 1] for coverage, n in taken if n is not None), default=None)

    def _members(self, group: int) -> list[int]:
        return [n for n, t in enumerate(self._judged.targets) if t.group == group and t.grade > 0]

    def _names_of(self, group: int) -> str:
        first, *others = self._members(group)
        more = f" or {count_of(len(others), 'other place')}" if others else ""
        return self._name(first) + more

    def _name(self, number: int) -> str:
        if number not in self._names:
            self._names[number] = printable(source_name(self._judged.targets[number].source))
        return self._names[number]


def _joined(members: Sequence[int], text: Callable[[int], str]) -> str:
    more = [f"and {len(members) - _NAMED} more"] if members[_NAMED:] else []
    return "; ".join([*map(text, members[:_NAMED]), *more])


def _percent(share: float) -> str:
    return f"{share:.0%}" if 0.005 <= share < 0.995 else f"{share:.2%}"


def _plural(stage: str) -> str:
    return printable(stage if stage.endswith("s") else f"{stage} passages")


def ordinal(number: int) -> str:
    """Return a number as the place in an order: 1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
