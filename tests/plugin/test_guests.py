"""Other people's repositories: their names, their selection, their configuration and their ways to test."""

from __future__ import annotations

import pytest

UNIT = "def test_unit():\n    pass\n"


def said(result) -> list[str]:
    return [line for line in result.outlines if line.startswith("ERROR:")]


@pytest.fixture
def mixed(project):
    """A project with a unit test beside the evaluation, whose questions cannot be had."""
    project.write("test_unit.py", UNIT)
    project.write("pytest.ini", project.read("pytest.ini").replace("questions.jsonl", "gone.jsonl"))
    return project


@pytest.mark.parametrize(
    "options",
    [("-m", "not evals"), ("-k", "unit"), ("--deselect", "test_it.py"), ("test_unit.py",)],
    ids=["mark", "keyword", "deselect", "path"],
)
@pytest.mark.parametrize(
    "asks", ["evals_questions = gone.jsonl", "evals_questions = wandb:us/set:v1", "evals_generate = 20"]
)
def test_what_is_deselected_is_not_prepared(project, monkeypatch, options, asks):
    """Without an evaluation nothing is fetched, read or said, whatever is configured for one."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    project.write("test_unit.py", UNIT)
    project.write(
        "test_it.py", "import pytest\npytestmark = pytest.mark.evals\n" + project.read("test_it.py")
    )
    ini = project.read("pytest.ini").replace("evals_questions = questions.jsonl", asks)
    project.write("pytest.ini", ini + "evals_docs = gone.pdf\nevals_offline = true\n")
    result = project.run(*options)
    assert result.ret == 0
    result.assert_outcomes(passed=1, deselected=0 if "test_unit.py" in options else 1)
    assert said(result) == []
    assert not (project.path / ".rag-evals").exists()


def test_what_is_wrong_ends_only_what_evaluates(mixed, how):
    """The unit tests run; the session fails for its configuration, in one line."""
    result = mixed.run(*how)
    assert result.ret == 4
    result.assert_outcomes(passed=1, skipped=1)
    assert said(result) == [f"ERROR: 1 pattern without a question file under {mixed.path}:"]
    assert mixed.runs == []


@pytest.mark.parametrize("setting", ["evals_mode=lenient", "evals_shard=0/0", "evals_timeout=soon"])
def test_wrong_settings_of_what_is_deselected(project, how, setting):
    """Nothing is said of them, by whatever the evaluations were left out."""
    project.write("test_unit.py", UNIT)
    result = project.run("-k", "unit", "-o", setting, *how)
    assert (result.ret, said(result)) == (0, [])
    assert project.run("-k", "nothing", "-o", setting, *how).ret == 5


def test_discovery_lists_the_tests(mixed):
    """An editor finds the tests even then, and what is wrong is said."""
    result = mixed.run("--collect-only", "-q")
    assert "test_unit.py::test_unit" in result.outlines
    assert "test_it.py::test_answer[baseline]" in result.outlines
    assert len(said(result)) == 1


def test_a_question_by_its_id(project):
    """A keyword may be the id of a question, as far as the questions are at hand."""
    project.ask(experts="faithfulness=0.9 relevancy=0.9", tokens="faithfulness=0.9 relevancy=0.9")
    project.run("-k", "tokens").assert_outcomes(passed=1, deselected=1)


OWN = """
import pytest

@pytest.fixture
def evaluate():
    return "own evaluate"

@pytest.fixture
def pipeline():
    return "own pipeline"

@pytest.fixture
def question():
    return "own question"

@pytest.fixture
def judge():
    return "own judge"
"""


def test_names_of_their_own(project):
    """A project's own fixtures and marks of these names are its own; ours stays out of the way."""
    project.write("conftest.py", OWN)
    project.append("pytest.ini", "markers = evals(model): which model a test needs")
    project.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.mark.evals(model='large')\n"
        "def test_own(evaluate, pipeline, question, judge):\n"
        "    assert (evaluate, pipeline, question, judge) == (\n"
        "        'own evaluate', 'own pipeline', 'own question', 'own judge')\n",
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    assert project.runs == []


def test_a_pipeline_fixture_of_their_own(project):
    """Our `evaluate` takes the project's `pipeline` as it is, and is not parametrized with others."""
    project.append(
        "conftest.py", "@pytest.fixture\ndef pipeline():\n    return FakePipeline(answer, name='mine')\n"
    )
    result = project.run("--evals-pipelines", "baseline")
    result.assert_outcomes(passed=1)
    assert "--evals-pipelines is not for test_it.py::test_answer, which says itself what `pipeline` is" in (
        result.outlines
    )
    assert [(line["pipeline"], line["test"]) for line in project.evaluations] == [
        ("mine", "test_it.py::test_answer[good]")
    ]


def test_a_test_without_a_pipeline(project):
    """Nothing is said of `--evals-pipelines` to a test that asks for no pipeline."""
    project.write("test_it.py", "import pytest\n@pytest.mark.evals\ndef test_it(question):\n    pass\n")
    result = project.run("--evals-pipelines", "baseline")
    result.assert_outcomes(passed=1)
    assert "--evals-pipelines" not in result.stdout.str()


