"""The store: what is kept is there again, and no trouble with the file is ever an error of the run."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from rag_evals.evals.engine import cache_database
from rag_evals.evals.engine.cache import Cache, Entry, Maker

MAKER = Maker("f" * 64, "baseline", {"knobs": {"top_k": 8}})
# Seconds that a call may take at most: the patience, and something for a busy machine.
AT_MOST = 1.5


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "home" / "cache.sqlite"


@pytest.fixture
def cache(path, clock) -> Iterator[Cache]:
    cache = Cache(path, clock=clock)
    yield cache
    cache.close()


def reopened(path: Path, clock=time.time, **options) -> Cache:
    return Cache(path, clock=clock, **options)


def sql(path: Path, query: str, *values) -> list:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(query, values).fetchall()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not get smaller when they are compressed."""
    return random.Random(seed).randbytes(size)


def test_what_is_kept_is_there_again(cache, path):
    """In this process and in the next one; what was never kept is not there."""
    cache.keep("answer", {"a": b"A", "b": b"", "c": noise(100_000)})
    for one in (cache, reopened(path)):
        assert one.recall("answer", ["c", "a", "gone", "b"]) == {"a": b"A", "b": b"", "c": noise(100_000)}
        one.close()


def test_nothing_is_made_by_looking(path):
    """Without anything to keep there is no file and no folder, and nothing is wrong."""
    cache = Cache(path)
    assert cache.recall("answer", ["a"]) == {}
    assert (cache.entries(), cache.recent("answer", "x"), cache.verify(), cache.size) == ([], [], [], 0)
    assert cache.prune(unused_since=1e12) == 0
    cache.keep("answer", {})
    cache.close()
    assert cache.problem is None
    assert not path.parent.exists()


def test_the_folder_is_ignored_by_git(cache, path):
    """What is kept is nobody else's."""
    cache.keep("answer", {"a": b"A"})
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_more_keys_than_sqlite_takes_at_once(cache, path):
    """Far more than the variables of one question to SQLite."""
    items = {f"k{n}": str(n).encode() for n in range(40_000)}
    cache.keep("vector", items)
    assert cache.recall("vector", [*items, "gone"]) == items
    assert cache.recall("vector", []) == {}


def test_kinds_are_apart(cache):
    """One key of two kinds is two items."""
    cache.keep("answer", {"a": b"answer"})
    cache.keep("scores", {"a": b"scores"})
    assert cache.recall("answer", ["a"]) == {"a": b"answer"}
    assert cache.recall("scores", ["a"]) == {"a": b"scores"}
    assert cache.recall("vector", ["a"]) == {}


def test_the_latest_counts(cache):
    """What is kept again takes the place of what was there."""
    cache.keep("answer", {"a": b"old"})
    cache.keep("answer", {"a": b"new"})
    assert cache.recall("answer", ["a"]) == {"a": b"new"}
    assert len(cache.entries()) == 1


def test_refreshing(cache, path, clock):
    """Items of before count as absent, by kind; what is made anew counts, even in the same moment."""
    cache.keep("answer", {"a": b"old", "b": b"old"})
    cache.keep("scores", {"a": b"old"})
    clock.now += 10
    fresh = reopened(path, clock, since={"answer": clock.now})
    assert fresh.recall("answer", ["a", "b"]) == {}
    assert fresh.recall("scores", ["a"]) == {"a": b"old"}
    fresh.keep("answer", {"a": b"new"})
    assert fresh.recall("answer", ["a", "b"]) == {"a": b"new"}
    fresh.close()
    # In the next run that refreshes nothing, what was not made anew is as good as before.
    assert cache.recall("answer", ["a", "b"]) == {"a": b"new", "b": b"old"}


def test_entries(cache, clock):
    """Each item says when it was made and used, of what size, by what and about which question."""
    cache.keep("answer", {"a": b"A" * 1000}, subject="q1", maker=MAKER)
    clock.now += 5
    cache.keep("vector", {"v": b"V"})
    size = len(zlib.compress(b"A" * 1000, 1))
    one = Entry("answer", "a", "q1", MAKER, 1000.0, 1000.0, size)
    two = Entry("vector", "v", None, None, 1005.0, 1005.0, len(zlib.compress(b"V", 1)))
    assert cache.entries() == [one, two]
    assert cache.entries("q1") == [one]
    assert cache.entries("q2") == []


