"""Pipeline, Answer, Context: what is evaluated and what it gives back; the one text form of contexts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeGuard, TypeVar, runtime_checkable

T = TypeVar("T")

# The first stage of retrieval: what was found.
CANDIDATES = "candidates"

# Who says something in a conversation.
Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """What was said in a conversation before a question, by the user or by what answers."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Context:
    """A passage that the answer was written from.

    Attributes:
        text: The passage as the model saw it.
        document: Name of the document, relative to the documents folder.
        page: 1-based page on which the passage begins; None for formats without pages.
        start: Character offset of the passage in the document's text.
        end: Character offset behind the passage.
        score: The retriever's or reranker's score, higher is better; None where there is none.
        page_end: 1-based page on which the passage ends, where that is another one.
        copies: Where else the same text stands, in this document or in others.
    """

    text: str
    document: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    score: float | None = None
    page_end: int | None = None
    copies: tuple[Span, ...] = ()

    @property
    def pages(self) -> str:
        """The page or pages as people write them; "" in a format without pages."""
        if self.page is None:
            return ""
        return f"{self.page}" if self.page_end is None else f"{self.page}-{self.page_end}"

    @property
    def places(self) -> tuple[Span, ...]:
        """Every place where the text stands, its own first."""
        return (Span(self.document, self.page, self.start, self.end, self.page_end), *self.copies)

    @property
    def other_documents(self) -> tuple[str, ...]:
        """The other documents in which the same text stands."""
        names = dict.fromkeys(span.document for span in self.copies if span.document != self.document)
        return tuple(names)

    def part(self, start: int, end: int) -> Context:
        """Return the characters from `start` to `end`, with their own offsets where the passage has some."""
        # Copies are alike but for white space: where in them the piece stands is not known.
        copies = tuple(replace(span, start=None, end=None) for span in self.copies)
        piece = replace(self, text=self.text[start:end], copies=copies)
        # A passage that was cleaned or joined is not its document's text character by character.
        if self.start is None or self.end != self.start + len(self.text):
            return piece
        return replace(piece, start=self.start + start, end=self.start + end)


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a document.

    Attributes:
        document: Name of the document.
        page: 1-based page on which it begins; None for formats without pages.
        start: Character offset in the document's text; None where it is not known.
        end: Character offset behind it.
        page_end: 1-based page on which it ends, where that is another one.
    """

    document: str
    page: int | None = None
    start: int | None = None
    end: int | None = None
    page_end: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts of tokens: `evaluated` in a forward pass, `reused` from the cache, `generated` as output."""

    evaluated: int = 0
    reused: int = 0
    generated: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.evaluated + other.evaluated, self.reused + other.reused, self.generated + other.generated
        )

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.evaluated - other.evaluated, self.reused - other.reused, self.generated - other.generated
        )


@dataclass(frozen=True, slots=True)
class Citation:
    """A place of an answer, and what it is said to rest on.

    Attributes:
        start: Character offset in the answer of what is cited for, or of the mark behind it; None where that
            is not known: it is cited for the answer as a whole.
        end: Character offset behind it.
        contexts: Which passages of the answer it names, counted from 0.
        document: The document that it names, where it names one.
        page: 1-based page that it names.
        page_end: Last page that it names, where it names several.
        mark: How it stands in the answer, such as `[1]`; empty where a service tells it beside the text.
    """

    start: int | None = None
    end: int | None = None
    contexts: tuple[int, ...] = ()
    document: str | None = None
    page: int | None = None
    page_end: int | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pipeline says to one question.

    Attributes:
        text: The answer.
        contexts: The passages in the order in which the model saw them.
        seconds: Wall-clock seconds by stage (`retrieve`, `rerank`, `generate`, ...).
        tokens: Tokens of the answering model by stage.
        omitted: Number of passages left out because the token budget for contexts was spent.
        finished: False when the answer was cut at its length bound.
        stages: Where the passages stand that each stage of retrieval gave, best first, by its name and in
            order: `candidates` as they were found, `merged`, `reranked`; what a pipeline does not say is not
            there. The last stage are the contexts themselves.
        citations: What the answer cites, where that is told beside its text; marks in the text need not be.
        cites: Whether it was asked to cite: without a citation it is at fault then.
        contexts_known: False for an answer of a log that does not tell its passages: what is held against
            them is unscored.
    """

    text: str
    contexts: tuple[Context, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    omitted: int = 0
    finished: bool = True
    stages: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    citations: tuple[Citation, ...] = ()
    cites: bool = False
    contexts_known: bool = True

    @property
    def candidates(self) -> tuple[Span, ...]:
        """Where the passages stand that were found, before any were merged, reranked or left out."""
        return self.stages.get(CANDIDATES, ())

    @property
    def total(self) -> Tokens:
        """Tokens of all stages."""
        return sum(self.tokens.values(), Tokens())


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a pipeline found for a question, before anything is written.

    Attributes:
        contexts: The passages, best first.
        seconds: Wall-clock seconds by stage.
        tokens: Tokens of language models by stage.
        stages: Where the passages stand that each stage before gave, as in an `Answer`.
    """

    contexts: tuple[Context, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    stages: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)


