"""Conversations: turns in their order, each behind what was said before it, in one worker and one shard."""

from __future__ import annotations

import json

import pytest
from rag_evals.evals.questions.shard import Shard

# The pipeline answers with the number of its turn, and counts how often it was asked; the judge is content.
CONFTEST = """
import os
import pytest
from rag_evals.testing import FakeJudge, FakePipeline
from rag_evals.rag.answer import Answer, Message

class Talks:
    name = "baseline"
    fingerprint = "talks"

    async def answer(self, question, history=()):
        with open("asked.txt", "a") as file:
            file.write(f"{question} {len(history)} {os.getpid()}\\\\n")
        if question == "broken":
            raise RuntimeError("no more")
        return Answer(f"answer to {question}")

@pytest.fixture(scope="session")
def baseline():
    return Talks()

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9, "relevancy": 0.8})
""".replace("\\\\", "\\")


def turns(name: str, *questions: str) -> dict[str, dict]:
    return {
        f"{name}-{n}": {"question": question, "conversation": name, "turn": n}
        for n, question in enumerate(questions, 1)
    }


@pytest.fixture
def talks(project):
    """Two conversations, their lines out of order, and a question without one."""
    project.write("conftest.py", CONFTEST)
    lakes, hills = turns("lakes", "l1", "l2", "l3"), turns("hills", "h1", "h2")
    given = {**lakes, "alone": "x", **hills}
    order = ["lakes-3", "hills-2", "alone", "lakes-1", "hills-1", "lakes-2"]
    project.ask(**{name: given[name] for name in order})
    return project


def asked(project) -> list[tuple[str, int]]:
    """Return each question that the pipeline was asked, and how many messages were before it."""
    lines = (project.path / "asked.txt").read_text("utf-8").splitlines()
    return [(question, int(count)) for question, count, _ in map(str.split, lines)]


def said(*pairs: tuple[str, str]) -> list[dict]:
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for pair in pairs for role, text in zip(roles, pair, strict=True)]


L1, L2 = ("l1", "answer to l1"), ("l2", "answer to l2")


def test_turns_are_asked_behind_each_other(talks, how):
    """Each turn once, in its order, behind the questions and the pipeline's own answers before it."""
    talks.run(*how).assert_outcomes(passed=6)
    assert sorted(asked(talks)) == [("h1", 0), ("h2", 2), ("l1", 0), ("l2", 2), ("l3", 4), ("x", 0)]
    found = {line["question_id"]: line for line in talks.evaluations}
    assert found["lakes-3"]["history"] == said(L1, L2)
    assert (found["lakes-3"]["conversation"], found["lakes-3"]["turn"]) == ("lakes", 3)
    assert "history" not in found["lakes-1"]
    assert not {"history", "conversation", "turn"} & set(found["alone"])


def test_tests_stand_in_the_order_of_the_turns(talks):
    """A conversation stands where its first line stood."""
    result = talks.run("--collect-only", "-q")
    names = [line.partition("[baseline-")[2].rstrip("]") for line in result.outlines if "[" in line]
    assert names == ["lakes-1", "lakes-2", "lakes-3", "hills-1", "hills-2", "alone"]


def test_a_conversation_has_one_worker(project):
    """Of forty turns of ten conversations none is asked twice, or in another process than its others."""
    project.write("conftest.py", CONFTEST)
    given = [turns(f"c-{n}", *(f"{n}.{turn}" for turn in range(4))) for n in range(10)]
    project.ask(**{name: turn for talk in given for name, turn in talk.items()})
    project.run("-n", "3").assert_outcomes(passed=40)
    lines = [line.split() for line in project.read("asked.txt").splitlines()]
    assert len(lines) == 40
    workers = {(question.split(".")[0], process) for question, _, process in lines}
    assert len(workers) == 10
    assert len({process for _, process in workers}) > 1


