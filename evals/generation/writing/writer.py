"""The writer, one item a call: what the model is shown, and what is made of its reply once that is valid."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.evals.generation.candidate import Candidate, Passage
from rag_evals.evals.generation.text.target_sentences import TargetSentence, falsified
from rag_evals.evals.generation.writing.prompts import DETAILS, DETAILS_SHOWN, PROMPT_VERSION, PROMPTS
from rag_evals.evals.generation.writing.reply_checks import (
    MOST_UNANSWERABLE_WORDS,
    FlawError,
    InvalidItemError,
    check_answer,
    check_choices,
    check_form,
    check_known,
    check_length,
    check_names,
    check_numbers,
    check_own,
    check_paraphrase,
    check_subject,
    parse_reply,
)
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.questions.sources.quotes import find_words
from rag_evals.evals.runs.masking import masked_fingerprint, masked_text
from rag_evals.rag.llm.protocol import LLM

# Of a reply; the longest valid one seen took 180.
MAX_TOKENS = 300


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
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
    target: TargetSentence
    other: TargetSentence | None = None
    original: Candidate | None = None


def write(item: PlannedQuestion, llm: LLM, seed: int) -> Candidate:
    """Let `llm` write `item`, and check what it gives.

    Raises:
        InvalidItemError: The reply is no valid item.
        RagError: The model cannot be loaded or reached.
    """
    kind = PROMPTS[_written_as(item)]
    chance = random.Random(f"{seed} {item.number}")
    given, wrong = _given(item, chance)
    choices: dict[str, list[str]] = {}
    if item.kind == "unanswerable":
        choices["detail"] = chance.sample(DETAILS, DETAILS_SHOWN)
        given["Details"] = "; ".join(choices["detail"])
    completion = llm.complete(kind.prompt(given), max_tokens=MAX_TOKENS, schema=kind.schema(choices))
    reply = parse_reply(completion.text, kind)
    try:
        check_choices(reply, choices)
        question = _question(item, reply, wrong)
    except FlawError as flaw:
        raise InvalidItemError(str(flaw), completion.text) from None
    provenance = {
        "origin": "generated",
        "kind": item.kind,
        "llm": masked_text(llm.name),
        "llm_fingerprint": masked_fingerprint(llm.fingerprint),
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


def _given(item: PlannedQuestion, chance: random.Random) -> tuple[dict[str, str], str]:
    """Return what the model is shown, and the wrong number of a false premise ("" for other kinds).

    Raises:
        InvalidItemError: A false premise is wanted of a sentence without a number.
    """
    sentence, passage = item.target.text, item.target.passage
    shown = {"Heading": passage.section, "Text": passage.text}
    if item.original:
        asked = item.original.question
        return {"Question": asked.question, "Answer": asked.reference or ""}, ""
    if item.kind == "comparison" and item.other:
        first = {"First heading": passage.section, "First": sentence}
        return {**first, "Second heading": item.other.passage.section, "Second": item.other.text}, ""
    if item.kind == "unanswerable":
        return shown, ""
    if item.kind == "false_premise":
        made = falsified(sentence, chance)
        if made is None:
            raise InvalidItemError("the sentence has no number to be wrong about", sentence)
        # The whole passage says what is false, or the model corrects it in its question.
        text = passage.text.replace(sentence, made[0])
        return {**shown, "Text": text, "Statement": made[0], "Number": made[1]}, made[1]
    return {**shown, "Sentence": sentence}, ""


def _written_as(item: PlannedQuestion) -> str:
    if item.kind != "distractor":
        return item.kind
    return "number" if "number" in item.target.kinds else "fact"


def _question(item: PlannedQuestion, reply: Mapping[str, str], wrong: str) -> Question:
    """Make a question of a reply; its id and provenance come later."""
    asked = reply["question"]
    check_form(asked)
    check_own(reply, _passages(item))
    if item.original:
        return _paraphrase(item.original.question, asked)
    if item.kind == "unanswerable":
        check_length(asked, MOST_UNANSWERABLE_WORDS)
        check_subject(reply)
        check_known(reply["subject"], item.target.passage)
        check_names(asked, item.target.passage)
        return Question("", asked, answerable=False)
    if item.kind == "false_premise":
        return _false_premise(item.target, asked, wrong)
    answer = reply["answer"]
    check_answer(item.kind, asked, answer)
    if item.kind == "comparison":
        assert item.other is not None
        pairs = ((item.target, reply["first_quote"]), (item.other, reply["second_quote"]))
        sources = tuple(_source(target, quote) for target, quote in pairs)
    else:
        check_subject(reply)
        sources = (_source(item.target, reply["quote"]),)
    check_numbers(_written_as(item), answer, sources)
    return Question("", asked, answer, sources)


def _source(target: TargetSentence, quote: str) -> Source:
    """Return the sentence as source, once the quoted words are found in it.

    The whole sentence, as it is what says something: nobody can tell what there are "13 billion" of.
    """
    if find_words(quote, target.text) is None:
        raise FlawError(f'the quote is not in the sentence: "{quote}"')
    return _whole(target)


def _whole(target: TargetSentence) -> Source:
    return Source(target.passage.document, target.page, target.start, target.end, target.text)


def _paraphrase(original: Question, asked: str) -> Question:
    check_paraphrase(original.question, asked)
    return Question("", asked, original.reference, original.sources)


def _false_premise(target: TargetSentence, asked: str, wrong: str) -> Question:
    if not re.search(rf"(?<![\w.,]){re.escape(wrong)}(?![\d]|[.,]\d)", asked):
        raise FlawError(f"the question does not take the false number for granted: {wrong}")
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


def _passages(item: PlannedQuestion) -> Sequence[Passage]:
    return [item.target.passage, *([item.other.passage] if item.other else [])]
