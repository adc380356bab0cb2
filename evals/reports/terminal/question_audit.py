"""A generated set and its audit on the screen: rules, shares, each drop with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rag_evals.evals.base.messages import count_of
from rag_evals.evals.generation.audit import OUTCOMES, Audit, RuleTally, Tally
from rag_evals.evals.generation.generate import GenerationProgress
from rag_evals.evals.generation.work_file import WorkItem
from rag_evals.evals.reports.text import aligned, one_line, table, wrapped


def audit_lines(audit: Audit, width: int) -> list[str]:
    """Return what became of all items, then the rules, then shares by kind and document.

    The lines have at most `width` columns.
    """
    whole = audit.whole
    counts = ", ".join(f"{whole.outcomes[outcome]} {outcome}" for outcome in OUTCOMES)
    lines = [f"{count_of(whole.items, 'item')}: {counts}", "", *_rules(audit.rules, width)]
    lines += ["", *_shares("kind", audit.kinds, width)]
    if len(audit.documents) > 1:
        lines += ["", *_shares("document", audit.documents, width)]
    return lines


def drop_lines(audit: Audit, width: int, *, rule: str | None = None) -> list[str]:
    """Return every dropped candidate, and every reply that was none, with reason and number.

    Of `rule` only what it dropped, of `invalid` only replies that were no valid item. The lines have at most
    `width` columns.
    """
    lines: list[str] = []
    for done in audit.items:
        what = done.rule if done.outcome == "dropped" else done.outcome
        if done.outcome != "kept" and rule in (None, what):
            lines += ["", *_drop(done, what or "", width)]
    return lines


def _rules(rules: Sequence[RuleTally], width: int) -> Iterator[str]:
    rows = [("rule", "needs", "measured", "dropped")]
    for rule in rules:
        needs = (
            f"{rule.criterion.side} {rule.threshold:g}"
            if rule.criterion and rule.threshold is not None
            else ""
        )
        rows.append((one_line(rule.name), needs, str(rule.measured), str(rule.dropped)))
    yield from table(rows, width, left=2)
    yield ""
    for rule in rules:
        if rule.criterion:
            yield from wrapped(rule.criterion.description, width, first=f"{rule.name}: ", rest="  ")


def _shares(name: str, tallies: Mapping[str, Tally], width: int) -> list[str]:
    """Return a line a kind or document; its share before is among all questions, after among those kept."""
    before = max(1, sum(tally.candidates for tally in tallies.values()))
    after = max(1, sum(tally.outcomes["kept"] for tally in tallies.values()))
    rows: list[tuple[str, ...]] = [(name, "items", *OUTCOMES, "share before", "after")]
    for key, tally in tallies.items():
        counts = (str(tally.outcomes[outcome]) for outcome in OUTCOMES)
        shares = (f"{tally.candidates / before:.0%}", f"{tally.outcomes['kept'] / after:.0%}")
        rows.append((one_line(key), str(tally.items), *counts, *shares))
    return table(rows, width, left=1)


def _drop(done: WorkItem, what: str, width: int) -> Iterator[str]:
    number = ""
    if done.value is not None and done.threshold is not None:
        number = f" {done.value:.2f} ({done.threshold:g} needed)"
    yield from wrapped(
        f"{done.number} {done.kind}: {one_line(what)}{number}: {one_line(done.reason or '')}", width
    )
    if done.candidate:
        question = done.candidate.question
        yield from wrapped(one_line(question.question), width, first="  ", rest="  ")
        if question.reference:
            yield from wrapped(one_line(question.reference), width, first="  - ", rest="    ")
    elif done.output:
        yield from wrapped(one_line(done.output[:400]), width, first="  ", rest="  ")


def mix_lines(mix: Mapping[str, int], outcome: GenerationProgress) -> list[str]:
    """Return the mix as wanted and as reached, a line a kind, under a headline."""
    counts = Counter(candidate.kind for candidate in outcome.kept)
    whole = max(1, len(outcome.kept))
    rows = [("kind", "wanted", "reached", "kept", "tried")]
    for kind, share in mix.items():
        reached = f"{100 * counts[kind] / whole:.0f} %"
        rows.append((kind, f"{share} %", reached, str(counts[kind]), str(outcome.tried[kind])))
    whys = ["", *(outcome.given_up.get(kind, "") for kind in mix)]
    return [f"{line}  {why}".rstrip() for line, why in zip(aligned(rows), whys, strict=True)]
