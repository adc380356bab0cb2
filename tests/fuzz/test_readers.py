"""Every reader, on files that damage and malice have changed: it returns, or plainly says what is wrong.

Each example may take a few seconds of computing, and nothing but the project's own errors may come out. In CI
the same few examples are tried each time; `make fuzz` tries others for FUZZ_MINUTES. A finding gets a test of
its own beside those of its reader.
"""

from __future__ import annotations

import os
import random
import re
import time
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from rag_evals.evals.answers.formats import FORMATS as ANSWER_FORMATS
from rag_evals.evals.answers.formats.conversion import format_of as answer_format_of
from rag_evals.evals.answers.formats.conversion import import_answers
from rag_evals.evals.answers.lines import read_log
from rag_evals.evals.answers.masking import parse_mask
from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.judges.calibration.judge_card import load_card
from rag_evals.evals.judges.calibration.labels.agreement import agreements
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.calibration.labels.people import read_people
from rag_evals.evals.judges.calibration.labels.sets import load_sets
from rag_evals.evals.judges.citations import read_citations
from rag_evals.evals.judges.citations.reading import CitationReader
from rag_evals.evals.judges.claims import Claim, read_claims
from rag_evals.evals.judges.judge import RawScore
from rag_evals.evals.judges.metrics import BUNDLED
from rag_evals.evals.plugin.session.option import Given
from rag_evals.evals.plugin.session.option_values import option_value
from rag_evals.evals.plugin.session.options import OPTIONS
from rag_evals.evals.questions.entries import Fault
from rag_evals.evals.questions.formats import FORMATS, format_named
from rag_evals.evals.questions.formats.conversion import format_of, import_set
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question_set import load_set
from rag_evals.evals.reports.dataframe import to_csv
from rag_evals.evals.reports.markdown import run_markdown
from rag_evals.evals.retrieval.pool import read_labels
from rag_evals.evals.retrieval.trec_run import read_trec_run
from rag_evals.evals.runs.lines.fields import citation
from rag_evals.evals.runs.run import read_run
from rag_evals.evals.runs.score import citation_from_json
from rag_evals.evals.runs.trace_lines import load_traces
from rag_evals.evals.trackers.messages import messages_in
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.config import load_configs
from rag_evals.rag.documents.read import read_documents
from rag_evals.rag.errors import RagError
from rag_evals.rag.llm.http.limits import told_pause
from rag_evals.rag.llm.prices import load_prices
from rag_evals.rag.llm.remote.bodies import parsed_body
from rag_evals.rag.llm.remote.failures import failure_in
from rag_evals.rag.llm.remote.replies import graded_choice, object_or_empty, option_said, parsed_reply

from tests.fuzz import seeds
from tests.fuzz.mutation import as_events, as_json, as_lines, mutated_bytes, mutated_json

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
SECONDS = float(os.environ.get("FUZZ_MINUTES", "0")) * 60
# What a small file may take to be read, in seconds of computing.
MOST_SECONDS = 5.0
# What an error may be longer than when it lists what is wrong.
_LONGEST_LINE = 20_000


@dataclass(frozen=True)
class Target:
    """A reader, and the files that it is tried with.

    Attributes:
        inputs: Gives the content of a file, or whatever else is read.
        read: Reads it, given the folder of the example.
        errors: What may come out beside the errors of the project, as the reader's own text has it.
    """

    inputs: st.SearchStrategy[Any]
    read: Callable[[Path, Any], object]
    errors: tuple[type[Exception], ...] = ()


def of_file(name: str, read: Callable[[Path], object], inputs: st.SearchStrategy[bytes]) -> Target:
    """Return the target of a reader of one file."""

    def written(folder: Path, data: bytes) -> object:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return read(file)

    return Target(inputs, written)


def json_or_bytes(values: Sequence[Any], write: Callable[[Any], bytes]) -> st.SearchStrategy[bytes]:
    """Give values that were changed, written out, or the file of such a value with its bytes changed."""
    return st.one_of(mutated_json(values).map(write), mutated_bytes([write(value) for value in values]))


@st.composite
def archives(draw: Any, parts: Callable[[], dict[str, bytes]]) -> bytes:
    """Give an archive with the bytes of a part changed, or its own."""
    files = dict(parts())
    read = [name for name in files if not name.startswith(("docProps", "ppt/slideLayouts", "ppt/theme"))]
    for name in draw(st.lists(st.sampled_from(read), max_size=2)):
        files[name] = draw(mutated_bytes([files[name]]))
    data = seeds.archive(files)
    return draw(mutated_bytes([data])) if draw(st.integers(0, 3)) == 0 else data


