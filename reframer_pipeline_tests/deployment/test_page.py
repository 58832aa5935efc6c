"""From an empty home to films that are looked at, in Chromium and in Firefox.

The page uploads them, follows them until they are computed, and draws over the right picture what the database says.

One clip is the bundled one. The others are drawn; one is turned, one has a variable rate, one is HEVC. Their pictures say their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, expect

from reframer_pipeline.demo.world import bundled_clip_path, make_clip
from reframer_pipeline.users import keys, people
from reframer_pipeline.vision.rle import decode_plain
from reframer_pipeline_tests.api.serving import EVERYTHING
from reframer_pipeline_tests.deployment.deployment import Deployment
from reframer_pipeline_tests.page.conftest import browser, opened, trouble
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import HEIGHT, WIDTH, number_of, write_film

__all__ = ["browser", "trouble"]
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]  # most of it is waiting

DRAWN = ("rotated", "variable", "hevc")
NAMES = ("demo.mp4", *(f"{kind}.mp4" for kind in DRAWN))
TIMES = 10  # that are looked at in each film
NEAR = 2.0  # pixels of the screen
HALF_LINE = 1.5  # pixels from the middle of a box's line to the end of its rim
SEEN = 0.95  # share of what is drawn that differs from the picture; the rest has a track's colour by itself
Bits = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that nobody has used yet."""
    with Deployment(tmp_path_factory.mktemp("home")) as running:
        running.wait("the API", lambda: f"API: {running.api_url}/v1" in running.said())
        assert not running.rows("uploads")
        yield running


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files, as `NAMES` has them."""
    folder = tmp_path_factory.mktemp("clips")
    pictures = [picture for picture, _ in make_clip(3_540_001, n_frames=50, shots=1).frames()]
    return [bundled_clip_path(), *(write_film(kind, folder, pictures) for kind in DRAWN)]


@pytest.fixture(scope="module")
def page(browser: Browser, home: Deployment, trouble: list[str]) -> Iterator[Page]:
    """Somebody's browser, signed in. Whatever goes wrong in it is a failure."""
    key = keys.add(home.db, people.add(home.db, "one@example.org"), "test", EVERYTHING)
    context = opened(browser, home.api_url, trouble, key)
    yield context.new_page()
    context.close()
    assert not trouble


@pytest.fixture(scope="module")
def desk(page: Page, home: Deployment, clips: list[Path]) -> Desk:
    """The video screen, with all clips uploaded and computed. What the first browser brought is known when the second brings it."""
    page.goto(f"{home.api_url}/#/uploads")
    page.get_by_label("Videos to upload").set_input_files(clips)
    brought = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    for name in NAMES:  # the newest first
        expect(brought.filter(has_text=name).first).to_contain_text("Ready", timeout=900_000)
    return Desk(page, home.api_url)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_uploaded_is_computed_and_drawn_where_it_is(desk: Desk, home: Deployment, name: str) -> None:
    (video_id,) = {str(row["video_id"]) for row in home.rows("uploads") if row["filename"] == name}
    boxes, masks = boxes_of(home, video_id), masks_of(home, video_id)
    desk.open(video_id)
    seconds = desk.page.evaluate("[...reframer.room.times.seconds]")
    press = desk.page.keyboard.press
    for key in "ibm":  # neither ids, boxes nor masks
        press(key)
    frames = sorted(boxes)
    for place in np.linspace(0, len(frames) - 1, TIMES).round().astype(int):
        frame = frames[place]
        desk.seek(seconds, frame)
        bare = desk.picture()
        if name != "demo.mp4":
            assert number_of(bare) == frame
        press("b")
        assert lies(changed(bare, desk.picture()), lines(boxes[frame], bare.shape), HALF_LINE), f"boxes of frame {frame}"
        press("b")
        press("m")
        desk.at(frame)
        assert lies(changed(bare, desk.picture()), shown(masks[frame], bare.shape), 0), f"masks of frame {frame}"
        press("m")


def boxes_of(home: Deployment, video_id: str) -> dict[int, list[dict[str, Any]]]:
    """Sightings of all tracks in a film, by frame."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in home.db.fetch("SELECT trajectory_data FROM current_tracking_trajectories WHERE video_id = %s", (video_id,)):
        for one in row["trajectory_data"]["frames"]:
            found.setdefault(one["frame"], []).append(one)
    return found


def masks_of(home: Deployment, video_id: str) -> dict[int, Bits]:
    """What the masks of a film's tracks cover together, by frame."""
    tracked = {one["detection_id"] for sightings in boxes_of(home, video_id).values() for one in sightings}
    found: dict[int, Bits] = {}
    for row in home.db.fetch("SELECT * FROM current_segmentation_masks WHERE video_id = %s", (video_id,)):
        if str(row["detection_id"]) in tracked:
            mask = decode_plain(row["mask_rle"], row["height"], row["width"])
            found[row["frame_number"]] = found.get(row["frame_number"], False) | mask
    return found


def changed(bare: Picture, drawn: Picture) -> Bits:
    """The pixels of the screen that something was drawn on."""
    return np.asarray(np.abs(bare.astype(int) - drawn).max(axis=2) > 8)


def lines(sightings: list[dict[str, Any]], shape: tuple[int, ...]) -> Bits:
    """The edges of boxes on a screen of this shape, a pixel wide."""
    height, width = shape[:2]
    screen = np.zeros((height, width), np.uint8)
    for one in sightings:
        x, y, across, down = (one["bbox"][name] for name in ("x", "y", "width", "height"))
        x1, x2 = (min(round(side * width / WIDTH), width - 1) for side in (x, x + across))
        y1, y2 = (min(round(side * height / HEIGHT), height - 1) for side in (y, y + down))
        cv2.rectangle(screen, (x1, y1), (x2, y2), 1)
    return screen > 0


def shown(mask: Bits, shape: tuple[int, ...]) -> Bits:
    """A mask on a screen of this shape."""
    return cv2.resize(mask.astype(np.uint8), shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0


def lies(drawn: Bits, wanted: Bits, around: float) -> bool:
    """Whether all that was drawn is near what is wanted, give or take what belongs `around` it, and nearly all that is wanted was drawn."""
    return bool(distance(wanted)[drawn].max() <= NEAR + around and (distance(drawn)[wanted] <= NEAR).mean() >= SEEN)


def distance(bits: Bits) -> npt.NDArray[np.float32]:
    """Of each pixel to the nearest that is set."""
    return np.asarray(cv2.distanceTransform((~bits).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
