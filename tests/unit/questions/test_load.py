"""Question files: what loads, what is refused, and in which words."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import pytest
import yaml
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.questions.load import expand_globs, load_questions
from rag_evals.evals.questions.question import Question, Source, question_to_json, short_digest

FULL = {
    "id": "experts-per-token",
    "question": "How many experts does each token use?",
    "reference": "Two.",
    "sources": [{"document": "mixtral.pdf", "page": 1, "start": 5, "end": 9, "quote": "two experts"}],
    "tags": ["numbers", "architecture"],
    "answerable": True,
    "thresholds": {"relevancy": 1, "faithfulness": 0.8},
    "provenance": {"model": "qwen", "seed": 3, "at": "2024-01-08"},
    "x-note": "seen by nobody",
}
FULL_QUESTION = Question(
    id="experts-per-token",
    question="How many experts does each token use?",
    reference="Two.",
    sources=(Source("mixtral.pdf", page=1, start=5, end=9, quote="two experts"),),
    tags=("numbers", "architecture"),
    answerable=True,
    thresholds=(("faithfulness", 0.8), ("relevancy", 1.0)),
    provenance={"model": "qwen", "seed": 3, "at": "2024-01-08"},
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages show short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(content: str | bytes, name: str = "q.jsonl") -> tuple[Question, ...]:
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return load_questions([path])


def refusal(content: str | bytes, name: str = "q.jsonl") -> list[str]:
    """Return the lines of the refusal, the headline checked and left out."""
    with pytest.raises(QuestionFileError) as caught:
        load(content, name)
    headline, *problems = str(caught.value).split("\n")
    plural = "" if len(problems) == 1 else "s"
    assert headline == f"{len(problems)} problem{plural} in question files:"
    return problems


def entry(**values) -> str:
    return json.dumps({"id": "a", "question": "Why?"} | values)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.jsonl", json.dumps(FULL)),
        ("q.ndjson", json.dumps(FULL)),
        ("q.json", json.dumps([FULL], indent=1)),
        ("q.yaml", yaml.safe_dump([FULL])),
        ("q.yml", json.dumps([FULL])),
    ],
)
def test_every_format_gives_the_same_question(name, content):
    """A question reads the same from JSON Lines, JSON and YAML; keys that begin with x- are passed over."""
    assert load(content, name) == (FULL_QUESTION,)


def test_sources_have_a_relevance_and_alternatives():
    """Both are read as they are written; what is not told is not written, and a question's hash stays."""
    told = {"document": "a.md", "relevance": 2, "any_of": "where it is said"}
    (question,) = load(entry(sources=[told, {"document": "b.md", "relevance": 0}, {"document": "c.md"}]))
    assert question.sources == (
        Source("a.md", relevance=2.0, any_of="where it is said"),
        Source("b.md", relevance=0.0),
        Source("c.md"),
    )
    assert question_to_json(question)["sources"] == [
        told,
        {"document": "b.md", "relevance": 0},
        {"document": "c.md"},
    ]
    assert short_digest(FULL_QUESTION) == "d398645541ed4cf3"


def test_yaml_dates_stay_text():
    """A bare date in YAML is text, as in JSON, so that provenance can always be written to the record."""
    (question,) = load("- id: a\n  question: When?\n  reference: 2024-01-08\n", "q.yaml")
    assert question.reference == "2024-01-08"


def test_only_id_and_question_are_needed():
    """All other keys have defaults, and null means left out."""
    blank = dict.fromkeys(("reference", "sources", "tags", "answerable", "thresholds", "provenance"))
    assert load(entry()) == load(entry(**blank)) == (Question("a", "Why?"),)


def test_questions_pickle_and_hash():
    """A question can cross to another process and stand in a set, whatever its provenance holds."""
    assert pickle.loads(pickle.dumps(FULL_QUESTION)) == FULL_QUESTION
    assert len({FULL_QUESTION, pickle.loads(pickle.dumps(FULL_QUESTION))}) == 1


