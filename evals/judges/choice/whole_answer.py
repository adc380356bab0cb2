"""Claims as the model holds them: an answer is read whole, behind its contexts, and each claim in it.

A sentence that is read by itself loses what it points to, and each costs a pass of its own. In the hidden
states of its tokens the model has what it makes of it with all that stands before (docs/decisions/0021).
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_evals.evals.judges import prompts
from rag_evals.evals.judges.choice.grader import Grader
from rag_evals.evals.judges.claims import Claim
from rag_evals.evals.judges.judge import RawScore
from rag_evals.rag.llm.protocol import States
from rag_evals.rag.retrieval.text.sentences import TextSpan

# Counts up when claims are read in another way: cards and kept readings are of one way.
WHOLE_ANSWER = 2
# Characters of contexts that are read whole; of more, the sentences that are closest to the claims.
MOST_WHOLE = 12_000
# Claims whose closest sentences are shown then.
MOST_CLAIMS = 30


def support_in(grader: Grader, text: str, claims: Sequence[Claim]) -> list[RawScore]:
    """Read all of `text` behind the contexts, and without them, and return what the model holds of `claims`.

    The `state` of a claim has the mean of the hidden states of its tokens behind the contexts, and how far
    that is from the mean without them: what the contexts change tells what comes from them. Only a card's
    probe makes a verdict of it; `value` is what plain look-up finds, the share of the claim's words.
    """
    reply = prompts.judged_part(prompts.ANSWERS, text)
    # Behind the contexts first: the pipeline has just read them. What is asked next goes on from the other.
    behind = grader.states(*passages_for(grader, claims), grader.asked, reply)
    alone = grader.states(grader.asked, reply)
    if isinstance(behind, str) or isinstance(alone, str):
        return [_unread(claim, str(behind)) for claim in claims]
    lead = len(f"{prompts.ANSWERS.lead}: ")
    places = places_in(text, [claim.span for claim in claims])
    return [
        _as_held(grader, claim, alone, behind, (start + lead, end + lead))
        for claim, (start, end) in zip(claims, places, strict=True)
    ]


def passages_for(grader: Grader, claims: Sequence[Claim]) -> tuple[str, ...]:
    """Return the prompt parts of the contexts."""
    contexts = grader.answer.contexts
    if sum(len(context.text) for context in contexts) <= MOST_WHOLE:
        return prompts.whole_passages(contexts)
    closest = [
        sentence
        for claim in claims[:MOST_CLAIMS]
        for sentence in grader.evidence.closest(claim.said, grader.question.question)
    ]
    return prompts.passage_parts(grader.evidence.as_read(tuple(dict.fromkeys(closest))))


def _as_held(grader: Grader, claim: Claim, alone: States, behind: States, place: tuple[int, int]) -> RawScore:
    import numpy as np

    tokens = [n for n, (start, end) in enumerate(behind.spans) if start < place[1] and end > place[0]]
    if not tokens:
        return _unread(claim, "the model does not tell where the claim's tokens stand")
    question = grader.question.question
    closest = grader.evidence.closest(claim.said, f"{question} {claim.lead}" if claim.lead else question)
    mean = behind.values[tokens].mean(axis=0)
    found = grader.found(claim)
    return RawScore(
        claim.span.text,
        found["words"],
        found,
        claim.span.start,
        claim.span.end,
        closest[0],
        unsupported=grader.missing_words(claim),
        # Half the digits, which the probe does not miss: readings are kept by the thousand.
        state=np.concatenate([mean, mean - alone.values[tokens].mean(axis=0)]).astype(np.float16),
    )


def _unread(claim: Claim, reason: str) -> RawScore:
    return RawScore(claim.span.text, None, start=claim.span.start, end=claim.span.end, reason=reason)


def places_in(text: str, spans: Sequence[TextSpan]) -> list[tuple[int, int]]:
    """Return where each of `spans` of `text`, in its order, stands in `harmless_text(text)`.

    What is seen of a text stays in its order: places are told by how much of it stands before them.
    """
    seen = [at for at, character in enumerate(prompts.harmless_text(text)) if not character.isspace()]
    places, before, done = [], 0, 0
    for span in spans:
        before += _count_seen(text[done : span.start])
        first, before = before, before + _count_seen(text[span.start : span.end])
        done = span.end
        places.append((seen[first], seen[before - 1] + 1) if first < before <= len(seen) else (0, 0))
    return places


def _count_seen(text: str) -> int:
    return len("".join(prompts.harmless_text(text).split()))
