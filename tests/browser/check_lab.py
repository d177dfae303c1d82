"""JupyterLab as ``make lab`` starts it: a copy opened, run from end to end, its outputs seen."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from imnetlib.course import copies, freshness
from imnetlib.course.root import CHECKOUT

CHAPTER = "03_io_throughput"
NEXT = "04_recordio_packing"
EXPLORING = "09_wordnet_analysis"
SETTINGS = CHECKOUT / "tools" / "jupyter"
RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const notebook = app.shell.currentWidget;
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    await notebook.sessionContext.session.kernel.info;
    await app.commands.execute("notebook:run-all-cells");
    await notebook.context.save();
}"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copies of the chapters; two without their outputs, on a new root; a probe is brief."""
    assert {told for _, told in copies.refresh(tmp_path)} == {"copied"}
    for chapter in (CHAPTER, EXPLORING):
        notebook = json.loads((tmp_path / f"{chapter}.ipynb").read_text("utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = []
                cell["execution_count"] = None
                source = "".join(cell["source"]).replace(
                    "seconds: float = 10.0", "seconds: float = 0.5"
                )
                cell["source"] = source.replace('"data/sample"', repr(str(tmp_path / "root")))
        (tmp_path / f"{chapter}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return tmp_path


@pytest.fixture
def lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab over that folder."""
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port"]
    command += [str(port), "--port-retries=0", "--IdentityProvider.token=", "--ServerApp.root_dir"]
    command += [str(folder), "--expose-app-in-browser"]
    # Settings and workspaces of its own, beside those of make lab.
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"IMNETLIB_FIGURES": str(folder / "figures"), "JUPYTER_CONFIG_PATH": str(SETTINGS)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", folder / "log")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def wait_for(address: str, log: Path) -> None:
    """Until a server answers; its log where it does not within a minute."""
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def test_make_lab_takes_these_settings_and_opens_a_copy():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert "JUPYTER_CONFIG_PATH=tools/jupyter" in makefile
    assert makefile.index("imnet refresh --missing") < makefile.index(" build/course/00_start_here")


def test_a_chapter_opens_runs_and_shows(browser: Browser, lab: str, folder: Path):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    outside: list[str] = []
    page.on("request", lambda asked: None if lab in asked.url else outside.append(asked.url))
    page.goto(f"{lab}/lab/tree/{CHAPTER}.ipynb?reset")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context")
    copied = json.loads((folder / f"{CHAPTER}.ipynb").read_text("utf-8"))
    page.evaluate(RUN_ALL)
    done = json.loads((folder / f"{CHAPTER}.ipynb").read_text("utf-8"))
    # A copy that was only run is still known as one.
    assert done["metadata"]["imnetlib"] == copied["metadata"]["imnetlib"]
    assert freshness.source_hash(done) == freshness.source_hash(copied)
    cells = [cell for cell in done["cells"] if cell["cell_type"] == "code"]
    assert [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"] == []
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    picture = page.locator(".jp-OutputArea-output img[alt]").first
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("one => [one.alt.length > 20, one.naturalWidth > 500]") == [True, True]
    assert page.get_by_text("notified about official Jupyter news").count() == 0
    page.get_by_role("link", name="04 RecordIO packing").first.click()
    page.wait_for_function(f"jupyterapp.shell.currentWidget.context?.path == '{NEXT}.ipynb'")
    context.close()
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []


def test_the_explorer_follows_its_controls(browser: Browser, lab: str, folder: Path):
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    page = context.new_page()
    page.goto(f"{lab}/lab/tree/{EXPLORING}.ipynb?reset")
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context")
    page.evaluate(RUN_ALL)
    word = page.locator(".jp-OutputArea-output select")
    word.scroll_into_view_if_needed()
    area = page.locator(".jp-OutputArea", has=word).last
    picture = area.locator("img")
    first = picture.get_attribute("src")
    word.select_option(label="conifer")
    area.get_by_text("conifer: any gymnospermous tree or shrub bearing cones").wait_for()
    expect(picture).not_to_have_attribute("src", first, timeout=30_000)
    number, k, error = area.get_by_role("slider").all()
    number.focus()
    page.keyboard.press("ArrowRight")
    area.get_by_text("Picture 1 of ").wait_for()
    five_nodes = picture.get_attribute("src")
    k.focus()
    page.keyboard.press("Home")
    expect(picture).not_to_have_attribute("src", five_nodes, timeout=30_000)
    error.focus()
    page.keyboard.press("Home")
    area.get_by_text("An answer, wrong in 0.5 % of the pictures at most").wait_for()
    context.close()
