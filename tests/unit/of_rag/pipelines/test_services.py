"""A service as a pipeline: what it is sent, what of its reply is what, and the words for what goes wrong."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rag_evals.evals.testing import FakePipeline
from rag_evals.rag.answer import Answer, Citation, Context, Message, Pipeline, Span, Tokens
from rag_evals.rag.config.service import ServiceConfig, service_config
from rag_evals.rag.errors import ConfigError, ModelError, RemoteError
from rag_evals.rag.llm.deadline import deadline
from rag_evals.rag.llm.http.server import Patience
from rag_evals.rag.pipelines.services import service as service_module
from rag_evals.rag.pipelines.services.reply import Reply, UnusableReplyError
from rag_evals.rag.pipelines.services.service import (
    CHECK,
    Service,
    ServiceSettings,
    ServiceWithHistory,
    pipeline_from_http,
    service_for,
)
from rag_evals.rag.profile import profile_of

from tests.servers.openai import LoopbackOpenAI, Said

QUESTION = "How many experts does each token use?"
PLAIN = {"answer": "Two.", "contexts": ["Each token uses two experts."]}
ANSWERED = Answer("Two.", (Context("Each token uses two experts."),))


Ask = Callable[..., tuple[Service, LoopbackOpenAI]]


@pytest.fixture
def serve() -> Iterator[Ask]:
    """Start a server that gives these answers in turn, the last for ever, and a pipeline that asks it."""
    with ExitStack() as stack:

        def started(*said: Any, patience: Patience | None = None, **settings: Any):
            script = list(said)
            server = stack.enter_context(
                LoopbackOpenAI(lambda body: script.pop(0) if len(script) > 1 else script[0])
            )
            config = service_config("mine", "mine", {"service": f"http:{server.url}/ask", **settings})
            kind = ServiceWithHistory if config.takes_history else Service
            made = kind(config, patience=patience or Patience(sleep=lambda _: None))
            stack.callback(made.close)
            return made, server

        yield started


def message_of(call: Callable[[], Any], kind: type[Exception] = RemoteError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def same(answer: Answer, other: Answer) -> bool:
    """Compare what two answers say, whatever they took."""
    return (answer.text, answer.contexts) == (other.text, other.contexts)


# --- what it is sent ---


def test_a_question_and_its_answer(serve):
    """By default the question goes out, and answer and contexts come back, in tables of three plain names."""
    service, server = serve(PLAIN)
    answer = asyncio.run(service.answer(QUESTION))
    assert same(answer, ANSWERED)
    assert list(answer.seconds) == ["answer"]
    assert 0 < answer.seconds["answer"] < 5
    (asked,) = server.asked
    assert (asked.path, asked.body) == ("/v1/ask", {"question": QUESTION})
    assert asked.headers["content-type"] == "application/json"
    assert isinstance(service, Pipeline)


def test_a_template(serve):
    """The question stands wherever the template says, in any depth; all else goes out as it is."""
    template = {
        "input": {"text": "Q: {question}?", "k": 8},
        "stream": False,
        "tags": ["{question}", 1.5, None],
    }
    service, server = serve(PLAIN, request=template, params={"api-version": "2026-11"})
    service.answer_now('say "{history}"')
    assert server.asked[0].path == "/v1/ask?api-version=2026-11"
    assert server.bodies == [
        {
            "input": {"text": 'Q: say "{history}"?', "k": 8},
            "stream": False,
            "tags": ['say "{history}"', 1.5, None],
        }
    ]


def test_a_get(serve):
    """With GET the question is a parameter, whatever signs it has."""
    service, server = serve(PLAIN, method="GET", params={"q": "{question}", "k": "3"})
    server.about["/v1/ask?q=a+%26+b%3F+%C3%A9&k=3"] = PLAIN
    assert same(service.answer_now("a & b? é"), ANSWERED)
    service, server = serve(PLAIN, method="GET")
    server.about["/v1/ask?question=why"] = PLAIN
    assert same(service.answer_now("why"), ANSWERED)


def test_what_was_said_before(serve):
    """A template that has a place for it gets the history; then the pipeline takes one, else it does not."""
    before = (Message("user", "What is Mixtral?"), Message("assistant", "A model."))
    said = [{"role": "user", "content": "What is Mixtral?"}, {"role": "assistant", "content": "A model."}]
    service, server = serve(PLAIN, request={"question": "{question}", "before": "{history}"})
    asyncio.run(service.answer(QUESTION, history=before))
    asyncio.run(service.answer(QUESTION))
    assert server.bodies == [{"question": QUESTION, "before": said}, {"question": QUESTION, "before": []}]
    service, server = serve(PLAIN, request={"messages": "{messages}"})
    asyncio.run(service.answer(QUESTION, history=before))
    assert server.bodies == [{"messages": [*said, {"role": "user", "content": QUESTION}]}]
    assert "history" in inspect.signature(service.answer).parameters
    service, _ = serve(PLAIN)
    assert "history" not in inspect.signature(service.answer).parameters


def test_credentials_come_from_the_environment(serve, monkeypatch):
    """They go out, and stand in nothing that is shown or kept: not in the identity, nor in an error."""
    monkeypatch.setenv("SERVICE_TOKEN", "s3cr3t-token")
    monkeypatch.setenv("BODY_KEY", "b0dy-key")
    monkeypatch.setenv("RAG_EVALS_API_KEY", "of-a-models-server")
    service, server = serve(
        Said('{"detail": "Bearer s3cr3t-token b0dy-key is no key"}', 401),
        headers={
            "Authorization": "Bearer $SERVICE_TOKEN",
            "X-Other": "env:SERVICE_TOKEN",
            "X-Team": "search",
        },
        request={"question": "{question}", "key": "env:BODY_KEY"},
    )
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message == (
        f'{server.url}/ask answered HTTP 401: {{"detail": "*** *** is no key"}}\n'
        'Have a header let us in: headers = { Authorization = "Bearer $NAME" }, from the environment.'
    )
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer s3cr3t-token"
    assert asked.headers["x-other"] == "s3cr3t-token"
    assert asked.body["key"] == "b0dy-key"
    assert "of-a-models-server" not in str(asked)
    shown = f"{service.profile} {service.fingerprint} {service.description} {service.config}"
    assert "s3cr3t" not in shown
    assert "b0dy" not in shown
    assert service.profile.settings["headers"] == {"X-Team": "search"}


def test_another_token_is_the_same_service(serve, monkeypatch):
    """A credential that is changed changes no identity; what is sent does."""
    monkeypatch.setenv("TOKEN", "one")
    prints = []
    for settings in (
        {},
        {"headers": {"Authorization": "env:TOKEN"}},
        {"headers": {"X-Team": "a"}},
        {"answer": "a"},
    ):
        service, _ = serve(PLAIN, **settings)
        # Each has a server of its own, whose address is in the identity.
        identity = {**service.profile.identity, "service": ""}
        prints.append(json.dumps(identity, sort_keys=True))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("said", [Said("no", 500), Said("", is_dropped=True), "<html>"], ids=str)
def test_no_variable_of_a_report_has_a_credential(serve, monkeypatch, said):
    """A report that shows the variables of each frame shows none."""
    for name in ("HEADER_KEY", "BODY_KEY", "QUERY_KEY"):
        monkeypatch.setenv(name, "s3cr3t")
    service, _ = serve(
        said,
        headers={"Authorization": "Bearer $HEADER_KEY"},
        request={"q": "{question}", "key": "env:BODY_KEY"},
        params={"key": "env:QUERY_KEY"},
        patience=Patience(attempts=2, sleep=lambda _: None),
    )
    with pytest.raises(RemoteError) as caught:
        service.answer_now(QUESTION)
    assert caught.tb is not None
    # But for this function's own frame: the server of the test knows them.
    error = caught.value.with_traceback(caught.tb.tb_next)
    report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert f"question = {QUESTION!r}" in report
    assert [line for line in report.splitlines() if "s3cr3t" in line] == []


def test_a_variable_that_is_not_set(serve, monkeypatch):
    """It is said before anything is asked."""
    monkeypatch.delenv("NO_TOKEN", raising=False)
    wants = "wants the environment variable NO_TOKEN, which is not set"
    for settings, what in (
        ({"headers": {"Authorization": "env:NO_TOKEN"}}, "the header Authorization"),
        ({"request": {"q": "{question}", "key": "env:NO_TOKEN"}}, "the text 'env:NO_TOKEN'"),
    ):
        assert message_of(lambda settings=settings: serve(PLAIN, **settings), ModelError) == f"{what} {wants}"


# --- what of its reply is what ---


def test_paths(serve):
    """Answer, passages and what each says of its place, by paths; what is no number is left out."""
    hits = [
        {
            "passage": "one",
            "meta": {"file": "a.pdf", "page": "3", "to": 4},
            "from": 7,
            "until": 10,
            "rank": 0.5,
        },
        {"passage": "two", "meta": {"file": None, "page": "iv"}, "from": -1, "until": "x", "rank": "0.25"},
        {"passage": "three", "meta": "none", "rank": float("nan")},
    ]
    service, _ = serve(
        {"data": {"choices": [{"text": "Two."}], "hits": hits}},
        answer="data.choices[0].text",
        contexts="data.hits",
        context={
            "text": "passage",
            "document": "meta.file",
            "page": "meta.page",
            "page_end": "meta.to",
            "start": "from",
            "end": "until",
            "score": "rank",
        },
    )
    assert service.answer_now(QUESTION).contexts == (
        Context("one", "a.pdf", page=3, start=7, end=10, score=0.5, page_end=4),
        Context("two", score=0.25),
        Context("three"),
    )


def test_what_is_looked_for_by_default(serve):
    """The keys of a logged answer are those of a reply."""
    context = {"text": "one", "document": "a.pdf", "page": 3, "start": 0, "end": 3, "score": 1}
    service, _ = serve({"answer": "Two.", "contexts": [context]})
    assert service.answer_now(QUESTION).contexts == (Context("one", "a.pdf", 3, 0, 3, 1.0),)


def test_seconds_tokens_and_stages(serve):
    """What the service tells of its work is taken over."""
    service, _ = serve(
        {
            **PLAIN,
            "timings": {"retrieve": 0.25, "generate": 1, "note": "slow", "bad": -1},
            "usage": {"prompt_tokens": 120, "cached": 100, "completion_tokens": 7},
            "debug": {"hits": [{"text": "one", "document": "a.pdf", "page": 2}, "two"]},
        },
        seconds="timings",
        tokens={
            "read": "usage.prompt_tokens",
            "reused": "usage.cached",
            "written": "usage.completion_tokens",
        },
        stages={"candidates": "debug.hits"},
    )
    answer = service.answer_now(QUESTION)
    assert answer.seconds == {"retrieve": 0.25, "generate": 1.0}
    assert answer.tokens == {"answer": Tokens(20, 100, 7)}
    assert answer.candidates == (Span("a.pdf", 2), Span(""))
    service, _ = serve({**PLAIN, "took": 1.5}, seconds="took")
    assert service.answer_now(QUESTION).seconds == {"answer": 1.5}


def test_citations(serve):
    """What the service says that it cites: numbers as people count, documents, or places."""
    cited = [
        2,
        "a.pdf",
        {"contexts": [0, "1", -1], "document": "b.pdf", "page": 3, "start": 0, "end": 4},
        0,
        None,
    ]
    service, _ = serve(
        {**PLAIN, "refs": cited}, {**PLAIN}, {**PLAIN, "refs": "all"}, citations="refs", cites=True
    )
    answer = service.answer_now(QUESTION)
    assert answer.cites
    assert answer.citations == (
        Citation(contexts=(1,)),
        Citation(document="a.pdf"),
        Citation(0, 4, (0, 1), "b.pdf", 3),
    )
    assert service.answer_now(QUESTION).citations == ()
    message = message_of(lambda: service.answer_now(QUESTION))
    assert "citations = 'refs' finds a text in it, not a list" in message


NAMES = st.sampled_from(["answer", "contexts", "text", "page", "start", "citations", "took"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(JSON | st.fixed_dictionaries({"answer": st.text(), "contexts": st.lists(JSON), "citations": JSON}))
def test_any_reply_is_an_answer_or_refused_in_words(table):
    """Whatever comes, nothing else is raised, and what is kept can be written down."""
    paths = {"citations": "citations", "seconds": "took", "tokens": {"read": "page"}}
    with suppress(UnusableReplyError):
        answer = Reply(ServiceConfig("mine", "http://h/", **paths)).answer(json.dumps(table).encode(), 0.5)
        json.dumps(asdict(answer), allow_nan=False)
        answer.text.encode()


def test_no_passages(serve):
    """A service that tells none has none, and one that leaves the list out may say so by its path."""
    service, _ = serve({"answer": ""}, contexts="")
    assert service.answer_now(QUESTION).text == ""
    service, _ = serve({"answer": "Two."}, contexts="sources || `[]`")
    assert service.answer_now(QUESTION).contexts == ()


def test_half_of_a_pair_of_surrogates(serve):
    """What no file takes is replaced, and what is asked goes out as an escape."""
    service, server = serve('{"answer": "\\ud83d Two.", "contexts": ["\\udc00"]}')
    assert same(service.answer_now("\ud83d?"), Answer("? Two.", (Context("?"),)))
    assert server.bodies == [{"question": "\ud83d?"}]


# --- what a reply lacks ---


@pytest.mark.parametrize(
    ("reply", "settings", "said", "remedy"),
    [
        (
            "<!doctype html><title>Sign in</title>",
            {},
            "it is HTML, where JSON is wanted: <!doctype html><title>Sign in</title>",
            "Correct the URL: what is there is a page for people.",
        ),
        (
            "",
            {},
            "it is empty, where JSON is wanted: (nothing)",
            "Correct the URL, or have the service answer.",
        ),
        (
            "Two.",
            {},
            "it is no JSON: Two.",
            "Correct the URL, or have the service answer in JSON.",
        ),
        (
            'data: {"answer": "T"}\n\ndata: {"answer": "wo."}\n\n',
            {},
            'it is a stream of events, where JSON is wanted: data: {"answer": "T"} data: {"answer": "wo."}',
            "Have it answer in one piece: stream = false.",
        ),
        (
            {"data": {"text": "Two."}},
            {"answer": "data.answer"},
            'answer = \'data.answer\' finds nothing in it: {"data": {"text": "Two."}}',
            "Correct the path: it is JMESPath.",
        ),
        (
            {"answer": {"text": "Two."}},
            {},
            'answer = \'answer\' finds a table in it, not a text: {"answer": {"text": "Two."}}',
            "Lead the path to the text itself; join('', PATH) makes one of a list of texts.",
        ),
        (
            {"answer": 2},
            {},
            "answer = 'answer' finds a number in it, not a text: {\"answer\": 2}",
            "Lead the path to the text itself; join('', PATH) makes one of a list of texts.",
        ),
        (
            {"answer": "Two.", "sources": None},
            {"contexts": "sources"},
            'contexts = \'sources\' finds nothing in it: {"answer": "Two.", "sources": null}',
            "Correct the path; write sources || `[]` if the service leaves it out where it found no passage, "
            'or contexts = "" if it never tells them.',
        ),
        (
            {"answer": "Two.", "contexts": "one"},
            {},
            'contexts = \'contexts\' finds a text in it, not a list: {"answer": "Two.", "contexts": "one"}',
            "Lead the path to the list of the passages.",
        ),
        (
            {"answer": "Two.", "contexts": ["one", 2]},
            {},
            'contexts[1] is a number, not a text or a table: {"answer": "Two.", "contexts": ["one", 2]}',
            "Lead the path to the list of the passages.",
        ),
        (
            {"answer": "Two.", "contexts": [{"body": "one", "id": 1}]},
            {},
            "context.text = 'text' finds nothing in contexts[0], not a text; it has body, id: "
            '{"answer": "Two.", "contexts": [{"body": "one", "id": 1}]}',
            'Write where the text of a passage stands: context = { text = "PATH" }.',
        ),
        (
            {"answer": "Two.", "contexts": []},
            {"answer": "length(answer)"},
            "answer = 'length(answer)' finds a number in it, not a text: "
            '{"answer": "Two.", "contexts": []}',
            "Lead the path to the text itself; join('', PATH) makes one of a list of texts.",
        ),
        (
            {"answer": 2},
            {"answer": "length(answer)"},
            "answer = 'length(answer)' cannot be followed: In function length(), invalid type for value: 2, "
            "expected one of: ['string', 'array', 'object'], received: \"number\": {\"answer\": 2}",
            "Correct the path.",
        ),
    ],
)
def test_a_reply_of_another_kind(serve, reply, settings, said, remedy):
    """What is wanted and is not there is said with where it was looked for, the reply, and what to do."""
    service, server = serve(reply, **settings)
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message == f"{server.url}/ask answered HTTP 200, but {said}\n{remedy}"
    assert len(server.asked) == 1


def test_a_reply_that_nests_without_end(serve):
    """JSON that no reader takes is refused, too."""
    service, server = serve("[" * 100_000)
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message.startswith(
        f"{server.url}/ask answered HTTP 200, but it is nested too deeply to be read: [[[["
    )


def test_control_characters_of_a_reply(serve):
    """A reply writes nothing on the terminal."""
    service, server = serve({"\x1b[31mred\n": 1})
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message == (
        f"{server.url}/ask answered HTTP 200, but answer = 'answer' finds nothing in it: "
        '{"\\u001b[31mred\\n": 1}\nCorrect the path: it is JMESPath.'
    )


# --- trouble ---


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "Correct what it is sent: method, request, params and headers say that."),
        (403, 'Have a header let us in: headers = { Authorization = "Bearer $NAME" }, from the environment.'),
        (404, "Correct the path of the URL."),
        (405, 'It takes another method: method = "GET" or "POST".'),
        (422, "Correct what it is sent: method, request, params and headers say that."),
    ],
)
def test_a_refusal(serve, status, remedy):
    """A refusal names the address, the status, the words of the service and what to do; it is asked once."""
    service, server = serve(Said("out of luck", status))
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message == f"{server.url}/ask answered HTTP {status}: out of luck\n{remedy}"
    assert len(server.asked) == 1


def test_trouble_is_tried_again(serve):
    """Trouble that passes is not seen; trouble that stays is told with what it took."""
    service, server = serve(Said("busy", 500), Said("", is_dropped=True), PLAIN)
    assert same(service.answer_now(QUESTION), ANSWERED)
    assert len(server.asked) == 3
    service, server = serve(Said("busy", 500), patience=Patience(attempts=2, sleep=lambda _: None))
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message.startswith(f"{server.url}/ask answered HTTP 500: busy (tried 2 times over ")
    assert message.endswith("s)\nSee the service's log.")


def test_a_pause_that_the_service_asks_for(serve):
    """A service at its limit is left alone for as long as it says."""
    slept: list[float] = []
    patience = Patience(sleep=slept.append, clock=lambda: sum(slept))
    service, _ = serve(Said("slow down", 429, headers={"Retry-After": "7"}), PLAIN, patience=patience)
    assert same(service.answer_now(QUESTION), ANSWERED)
    assert 7 <= sum(slept) <= 7 * 1.2 + 0.1


def test_too_often_without_end(serve):
    """Where it stays so, that is said, with what to set."""
    slept: list[float] = []
    patience = Patience(sleep=slept.append, clock=lambda: sum(slept), limited=60)
    service, server = serve(Said("slow down", 429), patience=patience)
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message.startswith(f"{server.url}/ask answered HTTP 429: slow down (tried ")
    assert message.endswith("The service is asked too often: try again later, or set requests_per_minute.")


def test_a_redirect_is_not_followed(serve, monkeypatch):
    """Not to another host, where the credentials would go, nor to the same: it is said where it leads to."""
    monkeypatch.setenv("TOKEN", "s3cr3t")
    with LoopbackOpenAI(lambda body: PLAIN) as other:
        to = f"{other.url}/ask?token=of-theirs"
        service, server = serve(
            Said("", 307, headers={"Location": to}), headers={"Authorization": "Bearer $TOKEN"}
        )
        message = message_of(lambda: service.answer_now(QUESTION))
        assert message == (
            f"{server.url}/ask answered HTTP 307, a redirect to {other.url}/ask: (nothing)\n"
            "No redirect is followed, since the headers would go along: write the address that is meant."
        )
        assert other.asked == []


def test_nobody_listens():
    """A refused connection says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ask"
    service = Service(ServiceConfig("mine", url), patience=Patience(attempts=1))
    message = message_of(lambda: service.answer_now(QUESTION))
    assert message == (
        f"{url} cannot be used: [Errno 111] Connection refused (tried once over 0.0 s)\n"
        "Start the server, see whether it is overloaded, or correct the URL."
    )


