"""What the controller and the actors tell each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rag_evals.evals.engine.cache import Maker
from rag_evals.evals.engine.task import Origin
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentKind
from rag_evals.rag.answer import Answer

# Stands in arguments for the folder that is shipped: it lies elsewhere on each node.
BASE = "{rag-evals-base}"
# Of how many threads libraries take sums, whose last digits depend on it.
THREADS = "OMP_NUM_THREADS"


class LostError(Exception):
    """Raised when what an actor was asked for will not come: it or its node is gone, or does not answer."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """The session of pytest that an actor begins: one that answers for the controller's.

    Attributes:
        arguments: What pytest was called with here; `BASE` stands for the shipped folder.
        base: The shipped folder; None where it is the working directory that Ray gives the actor.
        folder: Where pytest was called, relative to it.
        tests: The test functions that evaluate, files with `BASE`.
        question: A line of a question file, or of a log: what these tests are collected with.
        home: Folder of indexes and vectors; None for one of the node's own.
        keeps: Whether vectors are kept in `home`.
        is_on_path: Whether Python finds modules in `folder`.
        is_logged: Whether `question` is a line of a log: answers that are there are judged.
        is_traced: Whether evaluations come with the spans of what was done for them.
        threads: What the environment says of threads (`THREADS`); None for nothing, and as many as there are
            cores.
    """

    arguments: tuple[str, ...]
    base: str | None
    folder: str
    tests: tuple[str, ...]
    question: str
    home: str | None
    keeps: bool = True
    is_on_path: bool = False
    is_logged: bool = False
    is_traced: bool = False
    threads: str | None = None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What an actor says of where it is.

    Attributes:
        host: Name of the machine.
        processor: What its processor is.
        versions: Version by package, Python and the digest of our sources among them.
    """

    host: str
    processor: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptItems:
    """What an actor would have kept: it is the controller's to keep."""

    kind: str
    items: Mapping[str, bytes]
    subject: str | None
    maker: Maker | None


@dataclass(frozen=True, slots=True)
class Request:
    """A task, for another process.

    Attributes:
        origin: Where its pipeline and its judge come from.
        pipeline: The pipeline's fingerprint here.
        judge: The judge's.
        question: As in the task, as are the fields that follow it.
        explained: Least values whose breaches are to be explained; None where none are.
        seconds: What is left of the run's time; None for no bound.
        known: What was made before for this question, by kind and key.
        is_search: Whether the pipeline is only to search.
        answer: The answer, where it is there already and only to be judged; None where the pipeline is asked.
    """

    origin: Origin
    pipeline: str
    judge: str
    question: Question
    metrics: tuple[str, ...]
    name: str
    repeat: int
    attempt: int
    judgings: int
    explained: Mapping[str, float] | None = None
    seconds: float | None = None
    known: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    is_search: bool = False
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back.

    Attributes:
        evaluation: The evaluation; None where the actor cannot make any.
        kept: What the controller is to keep of it.
        refused: Why the actor cannot make it, and would not make another; "" where it can.
        remarks: What is remarked on the pipeline's documents and on the judge, by their names, as far as the
            actor did not send it before.
    """

    evaluation: Evaluation | None = None
    kept: Sequence[KeptItems] = ()
    refused: str = ""
    remarks: Mapping[tuple[ComponentKind, str], tuple[str, ...]] = field(default_factory=dict)
