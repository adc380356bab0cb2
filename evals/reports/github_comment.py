"""One comment on a pull request, found again by its first line and updated: pushes do not pile them up."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.decision import Decision
from rag_evals.evals.reports.github import summary_text
from rag_evals.evals.reports.markdown import code_span
from rag_evals.evals.runs.run import Run

API = "https://api.github.com"
TIMEOUT = 10.0  # seconds for a request
ON_A_PAGE = 100
# A pull request with more comments than fit these gets a new one.
MOST_PAGES = 50
# GitHub takes 65,536 characters in a comment.
MOST_CHARACTERS = 65_000


class NoComment(Exception):  # it is no error: the gate is not about it
    """Says in one line why there is no comment."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Where the comment belongs.

    Attributes:
        repository: `OWNER/NAME`.
        number: Of the pull request.
        is_from_fork: Whether it comes from another repository: GitHub then gives no secrets, and a token that
            may only read.
    """

    repository: str
    number: int
    is_from_fork: bool = False


def pull_request_of(environ: Mapping[str, str]) -> PullRequest | None:
    """Return the pull request that a job of GitHub Actions is about; None where it is about none."""
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    issue = event.get("issue") or {}  # of a comment on it, which may be a pull request
    asked = event.get("pull_request") or (issue if issue.get("pull_request") else {})
    reference = re.fullmatch(r"refs/pull/(\d+)/\w+", environ.get("GITHUB_REF", ""))
    number = asked.get("number") or (reference[1] if reference else None)
    repository = environ.get("GITHUB_REPOSITORY", "")
    if not number or not repository:
        return None
    sides = [((asked.get(side) or {}).get("repo") or {}).get("full_name") for side in ("head", "base")]
    return PullRequest(repository, int(number), is_from_fork=bool(sides[1]) and sides[0] != sides[1])


def _event(path: str) -> dict[str, Any]:
    try:
        event = parse_json(Path(path).read_bytes()) if path else {}
    except (OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def comment_text(run: Run, decision: Decision, base: Run | None = None, *, environ: Mapping[str, str]) -> str:
    """Return what the summary of the step says, with the commit and where to read on.

    Args:
        run: The run.
        decision: What was decided.
        base: What it was held against; None without.
        environ: The environment, which names commit and job.
    """
    text = summary_text(run, decision, base)
    if len(text) > MOST_CHARACTERS:  # the run alone is not
        text = summary_text(run, decision)
    head = (_event(environ.get("GITHUB_EVENT_PATH", "")).get("pull_request") or {}).get("head") or {}
    commit = str(head.get("sha") or environ.get("GITHUB_SHA", ""))[:7]
    known = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    job = "[log and report]({}/{}/actions/runs/{})".format(*known) if all(known) else ""
    last = ", ".join(filter(None, (f"Of {code_span(commit)}" if commit else "", job)))
    return f"{text}\n{last}\n" if last else text


def put_comment(pull: PullRequest, name: str, text: str, *, token: str, api: str = API) -> str:
    """Make the comment, or update the one that is there; return its address.

    Args:
        pull: The pull request.
        name: Which comment it is: a job with another name has another.
        text: Markdown.
        token: What GitHub gives the job, or a personal one.
        api: Address of GitHub's interface.

    Raises:
        NoComment: There is no token, or GitHub does not take it; says why.
    """
    fork = " (a pull request from a fork gets none that may write)" if pull.is_from_fork else ""
    if not token:
        raise NoComment(f"there is no token: give GITHUB_TOKEN{fork}")
    github = _GitHub(api, token, pull, fork)
    mark = f"<!-- rag-evals: {re.sub('[^A-Za-z0-9 ._-]', '-', name)} -->"
    body = {"body": f"{mark}\n{text}"}
    comments = f"/repos/{pull.repository}/issues/{pull.number}/comments"
    found = next(_ours(github, comments, mark), None)
    if found is None:
        return str(github.ask("POST", comments, body).get("html_url"))
    place = f"/repos/{pull.repository}/issues/comments/{int(found['id'])}"
    return str(github.ask("PATCH", place, body).get("html_url"))


def _ours(github: _GitHub, comments: str, mark: str) -> Iterator[Mapping[str, Any]]:
    """Yield the comments with our mark that we wrote: anybody can write the mark into one of theirs."""
    for page in range(1, MOST_PAGES + 1):
        found = github.ask("GET", f"{comments}?per_page={ON_A_PAGE}&page={page}")
        for comment in found:
            if str(comment["body"]).startswith(f"{mark}\n") and github.is_me(comment["user"]):
                yield comment
        if len(found) < ON_A_PAGE:
            return


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the token would go with it."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _GitHub:
    """GitHub's interface, for one pull request."""

    def __init__(self, api: str, token: str, pull: PullRequest, fork: str) -> None:
        self._api = api.rstrip("/")
        self._token = token
        self._pull = pull
        self._fork = fork
        self._me: str | None = None
        self._opener = urllib.request.build_opener(_NoRedirect)

    def is_me(self, user: Mapping[str, Any]) -> bool:
        """Return whether the token is this user's; that of a job is an app's, which cannot ask who it is."""
        if user.get("type") == "Bot":
            return True
        if self._me is None:
            try:
                self._me = str(self.ask("GET", "/user").get("login"))
            except NoComment:
                self._me = ""
        return user.get("login") == self._me

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask for something, and return the answer.

        Raises:
            NoComment: There is none, or it is a refusal.
        """
        if urlsplit(self._api).scheme not in ("http", "https"):
            raise NoComment(f"{printable(self._api)} is no address of GitHub's interface")
        request = urllib.request.Request(
            f"{self._api}{path}",
            json.dumps(body).encode() if body is not None else None,
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
            method=method,
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise NoComment(self._refusal(error)) from None
        except (OSError, HTTPException, ValueError) as error:
            cause = getattr(error, "reason", None) or error
            raise NoComment(f"there is no answer from {self._api} ({printable(str(cause))[:200]})") from error

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        status, where = error.code, f"{self._pull.repository}#{self._pull.number}"
        if status == 429 or (status == 403 and error.headers.get("x-ratelimit-remaining") == "0"):
            return f"{self._api} takes no more requests for now ({status})"
        if status == 401:
            return f"{self._api} does not accept the token (401)"
        if status in (403, 404):
            needed = "it needs `permissions: pull-requests: write`"
            return f"the token may not comment on {where} ({status}): {self._fork.strip(' ()') or needed}"
        return f"{self._api} answers {status} {printable(str(error.reason))[:100]}"
