"""The commands to begin with: `init` and `run`, a suite; `continue`; `plan`; `docs`; and `ask`."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import display_path, printable
from rag_evals.evals.cli.arguments import add_home, add_offline, add_reading, cached_corpus, read_corpus
from rag_evals.evals.engine.offline import forbid_connections
from rag_evals.evals.plugin.session.going_on import check_interrupted
from rag_evals.evals.reports.text import aligned
from rag_evals.evals.runs.lines.writer import is_being_written
from rag_evals.evals.runs.masking import MASK
from rag_evals.evals.runs.run import RECORDS, find_run, read_run
from rag_evals.evals.runs.run_folder import is_written_here
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.config import config_for, load_services
from rag_evals.rag.documents.document import remark_lines
from rag_evals.rag.pipelines.resources import Resources
from rag_evals.rag.pipelines.retrieval_pipeline import RetrievalPipeline, build_pipeline
from rag_evals.rag.pipelines.services.service import Service

# Exit codes of pytest.
INTERRUPTED = 2
TESTS_COLLECTED_NONE = 5

CONFTEST = '''"""What is evaluated: put your own application in the place of `answer`."""

import pytest
from rag_evals import Context, pipeline_from

PASSAGES = [
    Context("Orders can be returned within 30 days of delivery.", "returns.md"),
    Context("Delivery takes two to four working days within the country.", "delivery.md"),
]


def answer(question: str) -> tuple[str, list[Context]]:
    """Return an answer and the passages that it is written from; it may be async as well."""
    words = set(question.lower().strip("?").split())
    shared = {passage: len(words & set(passage.text.lower().split())) for passage in PASSAGES}
    best = max(PASSAGES, key=shared.__getitem__)
    return (best.text, [best]) if shared[best] > 1 else ("The documents do not say.", [best])


@pytest.fixture(scope="session")
def my_pipeline():
    # Change the fingerprint when the answers change: what was answered before is reused under it.
    return pipeline_from(answer, name="my_pipeline", fingerprint="1")
'''
TEST = '''"""Each question is a test: is the answer faithful to its passages, and does it answer?"""

import pytest

pytestmark = pytest.mark.evals


def test_answer(evaluate, pipeline, question):
    evaluate(pipeline, question).result().require()
'''
RETRIEVAL_TEST = '''"""Each question that says where its answer stands is a test: is that place found?"""

import pytest

pytestmark = pytest.mark.evals


def test_sources_are_found(evaluate_retrieval, pipeline, question):
    evaluate_retrieval(pipeline, question).result().require()
'''
QUESTIONS = (
    {
        "id": "returns",
        "question": "Within how many days can orders be returned?",
        "reference": "Within 30 days of delivery.",
        "sources": [{"document": "returns.md", "quote": "within 30 days of delivery"}],
    },
    {
        "id": "delivery",
        "question": "How long does delivery take within the country?",
        "reference": "Two to four working days.",
        "sources": [{"document": "delivery.md", "quote": "two to four working days"}],
    },
    {"id": "warranty", "question": "How long is the warranty?", "answerable": False},
)
NEXT = """next: `pytest {folder}` asks the three questions; the judge is a local model, fetched once.
`pytest {folder} --evals-only retrieval` scores what is found, without a model.
Then put your application into {folder}/conftest.py, and your own questions into {folder}/questions.jsonl"""
# The files in which pytest looks for its configuration, in its order, with the header of its part.
INI_FILES: Mapping[str, str] = {
    "pytest.toml": r"\[pytest\]",
    ".pytest.toml": r"\[pytest\]",
    "pytest.ini": r"\[pytest\]",
    ".pytest.ini": r"\[pytest\]",
    "pyproject.toml": r"\[tool\.pytest(\.ini_options)?\]",
    "tox.ini": r"\[pytest\]",
    "setup.cfg": r"\[tool:pytest\]",
}


def add_init(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `init`."""
    parser.add_argument(
        "--folder", default="evals", metavar="NAME", help="folder of the suite, from here (default: evals)"
    )
    parser.set_defaults(run=_init)


def _init(options: argparse.Namespace) -> int:
    folder = Path(options.folder)
    if folder.is_absolute() or ".." in folder.parts:
        raise UsageError(f"--folder {options.folder}: name a folder below this one")
    if (folder / "__init__.py").exists():
        raise UsageError(f"{folder.as_posix()}/ is a package of yours: name another folder with --folder")
    lines = "".join(f"{json.dumps(asked)}\n" for asked in QUESTIONS)
    try:
        for name, text in {
            "conftest.py": CONFTEST,
            "test_answers.py": TEST,
            "test_retrieval.py": RETRIEVAL_TEST,
            "questions.jsonl": lines,
        }.items():
            print(_written(folder / name, text))
        print(_configured(folder.as_posix()))
        print(_ignored())
    except OSError as error:
        file = display_path(Path(str(error.filename)))
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    print(NEXT.format(folder=folder.as_posix()))
    return 0