def test_a_reply_that_is_too_large(serve, monkeypatch):
    """It is not read to its end, and not asked for again."""
    monkeypatch.setattr(service_module, "MOST_BYTES", 1_000_000)
    service, server = serve({"answer": "x" * 1_500_000})
    assert message_of(lambda: service.answer_now(QUESTION)) == (
        f"{server.url}/ask cannot be used: the answer has more than 1 MB\n"
        "Ask it for less at once, or correct the URL."
    )
    assert len(server.asked) == 1


def test_a_slow_body(serve):
    """The bound is that of the whole reply, and a question's own bound is shorter where there is one."""
    drops = Said((*[" "] * 200, "{}"), seconds=0.02)
    service, server = serve(drops, patience=Patience(attempts=1, answering=0.2))
    began = time.monotonic()
    assert message_of(lambda: service.answer_now(QUESTION)) == (
        f"{server.url}/ask cannot be used: no answer within 0.2 s (tried once over 0.2 s)\n"
        "Start the server, see whether it is overloaded, or correct the URL."
    )
    assert time.monotonic() - began < 1
    service, server = serve(drops)
    with deadline(0.1):
        message = message_of(lambda: service.answer_now(QUESTION))
    assert "the question has no time left for another try" in message


def test_a_failure_in_the_reply_is_the_services_own(serve):
    """A reply with a key `error` and status 200 is read as any other."""
    service, _ = serve({**PLAIN, "error": {"code": 429, "message": "of a tool"}})
    assert same(service.answer_now(QUESTION), ANSWERED)


