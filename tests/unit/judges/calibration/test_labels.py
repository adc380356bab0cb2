"""Label files: what loads, what is refused, and in which words."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import yaml
from rag_evals.evals.base.errors import LabelFileError, UsageError
from rag_evals.evals.judges.calibration.labels.examples import (
    LABELS,
    Labelled,
    labels_digest,
    lack_of,
    load_labels,
    usable_metrics,
)
from rag_evals.evals.judges.calibration.labels.labelling import Labelling
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context

FULL = {
    "id": "fb 575",
    "question": "How many experts does each token use?",
    "contexts": [
        "Two experts are used.",
        {"text": "Each token sees two.", "document": "moe.pdf", "page": 2, "start": 5, "end": 25},
    ],
    "answer": "Two of eight.",
    "reference": "Two.",
    "faithful": 0,
    "relevant": None,
    "correct": 1,
    "declined": 0,
    "source": "faithbench",
    "kind": "contradiction",
    "x-annotator": 3,
}
FULL_EXAMPLE = Labelled(
    question=Question("fb 575", "How many experts does each token use?", reference="Two."),
    answer=Answer(
        "Two of eight.",
        (
            Context("Two experts are used."),
            Context("Each token sees two.", document="moe.pdf", page=2, start=5, end=25),
        ),
    ),
    labels=(("correctness", 1), ("faithfulness", 0), ("refusal", 0)),
    source="faithbench",
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)


def entry(number: int = 0, **values) -> dict:
    plain = {"question": "Why?", "contexts": ["Because."], "answer": "So.", "faithful": number % 2}
    return {"id": f"e{number}", **plain, **values}


def entries(count: int = 20, **values) -> list[dict]:
    return [entry(number, **values) for number in range(count)]


def lines(values: list[dict]) -> str:
    return "\n".join(map(json.dumps, values))


def load(content: str | list[dict], name: str = "labels.jsonl") -> tuple[Labelled, ...]:
    Path(name).write_text(content if isinstance(content, str) else lines(content), "utf-8")
    return load_labels(Path(name))


def first(**values) -> Labelled:
    return load([entry(**values), *entries(20)[1:]])[0]


def refusal(content: str | list[dict], name: str = "labels.jsonl") -> str:
    with pytest.raises(LabelFileError) as caught:
        load(content, name)
    return str(caught.value)


def lacking(metric: str, examples: tuple[Labelled, ...]) -> str:
    lack = lack_of(metric, examples)
    assert lack is not None
    return lack


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("labels.jsonl", lines),
        ("labels.ndjson", lines),
        ("labels.json", json.dumps),
        ("labels.yaml", yaml.safe_dump),
        ("labels.yml", json.dumps),
    ],
)
def test_every_format_gives_the_same_examples(name, write):
    """An example reads the same from JSON Lines, JSON and YAML; order is that of the file."""
    examples = load(write([FULL, *entries(19)]), name)
    assert examples[0] == FULL_EXAMPLE
    assert [example.question.id for example in examples[1:]] == [f"e{number}" for number in range(19)]


def test_the_fields_are_those_of_known_metrics():
    """Each field of a label file stands for one metric; which, nobody changes."""
    assert dict(LABELS) == {
        "faithful": "faithfulness",
        "relevant": "relevancy",
        "correct": "correctness",
        "declined": "refusal",
        "useful": "context_relevancy",
        "recalled": "context_recall",
    }
    with pytest.raises(TypeError):
        LABELS["concise"] = "concision"  # type: ignore[index]


def test_an_example_without_a_source_is_its_own():
    """Without a source, an example is resampled by itself."""
    assert first().source == "e0"


def test_one_context_may_stand_by_itself():
    """`context` is short for a list of one text; an empty one is no context."""
    assert first(contexts=None, context="Because.") == first()
    assert first(contexts=None, context=" ").answer == first(contexts=[]).answer == Answer("So.", ())


def test_an_answer_may_be_empty():
    """To say nothing is an answer like any other, to be labelled and not scored."""
    assert first(answer="").answer == Answer("", (Context("Because."),))


def test_contexts_copied_from_records():
    """A context as the records have it is read; its score is passed over."""
    copied = {"text": "Two.", "document": "", "page": None, "start": None, "end": None, "score": 0.5}
    assert first(contexts=[copied]).answer.contexts == (Context("Two."),)


def test_marks_of_an_answer():
    """The parts that people marked are pairs in the order of the text; what else a mark says is theirs."""
    assert first(spans=[[2, 3], [0, 1, "conflict"]]).spans == ((0, 1), (2, 3))
    assert first(faithful=1, spans=[]).spans == ()
    assert first().spans is None


def test_what_several_people_said():
    """The share of the people who agree with the label; nothing where one person, or nobody, is known."""
    example = first(faithful=0, relevant=1, ratings={"faithful": [0, 0, 1], "relevant": [1]})
    assert example.ratings_for("faithfulness") == (0, 0, 1)
    assert example.agreement_for("faithfulness") == pytest.approx(2 / 3)
    assert example.agreement_for("relevancy") is None
    assert example.ratings_for("refusal") == ()
    assert example.agreement_for("refusal") is None


def test_each_labelled_context_is_an_example():
    """Contexts are judged one by one: each with a label is an example of its own beside the answer's."""
    texts = ["Because.", "Then.", "Since."]
    two = [entry(contexts=texts, useful=[1, None, 0]), *entries(20)[1:]]
    examples = load(two)
    assert len(examples) == 22
    answer, one, other = examples[:3]
    assert answer.labels == (("faithfulness", 0),)
    assert answer.answer.contexts == tuple(map(Context, texts))
    assert (one.answer.contexts, one.labels) == ((Context("Because."),), (("context_relevancy", 1),))
    assert (other.answer.contexts, other.labels) == ((Context("Since."),), (("context_relevancy", 0),))
    assert (one.source, other.question) == ("e0", answer.question)
    assert load([{**one, "faithful": None, "useful": [1]} for one in entries()])[0].labels == one.labels


