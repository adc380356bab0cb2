"""Models fetched from the Hugging Face hub."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rag_evals.rag.errors import one_line
from rag_evals.rag.models.download import download, refuse_when_hub_offline
from rag_evals.rag.models.responses import (
    CONNECT_SECONDS,
    MOST_LISTED,
    hub_headers,
    hub_library,
    opened,
    read_whole,
    reason_of,
    response_status,
    transport_error,
)
from rag_evals.rag.models.sources import (
    FetchedFile,
    FilePin,
    HubSource,
    SourceFailed,
    WrongFileError,
    is_safe_name,
    mismatch,
    move_ready,
)

# What sentence-transformers and transformers read to load a model; never pickles, other runtimes or pictures.
NEEDED = (
    "config.json", "config_sentence_transformers.json", "modules.json", "sentence_*_config.json",
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "*.safetensors", "*.safetensors.index.json",
    "[0-9]_*/config.json", "[0-9]_*/*.safetensors",
)  # fmt: skip
MOST_FILES = 500
NO_HUB = "what answers is not a Hugging Face hub"


def fetch_from_hub(source: HubSource, pins: tuple[FilePin, ...], work: Path) -> tuple[FetchedFile, ...]:
    """Download the files of a hub repository into `work/ready`; without pins, the files needed to load it.

    Unfinished files stay in `work`, the model's partial folder, and are resumed.

    Raises:
        SourceFailed: The hub cannot be reached or does not have the files.
        WrongFileError: A file is not the one of its pin.
    """
    refuse_when_hub_offline()
    endpoint = _hub_endpoint()
    with _hub_errors(source):
        revision, wanted = source.revision, pins
        if not pins:
            revision, wanted = _hub_listing(source, endpoint)
        fetched = [_hub_file(source, revision, pin, endpoint, work) for pin in wanted]
    move_ready(work, fetched)
    return tuple(fetched)


def _hub_endpoint() -> str | None:
    """HF_ENDPOINT as it is now: huggingface_hub reads its environment only once, at import."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        raise SourceFailed(f"HF_ENDPOINT is not an http(s) address: {one_line(endpoint)}")
    return endpoint or None


def _hub_listing(source: HubSource, endpoint: str | None) -> tuple[str, tuple[FilePin, ...]]:
    from huggingface_hub import constants

    place = f"{endpoint or constants.ENDPOINT}/api/models/{source.repo}"
    with opened(f"{place}/revision/{quote(source.revision, safe='')}", hub_headers()) as response:
        if response.status_code != 200:
            raise SourceFailed(_refusal(response))
        body = read_whole(response, MOST_LISTED)
    try:
        info = json.loads(body)
        names = sorted(str(sibling["rfilename"]) for sibling in info["siblings"])
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise SourceFailed(NO_HUB) from exc
    if bad := [name for name in names if not is_safe_name(name)]:
        raise WrongFileError(
            f"the hub lists file names of {source.repo} that leave the model's folder: {bad!r}"
        )
    needed = [name for name in names if _is_needed(name)]
    if len(needed) > MOST_FILES:
        raise SourceFailed(f"the repository has {len(needed):,} files to load, more than {MOST_FILES}")
    if not any(name.endswith(".safetensors") for name in needed):
        raise SourceFailed("the repository has no .safetensors weights")
    commit = str(info.get("sha"))
    revision = commit if re.fullmatch(r"[0-9a-f]{40}", commit) else source.revision
    return revision, tuple(FilePin(name) for name in needed)


def _refusal(response: Any) -> str:
    """Return the status of an answer that is none, and what may help."""
    hint = ", or the repository is private: set HF_TOKEN" if response.status_code in {401, 403} else ""
    return f"{response_status(response)}{hint}"


def _is_needed(name: str) -> bool:
    return any(
        pattern.count("/") == name.count("/") and fnmatch.fnmatchcase(name, pattern) for pattern in NEEDED
    )


def _hub_file(
    source: HubSource, revision: str, pin: FilePin, endpoint: str | None, work: Path
) -> FetchedFile:
    hub = hub_library()
    url = hub.hf_hub_url(source.repo, pin.name, revision=revision, endpoint=endpoint)
    published = hub.get_hf_file_metadata(url, timeout=CONNECT_SECONDS, endpoint=endpoint)
    origin = f"the hub ({source.repo})"
    if pin.size is not None and published.size not in {None, pin.size}:
        raise mismatch(pin.name, origin, "size", f"{pin.size} bytes", f"{published.size} bytes")
    sha256 = published.etag if re.fullmatch(r"[0-9a-f]{64}", published.etag or "") else None
    if pin.sha256 and sha256 not in {None, pin.sha256}:  # said before a download of gigabytes, not after
        raise mismatch(pin.name, origin, "SHA-256", pin.sha256, str(sha256))
    expected = FilePin(pin.name, pin.size or published.size, pin.sha256 or sha256)
    if published.commit_hash:  # the branch may move between two requests
        url = hub.hf_hub_url(source.repo, pin.name, revision=published.commit_hash, endpoint=endpoint)
    return download(url, expected, work, origin, hub_headers())


@contextlib.contextmanager
def _hub_errors(source: HubSource) -> Iterator[None]:
    """Turn what the hub library raises into one line of reason."""
    from huggingface_hub.errors import EntryNotFoundError, FileMetadataError, HfHubHTTPError

    try:
        yield
    except EntryNotFoundError as exc:
        name = str(getattr(getattr(exc, "response", None), "url", "")).rpartition("/")[2]
        raise SourceFailed(f"no file {one_line(name)} at revision {source.revision}") from exc
    except HfHubHTTPError as exc:
        raise SourceFailed(_refusal(exc.response)) from exc
    except FileMetadataError as exc:
        raise SourceFailed(NO_HUB) from exc
    except (transport_error(), ConnectionError) as exc:
        raise SourceFailed(reason_of(exc)) from exc