def test_json_lines_skip_blanks_and_comments():
    """Blank lines and comments are passed over; byte order mark, CRLF and U+2028 are no trouble."""
    content = "\ufeff// curated\r\n# by hand\r\n\r\n" + '{"id": "a", "question": "One\u2028line?"}\r\n'
    assert load(content) == (Question("a", "One\u2028line?"),)


def test_text_files_hold_one_question_a_line():
    """Ids of a text file are the words of the question; a long one is cut and told apart by a hash."""
    content = "What is Mixtral 8x7B?\n\n# later\nWie groß ist es?\n" + "Why " * 30 + "?\n???\n"
    assert [(q.id, q.question) for q in load(content, "q.txt")] == [
        ("what-is-mixtral-8x7b", "What is Mixtral 8x7B?"),
        ("wie-gross-ist-es", "Wie groß ist es?"),
        ("why-why-why-why-why-why-why-why-why-why-why-why-why-why-why-3ea56eb2", "Why " * 30 + "?"),
        ("question-a03b221c", "???"),
    ]


def test_order_is_that_of_files_and_lines():
    """Files come in the order given and a file given twice is read once."""
    Path("a.jsonl").write_text(entry(id="a2") + "\n" + entry(id="a1"))
    Path("b.jsonl").write_text(entry(id="b"))
    paths = [Path("b.jsonl"), Path("a.jsonl"), Path("b.jsonl")]
    assert [question.id for question in load_questions(paths)] == ["b", "a2", "a1"]


def test_no_files_no_questions():
    """Nothing to read is not an error here: the caller knows whether questions are needed."""
    assert load_questions([]) == ()


def test_every_problem_of_every_file_is_listed():
    """One error names all problems of all files, each with its file and line."""
    Path("questions").mkdir()
    Path("questions/a.jsonl").write_text('{"id": "a"}\n\n{"id": "b", "question": "Why?", "tag": []}\n')
    Path("questions/b.yaml").write_text(
        "- id: c\n  question: Why?\n\n- id: d\n  question: 3\n  sources: none\n"
    )
    Path("empty.txt").write_text("\n# nothing yet\n")
    paths = [
        Path(name) for name in ("questions/a.jsonl", "gone.jsonl", "questions/b.yaml", "empty.txt", "q.csv")
    ]
    with pytest.raises(QuestionFileError) as caught:
        load_questions(paths)
    assert str(caught.value) == (
        "7 problems in question files:\n"
        '  questions/a.jsonl:1: missing "question"\n'
        '  questions/a.jsonl:3: unknown key "tag" (did you mean "tags"?)\n'
        "  gone.jsonl: no such file\n"
        '  questions/b.yaml:4: "question" is not text but a number (3)\n'
        '  questions/b.yaml:4: "sources" is not a list of objects but text ("none")\n'
        "  empty.txt: no questions in it\n"
        '  q.csv: unknown suffix ".csv"; question files end in .jsonl, .ndjson, .json, .yaml, .yml, .txt'
    )


def test_files_elsewhere_are_named_in_full(tmp_path, monkeypatch):
    """A file below the current folder is named from there, any other as it was given."""
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    Path("in.jsonl").touch()
    (tmp_path / "out.jsonl").touch()
    with pytest.raises(QuestionFileError) as caught:
        load_questions([tmp_path / "sub" / "in.jsonl", tmp_path / "out.jsonl"])
    assert str(caught.value) == (
        "2 problems in question files:\n"
        "  in.jsonl: no questions in it\n"
        f"  {tmp_path.as_posix()}/out.jsonl: no questions in it"
    )


