"""The video screen in real browsers: what is drawn belongs to the picture that is shown, and lies where the database says.

Clips whose pictures say their number (`films`) show it, at seeked times, on constant and variable rate, turned, with pixels that are not
square, and as the proxy of a format that the browser does not play.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from reframer_pipeline.media.timecode import Timecode, timecode
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.factories import add_video
from reframer_pipeline_tests.page.conftest import opened
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import FRAMES, HEIGHT, KINDS, MISSED, WIDTH, Film, brought, number_of
from reframer_pipeline_tests.page.films import GROUND as GREY

pytestmark = pytest.mark.timeout(900)
NEAR = 2.0  # pixels of the screen
SEEKS = [0, 5, 10, 15, 25, 30, 35, 40, 45, FRAMES - 2]  # the last one is no sampled frame
COLOUR = (0.05 + 0.618034) % 1  # hue of obj_001, as `vision.drawing` has it
Box = tuple[float, float, float, float]
TOLD_ONCE = """
const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (told) {
  if (!this.asked) ask.call(this, told);
  this.asked = true;
};
"""
LATE_EFFECTS = """
const soon = window.setTimeout;
window.setTimeout = (act, wait, ...rest) => soon(act, wait < 200 ? wait + 1500 : wait, ...rest);
window.requestAnimationFrame = (act) => soon(() => act(performance.now()), 1500);
"""


@pytest.fixture(scope="module")
def films(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Film]]:
    """A clip of each kind, by kind: its id and its results."""
    folder = tmp_path_factory.mktemp("films")
    made = {kind: brought(serving.storage, kind, folder) for kind in KINDS}
    for kind, (video_id, _) in made.items():
        claim(serving.db, "one@example.org", video_id, f"{kind}.mp4")
    return made


@pytest.fixture(scope="module")
def desk(page: Page, serving: Serving) -> Desk:
    """The screen, signed in."""
    return Desk(page, serving.url)


def coloured(picture: npt.NDArray[np.uint8], rows: slice = slice(0, HEIGHT * 5 // 6)) -> Box:
    """Edges of what has the track's hue, in pixels of the film."""
    part = np.asarray(Image.fromarray(picture).convert("HSV"))
    scale = picture.shape[0] / HEIGHT
    near = (np.abs(part[..., 0] / 255 - COLOUR) < 0.04) & (part[..., 1] > 60)
    near[int(rows.stop * scale) :] = False
    ys, xs = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    across = picture.shape[1] / WIDTH
    return xs[0] / across, ys[0] / scale, (xs[-1] + 1) / across, (ys[-1] + 1) / scale


def close(found: Box, wanted: Box, scale: float) -> bool:
    """Whether all edges lie within two pixels of the screen."""
    return bool(np.abs(np.subtract(found, wanted)).max() * scale <= NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_picture_box_and_mask_belong_together(browser: Browser, desk: Desk, films: dict[str, tuple[str, Film]], kind: str) -> None:
    video_id, film = films[kind]
    desk.open(video_id)
    if kind != "hevc" or browser.browser_type.name == "chromium":  # Firefox plays it by the system's FFmpeg, if that is there
        assert desk.told("source") == ("proxy" if kind in ("hevc", "mpeg4") else "original")
    desk.page.keyboard.press("i")  # without ids, whose labels have the same colour
    for frame in SEEKS:
        desk.seek(film.seconds, frame)
        desk.page.keyboard.press("m")
        picture = desk.picture()
        scale = picture.shape[0] / HEIGHT
        assert number_of(picture) == frame
        if frame in film.sampled:
            assert close(coloured(picture), film.box(frame), scale), "the box"
            desk.page.keyboard.press("m")
            desk.page.keyboard.press("b")
            desk.at(frame)
            assert close(coloured(desk.picture()), film.mask(frame), scale), "the mask"
            desk.page.keyboard.press("b")
        else:
            desk.page.keyboard.press("m")


def test_between_sampled_frames_boxes_are_dashed_and_there_are_no_masks(desk: Desk, films: dict[str, tuple[str, Film]]) -> None:
    video_id, film = films["constant"]
    desk.open(video_id)
    desk.page.keyboard.press("i")
    desk.seek(film.seconds, 12)
    (box,) = desk.told("boxes")
    wanted = tuple(a + (b - a) * 2 / 5 for a, b in zip(film.box(10), film.box(15), strict=True))
    assert not box["measured"] and close((box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]), wanted, 1)
    scale = desk.picture().shape[0] / HEIGHT
    x, y = round((wanted[0] + 5) * scale), round(wanted[1] * scale)
    line = desk.picture()[y - 1 : y + 2, x : round((wanted[2] - 5) * scale)].astype(int)
    blue = (line[..., 2] - line[..., 0] > 60).any(axis=0).astype(int)
    assert np.abs(np.diff(blue)).sum() > 10, "dashes"
    assert (
        np.abs(
            desk.picture()[round((wanted[1] + wanted[3]) / 2 * scale), round((wanted[0] + wanted[2]) / 2 * scale)].astype(int) - GREY
        ).max()
        < 12
    )
    desk.seek(film.seconds, MISSED)
    assert desk.told("boxes") == []  # looked at, and not there
    desk.seek(film.seconds, MISSED - 2)
    (box,) = desk.told("boxes")
    assert (box["x"], box["measured"]) == (film.box(15)[0], False)  # nobody knows where it went


