"""What a learner sees and does, in a real browser: lessons in JupyterLab, and the book.

Chromium and its driver must be there (Debian: chromium, chromium-driver); nothing is downloaded. What a failed test saw last
is a picture under build/browser.
"""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 1400, 900
PATIENCE = 300  # seconds; on a machine that does much else JupyterLab alone needs two minutes to open
CTRL = Keys.COMMAND if sys.platform == "darwin" else Keys.CONTROL

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser here: install Chromium and chromedriver"),
]


def tagged(path: Path, tag: str) -> list[int]:
    """Indices of the cells with the tag."""
    return [index for index, cell in enumerate(notebooks.read(path).cells) if tag in notebooks.tags(cell)]


def explorers(path: Path) -> list[int]:
    """Indices of the cells that show sliders over a drawing, and not a button for a file."""
    cells = notebooks.read(path).cells
    return [index for index in tagged(path, "explorer") if "explorers.explore_" in cells[index].source]


(LESSON,) = notebooks.find(["02"])
WITH_EXPLORERS = [path for path in notebooks.find() if explorers(path)]


# --- the browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for one in ("headless=new", "disable-gpu", "disable-dev-shm-usage", "no-sandbox"):  # as root, there is none
        options.add_argument(f"--{one}")
    with webdriver.Chrome(options, webdriver.ChromeService(DRIVER)) as driver:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield driver


