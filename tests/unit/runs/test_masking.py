"""What is masked, and what is not; all tokens here are made up."""

from __future__ import annotations

import random
import string
import timeit

import pytest
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.masking import is_credential, masked, masked_text, without_secrets
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Citation, Context, Span

LETTERS = string.ascii_letters + string.digits
RANDOM = random.Random(6)


def made(length: int, of: str = LETTERS) -> str:
    return "".join(RANDOM.choices(of, k=length))


HEX = made(40, string.hexdigits[:16])
TOKENS = [
    f"sk-{made(48)}",
    f"sk-proj-{made(40)}_{made(20)}",
    f"sk-ant-api03-{made(60)}-{made(20)}AA",
    f"sk-or-v1-{made(64)}",
    f"wandb_v1_{made(27)}_{made(49)}",
    f"local-{HEX}",
    f"ghp_{made(36)}",
    f"gho_{made(36)}",
    f"ghs_{made(36)}",
    f"github_pat_{made(22)}_{made(59)}",
    f"glpat-{made(20)}",
    f"glpat-{made(27)}.{made(2)}.{made(9)}",
    f"hf_{made(34)}",
    f"AKIA{made(16, string.ascii_uppercase)}",
    f"AIza{made(35)}",
    f"ya29.{made(60)}",
    f"xoxb-{made(12, string.digits)}-{made(24)}",
    f"eyJ{made(20)}.eyJ{made(40)}.{made(43)}",
    f"gsk_{made(52)}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{made(64)}\n{made(64)}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN OPENSSH PRIVATE KEY----- {made(64)}",
    f"sk_live_{made(24)}",
    f"npm_{made(36)}",
    f"pypi-AgEIcHlwaS5vcmc{made(80)}",
    f"SG.{made(22)}.{made(43)}",
    f"SK{HEX[:32]}",
    f"key-{HEX[:32]}",
    f"{made(10, string.digits)}:{made(35)}",
    f"whsec_{made(32)}",
    f"{made(3)}8Q~{made(34)}",
    f"hvs.{made(24)}",
    f"dckr_pat_{made(27)}",
    f"shpat_{HEX[:32]}",
    f"glsa_{made(32)}_{HEX[:8]}",
    f"ntn_{made(46)}",
    f"ATATT3{made(60)}-{made(20)}=A1B2C3D4",
    f"AGE-SECRET-KEY-1{made(58, string.ascii_uppercase)}",
]


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:12])
def test_shapes(token):
    """Tokens that tell what they are, wherever they stand."""
    assert masked_text(token) == "***"
    assert masked_text(f"refused: {token}") == "refused: ***"
    assert masked({"note": [f"({token}"]}) == {"note": ["(***"]}