def test_questions_without_conversations_are_spread_as_ever(project):
    """One test to each of two workers."""
    project.write("conftest.py", CONFTEST)
    project.ask(a="a", b="b")
    project.run("-n", "2").assert_outcomes(passed=2)
    assert len({line.split()[2] for line in project.read("asked.txt").splitlines()}) == 2


def test_a_broken_turn_leaves_the_later_ones_unscored(project, how):
    """Never 0: there was nothing to be judged, and it is said because of which turn."""
    project.write("conftest.py", CONFTEST)
    project.ask(**turns("lakes", "l1", "broken", "l3", "l4"))
    result = project.run(*how, "--evals-mode", "strict")
    result.assert_outcomes(passed=1, failed=1, skipped=2)
    assert sorted(asked(project)) == [("broken", 2), ("l1", 0)]
    reason = 'turn 2 of conversation "lakes" gave no answer: RuntimeError: no more'
    for line in project.evaluations[2:]:
        assert line["outcome"] == "unscored"
        assert {(score["value"], score["reason"]) for score in line["scores"].values()} == {(None, reason)}


def test_a_turn_that_is_not_selected_is_asked_and_not_scored(talks):
    """`-k` takes turn 3 alone: what was said before it is what it would have been."""
    talks.run("-k", "lakes-3").assert_outcomes(passed=1, deselected=5)
    assert asked(talks) == [("l1", 0), ("l2", 2), ("l3", 4)]
    assert [line["question_id"] for line in talks.evaluations] == ["lakes-3"]


def test_the_order_of_tests_changes_nothing(talks):
    """Other plugins may shuffle: a turn that a later one had to ask is not asked again."""
    talks.append("conftest.py", "def pytest_collection_modifyitems(items): items.reverse()\n")
    talks.run().assert_outcomes(passed=6)
    assert sorted(asked(talks)) == [("h1", 0), ("h2", 2), ("l1", 0), ("l2", 2), ("l3", 4), ("x", 0)]


def test_each_repeat_is_a_conversation_of_its_own(project, how):
    """The second time behind the answers of the second time."""
    project.write(
        "conftest.py",
        CONFTEST.replace('f"answer to {question}"', 'f"{question} {next(count)}"').replace(
            "class Talks", "import itertools\ncount = itertools.count()\n\nclass Talks"
        ),
    )
    project.ask(**turns("lakes", "l1", "l2"))
    project.run(*how, "--evals-repeat", "2").assert_outcomes(passed=4)
    found = {(line["turn"], line["repeat"]): line for line in project.evaluations}
    for repeat in (0, 1):
        before = found[2, repeat]["history"][1]["content"]
        assert before == found[1, repeat]["answer"]


def test_answers_are_reused_with_what_was_said_before(talks):
    """The second run asks nothing; with another first answer the later turns are other questions."""
    talks.run().assert_outcomes(passed=6)
    first = asked(talks)
    talks.run().assert_outcomes(passed=6)
    assert asked(talks) == first
    given = talks.read("questions.jsonl").replace('"question": "l1"', '"question": "l1-anew"')
    talks.write("questions.jsonl", given)
    talks.run().assert_outcomes(passed=6)
    assert len(asked(talks)) == len(first) + 3


def test_a_conversation_goes_whole_to_one_shard(talks):
    """A shard is that of the conversation's name."""
    for index in (1, 2):
        talks.run("--evals-shard", f"{index}/2")
    shards = [
        [json.loads(line) for line in (run / "records.jsonl").read_text("utf-8").splitlines()]
        for run in sorted(talks.runs)
    ]
    units = [
        {line.get("conversation", line["question_id"]) for line in lines if line["type"] == "evaluation"}
        for lines in shards
    ]
    assert units[0] | units[1] == {"lakes", "hills", "alone"}
    for found in units:
        assert {Shard(1, 2).holds(name) for name in found} in ({True}, {False})