def _imported(path: Path) -> object:
    return import_set(path, format_of(path))


def _as_each(path: Path) -> None:
    for form in FORMATS:
        if path.suffix in form.suffixes:
            try:
                import_set(path, form, skip_bad=True)
            except EvalsError:
                continue


_MASK = parse_mask(["secrets,emails,phones", "re:[0-9]+"], "--mask")


def _log(path: Path) -> None:
    """Import a file by its content, and as every format; what is written is a log without a fault."""
    try:
        forms = [answer_format_of(path), *ANSWER_FORMATS]
    except EvalsError as error:
        check_message(str(error))
        forms = list(ANSWER_FORMATS)
    for form in forms:
        output = path.with_name("out.jsonl")
        try:
            found = import_answers(path, form, output, _MASK)
        except EvalsError as error:
            check_message(str(error))
            continue
        for line in found.lines():
            check_message(line)
        read = list(read_log(output))
        assert len(read) == found.count
        assert [line.value for line in read if isinstance(line.value, Fault)] == []


def _run(path: Path) -> None:
    run = read_run(path)
    run_markdown(run)
    to_csv(run)


def _strict_run(path: Path) -> None:
    list(read_run(path, strict=True).evaluations)


def _cache(path: Path) -> None:
    with closing(Cache(path)) as cache:
        cache.recall("answer", ["k", "l"])
        cache.recent("answer", "baseline")
        cache.entries("one")
        cache.entries()
        cache.keep("answer", {"n": b"1"}, subject="one")
        assert cache.size >= 0
        cache.verify()
        cache.prune(unused_since=0.0)


def _reply(_: Path, data: bytes) -> None:
    failure_in(data)
    told_pause({}, data.decode(errors="replace"))
    table = object_or_empty(parsed_body(data))
    for choice in table.get("choices") or [] if isinstance(table.get("choices"), list) else []:
        reply = parsed_reply(object_or_empty(choice), object_or_empty(table.get("usage")))
        chosen = graded_choice(reply, ("yes", "no"))
        assert all(0.0 <= mass <= 1.0 for mass in chosen.probabilities.values())
        option_said(reply, ("yes", "no"))


def _cited(_: Path, given: tuple[bytes, bytes]) -> None:
    """Read the citations of an answer, and whatever a service told of them."""
    text, told = given
    try:
        lines = [parse_json(line) for line in told.splitlines()]
        for line in lines:
            citation(line)
    except ValueError:
        lines = []  # what has another form is no citation
    contexts = (Context("Eight.", "moe.pdf", 3), Context("Two.", "intro.md"))
    answer = Answer(text.decode(errors="replace"), contexts, citations=tuple(map(citation_from_json, lines)))
    for one in (answer, replace(answer, citations=())):
        cited = read_citations(one)
        assert len(cited.text) == len(one.text)
        reader = CitationReader(one, cited, read_claims(cited.text).claims, _held)
        assert all(item.value in (0.0, 0.5) for read in (reader.precision, reader.recall) for item in read())


def _held(claims: Sequence[Claim], _: Sequence[Context]) -> list[RawScore]:
    return [RawScore(claim.span.text, 0.5, start=claim.span.start, end=claim.span.end) for claim in claims]


def _options(folder: Path, given: tuple[int, str]) -> None:
    option = OPTIONS[given[0]]
    value: Any = given[1]
    if isinstance(option.default, bool):
        value = bool(value)
    elif not isinstance(option.default, str):
        value = value.splitlines()
    option_value(option.kind, Given(option.ini, value, folder), BUNDLED)


