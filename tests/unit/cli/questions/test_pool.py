"""`rag-evals questions pool`: unjudged passages out of records, and their labels into the questions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.cli.main import main, parser_for
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.question import Question, Source, question_to_json, to_line
from rag_evals.evals.retrieval.scores import retrieval_scores
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical

HOW_MANY = Question(
    "how-many",
    "How many?",
    sources=(Source("a.md", start=0, end=20, quote="Two experts process."),),
    provenance={"origin": "generated", "edited": False},
)
WHY = Question("why", "Why?", sources=(Source("a.md", start=50, end=60),))
PRICE = Question("price", "What does it cost?", answerable=False)


def passage(document: str, start: int, text: str, page: int | None = None) -> Context:
    return Context(text, document, page, start, start + len(text))


GOLD = passage("a.md", 0, "Two experts process.")
ALSO = passage("b.pdf", 7, "Each token goes to two of them.", 3)
OTHER = passage("c.md", 0, "Something else.")
LOOSE = Context("A passage of no known place.", "d.md")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Two runs: one with two pipelines, one with another form of the first of them."""
    monkeypatch.chdir(tmp_path)
    Path("q.jsonl").write_text("".join(f"{to_line(question_to_json(q))}\n" for q in (HOW_MANY, WHY, PRICE)))
    stored("one", ("baseline", HOW_MANY, [OTHER, GOLD, ALSO]), ("merging", HOW_MANY, [ALSO, LOOSE]))
    stored("two", ("baseline", HOW_MANY, [ALSO]), ("baseline", WHY, []), ("baseline", PRICE, [OTHER]))
    return tmp_path


def stored(name: str, *found) -> None:
    run = RunFolder(Path(".rag-evals"))
    run.start({})
    for pipeline, question, passages in found:
        answer = Answer("x", tuple(passages))
        run.append(canonical(evaluation_to_json(Evaluation(question, pipeline, answer, (), {}))))
    run.finish({})
    run.path.rename(Path(".rag-evals/runs") / name)


def pool(*arguments: str) -> list[dict]:
    assert main(["questions", "pool", *arguments, "--out", "pool.jsonl"]) == 0
    return [json.loads(line) for line in Path("pool.jsonl").read_text("utf-8").splitlines()]


