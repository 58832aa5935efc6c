"""What an editor takes away, on the video's screen: asking for mattes and reframed videos, following them, taking them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from reframer_pipeline.editing import keeping
from reframer_pipeline.failures import NotAVideo
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.editing.kept import TOKEN
from reframer_pipeline_tests.factories import commit_all
from reframer_pipeline_tests.page.conftest import opened
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import HEIGHT, WIDTH, Film, brought
from reframer_pipeline_tests.servers import Server, fresh_database

pytestmark = pytest.mark.timeout(900)
WHO = "one@example.org"
EARLIER = "now() - interval '100 seconds'"


@pytest.fixture(scope="module")
def serving(browser: Browser, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server for each browser, with models that can make mattes."""
    for url in fresh_database(embedded_server):
        settings = Settings(home=tmp_path_factory.mktemp("serving"), database_url=url, models="demo")
        with open_storage(settings) as storage, Serving(storage, REFRAMER_MODELS="demo") as serving:
            yield serving


@pytest.fixture(scope="module")
def made(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Film]:
    """A clip of two scenes, with a cup in both."""
    video_id, film = brought(serving.storage, "constant", tmp_path_factory.mktemp("films"))
    claim(serving.db, WHO, video_id, "clip.mp4")
    return video_id, film


@pytest.fixture(scope="module")
def desk(page: Page, serving: Serving) -> Desk:
    return Desk(page, serving.url)


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx2.Client]:
    """The same person without a page. What a test has asked for is gone at its end."""
    with serving.client(serving.key()) as client:
        yield client
    serving.db.execute("DELETE FROM deliverables")


def asked(client: httpx2.Client, video_id: str) -> list[dict[str, Any]]:
    """What was asked for of a video."""
    return list(client.get(f"/videos/{video_id}/deliverables").json()["deliverables"])


def rows(desk: Desk) -> Locator:
    """The list of it."""
    return desk.page.get_by_role("list", name="For editing").get_by_role("listitem")


def closed(window: Locator) -> None:
    """Wait until what it asks for is asked for. A server's first wish takes its time on a busy machine."""
    expect(window).to_have_count(0, timeout=60_000)


def make(serving: Serving, deliverable_id: str) -> None:
    """As a run does."""
    assert keeping.make(serving.storage, deliverable_id, TOKEN) is not None


def downloaded(page: Page, row: Locator, path: Path) -> str:
    """Take the file of a row; what it is called."""
    with page.expect_download() as begun:
        row.get_by_role("button", name="Download").click()
    begun.value.save_as(path)
    return str(begun.value.suggested_filename)


def test_a_track_is_cut_out_and_taken(desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client, tmp_path: Path) -> None:
    video_id, _ = made
    desk.open(video_id, "?t=0&tab=tracks&track=obj_001")
    page = desk.page
    page.get_by_role("button", name="Matte…").click()
    window = page.get_by_role("dialog", name="Matte of obj_001 cup")
    window.get_by_label("Cut out").check()
    window.get_by_label("Grey film").check()  # which has no picture
    expect(window.get_by_label("The matte alone")).to_be_checked()
    window.get_by_label("VP9 WebM").check()
    expect(window.get_by_label("Cut out")).to_be_checked()
    window.get_by_label("Soften the edges").fill("2")
    window.get_by_label("Only scene 1").check()
    window.get_by_role("button", name="Make it").click()
    closed(window)
    expect(page.get_by_role("tab", name="Editing", selected=True)).to_be_visible()
    row = rows(desk)
    expect(row).to_contain_text("Cutout of obj_001 cup")
    expect(row).to_contain_text("VP9 WebM, only scene 1, edges over 2 pixels")
    expect(row).to_contain_text("Waiting")
    (wanted,) = asked(client, video_id)
    assert wanted["wish"] == {"tracks": ["obj_001"], "form": "webm", "cutout": True, "soften": 2.0, "scene": 1}
    deliverables.claim(serving.db, wanted["deliverable_id"], TOKEN)
    deliverables.alive(serving.db, wanted["deliverable_id"], TOKEN, 0.4)
    expect(row).to_contain_text("Being made, 40%")  # it looks by itself
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "0.4")
    make(serving, wanted["deliverable_id"])
    expect(row).to_contain_text("Ready")
    page.reload()
    desk.until("window.reframer?.drawn >= 0", 60)
    expect(row).to_contain_text("Ready")
    assert downloaded(page, row, tmp_path / "cup.webm").startswith("clip-matte-obj_001-cutout")
    entries = "stream=codec_name,width,height,nb_read_packets:stream_tags=alpha_mode"
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", entries, "-of", "json", str(tmp_path / "cup.webm")]
    (stream,) = json.loads(subprocess.run(probe, check=True, capture_output=True).stdout)["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"], stream["tags"]) == ("vp9", WIDTH, HEIGHT, {"alpha_mode": "1"})
    kept = deliverables.find(serving.db, wanted["deliverable_id"])
    assert kept is not None and int(stream["nb_read_packets"]) == kept.ordered["stop"] - kept.ordered["start"] > 10