OPTION_TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *(
                "1",
                "0",
                "-1",
                "1e999",
                "nan",
                "\u0663",
                "1_000",
                "9" * 5000,
                "0x10",
                "1/2",
                "0/0",
                "3/2",
                "\u0661/\u0662",
            ),
            *("faithfulness=0.5", "faithfulness=nan", "a=b=c", "=", "pass_rate >= 0.9", "pass_rate >= 1e999"),
            *(
                "faithfulness.mean[tag=a] >= 0.5",
                "(" * 500,
                "a\x00b",
                "\ud800",
                "~nobody/x",
                "answers",
                "wandb",
            ),
            *(
                "http://[",
                "http://a:99999/",
                "http://u:p@h/",
                "gate",
                "report",
                "a/b/c",
                "..",
                "*" * 300,
                "[" * 300,
            ),
        ]
    ),
)
TOML = st.one_of(
    mutated_bytes([seeds.TOML, seeds.TOML[:1500]]),
    st.builds(
        lambda key, value: b"[baseline.retrieval]\n" + key + b" = " + value + b"\n",
        st.sampled_from([b"top_k", b'"a.b"', b"llm", b"llm.model", b"chunk_tokens", b"\xff"]),
        st.sampled_from(
            [b"1", b"-1", b"nan", b"inf", b"1979-05-27", b"[1]", b"{a=1}", b'""', b"9" * 400, b"0x1F"]
        ),
    ),
)
# With their checksums a change is found at once; without, as in runs of before, the fields are read.
RECORDS = json_or_bytes(
    [seeds.records(), [{k: v for k, v in line.items() if k != "sum"} for line in seeds.records()]], as_lines
)
TARGETS: Mapping[str, Target] = {
    "questions.jsonl": of_file(
        "q.jsonl", lambda file: load_questions([file]), json_or_bytes([seeds.QUESTIONS], as_lines)
    ),
    "questions.json": of_file(
        "q.json", lambda file: load_questions([file]), json_or_bytes([seeds.QUESTIONS], as_json)
    ),
    "questions.yaml": of_file(
        "q.yaml",
        lambda file: load_questions([file]),
        st.one_of(mutated_bytes([seeds.YAML]), json_or_bytes([seeds.QUESTIONS], as_json)),
    ),
    "questions.txt": of_file(
        "q.txt", lambda file: load_questions([file]), mutated_bytes([b"What is 1?\n\n# no\nWhat is 2?\n"])
    ),
    "manifest": of_file(
        "q.manifest.json",
        lambda file: (
            file.with_name("q.jsonl").write_bytes(as_lines(seeds.QUESTIONS)),
            load_set(file.with_name("q.jsonl")),
        ),
        json_or_bytes([seeds.MANIFEST], as_json),
    ),
    "imported.csv": of_file("q.csv", _imported, mutated_bytes([seeds.TABLE])),
    "imported.tsv": of_file("q.tsv", _imported, mutated_bytes([seeds.TABLE.replace(b",", b"\t")])),
    "imported.json": of_file(
        "q.json",
        _imported,
        json_or_bytes([seeds.LLAMAINDEX, seeds.SQUAD, seeds.RAGAS, seeds.DEEPEVAL], as_json),
    ),
    "imported.jsonl": of_file(
        "q.jsonl", _imported, json_or_bytes([seeds.RAGAS, seeds.DEEPEVAL, seeds.LABELS], as_lines)
    ),
    "imported as anything": of_file(
        "q.json",
        _as_each,
        json_or_bytes([seeds.LLAMAINDEX, seeds.SQUAD, seeds.RAGAS, seeds.DEEPEVAL], as_json),
    ),
    "logs of tools.json": of_file("l.json", _log, json_or_bytes(seeds.logs(".json"), as_json)),
    "logs of tools.jsonl": of_file("l.jsonl", _log, json_or_bytes(seeds.logs(".jsonl"), as_lines)),
    "logs of tools.csv": of_file("l.csv", _log, mutated_bytes([seeds.LOG_TABLE])),
    "judgements": of_file(
        "j.qrels",
        lambda file: (
            file.with_name("queries.tsv").write_bytes(seeds.QUERIES),
            import_set(file, format_named("trec-qrels")),
        ),
        mutated_bytes([seeds.QRELS]),
    ),
    "queries": of_file(
        "queries.tsv",
        lambda file: (
            file.with_name("j.qrels").write_bytes(seeds.QRELS),
            import_set(file.with_name("j.qrels"), format_named("trec-qrels")),
        ),
        mutated_bytes([seeds.QUERIES]),
    ),
    "what was found": of_file("r.run", read_trec_run, mutated_bytes([seeds.TREC_RUN])),
    "pool": of_file("p.jsonl", read_labels, json_or_bytes([seeds.POOL], as_lines)),
    "labels": of_file("l.jsonl", load_labels, json_or_bytes([seeds.LABELS], as_lines)),
    "people": of_file(
        "l.jsonl",
        lambda file: agreements(read_people([file]), ()),
        json_or_bytes([seeds.PEOPLE], as_lines),
    ),
    "ragtruth": of_file(
        "l.jsonl", lambda file: load_sets([f"ragtruth:{file}"]), json_or_bytes([seeds.RAGTRUTH], as_lines)
    ),
    "mtrag.jsonl": of_file(
        "l.jsonl", lambda file: load_sets([f"mtrag:{file}"]), json_or_bytes([seeds.MTRAG], as_lines)
    ),
    "mtrag.json": of_file(
        "l.json", lambda file: load_sets([f"mtrag:{file}"]), json_or_bytes([seeds.EVALUATIONS], as_json)
    ),
    "card": of_file("c.json", load_card, json_or_bytes([seeds.CARD], as_json)),
    "pipelines.toml": of_file("p.toml", load_configs, TOML),
    "prices.toml": of_file("p.toml", load_prices, mutated_bytes([seeds.PRICES])),
    "records": of_file("run/records.jsonl", lambda file: _run(file.parent), RECORDS),
    "records, strictly": of_file("run/records.jsonl", lambda file: _strict_run(file.parent), RECORDS),
    "baseline": of_file("main.jsonl", _run, RECORDS),
    "traces": of_file(
        "traces.jsonl", lambda file: load_traces(file.parent), json_or_bytes([seeds.spans()], as_lines)
    ),
    "document.pdf": of_file("a.pdf", read_documents, mutated_bytes([seeds.pdf()])),
    "document.html": of_file("a.html", read_documents, mutated_bytes([seeds.HTML])),
    "document.xhtml": of_file("a.xhtml", read_documents, mutated_bytes([seeds.epub()["OPS/a.xhtml"]])),
    "document.docx": of_file("a.docx", read_documents, archives(seeds.docx)),
    "document.epub": of_file("a.epub", read_documents, archives(seeds.epub)),
    "document.pptx": of_file("a.pptx", read_documents, archives(seeds.pptx)),
    "document.txt": of_file(
        "a.txt",
        read_documents,
        mutated_bytes(
            [
                seeds.TEXT,
                seeds.TEXT.decode().encode("utf-16"),
                seeds.TEXT.decode().encode("cp1252", "replace"),
            ]
        ),
    ),
    "reply": Target(json_or_bytes([seeds.MESSAGE, seeds.REFUSAL], as_json), _reply, (ValueError,)),
    "stream": Target(json_or_bytes([seeds.EVENTS], as_events), _reply, (ValueError,)),
    "citations": Target(
        st.tuples(mutated_bytes([seeds.CITING]), json_or_bytes([seeds.CITATIONS], as_lines)),
        _cited,
    ),
    "cache": of_file("cache.sqlite", _cache, mutated_bytes([seeds.database()])),
    "messages of a tracker": Target(
        json_or_bytes([[{"rows": 1}, {"said": "a"}, {"done": True}]], as_lines),
        lambda _, data: messages_in(data),
    ),
    "options": Target(st.tuples(st.integers(0, len(OPTIONS) - 1), OPTION_TEXTS), _options),
}


