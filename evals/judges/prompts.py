"""The judge's prompts: what each wording asks, and judged text made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Context, Message, context_parts
from rag_evals.rag.llm.protocol import Prompt


@dataclass(frozen=True, slots=True)
class Wording:
    """One yes/no question to the judging model. The measurements behind each are in docs/decisions.

    Attributes:
        lead: The word before the judged text in the prompt.
        task: What is asked of it.
        good: The answer that is good; a score is its probability.
    """

    lead: str
    task: str
    good: Literal["yes", "no"] = "yes"


# "No" is offered first: these models lean to yes, and less to what is named first. Asked the other way
# round ("does it say anything that the passages do not say?") they say yes to what is supported.
SUPPORTED = Wording("Statement", "Can the statement be inferred from the passages above? Answer no or yes.")
ANSWERS = Wording(
    "Reply", "Does the reply give the information that the question asks for? Answer yes or no."
)
DECLINES = Wording("Reply", "Does the reply say that the answer is not known or not given? Answer yes or no.")
USEFUL = Wording("Passage", "Does the passage help to answer the question? Answer yes or no.")
# The reply stands first, and then the reference: the other way round the same question tells less. Asked
# whether the one contradicts the other, these models say yes to a right reply.
SAME = Wording("Reference answer", "Do the reply and the reference answer mean the same? Answer no or yes.")
COVERS = Wording("Reply", "Does the reply say what the reference answer says? Answer yes or no.")


def prompt_for(wording: Wording, text: str, *before: str, language: str = "") -> Prompt:
    """Return the prompt that asks `wording` of `text`: what others share comes first, the task last.

    Args:
        wording: What is asked.
        text: What is judged, as it came from a model or a document.
        *before: Leading parts, such as passages and the question, made harmless already.
        language: The name of the question's language, to be said where it is not English.
    """
    said = f"The question is in {language}. " if language else ""
    return Prompt((*before, judged_part(wording, text), f"{said}{wording.task}"))


def judged_part(wording: Wording, text: str) -> str:
    """Return the prompt part with the judged text."""
    return f"{wording.lead}: {harmless_text(text)}\n\n"


# Of what was said before a question, to be shown with it: what "it" and "the second one" are stands in front.
MOST_BEFORE = 200  # characters of the answer
MOST_ASKED = 600  # characters of the user's question
_CONVERSATION_LEAD = re.compile(r"(Earlier question|Earlier answer|Question now)(?=:)", re.IGNORECASE)


def judged_question(question: Question) -> Question:
    """Return a question as it is judged: its text shows what it may point back to."""
    if not question.history:
        return question
    return replace(question, question=in_conversation(question.history, question.question), history=())


def in_conversation(history: Sequence[Message], question: str) -> str:
    """Return a question as it is judged: behind the question before it and the beginning of its answer.

    Earlier turns are left out: what a question points back to is nearly always in the last one, and each word
    of a question draws on what of the contexts counts as close to a claim.
    """
    asked = [number for number, message in enumerate(history) if message.role == "user"]
    before = history[asked[-1]].content if asked else ""
    said = " ".join(" ".join(m.content.split()) for m in history[asked[-1] + 1 if asked else -1 :])
    lines = (("Earlier question", before, MOST_ASKED), ("Earlier answer", said, MOST_BEFORE))
    shown = [f"{lead}: {_beginning(text, most)}" for lead, text, most in lines if text.strip()]
    return "\n".join((*shown, f"Question now: {_without_leads(question)}")) if shown else question


def _beginning(text: str, most: int) -> str:
    shown = text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} \u2026"
    return _without_leads(shown)


def _without_leads(text: str) -> str:
    """Keep a text from going on as another part of the conversation, whatever is taken out of it later."""
    line = harmless_text(text)
    return _CONVERSATION_LEAD.sub(r"\1 ", line) if _CONVERSATION_LEAD.search(line) else text


def passage_parts(contexts: Sequence[Context]) -> tuple[str, ...]:
    """Return the prompt part with `contexts` as one passage; none without contexts."""
    joined = " ".join(harmless_text(context.text) for context in contexts)
    return context_parts((Context(joined),)) if contexts else ()


def whole_passages(contexts: Sequence[Context]) -> tuple[str, ...]:
    """Return a prompt part for each of `contexts`, as the prompt of an answer has them.

    Line breaks stay where they are, so that what the pipeline has read is in the key/value cache.
    """
    return context_parts([replace(context, text=_harmless_lines(context.text)) for context in contexts])


# Chat templates mark turns with these. A local model reads judged text as plain letters anyway; a server
# renders its template around it and would take them for its own.
_TEMPLATE_MARK = re.compile(
    r"<(?=[|\uff5c/a-zA-Z_]\S{0,30}>|<SYS>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|THINK|ARGS|IMG|[gs]MASK)\])"
)
# Letters, marks and symbols that show nothing: joiners, fillers, variation selectors, the braille blank.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# What begins a line of ours. A passage stands on a line of its own.
_LEAD = re.compile(r"^(Passage \d+|Question|Statement|Reply|Passage|Reference answer)(?=:)")


def harmless_text(text: str) -> str:
    """Make text from a document or a model harmless: one line, nothing invisible, nothing of our own form.

    One line, so that it cannot begin a line of its own with "Question:" or "Statement:", and does not begin
    with one of these; nothing invisible, so that zero-width and bidirectional characters cannot hide or
    reorder words; no template marks.
    """
    shown = _HIDDEN.sub("", text)
    visible = "".join(c for c in shown if c.isspace() or unicodedata.category(c)[0] != "C")
    line = _TEMPLATE_MARK.sub(lambda mark: f"{mark[0]} ", " ".join(visible.split()))
    return _LEAD.sub(lambda lead: f"{lead[0]} ", line)


def _harmless_lines(text: str) -> str:
    """Make each line of `text` harmless by itself."""
    return "\n".join(map(harmless_text, text.split("\n")))
