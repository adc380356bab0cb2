"""Masking of secrets: values of keys that look like a credential, and tokens of known shapes.

Numbers, hashes, commits and names of options stay. A W&B key of forty hexadecimal digits looks like a git
commit: only what it is called tells them apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, TypeVar
from unicodedata import normalize

from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Citation, Span
from rag_evals.rag.identity import digest

MASK = "***"
# Where secrets touch, one may be seen only when the one before it is gone.
MOST_PASSES = 10

T = TypeVar("T")

# Fields of what is recorded by which it is found again.
_FOUND_BY = frozenset(
    ("id", "question_id", "test", "pipeline", "metric", "keys", "spans", "fingerprint", "conversation")
)

# What the name of a credential ends in, without the signs between its words.
_ENDING = re.compile(
    r"(?:(?:api|access|secret|private|session|signing|encryption|subscription|account|storage|master|deploy|ssh"
    r"|auth|openai|anthropic|wandb|huggingface|gemini|cohere|mistral|groq)keys?|accesskeyid|password|passwd"
    r"|passphrase|passcode|pwd|secret|secretvalue|authorization|bearer|credential|cookie|jwt|webhook(?:url)?"
    r"|(?:api|access|auth|bearer|refresh|session)token"
    # German, French, Spanish, Portuguese
    r"|passwort|kennwort|cle(?:secrete|api|dapi)|motdepasse|contrasena|clave(?:secreta|api)|senha)s?$"
)
_PASSWORD = re.compile(r"(?i)(?:password|passwd|passphrase|passcode|pwd)$")
# A token of a language model, or many: one that stands in a text, or how many do.
_TOKEN_OF_TEXT = re.compile(
    r"(?:eos|bos|pad|unk|sep|cls|mask|stop|start|end|begin|yes|no|first|last|next|previous|per|special|max|min"
    r"|image|audio|think|thinking|separator|prefix|suffix|answer|one|each|new)token$"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Names that are one by themselves, and the last word of many others that are none.
_ALONE = frozenset(("pat", "pats"))
_NO_VALUES = frozenset(("none", "null", "true", "false", ""))
# Only in the query of a URL; elsewhere they are anything.
_OF_QUERIES = frozenset(("key", "sig", "signature"))
# Before a colon they are as often a word of a sentence as a name.
_WORDS = frozenset(("token", "auth", "credential", "credentials"))

# Shapes are those that the services document. A letter or digit before them makes another word of it.
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[\w-]{20,}"  # OpenAI, Anthropic (sk-ant-), OpenRouter (sk-or-)
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|wandb_v\d+_\w{20,}|local-[0-9a-f]{40}"  # W&B, and servers of one's own
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|gl(?:pat|ptt|dt|rt|rtr|cbt|oas|soat|ft|imt|agent)-[\w.-]{16,}"  # GitLab
    r"|(?:hf|api_org)_[A-Za-z0-9]{30,}"  # Hugging Face
    r"|(?:AKIA|ASIA|ABIA|ACCA|AIDA|AROA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|xox[abceoprs]-[\w-]{10,}|xapp-\d-[\w-]{10,}|(?<=hooks\.slack\.com/)\w+/[\w/-]{20,}"  # Slack
    r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"  # JSON Web Tokens
    r"|(?:gsk_|r8_|npm_|pplx-|xai-|tvly-|nvapi-|pcsk_|lsv2_|jina_|pypi-|dapi|dop_v1_|SG\.)[\w.-]{24,}"
    # Shopify, Docker, Vault, Notion, Linear, Grafana, Figma, Postman, Square, Stripe's webhooks, Together,
    # Atlassian, Supabase
    r"|(?:shp(?:at|ca|pa|ss)_|dckr_[op]at_|hv[sbr]\.|ntn_|lin_api_|gl(?:sa|c)_|figd_|PMAK-|sq0[a-z]{3}-|whsec_"
    r"|tgp_v1_|ATATT3|sbp_)[\w.=-]{20,}"
    r"|(?:SK|key-)[0-9a-f]{32}(?![A-Za-z0-9])|sk_[0-9a-f]{48}"  # Twilio, Mailgun; ElevenLabs
    r"|\d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])"  # Telegram
    r"|[\w.~-]{3}\dQ~[\w.~-]{31,34}"  # secrets of Azure's clients
    r"|AGE-SECRET-KEY-1[A-Z0-9]{40,}"
    r"|(?<=/api/webhooks/)\d{10,20}/[\w-]{40,}"  # Discord
    r"|(?<=/webhookb2/)[^\s\"'<>]{40,}"  # Teams
    r")"
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.S
)
_USER = re.compile(r"://([^/\s?#\"'<>]+)@")

# Without one of these there is no name of a credential in a text.
_HINTS = (
    *("key", "token", "pass", "pwd", "secr", "auth", "bearer", "credential", "cookie", "sig", "jwt"),
    *("webhook", "kennwort", "clé", "contrase", "clave", "senha"),
)
# A name begins where it can, once in a run of letters: so a long text is gone through once.
_NAMED = re.compile(
    rf"(?i)(?<![\w.-])([\w.-]{{0,80}}?(?:{'|'.join(_HINTS)})[\w.-]{{0,40}})(\\?[\"']?\s{{0,3}}[=:](?!:)\s{{0,3}})"
)
_OPTION = re.compile(r"(?<![\w-])(--[A-Za-z][\w-]{1,80})(\s{1,3})(?!-)")
_VALUE = re.compile(
    r"\\?\"[^\"]*\"?|'[^']*'?|[\[({][^\])}]*[\])}]?"
    # Up to the next name: a password may have any of these signs in it.
    r"|(?:[^\s&;,\"'<>)}\]\\]|[&;,](?!\s|[\w.-]+[=:]|$))+"
)
_SCHEME = re.compile(
    r"(?i)(authorization\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?)((?:bearer|basic|token|digest)\s+)?([^\s\"',;}\\]+)"
)
_BEARER = re.compile(r"(?i)(?<![\w-])(bearer\s{1,3})((?=\S*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})")
_BEHIND = re.compile(
    r"(?i)\b((?:api|access|secret)[ _-]?key\b|password\b)(\W{1,3}(?:[a-z]{1,12}\W{1,3}){0,2}?)([\w-]{20,})"
)


def masked(value: T) -> T:
    """Return nested JSON with `***` in place of everything that looks like a secret; its structure stays."""
    return _masked(value, _own_secrets())  # type: ignore[no-any-return]


def masked_text(text: str) -> str:
    """Return a text, such as an error or a command line, with `***` in place of what looks like a secret."""
    return _masked_text(text, _own_secrets())


@lru_cache(maxsize=256)
def masked_fingerprint(text: str) -> str:
    """Return a fingerprint as it is recorded: as it is, by its digest where there is a secret in it."""
    return text if masked_text(text) == text else digest(text)


def masked_parts(value: T) -> T:
    """Return nested JSON or dataclasses with every text masked but what things are found again by."""
    return _parts(value, _own_secrets())  # type: ignore[no-any-return]


def without_secrets(evaluation: Evaluation, *, texts: bool) -> Evaluation:
    """Return an evaluation as it is recorded, shown and sent.

    Args:
        evaluation: What the engine gave.
        texts: Whether the question, the answer and the passages are masked too, which are the user's own;
            else only reasons and addresses are.
    """
    if texts:
        plain = masked_parts(evaluation)
        plain = replace(plain, scores=tuple(map(_without_words, plain.scores)))
        return _moved(plain, evaluation.answer).held_to(plain.thresholds)
    answer, scores = evaluation.answer, evaluation.scores
    if answer and (names := _masked_addresses(answer)):
        answer, scores = _renamed(answer, names), _renamed(scores, names)
    if any(score.reason or any(claim.reason for claim in score.claims) for score in scores):
        scores = tuple(map(_without_reasons, scores))
    if answer is evaluation.answer and scores is evaluation.scores:
        return evaluation
    return replace(evaluation, answer=answer, scores=scores)


def _masked_text(text: str, own: re.Pattern[str] | None) -> str:
    if own is not None:
        text = own.sub(MASK, text)
    for _ in range(MOST_PASSES):
        before, text = text, _pass(text)
        if text == before:
            break
    return text


def _pass(text: str) -> str:
    if "://" in text:
        text = _USER.sub(_without_user, text)
    text = _SHAPES.sub(MASK, text)
    if not _has_hint(text):
        return text
    text = _PEM.sub(MASK, text)
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _without_values(text, _NAMED)
    text = _without_values(text, _OPTION)
    text = _BEARER.sub(rf"\1{MASK}", text)
    return _BEHIND.sub(rf"\1\2{MASK}", text)


def _own_secrets() -> re.Pattern[str] | None:
    """Return what finds the credentials of the environment as it is now."""
    # pytest changes a variable of its own with each phase of each test, and that is no credential.
    return _environment_secrets(
        frozenset(item for item in os.environ.items() if item[0] != "PYTEST_CURRENT_TEST")
    )


@lru_cache(maxsize=1)
def _environment_secrets(environment: frozenset[tuple[str, str]]) -> re.Pattern[str] | None:
    """Return what finds the credentials of the environment, whatever their form; None where there are none.

    A short word, as a password of a test server is, may well be a word of a text.
    """
    values = {value for name, value in environment if is_credential(name) and _is_own(value)}
    return re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True)))) if values else None


def _is_own(value: str) -> bool:
    return len(value) >= 16 or (len(value) >= 8 and any(map(str.isdigit, value)) and not value.isdigit())


def is_credential(name: str) -> bool:
    """Return whether a key, an option or a variable of this name holds a credential."""
    if name.lower() in _ALONE:
        return True
    words = [word.lower() for word in _WORD.findall(_without_accents(name))] if _has_hint(name) else []
    if not words or words[0] in ("no", "without"):
        return False
    joined = "".join(words)
    if words[-1] == "token":
        return not _TOKEN_OF_TEXT.search(joined)
    return words[-1] == "auth" or _ENDING.search(joined) is not None


def _without_accents(name: str) -> str:
    return name if name.isascii() else normalize("NFKD", name).encode("ascii", "ignore").decode()


def _has_hint(text: str) -> bool:
    lower = text.lower()
    return any(hint in lower for hint in _HINTS)


# --- nested values ---


def _masked(value: Any, own: re.Pattern[str] | None, *, is_secret: bool = False) -> Any:
    if isinstance(value, str):
        return MASK if is_secret and value.lower() not in _NO_VALUES else _masked_text(value, own)
    if isinstance(value, Mapping):
        return {_key(key, own): _member(key, part, own, is_secret) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_masked(part, own, is_secret=is_secret) for part in value]
        return type(value)(_without_arguments(value, parts))
    return value


def _key(key: Any, own: re.Pattern[str] | None) -> Any:
    return _masked_text(key, own) if isinstance(key, str) else key


def _member(key: Any, value: Any, own: re.Pattern[str] | None, is_secret: bool) -> Any:
    if not isinstance(key, str) or not is_credential(key):
        return _masked(value, own, is_secret=is_secret)
    # Other credentials have no numbers, and a number of them is none.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return MASK if is_number and _PASSWORD.search(key) else _masked(value, own, is_secret=True)


def _without_arguments(given: Sequence[Any], parts: list[Any]) -> list[Any]:
    """Mask the values of options of a command line: in the same word, with its blanks, or in the next."""
    for place, word in enumerate(given):
        name, equals, _ = word.partition("=") if isinstance(word, str) else ("", "", "")
        if equals and re.fullmatch(r"-{0,2}[\w.-]+", name) and is_credential(name):
            parts[place] = f"{name}={MASK}"
    for place, (option, value) in enumerate(pairwise(given), 1):
        if _is_option(option) and isinstance(value, str) and not value.startswith("-"):
            parts[place] = MASK
    return parts


def _is_option(word: Any) -> bool:
    return isinstance(word, str) and re.fullmatch(r"--[\w-]+", word) is not None and is_credential(word)


# --- evaluations ---


def _parts(value: Any, own: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _masked_text(value, own)
    if isinstance(value, Mapping):
        return {key: part if key in _FOUND_BY else _parts(part, own) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_parts(part, own) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        named = {one.name: getattr(value, one.name) for one in fields(value) if one.name not in _FOUND_BY}
        return replace(value, **{name: _parts(part, own) for name, part in named.items()})
    return value


def _masked_addresses(answer: Answer) -> dict[str, str]:
    """Return what the documents of an answer that are addresses with a credential are called instead."""
    places: tuple[Span | Citation, ...] = (
        *(place for context in answer.contexts for place in context.places),
        *(span for spans in answer.stages.values() for span in spans),
        *answer.citations,
    )
    addresses = {place.document for place in places if place.document and "://" in place.document}
    return {name: plain for name in addresses if (plain := masked_text(name)) != name}


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return nested dataclasses with documents under other names, also where a sentence speaks of them."""
    if isinstance(value, Mapping):
        return {key: _renamed(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_renamed(part, names) for part in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {one.name: _renamed(getattr(value, one.name), names) for one in fields(value)}
    for field in changed.keys() & {"document", "evidence", "fault"}:
        for name, plain in names.items():
            changed[field] = changed[field] and changed[field].replace(name, plain)
    return replace(value, **changed)


def _without_reasons(score: Score) -> Score:
    def plain(reason: str | None) -> str | None:
        return reason and masked_text(reason)

    claims = tuple(replace(claim, reason=plain(claim.reason)) for claim in score.claims)
    return replace(score, reason=plain(score.reason), claims=claims)


def _without_words(score: Score) -> Score:
    """Leave out the words of claims that are masked in them: alone they do not look like a secret."""
    claims = (
        replace(claim, unsupported=tuple(word for word in claim.unsupported if word in claim.text))
        for claim in score.claims
    )
    return replace(score, claims=tuple(claims))


def _moved(masked: Evaluation, given: Answer | None) -> Evaluation:
    """Move offsets in the answer to where they are in the masked one, as near as can be told."""
    answer = masked.answer
    if given is None or answer is None or given.text == answer.text:
        return masked
    length = len(answer.text)

    @cache
    def place(offset: int) -> int:
        return min(len(masked_text(given.text[:offset])), length)

    def cited(citations: Sequence[Citation]) -> tuple[Citation, ...]:
        return tuple(
            one if one.start is None or one.end is None else _at(one, place(one.start), place(one.end))
            for one in citations
        )

    def score_of(score: Score) -> Score:
        claims = (_at(one, place(one.start), place(one.end)) for one in score.claims)
        declines = (_at(one, place(one.start), place(one.end)) for one in score.declines)
        moved = tuple(replace(one, citations=cited(one.citations)) for one in claims)
        return replace(score, claims=moved, declines=tuple(declines))

    scores = tuple(map(score_of, masked.scores))
    return replace(masked, answer=replace(answer, citations=cited(answer.citations)), scores=scores)


def _at(thing: T, start: int, end: int) -> T:
    return replace(thing, start=start, end=end)  # type: ignore[type-var]


# --- texts ---


def _without_user(found: re.Match[str]) -> str:
    user = found[1]
    # A name alone is no secret; what is as long as a token may be one.
    return f"://{MASK}@" if ":" in user or len(user) >= 20 else found[0]


def _without_values(text: str, names: re.Pattern[str]) -> str:
    """Mask what stands behind the names of credentials that `names` finds."""
    kept, done = [], 0
    for name in names.finditer(text):
        value = _VALUE.match(text, name.end()) if name.start() >= done and _is_named(name) else None
        if value is None or _stays(name, value[0]):
            continue
        quote = re.match(r"\\?[\"']?", value[0])
        mask = f"{quote[0]}{MASK}{quote[0]}" if quote else MASK
        kept += [text[done : value.start()], mask]
        done = value.end()
    return "".join((*kept, text[done:]))


def _is_named(found: re.Match[str]) -> bool:
    name, before = found[1], found.string[max(found.start() - 1, 0) : found.start()]
    if name.lower().endswith("authorization"):
        return False  # that has words of its own
    return is_credential(name) or (before in ("?", "&") and name.lower() in _OF_QUERIES)


def _stays(name: re.Match[str], value: str) -> bool:
    bare = value.strip("\\\"'")
    is_sentence = name[1].lower() in _WORDS and name[2].lstrip().startswith(":")
    return bare.lower() in _NO_VALUES or (is_sentence and not _is_opaque(bare))


def _is_opaque(text: str) -> bool:
    return len(text) >= 16 and any(map(str.isdigit, text)) and any(map(str.isalpha, text))
