"""The questions of a session: from files, from W&B, generated on the way; and which of them are stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rag_evals.evals.answers.log import AnswerLog, load_log
from rag_evals.evals.answers.replay import LoggedPipeline
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.metrics import checked_thresholds
from rag_evals.evals.plugin.session.materials import Materials
from rag_evals.evals.plugin.session.settings import Settings
from rag_evals.evals.plugin.terminal.screen import Screen
from rag_evals.evals.questions.conversation import conversations, in_order
from rag_evals.evals.questions.load import expand_globs, load_questions
from rag_evals.evals.questions.question import Question
from rag_evals.evals.questions.sources.check import misplaced_sources
from rag_evals.evals.questions.sources.locate import SourceFinder, stale_reasons, with_offsets
from rag_evals.evals.reports.progress import progress
from rag_evals.evals.trackers.wandb.fetched_files import question_files
from rag_evals.evals.trackers.wandb.reference import is_reference
from rag_evals.rag.config import config_for, load_configs, shared_config
from rag_evals.rag.errors import ModelError, RagError
from rag_evals.rag.llm.remote.address import PREFIX
from rag_evals.rag.pipelines.resources import Resources

if TYPE_CHECKING:
    from rag_evals.evals.generation.generated_set import Generated


class SessionQuestions:
    """What is asked in a session, loaded when it is first wanted.

    Args:
        settings: The settings.
        materials: What generated questions are made of.
        screen: Is told how the writing of questions goes.
        is_only_collected: Whether tests are collected and none is run.
        is_parallel: Whether workers ask the questions: this process may have asked none.
    """

    def __init__(
        self,
        settings: Settings,
        materials: Materials,
        screen: Screen,
        *,
        is_only_collected: bool = False,
        is_parallel: bool = False,
    ) -> None:
        self._settings = settings
        self._materials = materials
        self._screen = screen
        self._is_only_collected = is_only_collected
        self._is_parallel = is_parallel

    @cached_property
    def asked(self) -> tuple[Question, ...]:
        """The questions of the run.

        Raises:
            UsageError: There are none, or something is wrong with them.
        """
        settings = self._settings
        if not (settings.questions or settings.generate or settings.answers):
            raise UsageError(
                "no questions: give --evals-questions GLOB, or --evals-generate N to have them written, or "
                "set evals_questions in the ini file"
            )
        questions = in_order(self.log.questions if self.log else load_questions(self._files()))
        for question in questions:
            checked_thresholds(
                dict(question.thresholds), where=f"question {question.id}: ", known=settings.known
            )
        if not settings.generate:
            return questions
        known = {question.id for question in questions}
        return (*questions, *(made for made in self._generated(questions) if made.id not in known))

    @cached_property
    def at_hand(self) -> tuple[Question, ...]:
        """The questions of the run that can be had without a model or a server; what is wrong is not said."""
        if "asked" in self.__dict__ or self._settings.answers:
            return self._asked_or_none
        settings = self._settings
        found: list[Question] = []
        try:
            here = [text for text in settings.questions if not is_reference(text)]
            fetched = set(settings.questions) - set(here) if settings.home.exists() else ()
            for text in fetched:
                here += map(str, question_files(self._materials.fetched(text, is_offline=True)))
            found += load_questions(expand_globs(here, settings.root))
        except (UsageError, RagError):
            pass
        try:
            generated = settings.generate and self._generated_set(is_frugal=True).here(lambda _: None)
        except (UsageError, RagError):
            generated = None
        return in_order([*{question.id: question for question in (*found, *(generated or ()))}.values()])

    def earlier(self, question: Question) -> tuple[Question, ...]:
        """Return the turns of a question's conversation before it; none where it says its history itself."""
        if question.conversation is None or question.turn is None or question.history:
            return ()
        turns = self._conversations.get(question.conversation, ())
        return tuple(turn for turn in turns if (turn.turn or 0) < question.turn)

    @cached_property
    def _conversations(self) -> Mapping[str, Sequence[Question]]:
        return conversations(self.at_hand)

    @cached_property
    def log(self) -> AnswerLog | None:
        """The log whose answers are judged; None where pipelines are asked.

        Raises:
            UsageError: There is no such file, or something is wrong with one.
        """
        settings = self._settings
        if not settings.answers:
            return None
        files = expand_globs(settings.answers, settings.root, what="a log of answers")
        return load_log(files, settings.sampling, settings.mask)

    @cached_property
    def logged_pipeline(self) -> LoggedPipeline | None:
        """What gives the answers of the log; None without."""
        return LoggedPipeline(self.log) if self.log else None

    def placed(self, question: Question) -> Question:
        """Return a question whose sources tell their offsets, where the documents are known and have them."""
        if self._settings.docs is None or all(s.start is not None for s in question.sources):
            return question
        return with_offsets(question, self._finder)

    @cached_property
    def misplaced(self) -> tuple[str, ...]:
        """A line for each source that stands in none of the documents; nothing where they are not known."""
        if self._settings.docs is None:
            return ()
        fresh = (question for question in self.asked if question.id not in self.stale)
        return misplaced_sources(fresh, self._materials.corpus)

    @cached_property
    def _finder(self) -> SourceFinder:
        return SourceFinder(self._materials.corpus)

    @cached_property
    def sets(self) -> Mapping[Path, Sequence[Question]]:
        """The questions of each file that this session asks from, all of them, in the order of reading.

        They are for the record of a run: in the controller of xdist they are read for this alone. Files that
        are gone meanwhile are no reason to lose a run: then there are none.
        """
        try:
            return self._sets()
        except (UsageError, RagError):
            return {}

    @cached_property
    def stale(self) -> Mapping[str, str]:
        """The questions that do not belong to the documents any more: why, by id.

        Where the documents are not known, as for pipelines of one's own without `--evals-docs`, none is.
        """
        if self._settings.docs is None or self._is_only_collected or self._settings.answers:
            return {}

        asked = self._asked_here
        if asked is None:
            asked = tuple(question for questions in self.sets.values() for question in questions)
        try:
            return stale_reasons(asked, lambda: self._materials.corpus)
        except (UsageError, RagError):
            return {}  # whoever needs them says what is wrong

    @property
    def _asked_or_none(self) -> tuple[Question, ...]:
        try:
            return self.asked
        except (UsageError, RagError):
            return ()

    @property
    def _asked_here(self) -> tuple[Question, ...] | None:
        """The questions, if this process was ever asked for them."""
        return self.__dict__.get("asked")

    def _sets(self) -> Mapping[Path, Sequence[Question]]:
        if self._settings.answers:
            return {}
        asked = self._asked_here
        # Serially it is known whether they were asked for; under xdist the workers know.
        if asked is None and not self._is_parallel:
            return {}
        files = self._files()
        if self._settings.generate:
            files = (*files, self._generated_set().file)
        elif asked is not None and len(files) == 1:
            return {files[0]: asked}
        return {file: load_questions([file]) for file in files}

    def _files(self) -> tuple[Path, ...]:
        patterns = [pattern for given in self._settings.questions for pattern in self._patterns(given)]
        return expand_globs(patterns, self._settings.root)

    def _patterns(self, given: str) -> list[str]:
        """Return the files that a reference means; a glob as it is."""
        if not is_reference(given):
            return [given]

        return [str(file) for file in question_files(self._materials.fetched(given))]

    def _generated(self, others: Sequence[Question]) -> tuple[Question, ...]:
        """Return the generated questions; write them first where that is to be done.

        A session that only looks writes none: it gets those that are there, and says how to get the others.

        Raises:
            UsageError: They cannot be had.
        """
        with self._screen.uncaptured():
            try:
                return self._found() if self._only_looks else self._made(others)
            except RagError as error:
                raise UsageError(str(error)) from error
            except KeyboardInterrupt:
                self._screen.say(
                    "generating questions: interrupted; what was written is kept, "
                    "and the same command goes on"
                )
                raise

    def _made(self, others: Sequence[Question]) -> tuple[Question, ...]:
        is_shown = self._screen.is_shown
        return self._generated_set(others).make(
            self._screen.say, lambda count: progress(count, is_shown=is_shown)
        )

    def _found(self) -> tuple[Question, ...]:
        try:
            found = self._generated_set().here(self._screen.say)
        except ModelError:
            found = None  # it is not here, so nothing was written by it
        if found is None:
            count = self._settings.generate
            self._screen.say(
                f"generated questions: none yet, and {self._only_looks} writes none: "
                f"pytest --evals-generate {count} without it writes {count}"
            )
        return found or ()

    def _generated_set(self, others: Sequence[Question] = (), *, is_frugal: bool = False) -> Generated:
        """Return what writes, or finds, the generated questions of this session.

        The model is `--evals-model`, or that of the pipeline `baseline`, or of the first where there is none.

        Args:
            others: The questions of the run that come from files.
            is_frugal: Whether to find what is written without fetching a model; a session that only looks
                never fetches one.

        Raises:
            UsageError: No documents are named.
            RagError: There are no documents, or no model.
        """
        # The patterns of the rules for questions take 100 ms, and few runs write any.
        from rag_evals.evals.generation.generated_set import Generated, GenerationInputs

        settings = self._settings
        if "baseline" in load_configs(settings.config):
            knobs = config_for("baseline", path=settings.config, model=settings.model)
        else:
            knobs = shared_config(settings.config, model=settings.model)
        # A server is not asked before it is to write.
        is_local = not knobs.llm.model.startswith(PREFIX)
        is_frugal = is_local and (is_frugal or bool(self._only_looks))
        resources = Resources(offline=True) if is_frugal else self._materials.resources
        inputs = GenerationInputs(
            self._materials.corpus, resources.llm(knobs.llm), resources.embedder(knobs.embedder)
        )
        return Generated(settings.generate, settings.home, inputs, others)

    @property
    def _only_looks(self) -> str:
        """The option that keeps this session from running anything; "" without."""
        if self._is_only_collected:
            return "--collect-only"
        return "--evals-plan" if self._settings.plan else ""
