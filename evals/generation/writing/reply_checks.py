"""Checks of what a model replies: is it an item of its kind at all?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.generation.candidate import Passage
from rag_evals.evals.generation.kinds import QuestionKind
from rag_evals.evals.generation.text.words import names_in
from rag_evals.evals.generation.writing.prompts import EXAMPLE_WORDS
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.questions.fields import text_problem
from rag_evals.evals.questions.question import Source

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
# Two letters, or a number: a single letter is the name of a variable.
_SAYING = re.compile(r"[^\W\d_]{2}|\d")
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


class FlawError(Exception):
    """Says what is wrong with a reply; becomes an `InvalidItemError` with it."""


def parse_reply(text: str, kind: QuestionKind) -> dict[str, str]:
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


def check_choices(reply: Mapping[str, str], choices: Mapping[str, Sequence[str]]) -> None:
    """Check that what had to be chosen is among what was offered; a server may take no schema."""
    for key, values in choices.items():
        if reply[key] not in values:
            raise FlawError(f'the {key} is none of those to choose from: "{reply[key]}"')


def check_form(asked: str) -> None:
    """Check that a text is one question of a usual length."""
    if not asked.endswith("?") or asked.count("?") > 1:
        raise FlawError("the question does not end with the one question mark in it")
    check_length(asked, MOST_WORDS)


def check_length(asked: str, most: int) -> None:
    """Check that a question has no more than `most` words."""
    words = len(asked.split())
    if not FEWEST_WORDS <= words <= most:
        raise FlawError(f"the question has {words} words, not {FEWEST_WORDS} to {most}")


def check_own(reply: Mapping[str, str], passages: Sequence[Passage]) -> None:
    """Check that a reply is not about the examples of the prompt."""
    said = " ".join(reply.values()).casefold()
    known = " ".join(passage.text for passage in passages).casefold()
    foreign = [word for word in EXAMPLE_WORDS if word.casefold() in said and word.casefold() not in known]
    if foreign:
        raise FlawError(f"it is about the example of the prompt: {foreign[0]}")


def check_subject(reply: Mapping[str, str]) -> None:
    """Check that the subject is something, and that the question names it."""
    subject = [stem for stem in stems(reply["subject"]) if stem not in _NOBODY]
    if not subject:
        raise FlawError(f'"{reply["subject"]}" is nothing that a question can be about by itself')
    if not set(subject) & set(stems(reply["question"])):
        raise FlawError(f'the question does not name its subject, "{reply["subject"]}"')


def check_names(asked: str, passage: Passage) -> None:
    """Check that what a question names is in its passage: a model makes names up."""
    known = f"{passage.section} {passage.text}".casefold()
    strange = [name for name in names_in(asked) if name.casefold() not in known]
    if strange:
        raise FlawError(f'the passage does not name "{strange[0]}"')


def check_known(subject: str, passage: Passage) -> None:
    """Check that the passage speaks of the subject: what it asks of must be close to the documents."""
    strange = [stem for stem in stems(subject) if stem not in set(stems(passage.text))]
    if len(strange) * 2 > len(stems(subject)):
        raise FlawError(f'the passage says nothing of "{subject}"')


def check_answer(kind: str, asked: str, answer: str) -> None:
    """Check that an answer is short, not in the question, and of its kind."""
    if len(answer.split()) > MOST_ANSWER_WORDS:
        raise FlawError(f"the answer has {len(answer.split())} words, more than {MOST_ANSWER_WORDS}")
    if not _SAYING.search(answer):
        raise FlawError(f'the answer says nothing: "{answer}"')
    told = stems(answer)
    if told and kind not in ("comparison", "definition") and set(told) <= set(stems(asked)):
        raise FlawError("the question gives its answer away")
    if kind == "list" and len(re.findall(r",|;|\band\b|\bor\b", answer)) < 2:
        raise FlawError("the answer is no list of three things or more")


def check_numbers(kind: str, answer: str, sources: Sequence[Source]) -> None:
    """Check that the numbers of an answer are those of its sentence."""
    numbers = _NUMBER.findall(answer)
    told = {number for source in sources for number in _NUMBER.findall(source.quote or "")}
    strange = [number for number in numbers if number not in told]
    if strange:
        raise FlawError(f"the answer has a number that the sentence has not: {strange[0]}")
    if kind == "number":
        counts = {stem for stem in stems(answer) if stem[0].isdigit()}
        if not counts:
            raise FlawError("the answer has no number")
        # Spelled out as well: "one", where the sentence has no one.
        if not counts <= {stem for source in sources for stem in stems(source.quote or "")}:
            raise FlawError(f"the answer has a number that the sentence has not: {min(counts)}")


def check_paraphrase(original: str, asked: str) -> None:
    """Check that a paraphrase asks for the same in other words."""
    ours, theirs = set(stems(asked)), set(stems(original))
    if len(ours & theirs) > ALIKE * len(ours | theirs):
        raise FlawError("the paraphrase says the same words again")
    lost = [number for number in _NUMBER.findall(original) if number not in asked]
    if lost:
        raise FlawError(f"the paraphrase has lost a number: {lost[0]}")
    limit = _LIMIT.search(asked)
    if limit and not _LIMIT.search(original):
        raise FlawError(f'the paraphrase asks for more than the question: "{limit[0]}"')
