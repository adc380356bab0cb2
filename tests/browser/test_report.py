"""The HTML report in a real browser: searched, filtered, sorted, opened; it runs nobody else's script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.select import Select

from evals.questions import Question
from evals.records import ClaimScore, Evaluation, Score
from evals.reports.html import run_html
from evals.runs import RunData
from rag.answer import Answer, Context

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no browser: apt-get install chromium chromium-driver"
    ),
]
HOSTILE = "</script><script>document.title = 'hurt'</script><img src=x onerror=\"document.title = 'hurt'\">"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1000",
)


def evaluation(number: int) -> Evaluation:
    value = number / 20
    context = Context(f"Passage of {number}. Two experts are used.", "moe.pdf", page=number)
    closest = Context("Two experts are used.", "moe.pdf", page=number)
    claim = ClaimScore(f"Claim {number}.", value, 0, len(f"Claim {number}."), closest=closest)
    return Evaluation(
        Question(f"q{number:02}", f"What is {number}?", tags=("even",) if number % 2 == 0 else ("odd",)),
        "baseline" if number < 10 else "other",
        Answer(f"Claim {number}. {HOSTILE if number == 3 else ''}", (context,)),
        (Score("faithfulness", value if number != 5 else None, reason="no key", claims=(claim,)),),
        {"faithfulness": 0.5},
        {"generate": float(20 - number)},
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    """Twenty questions on two pipelines; one is hostile, one has no verdict."""
    run = RunData("run", {}, (), tuple(evaluation(number) for number in range(20)))
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(run_html(run, gate=["gate: PASS"]), "utf-8")
    return file.as_uri()


def start(folder: Path, *, scripts: bool = True) -> WebDriver:
    options = webdriver.ChromeOptions()
    for argument in (*ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[WebDriver]:
    """One browser for all tests of the file."""
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, report) -> Iterator[WebDriver]:
    """The report, freshly opened; at the end nothing may have been complained of on the console."""
    chromium.get("about:blank")
    chromium.get(report)
    yield chromium
    assert chromium.get_log("browser") == []
    assert chromium.title == "rag-evals: run"


def rows(browser: WebDriver) -> list[str]:
    """Give the ids of the questions that are shown, in their order."""
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
    browser.find_element(By.ID, "search").send_keys("claim 17?")
    assert rows(browser) == ["q17"]
    assert browser.find_element(By.ID, "count").text == "1 of 20"


def test_filters(browser):
    """By outcome, pipeline, tag and value; they add up."""
    choose(browser, "outcome", "failed")
    assert len(rows(browser)) == 9
    choose(browser, "tag", "even")
    assert rows(browser) == ["q00", "q02", "q04", "q06", "q08"]
    choose(browser, "metric", "faithfulness")
    below = browser.find_element(By.ID, "below")
    below.clear()
    below.send_keys("0.2")
    assert rows(browser) == ["q00", "q02", "q04"]
    choose(browser, "pipeline", "other")
    assert rows(browser) == []


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
    """Its answer with what is not supported, its passages with what is closest."""
    browser.find_element(By.LINK_TEXT, "q04").click()
    (opened,) = browser.find_elements(By.CSS_SELECTOR, "#details details[open]")
    assert opened.find_element(By.CSS_SELECTOR, "mark.low").text == "Claim 4."
    assert opened.find_element(By.CSS_SELECTOR, "blockquote").text == "Passage of 4. Two experts are used."
    assert opened.find_element(By.CSS_SELECTOR, "mark.near").text == "Two experts are used."
    assert opened.find_element(By.CSS_SELECTOR, "summary").location["y"] >= 0


def test_the_address_remembers(browser, report):
    """What was chosen, and which question was opened, can be sent on."""
    choose(browser, "outcome", "unscored")
    address = browser.current_url
    assert address.endswith("#?outcome=unscored")
    browser.get("about:blank")
    browser.get(address)
    assert rows(browser) == ["q05"]
    browser.get("about:blank")
    browser.get(f"{report}#q3")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#details details[open]")) == 1


def test_hostile_text_does_nothing(browser):
    """It is there to be read."""
    browser.find_element(By.LINK_TEXT, "q03").click()
    assert "document.title = 'hurt'" in browser.find_element(By.CSS_SELECTOR, "details[open] .answer").text
    assert browser.title == "rag-evals: run"


def test_nothing_is_fetched(browser):
    """The page is the only thing that was loaded."""
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("width", [420, 1200])
def test_it_fits(browser, width):
    """No sideways scrolling of the page, on a telephone either."""
    browser.set_window_size(width, 900)
    browser.find_element(By.LINK_TEXT, "q04").click()
    excess = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    browser.set_window_size(1200, 1000)
    assert excess <= 0


def test_without_scripts_it_can_be_read(report, tmp_path):
    """No filter, but every question, its answer and its passages."""
    driver = start(tmp_path, scripts=False)
    try:
        driver.get(report)
        assert not driver.find_element(By.ID, "filters").is_displayed()
        summaries = driver.find_elements(By.CSS_SELECTOR, "#details summary")
        assert len(summaries) == 20
        assert all(summary.is_displayed() for summary in summaries)
        summaries[0].click()
        assert driver.find_element(By.CSS_SELECTOR, "details[open] .answer").text.strip() == "Claim 0."
        driver.find_element(By.CSS_SELECTOR, "#passages ~ details summary").click()
        assert driver.find_element(By.CSS_SELECTOR, ".text[open] p").text.startswith("Passage of")
    finally:
        driver.quit()