def test_label_for_a_metric():
    """A label is found by its metric, None standing for no label."""
    assert FULL_EXAMPLE.label_for("faithfulness") == 0
    assert FULL_EXAMPLE.label_for("correctness") == 1
    assert FULL_EXAMPLE.label_for("relevancy") is None


def test_examples_pickle_and_hash_and_stay():
    """An example can cross to another process and stand in a set, and is not changed."""
    twin = pickle.loads(pickle.dumps(FULL_EXAMPLE))
    assert twin == FULL_EXAMPLE
    assert len({FULL_EXAMPLE, twin}) == 1
    with pytest.raises(FrozenInstanceError):
        FULL_EXAMPLE.source = "other"  # type: ignore[misc]


def test_the_digest_is_that_of_the_content():
    """Neither the file's name, its form, nor the order of its lines change the digest."""
    given = [FULL, *entries(19)]
    digest = labels_digest(load(given))
    assert digest == labels_digest(load(given[::-1]))
    assert digest == labels_digest(load(yaml.safe_dump(given), "other.yaml"))
    assert len(digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"question": "How?"},
        {"contexts": ["Because.", "So."]},
        {"contexts": [{"text": "Because.", "page": 1}]},
        {"answer": "No."},
        {"reference": "Since."},
        {"faithful": 1},
        {"relevant": 0},
        {"source": "here"},
        {"spans": [[0, 1]]},
        {"spans": [[0, 2]]},
        {"ratings": {"faithful": [0, 1]}},
    ],
)
def test_the_digest_tells_of_every_change(change):
    """Whatever a measurement on the examples depends on changes the digest."""
    assert labels_digest([first(**change)]) != labels_digest([first()])