def test_recent(cache):
    """The latest of one maker come first, however often its settings changed."""
    for n in range(5):
        cache.keep("answer", {str(n): str(n).encode()}, maker=Maker(f"f{n}", "mine", {}))
    cache.keep("answer", {"x": b"x"}, maker=Maker("g", "other", {}))
    assert cache.recent("answer", "mine", 3) == [b"4", b"3", b"2"]
    assert cache.recent("scores", "mine") == []


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"path": Odd()}, {"path": "odd"}),
        ({"documents": {"caf\udce9.md": "a"}}, {"documents": {"caf\udce9.md": "a"}}),
        ({1: 2, "a": 3}, {"1": 2, "a": 3}),
        ({("a",): 2}, {}),
        ({"url": "https://me:hunter2@host", "api_key": "x"}, {"url": "https://***@host", "api_key": "***"}),
    ],
    ids=["no JSON", "a name that is no Unicode", "keys that cannot be sorted", "odd keys", "secrets"],
)
def test_makers_of_any_kind(cache, identity, expected):
    """A user's own pipeline says what it likes about itself: the item is kept all the same."""
    cache.keep("answer", {"a": b"A"}, subject="q", maker=Maker("f", "mine", identity))
    (entry,) = cache.entries("q")
    assert entry.maker == Maker("f", "mine", expected)
    assert cache.problem is None


def test_ids_and_names_that_are_no_unicode(cache):
    """Half of a surrogate pair in an id or a name is found again."""
    cache.keep("answer", {"a": b"A"}, subject="q\ud800", maker=Maker("f", "caf\udce9", {}))
    assert [entry.key for entry in cache.entries("q\ud800")] == ["a"]
    assert cache.recent("answer", "caf\udce9") == [b"A"]
    assert cache.problem is None


# --- damage ---


def test_a_damaged_value_is_absent(cache, path, clock):
    """It is made anew and takes the damaged one's place; the others are untouched."""
    cache.keep("answer", {"a": b"A" * 100, "b": b"B"}, subject="q")
    value = sql(path, "SELECT value FROM item WHERE key = 'a'")[0][0]
    sql(path, "UPDATE item SET value = ? WHERE key = 'a'", value[:-2] + bytes(2))
    assert cache.recall("answer", ["a", "b"]) == {"b": b"B"}
    (found,) = cache.verify()
    assert (found.kind, found.key, found.subject) == ("answer", "a", "q")
    assert [entry.key for entry in cache.entries()] == ["b"]
    assert cache.verify() == []
    cache.keep("answer", {"a": b"again"})
    assert cache.recall("answer", ["a"]) == {"a": b"again"}
    assert cache.problem is None


def test_verify_reads_everything(cache, path):
    """Every damaged value is found, wherever it lies, and a value that is no bytes."""
    cache.keep("vector", {str(n): noise(50, n) for n in range(1600)})
    sql(path, "UPDATE item SET value = X'00' WHERE key IN ('0', '499', '500', '1599')")
    sql(path, "UPDATE item SET value = 'text' WHERE key = '7'")
    assert cache.recall("vector", ["7", "8"]) == {"8": noise(50, 8)}
    assert {entry.key for entry in cache.verify()} == {"0", "7", "499", "500", "1599"}
    assert len(cache.entries()) == 1595


def is_damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged ({reason}): nothing is reused from it and nothing kept; delete it"


def nothing_works(cache: Cache) -> None:
    """Use every method of a cache whose file cannot be used: none of them raises, none of them gives."""
    assert cache.recall("answer", ["a"]) == {}
    cache.keep("answer", {"a": b"A"})
    assert cache.recall("answer", ["a"]) == {}
    assert (cache.entries(), cache.recent("answer", "x"), cache.verify()) == ([], [], [])
    assert (cache.prune(unused_since=0), cache.size) == (0, 0)
    cache.close()


@pytest.mark.parametrize("text", [b"no database" * 50, b"this is no database" * 400], ids=["short", "long"])
def test_a_file_that_is_no_database(path, text):
    """It is said, and left as it is."""
    path.parent.mkdir()
    path.write_bytes(text)
    cache = Cache(path)
    nothing_works(cache)
    assert cache.problem == is_damaged(path, "file is not a database")
    assert path.read_bytes() == text


def test_a_file_of_something_else(path):
    """A database of another program is none of ours."""
    path.parent.mkdir()
    sql(path, "PRAGMA user_version = 1")
    cache = Cache(path)
    nothing_works(cache)
    assert cache.problem == is_damaged(path, "no such table: item")


