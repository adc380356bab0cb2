"""The grader: one yes/no question to the judging model for each raw score, with what it cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges import prompts
from rag_evals.evals.judges.choice.evidence import Evidence
from rag_evals.evals.judges.citations import read_citations
from rag_evals.evals.judges.citations.reading import CitationReader
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.claims.declines import declines, may_decline
from rag_evals.evals.judges.claims.unsupported import missing_words
from rag_evals.evals.judges.claims.words import stems
from rag_evals.evals.judges.judge import RawScore, trace_attributes
from rag_evals.evals.judges.prompts import Wording, passage_parts, prompt_for
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Decline
from rag_evals.rag.answer import Answer, Context, Tokens, question_part
from rag_evals.rag.errors import ContextWindowError
from rag_evals.rag.llm.protocol import LLM, Choice, Prompt, ReadsLikelihood, ReadsStates, States
from rag_evals.rag.retrieval.embedder import Embedder
from rag_evals.rag.retrieval.text.language import LANGUAGES, language_of
from rag_evals.rag.retrieval.text.sentences import TextSpan
from rag_evals.rag.tracing import spans
from rag_evals.rag.tracing.conventions import INPUT, spoken, token_attributes

# With less of the probability than this on the offered options, the model answered something else.
LEAST_MASS = 0.5
# A longer answer than this many claims says something, whatever it declines.
CLAIMS_OF_A_DECLINE = 3
# Small models take a fact of absence ("Parking is not included") for a decline, by so much in log odds: it is
# between the highest fact and the lowest decline of 24 answers; of 24 others it is right for 22, without it
# for 18 (docs/decisions/0005).
LEANING = 0.63
# Generous on purpose: what it lets through, the model decides.
_ABSENCE = re.compile(
    r"\b(?:no|not|none|nothing|nowhere|never|neither|nor|cannot|\w+n['\u2019]t|un\w+|insufficient|incomplete"
    r"|indetermina\w+|lack\w*|miss\w*|absen\w+|without|omit\w*|silen\w+|open|beyond|outside|sorry|fail\w*|hard"
    r"|difficult|leave\w*|left|remain\w*|mystery|guess\w*)\b",
    re.IGNORECASE,
)
# Log odds beyond this are taken as this: one overconfident verdict is not to outweigh all else.
MOST_LOG_ODDS = 7.0


class Grader:
    """Puts the yes/no questions about one answer to the model, and adds up the tokens.

    Args:
        llm: The judging model.
        question: What was asked.
        answer: What is judged.
        embedder: Finds the closest sentences; None for shared words.
        reads_states: Whether claims are read from the model's hidden states (`whole_answer.support_in`).

    Attributes:
        question: What was asked.
        answer: What is judged.
        tokens: What was used so far.
        declines: What of the answer was found to decline, by the metric that is being read.
    """

    def __init__(
        self,
        llm: LLM,
        question: Question,
        answer: Answer,
        embedder: Embedder | None = None,
        *,
        reads_states: bool = False,
    ) -> None:
        self.tokens = Tokens()
        self.declines: tuple[Decline, ...] = ()
        self._llm = llm
        self.question = question
        self.answer = answer
        self.reads_states = reads_states
        self._embedder = embedder
        # Not cached_property: in Python 3.11 one lock of it is held for the graders of all threads.
        self._evidence: Evidence | None = None
        self._relevance: RawScore | None = None
        self._decline: RawScore | None = None
        self._citations: CitationReader | None = None
        self._declines_beside: tuple[Decline, ...] = ()
        asked = question.question
        self._language = language_of(asked) or language_of(f"{asked} {answer.text}")

    @property
    def evidence(self) -> Evidence:
        """The sentences of the answer's contexts."""
        if self._evidence is None:
            self._evidence = Evidence(self.answer.contexts, self._embedder)
        return self._evidence

    @property
    def relevance(self) -> RawScore:
        """Whether the answer gives what the question asks for; asked once."""
        if self._relevance is None:
            self._relevance = self.ask(prompts.ANSWERS, whole_of(self.answer.text), self.asked)
        return self._relevance

    @property
    def decline(self) -> RawScore:
        """Whether the answer declines to answer: a stock phrase does, of others the model is asked, once."""
        whole = whole_of(self.answer.text)
        is_stock = declines(whole.text, self.question.question)
        if self._decline is None and is_stock:
            sure = dict.fromkeys(("declines", "evades"), MOST_LOG_ODDS)
            self._decline = RawScore(whole.text, 1.0, sure, whole.start, whole.end)
        if self._decline is None:
            self._decline = self._ask_decline(whole)
        if (self._decline.value or 0.0) > 0.5:
            self.declines = (_decline(whole, by="rule" if is_stock else "judge"),)
        return self._decline

    def _ask_decline(self, span: TextSpan) -> RawScore:
        """Ask the model whether `span` says that nothing is known, and go by whether it gives what was asked.

        The value has the mean log odds of the two, less the model's leaning where something is absent. Asked
        the first alone the model takes "Mixtral is closed" for a decline.
        """
        said = self.ask(prompts.DECLINES, span, self.asked)
        is_whole = span == whole_of(self.answer.text)
        relevance = self.relevance if is_whole else self.ask(prompts.ANSWERS, span, self.asked)
        if said.value is None or relevance.value is None:
            return said if said.value is None else relevance
        leaning = LEANING if self._may_decline(span.text) else 0.0
        features = {"declines": said.features["yes"], "evades": -relevance.features["yes"]}
        return replace(said, value=share_of(fmean(features.values()) - leaning), features=features)

    @property
    def is_decline(self) -> bool:
        """Whether the answer, as a whole, declines.

        The model is asked only of short answers with a word that some decline could have: that spares two
        verdicts for most answers.
        """
        text = self.answer.text
        if len(read_claims(text, self.question.question).claims) > CLAIMS_OF_A_DECLINE:
            return False
        return self._may_decline(text) and (self.decline.value or 0.0) > 0.5

    def _may_decline(self, text: str) -> bool:
        if declines(text, self.question.question) or may_decline(text) or _ABSENCE.search(text):
            return True
        return not self._is_english(text)  # the words that tell are English

    def _is_english(self, text: str) -> bool:
        if self._language not in ("en", None):
            return False
        return text.isascii() or language_of(text) in ("en", None)

    def claims(self) -> list[Claim]:
        """Return what the answer claims, less the sentences that decline, by rule or by the model's word."""
        read = read_claims(self.answer.text, self.question.question)
        by_rule = [_decline(span, by="rule") for span in read.declines]
        doubtful = [claim for claim in read.claims if claim.may_decline and len(read.claims) > 1]
        declining = [claim for claim in doubtful if (self._ask_decline(claim.span).value or 0.0) > 0.5]
        by_judge = [_decline(claim.span, by="judge") for claim in declining]
        self.declines = tuple(sorted(by_rule + by_judge, key=lambda one: one.start))
        return [claim for claim in read.claims if claim not in declining]

    @property
    def _foreign(self) -> str:
        return "" if self._language in ("en", None) else LANGUAGES[self._language]

    @property
    def asked(self) -> str:
        """The prompt part with the question."""
        return question_part(prompts.harmless_text(self.question.question))

    def support(self, claims: Sequence[Claim]) -> list[RawScore]:
        """Hold each claim against the sentences of the contexts that are closest to it.

        A claim is read behind its lead-in, or the sentence it points back to; what is shown, looked up and
        read for its likelihood is the claim alone. Besides the verdict (`yes`) the features have how much
        likelier the sentences make its words (`gain`, mean of the log-likelihood a token), where the model
        tells likelihoods, and what plain look-up finds.
        """
        # Without evidence first: all claims of an answer share that prefix.
        alone = [self._log_likelihood(claim, self.asked) for claim in claims]
        return [self._supported(claim, before) for claim, before in zip(claims, alone, strict=True)]

    def _supported(self, claim: Claim, alone: float | None) -> RawScore:
        question = self.question.question
        closest = self.evidence.closest(claim.said, f"{question} {claim.lead}" if claim.lead else question)
        passage = passage_parts(self.evidence.as_read(closest))
        # Likelihood first: the verdict goes on from what it left in the key/value cache.
        behind = self._log_likelihood(claim, *passage, self.asked)
        before = (*passage, self.asked)
        raw_score = self.ask(prompts.SUPPORTED, claim.span, *before, closest=closest[0], read=claim.whole)
        if raw_score.value is None:
            return raw_score
        gain = {} if alone is None or behind is None else {"gain": behind - alone}
        features = {**raw_score.features, **gain, **self.found(claim)}
        return replace(raw_score, features=features, unsupported=self.missing_words(claim))

    @property
    def citations(self) -> CitationReader:
        """What the answer cites, held against its claims; read once for all metrics.

        Claims are asked one by one also where others are read from hidden states: these are of the whole
        answer behind all passages, and a probe was fitted on that (docs/citations.md).

        Raises:
            NoVerdict: The answer declines, or cites too much.
        """
        if self._citations is None:
            cited = read_citations(self.answer)
            bare = replace(self.answer, text=cited.text)
            plain = self._beside(bare)
            claims = [] if plain.is_decline else plain.claims()
            self.tokens += plain.tokens
            if not claims and plain.declines and not cited.citations:
                self.declines = plain.declines
                raise NoVerdict("the answer declines: it makes no claim")
            self._citations = CitationReader(self.answer, cited, claims, partial(self._held_against, bare))
            self._declines_beside = plain.declines
        self.declines = self._declines_beside
        return self._citations

    def _beside(self, answer: Answer) -> Grader:
        """Return a grader of another answer to the same question."""
        return Grader(self._llm, self.question, answer, self._embedder)

    def _held_against(
        self, answer: Answer, claims: Sequence[Claim], contexts: Sequence[Context]
    ) -> list[RawScore]:
        of_cited = self._beside(replace(answer, contexts=tuple(contexts)))
        raw_scores = of_cited.support(claims)
        self.tokens += of_cited.tokens
        return raw_scores

    def missing_words(self, claim: Claim) -> tuple[str, ...]:
        """Return the words of `claim` that the contexts do not have."""
        return missing_words(claim.span.text, self._known_stems)

    @property
    def _known_stems(self) -> set[str]:
        return {stem for context in self.answer.contexts for stem in stems(context.text)}

    def states(self, *parts: str) -> States | str:
        """Return the hidden states of the last of `parts`, or why there are none."""
        assert isinstance(self._llm, ReadsStates), "only such a model is asked for them"
        with spans.span("hidden states", kind="LLM") as step:
            try:
                held = self._llm.states(Prompt(parts))
            except ContextWindowError as error:
                step.fail(error)
                return str(error)
            step.set_from(spoken, self._llm.name, held.tokens, parts, "")
        self.tokens += held.tokens
        return held

    def found(self, claim: Claim) -> dict[str, float]:
        """Return what plain look-up says of `claim`."""
        found = self.evidence.found(claim.said)
        if self._language == "de":
            del found["names"]  # every noun begins with a capital letter
        return found

    def _log_likelihood(self, claim: Claim, *before: str) -> float | None:
        """Return the mean log-likelihood of the words of `claim`; None if the model does not tell it."""
        if not isinstance(self._llm, ReadsLikelihood):
            return None
        prompt = Prompt((*before, prompts.judged_part(prompts.SUPPORTED, claim.said)))
        with spans.span("likelihood", kind="LLM") as step:
            try:
                read = self._llm.likelihood(prompt)
            except ContextWindowError as error:
                step.fail(error)
                return None  # `ask` says it
            step.set_from(spoken, self._llm.name, read.tokens, prompt.parts, "")
        self.tokens += read.tokens
        # The first token is the colon behind the lead, the last the blank line: both are always there.
        return fmean(read.logs[1:-1]) if len(read.logs) > 2 else None

    def ask(
        self,
        wording: Wording,
        span: TextSpan,
        *before: str,
        closest: Context | None = None,
        read: str = "",
    ) -> RawScore:
        """Ask `wording` of `span`, behind the prompt parts `before`.

        Args:
            wording: What is asked.
            span: What is judged, as it is shown.
            *before: Leading parts of the prompt.
            closest: The part of the contexts that is closest to it.
            read: How it is read, with what stands around it; by default as it is shown.
        """
        used = self.tokens
        read = read or span.text
        with spans.span("verdict", kind="EVALUATOR") as step:
            raw_score = self._ask(wording, span, read, *before, closest=closest)
            step.set_from(self._told, raw_score, (*before, read, wording.task), used)
            if raw_score.reason:
                step.fail(raw_score.reason)
        return raw_score

    def _told(self, raw_score: RawScore, asked: Sequence[str], used: Tokens) -> dict[str, Any]:
        cost = token_attributes(self.tokens - used)
        return {
            **trace_attributes(raw_score),
            INPUT: "\n\n".join(asked),
            "llm.model_name": self._llm.name,
            **cost,
        }

    def _ask(
        self, wording: Wording, span: TextSpan, read: str, *before: str, closest: Context | None
    ) -> RawScore:
        nothing = RawScore(span.text, None, start=span.start, end=span.end, closest=closest)
        try:
            choice = self._llm.choose(
                prompt_for(wording, read, *before, language=self._foreign), ("yes", "no")
            )
        except ContextWindowError as error:
            # One endless claim is no verdict; what else is asked of the answer still has one.
            return replace(nothing, reason=str(error))
        self.tokens += choice.tokens
        if 1.0 - choice.other < LEAST_MASS:
            return replace(nothing, reason=_unclear(choice))
        value = choice.share(wording.good)
        return replace(nothing, value=value, features={"yes": log_odds(value)}, graded=choice.graded)


def whole_of(text: str) -> TextSpan:
    """Return the whole of `text` as one span."""
    return TextSpan(text, 0, len(text))


def _decline(span: TextSpan, *, by: Literal["rule", "judge"]) -> Decline:
    return Decline(span.text, span.start, span.end, by)


def share_of(log_odds: float) -> float:
    """Return the share that has these log odds."""
    return 1.0 / (1.0 + math.exp(-log_odds))


def log_odds(share: float) -> float:
    """Return the log odds of `share`, at most `MOST_LOG_ODDS` from zero."""
    if share in (0.0, 1.0):
        return math.copysign(MOST_LOG_ODDS, share - 0.5)
    return max(-MOST_LOG_ODDS, min(MOST_LOG_ODDS, math.log(share / (1.0 - share))))


def _unclear(choice: Choice) -> str:
    if choice.reason is not None:
        return f"the judge gave no verdict: {choice.reason}"
    if choice.text is not None:
        return f"the judge said {choice.text[:80]!r}, neither yes nor no"
    return f"only {1.0 - choice.other:.2f} of the judge's probability fell on yes or no"