@pytest.mark.parametrize("name", TARGETS)
def test_reader(name, tmp_path):
    """Examples that are the same each time; with FUZZ_MINUTES others, for each reader its share of them."""
    target = TARGETS[name]
    hypothesis.seed(0)(_trial(target, tmp_path))()
    end = time.monotonic() + SECONDS / len(TARGETS)
    while time.monotonic() < end:
        hypothesis.seed(random.getrandbits(64))(_trial(target, tmp_path))()


def _trial(target: Target, folder: Path) -> Callable[[], None]:
    number = 0

    @hypothesis.settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    @given(target.inputs)
    def holds(given: Any) -> None:
        nonlocal number
        number += 1
        here = folder / str(number % 4)
        here.mkdir(exist_ok=True)
        _try(target, here, given)

    return holds


def _try(target: Target, folder: Path, given: Any) -> None:
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target.read(folder, given)
        except (EvalsError, RagError) as error:
            check_message(str(error))
        except target.errors:
            pass
    assert time.process_time() - began < MOST_SECONDS


def check_message(text: str) -> None:
    """See that every line of an error can be shown: nothing in it drives a terminal or a CI runner."""
    assert text.strip()
    for line in text.split("\n"):
        assert len(line) <= _LONGEST_LINE
        assert not re.search(r"##\w*\[|^\s*::(?:error|set-output|add-path)", line), line
        hidden = [sign for sign in line if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert hidden == [], line
