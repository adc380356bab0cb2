"""The pipeline of a log: it answers a question with what was answered to it."""

from __future__ import annotations

from rag_evals.evals.answers.log import AnswerLog
from rag_evals.evals.base.errors import LostAnswerError
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest
from rag_evals.rag.profile import Profile

# Its name in ids and reports.
LOGGED = "logged"


class LoggedPipeline:
    """Gives the answers of a log.

    Args:
        log: The log.
    """

    name = LOGGED

    def __init__(self, log: AnswerLog) -> None:
        identity = {"logged": log.digest}
        self.fingerprint = digest(identity)
        self.profile = Profile(identity=identity)
        self._log = log

    def replayed(self, question_id: str) -> Answer:
        """Return the answer to the question of this id.

        Raises:
            LostAnswerError: The log has none, or is not what it was when it was read.
        """
        return self._log.logged(question_id).answer

    async def answer(self, question: str) -> Answer:
        """Return the answer to a question of this text, which only one line of the log may have.

        Raises:
            LostAnswerError: None or several have it.
        """
        found = [one.id for one in self._log.questions if one.question == question]
        if len(found) != 1:
            count = f"{len(found):,} answers" if found else "no answer"
            raise LostAnswerError(f"the log has {count} to this question: ask with a question of the run")
        return self.replayed(found[0])