def test_an_empty_file(path):
    """One that a full disk or a killed process left empty is a new one."""
    path.parent.mkdir()
    path.touch()
    cache = Cache(path)
    cache.keep("answer", {"a": b"A"})
    assert cache.recall("answer", ["a"]) == {"a": b"A"}
    assert cache.problem is None
    cache.close()


def test_a_truncated_file(path):
    """What is cut off is noticed; the run goes on without."""
    before = Cache(path)
    before.keep("answer", {str(n): noise(5000, n) for n in range(100)})
    before.close()
    os.truncate(path, path.stat().st_size // 2)
    cache = Cache(path)
    cache.recall("answer", [str(n) for n in range(100)])
    nothing_works(cache)
    assert cache.problem == is_damaged(path, "database disk image is malformed")


def test_a_damaged_page_is_found(path):
    """Verifying finds what no item has been read from yet."""
    before = Cache(path)
    before.keep("answer", {str(n): noise(5000, n) for n in range(100)})
    before.close()
    with path.open("r+b") as file:
        for page in range(2, 20):
            file.seek(page * 4096)
            file.write(bytes(8))
    cache = Cache(path)
    assert cache.verify() == []
    assert cache.problem is not None
    assert cache.problem.startswith(f"{path} is damaged (")
    assert "\n" not in cache.problem
    nothing_works(cache)


NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            [
                "ALTER TABLE item RENAME TO kept",
                f"CREATE VIEW item AS {NUMBERS} SELECT x AS id, 'answer' AS kind, 'a' AS key FROM n",
            ],
            "view item",
        ),
        (
            [
                "CREATE TRIGGER t AFTER UPDATE ON item BEGIN "
                "INSERT INTO maker SELECT a.key, b.key, c.key FROM item a, item b, item c; END"
            ],
            "trigger t",
        ),
        (
            ["DROP TABLE item", "CREATE TABLE item (id, kind, key, value AS (zeroblob(1000000000)), used)"],
            "table item",
        ),
    ],
    ids=["view", "trigger", "computed"],
)
def test_tables_that_compute_are_not_read(changes, what, cache, path):
    """A file with tables that never end is none of ours: nothing is asked of it."""
    cache.keep("answer", {"a": b"A"})
    cache.close()
    for change in changes:
        sql(path, change)
    later = Cache(path)
    nothing_works(later)
    assert later.problem == is_damaged(path, f"its {what} is none of a cache")


def test_a_pipe_in_its_place(path):
    """A pipe is not waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    cache = Cache(path)
    nothing_works(cache)
    assert cache.problem is not None
    assert "(it is no plain file)" in cache.problem


def test_a_newer_file(cache, path):
    """A file of a later version is neither read nor written."""
    cache.keep("answer", {"a": b"A"})
    cache.close()
    sql(path, "PRAGMA user_version = 2")
    before = path.read_bytes()
    later = Cache(path)
    nothing_works(later)
    assert later.problem == (
        f"{path} was made by a newer rag-evals (version 2 of it, this one knows 1): nothing is reused "
        "from it and nothing kept; upgrade, or give another folder with --evals-home"
    )
    assert path.read_bytes() == before


# --- the disk ---


def cannot_be_written(path: Path, reason: str, way: str = "written") -> str:
    return (
        f"{path} cannot be {way} ({reason}): what is made in this run will be made again; make room, or give "
        "another folder with --evals-home"
    )


def test_a_folder_that_cannot_be_made(tmp_path):
    """The home lies below a file: nothing is kept, and that is said."""
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "home" / "cache.sqlite")
    nothing_works(cache)
    assert cache.problem == cannot_be_written(cache.path, "Not a directory")


def test_a_folder_in_its_place(path):
    """What has the file's name is a folder."""
    path.mkdir(parents=True)
    cache = Cache(path)
    assert cache.recall("answer", ["a"]) == {}
    assert cache.problem == cannot_be_written(path, "unable to open database file", "read")
    nothing_works(cache)


