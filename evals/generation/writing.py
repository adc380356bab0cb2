"""One item a call: what is shown to the model, and what is made of its reply once that is found valid."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.entries import text_problem
from evals.errors import EvalsError
from evals.evidence import stems
from evals.generation.candidates import Candidate, Passage
from evals.generation.kinds import Kind
from evals.generation.targets import Target, falsified
from evals.generation.wordings import DETAILS, EXAMPLE_WORDS, PROMPT_VERSION, PROMPTS
from evals.questions import Question, Source
from evals.quotes import find_words
from rag.llm import LLM

# Of a reply; the longest valid one seen took 180.
MAX_TOKENS = 300
FEWEST_WORDS, MOST_WORDS = 3, 60
MOST_ANSWER_WORDS = 80
# Share of stems that a paraphrase and its original may have in common.
ALIKE = 0.8

# Of an unanswerable question: it is on one detail of one subject, and what is longer is about neither.
MOST_UNANSWERABLE_WORDS = 18

_LIMIT = re.compile(
    r"\b(?:maximum|minimum|most|least|largest|smallest|highest|lowest|best|worst|up to|over|under|only|main"
    r"|average|total|exactly|first|last|always|never)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
# Whatever a text is made of: nothing that it is about.
_NOBODY = frozenset(
    stems(
        "we it our us model models author authors paper papers text texts passage passages sentence "
        "sentences study studies primer document documents article articles section sections chapter "
        "chapters abstract introduction conclusion glossary appendix bibliography reference references "
        "table tables figure figures"
    )
)


class InvalidItemError(EvalsError):
    """Raised when a reply is no item of its kind; it costs this item.

    Attributes:
        output: What the model wrote.
    """

    def __init__(self, reason: str, output: str) -> None:
        super().__init__(reason)
        self.output = output


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be written.

    Attributes:
        number: Which item of the run it is, counted from 0.
        kind: One of `KINDS`.
        target: The sentence that it is about.
        other: The second sentence of a comparison, or the similar one of a distractor.
        original: The question that a paraphrase asks again.
    """

    number: int
    kind: str
    target: Target
    other: Target | None = None
    original: Candidate | None = None


def write(item: Item, llm: LLM, seed: int) -> Candidate:
    """Let `llm` write `item`, and check what it gives.

    Raises:
        InvalidItemError: The reply is no valid item.
        RagError: The model cannot be loaded or reached.
    """
    kind = PROMPTS[_written_as(item)]
    given, wrong = _given(item, random.Random(f"{seed} {item.number}"))
    completion = llm.complete(kind.prompt(given), max_tokens=MAX_TOKENS, schema=kind.schema)
    reply = _parse_reply(completion.text, kind)
    try:
        question = _question(item, reply, wrong)
    except _Flaw as flaw:
        raise InvalidItemError(str(flaw), completion.text) from None
    provenance = {
        "origin": "generated",
        "kind": item.kind,
        "llm": llm.name,
        "llm_fingerprint": llm.fingerprint,
        "prompt_version": PROMPT_VERSION,
        "seed": seed,
        "document_sha256": {passage.document: passage.sha256 for passage in _passages(item)},
        "edited": False,
    }
    if item.original:
        provenance["paraphrase_of"] = item.original.question.id
    return Candidate(
        question=_named(question, item.kind, provenance),
        kind=item.kind,
        passage=item.target.passage,
        other=item.other.passage if item.other else None,
        number=item.number,
    )


class _Flaw(Exception):
    """Says what is wrong with a reply; never leaves this module."""


