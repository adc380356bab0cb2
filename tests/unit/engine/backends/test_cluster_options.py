"""What is said of a cluster: addresses, resources and the TOML file, and what is wrong with them."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.backends.cluster.options import (
    ClusterOptions,
    ClusterPlan,
    parse_address,
    parse_resources,
    plan_from,
)


@pytest.mark.parametrize("text", ["auto", "local", "10.0.0.1:6379", "head-node.internal:6379", "[::1]:6379"])
def test_addresses(text):
    assert parse_address(text) == text


def test_a_path_is_no_address():
    """`pytest --evals-ray evals` takes the folder for the address; what to write instead is said."""
    with pytest.raises(UsageError) as raised:
        parse_address("evals")
    assert str(raised.value) == (
        "evals_ray = evals: neither auto, local nor HOST:PORT; in front of a path write --evals-ray=auto"
    )


def test_a_client_of_ray_is_no_driver():
    with pytest.raises(UsageError) as raised:
        parse_address("ray://head:10001")
    assert str(raised.value) == (
        "evals_ray = ray://head:10001: pytest itself runs on a node of the cluster; send it there with "
        "ray job submit --working-dir . -- pytest evals --evals-ray"
    )


def test_resources():
    assert parse_resources("num_cpus=2, num_gpus=0.5,fast_disk=1") == {
        "num_cpus": 2.0,
        "num_gpus": 0.5,
        "fast_disk": 1.0,
    }
    assert parse_resources("") == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("num_cpus", "num_cpus = "),
        ("num_cpus=two", "num_cpus = two"),
        ("num_gpus=-1", "num_gpus = -1"),
        ("=1", " = 1"),
        ("num_cpus=nan", "num_cpus = nan"),
    ],
)
def test_wrong_resources(text, named):
    with pytest.raises(UsageError) as raised:
        parse_resources(text)
    assert str(raised.value) == (
        f"evals_ray_resources: {named}: write NAME=AMOUNT, such as num_cpus=2,num_gpus=0.5"
    )


def test_nothing_said():
    assert plan_from(ClusterOptions("auto")) == ClusterPlan("auto", 0, {"num_cpus": 1.0})


def test_options_win_over_the_file(tmp_path):
    file = tmp_path / "ray.toml"
    file.write_text(
        """
actors = 4
home = "/mnt/shared/rag-evals"
pass_env = ["OPENAI_API_KEY"]
wait_minutes = 2
lost_after = 30
resources = { num_gpus = 1, fast_disk = 1 }

[runtime_env]
pip = ["my-package"]
""",
        "utf-8",
    )
    assert plan_from(ClusterOptions("h:6379", 8, {"num_cpus": 3.0}, file)) == ClusterPlan(
        "h:6379",
        8,
        {"num_cpus": 3.0, "num_gpus": 1.0, "fast_disk": 1.0},
        "/mnt/shared/rag-evals",
        ("OPENAI_API_KEY",),
        2.0,
        {"pip": ["my-package"]},
        30.0,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "actor = 4",
            "unknown: actor; known are actors, home, lost_after, pass_env, resources, runtime_env, "
            "wait_minutes",
        ),
        ("home = 1", "home: a text"),
        ("lost_after = 0", "lost_after = 0: give the seconds, 1 or more"),
        ("resources = 2", "resources: a table"),
        ('pass_env = "KEY"', "pass_env: a list of texts"),
        ("actors = true", "actors = True: write NAME=AMOUNT, such as num_cpus=2,num_gpus=0.5"),
    ],
)
def test_wrong_files(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ray.toml").write_text(text, "utf-8")
    with pytest.raises(UsageError) as raised:
        plan_from(ClusterOptions("auto", config=tmp_path / "ray.toml"))
    assert str(raised.value) == f"ray.toml: {said}"


def test_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        plan_from(ClusterOptions("auto", config=tmp_path / "ray.toml"))
    assert str(raised.value).startswith("ray.toml: [Errno 2] No such file or directory: ")