def test_every_problem_is_listed():
    """One error names all problems of a file, each with its line."""
    broken = [
        '{"id": "a"',
        "",
        json.dumps({"id": "b", "contexts": [], "answer": ""}),
        json.dumps(entry(3, faithful=2, relevent=1)),
        json.dumps(entry(4)),
        json.dumps(entry(4)),
    ]
    assert refusal("\n".join(broken)) == (
        "6 problems in label files:\n"
        "  labels.jsonl:1: invalid JSON at column 11: Expecting ',' delimiter\n"
        '  labels.jsonl:3: missing "question"\n'
        '  labels.jsonl:3: no label: give "faithful", "relevant", "correct", "declined", "useful" or '
        '"recalled"\n'
        '  labels.jsonl:4: unknown key "relevent" (did you mean "relevant"?)\n'
        '  labels.jsonl:4: "faithful" = 2 is no label: write 1, 0 or null\n'
        '  labels.jsonl:6: duplicate id "e4" (first at labels.jsonl:5)'
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"id": None}, 'missing "id"'),
        ({"id": 12}, '"id" is not text but a number (12)'),
        ({"question": ""}, '"question" is empty'),
        ({"answer": None}, 'missing "answer"'),
        ({"answer": ["So."]}, '"answer" is not text but a list (["So."])'),
        ({"answer": "\ud800"}, '"answer" holds half of a surrogate pair, which is no character'),
        ({"reference": " "}, '"reference" is empty'),
        ({"source": 3}, '"source" is not text but a number (3)'),
        ({"kind": ["a"]}, '"kind" is not text but a list (["a"])'),
        ({"contexts": None}, 'missing "contexts": give a list of texts, [] when there were none'),
        ({"context": "a"}, 'both "contexts" and "context": give one of them'),
        ({"contexts": None, "context": ["a"]}, '"context" is not text but a list (["a"])'),
        ({"contexts": "a"}, '"contexts" is not a list of texts but text ("a")'),
        ({"contexts": ["a", ""]}, "contexts[1] is empty"),
        ({"contexts": ["a", 2]}, "contexts[1] is not text but a number (2)"),
        ({"contexts": [{"page": 1}]}, 'contexts[0]: missing "text"'),
        ({"contexts": [{"text": "a", "page": 0}]}, 'contexts[0]: "page" = 0 is below 1'),
        (
            {"contexts": [{"text": "a", "start": 9, "end": 5}]},
            'contexts[0]: "end" = 5 is before "start" = 9',
        ),
        (
            {"contexts": [{"text": "a", "pages": 1}]},
            'contexts[0]: unknown key "pages" (did you mean "page"?)',
        ),
        (
            {"faithful": None},
            'no label: give "faithful", "relevant", "correct", "declined", "useful" or "recalled"',
        ),
        ({"faithful": True}, '"faithful" = true is no label: write 1 or 0'),
        ({"relevant": False}, '"relevant" = false is no label: write 1 or 0'),
        ({"declined": "yes"}, '"declined" = "yes" is no label: write 1, 0 or null'),
        ({"faithful": 1.0}, '"faithful" = 1.0 is no label: write 1, 0 or null'),
        ({"faithful": -1}, '"faithful" = -1 is no label: write 1, 0 or null'),
        ({"correct": 0}, '"correct" without "reference": give the right answer, to compare with'),
        ({"recalled": 0}, '"recalled" without "reference": give the right answer, to compare with'),
        ({"useful": 1}, '"useful" is not a list of labels, one a context, but a number (1)'),
        (
            {"useful": [1, 0]},
            '"useful" has 2 labels for 1 context: give one a context, null for one that nobody judged',
        ),
        ({"useful": [2]}, "useful[0] = 2 is no label: write 1, 0 or null"),
        (
            {"faithful": None, "useful": [None]},
            'no label: give "faithful", "relevant", "correct", "declined", "useful" or "recalled"',
        ),
        ({"spans": 3}, '"spans" is not a list of marks but a number (3)'),
        ({"spans": [[0]]}, "spans[0] = [0] is no mark: write [first character, the one behind it]"),
        (
            {"spans": [[0, True]]},
            "spans[0] = [0, true] is no mark: write [first character, the one behind it]",
        ),
        ({"spans": [[2, 4]]}, "spans[0] goes from 2 to 4, the answer has 3 characters"),
        ({"spans": [[2, 2]]}, "spans[0] goes from 2 to 2, the answer has 3 characters"),
        (
            {"spans": [[0, 2]], "faithful": 1},
            '"faithful" = 1, but "spans" marks what is not supported: one of them is wrong',
        ),
        (
            {"spans": []},
            '"faithful" = 0, but "spans" is empty: mark what is not supported, or leave "spans" out',
        ),
        ({"spans": [], "faithful": None, "relevant": 1}, '"spans" without "faithful": give that too'),
        ({"ratings": [1]}, '"ratings" is not an object but a list ([1])'),
        (
            {"ratings": {"useful": [1]}},
            '"ratings" of "useful": known are faithful, relevant, correct, declined, recalled',
        ),
        ({"ratings": {"faithful": 1}}, '"ratings" of "faithful" is not a list but a number (1)'),
        ({"ratings": {"faithful": [1, 3]}}, '"ratings" of "faithful"[1] = 3 is no label: write 1 or 0'),
        ({"faithfulness": 1}, 'unknown key "faithfulness" (did you mean "faithful"?)'),
        (
            {"zzz": 1},
            'unknown key "zzz"; known are id, question, history, contexts, context, answer, reference, '
            "faithful, relevant, correct, declined, useful, recalled, spans, ratings, source, kind, "
            "labeller, time, run, draw, pipeline, question_id, unsure, weights",
        ),
        ({"labeller": " "}, '"labeller" is empty'),
        (
            {"time": "noon"},
            '"time" = "noon" is no time: write it as ISO 8601, such as 2026-01-31T09:30Z',
        ),
        (
            {"unsure": ["concise"]},
            'unsure[0] = "concise": known are faithful, relevant, correct, declined, useful, recalled',
        ),
        ({"unsure": ["faithful"]}, '"faithful" is among "unsure" and has a label: one of them is wrong'),
        (
            {"weights": {"concise": 2}},
            '"weights" of "concise": known are faithful, relevant, correct, declined, useful, recalled',
        ),
        (
            {"weights": {"faithful": 0.5}},
            '"weights" of "faithful" is not a number of answers, 1 or more (0.5)',
        ),
        (
            {"weights": {"faithful": "2"}},
            '"weights" of "faithful" is not a number of answers, 1 or more but text ("2")',
        ),
    ],
)
def test_wrong_values_are_named(values, problem):
    """Each wrong value is named with what it is and what it should be."""
    assert refusal([entry(**values)]) == f"1 problem in label files:\n  labels.jsonl:1: {problem}"


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        ("[1]", "labels.jsonl", "labels.jsonl:1: not an object but a list"),
        ("\n{}", "labels.json", "labels.json:2: not a list of examples"),
        ("a: 1", "labels.yaml", "labels.yaml:1: not a list of examples"),
        (
            "",
            "labels.txt",
            'labels.txt: unknown suffix ".txt"; label files end in .jsonl, .ndjson, .json, .yaml, .yml',
        ),
    ],
)
def test_files_that_hold_no_examples(content, name, problem):
    """What is no list of objects is refused in the words of question files, with examples for questions."""
    assert refusal(content, name) == f"1 problem in label files:\n  {problem}"


