"""`--evals-html`: the report of the run, and of the run beside its baseline."""

from __future__ import annotations


def test_it_is_written(project, how):
    """The file is there, and the summary says where."""
    result = project.run("--evals-html=out/report.html", *how)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["report: out/report.html", "run: *"])
    page = (project.path / "out/report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert f"Run {project.runs[0].name}" in page


def test_beside_the_baseline(project):
    """With a baseline both runs are in it."""
    project.run()
    (first,) = project.runs
    project.run("--evals-html=report.html", "--evals-baseline=latest")
    assert f"compared with {first.name}" in (project.path / "report.html").read_text("utf-8")


def test_trouble_with_it_fails_nothing(project):
    """Where it cannot be written is one line; the run is as it was."""
    project.write("out", "a file, where a folder should be")
    result = project.run("--evals-html=out/report.html")
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["out/report.html was not written: *"])


def test_nothing_is_written_unless_asked(project):
    """Promise 3."""
    project.run()
    assert list(project.path.rglob("*.html")) == []
