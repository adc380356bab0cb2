"""Small valid files of every kind that is read, to begin from."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from rag_evals.evals.engine.cache import Cache, Maker
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.evals.runs.trace_lines import span_to_json
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.tracing.spans import TraceSpan

ROOT = Path(__file__).parents[2]

QUESTIONS: list[Any] = [
    {
        "id": "one",
        "question": "What is 1?",
        "reference": "One.",
        "tags": ["a"],
        "thresholds": {"relevancy": 0.4},
    },
    {
        "id": "two",
        "question": "What is 2?",
        "sources": [
            {"document": "a.md", "page": 1, "start": 0, "end": 4, "quote": "Two."},
            {"document": "b.md", "relevance": 0.5, "any_of": "x"},
        ],
        "provenance": {"origin": "curated"},
    },
    {"id": "none", "question": "Why?", "answerable": False},
]
MANIFEST: Any = {
    "type": "question-set",
    "schema": 1,
    "digest": "e" * 64,
    "count": 2,
    "curated": 1,
    "kinds": {"fact": 1},
    "corpus": {"sha256": "c" * 64, "documents": {"a.md": "d" * 64}, "remarks": ["lost"]},
    "generator": {"llm": "m", "seed": 1, "mix": {"fact": 1.0}},
    "created_with": "0.1.0",
    "questions": {"one": "a" * 64, "two": "b" * 64},
}
LABELS: list[Any] = [
    {"id": "a", "question": "Q?", "contexts": ["It is 8."], "answer": "8", "faithful": 1, "relevant": 1},
    {
        "id": "b",
        "question": "Q?",
        "contexts": [{"text": "It is 8.", "page": 2}],
        "answer": "9",
        "faithful": 0,
    },
]
PEOPLE: list[Any] = [
    {
        **LABELS[0],
        "labeller": "Ann",
        "time": "2026-11-30T10:00:00.000Z",
        "history": [{"role": "user", "content": "Before?"}],
        **{"run": "r", "draw": "d", "pipeline": "p", "question_id": "q"},
        "weights": {"faithful": 2.5, "relevant": 1},
    },
    {**LABELS[1], "labeller": "Ben", "faithful": None, "unsure": ["faithful"], "useful": [1]},
]
RAGTRUTH: list[Any] = [
    {**LABELS[0], "faithful": 0, "spans": [[0, 1, "kind"]], "source": "s"},
    {
        "id": "c",
        "source_id": "s",
        "response": "It is 8.",
        "labels": [{"start": 0, "end": 2}],
        "quality": "good",
    },
]
MTRAG: list[Any] = [{**LABELS[0], "history": [["user", "Q?"], ["agent", "A."]], "faithfulness": [4, 2]}]
EVALUATIONS: Any = {
    "documents": [{"document_id": "d", "text": "It is 8."}],
    "tasks": [
        {
            "task_id": "t<::>1",
            "input": [{"speaker": "user", "text": "Q?"}],
            "contexts": [{"document_id": "d"}],
        }
    ],
    "evaluations": [
        {
            "task_id": "t<::>1",
            "model_id": "m",
            "model_response": "8",
            "annotations": {"faithfulness": {"a": {"value": 3}}},
        }
    ],
}
TABLE = b'id,question,reference,tags\none,What is 1?,One.,a\ntwo,"What, is 2?",\'=2,\n'
RAGAS: list[Any] = [
    {"user_input": "Q?", "reference": "R.", "reference_contexts": ["C."], "synthesizer_name": "s"}
]
DEEPEVAL: list[Any] = [
    {"input": "Q?", "expected_output": "R.", "context": ["C."], "additional_metadata": {"a": 1}}
]
LLAMAINDEX: Any = {
    "queries": {"q": "Q?"},
    "corpus": {"n": "C."},
    "relevant_docs": {"q": ["n"]},
    "mode": "text",
}
SQUAD: Any = {
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": "C is 1.",
                    "qas": [{"id": "1", "question": "C?", "answers": [{"text": "1", "answer_start": 5}]}],
                }
            ],
        }
    ]
}
LOG_TABLE = (
    b"id,timestamp,sessionId,user_input,retrieved_contexts,response,input,output\n"
    b'1,2026-03-01 12:00:00,s,Q?,"[\'C.\', \'D.\']",R.,"{""question"": ""Q?""}",R.\n'
)
YAML = b"""# questions
- &a
  id: one
  question: |
    What is 1?
  tags: [a, "b"]
