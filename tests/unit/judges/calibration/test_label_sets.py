"""Sets of labelled answers: the forms in which public sets come, and what is refused, word by word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.sets import load_sets, sample, set_names
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)


def write(name: str, *values: Any) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, values)), "utf-8")
    return path


def refusal(spec: str, *others: str) -> str:
    with pytest.raises(LabelFileError) as caught:
        load_sets([spec, *others])
    return str(caught.value)


# --- RAGTruth ---


def response(n: int = 0, **values) -> dict:
    marked = {"start": 0, "end": 2, "text": "It", "label_type": "Evident Conflict", "implicit_true": False}
    plain = {"id": str(n), "source_id": f"s{n // 6}", "model": "m", "temperature": 0.7, "split": "test"}
    labels = [marked] if n % 2 else []
    return {**plain, "labels": labels, "quality": "good", "response": "It is so. Yes.", **values}


def source(name: str = "s0", **values) -> dict:
    passages = "passage 1:One.\nStill passage one.\n\npassage 2:Two.\n\n"
    plain = {"source_id": name, "task_type": "QA", "source": "MARCO", "prompt": "Briefly answer."}
    return {**plain, "source_info": {"question": f"why {name}", "passages": passages}, **values}


def ragtruth(*responses: dict, sources: list[dict] | None = None) -> None:
    write("data/response.jsonl", *responses)
    write("data/source_info.jsonl", *(sources or [source(f"s{n}") for n in range(5)]))


def flat(n: int = 0, **values) -> dict:
    plain = {"id": f"rt-{n}", "question": "why", "contexts": ["One.", "Two."], "answer": "It is so. Yes."}
    marks = {"faithful": 0, "spans": [[0, 2, "Evident Conflict"]]} if n % 2 else {"faithful": 1, "spans": []}
    return {**plain, **marks, "source": f"s{n // 6}", "model": "m", **values}


@pytest.mark.parametrize("path", ["data", "data/response.jsonl"])
def test_the_two_files_of_ragtruth(path):
    """Answers to questions, their passages one by one, what is marked by its characters, by source."""
    ragtruth(*map(response, range(24)))
    examples = load_sets([f"ragtruth:{path}"])
    assert len(examples) == 24
    assert examples[7] == Labelled(
        Question("7", "why s1"),
        Answer("It is so. Yes.", (Context("One.\nStill passage one."), Context("Two."))),
        labels=(("faithfulness", 0),),
        source="s1",
        spans=((0, 2),),
        set="ragtruth",
    )
    assert (examples[6].labels, examples[6].spans) == ((("faithfulness", 1),), ())


def test_what_of_ragtruth_answers_no_question():
    """Summaries, what is written from tables, and answers of bad quality are left out."""
    ragtruth(
        *map(response, range(24)),
        response(24, source_id="news"),
        response(25, source_id="s1", quality="truncated"),
        response(26, source_id="s1", quality="incorrect_refusal"),
        sources=[
            *(source(f"s{n}") for n in range(5)),
            source("news", task_type="Summary", source_info="Text"),
        ],
    )
    assert len(load_sets(["ragtruth:data"])) == 24


def test_one_file_of_ragtruth():
    """Answers with their passages in one file read the same."""
    write("rt.jsonl", *map(flat, range(20)))
    examples = load_sets(["ragtruth:rt.jsonl"])
    assert (examples[1].spans, examples[1].labels) == (((0, 2),), (("faithfulness", 0),))
    assert (examples[1].source, examples[1].set, examples[1].ratings) == ("s0", "ragtruth", ())


def test_a_broken_file_of_ragtruth():
    """Every problem is told with its place."""
    ragtruth(
        response(0, response=None),
        response(1, labels=[{"start": 0, "end": 99}]),
        response(2, labels=[3]),
        response(3, source_id="s9"),
        response(4, source_id="odd"),
        response(5, source_id=None),
        sources=[source(), source("odd", source_info="a text")],
    )
    assert refusal("ragtruth:data") == (
        "6 problems in label files:\n"
        '  data/response.jsonl:1: missing "answer"\n'
        "  data/response.jsonl:2: spans[0] goes from 0 to 99, the answer has 14 characters\n"
        "  data/response.jsonl:3: spans[0] = 3 is no mark: write [first character, the one behind it]\n"
        '  data/response.jsonl:4: source "s9" is not in source_info.jsonl\n'
        '  data/response.jsonl:5: "source_info" of "odd" is not an object but text\n'
        '  data/response.jsonl:6: missing "source_id"'
    )
    write("data/source_info.jsonl", [], {"task_type": "QA"})
    assert refusal("ragtruth:data") == (
        "RAGTruth's sources cannot be read:\n"
        "  data/source_info.jsonl:1: not an object but a list\n"
        '  data/source_info.jsonl:2: missing "source_id"'
    )
    Path("data/source_info.jsonl").unlink()
    assert refusal("ragtruth:data") == (
        "RAGTruth's sources cannot be read:\n  data/source_info.jsonl: no such file"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (flat(spans=None), 'missing "spans": RAGTruth marks what is not supported, [] where nothing is'),
        (flat(faithful="no"), '"faithful" = "no" is no label: write 1 or 0'),
        (flat(faithful=None), '"spans" without "faithful": give that too'),
        (flat(contexts=None), 'missing "contexts": give a list of texts, [] when there were none'),
        ([1], "not an object but a list"),
    ],
)
def test_a_line_of_another_form(line, problem):
    """A file that is no RAGTruth says what is missing."""
    write("rt.jsonl", line)
    assert refusal("ragtruth:rt.jsonl") == f"1 problem in label files:\n  rt.jsonl:1: {problem}"


def test_files_that_are_not_there():
    """A path without a file, and one of another kind, are told as those of label files."""
    assert refusal("ragtruth:gone.jsonl") == "1 problem in label files:\n  gone.jsonl: no such file"
    assert refusal("mtrag:gone.json") == "1 problem in label files:\n  gone.json: no such file"
    write("mine.csv", 1)
    assert refusal("ragtruth:mine.csv") == (
        "1 problem in label files:\n"
        '  mine.csv: unknown suffix ".csv"; files of RAGTruth end in .jsonl, .ndjson'
    )
    assert refusal("mtrag:mine.csv") == (
        "1 problem in label files:\n"
        '  mine.csv: unknown suffix ".csv"; files of MTRAG end in .jsonl, .ndjson, .json'
    )


# --- MTRAG ---

TALK = [["user", "What is Advisor 4?"], ["agent", "A scanner of images."], ["user", "Is it free?"]]
IN_TALK = (
    "Earlier question: What is Advisor 4?\nEarlier answer: A scanner of images.\nQuestion now: Is it free?"
)


def rated(n: int = 0, **values) -> dict:
    plain = {"id": f"c{n}-2", "question": "Is it free?", "history": TALK[:2], "contexts": ["It is free."]}
    ratings = {"faithfulness": [4, 2, 2] if n % 2 else [4, 3, 2], "completeness": [4], "turn": 2}
    return {**plain, **ratings, "answer": "Yes.", "source": f"c{n}", "faithful": 1, **values}


def evaluations(*annotated: dict, version: int = 1) -> dict:
    """Return a file of evaluations of one task in a conversation, with the ratings of `annotated`."""
    turns = [{"speaker": speaker, "text": text} for speaker, text in TALK]
    task = {"task_id": "c0<::>2", "task_type": "rag", "input": turns, "contexts": [{"document_id": "d"}]}
    if version == 2:
        task["input"] = [{"role": speaker, "content": text} for speaker, text in TALK]
    return {
        "name": "MTRAG",
        "models": [{"model_id": "m", "name": "M"}],
        "metrics": [{"name": "faithfulness", "author": "human"}],
        "documents": [{"document_id": "d", "text": "It is free."}],
        "tasks": [task],
        ("results" if version == 2 else "evaluations"): list(annotated),
    }


def evaluation(n: int, *values: Any, version: int = 1) -> dict:
    people = {f"a{k}": {"value": value, "duration": 3} for k, value in enumerate(values)}
    said = {"output": {"type": "text", "value": "Yes."}} if version == 2 else {"model_response": "Yes."}
    key = "scores" if version == 2 else "annotations"
    return {"task_id": "c0<::>2", "model_id": f"m{n}", key: {"faithfulness": people}, **said}


def test_lines_of_mtrag():
    """An answer of mean 3 or more is faithful; who gives 3 or more says so; the question has its turn."""
    write("mt.jsonl", *map(rated, range(20)))
    examples = load_sets(["mtrag:mt.jsonl"])
    assert examples[0] == Labelled(
        Question("c0-2", IN_TALK),
        Answer("Yes.", (Context("It is free."),)),
        labels=(("faithfulness", 1),),
        source="c0",
        ratings=(("faithfulness", (1, 1, 0)),),
        set="mtrag",
    )
    assert (examples[1].labels, examples[1].ratings) == (
        (("faithfulness", 0),),
        (("faithfulness", (1, 0, 0)),),
    )


@pytest.mark.parametrize("version", [1, 2])
def test_the_evaluations_of_mtrag(version):
    """The one file of the public repository, in both versions of its form; what nobody rated is left out."""
    given = [evaluation(n, *(("4", 2, 2) if n % 2 else (4, 3, 2)), version=version) for n in range(20)]
    write("mt.json", evaluations(*given, evaluation(20, version=version), version=version))
    examples = load_sets(["mtrag:mt.json"])
    assert len(examples) == 20
    assert examples[0] == Labelled(
        Question("c0<::>2 m0", IN_TALK),
        Answer("Yes.", (Context("It is free."),)),
        labels=(("faithfulness", 1),),
        source="c0",
        ratings=(("faithfulness", (1, 1, 0)),),
        set="mtrag",
    )
    assert examples[1].label_for("faithfulness") == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (rated(faithfulness=None), 'missing "faithfulness": MTRAG has people\'s ratings from 1 to 4'),
        (rated(faithfulness=3), '"faithfulness" is not a list of people\'s ratings but a number (3)'),
        (rated(faithfulness=[5]), "faithfulness[0] = 5 is no rating from 1 to 4"),
        (rated(history=["Hello"]), 'history[0] = "Hello" is no turn: write [speaker, text]'),
        (rated(answer=None), 'missing "answer"'),
        ("text", "not an object but text"),
    ],
)
def test_a_line_that_is_no_mtrag(line, problem):
    """What is missing is said."""
    write("mt.jsonl", line)
    assert refusal("mtrag:mt.jsonl") == f"1 problem in label files:\n  mt.jsonl:1: {problem}"


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        (
            [rated()],
            'no lists "tasks", "documents" and "evaluations": is this a file of MTRAG\'s evaluations?',
        ),
        (
            evaluations({**evaluation(0, 3), "task_id": "other"}),
            'evaluation "other m0" is of no task of the file',
        ),
        (evaluations({**evaluation(0, 3), "model_response": 3}), '"answer" is not text but a number (3)'),
        (evaluations(evaluation(0, "good")), 'faithfulness[0] = "good" is no rating from 1 to 4'),
    ],
)
def test_a_file_that_is_no_mtrag(held, problem):
    """A file of another form, an answer of no task, an answer that is none."""
    write("mt.json", held)
    assert refusal("mtrag:mt.json") == f"1 problem in label files:\n  mt.json: {problem}"


def test_a_file_that_is_no_json():
    """What is no JSON at all is told so."""
    Path("mt.json").write_text("{")
    assert refusal("mtrag:mt.json") == (
        "1 problem in label files:\n"
        "  mt.json: invalid JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)"
    )


# --- several ---


def own(n: int, **values) -> dict:
    plain = {"id": f"o{n}", "question": "Why?", "contexts": ["Because."], "answer": "So."}
    return {**plain, "faithful": n % 2, "source": f"s{n // 2}", **values}


def test_several_sets():
    """Each example knows its set: the public one by its form, one's own by its file."""
    write("mine.jsonl", *map(own, range(20)))
    write("mt.jsonl", *map(rated, range(20)))
    examples = load_sets(["mine.jsonl", "mtrag:mt.jsonl"])
    assert set_names(examples) == ("mine.jsonl", "mtrag")
    assert [example.set for example in examples] == ["mine.jsonl"] * 20 + ["mtrag"] * 20


def test_two_sets_of_one_name():
    """They could not be told apart on the card."""
    write("mine.jsonl", *map(own, range(20)))
    assert refusal("mine.jsonl", "mine.jsonl") == (
        '--labels mine.jsonl: there is a set "mine.jsonl" already, put both into one file'
    )


def test_a_sample_of_each_set():
    """Whole sources of each set up to the number, the same whatever the order of the examples."""
    write("mine.jsonl", *map(own, range(40)))
    write("mt.jsonl", *map(rated, range(20)))
    examples = load_sets(["mine.jsonl", "mtrag:mt.jsonl"])
    kept = sample(examples, 15)
    assert [example.set for example in kept] == ["mine.jsonl"] * 14 + ["mtrag"] * 15
    assert len({example.source for example in kept if example.set == "mine.jsonl"}) == 7
    assert set(sample(examples[::-1], 15)) == set(kept)
    assert sample(examples, 100) == examples
