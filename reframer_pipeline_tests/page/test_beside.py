"""What stands beside the film: lists whose filters are in the address, what can be exported of it, and what the words mean."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import brought

pytestmark = pytest.mark.timeout(900)
TALE = " ".join(f"A cup moves on over the grey table, for the {n}th time." for n in range(4, 20))


@pytest.fixture(scope="module")
def video_id(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A clip of two scenes with an easy element each, which the one track is."""
    video_id, _ = brought(serving.storage, "constant", tmp_path_factory.mktemp("films"), TALE)
    claim(serving.db, "one@example.org", video_id, "demo.mp4")
    return video_id


@pytest.fixture(scope="module")
def desk(page: Page, serving: Serving) -> Desk:
    """The screen, signed in."""
    return Desk(page, serving.url)


def test_a_link_shows_the_lists_as_they_were(desk: Desk, video_id: str) -> None:
    desk.open(video_id, "?t=0")
    page = desk.page
    page.get_by_role("button", name="Whole film").click()
    page.get_by_label("Order").select_option("Longest in view")
    page.get_by_label("Class").select_option("People")
    page.get_by_role("tab", name="Tracks").click()
    page.get_by_label("Find a track").fill("mug & co")
    desk.until("location.hash.endsWith('?t=0&scene=1&tab=tracks&of=film&sort=seconds&class=person&find=mug+%26+co')")
    desk.open(video_id, page.url.partition(video_id)[2])  # as somebody does who was sent it
    expect(page.get_by_role("tab", name="Tracks", selected=True)).to_be_visible()
    expect(page.get_by_label("Find a track")).to_have_value("mug & co")
    page.get_by_role("tab", name="Elements").click()
    expect(page.get_by_role("button", name="Whole film", pressed=True)).to_be_visible()
    expect(page.get_by_label("Order")).to_have_value("seconds")
    expect(page.get_by_label("Class")).to_have_value("person")
    expect(page.get_by_role("list", name="Elements").get_by_role("listitem")).to_have_count(2)
    desk.open(video_id, "?t=0&tab=no&sort=constructor")  # what nobody wrote
    expect(page.get_by_role("tab", name="Elements", selected=True)).to_be_visible()
    expect(page.get_by_label("Order")).to_have_value("")


def test_the_choices_can_be_read(desk: Desk, video_id: str) -> None:
    desk.open(video_id)
    for width in (400, 1000, 1300, 1440):
        desk.page.set_viewport_size({"width": width, "height": 900})
        cut = """[...document.querySelectorAll(".v-list-tools select")].filter((one) => {
            const wanted = one.parentElement.insertBefore(one.cloneNode(true), one);
            wanted.style = "flex: none; width: max-content; position: absolute";
            const cut = one.offsetWidth < wanted.offsetWidth;
            wanted.remove();
            return cut || one.getBoundingClientRect().right > one.closest("section").getBoundingClientRect().right;
        }).length"""
        assert desk.page.evaluate(cut) == 0, width
    desk.page.set_viewport_size({"width": 1300, "height": 950})


def exported(page: Page, folder: Path) -> tuple[str, list[str]]:
    """What the window that is open downloads as DAVIS: the file's name, and the tracks in it."""
    window = page.get_by_role("dialog")
    window.get_by_label("DAVIS").check()
    with page.expect_download() as begun:
        window.get_by_role("button", name="Download").click()
    expect(window).to_have_count(0)
    begun.value.save_as(folder / "masks.zip")
    with zipfile.ZipFile(folder / "masks.zip") as archive:
        (video,) = json.loads(archive.read("meta.json"))["videos"].values()
        assert sum(name.endswith(".png") for name in archive.namelist()) == 10  # one for each frame that was looked at
    name = re.sub(r"[(]\d+[)]", "", begun.value.suggested_filename)  # Firefox counts files of one name
    return name, [one["track"] for one in video["objects"].values()]


def part(page: Page) -> Locator:
    """What the window says that it exports."""
    return page.get_by_role("group", name="What is exported").locator("label:has(:checked)")


def test_the_film_a_track_and_what_is_ticked_are_exported(desk: Desk, video_id: str, tmp_path: Path) -> None:
    desk.open(video_id, "?t=0")
    page = desk.page
    export = page.locator(".v-head").get_by_role("button", name="Export…")
    export.click()
    expect(part(page)).to_have_text("The whole film: 1 track in 2 scenes")
    page.get_by_role("dialog").get_by_label("DAVIS").check()
    told = page.get_by_role("dialog").locator(".holds")
    expect(told).to_contain_text("00005.png is frame 5. Black is nothing")
    expect(told).to_contain_text("10 of the film's 48 frames were looked at: 0, 5, 10 and so on.")
    assert hard_to_read(page) == []
    assert exported(page, tmp_path) == ("demo-davis.zip", ["obj_001"])
    page.locator(".v-row-main").first.click()
    for place in ("Elements", "Tracks"):  # wherever the track is selected
        page.get_by_role("tab", name=place).click()
        page.get_by_role("button", name="Export this track…").click()
        expect(part(page)).to_have_text("The selected track: obj_001 cup")
        assert exported(page, tmp_path) == ("demo-obj_001-davis.zip", ["obj_001"])
    page.get_by_role("tab", name="Elements").click()
    page.get_by_label("Choose").check()
    page.get_by_role("tab", name="Scenes").click()
    page.get_by_role("tab", name="Elements").click()
    expect(page.get_by_text("1 element ticked")).to_be_visible()
    page.get_by_role("region", name="Export").get_by_role("button", name="Export…").click()
    expect(part(page)).to_have_text("1 ticked element: obj_001 cup")
    assert exported(page, tmp_path) == ("demo-obj_001-davis.zip", ["obj_001"])
    export.click()
    expect(page.get_by_role("group", name="What is exported").get_by_role("radio")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Space")  # not the button again, which was clicked
    desk.until("reframer.room.player.head.value.playing")


def test_a_scene_is_told_whole_with_what_can_be_replaced_there(desk: Desk, video_id: str) -> None:
    desk.open(video_id, "?t=0")
    desk.page.get_by_role("tab", name="Scenes").click()
    rows = desk.page.get_by_role("list", name="Scenes").get_by_role("listitem")
    expect(rows).to_have_count(2)
    for row in rows.all():
        expect(row).to_contain_text(TALE)
        expect(row.locator(".v-chip")).to_have_text("1 easy")
        hidden = "one => [...one.querySelectorAll('*')].filter((part) => part.scrollHeight > part.clientHeight + 1 && part.clientHeight)"
        assert row.evaluate(f"{hidden}.length") == 0
        assert row.evaluate("one => one.querySelector('.v-chip').offsetTop < one.offsetTop + 60")  # above the words, not behind them


def test_the_words_of_the_screen_are_explained(desk: Desk, video_id: str) -> None:
    desk.open(video_id, "?t=0")
    page = desk.page
    expect(page.locator(".v-chip").first).to_have_attribute("title", re.compile("How hard it would be"))
    for ask in (lambda: page.keyboard.press("?"), lambda: page.get_by_role("banner").get_by_label("Keyboard").click()):
        ask()
        window = page.get_by_role("dialog", name="Words and keys")
        for word in ("Solid box, dashed box", "Difficulty", "Score", "Confidence", "Share of the picture", "Importance"):
            expect(window.get_by_role("term").filter(has_text=word).first).to_be_visible()
        expect(window).to_contain_text("one sampled frame back, on")
        assert hard_to_read(page) == []
        page.keyboard.press("Escape")
        expect(window).to_have_count(0)
