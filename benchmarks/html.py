"""How long the HTML report of 5,000 questions takes to write, to open and to search, in headless Chromium.

python -m benchmarks.html
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.html.page import run_html
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Tokens

from benchmarks.report import print_table, save
from tests.browser.chromium import start

# Until the page has been drawn twice after its script has run: what a user sees and can use.
READY = """
const done = arguments[0];
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
"""
SEARCH = """
const done = arguments[0], box = document.getElementById("search");
const began = performance.now();
box.value = "what is 77";
box.dispatchEvent(new Event("input"));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
"""


def main() -> None:
    """Write the report, open it several times, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=5000)
    parser.add_argument("--passages", type=int, default=5000, help="different passages; three a question")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    began = time.perf_counter()
    text = run_html(run_of(options.questions, options.passages))
    written = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(text, "utf-8")
        opened = [measure(file) for _ in range(options.runs)]
    result = {
        "seconds to write": written,
        "megabytes": len(text.encode()) / 1e6,
        "seconds until it is drawn and can be used": median(one["ready"] for one in opened),
        "seconds of the first search": median(one["first"] for one in opened),
        "seconds of the next search": median(one["next"] for one in opened),
    }
    print_table([["", "value"], *([name, f"{value:,.3f}"] for name, value in result.items())])
    given = {"questions": options.questions, "passages": options.passages, "runs": options.runs}
    save("html", {**given, **result})


def run_of(questions: int, passages: int) -> Run:
    """Return a run of two pipelines with three passages of 600 characters an answer."""
    texts = [f"Passage {n}. " + "The router sends each token to two experts. " * 14 for n in range(passages)]
    contexts = [Context(text[:600], "moe.pdf", n % 90, n, n + 600, 0.5) for n, text in enumerate(texts)]
    return Run("run", RunHeader(), (), tuple(_evaluation(number, contexts) for number in range(questions)))


def _evaluation(number: int, contexts: list[Context]) -> Evaluation:
    found = tuple(contexts[(3 * number + n) % len(contexts)] for n in range(3))
    value = number % 100 / 100
    claim = ClaimScore("Each token is sent to two experts.", value, 0, 34, found[0].part(0, 60))
    scores = (Score("faithfulness", value, claims=(claim,)), Score("relevancy", 0.9))
    return Evaluation(
        Question(f"question-{number // 2}", f"What is {number // 2}, and why?", "A reference."),
        ("baseline", "auto_merging")[number % 2],
        Answer("Each token is sent to two experts. So it was said, in as many words as it takes.", found),
        scores,
        {"faithfulness": 0.5, "relevancy": 0.5},
        {"retrieve": 0.1, "generate": 1.0 + value, "judge": 0.5},
        {"generate": Tokens(1000, 20, 30), "judge": Tokens(300, 700)},
    )


def measure(file: Path) -> dict[str, float]:
    """Open `file` in a browser of its own; seconds."""
    with tempfile.TemporaryDirectory() as profile:
        browser = start(Path(profile))
        try:
            browser.get(file.as_uri())
            # Counted from the start of the navigation: reading and drawing are in it.
            ready = browser.execute_async_script(READY)
            searches = [browser.execute_async_script(SEARCH) for _ in range(2)]
        finally:
            browser.quit()
    return {"ready": ready / 1000, "first": searches[0] / 1000, "next": searches[1] / 1000}


if __name__ == "__main__":
    main()