def test_a_missing_file():
    """A file that is not there is a usage error like any other."""
    with pytest.raises(UsageError) as caught:
        load_labels(Path("gone.jsonl"))
    assert str(caught.value) == "1 problem in label files:\n  gone.jsonl: no such file"


@pytest.mark.parametrize(
    ("count", "found"), [(0, "0 examples"), (1, "1 example"), (12, "12 examples"), (19, "19 examples")]
)
def test_too_few_examples(count, found):
    """A file of fewer than 20 examples says little about a judge; 20 are enough to begin."""
    problem = f"labels.jsonl: {found}, at least 20 are needed to say how good a judge is"
    assert refusal(entries(count)) == problem
    assert len(load(entries(20))) == 20


def test_examples_of_a_metric():
    """The examples with a label for a metric count; a label of 0 is one too."""
    examples = load([*entries(21), entry(id="r", faithful=None, relevant=1)])
    assert lack_of("faithfulness", examples) is None


def test_too_few_labels_of_a_metric():
    """Enough examples may still have too few labels of one metric: told by field, with counts and remedy."""
    examples = load([*entries(12), *(entry(n, faithful=None, relevant=1) for n in range(12, 40))])
    assert lacking("faithfulness", examples) == (
        '12 labels of "faithful" (6 are 1, 6 are 0), at least 20 are needed to say how good a judge is: '
        'add examples with "faithful"'
    )
    assert lacking("refusal", examples) == (
        '0 labels of "declined" (0 are 1, 0 are 0), at least 20 are needed to say how good a judge is: '
        'add examples with "declined"'
    )


