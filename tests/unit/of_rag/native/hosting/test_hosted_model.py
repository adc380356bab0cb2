"""Models in processes of their own: shared, started again when they die, given up when they die again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from rag_evals.rag.errors import ModelDiedError, ModelError
from rag_evals.rag.native.hosting.hosted_model import HostedModel
from rag_evals.rag.native.hosting.models_folder import locked, models_folder

from tests.servers.mortal_models import MortalModel

ROOT = Path(__file__).parents[5]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "started"


@pytest.fixture
def folder():
    """A folder for a session's models, as short as a socket needs it."""
    return models_folder()


@pytest.fixture
def model(log, folder):
    hosted = HostedModel(MortalModel, log, name="tiny", folder=folder)
    yield hosted
    hosted.close()


def started(log: Path) -> list[int]:
    """Return the processes that were started so far, oldest first."""
    return [int(line) for line in log.read_text().split()]


def is_running(process: int) -> bool:
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def wait_until(is_so, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def death(model: HostedModel, method: str) -> ModelDiedError:
    with pytest.raises(ModelDiedError) as caught:
        model.call(method)
    return caught.value


def test_nothing_is_started_before_the_first_call(model, log, folder):
    """A model that nobody asks costs nothing: no process, no folder."""
    assert (log.exists(), folder.exists()) == (False, False)
    model.close()


def test_what_is_asked_elsewhere_is_what_is_asked_here(model, log):
    """Arguments and results are the same to the last bit, and one process answers all calls."""
    numbers = [0.1, 1e-300, float("inf"), 2**0.5]
    assert [model.call("add", n, more=0.2) for n in numbers] == [n + 0.2 for n in numbers]
    assert [model.call("count") for _ in range(3)] == [1, 2, 3]
    assert len(started(log)) == 1
    assert started(log) != [os.getpid()]


def test_what_a_model_raises_is_raised_here(model):
    """Errors keep their kind and their words; what a library raises becomes an error of the model."""
    with pytest.raises(ModelError, match=r"^m\.gguf is no model: give another file\.$"):
        model.call("fail")
    with pytest.raises(ModelError, match=r"^RuntimeError: llama_decode returned -3$"):
        model.call("err")
    assert model.call("count") == 1


@pytest.mark.parametrize(
    ("method", "cause"),
    [
        (
            "illegal",
            "the process of tiny died of SIGILL: its native code was built for another processor; "
            "`rag-evals doctor` says more",
        ),
        ("fault", "the process of tiny died of SIGSEGV (N GiB were in use)"),
        (
            "killed",
            "the process of tiny died of SIGKILL, probably for want of memory: N GiB were in use",
        ),
        (
            "abort",
            "the process of tiny died of SIGABRT (N GiB were in use): "
            "/src/ggml.c:99: GGML_ASSERT(n > 0) failed",
        ),
        ("leave", "the process of tiny ended with status 7 (N GiB were in use)"),
    ],
)
def test_a_death_costs_one_call(model, log, method, cause, capfd):
    """Whoever asked is told in one line, the next call starts another process, and nothing is dumped."""
    model.call("count")
    died = death(model, method)
    assert (re.sub(r"\d+\.\d", "N", str(died)), died.is_final) == (cause, False)
    assert model.call("count") == 1
    assert len(started(log)) == 2
    assert capfd.readouterr() == ("", "")


def test_a_second_death_of_its_kind_is_the_last(model, log):
    """A model that has died twice in the same way is not started again, whatever is asked of it."""
    first, second = death(model, "illegal"), death(model, "illegal")
    assert (first.is_final, second.is_final, str(first)) == (False, True, str(second))
    again = death(model, "count")
    assert (again.is_final, str(again)) == (True, str(second))
    assert len(started(log)) == 2


def test_deaths_of_different_kinds(model):
    """Another kind of death may have another reason: the process is started again."""
    assert [death(model, method).is_final for method in ("illegal", "fault", "fault")] == [False, False, True]


def test_two_clients_share_one_process(log, folder):
    """Whoever means the same model in the same folder gets the same process; the host ends with them."""
    models = [HostedModel(MortalModel, log, name="tiny", folder=folder) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda model: model.call("count"), models)) == [1, 2]
    (process,) = started(log)
    models[0].close()
    assert models[1].call("count") == 3
    models[1].close()
    wait_until(lambda: not folder.exists() and not is_running(process))


def test_other_arguments_are_another_model(tmp_path, folder):
    """Two models of one session have a process each."""
    first, second = (
        HostedModel(MortalModel, tmp_path / name, name=name, folder=folder) for name in ("a", "b")
    )
    assert (first.call("count"), second.call("count")) == (1, 1)
    assert started(tmp_path / "a") != started(tmp_path / "b")
    first.close()
    wait_until(lambda: not is_running(started(tmp_path / "a")[0]))
    assert second.call("count") == 2
    second.close()


def test_models_of_a_group_share_a_process(tmp_path, folder):
    """Libraries are loaded once for them, each is a model of its own, and they end together."""
    models = [
        HostedModel(MortalModel, tmp_path / name, name=name, folder=folder, group="g") for name in ("a", "b")
    ]
    assert [model.call("count") for model in (*models, models[0])] == [1, 1, 2]
    assert started(tmp_path / "a") == started(tmp_path / "b")
    models[0].close()
    assert models[1].call("count") == 2
    assert str(death(models[1], "fault")).startswith("the process of b died of SIGSEGV")
    assert models[0].call("count") == 1
    for model in models:
        model.close()


