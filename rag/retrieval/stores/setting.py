"""The setting `store` of a pipeline: what kind of store it names, and its address without credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from rag_evals.rag.config import PipelineConfig
from rag_evals.rag.errors import ConfigError, one_line

LOCAL = "local"
PGVECTOR = "pgvector"
QDRANT = "qdrant"
# Plugins give a function (REST, NAME OF THE COLLECTION, DIMENSION) -> a vector store of LlamaIndex.
GROUP = "rag_evals.stores"
_FORMS = f"{LOCAL}, {PGVECTOR}:postgresql://HOST/DATABASE, {QDRANT}:FOLDER or {QDRANT}:URL"
# Of the words behind `?` in the address of a database those that say where it is.
_PLACES = ("host", "hostaddr", "port", "dbname")


@dataclass(frozen=True, slots=True)
class StoreSetting:
    """A store as a pipeline's settings name it.

    Attributes:
        kind: `local`, `pgvector`, `qdrant`, or the name of a plugin.
        rest: What stands behind the colon, credentials and all; never to be shown.
        place: The same for people, without credentials.
        plugin: The plugin that knows it.
    """

    kind: str
    rest: str = field(default="", repr=False)
    place: str = ""
    plugin: EntryPoint | None = None

    @property
    def is_local(self) -> bool:
        """Whether the vectors are searched where they lie, in the folder of the index."""
        return self.kind == LOCAL

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine; of a plugin's store that is not known, and taken to be so."""
        if self.kind == PGVECTOR:
            return "service" not in dict(parse_qsl(urlsplit(self.rest).query)) and all(
                map(_is_near, _hosts(urlsplit(self.rest)))
            )
        if self.kind == QDRANT and "://" in self.rest:
            return _is_near(urlsplit(self.rest).hostname or "")
        return True

    def masked(self, text: str) -> str:
        """Return a message in one line without what of the setting may be a credential."""
        for secret in sorted(_credentials(self.rest), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        return one_line(text.replace(self.rest, self.place) if self.rest else text, 300).rstrip(".")


def store_setting(config: PipelineConfig) -> StoreSetting:
    """Return the store that a pipeline's settings name.

    Raises:
        ConfigError: There is no such store, or its address is none.
    """
    kind, _, rest = config.store.partition(":")
    if kind == LOCAL and not rest:
        return StoreSetting(LOCAL)
    shown = rest
    if re.fullmatch(r"\$\w+", rest):
        rest = os.environ.get(rest[1:], "")
        if not rest:
            raise ConfigError(f"store = {kind}:{shown}: the environment variable {shown[1:]} is not set")
    plugins = {found.name: found for found in entry_points(group=GROUP)}
    if kind not in (PGVECTOR, QDRANT, *plugins) or not rest:
        known = "".join(f", {name}:…" for name in sorted(plugins))
        raise ConfigError(f"store = {one_line(kind, 40)!r}: write {_FORMS}{known}")
    if kind == QDRANT and config.store_index == "ivfflat":
        raise ConfigError("store_index = 'ivfflat': Qdrant has hnsw and none")
    if kind == PGVECTOR:
        return StoreSetting(kind, rest, _database(rest))
    if kind == QDRANT and "://" in rest:
        return StoreSetting(kind, rest, _server(rest))
    return StoreSetting(kind, rest, rest if kind == QDRANT else _without_credentials(rest), plugins.get(kind))


def store_identity(config: PipelineConfig) -> dict[str, Any]:
    """Return what of the store changes what is found; nothing where the search is that of the local one."""
    kind = config.store.partition(":")[0]
    if kind == LOCAL:
        return {}
    width: Mapping[str, Any] = {
        "hnsw": {"ef_search": config.ef_search},
        "ivfflat": {"probes": config.probes},
    }
    return {"store": kind, "store_index": config.store_index, **width.get(config.store_index, {})}


def shown_store(store: str) -> str:
    """Return the setting as it may be shown: a variable by its name, an address without credentials."""
    kind, _, rest = store.partition(":")
    if kind == PGVECTOR and not rest.startswith("$"):
        try:
            rest = _database(rest)
        except ConfigError:
            rest = "***"
    return f"{kind}:{_without_credentials(rest)}" if rest else kind


def _database(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    # A sign in a password that is not written as %2F and the like ends it.
    if parts.scheme not in ("postgresql", "postgres") or "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(
            f"store = {PGVECTOR}: its address is none: write {PGVECTOR}:postgresql://HOST/DATABASE, "
            "and other signs than letters and digits of a password as %40 and the like"
        )
    query = dict(parse_qsl(parts.query))
    name = unquote(parts.path.strip("/")) or query.get("dbname", "")
    if not name:
        raise ConfigError(
            f"store = {PGVECTOR}: the address names no database: "
            f"write {PGVECTOR}:postgresql://{parts.hostname or 'HOST'}{port}/DATABASE"
        )
    return f"{','.join(_hosts(parts))}{port}/{name}"


def _hosts(address: SplitResult) -> list[str]:
    """Return the hosts, or folders of sockets, that PostgreSQL's library takes an address to mean."""
    told = [value for key, value in parse_qsl(address.query) if key in ("host", "hostaddr")]
    told = told or [address.hostname or ""]
    if not any(told):
        told = [os.environ.get("PGHOSTADDR", ""), os.environ.get("PGHOST", "")]
    return [host for some in told for host in some.split(",") if host] or ["localhost"]


def _is_near(host: str) -> bool:
    try:
        return host.startswith("/") or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"store = {QDRANT}: a key is given in the environment variable QDRANT_API_KEY alone"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"store = {QDRANT}: write {QDRANT}:FOLDER or {QDRANT}:http://HOST:6333")
    return url


def _without_credentials(rest: str) -> str:
    """Return an address as it is where there is no place for credentials in it."""
    return "***" if re.search("[@?]", rest) else rest


def _credentials(rest: str) -> set[str]:
    """Return what of an address may be a credential, as it is written and as it is meant."""
    try:
        parts = urlsplit(rest)
        found = {parts.username or "", parts.password or ""}
    except ValueError:
        return set()
    found |= {value for key, value in parse_qsl(parts.query) if key not in _PLACES}
    return {*found, *map(unquote, found)} - {""}