@pytest.fixture
def readonly() -> Iterator[Path]:
    """A cache with one item in a folder that nobody may write to, seen by somebody who is not root."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    cache = Cache(folder / "cache.sqlite")
    cache.keep("answer", {"a": b"A"})
    cache.close()
    (folder / ".gitignore").unlink()
    folder.chmod(0o555)
    cache.path.chmod(0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_only_be_read(readonly):
    """What is there is reused; what is made is not kept, and that is said."""
    cache = Cache(readonly / "cache.sqlite")
    assert cache.recall("answer", ["a", "b"]) == {"a": b"A"}
    assert cache.problem is None
    cache.keep("answer", {"b": b"B"})
    assert cache.problem == cannot_be_written(cache.path, "attempt to write a readonly database")
    assert cache.recall("answer", ["a", "b"]) == {"a": b"A"}
    assert len(cache.entries()) == 1
    cache.close()
    assert list(readonly.iterdir()) == [cache.path]


def test_a_full_disk(path):
    """What is there is still read when nothing more can be written."""
    cache = Cache(path)
    cache.keep("answer", {"a": b"A"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        for n in range(100):
            cache.keep("answer", {str(n): noise(10_000, n)})
        kept = [key for key in map(str, range(100)) if cache.recall("answer", [key])]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cache.problem == cannot_be_written(path, "disk I/O error")
    assert 1 < len(kept) < 50
    assert cache.recall("answer", ["a", "0"]) == {"a": b"A", "0": noise(10_000, 0)}
    cache.close()
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    # With room again, the next run has all that was kept.
    again = Cache(path)
    assert set(again.recall("answer", list(map(str, range(100))))) == set(kept)
    again.close()


TINY = """
import sys
from pathlib import Path
from rag_evals.evals.engine.cache import Cache
cache = Cache(Path(sys.argv[1]) / "home" / "cache.sqlite")
for n in range(200):
    cache.keep("answer", {str(n): __import__("random").Random(n).randbytes(10_000)})
