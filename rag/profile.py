"""Profile: what a pipeline, a judge or a model may say of itself beside its name, fingerprint and work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rag_evals.rag.answer import Tokens

if TYPE_CHECKING:
    from rag_evals.rag.llm.local.speeds import Speeds


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a pipeline or a judge before it does anything. Every value may be left out.

    Attributes:
        most_at_once: How many questions may be under way at once; None leaves it to the run.
        priced_as: Name of its model in the table of prices; None where nothing is paid.
        expected: Tokens that an answer, or a judgement, may take, before any was made; None when not known.
        speeds: Gives the speeds of its local model on this machine, which may be measured as it is loaded.
        thresholds: The least values that are no breach, by metric, where nothing else is said.
        identity: What the fingerprint is made of, by name.
        settings: What the record says of it.
        unscored_is_final: Whether another try would give no verdict either.
        is_cacheable: Whether the fingerprint says when what it makes changes.
        runs_in_test: Of a pipeline: whether the test that waits for its answer asks it, in its own thread and
            on its own loop, as clients need that were made there; else a thread of the harness does.
        remarks: Gives what of a pipeline's documents was not read or will not be found, a line each; of a
            judge what is to be known of its verdicts.
        once: What is to be done once before all else, with what it takes, for the plan; empty for nothing.
        members: The profiles of those that it is made of, each with models of its own; empty for one alone.
    """

    most_at_once: int | None = None
    priced_as: str | None = None
    expected: Tokens | None = None
    speeds: Callable[[], Speeds | None] = lambda: None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    unscored_is_final: bool = False
    is_cacheable: bool = True
    runs_in_test: bool = False
    remarks: Callable[[], Sequence[str]] = tuple
    once: str = ""
    members: tuple[Profile, ...] = ()

    @property
    def parts(self) -> tuple[Profile, ...]:
        """The members, or this one alone."""
        return self.members or (self,)


NOTHING_SAID = Profile()


def profile_of(thing: object) -> Profile:
    """Return what `thing` says of itself; one that has no `profile` says nothing."""
    profile = getattr(thing, "profile", None)
    return profile if isinstance(profile, Profile) else NOTHING_SAID


def profile_of_model(llm: object) -> Profile:
    """Return what a language model says: one on a server has a name there and takes several calls at once."""
    return Profile(
        most_at_once=getattr(llm, "most_at_once", 1),
        priced_as=getattr(llm, "model", None),
        speeds=lambda: getattr(llm, "speeds", None),
    )


def together(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of what is made of several that work one after the other.

    Thresholds are left out: each was chosen for one member's scores.
    """
    return Profile(
        most_at_once=max(profile.most_at_once or 1 for profile in profiles),
        unscored_is_final=all(profile.unscored_is_final for profile in profiles),
        is_cacheable=all(profile.is_cacheable for profile in profiles),
        remarks=lambda: [line for profile in profiles for line in profile.remarks()],
        once="; ".join(filter(None, (profile.once for profile in profiles))),
        members=tuple(part for profile in profiles for part in profile.parts),
    )


@runtime_checkable
class Loads(Protocol):
    """Loads itself when it is first wanted, or when it is told to."""

    def load(self) -> None:
        """Load now; a second time does nothing."""


def load(*things: object) -> None:
    """Load those of `things` that load themselves."""
    for thing in things:
        if isinstance(thing, Loads):
            thing.load()
