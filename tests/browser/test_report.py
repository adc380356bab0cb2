"""The HTML report in a real browser: searched, filtered, sorted, opened; it runs nobody else's script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.html.page import run_html
from rag_evals.evals.reports.text import Line
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import RunHeader
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Citation, Context
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.select import Select

from tests.browser.chromium import HOSTILE, MARKS, start, visit, wait

pytestmark = MARKS


def evaluation(number: int) -> Evaluation:
    value = number / 20 % 1
    hostile = HOSTILE if number == 3 else ""
    context = Context(f"Passage of leaf{number}x. Two experts are used.{hostile}", "moe.pdf", page=number)
    closest = Context("Two experts are used.", "moe.pdf", page=number)
    claim = ClaimScore(f"Claim {number}.", value, 0, len(f"Claim {number}."), closest=closest)
    return Evaluation(
        Question(f"q{number:02}", f"What is {number}?", tags=("even",) if number % 2 == 0 else ("odd",)),
        "baseline" if number < 10 else "other",
        Answer(f"Claim {number}. {hostile}", (context,)),
        (Score("faithfulness", value if number != 5 else None, reason="no key", claims=(claim,)),),
        {"faithfulness": 0.5},
        {"generate": float(20 - number)},
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """Twenty questions on two pipelines; one is hostile, one has no verdict."""
    return write(tmp_path_factory.mktemp("report") / "report.html", range(20))


def write(file: Path, numbers: range) -> str:
    run = Run("run", RunHeader(), (), tuple(evaluation(number) for number in numbers))
    file.write_text(run_html(run, gate=[Line("gate: PASS", Verdict.PASS)]), "utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[WebDriver]:
    """One browser for all tests of the file."""
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, report) -> Iterator[WebDriver]:
    """The report, freshly opened; at the end nothing may have been complained of on the console."""
    visit(chromium, report)
    yield chromium
    assert chromium.get_log("browser") == []
    assert chromium.title == "rag-evals: run"


def rows(browser: WebDriver) -> list[str]:
    """Return the ids of the questions that are shown, in their order."""
    script = (
        "return [...document.querySelectorAll('#table tbody tr:not([hidden]) a')].map(a => a.textContent)"
    )
    return browser.execute_script(script)


def choose(browser: WebDriver, name: str, value: str) -> None:
    Select(browser.find_element(By.ID, name)).select_by_visible_text(value)


def head(browser: WebDriver, name: str):
    return browser.find_element(By.XPATH, f"//table[@id='table']/thead//th[normalize-space()='{name}']")


def test_everything_is_shown(browser):
    """Failing questions first."""
    assert len(rows(browser)) == 20
    assert rows(browser)[:2] == ["q00", "q01"]
    assert browser.find_element(By.ID, "count").text == "20 of 20"


def test_search(browser):
    """Words are looked for in question, answer and passages, all of them."""
    box = browser.find_element(By.ID, "search")
    box.send_keys("claim 17?")
    assert rows(browser) == ["q17"]
    assert browser.find_element(By.ID, "count").text == "1 of 20"
    box.clear()
    box.send_keys("LEAF4X baseline")
    assert rows(browser) == ["q04"]
    assert wait(lambda: browser.current_url.endswith("#?search=LEAF4X+baseline"))


def test_filters(browser):
    """By outcome, pipeline, tag and value; they add up."""
    choose(browser, "outcome", "failed")
    assert len(rows(browser)) == 9
    choose(browser, "tag", "even")
    assert rows(browser) == ["q00", "q02", "q04", "q06", "q08"]
    choose(browser, "metric", "faithfulness")
    assert rows(browser) == ["q00", "q02", "q04", "q06", "q08"]  # all of them are below their threshold
    browser.find_element(By.ID, "below").send_keys("0.2")
    assert rows(browser) == ["q00", "q02"]
    choose(browser, "pipeline", "other")
    assert rows(browser) == []
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert wait(lambda: len(rows(browser)) == 20)
    assert wait(lambda: "#" not in browser.current_url)


def test_sorting(browser):
    """By a click or the keyboard, both ways; what has no value stands last."""
    button = head(browser, "faithfulness").find_element(By.TAG_NAME, "button")
    button.click()
    assert rows(browser)[0] == "q00"
    assert rows(browser)[-1] == "q05"
    button.send_keys(Keys.ENTER)
    assert (rows(browser)[0], rows(browser)[-1]) == ("q19", "q05")
    assert head(browser, "faithfulness").get_attribute("aria-sort") == "descending"


def test_a_question_is_opened(browser):
    """Its answer with what is not supported, its passages with what is closest; nothing else is there."""
    browser.find_element(By.LINK_TEXT, "q04").click()
    (opened,) = browser.find_elements(By.CSS_SELECTOR, "#details details[open]")
    assert not browser.find_element(By.ID, "table").is_displayed()
    assert opened.find_element(By.CSS_SELECTOR, "mark.low").text == "Claim 4."
    assert (
        opened.find_element(By.CSS_SELECTOR, "blockquote").text == "Passage of leaf4x. Two experts are used."
    )
    assert opened.find_element(By.CSS_SELECTOR, "mark.near").text == "Two experts are used."
    assert opened.find_element(By.CSS_SELECTOR, "summary").location["y"] >= 0
    opened.find_element(By.CSS_SELECTOR, "a.near").click()
    assert browser.current_url.endswith("#q5")


def test_a_sentence_beside_what_it_cites(browser, tmp_path):
    """The cited place is marked there; the passage below, which a click shows, is marked for claims alone."""
    closest = Context("Two experts are used.", "moe.pdf", page=7)
    cited = ClaimScore("Claim 7.", 0.1, 0, 8, closest, citations=(Citation(contexts=(0,), mark="[1]"),))
    one = evaluation(7)
    citing = replace(
        one,
        scores=(Score("citation_precision", 0.1, claims=(cited,)),),
        thresholds={"citation_precision": 0.5},
    )
    file = tmp_path / "report.html"
    file.write_text(run_html(Run("run", RunHeader(), (), (citing,))), "utf-8")
    visit(browser, f"{file.as_uri()}#q1")
    opened = browser.find_element(By.CSS_SELECTOR, "details.current")
    (row,) = opened.find_elements(By.CSS_SELECTOR, ".citations tr:not(:has(th))")
    assert [cell.text for cell in row.find_elements(By.TAG_NAME, "td")] == [
        "Claim 7.",
        "[1]",
        "0.10\ndoes not support it",
        "Passage of leaf7x. Two experts are used. moe.pdf p.7",
    ]
    assert [mark.text for mark in opened.find_elements(By.CSS_SELECTOR, "mark")] == ["Two experts are used."]
    row.find_element(By.CSS_SELECTOR, "a.near").click()
    assert opened.find_element(By.TAG_NAME, "blockquote").is_displayed()
    assert browser.current_url.endswith("#q1")


def test_from_question_to_question(browser):
    """Through those that were chosen, and back to where the table was; the browser's own way works too."""
    choose(browser, "tag", "even")
    browser.find_element(By.LINK_TEXT, "q04").click()
    assert browser.find_element(By.ID, "position").text == "3 of 10"
    browser.find_element(By.ID, "next").click()
    assert asked(browser) == "What is 6?"
    browser.find_element(By.ID, "previous").click()
    assert asked(browser) == "What is 4?"
    browser.back()
    assert wait(lambda: asked(browser) == "What is 6?")
    browser.find_element(By.ID, "back").click()
    assert len(rows(browser)) == 10
    assert browser.find_element(By.ID, "table").is_displayed()
    assert browser.current_url.endswith("#?tag=even")
    assert browser.switch_to.active_element.text == "q06"


