"""The labelling page in a real browser: by keyboard from the first question to a file that commands take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_evals.evals.cli.judges import calibrate as command
from rag_evals.evals.cli.main import main
from rag_evals.evals.judges.calibration.labels.draw import draw
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.calibration.labels.people import read_people
from rag_evals.evals.judges.judge import RawScore, RawScores
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.html.labelling import labelling_html
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Message
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.chromium import HOSTILE, MARKS, start, visit, wait

pytestmark = MARKS


class Reader:
    """A scorer that sees the number in an answer, and no model."""

    name, fingerprint, metrics = "reader", "f" * 64, ("faithfulness",)

    def read(self, metrics, question, answer):
        number = int(re.search(r"\d+", answer.text)[0])
        return {metric: RawScores((RawScore("claim", 0.5, {"yes": number % 5 - 2.0}),)) for metric in metrics}


def evaluation(number: int, metrics: tuple[str, ...]) -> Evaluation:
    hostile = HOSTILE if number % 7 == 3 else ""
    contexts = (
        Context(f"Passage of leaf{number}x. Two experts are used.{hostile}", "moe.pdf", page=number + 1),
        Context("A passage that all share.", "notes.md"),
    )
    claims = tuple(ClaimScore(context.text, 0.5) for context in contexts)
    value = 0.123456 + number / 1000
    return Evaluation(
        Question(
            f"q{number:02}",
            f"What is {number}?{hostile}",
            reference=f"It is {number}.",
            history=(Message("user", f"And {number}?"), Message("assistant", "So.")) if hostile else (),
        ),
        "baseline",
        Answer(f"Claim {number}.\x07 {hostile}", contexts),
        tuple(Score(metric, value, claims=claims) for metric in metrics),
        dict.fromkeys(metrics, 0.5),
    )


def write(file: Path, count: int = 22, metrics: tuple[str, ...] = ("faithfulness", "correctness")) -> str:
    run = Run("run 1", RunHeader(), (), tuple(evaluation(number, metrics) for number in range(count)))
    file.write_text(labelling_html(draw(run, size=count)), "utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory, downloads) -> Iterator[WebDriver]:
    """One browser for all tests of the file; what it saves lands in `downloads`."""
    driver = start(tmp_path_factory.mktemp("profile"), {"download.default_directory": str(downloads)})
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Twenty-two answers and two questions about each; three of them are hostile."""
    return write(tmp_path_factory.mktemp("page") / "labels.html")


@pytest.fixture
def browser(chromium, page, downloads) -> Iterator[WebDriver]:
    """The page, freshly opened, of a browser that keeps nothing of it."""
    for file in downloads.iterdir():
        file.unlink()
    visit(chromium, page)
    chromium.execute_script("localStorage.clear()")
    visit(chromium, page)
    yield chromium
    assert chromium.get_log("browser") == []
    assert chromium.title == "rag-evals labels: run 1"


def begin(browser: WebDriver, name: str = "Ann Lee") -> None:
    browser.find_element(By.ID, "name").send_keys(name, Keys.ENTER)