def test_a_stop_early_shuffles_conversations_whole(talks):
    """Turns stay together and in their order."""
    result = talks.run(
        "--evals-stop-early", "--evals-mode", "gate", "--evals-gate", "faithfulness.mean >= 0.7", "-v"
    )
    names = [line.partition("[baseline-")[2].partition("]")[0] for line in result.outlines if "::" in line]
    assert sorted(names) == ["alone", "hills-1", "hills-2", "lakes-1", "lakes-2", "lakes-3"]
    lakes, hills = names.index("lakes-1"), names.index("hills-1")
    assert names[lakes : lakes + 3] == ["lakes-1", "lakes-2", "lakes-3"]
    assert names[hills : hills + 2] == ["hills-1", "hills-2"]


def test_a_pipeline_that_takes_no_history_gets_one_text(project):
    """What was said before stands in front of the question."""
    project.append(
        "conftest.py",
        """
from rag_evals import pipeline_from

@pytest.fixture(scope="session")
def plain():
    def ask(question):
        return f"<{question}>", ["passage"]
    return pipeline_from(ask)

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9})
""",
    )
    project.ask(**turns("lakes", "l1", "l2"))
    project.run("--evals-pipelines", "plain").assert_outcomes(passed=2)
    assert [line["answer"] for line in project.evaluations] == [
        "<l1>",
        "<Conversation so far:\nUser: l1\nAssistant: <l1>\n\nl2>",
    ]


def test_a_function_that_takes_a_history_gets_messages(project):
    """The parameter's name says that it does."""
    project.append(
        "conftest.py",
        """
from rag_evals import pipeline_from

@pytest.fixture(scope="session")
def plain():
    async def ask(question, history=()):
        return " | ".join([f"{m.role}: {m.content}" for m in history] + [question]), []
    return pipeline_from(ask)

@pytest.fixture(scope="session")
def judge():
    return FakeJudge({"faithfulness": 0.9})
""",
    )
    greeting = {"history": [{"role": "assistant", "content": "Hello."}]}
    given = turns("lakes", "l1", "l2")
    given["lakes-1"] |= greeting
    project.ask(**given)
    project.run("--evals-pipelines", "plain").assert_outcomes(passed=2)
    assert [line["answer"] for line in project.evaluations] == [
        "assistant: Hello. | l1",
        "assistant: Hello. | user: l1 | assistant: assistant: Hello. | l1 | l2",
    ]


def test_wrong_turns_end_the_session_in_one_line_each(project):
    """Before anything is asked, with file and line."""
    project.ask(**turns("lakes", "l1"), other={"question": "?", "conversation": "lakes", "turn": 3})
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: 1 problem in question files:",
            '  *questions.jsonl:2: turn 3 of conversation "lakes" without turn 2: turns are counted from 1, '
            "without a gap",
        ]
    )


def test_a_search_is_told_the_questions_before_and_answers_none(project):
    """Retrieval by itself takes no language model, in a conversation either."""
    project.append(
        "conftest.py",
        """
from rag_evals import Context
from rag_evals.rag.answer import Retrieval

class Shop:
    name = fingerprint = searching = "shop"

    async def answer(self, question, history=()):
        raise AssertionError("nothing is to be answered")

    async def search(self, question, history=()):
        with open("asked.txt", "a") as file:
            print(" | ".join(f"{m.role}: {m.content}" for m in history), question, file=file)
        return Retrieval((Context("Two.", "a.md", start=0, end=4),))

@pytest.fixture(scope="session")
def shop():
    return Shop()
""",
    )
    project.write(
        "test_it.py",
        "def test_found(evaluate_retrieval, pipeline, question):\n"
        "    evaluate_retrieval(pipeline, question).result().require()\n",
    )
    given = turns("lakes", "l1", "l2", "l3")
    given["lakes-3"]["sources"] = [{"document": "a.md", "start": 0, "end": 4}]
    project.ask(**given)
    project.run("--evals-pipelines", "shop").assert_outcomes(passed=1)
    assert project.read("asked.txt") == "user: l1 | user: l2 l3\n"