def test_duplicate_ids_name_both_places():
    """An id that stands twice, in one file or two, is refused with the place of its first use."""
    Path("a.jsonl").write_text("\n\n" + entry(id="x") + "\n" + entry(id="x"))
    Path("b.json").write_text("[\n" + entry(id="y") + ",\n" + entry(id="x") + "]")
    with pytest.raises(QuestionFileError) as caught:
        load_questions([Path("a.jsonl"), Path("b.json")])
    assert str(caught.value) == (
        "2 problems in question files:\n"
        '  a.jsonl:4: duplicate id "x" (first at a.jsonl:3)\n'
        '  b.json:3: duplicate id "x" (first at a.jsonl:3)'
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"id": None}, 'missing "id"'),
        ({"id": ""}, '"id" is empty'),
        ({"id": 12}, '"id" is not text but a number (12)'),
        (
            {"id": "a b"},
            '"id" = "a b" cannot be a test id: no blanks, "[", "]", "::" or control characters',
        ),
        (
            {"id": "a::b"},
            '"id" = "a::b" cannot be a test id: no blanks, "[", "]", "::" or control characters',
        ),
        (
            {"id": "a[1]"},
            '"id" = "a[1]" cannot be a test id: no blanks, "[", "]", "::" or control characters',
        ),
        (
            {"id": "a\x1b"},
            '"id" = "a\\u001b" cannot be a test id: no blanks, "[", "]", "::" or control characters',
        ),
        ({"question": " \n"}, '"question" is empty'),
        ({"question": ["Why?"]}, '"question" is not text but a list (["Why?"])'),
        ({"question": "\ud800"}, '"question" holds half of a surrogate pair, which is no character'),
        ({"reference": False}, '"reference" is not text but true or false (false)'),
        ({"tags": "one"}, '"tags" is not a list of texts but text ("one")'),
        ({"tags": ["one", 2]}, "tags[1] is not text but a number (2)"),
        ({"answerable": "no"}, '"answerable" is not true or false but text ("no")'),
        ({"thresholds": [0.5]}, '"thresholds" is not an object but a list ([0.5])'),
        ({"thresholds": {"faithfulness": 1.3}}, "threshold faithfulness = 1.3 is outside 0..1"),
        ({"thresholds": {"faithfulness": -0.1}}, "threshold faithfulness = -0.1 is outside 0..1"),
        ({"thresholds": {"faithfulness": True}}, "threshold faithfulness = true is not a number"),
        ({"thresholds": {"faithfulness": "0.5"}}, 'threshold faithfulness = "0.5" is not a number'),
        ({"thresholds": {"faithfulness": None}}, "threshold faithfulness = null is not a number"),
        ({"provenance": "by hand"}, '"provenance" is not an object but text ("by hand")'),
        ({"sources": ["a.pdf"]}, 'sources[0]: not an object but text ("a.pdf")'),
        ({"sources": [{"document": "a"}, {"page": 1}]}, 'sources[1]: missing "document"'),
        ({"sources": [{"document": "a", "page": 0}]}, 'sources[0]: "page" = 0 is below 1'),
        (
            {"sources": [{"document": "a", "start": 1.5}]},
            'sources[0]: "start" is not a whole number but a number (1.5)',
        ),
        (
            {"sources": [{"document": "a", "start": 9, "end": 5}]},
            'sources[0]: "end" = 5 is before "start" = 9',
        ),
        (
            {"sources": [{"document": "a", "relevance": "high"}]},
            'sources[0]: "relevance" is not a number but text ("high")',
        ),
        (
            {"sources": [{"document": "a", "relevance": True}]},
            'sources[0]: "relevance" is not a number but true or false (true)',
        ),
        ({"sources": [{"document": "a", "relevance": -1}]}, 'sources[0]: "relevance" = -1 is below 0'),
        ({"sources": [{"document": "a", "relevance": -0.5}]}, 'sources[0]: "relevance" = -0.5 is below 0'),
        ({"sources": [{"document": "a", "any_of": 1}]}, 'sources[0]: "any_of" is not text but a number (1)'),
        ({"sources": [{"document": "a", "any_of": " "}]}, 'sources[0]: "any_of" is empty'),
        (
            {"sources": [{"document": "a", "pages": 1}]},
            'sources[0]: unknown key "pages" (did you mean "page"?)',
        ),
        ({"Refrence": "Two."}, 'unknown key "Refrence" (did you mean "reference"?)'),
        (
            {"zzz\x1b": 1},
            'unknown key "zzz\\u001b"; known are id, question, reference, sources, tags, answerable, '
            "thresholds, provenance, history, conversation, turn",
        ),
        (
            {"reference": list(range(30))},
            '"reference" is not text but a list ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11...)',
        ),
    ],
)
def test_wrong_values_are_named(values, problem):
    """Each wrong value is named with what it is and what it should be."""
    assert refusal(entry(**values)) == [f"  q.jsonl:1: {problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "a" "question": "b"}', "invalid JSON at column 12: Expecting ',' delimiter"),
        ('  {"id": }', "invalid JSON at column 10: Expecting value"),
        ("{} {}", "invalid JSON at column 4: Extra data"),
        ("[1]", "not an object but a list"),
        ("null", "not an object but null"),
        ('{"id": NaN}', "NaN is not JSON; leave the value out"),
        ('{"x-cost": -Infinity}', "-Infinity is not JSON; leave the value out"),
        ('{"x-cost": 1e999}', "1e999 is too large for a number"),
        ('{"id": "a", "id": "b"}', 'key "id" is given twice'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_broken_json_lines(line, problem):
    """A line that is no JSON object is told with its line and column, and the lines behind it still count."""
    assert refusal(f"\n{line}\n{{}}") == [
        f"  q.jsonl:2: {problem}",
        '  q.jsonl:3: missing "id"',
        '  q.jsonl:3: missing "question"',
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "q.json: no questions in it"),
        (" [ ]\n", "q.json: no questions in it"),
        ('\n{"questions": []}', "q.json:2: not a list of questions"),
        ("[] x", "q.json:1: invalid JSON at column 4: Extra data"),
        (f"[{entry()},\n]", "q.json:2: invalid JSON at column 1: Expecting value"),
        (f"[{entry()}\n  {entry(id='b')}]", "q.json:2: invalid JSON at column 3: Expecting ',' delimiter"),
        (f"[{entry()},\n\n" + '{"id": "b"}]', 'q.json:3: missing "question"'),
        (f'[\n{{"id": NaN}},\n{entry()}]', "q.json:2: NaN is not JSON; leave the value out"),
        ("[\n" + "[" * 100_000, "q.json:2: invalid JSON at column 1: nested too deeply"),
    ],
)
def test_broken_json_lists(content, problem):
    """Problems in a JSON list carry the line of the entry, or of the place where reading had to end."""
    assert refusal(content, "q.json") == [f"  {problem}"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "q.yaml: no questions in it"),
        ("# nothing\n", "q.yaml: no questions in it"),
        ("\nquestions:\n- id: a\n", "q.yaml:2: not a list of questions"),
        ("- id: a\n  question: Why?\n- just text\n", "q.yaml:3: not an object but text"),
        ("- id: no\n  question: Why?\n", 'q.yaml:1: "id" is not text but true or false (false)'),
        (
            "- id: a\n  question: Why?\n  question: How?\n",
            'q.yaml:3: invalid YAML at column 3: key "question" is given twice',
        ),
        (
            "- id: a\n  question: !!python/object/apply:os.system [ls]\n",
            "q.yaml:2: invalid YAML at column 13: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        (
            "- id: a\n  question: Why?\n  thresholds: {faithfulness: .nan}\n",
            "q.yaml:1: threshold faithfulness = NaN is not a number",
        ),
        (
            "- id: a\n  question: Why?\n  thresholds: {faithfulness: .inf}\n",
            "q.yaml:1: threshold faithfulness = Infinity is outside 0..1",
        ),
        (
            "- id: a\n  question: Why?\n  provenance: {1: !!binary aGk=}\n",
            'q.yaml:1: "provenance" holds a value that JSON cannot hold: '
            "NaN, bytes, a set or a key that is no text",
        ),
        ("- id: a\n  question: Why?\n  1: 2\n", "q.yaml:1: key 1 is not text but a number"),
    ],
)
def test_broken_yaml(content, problem):
    """Problems in YAML carry the line of the entry or of the mistake, and only plain values are ever made."""
    assert refusal(content, "q.yaml") == [f"  {problem}"]