def _given(item: Item, chance: random.Random) -> tuple[dict[str, str], str]:
    """Give what the model is shown, and the wrong number of a false premise ("" for other kinds).

    Raises:
        InvalidItemError: A false premise is wanted of a sentence without a number.
    """
    sentence, passage = item.target.text, item.target.passage
    shown = {"Heading": passage.section, "Text": passage.text}
    if item.original:
        asked = item.original.question
        return {"Question": asked.question, "Answer": asked.reference or ""}, ""
    if item.kind == "comparison" and item.other:
        return {"First heading": passage.section, "First": sentence, **_second(item.other)}, ""
    if item.kind == "unanswerable":
        return {**shown, "Detail": chance.choice(DETAILS)}, ""
    if item.kind == "false_premise":
        made = falsified(sentence, chance)
        if made is None:
            raise InvalidItemError("the sentence has no number to be wrong about", sentence)
        # The whole passage says what is false, or the model corrects it in its question.
        text = passage.text.replace(sentence, made[0])
        return {**shown, "Text": text, "Statement": made[0], "Number": made[1]}, made[1]
    return {**shown, "Sentence": sentence}, ""


def _written_as(item: Item) -> str:
    if item.kind != "distractor":
        return item.kind
    return "number" if "number" in item.target.kinds else "fact"


def _second(other: Target) -> dict[str, str]:
    return {"Second heading": other.passage.section, "Second": other.text}


def _parse_reply(text: str, kind: Kind) -> dict[str, str]:
    """Read the object in `text`; servers that take no schema may put words around it.

    Raises:
        InvalidItemError: There is none, or not with these texts in it.
    """
    start, end = text.find("{"), text.rfind("}")
    try:
        reply = json.loads(text[start : end + 1])
    except ValueError:
        raise InvalidItemError("the reply is no JSON object", text) from None
    if not isinstance(reply, dict):
        raise InvalidItemError("the reply is no JSON object", text)
    missing = [key for key in kind.keys if not isinstance(reply.get(key), str) or not reply[key].strip()]
    if missing:
        raise InvalidItemError(f"the reply has no {' and no '.join(missing)}", text)
    if odd := next((key for key in kind.keys if text_problem(reply[key])), None):
        raise InvalidItemError(f"the {odd} {text_problem(reply[odd])}", text)
    return {key: " ".join(reply[key].split()) for key in kind.keys}


def _question(item: Item, reply: Mapping[str, str], wrong: str) -> Question:
    """Make a question of a reply; its id and provenance come later."""
    asked = reply["question"]
    _check_form(asked)
    _check_own(reply, _passages(item))
    if item.original:
        return _paraphrase(item.original.question, asked)
    if item.kind == "unanswerable":
        _check_length(asked, MOST_UNANSWERABLE_WORDS)
        _check_subject(reply)
        _check_known(reply["subject"], item.target.passage)
        return Question("", asked, answerable=False)
    if item.kind == "false_premise":
        return _false_premise(item.target, asked, wrong)
    answer = reply["answer"]
    _check_answer(item.kind, asked, answer)
    if item.kind == "comparison":
        assert item.other is not None
        pairs = ((item.target, reply["first_quote"]), (item.other, reply["second_quote"]))
        sources = tuple(_source(target, quote) for target, quote in pairs)
    else:
        _check_subject(reply)
        sources = (_source(item.target, reply["quote"]),)
    _check_numbers(_written_as(item), answer, sources)
    return Question("", asked, answer, sources)


def _check_form(asked: str) -> None:
    if not asked.endswith("?") or asked.count("?") > 1:
        raise _Flaw("the question does not end with the one question mark in it")
    _check_length(asked, MOST_WORDS)


def _check_length(asked: str, most: int) -> None:
    words = len(asked.split())
    if not FEWEST_WORDS <= words <= most:
        raise _Flaw(f"the question has {words} words, not {FEWEST_WORDS} to {most}")


def _check_own(reply: Mapping[str, str], passages: Sequence[Passage]) -> None:
    said = " ".join(reply.values()).casefold()
    known = " ".join(passage.text for passage in passages).casefold()
    foreign = [word for word in EXAMPLE_WORDS if word.casefold() in said and word.casefold() not in known]
    if foreign:
        raise _Flaw(f"it is about the example of the prompt: {foreign[0]}")


def _check_subject(reply: Mapping[str, str]) -> None:
    subject = [stem for stem in stems(reply["subject"]) if stem not in _NOBODY]
    if not subject:
        raise _Flaw(f'"{reply["subject"]}" is nothing that a question can be about by itself')
    if not set(subject) & set(stems(reply["question"])):
        raise _Flaw(f'the question does not name its subject, "{reply["subject"]}"')


