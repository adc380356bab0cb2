"""Traces on their way to a collector: all of them arrive, and one that is in trouble is one line."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rag_evals.evals.cli.main import main
from rag_evals.evals.runs.trace_lines import load_traces

from tests.plugin.conftest import GOOD
from tests.servers.wandb import LoopbackWandb


@pytest.fixture
def server(monkeypatch):
    """A W&B server, and the environment that leads to it."""
    with LoopbackWandb() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


def arrived(server):
    """Return the resource's attributes and the ids of the spans of each request."""
    found = []
    for posted in server.spans:
        (of_resource,) = ExportTraceServiceRequest.FromString(posted.body).resource_spans
        resource = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
        ids = [span.span_id.hex() for scope in of_resource.scope_spans for span in scope.spans]
        found.append((posted.headers, resource, ids))
    return found


def tracker_lines(result) -> list[str]:
    return [line for line in result.outlines if line.startswith(("otlp:", "wandb:"))]


@pytest.mark.parametrize("how", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_to_wandb(project, server, how):
    """Every span of the run arrives once, with the key and the project that W&B wants."""
    project.ask(**{f"q{n}": GOOD for n in range(6)})
    result = project.run_apart("--evals-wandb=loopback/rag", "--evals-otlp=wandb", *how)
    result.assert_outcomes(passed=6)
    (run,) = project.runs
    spans = [span for spans in load_traces(run).values() for span in spans]
    requests = arrived(server)
    assert sorted(id for _, _, ids in requests for id in ids) == sorted(span.span_id for span in spans)
    assert len(spans) >= 12
    headers, resource, _ = requests[0]
    assert headers["wandb-api-key"] == server.env["WANDB_API_KEY"]
    assert resource["wandb.entity"] == "loopback"
    assert resource["wandb.project"] == "rag"
    assert resource["evals.run"] == run.name
    endpoint = f"{server.url}/traces/otel/v1/traces"
    assert tracker_lines(result)[1] == f"otlp: {len(spans)} spans sent to {endpoint}"


def test_a_collector_in_trouble(project, server, monkeypatch, capfd):
    """The tests are as without it, one line says so, and a replay sends all of them."""
    project.ask(a=GOOD, b=GOOD)
    endpoint = f"{server.url}/otel/v1/traces"
    server.fault("403", on=("otel",))
    result = project.run_apart(f"--evals-otlp={endpoint}")
    result.assert_outcomes(passed=2)
    (run,) = project.runs
    *_, line = tracker_lines(result)
    assert line.startswith(f"otlp: traces were not taken by {endpoint}: 403 Forbidden")
    assert line.endswith(f"; `rag-evals replay {run.name}` sends what is missing")
    assert server.spans == []
    server.heal()
    monkeypatch.chdir(project.path)
    capfd.readouterr()
    assert main(["replay", run.name]) == 0
    count = sum(len(spans) for spans in load_traces(run).values())
    assert capfd.readouterr().out == f"otlp: {count} spans sent to {endpoint}\n"
    assert sum(len(ids) for _, _, ids in arrived(server)) == count


def test_an_offline_session_sends_nothing_elsewhere(project):
    """Only a collector on this machine is told of an offline session."""
    project.ask(a=GOOD)
    result = project.run_apart("--evals-offline", "--evals-otlp=https://collector.example.com/v1/traces")
    result.assert_outcomes(passed=1)
    (line,) = tracker_lines(result)
    assert line.startswith("otlp: the session is offline: no traces were sent; ")


def test_without_a_project(project):
    """W&B without a project is a wrong configuration."""
    project.ask(a=GOOD)
    result = project.run_apart("--evals-otlp=wandb")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = "ERROR: evals_otlp = wandb: say which project with --evals-wandb ENTITY/PROJECT"
    assert message in [*result.outlines, *result.errlines]
    assert project.runs == []
