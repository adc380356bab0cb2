"""The model's part in the rules: it answers from passages or from memory, and reads yes or no."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.choice.grader import Grader, whole_of
from rag_evals.evals.judges.claims import read_claims
from rag_evals.evals.judges.claims.declines import declines, may_decline
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.judges.judge import RawScore
from rag_evals.evals.judges.prompts import COVERS, Wording, harmless_text, passage_parts
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, question_part
from rag_evals.rag.errors import ContextWindowError
from rag_evals.rag.llm.protocol import LLM, Prompt
from rag_evals.rag.retrieval.embedder import Embedder

# Of an answer; the longest that agreed with a reference had 45.
MAX_TOKENS = 60

FROM_PASSAGES = (
    "Answer the question in as few words as possible, from the passages. If they do not give the answer, say "
    "that they do not say."
)
FROM_MEMORY = (
    "Answer the question in as few words as possible. If you are not sure, say that you do not know."
)
SYSTEM_OF_MEMORY = "You answer questions from memory."

# What it is told to say, in its words; as an answer to somebody else it would say nothing of passages.
_SILENCE = re.compile(r"\W*(?:they|it|the passages?) (?:do|does)(?: not|n['\u2019]t) say\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")


class Examiner:
    """Puts questions to the model for the rules.

    The embedder finds the sentences closest to a claim; without one shared words do.
    """

    def __init__(self, llm: LLM, embedder: Embedder | None = None) -> None:
        self._llm = llm
        self._embedder = embedder

    def answer(self, question: str, passages: Sequence[str]) -> str:
        """Let the model answer `question` from `passages`, or from memory where there are none.

        Raises:
            NoVerdict: They do not fit the context window.
        """
        contexts = passage_parts([Context(passage) for passage in passages])
        asked = question_part(harmless_text(question))
        if contexts:
            return self._complete(Prompt((*contexts, asked, FROM_PASSAGES)))
        return self._complete(Prompt((asked, FROM_MEMORY), system=SYSTEM_OF_MEMORY))

    def agreement(self, question: Question, said: str) -> float:
        """Measure how far `said` says what the reference says; 0 where it declines.

        It is the mean of what the model reads ("Does the reply say what the reference answer says?") and the
        share of the reference's words that are there, which is 0 where numbers are asked for and none is
        right. The reading alone takes "Training steps 1 and 2" for any two training steps, and the words
        alone take "the back" for "from the back to the front". Whether the reply contradicts the reference,
        which the `correctness` of answers reads too, is not asked: of replies so short the model says yes.

        Raises:
            NoVerdict: The model gave none.
        """
        if is_silent(said):
            return 0.0
        reference = question.reference or ""
        grader = Grader(self._llm, question, Answer(said))
        asked = f"Reference answer: {harmless_text(reference)}\n"
        read = _value(grader.ask(COVERS, whole_of(said), grader.asked, asked))
        return (read + words_found(reference, said)) / 2

    def support(self, question: Question, said: str, passages: Sequence[str]) -> float:
        """Read how far `passages` support what is `said` in answer to `question`: its least supported claim.

        Raises:
            NoVerdict: The model gave none, or nothing is claimed.
        """
        claims = read_claims(said).claims
        if not claims:
            raise NoVerdict("nothing is claimed")
        contexts = tuple(Context(passage) for passage in passages)
        grader = Grader(self._llm, question, Answer(said, contexts), self._embedder)
        return min(map(_value, grader.support(claims)))

    def read(self, wording: Wording, text: str, question: Question, passages: Sequence[str] = ()) -> float:
        """Read the answer to `wording` of `text`, behind passages and question.

        Raises:
            NoVerdict: The model gave none.
        """
        grader = Grader(self._llm, question, Answer(""))
        contexts = passage_parts([Context(passage) for passage in passages])
        return _value(grader.ask(wording, whole_of(text), *contexts, grader.asked))

    def _complete(self, prompt: Prompt) -> str:
        try:
            return self._llm.complete(prompt, max_tokens=MAX_TOKENS).text
        except ContextWindowError as error:
            raise NoVerdict(str(error)) from error


def is_silent(said: str) -> bool:
    """Return whether what is `said` is no answer."""
    return not said.strip() or declines(said) or may_decline(said) or bool(_SILENCE.match(said))


def words_found(reference: str, said: str) -> float:
    """Return the share of the content words of `reference` that stand in `said`.

    It is 0 where the reference has numbers and `said` has none of them.
    """
    wanted, given = set(_stems(reference)), set(_stems(said))
    numbers = set(_NUMBER.findall(reference))
    if not wanted or (numbers and not numbers & set(_NUMBER.findall(said))):
        return 0.0
    return len(wanted & given) / len(wanted)


def _stems(text: str) -> list[str]:
    return [stem for stem in stems(text.replace("%", " percent ")) if stem not in ("about", "around", "up")]


def _value(raw_score: RawScore) -> float:
    if raw_score.value is None:
        raise NoVerdict(raw_score.reason or "the model gave none")
    return raw_score.value