def test_keys_step_by_frames_and_by_sampled_frames(desk: Desk, films: dict[str, tuple[str, Film]]) -> None:
    video_id, _ = films["variable"]
    desk.open(video_id, "?t=0")
    desk.page.locator("body").click(position={"x": 5, "y": 5})
    for key, frame in (
        ("ArrowRight", 1), (".", 2), ("Shift+ArrowRight", 5), ("Shift+ArrowRight", 10), (",", 9), ("Shift+ArrowLeft", 5),
        ("End", FRAMES - 1), ("ArrowUp", FRAMES // 2), ("ArrowUp", 0), ("ArrowDown", FRAMES // 2), ("Home", 0),
    ):  # fmt: skip
        desk.page.keyboard.press(key)
        desk.at(frame)
    assert number_of(desk.picture()) == 0
    for key in ("[", "[", "[", "Space"):  # a tenth of the speed: every machine keeps up
        desk.page.keyboard.press(key)
    desk.until("reframer.frame >= 2")
    for key in ("k", "]", "]", "]"):
        desk.page.keyboard.press(key)
    assert desk.told("dropped") == 0
    desk.page.keyboard.press("Home")
    desk.at(0)
    desk.page.keyboard.press("r")  # the first scene again and again
    desk.page.keyboard.press("Space")
    desk.until("window.last = Math.max(window.last ?? 0, reframer.frame), reframer.frame < last - 5")
    desk.page.keyboard.press("k")
    assert desk.page.evaluate("last") < FRAMES - 5  # a busy machine is told late that the scene has ended


def test_a_picture_that_came_before_the_screen_is_told(
    browser: Browser, serving: Serving, films: dict[str, tuple[str, Film]], trouble: list[str]
) -> None:
    context = opened(browser, serving.url, trouble, serving.key())
    context.add_init_script(LATE_EFFECTS)
    context.route("**/tracks?*", lambda route: (time.sleep(2), route.continue_()))
    desk = Desk(context.new_page(), serving.url)
    desk.open(films["constant"][0])
    desk.at(0)
    context.close()


def test_a_picture_of_which_the_browser_says_nothing_is_the_one_that_was_sought(
    browser: Browser, serving: Serving, films: dict[str, tuple[str, Film]], trouble: list[str]
) -> None:
    video_id, film = films["constant"]
    context = opened(browser, serving.url, trouble, serving.key())
    context.add_init_script(TOLD_ONCE)
    desk = Desk(context.new_page(), serving.url)
    desk.open(video_id)
    for frame in (30, 10):
        desk.seek(film.seconds, frame)
    desk.page.keyboard.press("ArrowRight")
    desk.at(11)
    assert number_of(desk.picture()) == 11
    context.close()


def test_the_address_of_a_moment_opens_it_and_follows(desk: Desk, films: dict[str, tuple[str, Film]]) -> None:
    video_id, film = films["rotated"]
    desk.open(video_id, f"?t={film.seconds[30]:.3f}&scene=2&element=1&track=obj_001")
    desk.at(30)
    chosen = desk.page.locator(".v-row.chosen")
    expect(chosen).to_contain_text("obj_001")
    desk.page.keyboard.press("Shift+ArrowLeft")
    desk.until("location.hash.includes('?t=1&scene=2&element=1&track=obj_001')")
    desk.page.keyboard.press("Escape")
    desk.until("location.hash.endsWith('?t=1&scene=2')")
    x1, y1, x2, y2 = film.box(25)
    scale = desk.picture().shape[0] / HEIGHT
    desk.page.locator(".v-overlay").click(position={"x": (x1 + x2) / 2 * scale, "y": (y1 + y2) / 2 * scale})
    desk.until("location.hash.endsWith('track=obj_001')")
    desk.page.locator(".v-scroller canvas").click(position={"x": 300, "y": 30})
    desk.until("!location.hash.includes('?t=1&')")


def test_a_video_without_results_says_why_and_what_to_do(desk: Desk, serving: Serving) -> None:
    video_id, _ = add_video(serving.storage, seed=7)
    serving.db.execute("UPDATE videos SET status = 'pending', failure_code = NULL, failure_message = NULL WHERE id = %s", (video_id,))
    claim(serving.db, "one@example.org", video_id, "memo.mp4")
    desk.page.goto(f"{desk.url}/#/videos/{video_id}")
    expect(desk.page.get_by_role("heading", name="Waiting for its turn")).to_be_visible()
    failed = "UPDATE videos SET status = 'failed', failure_code = 'truncated', failure_message = 'It ends too early.' WHERE id = %s"
    serving.db.execute(failed, (video_id,))
    desk.page.goto("about:blank")
    desk.page.goto(f"{desk.url}/#/videos/{video_id}")
    told = desk.page.get_by_role("alert").first
    expect(told).to_contain_text("It ends too early.")
    expect(told).to_contain_text("truncated")
    expect(desk.page.get_by_role("heading", name="Describing the scenes")).to_be_visible()  # how far it came


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_the_screen_can_be_read_by_everybody(desk: Desk, films: dict[str, tuple[str, Film]], theme: str, width: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": 800})
    desk.open(films["constant"][0], "?t=0&scene=1&element=1&track=obj_001")
    desk.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    for tab in desk.page.get_by_role("tab").all():
        tab.click()
        assert hard_to_read(desk.page) == []
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    desk.page.set_viewport_size({"width": 1280, "height": 800})


def test_times_of_frames(desk: Desk, films: dict[str, tuple[str, Film]]) -> None:
    desk.open(films["constant"][0])
    found = desk.page.evaluate(
        """async () => {
            const { Times } = await import("./app/video/times.js");
            const times = new Times([0, 0.1, 0.15, 0.4], [0, 2]);
            return [times.at(0.149), times.at(0.15), times.nearest(0.13), times.nearest(9), times.at(-1), times.inside(2),
                times.stepSampled(1, 1), times.stepSampled(1, -1), times.stepSampled(3, -1), times.stepSampled(2, 1), times.duration];
        }"""
    )
    assert found == pytest.approx([1, 2, 2, 3, 0, 0.152, 2, 0, 2, 2, 0.65])


def test_timecode_is_the_core_s(desk: Desk, films: dict[str, tuple[str, Film]]) -> None:
    """The same frames and times in both; what the core says is held against OpenTimelineIO."""
    desk.open(films["constant"][0])
    rates = [24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60, 120, 12.5]
    frames = [*range(0, 200), *range(1700, 1900), *range(3500, 3700), *range(17_900, 18_100), *range(35_900, 36_100), 107_892, 1_000_000]
    asked = """async ([rates, frames]) => {
        const { timecode } = await import("./app/video/timecode.js");
        return rates.map((rate) => frames.map((frame) => timecode(frame, rate)));
    }"""
    assert desk.page.evaluate(asked, [rates, frames]) == [[timecode(frame, rate) for frame in frames] for rate in rates]
    uneven, even = [0.0, 0.04, 1.0, 61.52], [round(n / 29.97, 3) for n in range(40)]
    asked = """async ([seconds, rate]) => {
        const { Times } = await import("./app/video/times.js");
        return Array.from(seconds, (_, frame) => new Times(seconds, [0], rate).timecode(frame));
    }"""
    for seconds, rate in ((uneven, 25), (even, 29.97), (even, 29.5), (uneven, 0.065)):
        called = Timecode.of(rate, enumerate(seconds))
        assert desk.page.evaluate(asked, [seconds, rate]) == [called.at(*one) for one in enumerate(seconds)]


@pytest.mark.parametrize("name", ["constant", "variable"])
def test_the_clock_says_timecode_and_frame(desk: Desk, films: dict[str, tuple[str, Film]], name: str) -> None:
    desk.open(films[name][0])
    clock = desk.page.locator(".v-clock")
    assert clock.locator("strong").inner_text() == "00:00:00:00" and "frame 0" in clock.inner_text()
