"""`rag-evals cache`: what each verb prints, drops and ends with."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from rag_evals.evals.cli.cache import differences
from rag_evals.evals.cli.main import main
from rag_evals.evals.engine.cache import Cache, Maker
from rag_evals.evals.runs.evaluation import answer_to_json
from rag_evals.evals.runs.score import Judgement, Score, judgement_to_json
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical, digest

HOUR, DAY = 3600, 86400
# 2026-07-01 12:00 UTC
NOON = 1782907200.0


def maker(top_k=8, name="baseline", **documents) -> Maker:
    identity = {"knobs": {"top_k": top_k, "chunk_sizes": [160]}, "index": {"documents": documents}}
    return Maker(digest(identity), name, identity)


def key(text: str) -> str:
    return digest(text)


def data(thing: Answer | Judgement) -> bytes:
    form = answer_to_json(thing) if isinstance(thing, Answer) else judgement_to_json(thing)
    return canonical(form).encode()


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def path(home) -> Path:
    return home / "cache.sqlite"


@pytest.fixture
def keep(path):
    """Keep one item at some time."""

    def keep(kind, name, value=b"{}", *, at=NOON, subject="q1", maker=None) -> None:
        cache = Cache(path, clock=lambda: at)
        cache.keep(kind, {key(name): value}, subject=subject, maker=maker)
        cache.close()

    return keep


@pytest.fixture
def run(capsys, home):
    """Run a verb; give status, what was printed, and what was said of errors."""

    def run(*arguments: object) -> tuple[int, list[str], str]:
        folder = ["--baselines", str(home / "baselines")] if "--keep-baselines" in arguments else []
        status = main(["cache", *map(str, arguments), "--home", str(home), *folder])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return run


def left(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT key FROM item")}


@pytest.mark.parametrize("verb", [("stats",), ("prune", "--older-than", "1d"), ("verify",)])
def test_without_a_file(run, path, verb):
    """Nothing kept yet is nothing wrong, and makes nothing."""
    assert run(*verb) == (0, [f"nothing is kept yet: there is no {path}"], "")
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "verb", [("stats",), ("explain", "q1"), ("prune", "--older-than", "1d"), ("verify",)]
)
def test_a_damaged_file(run, path, verb):
    """Every verb says so, with what to do."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    assert run(*verb) == (
        4,
        [],
        f"ERROR: {path} is damaged (file is not a database): nothing is reused from it and nothing kept; "
        "delete it\n",
    )


# --- stats ---


def test_stats(run, keep, path):
    """Items, size and use by kind, and where the bound is."""
    keep("answer", "a")
    keep("answer", "b", at=NOON + DAY)
    keep("vector", "v", b"x" * 5000, at=NOON - DAY, subject=None)
    status, out, err = run("stats")
    assert (status, err) == (0, "")
    assert out[0].split() == ["kind", "items", "size", "oldest", "use", "newest", "use"]
    assert out[1].split() == ["answer", "2", "20", "B", "2026-07-01", "12:00", "2026-07-02", "12:00"]
    assert out[2].split()[:2] == ["vector", "1"]
    assert out[3].split()[:2] == ["all", "3"]
    assert out[3].endswith("2026-06-30 12:00  2026-07-02 12:00")
    assert out[4:] == [
        "",
        f"file: {path}, 28.0 KiB in use; times are UTC",
        "From 1,024 MiB on a run drops what was not used for longest, unless --evals-cache-size says "
        "another size.",
    ]


def test_stats_of_an_empty_file(run, keep, path):
    """A cache that was pruned to nothing has no oldest use."""
    keep("answer", "a")
    run("prune", "--older-than", "1d")
    assert run("stats")[1][1].split() == ["all", "0", "0", "B", "-", "-"]


# --- explain ---

FIRST = Answer("Two of\neight\x1b[2J experts.", (Context("A passage."),))


def test_explain(run, keep, path):
    """Each pipeline and judge with what it made, oldest first, and what was different."""
    one, two = maker(**{"primer.pdf": "a" * 64}), maker(4, **{"primer.pdf": "b" * 64})
    keep("answer", "1", data(FIRST), maker=one)
    keep("written", "w", data(FIRST), maker=one)
    keep("answer", "2", data(Answer("Three.")), maker=two, at=NOON + DAY)
    keep("answer", "3", data(Answer("Four.")), maker=two, at=NOON + 2 * DAY)
    keep("answer", "4", data(Answer("x")), maker=maker(name="auto_merging"))
    keep("answer", "5", data(Answer("y")), maker=one, subject="q2")
    judgement = Judgement((Score("faithfulness", 0.914), Score("relevancy", None, reason="none")))
    keep("scores", "6", data(judgement), maker=Maker("c" * 64, "choice", {}))
    before = Cache(path).entries()
    status, out, err = run("explain", "q1")
    assert (status, err) == (0, "")
    assert out == [
        "question q1; times are UTC",
        "",
        "answer by auto_merging",
        "  made 2026-07-01 12:00, last used 2026-07-01 12:00",
        '    "x"',
        "",
        "answer by baseline",
        "  made 2026-07-01 12:00, last used 2026-07-01 12:00",
        '    "Two of eight\N{REPLACEMENT CHARACTER}[2J experts."',
        "  made 2026-07-02 12:00, last used 2026-07-02 12:00",
        "    index.documents.primer.pdf: changed",
        "    knobs.top_k: 8 -> 4",
        '    "Three."',
        "  made 2026-07-03 12:00, last used 2026-07-03 12:00",
        "    made by the same: what it was given is another (question, repeat, answer or passages)",
        '    "Four."',
        "",
        "scores by choice",
        "  made 2026-07-01 12:00, last used 2026-07-01 12:00",
        "    faithfulness 0.91, relevancy unscored",
    ]
    # Explaining is no use of what is explained.
    assert Cache(path).entries() == before