def asked(browser: WebDriver) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".current .asked").text


def test_the_first_rows_come_first(browser, tmp_path):
    """Of many questions the first 200 are drawn; all are searched, and all are drawn when asked for."""
    visit(browser, write(tmp_path / "many.html", range(230)))
    assert len(rows(browser)) == 200
    assert browser.find_element(By.CSS_SELECTOR, "#rest span").text == "The first 200 are shown."
    browser.find_element(By.ID, "search").send_keys("229?")
    assert rows(browser) == ["q229"]
    assert not browser.find_element(By.ID, "rest").is_displayed()
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert wait(lambda: len(rows(browser)) == 200)
    more = browser.find_element(By.CSS_SELECTOR, "#rest button")
    assert more.text == "Show all 230"
    more.click()
    assert len(rows(browser)) == 230


def test_the_address_remembers(browser, report):
    """What was chosen, and which question was opened, can be sent on."""
    choose(browser, "outcome", "unscored")
    address = browser.current_url
    assert address.endswith("#?outcome=unscored")
    visit(browser, address)
    assert rows(browser) == ["q05"]
    visit(browser, f"{report}#?search=claim&sort=6-")
    assert rows(browser)[:2] == ["q00", "q01"]
    assert head(browser, "tokens").get_attribute("aria-sort") == "descending"
    visit(browser, f"{report}#q3")
    assert asked(browser) == "What is 2?"


