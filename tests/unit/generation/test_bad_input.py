"""What `rag-evals generate` says of documents that give nothing, and of models that give nothing valid."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rag_evals.evals.cli.main import main
from rag_evals.evals.generation import generate as making
from rag_evals.evals.generation.generate import MOST_FRUITLESS, MOST_INVALID
from rag_evals.evals.generation.rules.rule import Criterion, Measured, Rule
from rag_evals.evals.generation.work_file import load_work, work_path
from rag_evals.evals.questions.question_set import load_set
from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.pipelines.resources import Resources

from tests.unit.of_rag.documents.test_read import pdf, scanned

READ = "read are .pdf, .md, .markdown, .txt, .html, .htm, .xhtml, .docx, .pptx, .epub\n"
ENGLISH = (
    "Questions are written from running English text, in passages of at least 30 words: "
    "give documents that have some.\n"
)
GERMAN = "Die Dünen wandern jedes Jahr elf Meter auf den See zu, und niemand hält sie auf. "
JAPANESE = "砂丘は毎年十一メートル湖に向かって移動する。柳の帯は千九百四年に砂を止めるために植えられた。"
NAMES = [head + tail for head in "BDFGHKL" for tail in ("ado", "elin", "iro", "omar", "una", "yx")]
ANY = Criterion("odd", "whether it is odd", 0.5, "at least", "for the test")


def mills(count: int) -> str:
    """Text with so many sentences that can be asked about."""
    return " ".join(
        f"The mill of {NAMES[n]} in the valley grinds {n + 2} sacks of corn each day." for n in range(count)
    )


def write_question(prompt) -> str:
    """Ask for what the mill of the sentence grinds."""
    sentence = prompt.parts[1].rpartition("Sentence: ")[2].removesuffix("\nJSON:")
    owner, number = sentence.split()[3], sentence.split()[8]
    return json.dumps(
        {
            "subject": f"the mill of {owner}",
            "quote": f"grinds {number} sacks",
            "question": f"How many sacks does the mill of {owner} grind?",
            "answer": f"{number} sacks.",
        }
    )


def embed(texts) -> np.ndarray:
    """No two texts are alike."""
    return np.eye(len(texts), dtype=np.float32)


@pytest.fixture
def generate(tmp_path, monkeypatch) -> Callable[..., tuple[int, ScriptedLLM]]:
    """The command in a folder of its own, with a model by script and without rules unless some are given."""
    monkeypatch.chdir(tmp_path)

    def run(docs, *options, said=write_question, rules=(), calls=400) -> tuple[int, ScriptedLLM]:
        llm = ScriptedLLM(*[said] * calls, name="writer")
        monkeypatch.setattr(Resources, "llm", lambda self, config: llm)
        embedder = type("Embedder", (), {"embed": staticmethod(embed)})()
        monkeypatch.setattr(Resources, "embedder", lambda self, name: embedder)
        monkeypatch.setattr(making, "default_rules", lambda *given: rules)
        given = ["generate", str(docs), "--out", "q.jsonl", "--home", "home", "--kinds", "number", *options]
        return main(given), llm

    return run


def refused(generate, capsys, docs, *options, **fields) -> str:
    """Return what is said of a call that ends with exit status 4 before any model is called."""
    status, llm = generate(docs, *options, **fields)
    assert (status, llm.prompts) == (4, [])
    assert not Path("q.jsonl").exists()
    return capsys.readouterr().err


# --- documents that give nothing ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Short.", "1 document of 1 word\n  fragments: 1 word\n"),
        (
            "The lake is fed by two springs that never freeze.",
            "1 document of 10 words\n  passages of fewer than 30 words: 10 words\n",
        ),
        (GERMAN * 4, "1 document of 64 words\n  text that is not English: 64 words\n"),
        (JAPANESE * 4, "1 document of 184 words\n  text that is not English: 184 words\n"),
        (
            f"# 砂丘\n\n{JAPANESE}\n\n{GERMAN * 3}\n",
            "1 document of 97 words\n  text that is not English: 94 words\n",
        ),
        (
            "# Mills\n\n| mill | sacks |\n|---|---|\n" + "| Norr | 12 |\n" * 9 + "\n12 13 14 15 16\n",
            "1 document of 58 words\n  tables and rows of numbers: 56 words\n",
        ),
        (
            "and so the wind takes the sand of the dunes to the lake and the lake takes it in " * 3,
            "1 document of 57 words\n  text without whole sentences: 57 words\n",
        ),
    ],
    ids=["one word", "one sentence", "German", "Japanese", "two languages", "tables", "no sentence"],
)
def test_text_that_gives_nothing(generate, capsys, text, message):
    """The error says what there is instead, in words, before a model is loaded."""
    Path("a.md").write_text(text)
    assert refused(generate, capsys, "a.md") == f"ERROR: no passage to ask about in {message}{ENGLISH}"


def test_english_beside_other_languages(generate, capsys):
    """Only what is English is asked about."""
    Path("a.md").write_text(f"{GERMAN * 3}\n\n{mills(4)}\n\n{JAPANESE}\n")
    status, _ = generate("a.md", "--n", "4")
    assert status == 0
    assert capsys.readouterr().out.startswith("1 document, 1 passage, 4 sentences to ask about\nkept 4 of 4")


def test_nothing_to_read(generate, capsys):
    """A missing path, an empty folder, one with nothing of use in it, an empty file, a PDF of images."""
    Path("empty").mkdir()
    Path("pictures").mkdir()
    Path("pictures/lake.png").write_bytes(b"\x89PNG")
    Path("empty.md").write_text("")
    Path("blank.md").write_text(" \n")
    Path("scan.pdf").write_bytes(scanned(2))
    Path("half.pdf").write_bytes(pdf(mills(3))[:200])
    Path("mills.xlsx").write_bytes(b"PK")
    said = {
        name: refused(generate, capsys, name)
        for name in ("nowhere", "empty", "pictures", "empty.md", "blank.md", "scan.pdf", "mills.xlsx")
    }
    assert said == {
        "nowhere": "ERROR: no such file or folder: nowhere\n",
        "empty": f"ERROR: no readable document in empty\n{READ}",
        "pictures": f"ERROR: no readable document in pictures\n{READ}",
        "empty.md": f"ERROR: no readable document in empty.md\n  empty.md: is empty\n{READ}",
        "blank.md": f"ERROR: no readable document in blank.md\n  blank.md: has no text\n{READ}",
        "scan.pdf": (
            "ERROR: no readable document in scan.pdf\n"
            f"  scan.pdf: has no text layer (2 pages of images); run OCR first\n{READ}"
        ),
        "mills.xlsx": (
            f'ERROR: no readable document in mills.xlsx\n  mills.xlsx: has the suffix ".xlsx"\n{READ}'
        ),
    }
    assert refused(generate, capsys, "half.pdf").startswith(
        "ERROR: no readable document in half.pdf\n  half.pdf: is not a readable PDF"
    )


def test_unreadable_beside_readable(generate, capsys):
    """What cannot be read is named, and the rest is asked about."""
    Path("docs").mkdir()
    Path("docs/scan.pdf").write_bytes(scanned(1))
    Path("docs/mills.md").write_text(mills(5))
    assert generate("docs", "--n", "3")[0] == 0
    said = capsys.readouterr()
    assert said.err == "left out scan.pdf: has no text layer (1 page of images); run OCR first\n"
    assert said.out.startswith("1 document, 1 passage, 5 sentences to ask about\n")


def test_more_than_there_is(generate, capsys):
    """More questions than sentences are refused, with how many there can be and why not more."""
    Path("docs").mkdir()
    for name in ("a.md", "b.md"):
        Path("docs", name).write_text(f"{mills(6)}\n\nShort.\n")
    Path("docs/c.md").write_text(GERMAN * 4)
    assert refused(generate, capsys, "docs", "--n", "60") == (
        "b.md: the same text as a.md\n"
        "ERROR: 60 questions are wanted, but the documents can give at most 6: one for each sentence that "
        "can be asked about by itself, of 1 passage in 3 documents of 234 words\n"
        "  left out: text that is not English: 64 words\n"
        "  left out: fragments: 1 word\n"
        "  left out: b.md: the same text as a.md\n"
        "Ask for 6 or fewer, or give more documents.\n"
    )


# --- duplicates ---


def test_nearly_the_same_document(generate, capsys):
    """A copy with a few other words in every sentence gives nothing: its answers would stand in both."""
    Path("docs").mkdir()
    Path("docs/first.md").write_text(mills(12))
    Path("docs/second.md").write_text(mills(12).replace("each day", "each morning"))
    Path("docs/third.md").write_text(f"{mills(12)} Nobody knows what the mills of the valley did before.")
    assert generate("docs", "--n", "12")[0] == 0
    assert capsys.readouterr().out.startswith("3 documents, 1 passage, 12 sentences to ask about\n")
    assert {source.document for one in load_set(Path("q.jsonl")).questions for source in one.sources} == {
        "first.md"
    }


def test_other_facts_in_the_same_form_are_no_copies(generate, capsys):
    """Sentences of one document that differ in names and numbers only say different things."""
    Path("mills.md").write_text(mills(40))
    assert generate("mills.md", "--n", "40")[0] == 0
    assert capsys.readouterr().out.startswith("1 document, 3 passages, 40 sentences to ask about\n")


# --- long documents ---


def test_two_thousand_pages(generate, capsys):
    """A PDF of 2,000 pages: model calls as many as questions, seconds and megabytes bounded."""
    lines = [f"The mill of {NAMES[n]} on page PAGE grinds {n + 2} sacks of corn a day." for n in range(8)]
    pages = ["\n".join(lines).replace("PAGE", str(number)) for number in range(1, 2001)]
    Path("long.pdf").write_bytes(pdf(*pages))
    start = time.perf_counter()

    def ask(prompt) -> str:
        words = prompt.parts[1].rpartition("Sentence: ")[2].split()
        return json.dumps(
            {
                "subject": "the mill",
                "quote": f"grinds {words[8]} sacks",
                "question": f"What does the mill of {words[3]} on page {words[6]} grind?",
                "answer": f"{words[8]} sacks.",
            }
        )

    status, llm = generate("long.pdf", "--n", "6", said=ask)
    seconds = time.perf_counter() - start
    assert (status, len(llm.prompts)) == (0, 6)
    assert seconds < 60
    assert capsys.readouterr().out.startswith("1 document, 1318 passages, 16000 sentences to ask about\n")
    made = load_set(Path("q.jsonl")).questions
    numbers = [source.page for one in made for source in one.sources]
    assert len(set(numbers)) == 6
    assert max(number or 0 for number in numbers) > 500
    for one in made:
        words = re.findall(r"page (\d+)", one.question)
        assert [str(source.page) for source in one.sources] == words
    assert work_path(Path("q.jsonl")).stat().st_size < 20_000


def test_memory_of_a_survey_is_bounded():
    """Passages and sentences take so many times the text, however many pages there are."""
    from rag_evals.evals.generation.generate import GenerationRequest, surveyed_corpus
    from rag_evals.rag.documents.document import Corpus, Document

    pages = [mills(20).replace("valley", f"valley of {NAMES[n % 40]} {n}") for n in range(200)]
    texts = ["\n\n".join(pages[:100]), "\n\n".join(pages[100:])]
    corpus = Corpus(tuple(Document(f"{n}.md", text, (), str(n)) for n, text in enumerate(texts)))
    order = GenerationRequest(Path("q.jsonl"), 20, {"number": 100}, 7)
    tracemalloc.start()
    try:
        material = surveyed_corpus(order, corpus)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert material.line == "2 documents, 400 passages, 4000 sentences to ask about"
    assert most < 15 * sum(map(len, texts))


# --- models that give nothing ---


def test_model_that_never_gives_a_valid_item(generate, capsys):
    """It is stopped after a dozen, with the last three replies; the same command tries again."""
    Path("mills.md").write_text(mills(40))
    status, llm = generate("mills.md", "--n", "5", said=lambda prompt: "I cannot help with that.")
    assert (status, len(llm.prompts)) == (4, MOST_INVALID)
    assert capsys.readouterr().err == (
        "ERROR: writer gave no valid item 12 times in a row; the last replies were\n"
        + "  the reply is no JSON object:\n    I cannot help with that.\n" * 3
        + "Use a larger model (--llm, of a run --evals-model), or other kinds (--kinds). What was kept is "
        "kept: the same command "
        "goes on.\n"
    )
    assert not Path("q.jsonl").exists()
    assert generate("mills.md", "--n", "5")[0] == 0
    assert len(load_set(Path("q.jsonl")).questions) == 5


def test_model_whose_questions_are_all_dropped(generate, capsys):
    """It is stopped as well: 2,000 pages would be gone through for nothing."""
    names = [f"{one}{other.lower()}" for one in NAMES for other in NAMES][:400]
    lines = [
        f"The mill of {name} in the valley grinds {n} sacks of corn each day."
        for n, name in enumerate(names, 2)
    ]
    Path("mills.md").write_text(" ".join(lines))
    rule = Rule(ANY, lambda candidate, kept: Measured(float(candidate.number < 2), "it is too much alike"))
    status, llm = generate("mills.md", "--n", "50", rules=(rule,))
    assert (status, len(llm.prompts)) == (4, MOST_FRUITLESS + 2)
    said = capsys.readouterr().err
    questions = re.findall(r"How many sacks does the mill of \w+ grind\?", said)
    assert said == (
        "ERROR: of the last 100 items none was kept (odd 100); the last ones were\n"
        + "".join(f"  odd: it is too much alike:\n    {question}\n" for question in questions)
        + "Use a larger model (--llm, of a run --evals-model), or other kinds (--kinds). What was kept is "
        "kept: the same command "
        "goes on.\nAsked for 2, it gives a set of the questions that there are.\n"
    )
    assert len(questions) == 3
    assert generate("mills.md", "--n", "2", rules=(rule,))[0] == 0
    assert len(load_set(Path("q.jsonl")).questions) == 2


@pytest.mark.parametrize("said", ['{"question": "Why \\ud800?"', "half of a pair: \ud800"])
def test_replies_that_cannot_be_written(generate, said, capsys):
    """Half of a surrogate pair is no character: the item is invalid, its work is kept, nothing breaks."""
    Path("mills.md").write_text(mills(40))
    rest = ', "subject": "a", "quote": "b", "answer": "c"}' if said.startswith("{") else ""
    assert generate("mills.md", "--n", "5", said=lambda prompt: said + rest)[0] == 4
    done = list(load_work(work_path(Path("q.jsonl"))))
    assert len(done) == MOST_INVALID
    assert {one.output for one in done} == {said + rest}
    reason = "the question holds half of a surrogate pair, which is no character" if rest else None
    assert {one.reason for one in done} == {reason or "the reply is no JSON object"}
    capsys.readouterr().err.encode()