@runtime_checkable
class Pipeline(Protocol):
    """What is evaluated: anything that answers a question and shows the passages it used.

    Where `answer` has a parameter `history`, it gets the messages before a question in a conversation, a
    sequence of `Message`; else they stand in the text of the question. It is given only where there are some.
    The same holds for `retrieve`, `write` and `search`.

    What else it may say of itself is its `profile` (`rag_evals.rag.profile`).
    """

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that changes an answer."""

    async def answer(self, question: str) -> Answer:
        """Answer `question`."""


class RetrievesFirst(Pipeline, Protocol):
    """A pipeline whose answer depends on its documents only by what it retrieves.

    Its answers outlive a change of documents that leaves the retrieved passages as they are.
    """

    @property
    def writing(self) -> str:
        """SHA-256 over everything that changes an answer besides the question and the passages."""

    async def retrieve(self, question: str) -> Retrieval:
        """Find the passages for `question`."""

    async def write(self, question: str, retrieval: Retrieval) -> Answer:
        """Write the answer from what was retrieved."""


class Searches(Pipeline, Protocol):
    """A pipeline that finds passages without a language model."""

    @property
    def searching(self) -> str:
        """SHA-256 over everything that changes what is found."""

    async def search(self, question: str) -> Retrieval:
        """Find the passages for `question`, as far as that takes no language model."""


class Replays(Pipeline, Protocol):
    """A pipeline whose answers are there already: it gives the one to a question by the question's id."""

    def replayed(self, question_id: str) -> Answer:
        """Return the answer to the question of this id."""


def replays(pipeline: Pipeline) -> TypeGuard[Replays]:
    """Return whether the answers of `pipeline` are there already."""
    return hasattr(pipeline, "replayed")


def searches(pipeline: Pipeline) -> TypeGuard[Searches]:
    """Return whether `pipeline` finds passages without a language model."""
    return all(hasattr(pipeline, name) for name in ("searching", "search"))


def retrieves_first(pipeline: Pipeline) -> TypeGuard[RetrievesFirst]:
    """Return whether `pipeline` writes only from what it retrieves."""
    # isinstance() of a protocol takes 6 microseconds, and this is asked for every evaluation.
    return all(hasattr(pipeline, name) for name in ("writing", "retrieve", "write"))


# Of a conversation, what is shown before a question: so many messages, and of each so many characters.
MOST_MESSAGES = 6
MOST_OF_A_MESSAGE = 500
# Counts up when what is made of a conversation here changes: answers that were kept are of one way.
HISTORY_VERSION = 1
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


def put(ask: Callable[..., T], question: str, history: Sequence[Message], *more: object) -> T:
    """Put a question to `ask`, with what was said before where there is something.

    One that has a parameter `history` gets the messages; any other gets them as text before the question.
    """
    if not history:
        return ask(question, *more)
    if _takes_history(ask):
        return ask(question, *more, history=tuple(history))
    return ask(f"{history_part(history)}{question}", *more)


def _takes_history(ask: Callable[..., object]) -> bool:
    try:
        return "history" in inspect.signature(ask).parameters
    except (TypeError, ValueError):  # something built in, which tells no parameters
        return False


def history_part(history: Sequence[Message]) -> str:
    """Return the prompt part with what was said before a question, a line a message; "" without any.

    The last messages are shown, and of a long one its beginning.
    """
    lines = [f"{_SPEAKERS[message.role]}: {_beginning(message.content)}\n" for message in history]
    return f"Conversation so far:\n{''.join(lines[-MOST_MESSAGES:])}\n" if lines else ""


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_OF_A_MESSAGE else f"{line[:MOST_OF_A_MESSAGE].rsplit(' ', 1)[0]} …"


def searched_text(question: str, history: Sequence[Message]) -> str:
    """Return what is searched for: behind the question that the user asked last, where there is one.

    What was answered is left out: its words would be found again.
    """
    asked = [_beginning(message.content) for message in history if message.role == "user"]
    return f"{asked[-1]}\n{question}" if asked else question


def context_parts(contexts: Sequence[Context]) -> tuple[str, ...]:
    """Return the prompt parts that the answer prompt and every judge prompt on `contexts` begin with.

    One part per passage, so that questions which share their best passages share key/value cache too.
    """
    return tuple(f"Passage {n}:\n{context.text}\n\n" for n, context in enumerate(contexts, 1))


def question_part(question: str) -> str:
    """Return the prompt part with the question, shared by the answer prompt and the judge prompts."""
    return f"Question: {question}\n"