def test_the_address_is_changed_by_hand(browser, report):
    """What is chosen follows, without loading the page anew."""
    browser.execute_script("location.hash = '#?outcome=unscored'")
    assert wait(lambda: rows(browser) == ["q05"])
    browser.execute_script("location.hash = '#p3'")
    assert wait(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".text[open]")) == 1)


@pytest.mark.parametrize("broken", ["?sort=99", "?sort=x-&outcome=nothing&below=x", "q999", "%", "table"])
def test_an_address_that_means_nothing(browser, report, broken):
    """It is passed over: everything is shown."""
    visit(browser, f"{report}#{broken}")
    assert len(rows(browser)) == 20


def test_hostile_text_does_nothing(browser):
    """It is there to be read."""
    browser.find_element(By.LINK_TEXT, "q03").click()
    for where in (".answer", "blockquote"):
        assert HOSTILE in browser.find_element(By.CSS_SELECTOR, f"details[open] {where}").text
    assert browser.title == "rag-evals: run"


def test_two_runs_side_by_side(browser, tmp_path):
    """Of a question that went another way: chosen by that, opened, both answers with their outcomes."""
    base = Run("main", RunHeader(), (), tuple(replace(evaluation(n), thresholds={}) for n in range(20)))
    after = tuple(replace(evaluation(n), answer=None, error="OSError: gone", scores=()) for n in range(3))
    run = Run("run", RunHeader(), (), after)
    file = tmp_path / "beside.html"
    file.write_text(run_html(run, base=base), "utf-8")
    visit(browser, file.as_uri())
    choose(browser, "flip", "newly failing")
    assert rows(browser) == ["q00", "q01", "q02"]
    browser.find_element(By.LINK_TEXT, "q01").click()
    sides = browser.find_elements(By.CSS_SELECTOR, ".current .side")
    assert [side.find_element(By.CSS_SELECTOR, "h3").text for side in sides] == ["run error", "main passed"]
    tops = {side.location["y"] for side in sides}
    assert len(tops) == 1


def test_nothing_is_fetched(browser):
    """The page is the only thing that was loaded."""
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("width", [400, 700, 1200])
def test_it_fits(browser, width):
    """No sideways scrolling of the page, on a telephone either, in the table or at a question."""
    # A window has a least width of its own; what is emulated has not.
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert browser.execute_script("return innerWidth") == width
        assert excess(browser) <= 0
        browser.execute_script("arguments[0].click()", browser.find_element(By.LINK_TEXT, "q04"))
        assert excess(browser) <= 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def excess(browser: WebDriver) -> int:
    page = "document.documentElement"
    return browser.execute_script(f"return {page}.scrollWidth - {page}.clientWidth")


def test_dark_and_light(browser):
    """As the reader's system has it."""
    papers = []
    for scheme in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        papers.append(
            browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        )
    assert papers == ["rgb(22, 24, 27)", "rgb(255, 255, 255)"]


def test_without_scripts_it_can_be_read(report, tmp_path):
    """No filter, but every question, its answer and its passages."""
    driver = start(tmp_path, {"profile.managed_default_content_settings.javascript": 2})
    try:
        driver.get(report)
        assert not driver.find_element(By.ID, "filters").is_displayed()
        summaries = driver.find_elements(By.CSS_SELECTOR, "#details summary")
        assert len(summaries) == 20
        assert all(summary.is_displayed() for summary in summaries)
        summaries[0].click()
        assert driver.find_element(By.CSS_SELECTOR, "details[open] .answer").text.strip() == "Claim 0."
        driver.find_element(By.CSS_SELECTOR, "#passages summary").click()
        assert driver.find_element(By.CSS_SELECTOR, ".text[open] p").text.startswith("Passage of")
    finally:
        driver.quit()