def test_a_question_fixture_of_their_own(project):
    """A question that the project makes itself is asked, and none of the files."""
    project.append(
        "conftest.py",
        "from rag_evals import Question\n"
        "@pytest.fixture\ndef question():\n    return Question('own', 'faithfulness=0.9 relevancy=0.8')\n",
    )
    project.run().assert_outcomes(passed=1)
    assert [line["question_id"] for line in project.evaluations] == ["own"]


TYPED = """
[pytest]
asyncio_default_fixture_loop_scope = "function"
evals_pipelines = ["baseline"]
evals_questions = ["questions.jsonl"]
evals_max_unscored = 0.2
evals_repeat = 2
evals_thresholds = ["faithfulness=0.5"]
evals_traces = true
evals_gate = ["faithfulness.mean >= 0.5"]
"""


def test_typed_toml(project, how):
    """Numbers, booleans and lists are taken as TOML has them."""
    (project.path / "pytest.ini").unlink()
    project.write("pytest.toml", TYPED)
    project.run(*how).assert_outcomes(passed=2)
    head = project.lines[0]
    assert (head["max_unscored"], head["gate"]) == (0.2, ["faithfulness.mean >= 0.5"])
    assert (project.runs[0] / "traces.jsonl").exists()


def test_a_hint_from_typed_toml(project):
    """What the file names is a hint for the command line, a single text as well."""
    (project.path / "pytest.ini").unlink()
    project.write(
        "pytest.toml", TYPED.replace('evals_pipelines = ["baseline"]', 'evals_pipelines = "baseline"')
    )
    result = project.run("--evals-pipelines", "basline")
    assert result.ret == 4
    assert [line for line in result.errlines if line.startswith("ERROR:")] == [
        "ERROR: unknown pipeline 'basline': there is no fixture of that name; did you mean 'baseline'?"
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("evals_repeat = true", "evals_repeat = True: it takes a text or a number"),
        ("evals_repeat = [2]", "evals_repeat = [2]: it takes a text or a number"),
        ("evals_traces = 1", "evals_traces = 1: it takes true or false"),
        ("evals_gate = {a = 1}", "evals_gate = {'a': 1}: it takes a list of texts or numbers"),
        ("evals_repeat = 1.5", "evals_repeat = 1.5: not a whole number"),
    ],
)
def test_typed_toml_that_is_wrong(project, how, line, problem):
    """Whatever else stands there is one line, and status 4."""
    (project.path / "pytest.ini").unlink()
    base = "\n".join(other for other in TYPED.splitlines() if not other.startswith(line.split()[0]))
    project.write("pytest.toml", f"{base}\n{line}\n")
    result = project.run(*how)
    assert result.ret == 4
    output = [*result.outlines, *result.errlines]
    assert [text for text in output if text.startswith("ERROR:")] == [f"ERROR: {problem}"]
    assert not any("Traceback" in text for text in output)


def test_the_pipeline_by_name(project):
    """A test that asks for the fixture itself gets the only pipeline of the run."""
    project.write(
        "test_it.py",
        "from rag_evals import Question\n"
        "def test_it(request):\n"
        "    evaluate, pipeline = map(request.getfixturevalue, ('evaluate', 'pipeline'))\n"
        "    evaluate(pipeline, Question('q', 'faithfulness=0.9 relevancy=0.8')).result().require()\n",
    )
    project.run().assert_outcomes(passed=1)
    assert [line["question_id"] for line in project.evaluations] == ["q"]


def test_one_of_several_pipelines_by_name(project):
    """Where there are several, one line says what to write."""
    project.append(
        "conftest.py", "@pytest.fixture(scope='session')\ndef other():\n    return FakePipeline(answer)\n"
    )
    project.write("test_it.py", "def test_it(request):\n    request.getfixturevalue('pipeline')\n")
    result = project.run("--evals-pipelines", "baseline,other")
    result.assert_outcomes(failed=1)
    (line,) = (line for line in result.outlines if line.startswith("`pipeline` is a parameter here"))
    assert line.endswith("or ask for the fixture of one pipeline by its name: baseline, other")


def test_unittest(project):
    """A TestCase has no parameters: its fixtures are injected, and it asks questions of its own."""
    project.write(
        "test_it.py",
        "import unittest\n"
        "import pytest\n"
        "from rag_evals import Question\n"
        "class TestIt(unittest.TestCase):\n"
        "    @pytest.fixture(autouse=True)\n"
        "    def _given(self, evaluate, baseline):\n"
        "        self.evaluate, self.pipeline = evaluate, baseline\n"
        "    def test_it(self):\n"
        "        question = Question('q', 'faithfulness=0.9 relevancy=0.8')\n"
        "        self.evaluate(self.pipeline, question).result().require()\n",
    )
    project.run().assert_outcomes(passed=1)
    assert [line["pipeline"] for line in project.evaluations] == ["baseline"]