def _check_known(subject: str, passage: Passage) -> None:
    """Check that the passage speaks of the subject: what it asks of must be close to the documents."""
    strange = [stem for stem in stems(subject) if stem not in set(stems(passage.text))]
    if len(strange) * 2 > len(stems(subject)):
        raise _Flaw(f'the passage says nothing of "{subject}"')


def _check_answer(kind: str, asked: str, answer: str) -> None:
    if len(answer.split()) > MOST_ANSWER_WORDS:
        raise _Flaw(f"the answer has {len(answer.split())} words, more than {MOST_ANSWER_WORDS}")
    told = stems(answer)
    if told and kind not in ("comparison", "definition") and set(told) <= set(stems(asked)):
        raise _Flaw("the question gives its answer away")
    if kind == "list" and len(re.findall(r",|;|\band\b|\bor\b", answer)) < 2:
        raise _Flaw("the answer is no list of three things or more")


def _check_numbers(kind: str, answer: str, sources: Sequence[Source]) -> None:
    numbers = _NUMBER.findall(answer)
    told = {number for source in sources for number in _NUMBER.findall(source.quote or "")}
    strange = [number for number in numbers if number not in told]
    if strange:
        raise _Flaw(f"the answer has a number that the sentence has not: {strange[0]}")
    if kind == "number":
        counts = {stem for stem in stems(answer) if stem[0].isdigit()}
        if not counts:
            raise _Flaw("the answer has no number")
        # Spelled out as well: "one", where the sentence has no one.
        if not counts <= {stem for source in sources for stem in stems(source.quote or "")}:
            raise _Flaw(f"the answer has a number that the sentence has not: {min(counts)}")


def _source(target: Target, quote: str) -> Source:
    """Give the sentence as source, once the quoted words are found in it.

    The whole sentence, as it is what says something: nobody can tell what there are "13 billion" of.
    """
    if find_words(quote, target.text) is None:
        raise _Flaw(f'the quote is not in the sentence: "{quote}"')
    return _whole(target)


def _whole(target: Target) -> Source:
    return Source(target.passage.document, target.page, target.start, target.end, target.text)


def _paraphrase(original: Question, asked: str) -> Question:
    ours, theirs = set(stems(asked)), set(stems(original.question))
    if len(ours & theirs) > ALIKE * len(ours | theirs):
        raise _Flaw("the paraphrase says the same words again")
    lost = [number for number in _NUMBER.findall(original.question) if number not in asked]
    if lost:
        raise _Flaw(f"the paraphrase has lost a number: {lost[0]}")
    limit = _LIMIT.search(asked)
    if limit and not _LIMIT.search(original.question):
        raise _Flaw(f'the paraphrase asks for more than the question: "{limit[0]}"')
    return Question("", asked, original.reference, original.sources)


def _false_premise(target: Target, asked: str, wrong: str) -> Question:
    if not re.search(rf"(?<![\w.,]){re.escape(wrong)}(?![\d]|[.,]\d)", asked):
        raise _Flaw(f"the question does not take the false number for granted: {wrong}")
    reference = f"The question assumes something that is not so. What is true: {target.text}"
    return Question("", asked, reference, (_whole(target),), answerable=False)


def _named(question: Question, kind: str, provenance: Mapping[str, Any]) -> Question:
    words = re.sub(r"[\W_]+", "-", question.question.casefold()).strip("-")
    mark = hashlib.sha256(question.question.encode()).hexdigest()[:6]
    return Question(
        id=f"{words[:48].rstrip('-')}-{mark}",
        question=question.question,
        reference=question.reference,
        sources=question.sources,
        tags=(kind, "generated"),
        answerable=question.answerable,
        provenance=provenance,
    )


def _passages(item: Item) -> Sequence[Passage]:
    return [item.target.passage, *([item.other.passage] if item.other else [])]
