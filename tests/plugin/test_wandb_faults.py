"""Whatever Weights & Biases does: the tests end as without it, none waits, and a replay sends every row once.

The sessions run side by side, so that the bounds on times leave room for a busy machine: a test may wait
2 s, and the session may end 8 s beyond what the tracker may take in all, as it is waited for while it works.
What is promised (0.3 s, 20 s in all where nothing moves) is measured by `benchmarks/wandb.py`, one session
after the other and with the default of 10 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.servers.wandb_faults import (
    FAULTS,
    NOTHING,
    Fault,
    Seen,
    measure,
    outcomes_differ,
    without,
    worst_wait,
)
from tests.servers.wandb_lab import Session, why_no_disk

QUESTIONS = 16
TESTS = 2 * QUESTIONS
AT_ONCE = 8
# Seconds. A client that begins takes up to seven to give up; all else is shown with less.
WAIT_AT_START, WAIT = 10, 5
MOST_WAIT, MOST_BEYOND = 2.0, 8.0
MOST_IN_ALL = 40
# An orphan has what a tracker may take, three seconds, and two for its own children to see it.
MOST_ALONE = WAIT + 5 + MOST_BEYOND

SENT = "wandb: SERVER/loopback/lab/runs/RUN"
MISSING = "`rag-evals replay RUN` sends what is missing"
TAKEN = r"it had taken \d+ of \d+ evaluations"
STOPPED = r"(?:nothing moved for \d+ s|not done \d+ s after the end)"
GIVEN_UP = rf"wandb: {STOPPED}, and given up: {TAKEN}; {MISSING}"
OFFLINE = "wandb: offline, as {}; `rag-evals replay RUN` sends it"
FULL = rf"wandb: (?:offline, as [^;\n]+; )?No space left on device; {MISSING}"
HISTORY = rf"{SENT}\nwandb: W&B has \d+ of {TESTS + 1} lines of the history; {MISSING}"
# What is said, by fault; a machine that is busy may come to the end of the time first, which is said then.
SAID = {
    "nothing": SENT,
    "at start: server down": OFFLINE.format("there is no connection to SERVER"),
    "at start: server hangs": OFFLINE.format("there is no answer from SERVER"),
    "at start: 500": OFFLINE.format(r"SERVER answers with errors of its own \(5xx\)"),
    "at start: 401": OFFLINE.format(r"SERVER does not accept the API key \(401\)"),
    "at start: 403": OFFLINE.format(r"there is no permission for lab at SERVER \(403\)"),
    "at start: 429": OFFLINE.format(r"SERVER takes no more requests for now \(429\)"),
    # By what the client does when it is refused: its next artifact, or the look whether all has arrived.
    "in mid-run: 401": rf"(?:{SENT}\n)?wandb: [^\n]*\bfault\b[^\n]*; {MISSING}",
    "in mid-run: history answers 500": (
        rf"{SENT}\nwandb: the server did not take all of it in time; {MISSING}"
    ),
    "in mid-run: history answers 404": HISTORY,
    "in mid-run: history answers 409": HISTORY,
    "slow network, 0.1 s a request": SENT,
    "slow network, 1 s a request": SENT,
    "disk of W&B's folder full at start": FULL,
    "disk of W&B's folder full in mid-run": rf"(?:{SENT}\n)?{FULL}",
    # Nobody is there to say anything.
    "session killed by SIGKILL": "",
    "session killed by SIGTERM": "",
    "session ended by Ctrl-C": SENT,
}

every_fault = pytest.mark.parametrize(
    "fault", [NOTHING, *FAULTS], ids=[re.sub(r"\W+", "-", fault.name) for fault in (NOTHING, *FAULTS)]
)


@dataclass(frozen=True)
class Sessions:
    """Those that were begun: the one without W&B, and one a fault."""

    reference: Session
    seen: dict[str, Future[Seen]]

    def of(self, fault: Fault) -> Seen:
        return self.seen[fault.name].result(300)


@pytest.fixture(scope="module")
def sessions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """Run all sessions that the selected tests ask for, side by side: mostly they wait."""
    folder = tmp_path_factory.mktemp("labs")
    asked = [item.callspec.params.get("fault") for item in request.session.items if hasattr(item, "callspec")]
    faults = {fault.name: fault for fault in asked if isinstance(fault, Fault)}
    reference = without(folder / "without", QUESTIONS)
    why_not = why_no_disk()
    # The longest first.
    order = sorted(faults.values(), key=lambda fault: (not fault.from_start, fault.name))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = {
            fault.name: pool.submit(measure, fault, folder / f"{number}", QUESTIONS, *_waits_for(fault))
            for number, fault in enumerate(order)
            if fault.disk is None or not why_not
        }
        yield Sessions(reference, seen)


@pytest.fixture
def seen(sessions: Sessions, fault: Fault) -> Seen:
    """What came of the session with this fault."""
    if fault.disk is not None and (why_not := why_no_disk()):
        pytest.skip(why_not)
    return sessions.of(fault)


def _waits_for(fault: Fault) -> tuple[str, str]:
    wait = WAIT_AT_START if fault.from_start or fault == NOTHING else WAIT
    return f"--evals-tracker-wait={wait}", f"--evals-tracker-max-wait={MOST_IN_ALL}"


def _said(session: Session) -> str:
    """Return what was said of W&B, without what is new each time."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", "SERVER", "\n".join(session.said))
    return re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)


@every_fault
def test_outcomes_are_those_without(sessions, seen, fault):
    """Records, JUnit and exit status are as without W&B; those of a killed session as far as it went."""
    assert outcomes_differ(seen.session, sessions.reference, is_killed=fault.kill is not None) == []
    count = len(seen.session.evaluations)
    assert (0 < count < TESTS) if fault.kill else count == TESTS


@every_fault
def test_no_test_waits(sessions, seen, fault):
    """No test takes longer than without W&B, but for the noise of a busy machine."""
    assert worst_wait(seen.session, sessions.reference) < MOST_WAIT


@every_fault
def test_session_ends_in_time_and_leaves_nobody(sessions, seen, fault):
    """The session ends soon after the tracker gets on no more, and all that it began is gone after it."""
    most = 1.0 if fault.kill and not seen.session.said else MOST_IN_ALL
    assert seen.session.to_end - sessions.reference.to_end < most + MOST_BEYOND
    assert seen.session.to_alone < MOST_ALONE


@every_fault
def test_one_line_says_what_is_missing(seen, fault):
    """The line says what went wrong and which command sends the rest."""
    said = _said(seen.session)
    expected = SAID.get(fault.name)
    assert re.fullmatch(GIVEN_UP if expected is None else f"{expected}|{GIVEN_UP}", said), said


@every_fault
def test_replay_sends_every_row_once(seen, fault):
    """When all is well again, a replay makes the run at W&B what the records are."""
    assert seen.differences == []
    assert re.fullmatch(r"wandb: http://127\.0\.0\.1:\d+/loopback/lab/runs/\S+\n", seen.replayed)
    assert seen.replay_status == 0


def test_reference_has_every_outcome(sessions):
    """The sessions have tests that pass, fail, have no verdict and have no answer: else they show little."""
    outcomes = {line["outcome"] for line in sessions.reference.evaluations}
    assert outcomes == {"passed", "failed", "unscored", "error"}
    assert sessions.reference.junit is not None
    assert len(sessions.reference.junit) == TESTS
