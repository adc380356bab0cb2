"""Addresses, credentials and certificates: what is written where, and what is part of the identity."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.errors import ModelError
from rag_evals.rag.identity import digest
from rag_evals.rag.llm.remote.advice import advice_for
from rag_evals.rag.llm.remote.remote_llm import RemoteLLM, remote_llm

from tests.servers.openai import LoopbackOpenAI, reply
from tests.unit.of_rag.llm.conftest import PROMPT, Pauses

AZURE = "https://me.openai.azure.com/openai/deployments/gpt?api-version=2024-10-21"


@pytest.fixture
def made(request) -> Callable[..., RemoteLLM]:
    def make(url: str, **settings: Any) -> RemoteLLM:
        llm = remote_llm(LLMConfig(f"openai:gpt@{url}", **settings))
        request.addfinalizer(llm.close)
        return llm

    return make


def test_a_version_of_the_api_stays_behind_the_path(monkeypatch):
    """Azure wants it in each request, and its key in a header of its own."""
    monkeypatch.setenv("RAG_EVALS_API_KEY", "k3y")
    with LoopbackOpenAI(lambda body: reply("Yes.")) as server:
        url = f"{server.url}/openai/deployments/gpt?api-version=2024-10-21"
        llm = RemoteLLM("gpt", url)
        assert llm.complete(PROMPT, max_tokens=9).text == "Yes."
        llm.close()
        asked = server.asked[0]
    assert asked.path == "/v1/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    assert (asked.headers["api-key"], asked.headers.get("authorization")) == ("k3y", None)


@pytest.mark.parametrize(
    ("url", "variable", "header"),
    [
        (AZURE, "AZURE_OPENAI_API_KEY", "api-key"),
        ("https://me.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY", "api-key"),
        ("https://api.openai.com/v1", "OPENAI_API_KEY", "Authorization"),
        ("https://api.openai.com/v1", "AZURE_OPENAI_API_KEY", None),
        ("https://azure.com.example.org/v1", "AZURE_OPENAI_API_KEY", None),
    ],
)
def test_a_key_goes_to_its_house_alone(made, monkeypatch, url, variable, header):
    for name in ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "k3y")
    headers = made(url)._server._headers
    assert [name for name in headers if name in ("api-key", "Authorization")] == ([header] if header else [])


def test_the_address_of_chats_is_as_good_as_the_base(made):
    """Whoever copies the whole address is understood, and is the same model."""
    base, whole = made("https://h/v1"), made("https://h/v1/chat/completions")
    assert whole._server.url == base._server.url == "https://h/v1/chat/completions"
    assert whole.fingerprint == base.fingerprint


def test_what_changes_results_is_in_the_identity(made):
    """Further fields, and headers but for credentials; without any it is as it always was."""
    plain = made("https://h/v1")
    assert plain.fingerprint == digest(["openai", "gpt", "https://h/v1"])
    same = [{"headers": {"X-Api-Key": "a"}}, {"requests_per_minute": 3}, {"ca_file": ""}, {"extra_body": {}}]
    assert {made("https://h/v1", **settings).fingerprint for settings in same} == {plain.fingerprint}
    other = [
        {"extra_body": {"seed": 1}},
        {"reasoning_effort": "low"},
        {"thought_tokens": 9},
        {"headers": {"X-Model": "b"}},
    ]
    assert len({plain.fingerprint, *(made("https://h/v1", **one).fingerprint for one in other)}) == 5
    assert made(AZURE).fingerprint != made(AZURE.partition("?")[0]).fingerprint


def test_a_variable_that_is_not_set(made, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ModelError) as caught:
        made("https://h/v1", headers={"X-Key": "$MY_KEY"})
    assert str(caught.value) == "the header X-Key wants the environment variable MY_KEY, which is not set"


def test_what_is_written_for_azure():
    """A path that is not there says what Azure wants."""
    advice = advice_for("https://me.openai.azure.com/chat/completions")
    assert advice.by_status(404, "Resource not found") == (
        "On Azure the URL ends in /openai/v1 or in /openai/deployments/NAME?api-version=DATE, "
        "and the model is the deployment's name."
    )


# --- certificates ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that no authority of the system knows, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "ca.pem", folder / "key.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


@pytest.mark.parametrize("how", ["ca_file", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority(certificate, monkeypatch, how):
    """Its certificate is named in the TOML or in the environment."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    settings = {}
    if how == "ca_file":
        settings = {"ca_file": str(certificate[0])}
    else:
        monkeypatch.setenv(how, str(certificate[0]))
    with LoopbackOpenAI(lambda body: reply("Yes."), tls=certificate) as server:
        llm = RemoteLLM("m", server.url, **settings)
        assert llm.complete(PROMPT, max_tokens=9).text == "Yes."
        llm.close()


def test_an_authority_that_is_not_known(certificate):
    """What to write is said, and nothing is tried again."""
    pauses = Pauses()
    with LoopbackOpenAI(lambda body: reply("Yes."), tls=certificate) as server:
        llm = RemoteLLM("m", server.url, patience=pauses.patience())
        with pytest.raises(ModelError) as caught:
            llm.complete(PROMPT, max_tokens=9)
        llm.close()
    said, remedy = str(caught.value).split("\n")
    assert said.startswith(f"{server.url}/chat/completions cannot be used: [SSL: CERTIFICATE_VERIFY_FAILED]")
    assert remedy == (
        "Name a file with the certificate of its authority: ca_file in the table [llm], "
        "or the environment variable SSL_CERT_FILE."
    )
    assert pauses.slept == []


def test_a_file_of_certificates_that_cannot_be_used(made, tmp_path):
    (tmp_path / "none.pem").write_text("no certificate")
    for name, reason in (("gone.pem", "No such file or directory"), ("none.pem", "no certificate in it")):
        with pytest.raises(ModelError) as caught:
            made("https://h/v1", ca_file=str(tmp_path / name))
        assert str(caught.value) == (
            f"ca_file = {tmp_path / name}: {reason}\n"
            "Name a file with the certificates of your authority, each between BEGIN and END CERTIFICATE."
        )