def test_a_scene_is_reframed_by_keyboard(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    video_id, _ = made
    desk.open(video_id, "?t=0&tab=scenes")
    page, keyboard = desk.page, desk.page.keyboard
    page.get_by_role("button", name="Reframe…").focus()
    keyboard.press("Enter")
    window = page.get_by_role("dialog", name="Reframe")
    window.get_by_role("radio", name="9:16").focus()
    keyboard.press("ArrowDown")
    expect(window.get_by_role("radio", name="4:5")).to_be_checked()
    expect(window.get_by_role("img", name="The window of 4:5")).to_be_visible()
    expect(window.get_by_label("Only scene 1")).to_be_checked()
    window.get_by_label("What must stay in view").select_option("Each cup")
    window.get_by_label("Bars where it does not fit").focus()
    keyboard.press("Space")
    window.get_by_label("JSON").focus()
    keyboard.press("Space")
    keyboard.press("Enter")
    closed(window)
    expect(page.get_by_role("tab", name="Editing", selected=True)).to_be_focused()
    expect(rows(desk)).to_contain_text("Reframed to 4:5")
    expect(rows(desk)).to_contain_text("JSON, only scene 1, follows cup, bars where it does not fit")
    (one,) = asked(client, video_id)
    assert one["wish"] == {"ratio": "4:5", "label": "cup", "letterbox": True, "scene": 1, "form": "json"}


def test_the_window_of_a_ratio_is_shown_as_large_as_it_is(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    desk.open(made[0], "?t=0&tab=editing")
    desk.page.get_by_role("button", name="Reframe the film…").click()
    window = desk.page.get_by_role("dialog", name="Reframe")
    expect(window.get_by_label("Only scene 1")).not_to_be_checked()
    window.get_by_label("other").check()
    window.get_by_label("Width to height").fill("1:2")
    light = """canvas => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, Math.round(height / 2), width, 1);
        const places = [...Array(width).keys()].filter((x) => data[4 * x] > 80);
        return [places[0] / width, places.length / width];
    }"""
    start, share = window.get_by_role("img", name="The window of 1:2").evaluate(light)
    wanted = HEIGHT / 2 / WIDTH  # the ground is lighter than that, and darkened around the window
    assert share == pytest.approx(wanted, abs=0.01) and start == pytest.approx((1 - wanted) / 2, abs=0.01)
    window.get_by_label("Width to height").fill("1:999")
    window.get_by_role("button", name="Make it").click()
    expect(window.get_by_role("alert")).to_contain_text("ratio_impossible")
    window.get_by_label("Width to height").fill("wide")
    window.get_by_role("button", name="Make it").click()  # the browser says what is wrong with it
    assert window.get_by_label("Width to height").evaluate("one => !one.validity.valid")
    assert asked(client, made[0]) == []


def test_its_window_is_shown_over_the_film(desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client) -> None:
    video_id, film = made
    make(serving, client.post(f"/videos/{video_id}/reframes", json={"ratio": "1:2", "form": "json"}).json()["deliverable_id"])
    desk.open(video_id, "?t=0&tab=editing")
    show = rows(desk).get_by_role("button", name="Show")
    show.click()
    expect(show).to_have_attribute("aria-pressed", "true")
    plan = client.get(asked(client, video_id)[0]["file"]).json()
    for frame in (0, 7, 30):
        desk.seek(film.seconds, frame)
        (shot,) = (one for one in plan["shots"] if one["start_frame"] <= frame < one["end_frame"])
        keys = [(one["seconds"], one["x"]) for one in shot["keyframes"]]
        x = np.interp(film.seconds[frame], *zip(*keys, strict=True))
        line = desk.picture()[-12, :, :].min(axis=1)  # below the cup and the squares
        light = np.flatnonzero(line > 80) / len(line) * WIDTH
        assert light[0] == pytest.approx(x, abs=4) and light[-1] == pytest.approx(x + shot["window"]["width"], abs=4), frame
    assert len({one["x"] for shot in plan["shots"] for one in shot["keyframes"]}) > 2  # it does move
    desk.page.get_by_role("tab", name="Editing").click()  # the address that led to a moment named no list
    show.click()
    desk.until("reframer.room.crop.value === null")
    assert (desk.picture()[-12, :, :] > 80).all()


def test_ticked_elements_make_one_matte(desk: Desk, made: tuple[str, Film], client: httpx2.Client) -> None:
    desk.open(made[0], "?t=0&of=film")
    page = desk.page
    boxes = page.get_by_role("checkbox", name="Choose")
    for place in range(2):
        boxes.nth(place).check()
    page.get_by_role("region", name="Export").get_by_role("button", name="Matte…").click()
    page.get_by_role("button", name="Make it").click()
    closed(page.get_by_role("dialog"))
    expect(rows(desk)).to_contain_text("Matte of element 1 of scene 1, element 1 of scene 2")
    (one,) = asked(client, made[0])
    assert one["wish"] == {"elements": ["1.1", "2.1"]}


def test_what_failed_or_was_not_kept_is_made_again_and_what_nobody_wants_deleted(
    desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client, tmp_path: Path
) -> None:
    video_id, _ = made
    ids = [client.post(f"/videos/{video_id}/reframes", json={"ratio": f"{n}:9", "form": "ae"}).json()["deliverable_id"] for n in (5, 6)]
    deliverables.end(serving.db, ids[0], NotAVideo("The file is text."), 5)
    make(serving, ids[1])
    desk.open(video_id, "?t=0&tab=editing")
    newer, failed = rows(desk).filter(has_text="6:9"), rows(desk).filter(has_text="5:9")
    expect(failed).to_contain_text("The file is text.")
    expect(failed).to_contain_text("not_a_video")
    failed.get_by_role("button", name="Make again").click()
    expect(failed).to_contain_text("Waiting")
    kept = deliverables.find(serving.db, ids[1])
    assert kept is not None and kept.object_key is not None
    serving.storage.store.delete(kept.object_key)
    newer.get_by_role("button", name="Download").click()  # a browser would save the refusal
    expect(newer.get_by_role("alert")).to_contain_text("not_made")
    expect(newer).to_contain_text("Not kept")
    newer.get_by_role("button", name="Make again").click()
    expect(newer).to_contain_text("Waiting")
    expect(newer.get_by_role("alert")).to_have_count(0)
    make(serving, ids[1])
    expect(newer).to_contain_text("Ready")
    assert downloaded(desk.page, newer, tmp_path / "keys.txt") == "clip-reframed-6x9.txt"
    assert (tmp_path / "keys.txt").read_text().startswith("Adobe After Effects")
    for row, verb in ((failed, "Stop"), (newer, "Delete")):
        row.get_by_role("button", name=verb).click()
        desk.page.get_by_role("dialog").get_by_role("button", name=verb, exact=True).click()
        expect(row).to_have_count(0)
    assert asked(client, video_id) == []


def test_it_is_said_if_nobody_makes_it(desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client) -> None:
    one = client.post(f"/videos/{made[0]}/reframes", json={"ratio": "1:1"}).json()
    desk.open(made[0], "?t=0&tab=editing")
    notice = desk.page.locator(".v-panel").get_by_role("status").filter(has_text="reframer dev")
    expect(rows(desk)).to_contain_text("Waiting")
    expect(notice).to_have_count(0)
    serving.db.execute(f"UPDATE results SET created_at = {EARLIER}")
    serving.db.execute(f"UPDATE deliverables SET due_at = {EARLIER}")
    expect(notice).to_be_visible()
    deliverables.claim(serving.db, one["deliverable_id"], TOKEN)
    expect(notice).to_have_count(0)


def test_a_wish_is_of_the_set_that_is_shown(desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client) -> None:
    """A track's name is that of one set: what newer results call so nobody has looked at."""
    video_id, film = made
    desk.open(video_id, "?t=0&scene=1&element=1")
    shown = desk.page.evaluate("reframer.room.results.video.result_id")
    desk.page.get_by_role("button", name="Matte…").click()
    desk.page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")  # the page does not look by itself
    desk.until("reframer.room.hand.loading.busy === null")
    commit_all(serving.storage, video_id, dataclasses.replace(film, settings=film.settings.model_copy(update={"conf": 0.31})))
    desk.page.get_by_role("button", name="Make it").click()
    closed(desk.page.get_by_role("dialog"))
    (one,) = asked(client, video_id)
    assert (one["result_id"], one["wish"]) == (shown, {"elements": ["1.1"]})
    assert client.get(f"/videos/{video_id}").json()["result_id"] != shown
    desk.open(video_id, "?t=0&tab=editing")
    expect(rows(desk)).to_contain_text("Matte of element 1 of scene 1")
    expect(rows(desk)).to_contain_text("of other results")


def test_who_may_only_look_takes_what_is_made(
    browser: Browser, serving: Serving, made: tuple[str, Film], client: httpx2.Client, trouble: list[str], tmp_path: Path
) -> None:
    video_id, _ = made
    make(serving, client.post(f"/videos/{video_id}/reframes", json={"ratio": "1:1", "form": "json"}).json()["deliverable_id"])
    context = opened(browser, serving.url, trouble, serving.key(scopes=("read",)))
    desk = Desk(context.new_page(), serving.url)
    desk.open(video_id, "?t=0&scene=1&track=obj_001")
    for tab in ("Elements", "Scenes", "Tracks", "Editing"):
        desk.page.get_by_role("tab", name=tab).click()
        for verb in ("Matte…", "Reframe…", "Reframe the film…", "Delete"):
            expect(desk.page.locator(".v-panel").get_by_role("button", name=verb)).to_have_count(0)
    assert downloaded(desk.page, rows(desk), tmp_path / "path.json") == "clip-reframed-1x1.json"
    assert json.loads((tmp_path / "path.json").read_text())["ratio"] == "1:1"
    context.close()


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
def test_it_can_be_read_by_everybody(
    desk: Desk, serving: Serving, made: tuple[str, Film], client: httpx2.Client, theme: str, width: int
) -> None:
    video_id, page = made[0], desk.page
    bars = {"ratio": "4:5", "tracks": ["obj_001"], "letterbox": True, "scene": 2}
    wishes = ({"ratio": "9:16"}, {"ratio": "1:1", "form": "json"}, bars)
    ids = [client.post(f"/videos/{video_id}/reframes", json=wish).json()["deliverable_id"] for wish in wishes]
    client.post(f"/videos/{video_id}/mattes", json={"tracks": ["obj_001"], "cutout": True})
    deliverables.end(serving.db, ids[0], NotAVideo("The file is text."), 5)
    make(serving, ids[1])
    deliverables.claim(serving.db, ids[2], TOKEN)
    deliverables.alive(serving.db, ids[2], TOKEN, 0.4)
    serving.db.execute(f"UPDATE deliverables SET due_at = {EARLIER}")
    page.set_viewport_size({"width": width, "height": 900})
    desk.open(video_id, "?t=0.4&tab=editing")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    expect(rows(desk)).to_have_count(4)
    narrow = "document.documentElement.scrollWidth <= innerWidth"
    assert width == 400 or page.locator(".v-tabs").evaluate("one => one.scrollWidth <= one.clientWidth")  # all its tabs are seen
    assert hard_to_read(page) == [] and page.evaluate(narrow)
    page.get_by_role("tab", name="Scenes").click()
    for verb in ("Matte…", "Reframe…"):
        page.get_by_role("button", name=verb).click()
        window = page.get_by_role("dialog")
        assert hard_to_read(page) == [] and page.evaluate(narrow)
        assert window.evaluate("one => one.scrollWidth <= one.clientWidth")
        page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1300, "height": 950})