def _written(file: Path, text: str) -> str:
    if file.exists():
        return f"{display_path(file)}: is there, left as it is"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return f"{display_path(file)}: written"


def _configured(folder: str) -> str:
    """Name pipeline and questions where pytest looks for them; nothing that stands there is changed."""
    with_part = [name for name in INI_FILES if _header(name)]
    others = [name for name in ("pytest.toml", "pytest.ini", "pyproject.toml") if Path(name).is_file()]
    name = (*with_part, *others, "pytest.ini")[0]
    text = Path(name).read_text("utf-8") if Path(name).is_file() else ""
    if re.search(r"^\s*evals_(questions|pipelines)\b", text, re.MULTILINE):
        return f"{name}: names questions or pipelines, left as it is"
    form = '{} = ["{}"]\n' if name.endswith(".toml") else "{} = {}\n"
    lines = form.format("evals_pipelines", "my_pipeline")
    lines += form.format("evals_questions", f"{folder}/questions.jsonl")
    if header := _header(name):
        text = f"{text[: header.end()]}\n{lines.rstrip()}{text[header.end() :]}"
    else:
        part = "[tool.pytest.ini_options]" if name == "pyproject.toml" else "[pytest]"
        text = f"{text.rstrip()}\n\n{part}\n{lines}".lstrip()
    Path(name).write_text(text, encoding="utf-8")
    return f"{name}: pipeline and questions of the suite added"


def _header(name: str) -> re.Match[str] | None:
    """Return where pytest's part of a file begins; None where it has none."""
    if not Path(name).is_file():
        return None
    return re.search(rf"^{INI_FILES[name]}[^\n]*$", Path(name).read_text("utf-8"), re.MULTILINE)


def _ignored() -> str:
    file, line = Path(".gitignore"), ".rag-evals/"
    text = file.read_text("utf-8") if file.exists() else ""
    if line in text.splitlines():
        return ".gitignore: has .rag-evals/ already"
    gap = "" if not text or text.endswith("\n") else "\n"
    file.write_text(f"{text}{gap}{line}\n", encoding="utf-8")
    return ".gitignore: .rag-evals/ added, the folder of runs and caches"


