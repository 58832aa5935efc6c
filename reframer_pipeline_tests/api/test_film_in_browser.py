"""Chromium plays what the API sends, and the frame that it presents is the one that our times name: seen by the picture's light."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from reframer_pipeline.results import proxies
from reframer_pipeline.users import keys, people
from reframer_pipeline_tests.api.filmed import ffmpeg, film, number_of, numbered
from reframer_pipeline_tests.api.serving import Serving

pytestmark = pytest.mark.browser

ONE = "one@example.org"
LOOKS = (0, 1, 7, 12, 15)  # frames that are sought
# Shows frames of a film, one after the other: the media time that the browser tells of each, and the light in its middle.
SHOW = """async ({address, times}) => {
    const video = document.createElement('video'), canvas = document.createElement('canvas'), seen = [];
    const presented = () => new Promise(done => video.requestVideoFrameCallback((now, frame) => {
        const pen = canvas.getContext('2d', {willReadFrequently: true});
        canvas.width = video.videoWidth, canvas.height = video.videoHeight;
        pen.drawImage(video, 0, 0);
        done({time: frame.mediaTime, light: pen.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0]});
    }));
    video.muted = true;
    document.body.append(video);
    let next = presented();
    const broken = new Promise((_, fail) => { video.onerror = () => fail(new Error(video.error.message)); });
    video.src = address;
    await Promise.race([next, broken]);
    for (const time of times) {
        next = presented();
        video.currentTime = time;
        seen.push(await Promise.race([next, broken]));
    }
    video.remove();
    return {seen, width: video.videoWidth, height: video.videoHeight};
}"""


@pytest.fixture(scope="module")
def page(serving: Serving) -> Iterator[Page]:
    """A page of the server, with a session."""
    session = keys.add(serving.db, people.add(serving.db, ONE), "browser", ("read", "write"), kind="session")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", chromium_sandbox=os.geteuid() != 0)
        context = browser.new_context()
        context.add_cookies([{"name": f"reframer_session_{serving.port}", "value": session, "url": serving.url}])
        opened = context.new_page()
        opened.goto(serving.url)  # an answer of the API itself may ask for nothing
        yield opened
        browser.close()


def look(page: Page, video_id: str, which: str) -> dict[str, Any]:
    """What the browser shows of a film, asked to show some frames; with their numbers by our times and by their light."""
    film = page.evaluate(f"fetch('/v1/videos/{video_id}/film').then(answer => answer.json())")
    times = page.evaluate(f"fetch('/v1/videos/{video_id}/times').then(answer => answer.json())")["seconds"]
    start = film["start_seconds"] if which == "original" else 0
    wanted = [number for number in LOOKS if number < len(times)]
    address = film["original"] if which == "original" else film["proxy"]["address"]
    shown = page.evaluate(SHOW, {"address": address, "times": [start + times[number] + 0.002 for number in wanted]})
    by_time, apart, by_light = [], [], []
    for one in shown["seen"]:
        nearest = min(range(len(times)), key=lambda number: abs(times[number] - (one["time"] - start)))
        by_time.append(nearest)
        apart.append(abs(times[nearest] - (one["time"] - start)))
        by_light.append(number_of(one["light"]))
    return {**shown, "wanted": wanted, "by_time": by_time, "apart": max(apart), "by_light": by_light, "start": start}


def of_options(*options: str, **how: Any) -> Any:
    return lambda folder: numbered(folder / "clip.mp4", *options, **how)


def cut(*options: str) -> Any:
    """The end of a clip, copied from somewhere in the middle on: pictures before that are in the file."""

    def make(folder: Path) -> Path:
        whole = numbered(folder / "whole.mp4")
        ffmpeg("-ss", "0.32", "-i", whole, "-c", "copy", *options, folder / "clip.mp4")
        return folder / "clip.mp4"

    return make


def turned(folder: Path) -> Path:
    ffmpeg("-i", numbered(folder / "whole.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90", folder / "clip.mp4")
    return folder / "clip.mp4"


LATE = ("-vf", "setpts=PTS+0.5/TB")
# Where the first frame is in the container's time, and which picture it is.
CLIPS = {
    "B-frames, edit list": (of_options(), 0, 0),
    "B-frames, no edit list": (of_options("-use_editlist", "0"), 0.08, 0),
    "begins late": (of_options(*LATE), 0.5, 0),
    "begins late, sound does not": (of_options(*LATE, sound=""), 0.5, 0),
    "sound begins late": (of_options("-map", "0:v", "-map", "1:a", sound="-itsoffset 0.4"), 0, 0),
    "variable rate": (of_options(times="(N+0.4*mod(N,3)+6*gt(N,5))/25/TB"), 0, 0),
    "fragments": (of_options("-movflags", "frag_keyframe+empty_moov"), 0.08, 0),
    "cut, edit list": (cut(), 0, 9),
    "cut, no edit list": (cut("-use_editlist", "0"), 0.08, 0),
    "turned": (turned, 0, 0),
    "mov": (lambda folder: numbered(folder / "clip.mov", sound=""), 0, 0),
    "not square": (of_options("-aspect", "4:1"), 0, 0),
}


@pytest.mark.parametrize("name", CLIPS)
def test_the_original_is_presented_as_our_times_say(serving: Serving, page: Page, tmp_path: Path, name: str) -> None:
    make, start, first = CLIPS[name]
    shown = look(page, film(serving.storage, make(tmp_path), ONE), "original")
    assert shown["start"] == pytest.approx(start, abs=0.002)
    assert shown["by_time"] == shown["wanted"] and shown["apart"] < 0.001
    assert [number - first for number in shown["by_light"]] == shown["wanted"]


def test_the_copy_is_presented_as_our_times_say(serving: Serving, page: Page, tmp_path: Path) -> None:
    """Of a video that no browser plays, turned, with sound that begins before the pictures, and of variable rate."""
    times = "(N+0.4*mod(N,3)+6*gt(N,5))/25/TB"
    hevc = ("-c:v", "libx265", "-x265-params", "log-level=error:crf=12", "-pix_fmt", "yuv420p10le")
    whole = numbered(tmp_path / "whole.mp4", *hevc, *LATE, sound="", times=times)
    ffmpeg("-i", whole, "-c", "copy", "-metadata:s:v", "rotate=90", tmp_path / "clip.mp4")
    video_id = film(serving.storage, tmp_path / "clip.mp4", ONE)
    page.evaluate(f"fetch('/v1/videos/{video_id}/proxy', {{method: 'POST'}}).then(answer => answer.status)")
    serving.until(lambda: proxies.look(serving.db, video_id).state == "ready", 120)
    shown = look(page, video_id, "proxy")
    assert shown["by_time"] == shown["by_light"] == shown["wanted"] and shown["apart"] < 0.001
    assert (shown["width"], shown["height"]) == (128, 256)
