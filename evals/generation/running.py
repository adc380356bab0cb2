"""The run: item by item to the number that is wanted, going on from where an earlier run was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from evals.errors import GenerationError, printable
from evals.generation.candidates import Candidate
from evals.generation.planning import Planner
from evals.generation.replies import InvalidItemError
from evals.generation.rules import Rule
from evals.generation.working import Done, WorkFile, done_of
from evals.generation.writing import Item, write
from rag.llm.protocol import LLM

# Replies in a row that are no valid item: a model that gives so many has not understood.
MOST_INVALID = 12
SHOWN_OUTPUTS = 3
# Items in a row of which none is kept. Where one in twenty is, that is bad luck in one case of 170.
MOST_FRUITLESS = 100
# The rule that needs none: its name in the work file and the summary.
REPEATED = "repeated"


@dataclass(slots=True)
class Outcome:
    """What a run has done so far.

    Attributes:
        kept: The candidates that passed every rule, in order.
        dropped: How many each rule dropped.
        invalid: How many replies were no valid item.
        tried: Items by kind.
        resumed: Items that an earlier run had done.
        given_up: Kinds that ended before their share was reached, and why.
        is_exhausted: Whether the documents gave all they have.
    """

    kept: list[Candidate] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    given_up: Mapping[str, str] = field(default_factory=dict)
    is_exhausted: bool = False

    def add(self, done: Done) -> None:
        """Count what became of an item."""
        self.tried[done.kind] += 1
        if done.outcome == "kept" and done.candidate:
            self.kept.append(done.candidate)
        elif done.outcome == "dropped":
            self.dropped[done.rule or ""] += 1
        else:
            self.invalid += 1

    @property
    def items(self) -> int:
        """Items done."""
        return sum(self.tried.values())


def generate(
    planner: Planner,
    llm: LLM,
    rules: Sequence[Rule],
    work: WorkFile,
    *,
    count: int,
    seed: int,
    restart: bool = False,
    on_item: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Write questions until `count` are kept, or nothing is left to ask about.

    Args:
        planner: Says what is written next.
        llm: Writes.
        rules: Decide what is kept, cheapest first; the first that drops a candidate ends it.
        work: Where every item is kept.
        count: Questions wanted.
        seed: Of the run.
        restart: Forget what an earlier run did.
        on_item: Called behind every item.

    Raises:
        GenerationError: The work is of another run, the model gives nothing valid `MOST_INVALID` times in a
            row, or nothing that is kept `MOST_FRUITLESS` times; then the last ones are shown.
        RagError: A model cannot be loaded or reached.
    """
    outcome = Outcome()
    earlier = work.load(restart=restart)
    fruitless: list[Done] = []
    while len(outcome.kept) < count:
        item = planner.next(outcome.kept)
        if item is None:
            outcome.is_exhausted = True
            break
        if outcome.items < len(earlier):
            done = _recalled(earlier[outcome.items], item, work)
            outcome.resumed += 1
        else:
            done = _done(item, llm, rules, outcome.kept, seed)
            work.append(done)
        outcome.add(done)
        if on_item:
            on_item(outcome)
        fruitless = [] if done.outcome == "kept" else [*fruitless, done]
        # What an earlier run gave up on is tried once more: the server may be another now.
        if outcome.items > len(earlier):
            _check_fruitful(fruitless, llm, outcome)
    outcome.given_up = planner.given_up
    return outcome


def _done(item: Item, llm: LLM, rules: Sequence[Rule], kept: Sequence[Candidate], seed: int) -> Done:
    try:
        candidate = write(item, llm, seed)
    except InvalidItemError as error:
        return done_of(item, "invalid", reason=str(error), output=error.output)
    same = next((other for other in kept if other.question.id == candidate.question.id), None)
    if same:
        reason = f"the very same question is kept already, as item {same.number}"
        return done_of(item, "dropped", reason=reason, rule=REPEATED, candidate=candidate)
    values: dict[str, float | None] = {}
    for rule in rules:
        ruling = rule.judge(candidate, kept)
        values[rule.name] = ruling.value
        if drop := ruling.drop:
            return done_of(
                item,
                "dropped",
                reason=drop.reason,
                rule=drop.rule,
                value=drop.value,
                threshold=drop.threshold,
                values=values,
                candidate=candidate,
            )
    return done_of(item, "kept", values=values, candidate=candidate)


def _recalled(done: Done, item: Item, work: WorkFile) -> Done:
    """Give what an earlier run did, once it is seen to be the same item."""
    if (done.number, done.kind, done.start) != (item.number, item.kind, item.target.start):
        raise GenerationError(
            f"{printable(str(work.path))}: item {done.number} is a {done.kind} at {done.start}, but would "
            f"be a {item.kind} at {item.target.start} now: another version wrote this file. Give "
            "--restart to begin anew, or another --out."
        )
    return done


def _check_fruitful(fruitless: Sequence[Done], llm: LLM, outcome: Outcome) -> None:
    """Look at the items since the last one that was kept.

    Raises:
        GenerationError: They are too many, or the last ones are nothing that the model was asked for.
    """
    invalid = len(list(takewhile(lambda done: done.outcome == "invalid", reversed(fruitless))))
    if invalid >= MOST_INVALID:
        headline = f"{printable(llm.name)} gave no valid item {invalid} times in a row; the last replies were"
    elif len(fruitless) >= MOST_FRUITLESS:
        why = Counter(done.rule or "no valid item" for done in fruitless).most_common()
        counts = ", ".join(f"{printable(rule)} {count}" for rule, count in why)
        headline = f"of the last {len(fruitless)} items none was kept ({counts}); the last ones were"
    else:
        return
    shown = [line for done in fruitless[-SHOWN_OUTPUTS:] for line in _shown(done)]
    remedies = [
        "Use a larger model (--llm, of a run --evals-model), or other kinds (--kinds). What was kept is "
        "kept: the same command goes on."
    ]
    if outcome.kept:
        remedies.append(f"Asked for {len(outcome.kept)}, it gives a set of the questions that there are.")
    raise GenerationError("\n".join([headline, *shown, *remedies]))


def _shown(done: Done) -> tuple[str, str]:
    said = done.candidate.question.question if done.candidate else done.output or ""
    reason = f"{done.rule}: {done.reason}" if done.rule else done.reason or ""
    return f"  {printable(reason)}:", f"    {printable(said[:400])}"
