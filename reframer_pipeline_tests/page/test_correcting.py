"""Correcting by hand on the video's screen, and what it says is to be looked at first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from reframer_pipeline.scenes.analysis import analyse_scenes
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.versions import row_id
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.factories import commit_all
from reframer_pipeline_tests.page.conftest import opened
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import Film, brought
from reframer_pipeline_tests.servers import Server
from reframer_pipeline_tests.support import MemoryInput

pytestmark = pytest.mark.timeout(900)
WHO = "one@example.org"
Thing = tuple[str, float, int, int, int]  # label, confidence, first frame, end, left edge


class Things(Film):
    """The same clip with things that stand still."""

    things: tuple[Thing, ...] = (
        ("cup", 0.9, 0, 16, 30),  # lost, and
        ("vase", 0.8, 0, 48, 250),
        ("cup", 0.9, 25, 48, 30),  # found again as obj_003
        ("book", 0.7, 30, 31, 450),  # seen once, so it is doubtful
    )

    def _seen(self) -> Iterator[tuple[int, int, int]]:
        """Frame, place in it, and thing."""
        for n in self.sampled:
            there = [at for at, (_, _, first, end, _) in enumerate(self.things) if first <= n < end]
            yield from ((n, ordinal, at) for ordinal, at in enumerate(sorted(there, key=lambda at: -self.things[at][1])))

    def _detections(self) -> Iterator[dict[str, Any]]:
        for n, ordinal, at in self._seen():
            label, confidence, _, _, x = self.things[at]
            yield {
                "detection_id": row_id(self._result("detections"), f"{n}:{ordinal}"), "frame_number": n, "timestamp": self.seconds[n],
                "ordinal": ordinal, "object_class": "product", "label": label, "confidence": confidence,
                "x1": x, "y1": 60.0, "x2": x + 120.0, "y2": 140.0, "candidate": False,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        rows = list(zip(self._detections(), [at for *_, at in self._seen()], strict=True))
        for at, (label, confidence, *_) in enumerate(self.things):
            steps = [{"frame": row["frame_number"], **{name: row[name] for name in names}, "seconds": 0.2} for row, of in rows if of == at]
            yield {
                "track_id": f"obj_{at + 1:03}", "object_class": "product", "label": label, "start_frame": steps[0]["frame"],
                "end_frame": steps[-1]["frame"] + 1, "avg_confidence": confidence, "frames": steps,
            }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        given = {name: MemoryInput(name, self.rows(name)) for name in ("frames", "detections", "masks", "trajectories")}
        facts = self.rows("metadata")[0]
        for batch in analyse_scenes(facts, **given, describer=LocalDescriber(), settings=self.settings):  # type: ignore[arg-type]
            yield from batch.to_pylist()


class Fewer(Things):
    """The first cup is not found any more."""

    things = Things.things[1:]


@pytest.fixture(scope="module")
def serving(browser: Browser, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server for each browser: what the tests change in one, the next must not find."""
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server)


@pytest.fixture(scope="module")
def made(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Film]:
    """A clip with its results."""
    video_id, film = brought(serving.storage, "constant", tmp_path_factory.mktemp("films"), made_by=Things)
    claim(serving.db, WHO, video_id, "clip.mp4")
    return video_id, film


@pytest.fixture(scope="module")
def desk(page: Page, serving: Serving) -> Desk:
    return Desk(page, serving.url)


@pytest.fixture
def client(serving: Serving, made: tuple[str, Film]) -> Iterator[httpx2.Client]:
    """The same person without a page. What a test has corrected is taken back at its end."""
    with serving.client(serving.key()) as client:
        yield client
        for one in reversed(client.get(f"/videos/{made[0]}/corrections").json()["corrections"]):
            if not one["undone_at"]:
                assert client.delete(f"/videos/{made[0]}/corrections/{one['number']}").status_code == 204