@pytest.mark.parametrize(("label", "other"), [(1, 0), (0, 1)])
def test_labels_all_alike(label, other):
    """Against labels of one class a judge that always says the same would be perfect."""
    assert lacking("faithfulness", load(entries(25, faithful=label))) == (
        f'all 25 labels of "faithful" are {label}: '
        f"a judge's accuracy needs both classes, add examples with {other}"
    )


def test_labels_made_in_code():
    """Examples need no file: the checks of a metric hold for those made in code too."""
    examples = [replace(FULL_EXAMPLE, labels=(("relevancy", n % 2),)) for n in range(20)]
    assert lack_of("relevancy", examples) is None


def test_metrics_with_labels_enough():
    """A few labels of a second kind are said to be too few, and the first kind is used all the same."""
    few = [{**one, "relevant": 1} if n < 7 else one for n, one in enumerate(entries())]
    both = [{**one, "faithful": n % 2} for n, one in enumerate(few)]
    assert usable_metrics(load(both)) == (
        ("faithfulness",),
        (
            '7 labels of "relevant" (7 are 1, 0 are 0), at least 20 are needed to say how good a judge is: '
            'add examples with "relevant"',
        ),
    )


# --- who labelled, and of which draw ---


def test_who_labelled_and_what_it_stands_for():
    """A labelling page says who, when, of which run, what they could not tell, and the weights."""
    one = first(
        labeller="Ann",
        time="2026-11-30T10:00:00.000Z",
        run="r1",
        draw="d1",
        pipeline="baseline",
        question_id="q1",
        unsure=["relevant"],
        weights={"faithful": 2.5, "relevant": 1},
    )
    assert one.by == Labelling(
        "Ann",
        "2026-11-30T10:00:00.000Z",
        "r1",
        "d1",
        "baseline",
        "q1",
        ("relevancy",),
        (("faithfulness", 2.5), ("relevancy", 1.0)),
    )
    assert [one.weight_for(metric) for metric in ("faithfulness", "correctness")] == [2.5, 1.0]
    assert first().by is None
    assert first().weight_for("faithfulness") == 1.0


def test_weights_are_part_of_what_a_file_says():
    """They change figures; who labelled, and when, does not. Without either the digest is what it was."""
    plain, named = first(), first(labeller="Ann", time="2026-11-30")
    assert labels_digest([plain]) == labels_digest([named])
    assert labels_digest([plain]) != labels_digest([first(weights={"faithful": 2})])


def test_what_nobody_could_tell_is_no_example():
    """It is an entry without a label: read, and left out of what is measured."""
    unsure = entry(20, faithful=None, unsure=["faithful"])
    assert len(load([*entries(20), unsure])) == 20


def test_two_people_may_label_one_answer_in_one_file():
    """The same person may not; the message says who."""
    both = [entry(n, labeller=name) for n in range(10) for name in ("Ann", "Ben")]
    assert len(load(both)) == 20
    assert refusal([*both, entry(3, labeller="Ann")]) == (
        '1 problem in label files:\n  labels.jsonl:21: duplicate id "e3 of Ann" (first at labels.jsonl:7)'
    )
