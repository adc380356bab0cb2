"""How the choice scorer reads a criterion of a project's own: one question about the whole answer."""

from __future__ import annotations

from rag_evals.evals.base.errors import NoVerdict
from rag_evals.evals.judges.choice.grader import Grader, whole_of
from rag_evals.evals.judges.choice.whole_answer import passages_for
from rag_evals.evals.judges.claims import read_claims
from rag_evals.evals.judges.criteria.criterion import Criterion
from rag_evals.evals.judges.judge import RawScore
from rag_evals.evals.judges.prompts import SAME, judged_part


def read_criterion(grader: Grader, criterion: Criterion) -> RawScore:
    """Ask the criterion of the answer, behind what else it sees: contexts, question, reference.

    Raises:
        NoVerdict: It sees contexts or a reference, and there is none.
    """
    before: list[str] = []
    question, text = grader.question, grader.answer.text
    if "contexts" in criterion.sees:
        if not grader.answer.contexts:
            raise NoVerdict("there are no contexts, which the criterion sees")
        before += passages_for(grader, read_claims(text, question.question).claims)
    if "question" in criterion.sees:
        before.append(grader.asked)
    if "reference" in criterion.sees:
        if question.reference is None:
            raise NoVerdict("there is no reference, which the criterion sees")
        before.append(judged_part(SAME, question.reference))
    return grader.ask(criterion.wording, whole_of(text), *before)