def add_run(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `run`: all of them are pytest's."""
    _add_arguments(parser, _run)


def _run(options: argparse.Namespace) -> int:
    """Run the bundled suite with the configuration and the fixtures of this folder."""
    return _pytest("--pyargs", "rag_evals.evals.test_answers", *options.arguments)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plan`: all of them are pytest's."""
    _add_arguments(parser, _plan)


def _plan(options: argparse.Namespace) -> int:
    quiet = ("-p", "no:terminal", "-p", "no:cacheprovider")
    status = _pytest(*options.arguments, "--evals-plan", *quiet)
    if status in (TESTS_COLLECTED_NONE, INTERRUPTED):
        raise UsageError(
            "there is nothing to plan: name the tests as for pytest, such as `rag-evals plan evals`; "
            "`pytest --collect-only` says what can be collected"
        )
    return status


def add_continue(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `continue`."""
    parser.add_argument("run_name", metavar="RUN", help="a run's id, its folder, or latest")
    parser.add_argument(
        "--as-recorded",
        action="store_true",
        help="call pytest as the records say although they were not written in this folder",
    )
    add_home(parser)
    parser.set_defaults(run=_continue)


def _continue(options: argparse.Namespace) -> int:
    """Call pytest as the run's session was called; it makes what is missing and writes to the same run."""
    folder = find_run(options.run_name, options.home).resolve()
    run = read_run(folder)
    check_interrupted(run)
    args, directory = run.header.line.get("args"), run.header.line.get("directory")
    as_module = bool(run.header.line.get("as_module"))
    if is_being_written(folder / RECORDS):
        raise UsageError(f"run {run.name} goes on: its session has not ended")
    if args is None or directory is None:
        raise UsageError(f"run {run.name} does not say how pytest was called: begin a new run")
    goes_on = ["--evals-continue", folder.name]
    called = ["python", "-m", "pytest"] if as_module else ["pytest"]
    shown = printable(shlex.join([*called, *args, *goes_on]))
    if any(MASK in arg for arg in args):
        raise UsageError(
            f"run {run.name} was called with a secret, which is not recorded: call `{shown}` with it"
        )
    if not (options.as_recorded or is_written_here(folder, options.home)):
        raise UsageError(
            f"run {run.name} was not written in {options.home / 'runs'}, and its records say what to call: "
            f"`{shown}`. Call that yourself, or give --as-recorded if you trust them"
        )
    place = (folder / directory).resolve()
    print(f"{printable(display_path(place))}: {shown}", flush=True)
    try:
        return _pytest(*args, *goes_on, directory=place, as_module=as_module)
    except OSError as error:
        raise UsageError(f"{printable(str(place))} is no folder to go on in: {error.strerror}") from error


def _add_arguments(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="PYTEST_ARGUMENT")
    parser.set_defaults(run=run)


def _pytest(*arguments: str, directory: Path | None = None, as_module: bool = False) -> int:
    """Run pytest in a process of its own, as it wants to be the first to import the plugin.

    Args:
        arguments: Of pytest.
        directory: Where; None for this folder.
        as_module: Whether that folder is to be on Python's path, as `python -m pytest` puts it there.
    """
    given = [argument for argument in arguments if argument != "--"]
    path = [str(directory or Path.cwd())] if as_module else []
    path += filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *given],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)} if as_module else None,
    ).returncode


def add_docs(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `docs`."""
    parser.add_argument("path", type=Path, metavar="PATH", help="a document or a folder of documents")
    add_reading(parser)
    add_home(parser, "the cache, which keeps the text of documents if there is one")
    parser.set_defaults(run=_docs)


def _docs(options: argparse.Namespace) -> int:
    """Show each document with its pages, its characters and what of it was not read."""
    corpus = cached_corpus(options.path, options.home, options.ocr, follow_links=options.follow_links)
    rows = [
        (printable(one.name), f"{len(one.page_starts):,}" if one.page_starts else "", f"{len(one.text):,}")
        for one in corpus.documents
    ]
    lines = aligned([("document", "pages", "characters"), *rows])
    print(lines[0])
    for line, document in zip(lines[1:], corpus.documents, strict=True):
        print(line)
        for remark in corpus.remarks:
            if remark.document == document.name:
                print(f"  {replace(remark, document='')}")
    for line in remark_lines(corpus.unreadable, [remark for remark in corpus.remarks if not remark.document]):
        print(line)
    return 0


def add_ask(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `ask`."""
    parser.add_argument("questions", nargs="+", metavar="QUESTION")
    parser.add_argument("--docs", type=Path, help="a document or a folder of documents; not for a service")
    parser.add_argument(
        "--pipeline", default="auto_merging", help="name of a pipeline (default: auto_merging)"
    )
    parser.add_argument("--config", type=Path, help="TOML file of pipelines in place of the bundled one")
    parser.add_argument("--model", help="language model in place of the pipeline's own: name, path or URL")
    add_reading(parser)
    add_offline(parser)
    add_home(parser, "indexes")
    parser.set_defaults(run=_ask)


def _ask(options: argparse.Namespace) -> int:
    if options.offline:
        forbid_connections()
    pipeline = _asked_pipeline(options)
    print(printable(pipeline.description))
    for question in options.questions:
        print()
        print("\n".join(_answer_lines(question, pipeline)))
    return 0


def _asked_pipeline(options: argparse.Namespace) -> RetrievalPipeline | Service:
    """Return the pipeline that is to be asked.

    Raises:
        UsageError: It answers from documents, and none are named.
    """
    resources = Resources(offline=options.offline)
    if service := load_services(options.config).get(options.pipeline):
        return resources.service(service)
    config = config_for(options.pipeline, path=options.config, model=options.model)
    if options.docs is None:
        raise UsageError(f"the pipeline {options.pipeline!r} answers from documents: give --docs PATH")
    corpus = read_corpus(options.docs, options.home, options.ocr, follow_links=options.follow_links)
    return build_pipeline(config, corpus, resources, options.home.absolute() / "indexes")


def _answer_lines(question: str, pipeline: RetrievalPipeline | Service) -> list[str]:
    answer = pipeline.answer_now(question)
    lines = [f"Q: {question}", f"A: {answer.text}", *_context_lines(answer.contexts), _cost_line(answer)]
    return [printable(" ".join(line.split()) if n < 2 else line) for n, line in enumerate(lines)]


def _context_lines(contexts: Sequence[Context]) -> list[str]:
    return [
        f"   {n}. {_place(context)}{context.score or 0:.2f}  {' '.join(context.text.split())[:70]}…"
        for n, context in enumerate(contexts, 1)
    ]


def _place(context: Context) -> str:
    """Return where a passage stands, as far as it is known, with a blank behind."""
    page = f"p.{context.pages}" if context.pages else ""
    span = "" if context.start is None else f"[{context.start}:{context.end}]"
    return "".join(f"{part} " for part in (context.document, page, span) if part)


def _cost_line(answer: Answer) -> str:
    seconds = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in answer.seconds.items())
    tokens = answer.total
    left_out = f"; {answer.omitted} passages left out for the token budget" if answer.omitted else ""
    return (
        f"   {seconds}; tokens: {tokens.evaluated:,} evaluated, {tokens.reused:,} reused, "
        f"{tokens.generated:,} generated{left_out}"
    )
