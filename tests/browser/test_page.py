"""Notebook 03 in a real browser: JupyterLab, and the web page that Voilà makes of it.

`make test-browser` installs what this needs; elsewhere it is skipped.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from files import write_dicom
from PIL import Image

from mammo.synthetic import draw_patient, phantom

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_predict_upload.ipynb"
LIMIT = 'tornado_settings={"websocket_max_message_size": 268435456}'
FOR_VISITORS = "--TagRemovePreprocessor.remove_cell_tags=notebook-only"
WINDOW = {"width": 1300, "height": 1000}
SLOW = 240_000  # ms: TensorFlow is imported and two answers are computed before the page is there


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def serving(command, port, folder, seconds=120):
    """A server of one's own that has answered once, and is ended in any case."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log = (folder / "server.log").open("wb")
    env = os.environ | {"MAMMO_ARTIFACTS": str(folder / "artifacts"), "PATH": path, "HOME": str(folder)}
    del env["MPLBACKEND"]  # which the tests without a browser set
    server = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, env=env)
    try:
        end = time.monotonic() + seconds
        while not answers(port):
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait()


def answers(port) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_of_voila(browser, tmp_path_factory):
    """The web page, as soon as its button is there."""
    folder, port = tmp_path_factory.mktemp("voila"), free_port()
    command = ["voila", str(NOTEBOOK), f"--port={port}", "--no-browser", f"--Voila.{LIMIT}", FOR_VISITORS]
    with serving(command, port, folder), browser.new_page(viewport=WINDOW) as page:
        page.goto(f"http://127.0.0.1:{port}/", timeout=SLOW)
        page.get_by_role("button", name="Choose mammograms").wait_for(timeout=SLOW)
        yield page


@pytest.fixture(scope="module")
def page_of_lab(browser, tmp_path_factory):
    """Notebook 3 in JupyterLab, its cells run up to the button."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    shutil.copy(NOTEBOOK, folder / NOTEBOOK.name)
    command = ["jupyterlab", f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={folder}", f"--ServerApp.{LIMIT}"]
    with serving(command, port, folder), browser.new_page(viewport=WINDOW) as page:
        page.goto(f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK.name}", timeout=SLOW)
        page.locator(".jp-RenderedMarkdown h1").first.wait_for(timeout=SLOW)
        page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").first.wait_for(timeout=SLOW)
        page.locator(".lm-MenuBar-item", has_text="Run").click()
        page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
        page.get_by_role("button", name="Choose mammograms").wait_for(timeout=SLOW)
        yield page


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """A DICOM of 12 bits, the same mammogram as a PNG of 16, and a text file that calls itself one."""
    folder = tmp_path_factory.mktemp("uploads")
    rng = np.random.default_rng(5)
    image, _ = phantom(draw_patient(rng, "malignant", 0.2, "digital"), "L", "MLO", (1024, 768), rng)
    pixels = np.rint(image * 65535).astype(np.uint16)
    write_dicom(folder / "film.dcm", pixels >> 4, bits=12)
    large = Image.fromarray(image).resize((2700, 4700), Image.BICUBIC)
    write_dicom(folder / "large.dcm", np.rint(np.clip(large, 0, 1) * 4095).astype(np.uint16), bits=12)
    Image.fromarray(pixels).save(folder / "film.png")
    (folder / "text.png").write_text("I am not an image.")
    return folder


def answer_after(page, path) -> str:
    """Upload a file and wait for the line about it that stands in the answer below the button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose mammograms").first.click()
    chooser.value.set_files(path)
    line = page.locator(".jp-OutputArea-output, .jp-RenderedText").filter(has_text=path.name).first
    line.wait_for(timeout=SLOW)
    until = time.monotonic() + SLOW / 1000
    while path.name not in (text := line.inner_text()) and time.monotonic() < until:
        page.wait_for_timeout(50)  # it was found while the page was still drawing it
    return text


def probability_in(text: str) -> float:
    return float(re.search(r"malignant (\d\.\d+)", text)[1])


def test_the_page_shows_what_its_visitor_needs(page_of_voila):
    text = page_of_voila.locator("body").inner_text()
    for part in (
        "Upload a mammogram and predict",
        "What this is not for",
        "Choose mammograms",
        "How to read the result",
    ):
        assert part in text
    for part in ("Setup", "Read the file", "Find the breast", "artifacts", "Colab", "Save the result"):
        assert part not in text


def test_several_files_are_all_predicted(page_of_voila, uploads):
    page = page_of_voila
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose mammograms").first.click()
    chooser.value.set_files([uploads / "film.dcm", uploads / "film.png"])
    for name in ("film.dcm: ", "film.png: "):
        page.get_by_text(name).first.wait_for(timeout=SLOW)


@pytest.mark.parametrize("where", ["page_of_voila", "page_of_lab"])
def test_upload_see_the_answer_and_try_another(where, request, uploads):
    page = request.getfixturevalue(where)
    said = {name: answer_after(page, uploads / name) for name in ("film.dcm", "film.png")}
    for name, text in said.items():
        assert "Result: uncertain" in text
        assert re.search(rf"{name}: .*the model was trained on synthetic images only", text), "no file says it is drawn"
        assert "<Figure" not in text, "a picture is shown, not its name"
        assert "no diagnosis" in text
    number = {name: probability_in(text) for name, text in said.items()}
    assert number["film.dcm"] == pytest.approx(number["film.png"], abs=0.01), "12 bits of the same image"
    pictures = page.locator("img[src^='data:image/png']")
    assert any(box["width"] > 500 for box in (pictures.nth(i).bounding_box() for i in range(pictures.count())) if box)
    page.screenshot(path=uploads / f"{where}.png", full_page=True)
    begun = time.perf_counter()
    assert 0 <= probability_in(answer_after(page, uploads / "large.dcm")) <= 1
    print(f"{where}: {time.perf_counter() - begun:.1f} s from the choice of a large file to its answer")
    refused = answer_after(page, uploads / "text.png")
    assert "text.png is not an image in a format known here" in refused
    assert "Traceback" not in page.content()
    again = answer_after(page, uploads / "film.dcm")
    assert probability_in(again) == number["film.dcm"]


def test_what_an_alarm_is_worth_follows_the_prevalence(page_of_voila, uploads):
    page = page_of_voila
    answer_after(page, uploads / "film.png")
    box = page.locator("input[type=number]").first
    box.fill("50")
    box.press("Enter")
    page.get_by_text("prevalence of 50.0%").first.wait_for(timeout=SLOW)