def test_yaml_syntax_errors_have_a_place():
    """A mistake in YAML's syntax is told with line and column; the words are those of the YAML library."""
    (problem,) = refusal("- id: a\n  question: Why: not?\n", "q.yaml")
    words = "in this context" if yaml.__with_libyaml__ else "here"
    assert problem == f"  q.yaml:2: invalid YAML at column 16: mapping values are not allowed {words}"


def test_control_characters_in_yaml():
    """A character that YAML forbids has no line of its own to tell, but is no crash."""
    (problem,) = refusal("- id: a\x00\n", "q.yaml")
    assert problem.startswith(("  q.yaml: invalid YAML: ", "  q.yaml:1: invalid YAML at column "))


def test_bytes_that_are_not_utf8():
    """A file in another encoding is refused with the byte and its place."""
    content = b'\xef\xbb\xbf{"id": "a", "question": "b"}\n{"id": "caf\xe9"}\n'
    assert refusal(content) == ["  q.jsonl:2: not UTF-8 text (byte 0xE9 at 43)"]


def test_a_folder_is_no_question_file(tmp_path):
    """A folder in place of a file is a problem like any other."""
    Path("dir.jsonl").mkdir()
    with pytest.raises(QuestionFileError) as caught:
        load_questions([Path("dir.jsonl")])
    assert str(caught.value) == "1 problem in question files:\n  dir.jsonl: cannot be read: Is a directory"


