"""The reading site as a reader meets it: pages, pictures, links, search, themes, widths, axe."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from imnetlib.course import claims
from imnetlib.course.root import CHECKOUT

SITE = CHECKOUT / "build" / "site"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts
)
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
DOWNLOADS = [page.replace(".html", ".ipynb") for page in CHAPTERS]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
# Each picture's text, and its shape on the page by its own; what surrounds it is left out.
STRETCHED = """() => [...document.images].filter(picture => picture.offsetWidth).map(picture => {
    const around = 2 * parseFloat(getComputedStyle(picture).paddingLeft);
    const shape = (picture.offsetWidth - around) / (picture.offsetHeight - around);
    return [picture.alt, shape * picture.naturalHeight / picture.naturalWidth];
})"""
WIDE = (1280, "light")
NARROW = (360, "light")
DARK = (1280, "dark")


class Document(HTMLParser):
    """The ids of a page, where its links lead, its pictures' texts and its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str | None] = []
        self.text = ""
        self.feed((SITE / page).read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by ``feed``."""
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.texts.append(given.get("alt"))

    def handle_data(self, data: str) -> None:
        """Called by ``feed``."""
        self.text += data


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    """Every page, read once."""
    return {page: Document(page) for page in PAGES}


def test_every_chapter_has_its_page():
    notebooks = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
    assert [Path(page).stem for page in CHAPTERS] == [path.stem for path in notebooks]


def test_every_internal_link_leads_to_a_page_and_a_place_on_it(documents: dict[str, Document]):
    broken = []
    for page, document in documents.items():
        for link in document.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
            name = target.resolve().relative_to(SITE.resolve()).as_posix()
            there = name in documents and (
                not parts.fragment or unquote(parts.fragment) in documents[name].ids
            )
            there = there or name in DOWNLOADS
            if not there:
                broken.append(f"{page}: {link}")
    assert broken == []


def test_every_picture_has_a_text(documents: dict[str, Document]):
    texts = [text for page in CHAPTERS for text in documents[page].texts]
    assert len(texts) >= 40
    assert [text for text in texts if len(text or "") < 20] == []


def test_no_page_shows_markup_or_what_python_calls_an_object(documents: dict[str, Document]):
    raw = re.compile(r"\|\s*[-—–:]{2,}\s*\||~collections\.|~typing\.|<class '|<factory>| at 0x")
    assert [page for page in PAGES if raw.search(documents[page].text)] == []


@pytest.mark.parametrize("tab", [WIDE, NARROW], ids=["1280", "360"], indirect=True)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_whole_by_itself_and_fits(tab, name: str):
    page = tab.open(name)
    page.evaluate("""async () => {
        const pictures = [...document.images];
        pictures.forEach(picture => { picture.loading = "eager"; });
        await Promise.all(pictures.map(picture => picture.decode()));
    }""")
    assert tab.troubles == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.images].every(picture => picture.naturalWidth > 0)")
    assert [alt for alt, stretched in page.evaluate(STRETCHED) if abs(stretched - 1) > 0.02] == []


@pytest.mark.parametrize("tab", [WIDE, DARK], ids=["light", "dark"], indirect=True)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(tab, name: str):
    page = tab.open(name)
    page.evaluate(AXE)
    # Preloading would ask for the style sheets once more.
    found = page.evaluate(
        f"axe.run({{runOnly: {WCAG}, preload: false, resultTypes: ['violations']}})"
    )
    assert found["passes"]
    assert [
        (rule["id"], place["html"]) for rule in found["violations"] for place in rule["nodes"]
    ] == []


@pytest.mark.parametrize("tab", [DARK], ids=["dark"], indirect=True)
def test_in_the_dark_drawings_turn_dark_and_photographs_stay(tab):
    page = tab.open("notebooks/04_recordio_packing.html")
    looks = page.evaluate("""() => [...document.querySelectorAll(".cell_output img")].map(
        picture => [picture.src.split(".").pop(), getComputedStyle(picture).filter])""")
    assert {kind: {look for of, look in looks if of == kind} for kind, _ in looks} == {
        "png": {"invert(0.92) hue-rotate(180deg)"},
        "jpeg": {"none"},
    }


def test_from_the_first_page_through_the_chapters(tab):
    page = tab.open("index.html")
    page.get_by_role("banner").get_by_role("link", name="Chapters").click()
    page.get_by_role("navigation", name="Section Navigation").get_by_text("04 ·").click()
    expect(page.locator("h1")).to_contain_text("04 · ")
    page.get_by_role("link", name=re.compile("^next ")).click()
    expect(page.locator("h1")).to_contain_text("05 · ")
    assert tab.troubles == []


def test_a_chapter_can_be_taken_along(tab):
    page = tab.open("notebooks/04_recordio_packing.html")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download this notebook").click()
    name = "04_recordio_packing.ipynb"
    assert started.value.suggested_filename == name
    assert started.value.path().read_bytes() == (CHECKOUT / "notebooks" / name).read_bytes()
    expect(page.locator(".ways-to-run")).to_contain_text("make lab")
    assert tab.troubles == []


def test_from_a_word_of_the_glossary_to_its_section(tab):
    page = tab.open("index.html")
    page.get_by_role("banner").get_by_role("link", name="Glossary").click()
    page.locator("li", has_text=re.compile("^magic number")).get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("04 · ")
    expect(page.locator("section:target > h2")).to_contain_text("byte by byte")
    assert tab.troubles == []


def test_from_a_chapter_to_a_function_and_back(tab):
    page = tab.open("notebooks/04_recordio_packing.html")
    page.locator("div.cell_input a", has_text=re.compile("recordio.frame$")).first.click()
    expect(page).to_have_url(re.compile(r"api/recordio\.html#imnetlib\.recordio\.frame$"))
    entry = page.locator("dl.function", has=page.locator('[id="imnetlib.recordio.frame"]'))
    entry.get_by_text("Used in").click()
    entry.get_by_role("link", name=re.compile("^04 · ")).first.click()
    expect(page.locator("h1")).to_contain_text("04 · ")
    page = tab.open("api/recordio.html")
    page.locator("section > p", has_text="(chapter 4)").get_by_role("link", name="4").click()
    expect(page).to_have_url(re.compile(r"notebooks/04_recordio_packing\.html$"))


def test_search_finds_a_function_and_a_chapter(tab):
    page = tab.open("notebooks/00_start_here.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("salvage")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li")
    expect(results.filter(has_text="imnetlib.recordio.salvage").first).to_be_visible()
    results.filter(has_text="04 · ").first.get_by_role("link").first.click()
    expect(page.locator("h1")).to_contain_text("04 · ")
    assert tab.troubles == []


def colour(page: Page, selector: str) -> tuple[int, ...]:
    """Red, green and blue of what lies behind an element."""
    css = page.locator(selector).first.evaluate("one => getComputedStyle(one).backgroundColor")
    return tuple(map(int, re.findall(r"\d+", css)[:3]))


def test_the_theme_is_the_reader_s_and_figures_stay_on_white(tab):
    page = tab.open("notebooks/03_io_throughput.html")
    assert min(colour(page, "body")) > 240
    page.get_by_role("button", name="Color mode").click()
    page.get_by_role("button", name="Dark").or_(page.get_by_text("Dark", exact=True)).first.click()
    assert max(colour(page, "body")) < 60
    assert colour(page, "div.cell_output img") == (255, 255, 255)
    page.reload()
    assert max(colour(page, "body")) < 60


@pytest.mark.parametrize("tab", [NARROW], ids=["360"], indirect=True)
def test_the_menu_of_a_telephone_leads_everywhere(tab):
    page = tab.open("notebooks/04_recordio_packing.html")
    page.get_by_role("button", name="Site navigation").click()
    page.get_by_role("dialog").get_by_role("link", name="Claims").click()
    expect(page.locator("h1")).to_contain_text("claims")


def test_every_claim_is_there_with_its_verdict(tab):
    page = tab.open("claims.html")
    verdicts = page.locator("article td:nth-child(3)").all_inner_texts()
    assert sorted(verdicts) == sorted(verdict.verdict for verdict in claims.recompute())
    said = page.locator("article").inner_text()
    assert [claim.id for claim in claims.claims().values() if claim.claim not in said] == []
