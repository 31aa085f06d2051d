"""The page as a file: it answers, it is quick, it shows what it is given as text, and it asks for nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.report.conftest import OpenPage, reported
from tests.report.folders import HOSTILE, mixed_folder

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = "#gallery .shot"


def found(page: Page) -> int:
    """How many rows the page says it shows."""
    return int(page.inner_text("#found").split()[0].replace(",", ""))


def rows_of(report: Path) -> list[Any]:
    """The records inside the page, each in the order of `rows.Shown`."""
    raw = re.search(r'<script type="application/json" id="rows">(.*?)</script>', report.read_text("utf-8"), re.DOTALL)
    assert raw is not None
    return list(json.loads(raw[1]))


def test_the_page_says_whether_it_worked_what_it_cost_and_what_failed(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    assert page.inner_text("h1") == "251 of 300 rows so far."
    assert "$14.91 charged" in page.inner_text("#summary")
    assert page.inner_text("#failures").count("rows failed") == 2
    assert "12 rows in doubt" in page.inner_text("#failures")
    commands = page.locator("#failures code").all_inner_texts()
    assert any("retry" in command and "--only row-0003 row-0023" in command for command in commands)
    assert any("reconcile" in command for command in commands)
    assert "received" in page.inner_text("#account")


def test_rows_are_filtered_by_state_model_meta_and_text(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    assert found(page) == 300
    page.click("[data-state=failed]")
    assert found(page) == 31
    page.click("[data-state=in_doubt]")
    assert found(page) == 43
    page.click("#clear")
    page.select_option("[data-choice=model]", "bytedance/seedance-2.5/image-to-video/720p")
    assert found(page) == 43
    page.select_option("[data-choice='meta.series']", "south")
    assert found(page) == 14
    page.click("#clear")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("lighthouse STUDY")
    page.wait_for_function("() => document.getElementById('found').textContent.startsWith('60 ')")
    page.reload()
    assert page.input_value("#search").lower() == "lighthouse study", "a view can be kept by its address"
    assert found(page) == 60


def test_a_cause_shows_its_rows(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    page.locator("#failures .cause", has_text="content policy").get_by_text("show them").click()
    assert found(page) == 15
    assert page.locator(SHOTS).first.inner_text().count("content policy") == 1


def test_rows_are_sorted(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    page.select_option("#sort", "newest")
    assert page.locator("#gallery h3").first.inner_text() == max(rows_of(mixed), key=lambda row: row[11] or 0)[0]
    page.select_option("#sort", "slowest")
    assert page.locator("#gallery h3").first.inner_text() == max(rows_of(mixed), key=lambda row: row[10] or 0)[0]
    page.select_option("#sort", "id")
    assert page.locator("#gallery h3").nth(1).inner_text() == "row-0001"


def test_pictures_are_walked_through_by_keyboard_alone(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(f"{mixed.as_uri()}#state=collected")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.matches('#gallery .shot')")
    page.keyboard.press("Enter")
    assert page.locator("#large").evaluate("large => large.open")
    first = page.inner_text("#said")
    page.wait_for_selector("#stage .frame.sharp")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#facts h2") == "row-0002"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#facts h2") == "row-0004"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#said") != first
    page.keyboard.press("c")
    assert page.locator("#stage .frame").count() == 2, "the input stands beside the output"
    page.keyboard.press("Escape")
    assert not page.locator("#large").evaluate("large => large.open")
    assert page.evaluate("document.activeElement.dataset.row") == "row-0001", "the focus is where one left"


def test_the_pages_of_the_gallery_are_turned_by_keyboard(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    page.keyboard.press("Shift+ArrowRight")
    assert page.input_value("#page-number") == "2"
    page.keyboard.press("Shift+ArrowLeft")
    assert page.input_value("#page-number") == "1"
    page.locator(SHOTS).last.focus()
    page.keyboard.press("ArrowRight")
    assert page.input_value("#page-number") == "2"
    assert page.evaluate("document.activeElement.dataset.row") == "row-0048"


def test_a_film_has_its_controls_and_a_picture_to_begin_with(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(f"{mixed.as_uri()}#text=row-0005")
    page.locator(SHOTS).first.click()
    film = page.locator("#stage video")
    assert film.get_attribute("controls") is not None
    assert "thumbs/" in str(film.get_attribute("poster"))


def test_hostile_text_is_text(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    page.locator(SHOTS).first.click()
    reason = " ".join(HOSTILE.split())  # of one line, whatever signs end one
    for place, text in (("#facts .prompt", HOSTILE), ("#stage .blank", reason)):
        assert text in page.locator(place).evaluate("box => box.textContent")
    assert page.locator("#facts .prompt").evaluate("box => box.textContent.length") > 10_000
    assert page.evaluate("window.hurt") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    raw = mixed.read_text("utf-8")
    assert raw.count("</script>") == 3, "settings, rows and the script, each ended once"


def test_no_signature_is_on_the_page(mixed: Path) -> None:
    assert "SECRET" not in mixed.read_text("utf-8")


def test_a_command_never_names_an_id_that_reads_as_a_flag_or_backwards(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    commands = page.locator("#failures .command code").all_inner_texts()
    assert all("\u202e" not in command and " -b" not in command for command in commands)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(mixed: Path, open_page: OpenPage, scheme: str) -> None:
    page = open_page(mixed.as_uri(), 390, 844, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(SHOTS).nth(1).click()
    assert page.locator("#large").evaluate("large => large.scrollWidth <= innerWidth")


def test_everything_that_can_be_pressed_has_a_name(mixed: Path, open_page: OpenPage) -> None:
    page = open_page(mixed.as_uri())
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, a[href]')].filter((each) => !each.hidden && !(
          each.getAttribute('aria-label') || each.textContent.trim() || each.querySelector('img[alt]:not([alt=""])')
          || (each.labels && each.labels.length))).map((each) => each.outerHTML)"""
    )
    assert nameless == []
    for landmark in ("header", "nav", "main", "footer", "[role=search]"):
        assert page.locator(landmark).count() >= 1