# --- what is known of it ---


def test_it_is_asked_once_before_the_first_question(serve):
    """So that what is wrong is said before; it is no question's own, and what fails is tried again."""
    service, server = serve(Said("", 404), PLAIN)
    assert message_of(service.load).startswith(f"{server.url}/ask answered HTTP 404: (nothing)")
    service.load()
    service.load()
    assert server.bodies == [{"question": CHECK}] * 2


def test_profile(serve):
    """How many at once, the price, and whether answers are kept: only where it is said what changes them."""
    service, _ = serve(PLAIN, priced_as="gpt-4.1-mini", most_at_once=8)
    profile = profile_of(service)
    assert (profile.most_at_once, profile.priced_as, profile.is_cacheable) == (8, "gpt-4.1-mini", False)
    versioned, _ = serve(PLAIN, fingerprint="2026-11")
    assert profile_of(versioned).is_cacheable
    service.allow(3)
    assert profile_of(service).most_at_once == 3


def test_several_at_once(serve):
    """Many may wait, and no more than is said are under way."""
    service, server = serve(Said(PLAIN, seconds=0.02), most_at_once=3)

    async def ask() -> list[Answer]:
        return await asyncio.gather(*(service.answer(f"{n}?") for n in range(12)))

    assert len(asyncio.run(ask())) == 12
    assert 1 < server.peak <= 3