def correcting(desk: Desk, video_id: str, query: str) -> Locator:
    """Open an address that selects something, and the forms; what the screen says of a correction."""
    desk.open(video_id, query)
    if not desk.page.evaluate("reframer.room.hand.state.value.open"):
        desk.page.get_by_role("button", name="Correct…").click()
    return desk.page.locator(".v-head").get_by_role("status")


def names(desk: Desk) -> list[str]:
    """The tracks that the screen shows."""
    return list(desk.page.evaluate("reframer.room.results.tracks.map((one) => `${one.track_id} ${one.label}`)"))


def review(desk: Desk) -> Locator:
    """The list of what was corrected."""
    desk.page.get_by_role("tab", name="Review").click()
    return desk.page.get_by_role("list", name="By hand").get_by_role("listitem")


def test_a_name_is_seen_at_once_and_stays(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    video_id, _ = made
    said = correcting(desk, video_id, "?t=0.4&track=obj_001&tab=tracks")
    desk.at(10)
    desk.page.get_by_label("Show obj_002").uncheck()
    desk.page.keyboard.press("m")
    name = desk.page.get_by_label("What it is")
    name.fill("red mug")
    name.press("Enter")
    expect(said).to_have_text("obj_001 is red mug.")
    expect(name).to_be_focused()  # whoever types goes on typing
    desk.at(10)  # the moment is the same, and what was chosen
    assert names(desk) == ["obj_001 red mug", "obj_002 vase", "obj_003 cup", "obj_004 book"]
    expect(desk.page.locator(".v-track.chosen")).to_contain_text(re.compile("red mug.*obj_001.*by hand"))
    view = desk.page.evaluate("(({ hidden, masks }) => [...hidden, masks])(reframer.room.selection.view.value)")
    assert view == ["obj_002", False]
    desk.until("reframer.boxes.some((one) => one.label === 'red mug')")
    desk.page.reload()
    desk.until("window.reframer?.drawn === 10")
    assert names(desk)[0] == "obj_001 red mug"


def test_tracks_of_one_frame_are_not_merged_and_others_are(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    said = correcting(desk, made[0], "?t=0&track=obj_001&tab=tracks")
    other, merge = desk.page.get_by_label("Merge with"), desk.page.get_by_role("button", name="Merge")
    expect(merge).to_be_disabled()
    other.select_option("obj_002")
    merge.click()
    told = desk.page.get_by_role("alert")
    expect(told).to_contain_text("obj_001 and obj_002 are both seen in 4 frames, the first is frame 0.")
    expect(told).to_be_in_viewport(ratio=0.99)
    assert not hard_to_read(desk.page)
    assert len(names(desk)) == 4
    other.select_option("obj_003")
    merge.click()
    expect(said).to_have_text("obj_003 is part of obj_001.")
    expect(told).to_have_count(0)
    assert names(desk) == ["obj_001 cup", "obj_002 vase", "obj_004 book"]


def test_split_delete_and_undo_by_keyboard(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    keyboard = desk.page.keyboard
    said = correcting(desk, made[0], "?t=0&track=obj_002&tab=tracks")
    split = desk.page.get_by_role("button", name="Split at frame")
    expect(split).to_be_disabled()  # nothing of it would be left
    keyboard.press("Shift+ArrowRight")
    expect(split).to_have_text("Split at frame 5")
    split.focus()
    keyboard.press("Enter")
    expect(said).to_have_text("obj_002 is another thing from frame 5 on.")
    assert "obj_005 vase" in names(desk)
    delete = desk.page.get_by_role("button", name="Delete", exact=True)
    delete.focus()
    keyboard.press("Enter")
    expect(said).to_have_text("obj_002 is deleted.")
    expect(desk.page.get_by_role("tab", selected=True)).to_be_focused()  # the form is gone with its track
    assert names(desk) == ["obj_001 cup", "obj_003 cup", "obj_004 book", "obj_005 vase"]
    keyboard.press("ArrowRight")
    rows = desk.page.get_by_role("list", name="By hand").get_by_role("listitem")
    expect(rows.first).to_contain_text("obj_002 is deleted you, just now")
    rows.first.get_by_role("button", name="Undo").focus()
    keyboard.press("Enter")
    expect(said).to_have_text("Taken back: obj_002 is deleted.")
    expect(rows.first).to_contain_text("taken back just now")
    expect(rows.first.get_by_role("button")).to_have_count(0)
    assert "obj_002 vase" in names(desk)


def test_class_and_difficulty_of_an_element(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    said = correcting(desk, made[0], "?t=0&scene=1&track=obj_001&of=film")
    row = desk.page.locator(".v-row.chosen")
    degrees = row.get_by_role("group", name="How difficult it is to replace")
    now = degrees.get_by_role("button", pressed=True).inner_text()
    other = "easy" if now == "hard" else "hard"
    degrees.get_by_role("button", name=other).click()
    expect(said).to_have_text(re.compile(f"element . of scene 1 is {other}\\."))
    expect(row.locator(".v-row-main .v-chip")).to_have_text(re.compile(f"^{other}"))
    expect(row).to_contain_text("by hand")
    row.get_by_role("button", name="It is a person").click()
    expect(said).to_have_text("obj_001 is a person.")
    expect(desk.page.locator(".v-row.chosen").get_by_role("button", name="It is a product")).to_be_visible()


def test_doubts_lead_to_their_frame_until_there_are_none(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    said = correcting(desk, made[0], "?t=0&track=obj_001&tab=tracks")
    tab = desk.page.get_by_role("tab", name="Review")
    expect(tab).to_have_text("Review 1")
    expect(desk.page.locator(".v-track", has_text="obj_004")).to_contain_text("doubt")
    expect(desk.page.locator(".v-doubt")).to_have_count(1)
    tab.click()
    desk.page.get_by_role("list", name="Look here first").get_by_role("button", name="It was seen only once.").click()
    desk.at(30)
    desk.until("location.hash.includes('track=obj_004')")
    desk.page.get_by_role("tab", name="Tracks").click()
    desk.page.get_by_role("button", name="Delete", exact=True).click()
    expect(said).to_have_text("obj_004 is deleted.")
    tab.click()
    expect(desk.page.get_by_role("heading", name="By hand")).to_be_visible()
    expect(desk.page.get_by_text("Look here first")).to_have_count(0)
    expect(tab).to_have_text("Review")


def test_a_file_from_cvat(desk: Desk, made: tuple[str, Film], client: httpx2.Client, tmp_path: Path) -> None:
    exported = client.get(f"/videos/{made[0]}/export", params={"format": "cvat"}).content
    desk.open(made[0])
    page = desk.page
    page.get_by_role("button", name="Import…").click()
    window = page.get_by_role("dialog", name="Import from CVAT")
    chosen, submit = window.get_by_label("Corrected file"), window.get_by_role("button", name="Import")
    with (tmp_path / "large.xml").open("wb") as large:
        large.truncate(51_000_000)
    chosen.set_input_files(tmp_path / "large.xml")
    expect(window.get_by_role("alert")).to_have_text("The file has 51 MB; 50 MB are allowed.")
    expect(submit).to_be_disabled()
    chosen.set_input_files({"name": "other.xml", "mimeType": "text/xml", "buffer": b"<annotations/>"})
    submit.click()
    expect(window.get_by_role("alert")).to_contain_text("annotations_refused")
    corrected = exported.replace(b">vase<", b">green vase<")
    chosen.set_input_files({"name": "corrected.xml", "mimeType": "text/xml", "buffer": corrected})
    submit.click()
    expect(window).to_have_count(0)
    expect(page.locator(".v-head").get_by_role("status")).to_have_text("1 correction from CVAT.")
    assert "obj_002 green vase" in names(desk)
    expect(review(desk).first).to_contain_text("obj_002 is green vase you in CVAT")


def test_newer_results_are_looked_at_before_they_are_corrected(
    desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client
) -> None:
    """In them the same id may be another thing."""
    said = correcting(desk, made[0], "?t=0&track=obj_001&tab=tracks")
    desk.page.evaluate("Object.defineProperty(document, 'hidden', { value: true })")  # the page does not look by itself
    desk.until("reframer.room.hand.loading.busy === null")
    change = {"kind": "delete", "track_id": "obj_003"}
    number = client.post(f"/videos/{made[0]}/corrections", json=change).json()["number"]
    desk.page.get_by_role("button", name="Delete", exact=True).click()
    expect(said).to_have_text("Newer results came meanwhile, so nothing was corrected. Look at them first.")
    assert names(desk) == ["obj_001 cup", "obj_002 vase", "obj_004 book"]
    assert client.get(f"/videos/{made[0]}/corrections").json()["corrections"][-1]["number"] == number


def test_who_may_only_look_sees_lists_and_no_buttons(
    browser: Browser, serving: Serving, made: tuple[str, Film], client: httpx2.Client, trouble: list[str]
) -> None:
    client.post(f"/videos/{made[0]}/corrections", json={"kind": "rename", "track_id": "obj_001", "label": "red mug"})
    context = opened(browser, serving.url, trouble, serving.key(scopes=("read",)))
    desk = Desk(context.new_page(), serving.url)
    desk.open(made[0], "?t=0&scene=1&track=obj_001")
    buttons = desk.page.get_by_role("button", name=re.compile("^(Correct…|Import…|Undo)"))
    for tab in ("Elements", "Tracks"):
        desk.page.get_by_role("tab", name=tab).click()
        expect(desk.page.get_by_role("button", name="Export this track…")).to_be_visible()
        expect(buttons).to_have_count(0)
    expect(review(desk)).to_contain_text(["obj_001 is red mug"])
    expect(buttons).to_have_count(0)
    expect(desk.page.get_by_role("list", name="Look here first")).to_be_visible()
    context.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_forms_and_lists_can_be_read_by_everybody(
    desk: Desk, made: tuple[str, Film], client: httpx2.Client, theme: str, width: int
) -> None:
    client.post(f"/videos/{made[0]}/corrections", json={"kind": "rename", "track_id": "obj_001", "label": "red mug"})
    client.post(f"/videos/{made[0]}/corrections", json={"kind": "delete", "track_id": "obj_003"})
    client.delete(f"/videos/{made[0]}/corrections/2")
    desk.page.set_viewport_size({"width": width, "height": 800})
    correcting(desk, made[0], "?t=0.4&scene=1&track=obj_001")
    desk.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    expect(desk.page.get_by_role("tab", name="Review")).to_have_text("Review 1")
    for tab in ("Elements", "Review"):
        desk.page.get_by_role("tab", name=tab).click()
        expect(desk.page.get_by_text("red mug").first).to_be_visible()
        assert hard_to_read(desk.page) == []
        assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.page.set_viewport_size({"width": 1300, "height": 950})


def test_what_no_longer_matches_is_marked(desk: Desk, serving: Serving, tmp_path: Path) -> None:
    video_id, film = brought(serving.storage, "variable", tmp_path, made_by=Things)
    claim(serving.db, WHO, video_id, "other.mp4")
    said = correcting(desk, video_id, "?t=0&track=obj_001&tab=tracks")
    desk.page.get_by_role("button", name="It is a person").click()
    expect(said).to_have_text("obj_001 is a person.")
    settings = film.settings.model_copy(update={"conf": 0.31})
    size = {"frame_count": film.frame_count, "width": film.width, "height": film.height}
    commit_all(serving.storage, video_id, Fewer(film.sha256, settings, **size, path=film.path, frames_file=film.frames_file))
    desk.open(video_id)
    row = review(desk).first
    expect(row).to_contain_text("obj_001 is a person no longer matches")
    expect(row).to_contain_text("not in these results")
    row.get_by_role("button", name="Undo").click()
    expect(said).to_have_text("Taken back: obj_001 is a person.")
    expect(row).to_contain_text("taken back")