@pytest.fixture(autouse=True)
def last_sight(request, page):
    """Keep what the browser showed when a test failed."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        picture = ROOT / "build" / "browser" / (re.sub(r"\W+", "_", request.node.name) + ".png")
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.save_screenshot(str(picture))
        print(f"What the browser showed: {picture.relative_to(ROOT)}")


def wait(page, condition, what: str, seconds: float = PATIENCE):
    """What `condition(page)` gives as soon as that is true."""
    return WebDriverWait(page, seconds, poll_frequency=0.2).until(condition, f"after {seconds} s: {what}")


def all_of(place, css: str) -> list:
    return place.find_elements(By.CSS_SELECTOR, css)


def in_view(page, element):
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    return element


# --- lessons in JupyterLab --------------------------------------------------------------------------------------------


def as_it_comes(path: Path) -> notebooks.NotebookNode:
    """The notebook with its outputs, not yet run; opened for its explorers, it ends with the last of them."""
    notebook = notebooks.read(path)
    for cell in notebooks.code_cells(notebook):
        cell.execution_count = None  # a number is then one of this run
    if path != LESSON:
        notebook.cells = notebook.cells[: explorers(path)[-1] + 1]
    return notebook


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address and token of a JupyterLab over copies of the notebooks."""
    place = tmp_path_factory.mktemp("lab")
    for path in {LESSON, *WITH_EXPLORERS}:
        notebooks.write(as_it_comes(path), place / "files" / path.relative_to(notebooks.FOLDER))
    settings = place / "config/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    folders = {f"JUPYTER_{name.upper()}_DIR": str(place / name) for name in ("config", "data", "runtime")}
    lessons = {"PROFILE": "offline", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    options = ["--no-browser", "--allow-root", "--ServerApp.port=0", f"--ServerApp.root_dir={place / 'files'}"]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=os.environ | folders | lessons,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def started(_):
            assert server.poll() is None, (place / "log").read_text()
            return [json.loads(text) for path in place.glob("runtime/jpserver-*.json") if (text := path.read_text())]

        (it,) = wait(server, started, "no server")
        yield it["url"], it["token"]
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # it has ended its kernels, and at times waits for a thread of its own
            server.kill()
            server.wait()


def sessions(lab) -> list[dict]:
    address, token = lab
    answer = requests.get(f"{address}api/sessions", headers={"Authorization": f"token {token}"}, timeout=30)
    return answer.json()


def cells(page) -> list:
    return all_of(page, ".jp-Notebook .jp-Cell")


def open_lesson(page, lab, path: Path) -> None:
    """Show a notebook, with a kernel of its own that answers; the one before is closed and its kernel ended."""
    address, token = lab
    page.get("about:blank")
    for one in sessions(lab):
        asked = f"{address}api/sessions/{one['id']}"
        requests.delete(asked, headers={"Authorization": f"token {token}"}, timeout=30).raise_for_status()
    name = path.relative_to(notebooks.FOLDER).as_posix()
    page.get(f"{address}lab/tree/{name}?token={token}&reset")
    count = len(as_it_comes(path).cells)
    wait(page, lambda _: len(cells(page)) == count, f"not all {count} cells of {name} are there")
    wait(page, lambda _: all_of(page, ".jp-OutputArea img"), f"no figure of {name} is there")

    def answers(_):  # a cell that is run earlier is emptied and does not run
        kernels = [one["kernel"] for one in sessions(lab)]
        return [one["connections"] > 0 and one["execution_state"] == "idle" for one in kernels] == [True]

    wait(page, answers, "the kernel does not answer")


def choose(page, menu: str, item: str) -> None:
    """Click on an item of JupyterLab's menu."""
    page.find_element(By.XPATH, f"//*[@id='jp-MainMenu']//*[text()='{menu}']").click()
    shown = f"//*[contains(@class, 'lm-Menu-itemLabel')][text()='{item}']"
    wait(page, lambda _: page.find_elements(By.XPATH, shown), f"no {item!r} in the menu {menu!r}")[0].click()


PROMPTS_AND_ERRORS = """
    const text = css => [...document.querySelectorAll('.jp-Notebook ' + css)].map(one => one.textContent);
    const errors = text('.jp-OutputArea-output').filter(one => one.includes('Traceback (most recent call last)'));
    return [text('.jp-CodeCell .jp-InputPrompt'), errors];
"""


def run_all(page) -> None:
    """Run every cell and wait for the last; folded cells show no number."""
    choose(page, "Run", "Run All Cells")

    def ran(_):
        prompts, errors = page.execute_script(PROMPTS_AND_ERRORS)
        assert not errors, errors[0]
        return any(prompts) and all(re.fullmatch(r"\[\d+\]:", one) for one in prompts if one)

    wait(page, ran, "not every cell has run", seconds=2 * PATIENCE)


@pytest.fixture(scope="module")
def opened(page, lab):
    open_lesson(page, lab, LESSON)
    return page


@pytest.fixture(scope="module")
def ran(opened):
    run_all(opened)
    return opened


def test_code_that_is_not_for_the_learner_is_folded(opened):
    folded = tagged(LESSON, "setup") + tagged(LESSON, "imports")
    assert len(folded) == 2
    code = [index for index, cell in enumerate(notebooks.read(LESSON).cells) if cell.cell_type == "code"]
    for index in code[:4]:  # both, and for comparison two that are open
        editors = [one for one in all_of(cells(opened)[index], ".jp-InputArea-editor") if one.is_displayed()]
        placeholders = all_of(cells(opened)[index], ".jp-InputPlaceholder")
        assert (not editors, len(placeholders)) == (index in folded, int(index in folded)), f"cell {index}"


def test_the_first_figure_is_on_the_first_two_screens(opened):
    bottom, screen = opened.execute_script("""
        const panel = document.querySelector('.jp-WindowedPanel-outer'), top = panel.getBoundingClientRect().top;
        const figure = panel.querySelector('.jp-OutputArea img').getBoundingClientRect();
        return [figure.bottom - top + panel.scrollTop, panel.clientHeight];
    """)
    assert HEIGHT / 2 < screen < HEIGHT
    assert bottom <= 2 * screen


def test_an_exercise_goes_from_not_attempted_over_not_yet_to_right(ran):
    index = tagged(LESSON, "exercise")[0]
    cell = in_view(ran, cells(ran)[index])
    stub = notebooks.read(LESSON).cells[index].source
    wrong = stub.replace("...", "weight.sum(dim=1)", 1)  # without `keepdim`
    assert wrong != stub

    def prompt() -> str:
        return all_of(cell, ".jp-InputPrompt")[0].text

    def verdict() -> str:
        said = ran.execute_script("return arguments[0].querySelector('.jp-OutputArea-output')?.innerText", cell)
        return (said or "").split(".")[0]

    said = [verdict()]
    for answer in (wrong, notebooks.solved(notebooks.read(LESSON)).cells[index].source):
        before, editor = prompt(), all_of(cell, ".cm-content")[0]
        editor.click()
        editor.send_keys(CTRL, "a")
        ran.execute_cdp_cmd("Input.insertText", {"text": answer})  # as from the clipboard: no bracket closes itself
        editor.send_keys(CTRL, Keys.ENTER)
        wait(ran, lambda _, before=before: prompt() != before and re.fullmatch(r"\[\d+\]:", prompt()), "it did not run")
        said.append(wait(ran, lambda _: verdict(), "no verdict"))
    assert said == list(notebooks.HEADLINES)


# Its pixels, once it is loaded: each drawing has an address of its own, even of the same picture.
PICTURE = """
    const picture = arguments[0].querySelector('.widget-interact img'), canvas = document.createElement('canvas');
    if (!picture?.naturalWidth) return null;
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    canvas.getContext('2d').drawImage(picture, 0, 0);
    return canvas.toDataURL();
"""


@pytest.mark.parametrize("path", WITH_EXPLORERS, ids=notebooks.title)
def test_a_moved_slider_changes_the_picture(page, lab, path):
    open_lesson(page, lab, path)
    run_all(page)
    for index in explorers(path):
        cell = in_view(page, cells(page)[index])
        picture = functools.partial(page.execute_script, PICTURE, cell)
        before = wait(page, lambda _, look=picture: look(), f"cell {index} draws nothing")
        all_of(cell, "[role=slider]")[0].send_keys(Keys.ARROW_RIGHT)
        moved = lambda _, look=picture, before=before: look() not in (None, before)  # noqa: E731
        wait(page, moved, f"the picture of cell {index} stays as it is")


# --- the book ---------------------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): ...


@pytest.fixture(scope="module")
def book():
    """Address of the book's folder."""
    folder = ROOT / "build" / "book"
    if not (folder / "index.html").exists():
        pytest.skip("no book in build/book: `make book` makes it")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def chapter(page, book):
    """The lesson's page in the book."""
    page.get(f"{book}notebooks/{LESSON.stem}.html")
    return page


LOADED = "return performance.getEntriesByType('resource').map(one => [one.name, one.responseStatus])"


def test_a_page_of_the_book_shows_its_figures_and_asks_for_nothing_that_fails_or_lies_elsewhere(chapter, book):
    figures = all_of(chapter, "main img[alt]")
    stored = sum(len(notebooks.pngs(cell.outputs)) for cell in notebooks.code_cells(notebooks.read(LESSON)))
    assert len(figures) >= stored > 0
    for figure in figures:
        in_view(chapter, figure)
        seen = lambda _, figure=figure: int(figure.get_property("naturalWidth")) > 0  # noqa: E731
        wait(chapter, seen, f"no picture: {figure.get_attribute('alt')}")
    asked = {name: status for name, status in chapter.execute_script(LOADED) if not name.endswith("/favicon.ico")}
    assert len(asked) > len(figures)
    assert {name: status for name, status in asked.items() if not (name.startswith(book) and status == 200)} == {}
    said = [one["message"] for one in chapter.get_log("browser") if one["source"] == "network"]
    assert [one for one in said if "/favicon.ico" not in one] == []  # which the browser wants, not the page


def test_a_page_of_the_book_unfolds_a_solution(chapter):
    solution = chapter.find_element(By.XPATH, "//details[summary[text()='Solution']]")
    code = all_of(solution, "pre")[0]
    assert not code.is_displayed()
    in_view(chapter, all_of(solution, "summary")[0]).click()
    wait(chapter, lambda _: code.is_displayed(), "the solution stays folded")
    assert code.text.startswith("def channel_sum(")


def test_the_book_finds_position(chapter, book):
    buttons = lambda _: [one for one in all_of(chapter, ".search-button__button") if one.is_displayed()]  # noqa: E731
    wait(chapter, buttons, "no button to search")[0].click()
    field = all_of(chapter, "#pst-search-dialog input[type=search]")[0]
    wait(chapter, lambda _: field.is_displayed(), "no field to search in")
    field.send_keys("position", Keys.ENTER)
    wait(chapter, lambda _: all_of(chapter, "#search-results li a"), "nothing is found")
    found = "return [...document.querySelectorAll('#search-results li a')].map(one => one.href.split(/[?#]/)[0])"
    lesson = f"{book}notebooks/03_positions.html"
    wait(chapter, lambda _: lesson in chapter.execute_script(found), "lesson 03 is not among what is found")