def press(browser: WebDriver, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def text(browser: WebDriver, name: str) -> str:
    return browser.find_element(By.ID, name).text


def saved(browser: WebDriver, downloads: Path) -> Path:
    """Save by the keyboard, and return the file when it is whole."""
    before = set(downloads.iterdir())

    def new() -> list[Path]:
        return [file for file in set(downloads.iterdir()) - before if file.suffix == ".jsonl"]

    press(browser, "s")
    assert wait(lambda: bool(new()), seconds=5)
    return new()[0]


def test_from_the_first_question_to_the_file(browser, downloads):
    """By keyboard alone: name, yes, no, cannot tell, back, undo, on, save; the file is one of labels."""
    begin(browser)
    assert text(browser, "asks") == "Do the passages support everything that the answer says?"
    assert text(browser, "count") == "0 of 44 answered, this is 1"
    press(browser, "y")
    assert text(browser, "asks") == "Does the answer say what the right answer says?"
    assert text(browser, "said") == "Yes. 1 of 44."
    press(browser, "n", Keys.ARROW_LEFT)
    assert browser.find_element(By.ID, "no").get_attribute("aria-pressed") == "true"
    press(browser, "y", "z")  # taken back: the no is there again
    assert browser.find_element(By.ID, "no").get_attribute("aria-pressed") == "true"
    press(browser, Keys.ARROW_RIGHT, "?", Keys.ARROW_RIGHT, "y")
    assert text(browser, "count") == "4 of 44 answered, this is 6"
    first, second, third = map(json.loads, saved(browser, downloads).read_text("utf-8").splitlines())
    assert (first["faithful"], first["correct"]) == (1, 0)
    assert "faithful" not in second
    assert second["unsure"] == ["faithful"]
    assert third["faithful"] == 1
    assert list(first) == [
        *("id", "question", "reference", "contexts", "answer", "faithful", "correct", "source", "labeller"),
        *("time", "run", "draw", "pipeline", "question_id", "weights"),
    ]
    assert (first["labeller"], first["run"], first["pipeline"]) == ("Ann Lee", "run 1", "baseline")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])


def test_the_file_is_one_of_labels(browser, downloads):
    """All answered, the end is said; what was saved is read, with the very text of the answers."""
    begin(browser)
    press(browser, *("y" if n % 3 else "n" for n in range(44)))
    assert text(browser, "done").splitlines()[:2] == [
        "All answered",
        '44 questions about 22 answers, 0 of them with "cannot tell".',
    ]
    file = saved(browser, downloads)
    assert file.name == "labels-run-1-Ann-Lee.jsonl"
    examples = {example.question.id: example for example in load_labels(file)}
    assert len(examples) == 22
    for number in range(22):
        answer = evaluation(number, ()).answer
        assert examples[f"baseline q{number:02}"].answer.text == answer.text
        assert [c.text for c in examples[f"baseline q{number:02}"].answer.contexts] == [
            c.text for c in answer.contexts
        ]


def test_what_it_saves_is_calibrated_with(browser, downloads, tmp_path, monkeypatch, capsys):
    """`rag-evals calibrate --labels` makes a card of it."""
    begin(browser)
    press(browser, *("y" if n % 4 < 2 else "n" for n in range(44)))
    file = saved(browser, downloads)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "scorer_for", lambda *_, **__: Reader())
    assert main(["calibrate", "--labels", str(file)]) == 0
    assert "faithfulness: 22 examples, 11 labelled 1" in capsys.readouterr().out


def test_it_goes_on_where_it_was(browser, page):
    """For the same name; another one begins anew."""
    begin(browser)
    press(browser, "y", "n", "?")
    visit(browser, page)
    begin(browser)
    assert text(browser, "count") == "3 of 44 answered, this is 4"
    visit(browser, page)
    begin(browser, "Ben")
    assert text(browser, "count") == "0 of 44 answered, this is 1"


def test_it_goes_on_from_a_file(browser, page, downloads):
    """Where the browser has kept nothing; with the name that is in it."""
    begin(browser)
    press(browser, "y", "?", "n")
    file = saved(browser, downloads)
    browser.execute_script("localStorage.clear()")
    visit(browser, page)
    browser.find_element(By.ID, "file").send_keys(str(file))
    assert wait(lambda: browser.find_element(By.ID, "work").is_displayed(), seconds=5)
    assert text(browser, "who") == "Ann Lee"
    assert text(browser, "count") == "3 of 44 answered, this is 4"
    assert text(browser, "said") == "2 answers taken over from labels-run-1-Ann-Lee.jsonl"