- {id: two, question: 'What is 2?', thresholds: {relevancy: .4}}
"""
QRELS = b"q1 0 a.md 1\nq2 0 b.md 2\nq1\t0\tc.md\t0\nq2 Q0 a.md -1\n"
QUERIES = b"q1\tHow many?\nq2\tWhich?\n"
TREC_RUN = b"q1 Q0 a.md 1 0.9 mine\nq1 Q0 b.md 2 1e-3 mine\nq2 Q0 a.md 1 -2 mine\n"
POOL = [
    {"question_id": "q", "question": "How many?", "relevance": relevance, "passage": "Two of them."}
    | {"document": "a.md", "page": 1, "start": 5, "end": 17, "found": {"baseline": 2}, "any_of": "x"}
    for relevance in (None, 0, 1.5)
]
TOML = (ROOT / "rag" / "pipelines.toml").read_bytes()
PRICES = (ROOT / "rag" / "llm" / "prices.toml").read_bytes()[:2000]
CARD: Any = json.loads(
    (ROOT / "evals" / "judges" / "cards" / "smollm2-135m-instruct.json").read_text("utf-8")
)

MESSAGE: Any = {
    "id": "1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "<think>a</think>Yes.", "refusal": None},
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "Yes", "logprob": -0.1}]},
                ]
            },
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
}
REFUSAL: Any = {"error": {"message": "Rate limit; try again in 1.5s", "type": "requests", "code": "429"}}
EVENTS: Any = [
    {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Ye"}}]},
    {"id": "1", "choices": [{"index": 0, "delta": {"content": "s"}, "finish_reason": "stop"}]},
    {"id": "1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
]

HTML = (
    b"<!DOCTYPE html><html><head><meta charset=utf-8><title>T</title></head><body><h1>Title</h1><p>It is "
    b"<b>8</b><sup>2</sup>.</p><table><tr><th>a<td>b</table><ul><li>x<li>y</ul><math><mi>x</mi></math>"
    b"<p hidden>no</p><img alt='An image'><details><summary>s</summary>d</details></body></html>"
)
TEXT = "Größe: 8 metres. It is a text of two sentences.\n\nAnother paragraph — with a dash.\n".encode()


def evaluation() -> Evaluation:
    """Return one with something in every field."""
    context = Context("It is 8.", "a.md", page=1, start=0, end=8, score=0.5)
    claims = (ClaimScore("It is 8.", 0.9, 0, 8, context), ClaimScore("x", None, reason="no verdict"))
    return Evaluation(
        question=Question("one", "What is 1?", "One.", (Source("a.md", page=1, start=0, end=4),), ("a",)),
        pipeline="baseline",
        answer=Answer("It is 8.", (context,), {"generate": 0.1}, {"generate": Tokens(1, 2, 3)}),
        scores=(
            Score("faithfulness", 0.9, least=0.9, mean=0.9, claims=claims, evidence="e", repeats=(0.5, None)),
            Score("relevancy", None, reason="the server said no"),
        ),
        thresholds={"faithfulness": 0.5},
        seconds={"generate": 0.1},
        tokens={"generate": Tokens(1, 2, 3)},
        usd=0.1,
        test="test_it.py::test_answer[baseline-one]",
        keys={"answer": "a", "scores": "b"},
    )


@cache
def records() -> list[Any]:
    """Return the lines of a run."""
    with tempfile.TemporaryDirectory() as home:
        folder = RunFolder(Path(home))
        folder.run_id = "20260101-000000-aaaaaa"  # the same bytes each time
        folder.path = Path(home) / "runs" / folder.run_id
        folder.start(
            {"mode": "strict", "metrics": ["faithfulness"], "thresholds": {}, "gate": [], "git": None}
        )
        about = {
            "type": "pipeline",
            "name": "baseline",
            "fingerprint": "f",
            "settings": {"a": 1},
            "identity": {"a": 1},
        }
        for line in (about, {**about, "type": "judge"}, evaluation_to_json(evaluation())):
            folder.append(json.dumps(line))
        folder.finish({"seconds": 1.0})
        return [json.loads(line) for line in (folder.path / "records.jsonl").read_text().splitlines()]


@cache
def spans() -> list[Any]:
    """Return the lines of the traces of one evaluation."""
    ids = {"evals.pipeline": "baseline", "evals.question_id": "one", "evals.repeat": 0}
    root = TraceSpan("a" * 32, "b" * 16, None, "evaluation", "CHAIN", 1, 9, ids)
    child = TraceSpan("a" * 32, "c" * 16, "b" * 16, "answer", "LLM", 2, 8, {"a": 1}, error="e")
    return [span_to_json(child), span_to_json(root)]


@cache
def database() -> bytes:
    """Return the file of a cache with three items."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "cache.sqlite"
        cache_ = Cache(file, clock=lambda: 1e9)
        cache_.keep(
            "answer",
            {"k": b'{"text": "a"}', "l": b"[]"},
            subject="one",
            maker=Maker("f", "baseline", {"a": 1}),
        )
        cache_.keep("scores", {"m": b"{}"}, subject="one")
        cache_.close()
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        connection.close()
        return file.read_bytes()