NAMES = """
api_key apikey API-Key apiKey OPENAI_API_KEY x-api-key openai_key api_keys token hf_token HF_TOKEN
accessToken auth-token access_tokens secret client_secret clientSecret password Password db_passwd
passphrase authorization Proxy-Authorization auth basic_auth bearer private_key privateKey
credential credentials cookie Set-Cookie session_key access_key AWS_ACCESS_KEY_ID
aws_secret_access_key Ocp-Apim-Subscription-Key wandb-api-key --api-key secretValue jwt session_jwt
slack_webhook webhookUrl clé_secrète contraseña Kennwort clave_api
"""
OTHERS = """
max_tokens context_tokens tokens token_count tokens_per_second maxTokens n_tokens eos_token
pad_token yes_token usd_per_token seconds_to_first_token tokenizer author key keys question_key
monkey keyword api_key_env password_file token_file secretary authentication model compass
evals_model no_auth signal bypass cookie_jar_size pattern compatible enclave
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_names_of_credentials(name):
    """In any case and form of writing, as a key, an option, an assignment, and in what is printed of them."""
    assert is_credential(name)
    assert masked({name: "hunter2"}) == {name: "***"}
    assert masked([f"{name}=hunter 2"]) == [f"{name}=***"]
    assert "hunter2" not in masked_text(f"Client({name}='hunter2', model='small')")
    assert "hunter2" not in masked_text(f'{{"{name}": "hunter2"}}')
    assert "hunter2" not in masked_text(f"?a=1&{name}=hunter2&b=2")


@pytest.mark.parametrize("name", OTHERS.split())
def test_other_names(name):
    """Counts of tokens, tokens of a text, and words that only look alike."""
    assert not is_credential(name)
    assert masked({name: "small"}) == {name: "small"}
    assert masked_text(f"{name}=small") == f"{name}=small"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:pass@host/v1", "https://***@host/v1"),
        ("https://me:p@ss@host/v1", "https://***@host/v1"),
        ("postgres://me@host/db", "postgres://me@host/db"),
        ("https://host/v1?api_key=abc&n=2", "https://host/v1?api_key=***&n=2"),
        ("url=https://host/?key=abc&n=2", "url=https://host/?key=***&n=2"),
        ("https://host/?sv=1&sig=abc%3D", "https://host/?sv=1&sig=***"),
        ("OPENAI_API_KEY=abc pytest -k x", "OPENAI_API_KEY=*** pytest -k x"),
        ("rag-evals --token abc --evals-model small", "rag-evals --token *** --evals-model small"),
        ("curl --password 'a b' x", "curl --password '***' x"),
        ("Server=x;Password=a;b;Database=y", "Server=x;Password=***;Database=y"),
        ("401: {'Authorization': 'Bearer abc'}", "401: {'Authorization': 'Bearer ***'}"),
        ("Authorization: Basic bWU6cGFzcw==", "Authorization: Basic ***"),
        ("sent Bearer abcdefg1 to it", "sent Bearer *** to it"),
        ("Cookie: sid=abc; theme=dark", "Cookie: ***; theme=dark"),
        ('body: {\\"api_key\\": \\"abc\\", \\"n\\": 1}', 'body: {\\"api_key\\": \\"***\\", \\"n\\": 1}'),
        ("Client(auth=('me', 'pass'), n=1)", "Client(auth=***, n=1)"),
        (f"Incorrect API key provided: {HEX}.", "Incorrect API key provided: ***."),
        (f"wandb: invalid api_key {HEX}", "wandb: invalid api_key ***"),
        ("password: hunter2", "password: ***"),
    ],
)
def test_texts(text, expected):
    """URLs, command lines, headers, what a client prints of itself, and messages of services."""
    assert masked_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"commit {HEX}",
        f"wandb: commit {HEX} of main",
        f"sha256={made(64, string.hexdigits[:16])}",
        "20261123-051549-abc123",
        "--evals-model qwen2.5-1.5b --max-tokens 256",
        "tests/test_token.py::TestToken::test_auth[secret-password]",
        "JSONDecodeError: Unexpected token: '}' at 3",
        "KeyError: 'api_key'",
        "Client(api_key=None, token=null)",
        "the bearer of this letter, as a token: none",
        "a risk-assessment-of-something-very-long",
        "eos_token=</s> tokens: 512",
        "-k 'password or token'",
        "https://host:8443/path?page=2#key",
    ],
)
def test_what_stays(text):
    """Hashes, commits, run ids, names of models and of tests, counts, and sentences."""
    assert masked_text(text) == text
    assert masked([text]) == [text]


def test_command_lines():
    """The value behind an option that takes a credential; of none other, and never an option."""
    args = [
        "--api-key",
        "abc",
        "--evals-model",
        "small",
        "--token",
        "--evals-offline",
        "--password=a b",
        "-q",
    ]
    expected = [
        "--api-key",
        "***",
        "--evals-model",
        "small",
        "--token",
        "--evals-offline",
        "--password=***",
        "-q",
    ]
    assert masked(args) == expected


def test_nested():
    """What stands below the key of a credential is one; numbers, and what says that there is none, stay."""
    given = {
        "auth": {"user": "me", "parts": ["abc", "def"], "tries": 3},
        "password": 12345,
        "token": None,
        "secret": "",
        "api_key": True,
        "tokens": {"evaluated": 12, "reused": 3.5},
        "https://me:pass@host/": ("x", 1),
    }
    assert masked(given) == {
        "auth": {"user": "***", "parts": ["***", "***"], "tries": 3},
        "password": "***",
        "token": None,
        "secret": "",
        "api_key": True,
        "tokens": {"evaluated": 12, "reused": 3.5},
        "https://***@host/": ("x", 1),
    }
    assert given["password"] == 12345


PIECES = [
    *TOKENS,
    *NAMES.split(),
    *OTHERS.split(),
    *(
        " ",
        ": ",
        "=",
        "'",
        '"',
        "\\",
        "&",
        "?",
        "://",
        "@",
        ";",
        ",",
        "{",
        "}",
        "(",
        ")",
        "--",
        "Bearer ",
        "\n",
    ),
    *("Bearer ", "***", "None", "hunter2", HEX, "Authorization", "é", "\ud800", "\x00", "12"),
]


def nested(depth: int = 0) -> object:
    kind = RANDOM.randrange(8 if depth < 3 else 5)
    if kind < 5:
        simple = (None, True, RANDOM.randrange(99), RANDOM.random())
        return RANDOM.choice(simple) if kind == 0 else "".join(RANDOM.choices(PIECES, k=RANDOM.randrange(12)))
    if kind == 5:
        return {RANDOM.choice(OTHERS.split()): nested(depth + 1) for _ in range(3)}
    return [nested(depth + 1) for _ in range(RANDOM.randrange(4))]


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else type(value)


def test_any_value():
    """Masking keeps form and types, and masking again changes nothing; no token is left in any text."""
    for _ in range(3000):
        value = nested()
        once = masked(value)
        assert shape(once) == shape(value)
        assert masked(once) == once
        assert not [token for token in TOKENS[:4] if f" {token} " in str(once)]


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a=b ",
        "eyJ",
        "://",
        "--a ",
        "api key ",
        "key:",
        "'",
        "password ",
        "-----BEGIN PRIVATE KEY",
        "sk-",
    ],
)
def test_long_texts(piece):
    """A text of 200,000 characters is gone through once, not once a character."""
    text = piece * (200_000 // len(piece))
    assert timeit.timeit(lambda: masked_text(text), number=1) < 2


def test_speed():
    """The first line of a run, 200 texts, in less than two milliseconds."""
    head = {
        "args": [f"--evals-option-{number}=questions/{number}/*.jsonl" for number in range(100)],
        "hashes": [made(64, string.hexdigits[:16]) for _ in range(50)],
        "versions": {f"package-{number}": "1.2.3" for number in range(50)},
    }
    assert min(timeit.repeat(lambda: masked(head), number=1, repeat=30)) < 0.002


def test_a_personal_access_token():
    """`pat` alone is one; as a word of a text, or in another word, it is none."""
    assert masked({"pat": "hunter2", "pattern": "a", "a pat on": "b"}) == {
        "pat": "***",
        "pattern": "a",
        "a pat on": "b",
    }


def test_webhooks():
    """The path of a webhook is its password."""
    path = f"T{made(8)}/B{made(8)}/{made(24)}"
    assert masked_text(f"https://hooks.slack.com/services/{path}") == "https://hooks.slack.com/***"


def test_the_credentials_of_the_environment(monkeypatch):
    """Their values are masked wherever they stand, in whatever form; short words and names of files stay."""
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    monkeypatch.setenv("DB_PASSWORD", "postgres")
    monkeypatch.setenv("PIN_TOKEN", "20261129")
    monkeypatch.setenv("EDITOR", "/usr/bin/an-editor-of-mine")
    told = "said correct-horse-battery to postgres on 20261129 with /usr/bin/an-editor-of-mine"
    expected = "said *** to postgres on 20261129 with /usr/bin/an-editor-of-mine"
    assert masked_text(told) == expected
    assert masked({"note": [told]}) == {"note": [expected]}
    monkeypatch.delenv("MY_API_KEY")
    assert masked_text(told) == told


def test_an_address_of_a_document_is_masked_wherever_it_stands():
    """Passages, their copies, stages, what is cited, and what a score says; what the user wrote stays."""
    address = "https://me:passw0rd@host/a.md"
    span = Span(address, start=0, end=4)
    context = Context("Two.", address, copies=(span,))
    citation = Citation(0, 4, document=address)
    answer = Answer(f"As {address} says.", (context,), stages={"candidates": (span,)}, citations=(citation,))
    claim = ClaimScore("Two.", 0.2, closest=context, citations=(citation,), fault=f"cites {address}")
    score = Score("faithfulness", 0.2, evidence=f'"Two." (closest: {address})', claims=(claim,))
    given = Evaluation(Question("q", f"Is it in {address}?"), "mine", answer, (score,), {})
    told = evaluation_to_json(without_secrets(given, texts=False))
    assert (told.pop("question"), told.pop("answer")) == (given.question.question, answer.text)
    assert "passw0rd" not in str(told)
    assert str(told).count("https://***@host/a.md") == 9
    plain = Evaluation(Question("q", "Which?"), "mine", Answer("Two.", (Context("Two.", "a.md"),)), (), {})
    assert without_secrets(plain, texts=False) is plain