def test_two_sessions_do_not_share(log):
    """Without a common folder each has a process of its own, and the death of one is none of the other's."""
    one, other = (HostedModel(MortalModel, log, name="tiny") for _ in range(2))
    assert (one.call("count"), other.call("count")) == (1, 1)
    death(one, "killed")
    assert other.call("count") == 2
    one.close()
    other.close()


def test_a_closed_model_opens_again(model, log):
    """Closing ends the process; the next call starts another."""
    assert model.call("count") == 1
    model.close()
    model.close()
    wait_until(lambda: not is_running(started(log)[0]))
    assert model.call("count") == 1


def test_a_client_that_gives_up_ends_its_call(log, folder):
    """A call whose client has gone is not computed to its end; others get a new process."""
    other = HostedModel(MortalModel, log, name="tiny", folder=folder)
    assert other.call("count") == 1
    script = f"""
        import sys, threading, os, time
        from pathlib import Path
        from rag_evals.rag.native.hosting.hosted_model import HostedModel
        from tests.servers.mortal_models import MortalModel
        model = HostedModel(MortalModel, Path({str(log)!r}), name="tiny", folder=Path({str(folder)!r}))
        model.call("count")
        print("asked", flush=True)
        model.call("sleep", 60)
    """
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert client.stdout
    assert client.stdout.readline() == b"asked\n"
    time.sleep(0.2)
    began = time.monotonic()
    client.send_signal(signal.SIGINT)
    _, said = client.communicate(timeout=10)
    assert said.strip().endswith(b"KeyboardInterrupt")
    assert other.call("count") == 1
    assert time.monotonic() - began < 5
    assert len(started(log)) == 2
    other.close()


def test_a_call_that_takes_too_long(model, log):
    """It is ended with its process, and does not keep the model from the next."""
    with pytest.raises(TimeoutError, match=r"^no reply of tiny within 0\.3 s$"):
        model.call("sleep", 60, seconds=0.3)
    assert model.call("count", seconds=10) == 1
    assert len(started(log)) == 2


def test_a_host_that_is_killed(model, log):
    """It takes the call under way with it; the next one starts anew."""
    model.call("count")
    host = int(Path(f"/proc/{started(log)[0]}/stat").read_text().rsplit(")")[1].split()[1])
    os.kill(host, signal.SIGKILL)
    died = death(model, "count")
    assert (str(died), died.is_final) == ("the process that runs tiny was ended", False)
    assert model.call("count") == 1
    wait_until(lambda: not is_running(started(log)[0]))


def test_a_process_of_the_session_that_is_killed(log, folder):
    """Nothing is left running when a session ends without a word."""
    script = f"""
        import os, signal
        from pathlib import Path
        from rag_evals.rag.native.hosting.hosted_model import HostedModel
        from tests.servers.mortal_models import MortalModel
        model = HostedModel(MortalModel, Path({str(log)!r}), name="tiny", folder=Path({str(folder)!r}))
        model.call("count")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False)
    (process,) = started(log)
    wait_until(lambda: not is_running(process) and not folder.exists())


def test_a_folder_that_cannot_be_used(tmp_path):
    """Where no socket can be made, the reason and the remedy are said."""
    folder = tmp_path / "file"
    folder.write_text("")
    with pytest.raises(ModelError) as caught:
        HostedModel(MortalModel, tmp_path / "log", name="tiny", folder=folder).call("count")
    assert str(caught.value) == (
        f"the folder {folder}, in which models are shared, cannot be used (File exists): "
        "set TMPDIR to a folder with a short name that can be written to."
    )


def test_a_long_temporary_folder(monkeypatch, tmp_path):
    """The path of a socket may have some hundred bytes: a longer TMPDIR is not used for it."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert models_folder().parent == Path("/tmp")


def test_coming_and_going(log, folder):
    """A host that ends while others come in takes nothing from them, and leaves nothing."""

    def use(_: int) -> int:
        model = HostedModel(MortalModel, log, name="tiny", folder=folder)
        counted = model.call("count")
        model.close()
        return counted

    with ThreadPoolExecutor(3) as pool:
        assert all(counted >= 1 for counted in pool.map(use, range(24)))
    wait_until(lambda: not folder.exists())


def test_a_folder_that_goes_while_one_waits_for_it(folder):
    """Whoever waited for the lock of a folder that was removed holds that of the new one."""
    held = []

    def enter() -> None:
        with locked(folder):
            held.append((folder / "lock").exists())

    with locked(folder):
        waiting = threading.Thread(target=enter)
        waiting.start()
        time.sleep(0.2)
        shutil.rmtree(folder)
    waiting.join(5)
    assert held == [True]
    shutil.rmtree(folder)


def test_a_folder_that_goes_while_it_is_made(folder, monkeypatch):
    """A folder that is removed between two looks at it is made anew; a file in its place is an error."""
    looked = []
    is_dir = Path.is_dir

    def vanishing(path: Path) -> bool:
        if path == folder and not looked:
            looked.append(path)
            shutil.rmtree(folder)
        return is_dir(path)

    folder.mkdir()
    monkeypatch.setattr(Path, "is_dir", vanishing)
    with locked(folder):
        assert looked == [folder]
        assert (folder / "lock").exists()
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(FileExistsError), locked(folder):
        pass
    folder.unlink()


def test_others_may_not_enter(model, folder):
    """What is said there is for this user alone."""
    model.call("count")
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