print(len(cache.recall("answer", [str(n) for n in range(200)])) > 3)
cache.close()
print(cache.problem)
"""


def test_a_disk_that_is_really_full(tmp_path):
    """The same on a disk of half a megabyte, where the machine lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = f"mount -t tmpfs -o size=512k none {place}"
    unshare = shutil.which("unshare") or pytest.skip("no unshare on this machine")
    if subprocess.run([unshare, "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets us mount nothing")
    code = f"{mount} && exec {sys.executable} -c '{TINY}' {place}"
    ran = subprocess.run([unshare, "-rm", "sh", "-c", code], capture_output=True, text=True, timeout=60)
    path = place / "home" / "cache.sqlite"
    assert ran.stdout.splitlines() == ["True", cannot_be_written(path, "database or disk is full")], (
        ran.stderr
    )


# --- others ---


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(cache, path) -> Iterator[None]:
    """Another process has begun to write, and does not go on."""
    cache.keep("answer", {"a": b"A"})
    with Holding(path, "BEGIN EXCLUSIVE"):
        yield


class Holding:
    def __init__(self, path: Path, statement: str) -> None:
        self._command = [sys.executable, "-c", HOLD, str(path), statement]

    def __enter__(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.communicate("")


def seconds(call, *arguments, **options) -> float:
    start = time.perf_counter()
    call(*arguments, **options)
    return time.perf_counter() - start


def test_a_lock_holds_up_no_reader(cache, held):
    """What is there is read at once."""
    assert seconds(cache.recall, "answer", ["a"]) < 0.5
    assert cache.recall("answer", ["a"]) == {"a": b"A"}
    assert len(cache.entries()) == 1


def test_a_lock_holds_up_a_writer_for_a_second(cache, held):
    """The item is not kept, the next one may be: nothing is wrong yet."""
    assert 0.9 < seconds(cache.keep, "answer", {"b": b"B"}) < AT_MOST
    assert cache.problem is None
    assert cache.recall("answer", ["b"]) == {}


def test_a_lock_that_is_given_back(cache, path):
    """Whoever waits comes in, and nothing is wrong."""
    cache.keep("answer", {"a": b"A"})
    with Holding(path, "BEGIN IMMEDIATE"):
        timer = threading.Thread(target=cache.keep, args=("answer", {"b": b"B"}))
        timer.start()
        time.sleep(0.1)
    timer.join()
    assert cache.recall("answer", ["b"]) == {"b": b"B"}


def test_a_lock_that_is_never_given_back(cache, held, monkeypatch, path):
    """After a few waits in vain, one after the other, nothing more is written; reading goes on."""
    monkeypatch.setattr(cache_database, "PATIENCE", 0.1)
    monkeypatch.setattr(cache_database, "IN_VAIN", 0.35)
    took = [seconds(cache.keep, "answer", {str(n): b"x"}) for n in range(20)]
    assert [n for n, one in enumerate(took) if one > 0.09] == [0, 1, 2, 3]
    assert cache.problem == (
        f"{path} is locked by another process (waited 0 s in vain): what is made from now on will be made "
        "again; end that process, or give another folder with --evals-home"
    )
    assert cache.recall("answer", ["a", "1"]) == {"a": b"A"}


def test_waits_that_were_not_in_vain_count_no_more(cache, path, monkeypatch):
    """Only waits with no success between them make a problem."""
    monkeypatch.setattr(cache_database, "PATIENCE", 0.1)
    monkeypatch.setattr(cache_database, "IN_VAIN", 0.25)
    cache.keep("answer", {"a": b"A"})
    for n in range(4):
        with Holding(path, "BEGIN IMMEDIATE"):
            cache.keep("answer", {f"lost{n}": b"x"})
        cache.keep("answer", {f"kept{n}": b"x"})
    assert cache.problem is None
    assert len(cache.entries()) == 5


def test_a_lock_on_a_file_that_is_just_being_made(path, monkeypatch):
    """Neither reader nor writer waits long, nor for each item; the lock's end is the end of the trouble."""
    monkeypatch.setattr(cache_database, "PATIENCE", 0.1)
    monkeypatch.setattr(cache_database, "IN_VAIN", 0.35)
    path.parent.mkdir()
    with Holding(path, "BEGIN EXCLUSIVE"):
        first = Cache(path)
        assert seconds(first.recall, "answer", ["a"]) < 0.4
        assert seconds(first.keep, "answer", {"a": b"A"}) < 0.4
        assert first.problem is None
        second = Cache(path)
        assert sum(seconds(second.recall, "answer", ["a"]) for _ in range(100)) < 2
        assert second.problem is not None
    first.keep("answer", {"b": b"B"})
    assert first.recall("answer", ["a", "b"]) == {"b": b"B"}
    first.close()
    second.close()


def test_commands_say_at_once_that_they_could_not(cache, held, path):
    """Pruning and verifying are somebody's wish: that it was not done is said, not passed over."""
    (path.parent / "x").touch()
    assert cache.prune(unused_since=1e12) == 0
    assert cache.problem is not None
    assert "is locked by another process" in cache.problem
    assert len(cache.entries()) == 1


def test_threads(path):
    """Sixteen threads keep and recall through one cache."""
    cache = Cache(path)

    def work(thread: int) -> float:
        longest = 0.0
        for n in range(60):
            key = f"{thread}-{n}"
            longest = max(longest, seconds(cache.keep, "answer", {key: key.encode() * 50}, maker=MAKER))
            assert cache.recall("answer", [key]) == {key: key.encode() * 50}
            assert cache.recall("answer", [f"{(thread + 1) % 16}-{n}", "gone"]).get("gone") is None
        return longest

    with ThreadPoolExecutor(16) as threads:
        longest = max(threads.map(work, range(16)))
    assert len(cache.entries()) == 16 * 60
    assert cache.problem is None
    assert longest < AT_MOST
    cache.close()
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_threads_beside_a_lock(cache, held):
    """Not one after the other: none of sixteen threads waits much longer than its patience."""
    with ThreadPoolExecutor(16) as threads:
        took = list(threads.map(lambda n: seconds(cache.keep, "answer", {str(n): b"x"}), range(16)))
    assert max(took) < AT_MOST
    assert cache.problem is None


WRITE = """
import sys, time
from pathlib import Path
from rag_evals.evals.engine.cache import Cache, Maker
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
longest = 0
for n in range(500):
    start = time.perf_counter()
    cache.keep("answer", {f"{sys.argv[2]}-{n}": b"x" * 2000}, subject=f"q{n}", maker=Maker("f", "x", {}))
    cache.recall("answer", [f"1-{n}"])
    longest = max(longest, time.perf_counter() - start)
cache.close()
print(longest, cache.problem)
"""


def test_two_processes_make_the_file_at_once(path):
    """Everything that either keeps is there, and neither waits for long."""
    command = [sys.executable, "-c", WRITE, str(path)]
    processes = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        longest, problem = process.communicate(timeout=60)[0].split(maxsplit=1)
        assert problem == "None\n"
        assert float(longest) < 1
    cache = Cache(path)
    keys = [f"{who}-{n}" for who in range(2) for n in range(500)]
    assert set(cache.recall("answer", keys)) == set(keys)
    cache.close()
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


# --- size and use ---


def used(path: Path) -> dict[str, float]:
    return dict(sql(path, "SELECT key, used FROM item"))


def test_uses_are_written_down_at_the_end(cache, path, clock):
    """A hit costs no write; looking without using is no use."""
    cache.keep("answer", {"a": b"A", "b": b"B", "c": b"C"})
    clock.now += 50
    cache.recall("answer", ["a"])
    cache.recall("answer", ["c"], is_use=False)
    assert used(path) == {"a": 1000.0, "b": 1000.0, "c": 1000.0}
    cache.close()
    assert used(path) == {"a": 1050.0, "b": 1000.0, "c": 1000.0}


def test_uses_are_written_down_now_and_then(cache, path, clock):
    """A run that is killed later has not used a thousand items for nothing."""
    keys = [str(n) for n in range(1000)]
    cache.keep("answer", dict.fromkeys(keys, b"x"))
    clock.now += 50
    cache.recall("answer", keys[:999])
    assert set(used(path).values()) == {1000.0}
    cache.recall("answer", keys[999:])
    assert set(used(path).values()) == {1050.0}


def test_what_was_not_used_for_longest_goes_first(path, clock):
    """The size is held, whatever was used lately stays."""
    cache = Cache(path, mebibytes=1, clock=clock)
    largest = 0
    for n in range(600):
        clock.now += 1
        cache.keep("answer", {str(n): noise(4000, n)})
        cache.recall("answer", ["7"])
        largest = max(largest, cache.size)
    assert largest < 1.15 * 2**20
    cache.close()
    left = [int(key) for key in used(path)]
    assert 7 in left
    assert sorted(left) == [7, *range(600 - len(left) + 1, 600)]
    # Not much more goes than need be.
    again = Cache(path, mebibytes=1)
    assert 0.9 * 2**20 < again.size <= 2**20
    again.close()


def test_a_smaller_bound(path):
    """A bound that was lowered holds at the end of the next run; of makers without items nothing stays."""
    cache = Cache(path)
    for n in range(100):
        cache.keep("answer", {str(n): noise(10_000, n)}, maker=Maker(str(n), "x", {"n": n}))
    cache.close()
    small = Cache(path, mebibytes=0.5)
    small.recall("answer", ["3"])
    small.close()
    left = set(used(path))
    assert "3" in left
    assert 20 < len(left) < 60
    assert {maker for (maker,) in sql(path, "SELECT fingerprint FROM maker")} == left


def test_no_room_at_all(path):
    """With a bound of nothing, nothing is left at the end."""
    cache = Cache(path, mebibytes=0)
    cache.keep("answer", {"a": b"A"})
    assert cache.recall("answer", ["a"]) == {"a": b"A"}
    cache.close()
    assert used(path) == {}
    assert cache.problem is None


def test_pruning(cache, path, clock):
    """What was not used since goes unless it is spared, its makers too, and the file gets smaller."""
    cache.keep("answer", {str(n): noise(10_000, n) for n in range(50)}, maker=MAKER)
    clock.now += 100
    cache.keep("answer", {"new": b"N"}, maker=Maker("g", "new", {}))
    cache.recall("answer", ["1"])
    cache.close()
    before = path.stat().st_size
    again = reopened(path, clock)
    assert again.prune(unused_since=1001, spared={"2", "gone"}) == 48
    again.close()
    assert set(used(path)) == {"1", "2", "new"}
    assert path.stat().st_size < before / 5
    last = reopened(path, clock)
    assert last.prune(unused_since=2000) == 3
    last.close()
    assert sql(path, "SELECT * FROM maker") == []


def test_after_the_end(cache):
    """A thread that is still at work when the run is over neither fails nor opens the file again."""
    cache.keep("answer", {"a": b"A"})
    cache.close()
    assert cache.recall("answer", ["a"]) == {}
    cache.keep("answer", {"b": b"B"})
    cache.close()
    assert cache.problem is None


def test_speed(path):
    """Ten thousand hits cost a second or so, not a second each hundred."""
    cache = Cache(path)
    data = noise(2500).hex().encode()
    took = seconds(lambda: [cache.keep("answer", {str(n): data}) for n in range(1000)])
    assert took < 3
    assert seconds(lambda: [cache.recall("answer", [str(n)]) for n in range(1000)]) < 1
    cache.close()
