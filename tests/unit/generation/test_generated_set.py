"""Questions written on the way to a run: where the set lies, what is reused, and who writes it."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from threading import Thread

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.generation.generate import GenerationProgress
from rag_evals.evals.generation.generated_set import Generated, GenerationInputs
from rag_evals.evals.generation.rules.rule import Rule
from rag_evals.evals.questions.reviewing.review import review_path
from rag_evals.evals.reports.progress import progress
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.errors import ModelError

from tests.unit.generation.test_generate import ODD, Writer, embed, odd, sentences


class Embedder:
    """As much of an embedder as the plan needs."""

    name = "fake"
    embed = staticmethod(embed)


@pytest.fixture
def inputs(monkeypatch) -> GenerationInputs:
    """Thirty sentences, a model that asks about each, and a rule that drops every second item."""
    monkeypatch.setattr("rag_evals.evals.generation.generate.default_rules", lambda *given: (Rule(ODD, odd),))
    monkeypatch.setattr("rag_evals.evals.generation.kinds.DEFAULT_MIX", {"number": 100})
    text = sentences(30)[0].passage.text
    return GenerationInputs(Corpus((Document("mills.md", text, (), "1" * 64),)), Writer(), Embedder())


def shown(count):
    return nullcontext(lambda outcome: None)


def test_the_folder_depends_on_all_but_the_number(inputs, tmp_path):
    """Other documents, another model and another seed have a set of their own; other questions have not."""
    file = Generated(3, tmp_path, inputs).file
    assert file.parent.parent == tmp_path / "generated"
    assert Generated(9, tmp_path, inputs).file == file
    made = Generated(3, tmp_path, inputs).make(lambda line: None, shown)
    assert Generated(3, tmp_path, inputs, made).file == file
    corpus = Corpus((replace(inputs.corpus.documents[0], sha256="2" * 64),))
    assert Generated(3, tmp_path, replace(inputs, corpus=corpus)).file != file
    other = ScriptedLLM(name="other")
    assert Generated(3, tmp_path, replace(inputs, llm=other)).file != file


def test_one_writes_and_the_others_read(inputs, tmp_path):
    """Two that begin at once get the same questions, and each item is written once."""
    made = []
    both = [
        Thread(target=lambda: made.append(Generated(4, tmp_path, inputs).make(lambda line: None, shown)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert made[0] == made[1]
    assert (len(made[0]), len(inputs.llm.prompts)) == (4, 7)


def test_a_set_that_was_reviewed(inputs, tmp_path):
    """The review is what counts: nothing is added, and it is said."""
    generated = Generated(3, tmp_path, inputs)
    made = generated.make(lambda line: None, shown)
    review_path(generated.file).write_text("{}\n")
    said = []
    assert Generated(6, tmp_path, inputs).make(said.append, shown) == made
    assert said == [
        f"generated questions: {generated.file} was reviewed, so it is used as it is",
        "generated questions: 3 of 6: nothing is added to a set that was reviewed",
    ]


def test_nothing_kept(inputs, tmp_path, monkeypatch):
    """Where every item is dropped there is no run, and the audit says why."""
    never = Rule(ODD, lambda one, kept: odd(replace(one, number=1), kept))
    monkeypatch.setattr("rag_evals.evals.generation.generate.default_rules", lambda *given: (never,))
    generated = Generated(3, tmp_path, inputs)
    with pytest.raises(UsageError) as caught:
        generated.make(lambda line: None, shown)
    assert str(caught.value) == (
        "evals_generate: the documents have nothing left to ask about, and no question was kept: "
        f"rag-evals questions audit {generated.file} says why"
    )


def test_a_model_that_cannot_be_reached(inputs, tmp_path):
    """What is wrong with the model is a wrong call; what was written before is kept."""

    def gone(prompt):
        raise ModelError("no such server")

    one = inputs.llm._replies[0]
    broken = replace(inputs, llm=ScriptedLLM(one, one, gone, name="writer"))
    with pytest.raises(UsageError, match=r"^evals_generate = 3: no such server$"):
        Generated(3, tmp_path, broken).make(lambda line: None, shown)
    said = []
    assert len(Generated(3, tmp_path, inputs).make(said.append, shown)) == 3
    assert "kept 3 of 5 items (2 of them by an earlier run), 2 dropped" in said[1]


def test_a_folder_that_cannot_be_made(inputs, tmp_path):
    """A home that is no folder is said with another one to give."""
    home = tmp_path / "home"
    home.write_text("")
    generated = Generated(3, home, inputs)
    with pytest.raises(UsageError) as caught:
        generated.make(lambda line: None, shown)
    assert str(caught.value) == (
        f"the questions cannot be kept in {generated.file.parent} (Not a directory): "
        "give another folder with --evals-home"
    )


def test_no_bar_where_nobody_looks(capfd):
    """A run that is quiet has none."""
    with progress(3, is_shown=False):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("environ", "lines"), [("true", 2), ("", 0)], ids=["CI", "a file"])
def test_a_log_gets_a_line_now_and_then(capfd, monkeypatch, environ, lines):
    """In CI nobody sees a bar, and minutes of silence look like a fault."""
    monkeypatch.setenv("CI", environ)
    clock = iter((0.0, 10.0, 31.0, 31.0, 40.0, 62.0, 62.0))
    monkeypatch.setattr("rag_evals.evals.generation.generated_set.time.monotonic", lambda: next(clock))
    with progress(5) as show:
        for kept in (1, 2, 3, 4):
            show(GenerationProgress([kept] * kept, Counter(odd=1), 2, Counter(number=kept + 3)))
    told = capfd.readouterr().err.splitlines()
    assert [line.partition("%")[0] for line in told] == ["writing:  40", "writing:  80"][:lines]
    assert all(re.search(r"\d+/5 \[.*<.*, 1 dropped, 2 invalid\]$", line) for line in told), told