def label(lines: list[dict], **relevance: object) -> None:
    """Write the pool with a relevance for each document that is named."""
    told = [{**line, "relevance": relevance.get(line["document"].partition(".")[0])} for line in lines]
    Path("pool.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in told), "utf-8")


def apply(capsys) -> str:
    capsys.readouterr()
    assert main(["questions", "pool", "--apply", "pool.jsonl", "q.jsonl"]) == 0
    return capsys.readouterr().out


def test_passages_of_several_pipelines(capsys):
    """What most pipelines found, and early, comes first; what a source covers is not there."""
    lines = pool("one", "two")
    assert capsys.readouterr().out == "3 passages of 1 question in pool.jsonl: nobody has judged them\n"
    assert lines[0] == {
        "question_id": "how-many",
        "question": "How many?",
        "relevance": None,
        "passage": "Each token goes to two of them.",
        "document": "b.pdf",
        "page": 3,
        "start": 7,
        "end": 38,
        "found": {"one:baseline": 3, "merging": 1, "two:baseline": 1},
    }
    assert [(line["document"], line["found"]) for line in lines[1:]] == [
        ("c.md", {"one:baseline": 1}),
        ("d.md", {"merging": 2}),
    ]


def test_depth(capsys):
    """Only the first passages of a pipeline are looked at."""
    assert [line["document"] for line in pool("one", "--depth", "1")] == ["c.md", "b.pdf"]


def test_labels_become_sources(capsys):
    """With their relevance; what is not labelled is counted, and all else of the file stays as it was."""
    before = Path("q.jsonl").read_text("utf-8").splitlines()
    label(pool("one", "two"), b=2, c=0)
    assert apply(capsys) == "2 labels, 1 question changed in q.jsonl; 1 not labelled\n"
    _, *others = Path("q.jsonl").read_text("utf-8").splitlines()
    assert others == before[1:]
    (question, *_) = load_questions([Path("q.jsonl")])
    assert question == replace(
        HOW_MANY,
        sources=(
            *HOW_MANY.sources,
            Source("b.pdf", 3, 7, 38, "Each token goes to two of them.", relevance=2.0),
            Source("c.md", None, 0, 15, "Something else.", relevance=0.0),
        ),
        provenance={"origin": "generated", "edited": True},
    )
    unjudged = ["retrieval.unjudged@3"]
    scores = [
        retrieval_scores(q, {"c": [OTHER, GOLD, ALSO]}, unjudged)[0].value for q in (HOW_MANY, question)
    ]
    assert scores == [2 / 3, 0.0]


def test_what_is_labelled_is_not_proposed_again(capsys):
    """By the question file of now; and the same labels once more change nothing."""
    label(pool("one", "two"), b=1, c=0, d=1)
    assert apply(capsys) == "3 labels, 1 question changed in q.jsonl\n"
    after = Path("q.jsonl").read_bytes()
    assert apply(capsys) == "3 labels, 0 questions changed in q.jsonl\n"
    assert Path("q.jsonl").read_bytes() == after
    Path("pool.jsonl").unlink()
    assert pool("one", "two", "--questions", "q.jsonl") == []


def test_a_label_that_was_changed(capsys):
    """The source gets the new one."""
    lines = pool("one", "two")
    label(lines, b=1)
    apply(capsys)
    label([{**line, "any_of": "said twice"} for line in lines], b=3)
    assert apply(capsys) == "1 label, 1 question changed in q.jsonl; 2 not labelled\n"
    source = load_questions([Path("q.jsonl")])[0].sources[-1]
    assert (source.document, source.relevance, source.any_of) == ("b.pdf", 3.0, "said twice")


def refusal(*arguments: str) -> str:
    before = Path("q.jsonl").read_bytes()
    options = parser_for(["questions"]).parse_args(["questions", "pool", *arguments])
    with pytest.raises(EvalsError) as caught:
        options.run(options)
    assert Path("q.jsonl").read_bytes() == before
    return str(caught.value)


def test_wrong_lines_of_a_pool():
    """Each is named, and nothing is changed."""
    lines = pool("one", "two")
    wrong = [
        {**lines[0], "relevance": "yes"},
        {**lines[0], "relevance": -1},
        {**lines[0], "relevance": 1, "document": ""},
        {**lines[0], "relevance": 1, "start": 9, "end": 3},
        {"question_id": "x", "label": 1},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in wrong)
    Path("pool.jsonl").write_text(f"{text}{{\n[]\n", "utf-8")
    assert refusal("--apply", "pool.jsonl", "q.jsonl").split("\n") == [
        "9 problems in a pool:",
        '  pool.jsonl:1: "relevance" is not a number but text ("yes")',
        '  pool.jsonl:2: "relevance" = -1 is below 0',
        '  pool.jsonl:3: no "document" in it, and a source has one: write the name, or leave "relevance" out',
        '  pool.jsonl:4: "end" = 3 is before "start" = 9',
        '  pool.jsonl:5: unknown key "label"; known are question_id, question, relevance, passage, document, '
        "page, start, end, found, any_of",
        '  pool.jsonl:5: missing "passage"',
        '  pool.jsonl:5: missing "question"',
        "  pool.jsonl:6: invalid JSON at column 2: Expecting property name enclosed in double quotes",
        "  pool.jsonl:7: not an object but a list",
    ]


def test_labels_of_other_questions():
    """Of none that is there, of one that was reworded, of one that the documents do not answer."""
    line = pool("one", "two")[0]
    label(
        [
            line,
            {**line, "question_id": "gone"},
            {**line, "question": "How few?"},
            {**line, "question_id": "price", "question": "What does it cost?"},
        ],
        b=1,
    )
    assert refusal("--apply", "pool.jsonl", "q.jsonl").split("\n") == [
        "3 labels fit no question, so nothing was changed:",
        '  pool.jsonl:2: no question "gone"',
        '  pool.jsonl:3: question "how-many" is now another: "How many?"',
        '  pool.jsonl:4: question "price" has "answerable": false, and a passage that answers it',
    ]


def test_wrong_use():
    """Where it goes is needed, nothing is written over, and a question file is one."""
    Path("there.jsonl").write_text("mine", "utf-8")
    assert [
        refusal("one"),
        refusal("one", "--out", "pool.csv"),
        refusal("one", "--out", "there.jsonl"),
        refusal("one", "--out", "p.jsonl", "--depth", "0"),
        refusal("--apply", "there.jsonl", "q.jsonl", "r.jsonl"),
        refusal("--apply", "gone.jsonl", "q.jsonl"),
    ] == [
        "questions pool needs --out FILE, which ends in .jsonl, or --apply POOL",
        "questions pool needs --out FILE, which ends in .jsonl, or --apply POOL",
        "--out there.jsonl is there already: remove it, or give another name",
        "--depth 0: passages are counted from 1",
        "questions pool --apply POOL takes one question file",
        "1 problem in a pool:\n  gone.jsonl: no such file",
    ]
    stored("empty", ("baseline", WHY, []))
    assert refusal("empty", "--out", "p.jsonl") == "nothing to pool: no answer of these runs has passages"