def test_ten_thousand_questions_load_fast():
    """Loading is linear: 10,000 full questions take well under a second (measured: 0.15 s)."""
    content = "\n".join(json.dumps(FULL | {"id": f"q{number}"}) for number in range(10_000))
    began = time.process_time()
    assert len(load(content)) == 10_000
    assert time.process_time() - began < 2


def test_globs_expand_in_the_order_of_the_patterns(here):
    """Files are sorted within a pattern and given once; folders and hidden files are passed over.

    So is what lies beside a question set: the work of generating it.
    """
    for name in ("b.jsonl", "a.jsonl", "a.work.jsonl", ".hidden.jsonl", "sub/deep/c.jsonl", "q[1].jsonl"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).touch()
    (here / "folder.jsonl").mkdir()
    patterns = ["sub/**/*.jsonl", "*.jsonl", "q[1].jsonl", str(here / "a*")]
    names = [path.relative_to(here).as_posix() for path in expand_globs(patterns, here)]
    assert names == ["sub/deep/c.jsonl", "a.jsonl", "b.jsonl", "q[1].jsonl"]


def test_patterns_that_match_nothing_are_all_named(here):
    """Each pattern without a file is named, with the folder that was searched."""
    (here / "a.jsonl").touch()
    (here / "folder").mkdir()
    with pytest.raises(QuestionFileError) as caught:
        expand_globs(["*.yaml", "a.jsonl", "folder", ""], here)
    assert str(caught.value) == (
        f"3 patterns without a question file under {here}:\n"
        '  "*.yaml"\n'
        '  "folder" (a folder; did you mean "folder/*"?)\n'
        '  ""'
    )


def test_the_name_of_a_threshold_gives_no_command(tmp_path):
    """What a file calls a metric is named without what would drive a runner of CI."""
    (tmp_path / "q.jsonl").write_text('{"id": "a", "question": "b", "thresholds": {"##[x]": null}}\n')
    with pytest.raises(QuestionFileError) as raised:
        load_questions([tmp_path / "q.jsonl"])
    assert str(raised.value).endswith("q.jsonl:1: threshold # #[x] = null is not a number")