@cache
def pdf() -> bytes:
    """Return a PDF of two pages, small and not compressed."""
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=True)
    for page in ("It is 8 metres long.", "The second page."):
        canvas.drawString(72, 720, page)
        canvas.drawString(72, 700, "Another line of the page.")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _namespaced(path: str) -> str:
    return f"http://schemas.openxmlformats.org/{path}"


@cache
def docx() -> dict[str, bytes]:
    """Return the parts of a DOCX of a paragraph and a table."""
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    word = _namespaced("wordprocessingml/2006/main")
    cell = "<w:tc><w:p><w:r><w:t>40 bar</w:t></w:r></w:p></w:tc>"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_namespaced("package/2006/content-types")}"><Override '
        f'PartName="/word/document.xml" ContentType="{kind}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_namespaced("package/2006/relationships")}"><Relationship '
        f'Id="r1" Type="{_namespaced("officeDocument/2006/relationships")}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>It is 8.</w:t></w:r></w:p>'
        f"<w:tbl><w:tr>{cell}{cell}</w:tr></w:tbl></w:body></w:document>",
    }
    return {name: text.encode() for name, text in parts.items()}


@cache
def epub() -> dict[str, bytes]:
    """Return the parts of an EPUB of two chapters."""
    page = (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><p>It is 8.</p></body></html>'
    )
    parts = {
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="one" '
        'href="a.xhtml"/><item id="two" href="b.xhtml"/></manifest><spine><itemref idref="one"/>'
        '<itemref idref="two"/></spine>'
        "</package>",
        "OPS/a.xhtml": page,
        "OPS/b.xhtml": page,
    }
    return {name: text.encode() for name, text in parts.items()}


@cache
def pptx() -> dict[str, bytes]:
    """Return the parts of a presentation of a slide with a title, a table and notes."""
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Pump"
    slide.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table.cell(0, 0).text = "40 bar"
    slide.notes_slide.notes_text_frame.text = "Say it twice."
    out = io.BytesIO()
    presentation.save(out)
    with zipfile.ZipFile(out) as file:
        # Layouts and pictures of the template are not what is read.
        return {name: file.read(name) for name in file.namelist()}


def archive(parts: dict[str, bytes]) -> bytes:
    """Return a zip of these files, not compressed, so that what is in it can be changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in parts.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


CITING = (
    "Sure! Eight experts [1], two of them[2, 3].[1-2] See [moe.pdf p.3]; x[1] = [0, 1], in [2023].\n"
    "- Words\u00b9\u00b2 (Source: intro.md, page 3) and a note[^n] \u30101\u2020source\u3011 [2](http://a.example).\n\n"
    "```\na [1]\n```\n[^n]: moe.pdf, p. 3\n\nSources:\n[1] moe.pdf p.3\n2. Jiang, 2024\n"
).encode()
CITATIONS = [
    {"start": 0, "end": 5, "contexts": [0, 7], "mark": "[1]"},
    {"document": "moe.pdf", "page": 3, "page_end": 4},
    {"start": 900, "end": 10},
]


def logs(suffix: str) -> list[Any]:
    """Return the logs of other tools, in JSON or as lists of what JSON Lines hold."""
    folder = ROOT / "tests" / "unit" / "answers" / "formats" / "data"
    texts = [file.read_text("utf-8") for file in sorted(folder.rglob(f"*{suffix}"))]
    assert texts
    if suffix == ".json":
        return [json.loads(text) for text in texts]
    return [[json.loads(line) for line in text.splitlines()] for text in texts]