def test_explain_what_cannot_be_read(run, keep, path):
    """An item that is damaged, or of another version, is said to be so."""
    keep("answer", "1", b'{"other": 1}')
    keep("answer", "2", b"no JSON", at=NOON + 1)
    keep("scores", "3", maker=Maker("f", "mine", {}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE item SET value = X'0000' WHERE kind = 'scores'")
    status, out, _ = run("explain", "q1")
    assert status == 0
    assert [line for line in out if line.startswith("    ")] == [
        *["    of another form: made by another version of rag-evals"] * 2,
        "    damaged: `rag-evals cache verify` drops it",
    ]
    assert "answer by something unknown" in out


@pytest.mark.parametrize(
    ("asked", "known", "hint"),
    [
        ("experts-per-tokn", ("experts-per-token", "router"), "did you mean 'experts-per-token'?"),
        ("zzz", ("d", "c", "b", "a"), "it knows 4 ids, such as 'a', 'b', 'c'"),
        ("zzz", (None,), "it knows no question at all"),
    ],
)
def test_explain_an_unknown_question(run, keep, path, asked, known, hint):
    """Ids that are close are named, else some that are there."""
    for subject in known:
        keep("answer", str(subject), subject=subject)
    error = f"ERROR: nothing is kept about a question {asked!r} in {path}: {hint}\n"
    assert run("explain", asked) == (4, [], error)


LONG = "Look for the answer in every passage. Answer in one or two sentences, in the words of the passages."


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2.5}}, ["a.b: 1 -> 2.5"]),
        ({"llm": "a" * 64}, {"llm": "b" * 64}, ["llm: aaaaaaaa… -> bbbbbbbb…"]),
        ({"r": "none"}, {"r": "llm"}, ["r: none -> llm"]),
        ({"sizes": [160]}, {"sizes": [512, 128]}, ["sizes: [160] -> [512, 128]"]),
        ({"sizes": []}, {"sizes": [1]}, ["sizes: [] -> [1]"]),
        ({"w": [["a", "b"], ["c", "d"]]}, {"w": [["a", "b"], ["c", "e"]]}, ['w.1: ["c", "d"] -> ["c", "e"]']),
        ({"card": None}, {"card": "a" * 64}, ["card: null -> aaaaaaaa…"]),
        ({}, {"a": 1, "b": "c" * 64}, ["a: new, 1", "b: new"]),
        ({"a": 1}, {}, ["a: gone"]),
        ({"d": {}}, {"d": {"x.md": "a" * 64}}, ["d.x.md: new"]),
        (
            {"i": LONG},
            {"i": LONG.replace("two sentences", "three sentences")},
            [
                "i: …Answer in one or two sentences, in the … -> …Answer in one or three sentences, in th…",
            ],
        ),
    ],
)
def test_differences(before, after, expected):
    """One line for each thing that is another, as short as it can be."""
    assert differences(Maker("1", "x", before), Maker("2", "x", after)) == expected


def test_differences_of_what_says_nothing():
    """A user's own pipeline without an identity changed all the same."""
    assert differences(Maker("a" * 64, "x", {}), Maker("v2", "x", {})) == [
        "fingerprint: aaaaaaaa… -> v2 (it does not say what it is made of)"
    ]


def test_many_differences(run, keep):
    """Ten are shown, the others counted."""
    keep("answer", "1", data(FIRST), maker=maker(**{f"{n}.md": "a" * 64 for n in range(30)}))
    keep("answer", "2", data(FIRST), maker=maker(**{f"{n}.md": "b" * 64 for n in range(30)}), at=NOON + 1)
    out = run("explain", "q1")[1]
    assert sum(line.endswith(": changed") for line in out) == 10
    assert "    and 20 more" in out


# --- prune ---


