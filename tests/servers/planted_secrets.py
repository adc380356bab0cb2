"""Made-up secrets of the shapes that services give out, one of each for every place where one may stand."""

from __future__ import annotations

import random
import string
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

ALPHANUMERIC = string.ascii_letters + string.digits
# `any:N` are N signs of a secret's own; the longest run of them is looked for.
SHAPES = {
    "aws": "AKIA{upper:16}",
    "aws-secret": "aws_secret_access_key={any:40}",
    "github": "ghp_{any:36}",
    "github-fine": "github_pat_{any:22}_{any:59}",
    "gitlab": "glpat-{any:20}",
    "slack": "xoxb-{digit:12}-{digit:12}-{any:24}",
    "slack-webhook": "https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/{any:24}",
    "stripe": "sk_live_{any:24}",
    "google": "AIza{any:35}",
    "openai": "sk-proj-{any:48}",
    "anthropic": "sk-ant-api03-{any:93}AA",
    "hugging-face": "hf_{any:34}",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJ{any:30}.{any:43}",
    "pem": "-----BEGIN PRIVATE KEY-----\n{any:64}\n-----END PRIVATE KEY-----",
    "url-user": "https://somebody:{any:20}@localhost/v1",
    "azure": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={any:86}==;EndpointSuffix=core",
    "discord": "https://discord.com/api/webhooks/{digit:18}/{any:68}",
    "teams": "https://x.webhook.office.com/webhookb2/{hex:32}@{hex:32}/IncomingWebhook/{hex:32}/{hex:36}",
    "npm": "npm_{any:36}",
    "pypi": "pypi-AgEIcHlwaS5vcmc{any:80}",
    "sendgrid": "SG.{any:22}.{any:43}",
    "twilio": "SK{hex:32}",
    "database": "postgres://localhost/db?user=me&password={any:20}",
}
_SIGNS = {
    "any": ALPHANUMERIC,
    "upper": string.ascii_uppercase,
    "digit": string.digits,
    "hex": "0123456789abcdef",
}


def secrets_of(place: str) -> dict[str, str]:
    """Return a secret of each shape for a place, the same each time."""
    return {shape: _made(shape, place)[0] for shape in SHAPES}


def _made(shape: str, place: str) -> tuple[str, str]:
    """Return a secret as it stands, and the part of it that is nowhere else."""
    chance, runs = random.Random(f"{shape} {place}"), []
    text = ""
    for before, field, spec, _ in string.Formatter().parse(SHAPES[shape]):
        text += before
        if field:
            runs.append("".join(chance.choices(_SIGNS[field], k=int(spec or "1"))))
            text += runs[-1]
    return text, max(runs, key=len)


def found_in(data: Mapping[str, bytes], places: Iterable[str]) -> list[str]:
    """Return where secrets of these places are in data by name."""
    parts = {(place, shape): _made(shape, place)[1].encode() for place in places for shape in SHAPES}
    return sorted(
        f"{shape} of {place} in {name}"
        for name, kept in data.items()
        for (place, shape), part in parts.items()
        if part[:12] in kept
    )


def kept_in(folder: Path) -> dict[str, bytes]:
    """Return all that the files of a folder hold, what a database has compressed as it was."""
    kept = {}
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            name = file.relative_to(folder).as_posix()
            kept[name] = file.read_bytes()
            if file.suffix == ".sqlite":
                kept[f"{name}, unpacked"] = b"\n".join(_values(file))
    return kept


def _values(file: Path) -> Iterator[bytes]:
    import sqlite3

    with closing(sqlite3.connect(file)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    with suppress(zlib.error):
                        data = zlib.decompress(data)
                    yield data
