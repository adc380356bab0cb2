"""From a sentence to a kept question: what is shown, what is valid, what is kept, and how a run goes on."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.cli.main import main
from rag_evals.evals.generation.candidate import Candidate, candidate_from_json, candidate_to_json
from rag_evals.evals.generation.generate import MOST_INVALID, generate
from rag_evals.evals.generation.planner import Planner, targets_in_turn
from rag_evals.evals.generation.rules.rule import Criterion, Measured, Rule
from rag_evals.evals.generation.text.passages import survey
from rag_evals.evals.generation.text.target_sentences import TargetSentence, targets_of
from rag_evals.evals.generation.work_file import WorkFile, load_work, work_path
from rag_evals.evals.generation.writing.prompts import DETAILS_SHOWN, PROMPT_VERSION, PROMPTS
from rag_evals.evals.generation.writing.reply_checks import InvalidItemError
from rag_evals.evals.generation.writing.writer import PlannedQuestion, write
from rag_evals.evals.questions.question import Source
from rag_evals.evals.questions.question_set import load_set
from rag_evals.evals.reports.terminal.question_audit import mix_lines
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.documents.document import Corpus, Document

from tests.unit.generation.text.test_passages import DUNES, passage

OSTRA = "The dunes of Ostra move 11 metres a year towards the lake."
NORR = "The dunes of Norr move 30 metres a year towards the village."


def target(sentence: str, *, start: int = 0) -> TargetSentence:
    (found,) = targets_of(passage(sentence, section="Dunes", start=start))
    return found


def item(kind: str, sentence: str = OSTRA, **fields) -> PlannedQuestion:
    return PlannedQuestion(0, kind, target(sentence), **fields)


def reply(**fields: str) -> str:
    usual = {
        "subject": "the dunes of Ostra",
        "quote": "11 metres a year",
        "question": "How fast do the dunes of Ostra move?",
        "answer": "11 metres a year.",
    }
    return json.dumps(usual | fields)


def offered(prompt) -> list[str]:
    """Return the details that the model may choose from."""
    found = re.search(r"\nDetails: (.+)\n", prompt.parts[1])
    return found[1].split("; ") if found else [""]


def asked(name: str = "Ostra") -> Candidate:
    return write(item("number"), ScriptedLLM(reply()), seed=7)


# --- one item ---


def test_written_question():
    """A question has its sentence as source, found in the text, and says where it comes from."""
    llm = ScriptedLLM(reply())
    candidate = write(item("number"), llm, seed=7)
    question = candidate.question
    assert (question.question, question.reference) == (
        "How fast do the dunes of Ostra move?",
        "11 metres a year.",
    )
    assert question.sources == (Source("a.md", None, 0, len(OSTRA), OSTRA),)
    assert question.tags == ("number", "generated")
    assert question.answerable
    assert question.id == "how-fast-do-the-dunes-of-ostra-move-" + question.id[-6:]
    assert question.provenance == {
        "origin": "generated",
        "kind": "number",
        "llm": "scripted",
        "llm_fingerprint": llm.fingerprint,
        "prompt_version": PROMPT_VERSION,
        "seed": 7,
        "document_sha256": {"a.md": "0" * 64},
        "edited": False,
    }
    assert candidate_from_json(json.loads(json.dumps(candidate_to_json(candidate)))) == candidate


def test_prompt_begins_with_what_all_share():
    """The first part of a prompt is that of its kind, so that it is read once; the passage comes behind."""
    llm = ScriptedLLM(reply(), reply())
    write(item("number"), llm, seed=7)
    write(item("number", "The dunes of Norr move 11 metres a year."), llm, seed=7)
    first, second = (prompt.parts for prompt in llm.prompts)
    assert first[0] == second[0]
    assert first[1] == f"Heading: Dunes\nText: {OSTRA}\nSentence: {OSTRA}\nJSON:"


@pytest.mark.parametrize("kind", list(PROMPTS))
def test_examples_are_valid(kind):
    """What a model is shown as a good reply has the form that is asked of it."""
    for _, given in PROMPTS[kind].examples:
        assert tuple(given) == PROMPTS[kind].keys
        assert given["question"].endswith("?")
    assert PROMPTS[kind].schema()["required"] == list(PROMPTS[kind].keys)


def test_words_around_the_object_are_passed_over():
    """A server that takes no schema may fence or introduce its JSON."""
    llm = ScriptedLLM(f"Here it is:\n```json\n{reply()}\n```")
    assert write(item("number"), llm, seed=7).question.reference == "11 metres a year."


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("fact", {"answer": " "}, "the reply has no answer"),
        (
            "fact",
            {"question": "The dunes of Ostra move."},
            "the question does not end with the one question mark in it",
        ),
        ("fact", {"question": "Ostra's dunes?"}, "the question has 2 words, not 3 to 60"),
        ("fact", {"subject": "the model"}, '"the model" is nothing that a question can be about by itself'),
        (
            "fact",
            {"question": "How fast do the hills move?", "subject": "Ostra"},
            'the question does not name its subject, "Ostra"',
        ),
        (
            "fact",
            {"subject": "the glossary"},
            '"the glossary" is nothing that a question can be about by itself',
        ),
        (
            "unanswerable",
            {
                "question": "How much do the dunes of Ostra cost in money, with the grass, the roads, the "
                "fences, the harbour and all?"
            },
            "the question has 21 words, not 3 to 18",
        ),
        (
            "unanswerable",
            {
                "question": "What do the dunes of Ostra cost Norr Savings Bank?",
                "subject": "the dunes of Ostra",
            },
            'the passage does not name "Norr Savings Bank"',
        ),
        (
            "unanswerable",
            {"question": "Who paid for the harbour of Norr?", "subject": "the harbour of Norr"},
            'the passage says nothing of "the harbour of Norr"',
        ),
        ("fact", {"quote": "12 metres a year"}, 'the quote is not in the sentence: "12 metres a year"'),
        (
            "fact",
            {"question": "Do the dunes of Ostra move 11 metres in a year?"},
            "the question gives its answer away",
        ),
        ("fact", {"answer": "word " * 81}, "the answer has 81 words, more than 80"),
        ("fact", {"answer": "z."}, 'the answer says nothing: "z."'),
        ("fact", {"answer": "12 metres."}, "the answer has a number that the sentence has not: 12"),
        ("number", {"answer": "Very fast."}, "the answer has no number"),
        ("number", {"answer": "One metre."}, "the answer has a number that the sentence has not: 1"),
        ("list", {}, "the answer is no list of three things or more"),
        (
            "fact",
            {"question": "How far do the dunes of Ostra move from the Kestrel line?"},
            "it is about the example of the prompt: Kestrel",
        ),
    ],
)
def test_invalid_replies(kind, fields, reason):
    """What is wrong with a reply is said, with the reply."""
    said = []

    def answer(prompt) -> str:
        said.append(reply(detail=offered(prompt)[0], **fields))
        return said[0]

    with pytest.raises(InvalidItemError) as caught:
        write(item(kind), ScriptedLLM(answer), seed=7)
    assert (str(caught.value), caught.value.output) == (reason, said[0])


@pytest.mark.parametrize("said", ["", "none", "[1, 2]", '{"question": "Why', "} {"])
def test_replies_that_are_no_json(said):
    """Text, lists and halves of objects are no items."""
    with pytest.raises(InvalidItemError, match=r"^the reply (is no JSON object|has no )"):
        write(item("fact"), ScriptedLLM(said), seed=7)


def test_paraphrase_keeps_answer_and_sources():
    """A paraphrase is another question with the reference and the sources of the first."""
    original = asked()
    again = item("paraphrase", original=original)
    said = json.dumps({"question": "At what speed does the sand of Ostra travel?"})
    llm = ScriptedLLM(said)
    question = write(again, llm, seed=7).question
    assert (question.reference, question.sources) == ("11 metres a year.", original.question.sources)
    assert question.provenance is not None
    assert question.provenance["paraphrase_of"] == original.question.id
    assert llm.prompts[0].parts[1] == (
        "Question: How fast do the dunes of Ostra move?\nAnswer: 11 metres a year.\nJSON:"
    )
    same = json.dumps({"question": "How fast do the Ostra dunes move?"})
    more = json.dumps({"question": "What is the maximum speed at which Ostra's dunes move?"})
    with pytest.raises(InvalidItemError, match='the paraphrase asks for more than the question: "maximum"'):
        write(again, ScriptedLLM(more), seed=7)
    with pytest.raises(InvalidItemError, match="the paraphrase says the same words again"):
        write(again, ScriptedLLM(same), seed=7)


def test_unanswerable_question():
    """It has no reference and no sources, and asks for one of the details that the seed chose."""

    def said(prompt, which: int = 0) -> str:
        details = offered(prompt)
        asked = {"subject": "the dunes", "detail": details[which], "question": "Who paid for the dunes?"}
        return json.dumps(asked)

    llm = ScriptedLLM(said, lambda prompt: said(prompt, -1))
    question = write(item("unanswerable"), llm, seed=7).question
    assert (question.reference, question.sources, question.answerable) == (None, (), False)
    write(item("unanswerable"), llm, seed=7)
    assert llm.prompts[0] == llm.prompts[1]
    assert len(set(offered(llm.prompts[0]))) == DETAILS_SHOWN
    other = json.dumps({"subject": "the dunes", "detail": "why", "question": "Who paid for the dunes?"})
    with pytest.raises(InvalidItemError, match='the detail is none of those to choose from: "why"'):
        write(item("unanswerable"), ScriptedLLM(other), seed=7)


def test_false_premise():
    """The model sees the false number only; the reference is the true sentence, and declining is right."""

    def says_it(prompt):
        number = prompt.parts[1].rpartition("Number: ")[2].partition("\n")[0]
        return json.dumps({"question": f"Why do the dunes of Ostra move {number} metres a year?"})

    llm = ScriptedLLM(says_it)
    question = write(item("false_premise"), llm, seed=7).question
    assert "11 metres" not in llm.prompts[0].parts[1]
    assert question.reference == f"The question assumes something that is not so. What is true: {OSTRA}"
    assert question.sources == (Source("a.md", None, 0, len(OSTRA), OSTRA),)
    assert not question.answerable
    true = json.dumps({"question": "Why do the dunes of Ostra move 11 metres a year?"})
    with pytest.raises(
        InvalidItemError, match=r"^the question does not take the false number for granted: \d"
    ):
        write(item("false_premise"), ScriptedLLM(true), seed=7)


def test_comparison_has_two_sources():
    """Each quote is looked up in its own sentence."""
    pair = item("comparison", other=target(NORR, start=500))
    said = {
        "first_quote": "11 metres",
        "second_quote": "30 metres",
        "question": "Which dunes move faster, those of Ostra or those of Norr?",
        "answer": "Those of Norr: 30 metres a year, those of Ostra 11.",
    }
    candidate = write(pair, ScriptedLLM(json.dumps(said)), seed=7)
    assert [source.quote for source in candidate.question.sources] == [OSTRA, NORR]
    assert [source.start for source in candidate.question.sources] == [0, 500]
    assert candidate.other == target(NORR, start=500).passage
    with pytest.raises(InvalidItemError, match='the quote is not in the sentence: "30 metres"'):
        write(pair, ScriptedLLM(json.dumps(said | {"first_quote": "30 metres"})), seed=7)


def test_distractor_is_written_as_a_number():
    """Its prompt is that of a number or a fact; the similar sentence is kept for the rule on distractors."""
    llm = ScriptedLLM(reply())
    candidate = write(item("distractor", other=target(NORR, start=500)), llm, seed=7)
    assert llm.prompts[0].parts[0] == PROMPTS["number"].prompt({}).parts[0]
    assert (candidate.kind, candidate.other) == ("distractor", target(NORR, start=500).passage)


# --- the plan ---


def embed(texts):
    """Texts about dunes point one way, others another."""
    vectors = np.array(
        [[1.0, 0.7 * ("Norr" in text), 0.0] if "dunes" in text else [0.0, 0.0, 1.0] for text in texts]
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sentences(count: int) -> list[TargetSentence]:
    names = [head + tail for head in "BDFGHKL" for tail in ("ado", "elin", "iro", "omar", "una", "yx")]
    text = " ".join(
        f"The mill of {names[n]} in the valley grinds {n + 2} sacks of corn each day." for n in range(count)
    )
    return targets_in_turn([passage(text)], 1)


def kept_of(item: PlannedQuestion) -> Candidate:
    from rag_evals.evals.questions.question import Question

    place = Source("a.md", None, item.target.start, item.target.end, item.target.text)
    question = Question(f"q{item.number}", "Why?", "So.", (place,))
    return Candidate(question, item.kind, item.target.passage, None, item.number)


def test_mix_is_reached():
    """With every item kept, the kinds come in the shares of the mix, whatever the number wanted."""
    planner = Planner(sentences(40), {"fact": 50, "number": 30, "paraphrase": 20})
    kept = []
    for _ in range(20):
        kept.append(kept_of(planner.next(kept)))
    kinds = [candidate.kind for candidate in kept]
    assert [kinds.count(kind) for kind in ("fact", "number", "paraphrase")] == [10, 6, 4]
    assert [kinds[:10].count(kind) for kind in ("fact", "number", "paraphrase")] == [5, 3, 2]


def test_each_sentence_is_asked_about_once():
    """The plan ends when no sentence is left, and says so."""
    planner = Planner(sentences(5), {"fact": 50, "number": 50})
    items = [planner.next([]) for _ in range(5)]
    assert len({each.target.start for each in items if each}) == 5
    assert planner.next([]) is None
    assert planner.given_up == {"fact": "no sentence left for it", "number": "no sentence left for it"}


def test_kind_that_never_succeeds_is_given_up():
    """A kind that gives nothing costs six tries; its share goes to the others."""
    planner = Planner(sentences(40), {"list": 0, "number": 50, "false_premise": 50})
    kept = []
    kinds = []
    for _ in range(20):
        planned = planner.next(kept)
        kinds.append(planned.kind)
        if planned.kind == "number":
            kept.append(kept_of(planned))
    assert kinds.count("false_premise") == 6
    assert planner.given_up == {"false_premise": "6 tries gave 0"}


def test_kinds_that_gave_little_go_on_where_nothing_else_is_left():
    """Their sentences are not lost to a run that still wants questions; then nothing is left at all."""
    planner = Planner(sentences(40), {"fact": 40, "comparison": 20, "false_premise": 40}, embed)
    kept = []
    kinds = []
    while planned := planner.next(kept):
        kinds.append(planned.kind)
        if planned.kind == "comparison":
            kept.append(kept_of(planned))
    assert kinds.count("fact") > 6
    assert set(kinds[-(kinds.count("fact") - 6) :]) == {"fact"}
    none = "no sentence left for it"
    assert planner.given_up == {"fact": none, "comparison": none, "false_premise": "6 tries gave 0"}


def test_pairs_are_alike_and_of_two_passages():
    """A comparison takes the sentence of another passage that is most like its own; if there is one."""
    passages = [
        passage(OSTRA),
        passage(NORR, start=500),
        passage("Otters live in the reeds of the lake.", start=900),
    ]
    planner = Planner(targets_in_turn(passages, 1), {"comparison": 100}, embed)
    planned = planner.next([])
    assert planned is not None
    assert planned.other is not None
    assert {planned.target.text, planned.other.text} == {OSTRA, NORR}
    assert planner.next([]) is None
    assert Planner(targets_in_turn(passages, 1), {"comparison": 100}).next([]) is None


# --- the run ---


ODD = Criterion("odd", "The number of the item is even.", 0.0, "at most", "every second one is odd")


def odd(candidate, kept) -> Measured:
    """Measure what no candidate can help: whether its number is odd."""
    return Measured(float(candidate.number % 2), "its number is odd")


def writer(prompt) -> str:
    """A model that asks for the owner of each mill."""
    sentence = prompt.parts[1].rpartition("Sentence: ")[2].removesuffix("\nJSON:")
    owner, number = sentence.split()[3], sentence.split()[8]
    return reply(
        subject=f"the mill of {owner}",
        quote=f"grinds {number} sacks",
        question=f"How many sacks does the mill of {owner} grind?",
        answer=f"{number} sacks.",
    )


class Writer(ScriptedLLM):
    """Writes as long as it is asked to, or until it is interrupted."""

    def __init__(self, *, until: int = 1000, said=writer) -> None:
        super().__init__(*[said] * until, name="writer")


def run(tmp_path: Path, llm=None, *, count=6, header=None, **fields):
    planner = Planner(sentences(30), {"number": 100})
    work = WorkFile(tmp_path / "q.jsonl.work.jsonl", header or {"seed": 7})
    return generate(planner, llm or Writer(), [Rule(ODD, odd)], work, count=count, seed=7, **fields)


def test_run_keeps_as_many_as_wanted(tmp_path):
    """Dropped ones cost one item each; every item is in the work file with its reason and number."""
    outcome = run(tmp_path)
    assert len(outcome.kept) == 6
    assert (outcome.dropped, outcome.invalid, outcome.items) == ({"odd": 5}, 0, 11)
    lines = (tmp_path / "q.jsonl.work.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"type": "work", "schema": 1, "seed": 7}
    done = list(load_work(tmp_path / "q.jsonl.work.jsonl"))
    assert [each.outcome for each in done] == ["kept", "dropped"] * 5 + ["kept"]
    assert (done[1].rule, done[1].value, done[1].threshold, done[1].reason) == (
        "odd",
        1.0,
        0.0,
        "its number is odd",
    )
    assert done[1].candidate is not None


def test_stopped_run_goes_on(tmp_path):
    """What was done before an interruption is not done again, and the end is that of a run in one piece."""
    whole = run(tmp_path / "whole")

    def interrupt(prompt):
        raise KeyboardInterrupt

    broken = ScriptedLLM(*[writer] * 4, interrupt, name="writer")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", broken)
    path = tmp_path / "broken/q.jsonl.work.jsonl"
    with path.open("a") as file:
        file.write('{"type": "item", "num')  # a write that was cut
    llm = Writer()
    outcome = run(tmp_path / "broken", llm)
    assert outcome.resumed == 4
    assert len(llm.prompts) == 7
    assert outcome.kept == whole.kept
    assert path.read_text() == (tmp_path / "whole/q.jsonl.work.jsonl").read_text()


def test_more_are_added_to_a_finished_run(tmp_path):
    """A greater number goes on from a smaller one, with the same first questions."""
    first = run(tmp_path, count=3)
    llm = Writer()
    more = run(tmp_path, llm, count=6)
    assert more.kept[:3] == first.kept
    assert len(llm.prompts) == 6


def test_work_of_other_settings_is_refused(tmp_path):
    """Another seed or model does not go on from it; --restart begins anew."""
    run(tmp_path, count=1)
    other = {"seed": 8, "mix": {"fact": 100}}
    with pytest.raises(GenerationError) as caught:
        run(tmp_path, header=other)
    path = tmp_path / "q.jsonl.work.jsonl"
    assert str(caught.value) == (
        f"{path} holds the work of a run with other settings:\n"
        "  seed: 7 then, 8 now\n"
        '  mix: null then, {"fact":100} now\n'
        "Give the settings of then to go on, --restart to begin anew, or another --out."
    )
    assert run(tmp_path, header=other, restart=True).resumed == 0


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"type": "item"}', '{"type": "item", "candidate": {"kind": 3}}']
)
def test_damaged_work_is_refused(tmp_path, line):
    """A line in the middle that is no item is said with its place."""
    run(tmp_path, count=2)
    path = tmp_path / "q.jsonl.work.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(GenerationError) as caught:
        run(tmp_path)
    assert str(caught.value) == (
        f"{path}:3: not a line of a work file. Give --restart to begin anew, or another --out."
    )


def test_model_that_never_gives_a_valid_item(tmp_path):
    """It is stopped after twelve invalid ones in a row, with the last three shown, fit for a terminal."""
    llm = Writer(said=lambda prompt: "I cannot \x1b[31mhelp.")
    with pytest.raises(GenerationError) as caught:
        run(tmp_path, llm)
    assert len(llm.prompts) == MOST_INVALID
    shown = "  the reply is no JSON object:\n    I cannot \N{REPLACEMENT CHARACTER}[31mhelp.\n"
    assert str(caught.value) == (
        "writer gave no valid item 12 times in a row; the last replies were\n"
        + shown * 3
        + "Use a larger model "
        "(--llm, of a run --evals-model), or other kinds (--kinds). What was kept is kept: the same "
        "command goes on."
    )


def test_documents_run_out(tmp_path):
    """A run that cannot reach its number ends with what it has."""
    outcome = run(tmp_path, count=25)
    assert outcome.is_exhausted
    assert (len(outcome.kept), outcome.items) == (15, 30)
    assert mix_lines({"number": 60, "fact": 40}, outcome) == [
        "kind    wanted  reached  kept  tried",
        "number    60 %    100 %    15     30  no sentence left for it",
        "fact      40 %      0 %     0      0",
    ]


# --- the command ---


@pytest.fixture
def docs(tmp_path, monkeypatch) -> Path:
    """Documents, and a model that writes about them, in place of those of the machine."""
    from rag_evals.rag.pipelines.resources import Resources

    path = tmp_path / "mills.md"
    path.write_text(sentences(30)[0].passage.text)
    monkeypatch.setattr(Resources, "llm", lambda self, config: Writer())
    monkeypatch.setattr(
        Resources, "embedder", lambda self, name: type("E", (), {"embed": staticmethod(embed)})()
    )
    monkeypatch.setattr("rag_evals.evals.generation.generate.default_rules", lambda *given: (Rule(ODD, odd),))
    return path


def generated(docs: Path, *options: str) -> int:
    out = docs.with_name("questions.jsonl")
    return main(["generate", str(docs), "--out", str(out), "--kinds", "number", *options])


def test_command(docs, capsys):
    """The set, its manifest and the work are written; the summary says what was kept and why others fell."""
    assert generated(docs, "--n", "4") == 0
    out = docs.with_name("questions.jsonl")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "1 document, 2 passages, 30 sentences to ask about",
        f"kept 4 of 7 items; 3 dropped, 0 invalid; {lines[1].rpartition('; ')[2]}",
        "  dropped by odd: 3",
        "",
        "kind    wanted  reached  kept  tried",
        "number   100 %    100 %     4      7",
        "",
        f"questions: {out} (4)",
        f"work: {out}.work.jsonl",
    ]
    made = load_set(out)
    assert len(made.questions) == 4
    assert made.manifest is not None
    assert made.manifest.generator == {
        "llm": "writer",
        "llm_fingerprint": Writer().fingerprint,
        "prompt_version": PROMPT_VERSION,
        "seed": 7,
        "mix": {"number": 100},
    }
    text = docs.read_text()
    digest = hashlib.sha256(docs.read_bytes()).hexdigest()
    for question in made.questions:
        (source,) = question.sources
        assert text[source.start : source.end] == source.quote
        assert question.provenance is not None
        assert question.provenance["document_sha256"] == {"mills.md": digest}
    assert generated(docs, "--n", "6") == 0
    assert "kept 6 of 11 items, 7 of them by an earlier run; 5 dropped" in capsys.readouterr().out


def test_same_question_is_kept_once(tmp_path):
    """A question with the very words of one that is kept is dropped before any rule looks at it."""

    def same(prompt) -> str:
        number = prompt.parts[1].rpartition("grinds ")[2].split()[0]
        return reply(
            subject="the mill",
            quote="grinds",
            question="What does the mill grind?",
            answer=f"{number} sacks.",
        )

    outcome = run(tmp_path, Writer(said=same), count=9)
    assert (len(outcome.kept), outcome.dropped) == (1, {"repeated": 29})


def test_command_with_too_little(docs, capsys):
    """Fewer than wanted is exit status 1, and said; more than there are sentences is a wrong call."""
    assert generated(docs, "--n", "20") == 1
    assert "20 were wanted: the documents have nothing left to ask about." in capsys.readouterr().out
    assert generated(docs, "--n", "31") == 4
    assert capsys.readouterr().err.startswith(
        "ERROR: 31 questions are wanted, but the documents can give at most 30: one for each sentence"
    )


def test_command_never_overwrites_what_a_person_wrote(docs, capsys):
    """A file that is not of this command, or that was edited, stays; a wrong name is refused at once."""
    out = docs.with_name("questions.jsonl")
    out.write_text('{"id": "a", "question": "Why?"}\n')
    assert generated(docs, "--n", "4") == 4
    assert capsys.readouterr().err == (
        f"ERROR: {out} is there already and is not of this command: give another --out\n"
    )
    out.unlink()
    assert generated(docs, "--n", "4") == 0
    out.write_text(out.read_text().replace("How many sacks", "What number of sacks"))
    capsys.readouterr()
    assert generated(docs, "--n", "6") == 4
    assert capsys.readouterr().err == (
        f"ERROR: {out} was edited by hand since it was written: give another --out\n"
    )
    assert main(["generate", str(docs), "--out", "a.csv"]) == 4
    assert capsys.readouterr().err == "ERROR: --out a.csv: a question set ends in .jsonl\n"
    assert main(["generate", str(docs), "--n", "0"]) == 4
    assert capsys.readouterr().err == "ERROR: --n 0 is no number of questions: give 1 or more\n"


def test_command_interrupted(docs, capsys, monkeypatch):
    """Ctrl-C is exit status 130 and says that the same command goes on."""
    from rag_evals.rag.pipelines.resources import Resources

    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        Resources, "llm", lambda self, config: ScriptedLLM(writer, writer, interrupt, name="writer")
    )
    assert generated(docs, "--n", "4") == 130
    work = work_path(docs.with_name("questions.jsonl"))
    assert capsys.readouterr().err == (
        f"interrupted: the work is in {work}; the same command goes on from there\n"
    )
    assert len(list(load_work(work))) == 2


def test_dunes_are_whole():
    """The text that other tests of generation are about can be asked about."""
    assert len(targets_in_turn(survey(Corpus((Document("d.md", DUNES, (), "0"),))).passages, 1)) == 4
