"""One comment a pull request: made once, updated ever after, found on any page, and by nobody else's mark."""

from __future__ import annotations

import json
import re

import pytest
from rag_evals.evals.reports.github_comment import NoComment, PullRequest, pull_request_of, put_comment

from tests.servers.github import BOT, PERSON, LoopbackGitHub

PULL = PullRequest("owner/name", 7)
FORK = PullRequest("owner/name", 7, is_from_fork=True)
MARK = "<!-- rag-evals: evals -->\n"


@pytest.fixture
def github():
    with LoopbackGitHub() as running:
        yield running


def put(github, text="Text.", pull=PULL, token="good", name="evals"):
    return put_comment(pull, name, text, token=token, api=github.url)


def problem(github, **given):
    with pytest.raises(NoComment) as raised:
        put(github, **given)
    return str(raised.value)


def test_made_once_and_updated(github):
    """A second push changes the comment of the first."""
    github.add("Looks good to me.", PERSON)
    first = put(github, "One.")
    second = put(github, "Two.")
    assert first == second == "https://github.invalid/owner/name/pull/7#issuecomment-1001"
    assert [comment["body"] for comment in github.comments] == ["Looks good to me.", f"{MARK}Two."]


def test_found_on_a_later_page(github):
    """However many comments come before it."""
    for number in range(250):
        github.add(f"{number}", PERSON)
    mine = github.add(f"{MARK}Before.", BOT)
    for number in range(60):
        github.add(f"{number}", PERSON)
    put(github, "Now.")
    assert mine["body"] == f"{MARK}Now."
    assert len(github.comments) == 311
    comments = "/repos/owner/name/issues/7/comments?per_page=100&page="
    assert github.requests == [
        *(f"GET {comments}{page}" for page in (1, 2, 3)),
        "PATCH /repos/owner/name/issues/comments/1250",
    ]


def test_full_last_page(github):
    """A hundred comments without ours, and an empty page behind them."""
    for number in range(100):
        github.add(f"{number}", PERSON)
    put(github)
    assert github.comments[-1]["body"] == f"{MARK}Text."


def test_names_are_comments_of_their_own(github):
    """Two jobs have one each; a name cannot end the mark."""
    put(github, "A.", name="one")
    put(github, "B.", name="two --> <b>")
    put(github, "C.", name="one")
    assert [comment["body"] for comment in github.comments] == [
        "<!-- rag-evals: one -->\nC.",
        "<!-- rag-evals: two --- -b- -->\nB.",
    ]


def test_mark_of_somebody_else(github):
    """A person who wrote the mark keeps their comment; with a token of theirs it is their own."""
    theirs = github.add(f"{MARK}Mine.", PERSON)
    put(github, "Ours.")
    assert [comment["body"] for comment in github.comments] == [f"{MARK}Mine.", f"{MARK}Ours."]
    put(github, "By hand.", token="personal")
    assert theirs["body"] == f"{MARK}By hand."
    assert len(github.comments) == 2


NEEDED = "it needs `permissions: pull-requests: write`"
FROM_FORK = "a pull request from a fork gets none that may write"


@pytest.mark.parametrize(
    ("told", "given", "said"),
    [
        ({}, {"token": ""}, "there is no token: give GITHUB_TOKEN"),
        ({}, {"token": "", "pull": FORK}, f"there is no token: give GITHUB_TOKEN ({FROM_FORK})"),
        ({}, {"token": "bad"}, "URL does not accept the token (401)"),
        ({"status": 403}, {}, f"the token may not comment on owner/name#7 (403): {NEEDED}"),
        ({"read_status": 404}, {}, f"the token may not comment on owner/name#7 (404): {NEEDED}"),
        ({"status": 403}, {"pull": FORK}, f"the token may not comment on owner/name#7 (403): {FROM_FORK}"),
        ({"status": 429}, {}, "URL takes no more requests for now (429)"),
        (
            {"read_status": 403, "headers": {"x-ratelimit-remaining": "0"}},
            {},
            "URL takes no more requests for now (403)",
        ),
        ({"read_status": 502}, {}, "URL answers 502 Bad Gateway"),
        ({"read_status": 302, "headers": {"Location": "/user"}}, {}, "URL answers 302 Found"),
    ],
)
def test_refusals(github, told, given, said):
    """One line each, and nothing is made."""
    for name, value in told.items():
        setattr(github, name, value)
    assert problem(github, **given).replace(github.url, "URL") == said
    assert github.comments == []
    assert "GET /user" not in github.requests


def test_without_a_token_nobody_is_asked(github):
    """Not even for the comments."""
    problem(github, token="", pull=FORK)
    assert github.requests == []


def test_nobody_answers():
    """A server that is gone, or an address that is none."""
    with LoopbackGitHub() as github:
        pass
    said = problem(github)
    assert re.fullmatch(rf"there is no answer from {github.url} \(.*Connection refused\)", said), said
    with pytest.raises(NoComment, match=r"^file:///etc is no address of GitHub's interface$"):
        put_comment(PULL, "evals", "Text.", token="good", api="file:///etc")


def event(path, **pull_request):
    path.write_text(json.dumps({"pull_request": pull_request}))
    return {"GITHUB_EVENT_PATH": str(path), "GITHUB_REPOSITORY": "owner/name"}


def test_pull_request(tmp_path):
    """By the event, else by the reference; a fork is told by its repository."""
    own = {"repo": {"full_name": "owner/name"}}
    told = event(tmp_path / "a.json", number=7, head=own, base=own)
    assert pull_request_of(told) == PULL
    other = {"repo": {"full_name": "other/name"}}
    assert pull_request_of(event(tmp_path / "b.json", number=7, head=other, base=own)) == FORK
    gone = {"repo": None}  # the fork was deleted
    assert pull_request_of(event(tmp_path / "c.json", number=7, head=gone, base=own)) == FORK
    said = tmp_path / "d.json"  # somebody's comment, on a pull request or on an issue
    told = {"GITHUB_EVENT_PATH": str(said), "GITHUB_REPOSITORY": "owner/name"}
    for about, expected in (({"pull_request": {"url": "..."}}, PULL), ({}, None)):
        said.write_text(json.dumps({"issue": {"number": 7, **about}}))
        assert pull_request_of(told) == expected
    told = {"GITHUB_REPOSITORY": "owner/name", "GITHUB_REF": "refs/pull/7/merge"}
    assert pull_request_of(told) == PULL
    assert pull_request_of({**told, "GITHUB_EVENT_PATH": "gone.json"}) == PULL


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GITHUB_REPOSITORY": "owner/name", "GITHUB_REF": "refs/heads/main"},
        {"GITHUB_REF": "refs/pull/7/merge"},
    ],
)
def test_no_pull_request(environ):
    """A push to a branch, or no GitHub at all."""
    assert pull_request_of(environ) is None