@pytest.mark.parametrize(
    ("age", "gone"),
    [("12h", ["d", "w", "y"]), ("36h", ["w", "y"]), ("1w", ["y"]), ("8d", ["y"]), ("60w", [])],
)
def test_prune(run, keep, path, age, gone):
    """What was not used for so long goes; the others stay."""
    ages = {"h": HOUR, "d": DAY + HOUR, "w": 6 * DAY, "y": 365 * DAY}
    for name, seconds in ages.items():
        keep("answer", name, at=time.time() - seconds)
    status, out, err = run("prune", "--older-than", age)
    assert (status, err) == (0, "")
    assert out == [
        f"dropped {len(gone)} of 4 items: not used for {age}",
        f"file: {path}, 28.0 KiB in use",
    ]
    assert left(path) == {key(name) for name in ages if name not in gone}


@pytest.mark.parametrize("age", ["", "30", "d", "30m", "-1d", "1.5d", "1d2h", "9999999d"])
def test_a_time_of_another_form(run, keep, path, age):
    """It is refused, and nothing goes."""
    keep("answer", "a", at=0)
    status, out, err = run("prune", f"--older-than={age}")
    assert (status, out) == (4, [])
    assert err == f"ERROR: --older-than {age}: write a number and h, d or w, such as 12h, 30d or 8w\n"
    assert left(path) == {key("a")}


def baseline(home: Path, *lines: object, name="main.jsonl") -> Path:
    file = home / "baselines" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    file.write_text("".join(f"{text}\n" for text in texts))
    return file


def test_what_baselines_stand_on_is_spared(run, keep, path, home):
    """The items of every baseline stay, unless nobody asked for that."""
    for name in ("a", "b", "c", "d", "e"):
        keep("answer", name, at=0)
    baseline(
        home,
        {"type": "run"},
        {"type": "evaluation", "keys": {"answer": key("a"), "scores": key("b")}},
        {"type": "evaluation", "keys": {"answer": key("a"), "scores": None}},
        {"type": "evaluation", "keys": None},
        {"type": "end"},
    )
    baseline(home, {"type": "evaluation", "keys": {"answer": key("c")}}, name="other.jsonl")
    status, out, _ = run("prune", "--older-than", "1d", "--keep-baselines")
    assert status == 0
    assert out[0] == "dropped 2 of 5 items: not used for 1d, without the 3 that baselines were made from"
    assert left(path) == {key("a"), key("b"), key("c")}
    assert run("prune", "--older-than", "1d")[1][0] == "dropped 3 of 3 items: not used for 1d"


def test_without_baselines(run, keep):
    """Where there are none, none are spared."""
    keep("answer", "a", at=0)
    out = run("prune", "--older-than", "1d", "--keep-baselines")[1]
    assert out[0] == "dropped 1 of 1 items: not used for 1d, without the 0 that baselines were made from"


def test_a_damaged_baseline(run, keep, path, home):
    """Nothing is dropped while it is not known what must stay; every offender is named."""
    keep("answer", "a", at=0)
    file = baseline(home, {"type": "run"}, "{broken", [1], {"keys": "x"}, {"keys": {"answer": 1}})
    (file.parent / "folder.jsonl").mkdir()
    status, out, err = run("prune", "--older-than", "1d", "--keep-baselines")
    assert (status, out) == (4, [])
    assert err.splitlines() == [
        "ERROR: baselines cannot be read, so nothing is dropped:",
        f"  {file.parent}/folder.jsonl: Is a directory",
        f"  {file}:2: is not JSON",
        f"  {file}:3: is no object",
        f"  {file}:4: keys is no object of texts",
        f"  {file}:5: keys is no object of texts",
    ]
    assert left(path) == {key("a")}


def test_prune_beside_a_run(run, keep, path):
    """Somebody else's lock is said: nothing was dropped."""
    keep("answer", "a", at=0)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        status, out, err = run("prune", "--older-than", "1d")
    assert (status, out) == (4, [])
    assert err.startswith(f"ERROR: {path} is locked by another process")
    assert left(path) == {key("a")}


# --- verify ---


def test_verify(run, keep, path):
    """All whole is status 0; what is damaged is named and dropped, with status 1."""
    keep("answer", "a")
    keep("vector", "v", subject=None)
    keep("scores", "s", subject="q\x1b")
    assert run("verify") == (0, [f"3 items whole, 0 damaged: {path}"], "")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE item SET value = X'00' WHERE kind != 'answer'")
    assert run("verify") == (
        1,
        [
            "damaged and dropped: vector, made 2026-07-01 12:00 UTC",
            "damaged and dropped: scores about q\N{REPLACEMENT CHARACTER}, made 2026-07-01 12:00 UTC",
            f"1 item whole, 2 damaged: {path}",
        ],
        "",
    )
    assert run("verify")[0] == 0


def test_a_verb_is_needed(capsys):
    """Without one the usage is shown."""
    with pytest.raises(SystemExit):
        main(["cache"])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
