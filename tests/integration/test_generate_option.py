"""`pytest evals --evals-generate`: from a PDF to a judged run, with the bundled pipeline on a small model."""

from __future__ import annotations

import json

import pytest

from tests.integration.test_suite import SMALL, evaluations, run
from tests.unit.of_rag.documents.test_read import pdf

# The model answers and is judged for real. What it is to write as a question is said for it, as one of this
# size writes none that is kept: whatever is held to a schema is an item.
SCRIPT = """
import json

import pytest
from rag_evals.evals.generation.rules.rule import Criterion, Measured, Rule
from rag_evals.rag.answer import Tokens
from rag_evals.rag.llm.protocol import Completion
from rag_evals.rag.llm.local.local_llm import LocalLLM

LONG = Criterion("long", "The question is not too long.", 30.0, "at most", "it has too many words")
complete = LocalLLM.complete

def written(self, prompt, *, max_tokens, schema=None):
    if schema is None:
        return complete(self, prompt, max_tokens=max_tokens)
    sentence = prompt.parts[1].rpartition("Sentence: ")[2].removesuffix("\\nJSON:")
    owner, number = sentence.split()[3], sentence.split()[8]
    item = {
        "subject": f"the mill of {owner}",
        "quote": f"grinds {number} sacks",
        "question": f"How many sacks does the mill of {owner} grind?",
        "answer": f"{number} sacks.",
    }
    return Completion(json.dumps(item), Tokens(evaluated=1, generated=1), True)

def rules(*given):
    return (Rule(LONG, lambda one, kept: Measured(float(len(one.question.question.split())), "it is long")),)

def pytest_configure(config):
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(LocalLLM, "complete", written)
    patch.setattr("rag_evals.evals.generation.generate.default_rules", rules)
    patch.setattr("rag_evals.evals.generation.kinds.DEFAULT_MIX", {"number": 100})
"""

OPTIONS = ("--evals-pipelines", "baseline", "--evals-mode", "report", "--evals-max-unscored", "1", *SMALL)


@pytest.mark.model
def test_from_a_pdf_to_a_judged_run(tmp_path, monkeypatch):
    """One command; the second run writes nothing, answers nothing anew, and judges nothing anew."""
    names = ("Bado", "Delin", "Firo", "Gomar")
    lines = [
        f"The mill of {name} in the valley grinds {n + 2} sacks of corn each day."
        for n, name in enumerate(names)
    ]
    (tmp_path / "mills.pdf").write_bytes(pdf("\n".join(lines)))
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = (
        "evals",
        "-p",
        "script",
        "--evals-docs",
        tmp_path / "mills.pdf",
        "--evals-generate",
        3,
        *OPTIONS,
    )
    first = run(tmp_path, *command)
    assert first.returncode == 0, first.stdout
    said = [line for line in first.stdout.splitlines() if line.startswith("generat")]
    assert said[0] == "generating questions: 1 document, 1 passage, 4 sentences to ask about"
    assert said[1].startswith("generating questions: kept 3 of 3 items, 0 dropped, 0 invalid; ")
    assert "evals: 3 evaluations, 3 retrievals, mode report" in first.stdout
    recorded = [line for line in evaluations(tmp_path) if line["answer"]]
    assert [line["sources"][0]["quote"] in lines for line in recorded] == [True] * 3
    assert all(line["sources"][0]["page"] == 1 for line in recorded)
    assert all({"faithfulness", "relevancy"} <= set(line["scores"]) for line in recorded)
    (kept,) = tmp_path.glob("generated/*/questions.jsonl")
    head = json.loads((tmp_path / "runs/latest/records.jsonl").read_text().splitlines()[0])
    place = (tmp_path / "runs" / head["run"] / head["questions"][0]["path"]).resolve()
    assert place == kept.resolve()
    again = run(tmp_path, *command, "--evals-offline")
    assert again.returncode == 0, again.stdout
    assert not any(line.startswith("generat") for line in again.stdout.splitlines())
    assert "cache: 3 of 3 answers reused, 3 of 3 verdicts reused" in again.stdout