def test_a_file_of_another_page_is_not_taken(browser, downloads, tmp_path):
    """It is said, and nothing is taken from it."""
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "baseline q01", "draw": "0", "faithful": 1, "labeller": "Eve"}\n')
    browser.find_element(By.ID, "file").send_keys(str(other))
    assert wait(
        lambda: text(browser, "said") == "other.jsonl is not taken over: It is a file of another page.",
        seconds=5,
    )
    begin(browser)
    assert text(browser, "count") == "0 of 44 answered, this is 1"


def test_a_browser_that_keeps_nothing_says_so(browser):
    """The page works on, with a warning that stands."""
    browser.execute_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    begin(browser)
    assert text(browser, "kept") == (
        "This browser keeps nothing of this page: save your labels to a file before you close it."
    )
    press(browser, "y")
    assert text(browser, "count") == "1 of 44 answered, this is 2"
    browser.execute_script("document.getElementById('save').click()")  # else it asks before it is left
    assert wait(lambda: text(browser, "said").startswith("1 answer saved to"), seconds=5)


def test_single_passages(browser, downloads, tmp_path):
    """What is asked of each passage shows that one alone; the labels are a list."""
    visit(browser, write(tmp_path / "useful.html", 2, ("context_relevancy",)))
    begin(browser)
    assert text(browser, "asks") == "Does this passage help to answer the question?"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#passages li")) == 1
    press(browser, "y", "n", "?", "n")
    answers = read_people([saved(browser, downloads)])
    said = [(a.example.answer.contexts[0].text[:9], dict(a.example.labels)) for a in answers]
    assert [labels for _, labels in said] == [
        {"context_relevancy": 1},
        {"context_relevancy": 0},
        {"context_relevancy": 0},
    ]


def test_hostile_text_does_nothing(browser):
    """It is there to be read; what hides text is shown as a sign."""
    begin(browser)
    for _ in range(44):
        if HOSTILE in text(browser, "question"):
            break
        press(browser, Keys.ARROW_RIGHT)
    assert HOSTILE in text(browser, "answer")
    assert "\ufffd" in text(browser, "answer")
    assert HOSTILE in text(browser, "passages")
    assert text(browser, "history").startswith("Before\nuser: And ")
    assert browser.title == "rag-evals labels: run 1"


def test_the_judge_is_not_there(page):
    """No score, no threshold, no verdict anywhere in the page: people are asked blind."""
    source = Path(page.removeprefix("file://")).read_text("utf-8")
    assert "0.12345" not in source
    assert "score" not in re.search(r'id="data">(.*?)</script>', source, re.S)[1]


def test_nothing_is_fetched(browser):
    """The page is the only thing that was loaded, and may load nothing."""
    begin(browser)
    press(browser, "y")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    policy = browser.find_element(By.CSS_SELECTOR, "meta[http-equiv]").get_attribute("content")
    assert policy.startswith("default-src 'none'; ")


def test_keys_in_a_field_are_text(browser):
    """A name may have a y in it; keys do nothing before the beginning."""
    browser.find_element(By.ID, "name").send_keys("yny?")
    assert browser.find_element(By.ID, "start").is_displayed()
    assert browser.find_element(By.ID, "name").get_attribute("value") == "yny?"


def test_two_thousand_answers_stay_quick(browser, tmp_path):
    """A page of them opens, and a key is answered at once."""
    visit(browser, write(tmp_path / "many.html", 2000))
    begin(browser)
    took = browser.execute_script(
        "const start = performance.now(); document.getElementById('yes').click();"
        "return performance.now() - start"
    )
    assert took < 500
    assert text(browser, "count") == "1 of 4,000 answered, this is 2"
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("width", [360, 700, 1200])
def test_it_fits(browser, width):
    """No sideways scrolling, and the three buttons are within reach."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        begin(browser)
        page = "document.documentElement"
        assert browser.execute_script(f"return {page}.scrollWidth - {page}.clientWidth") <= 0
        for name in ("yes", "no", "unsure"):
            at = browser.find_element(By.ID, name).rect
            assert at["x"] + at["width"] <= width
            assert at["y"] + at["height"] <= 900
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