@pytest.mark.slow
@pytest.mark.timeout(300)  # making the page of so many rows takes its time on a machine with other work
def test_fifty_thousand_rows_are_searched_sorted_and_paged_with_one_page_of_cards(
    large: Path, open_page: OpenPage
) -> None:
    assert large.stat().st_size < 500_000, "what is painted first is a page of rows and the figures"
    page = open_page(large.as_uri())
    page.wait_for_selector(SHOTS)
    page.wait_for_function("() => document.getElementById('found').textContent === '50,000 rows'")
    page.fill("#search", "study r004999")
    page.wait_for_function("() => document.getElementById('found').textContent.startsWith('1 of')")
    page.click("#clear")
    page.click("[data-state=failed]")
    assert found(page) == 500
    page.click("#clear")
    page.select_option("#sort", "slowest")
    assert page.locator("#gallery .facts").first.inner_text().endswith("min 15 s")
    page.select_option("#sort", "manifest")
    page.fill("#page-number", "700")
    page.keyboard.press("Enter")
    assert page.locator("#gallery h3").first.inner_text() == "r033552"
    page.click("#after")
    assert page.input_value("#page-number") == "701"
    assert page.evaluate("document.querySelectorAll('#gallery .card').length") <= 48
    page.fill("#page-number", "41")
    page.keyboard.press("Enter")
    page.locator(SHOTS).first.click()
    assert page.inner_text("#facts h2") == "r001920"


def test_one_file_needs_no_other(tmp_path: Path, open_page: OpenPage) -> None:
    content = reported(mixed_folder, tmp_path / "out", 30, single_file=True).read_bytes()
    alone = tmp_path / "elsewhere" / "sent on.html"
    alone.parent.mkdir()
    alone.write_bytes(content)
    page = open_page(alone.as_uri())
    page.wait_for_function("() => document.querySelector('#gallery .outputs img').naturalWidth > 0")
    page.locator("#gallery .outputs .shot").first.click()
    page.wait_for_function("() => document.querySelector('#stage img').naturalWidth > 0")


def test_the_policy_of_the_page_leaves_no_way_out(mixed: Path) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', mixed.read_text("utf-8"))
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "http" not in policy[1]
    assert "unsafe" not in policy[1]
    assert "connect-src" not in policy[1]


def test_rows_are_read_back_as_they_were_written(mixed: Path) -> None:
    rows = rows_of(mixed)
    assert len(rows) == 300
    assert rows[0][4].startswith(HOSTILE)