def test_offline():
    """Offline a service beyond this machine is refused before it is asked; one on it is not."""
    assert message_of(
        lambda: pipeline_from_http("https://rag.example.org/ask", name="mine", offline=True), ConfigError
    ) == (
        "the service of mine at rag.example.org is not on this machine, and offline nothing beyond it is "
        "asked\nUse a service on 127.0.0.1, or leave offline out."
    )
    assert pipeline_from_http("http://[::1]:80/ask", offline=True).name == "service"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "service = '': no address of a service; write http:https://HOST/PATH"),
        (
            "rag.example.org/ask",
            "service = 'rag.example.org/ask': no address of a service; write http:https://HOST/PATH",
        ),
        ("http:ftp://h/x", "service = 'ftp://h/x': no address of a service; write http:https://HOST/PATH"),
        ("https://:80/x", "service = 'https://:80/x': no address of a service; write http:https://HOST/PATH"),
        (
            "https://me:pw@h/ask?key=k",
            "service = 'https://…@h/ask': there is a user, a password or a query in it\n"
            'Take it out: headers = { Authorization = "Bearer $TOKEN" } lets us in, and params = '
            '{ NAME = "VALUE" } is the query.',
        ),
    ],
)
def test_an_address_that_is_none(url, message):
    """It is refused, without what may be a credential."""
    assert message_of(lambda: pipeline_from_http(url), ConfigError) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anser": "x"}, "unknown key 'anser', did you mean 'answer'?"),
        ({"answer": ""}, "answer = '': wants the path of the answer in the reply"),
        ({"answer": 1}, "answer = 1: wants a text"),
        ({"method": "PUT"}, "method = 'PUT': one of POST, GET"),
        ({"most_at_once": 0}, "most_at_once = 0: at least 1"),
        ({"request_timeout": 0}, "request_timeout = 0.0: above 0"),
        (
            {"request": {"q": "{qestion}"}},
            "request: the question is nowhere in it: write {question} where it is to stand",
        ),
        (
            {"method": "GET", "params": {"q": "x"}},
            "params: the question is nowhere in it: write {question} where it is to stand",
        ),
        (
            {"request": {"q": "{question}", "h": "before: {history}"}},
            "request: 'before: {history}': {history} is a list of messages, and stands alone in a text of "
            "request",
        ),
        (
            {"method": "GET", "params": {"q": "{question}", "h": "{history}"}},
            "params: '{history}': {history} is a list of messages, and stands alone in a text of request",
        ),
        (
            {"context": {"txt": "a"}},
            "context: unknown key 'txt': known are text, document, page, page_end, start, end, score",
        ),
        ({"context": {"text": 1}}, "context: text = 1: wants a text"),
        ({"tokens": {"in": "a"}}, "tokens: unknown key 'in': known are read, reused, written"),
        (
            {"headers": {"X Y": "a"}},
            'headers: X Y is no header with a text: write headers = { NAME = "VALUE" }',
        ),
    ],
)
def test_settings_that_cannot_be(settings, message):
    """Each is refused by name, whether it stands in a file or in a call."""
    head = "pipeline_from_http: [pipelines.mine] "
    assert (
        message_of(lambda: pipeline_from_http("http://h/", name="mine", **settings), ConfigError)
        == head + message
    )


def test_a_path_that_is_none():
    """A path is refused with what is wrong in it, and two that are right."""
    message = message_of(lambda: pipeline_from_http("http://h/", answer="$.data.answer"), ConfigError)
    assert message.startswith("answer = '$.data.answer': no path: ")
    assert message.endswith(
        "; paths are JMESPath, such as data.answer, choices[0].message.content or hits[].passage"
    )


def test_the_settings_of_the_function_are_those_of_a_file():
    """Each key of a file is a keyword, and the other way round."""
    keys = {field.name for field in fields(ServiceConfig)} - {"name", "service"}
    assert set(ServiceSettings.__annotations__) == keys


def test_a_service_that_takes_history_is_another_kind():
    """`service_for` looks at the template."""
    plain, with_history = (
        service_for(ServiceConfig("mine", "http://h/", request={"q": "{question}", **more}))
        for more in ({}, {"before": "{history}"})
    )
    assert (type(plain), type(with_history)) == (Service, ServiceWithHistory)
    assert isinstance(FakePipeline(lambda _: ""), Pipeline)
