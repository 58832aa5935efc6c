"""The preview is the video: all of its frames at their times, its sound, and its pictures where nothing is drawn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import NothingThere, ObjectMissing
from reframer_pipeline.handover import StageInput
from reframer_pipeline.reading.outputs import appearing
from reframer_pipeline.reading.previews import write_preview
from reframer_pipeline.reading.sheets import published
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.film import FilmKind
from reframer_pipeline.vision.overlay import Look
from reframer_pipeline_tests.computed import CLIP_SEED, add
from reframer_pipeline_tests.media.made import ffmpeg
from reframer_pipeline_tests.reading.weights import official

pytestmark = pytest.mark.models

PLAIN = Look(boxes=False, masks=False)


@dataclass(frozen=True)
class Made:
    """A video, its results, and its frames as every player shows them."""

    path: Path
    results: dict[str, StageInput]
    size: tuple[int, int]


@pytest.fixture(scope="module")
def drawn(shared: Storage, done: VideoOutcome, clip: Path) -> Made:
    return Made(clip, published(shared, str(done.video_id)), (640, 360))


@pytest.fixture(scope="module")
def uneven(shared: Storage, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Frames that last differently, turned by a quarter, larger than previews are, with a sound that begins with the first frame."""
    folder = tmp_path_factory.mktemp("uneven")
    write_clip(make_clip(CLIP_SEED, n_frames=16, shots=1), folder / "even.mp4")
    times = "settb=1/600,setpts='N*24+mod(N,4)*7+if(gt(N,9),300,0)'"
    video = ["-vf", f"scale=1440:810,{times}", "-fps_mode", "passthrough", "-enc_time_base", "1:600", "-preset", "ultrafast"]
    tone = ["-f", "lavfi", "-i", "sine=440:duration=1.2:sample_rate=48000,volume='gte(t,0.4)':eval=frame"]
    ffmpeg("-i", folder / "even.mp4", *tone, *video, folder / "upright.mov")
    ffmpeg("-i", folder / "upright.mov", "-c", "copy", "-metadata:s:v", "rotate=90", folder / "uneven.mov")
    (outcome,) = run_videos(shared.settings, [add(shared, folder / "uneven.mov")])
    assert outcome.status == "completed", outcome.failure_message
    return Made(folder / "uneven.mov", published(shared, str(outcome.video_id)), (810, 1440))


def frames_of(path: Path, size: tuple[int, int], filters: str = "null") -> np.ndarray[Any, np.dtype[np.uint8]]:
    command = ["ffmpeg", "-v", "error", "-i", path, "-vf", filters, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(-1, size[1], size[0], 3)


def probed(path: Path, kind: str = "v") -> list[dict[str, Any]]:
    entries = ["-select_streams", kind, "-show_entries", "stream=codec_name,width,height:packet=pts_time", "-of", "json"]
    said = json.loads(subprocess.run(["ffprobe", "-v", "error", *entries, path], capture_output=True, check=True).stdout)
    return [{**stream, "times": sorted(float(one["pts_time"]) for one in said["packets"])} for stream in said["streams"]]


def heard_in(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "8000", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)


def expected(made: Made) -> tuple[list[float], tuple[int, int]]:
    """Times of the source's frames, and the size of a picture in a preview."""
    (source,) = probed(made.path)
    scale = min(1, 1280 / max(made.size))
    width, height = (2 * round(side * scale / 2) for side in made.size)
    return [time - source["times"][0] for time in source["times"]], (width, height)


@pytest.mark.parametrize("which", ["drawn", "uneven"])
def test_every_frame_is_there_at_its_time_and_looks_as_it_did(
    which: str, shared: Storage, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: Made = request.getfixturevalue(which)
    told: list[tuple[int, int]] = []
    write_preview(shared, made.results, tmp_path / "a.mp4", look=PLAIN, progress=lambda *at: told.append(at))
    times, size = expected(made)
    (video,) = probed(tmp_path / "a.mp4")
    assert video["codec_name"] == "h264" and video["width"] == size[0] and video["height"] > size[1]
    assert video["times"] == pytest.approx(times, abs=2e-6)  # as ffprobe rounds them
    assert told[-1] == (len(times), len(times))
    source, shown = (
        frames_of(made.path, size, "scale={}:{}:flags=bicubic".format(*size)),
        frames_of(tmp_path / "a.mp4", (size[0], video["height"])),
    )
    apart = np.abs(source.astype(int) - shown[:, : size[1]])
    assert apart.mean() < 3 and apart.mean(axis=(1, 2, 3)).max() < 4  # the caption covers nothing
    assert (shown[:, size[1] :].max(axis=(1, 2, 3)) > 200).all()


def test_the_sound_is_there_where_the_source_has_it(shared: Storage, drawn: Made, uneven: Made, tmp_path: Path) -> None:
    for kind, codec in (("mp4", "aac"), ("webm", "opus")):
        assert write_preview(shared, uneven.results, tmp_path / f"a.{kind}", kind)  # type: ignore[arg-type]
        (sound,) = probed(tmp_path / f"a.{kind}", "a")
        assert sound["codec_name"] == codec and sound["times"][-1] == pytest.approx(1.2, abs=0.05)
        samples = heard_in(tmp_path / f"a.{kind}")
        assert np.flatnonzero(np.abs(samples) > 1000)[0] / 8000 == pytest.approx(0.4, abs=0.03)
        assert np.abs(np.fft.rfft(samples[4000:8000])).argmax() * 2 == pytest.approx(440, abs=4)
    assert not write_preview(shared, drawn.results, tmp_path / "b.mp4", look=PLAIN)
    assert probed(tmp_path / "b.mp4", "a") == []


@pytest.mark.parametrize(("kind", "codec", "tick"), [("webm", "vp9", 0.001), ("gif", "gif", 0.01)])
def test_other_forms(shared: Storage, uneven: Made, tmp_path: Path, kind: FilmKind, codec: str, tick: float) -> None:
    write_preview(shared, uneven.results, tmp_path / f"a.{kind}", kind, PLAIN)
    times, size = expected(uneven)
    (video,) = probed(tmp_path / f"a.{kind}")
    assert video["codec_name"] == codec and video["width"] == (size[0] if kind == "webm" else 270)
    far = [time for n, time in enumerate(times) if kind == "webm" or n == 0 or time - times[n - 1] >= 0.02]
    assert video["times"] == pytest.approx(far, abs=tick)
    shown = frames_of(tmp_path / f"a.{kind}", (video["width"], video["height"]))
    assert len(shown) >= len(far) and shown[0][: video["width"]].std() > 20
    assert not list(shared.settings.scratch_dir.glob("private-*"))


def test_boxes_masks_and_tracks_can_be_chosen(shared: Storage, drawn: Made, tmp_path: Path) -> None:
    bare = Look(boxes=False, masks=False, caption=False)

    def shown(look: Look) -> np.ndarray[Any, Any]:
        write_preview(shared, drawn.results, tmp_path / "a.mp4", look=look)
        return frames_of(tmp_path / "a.mp4", drawn.size).astype(int)

    plain, boxes, masks = shown(bare), shown(Look(masks=False, caption=False)), shown(Look(boxes=False, caption=False))
    sizes = [(np.abs(one - plain).max(axis=3) > 40).sum() for one in (boxes, masks)]
    assert min(sizes) > 5000
    tracks = [row for batch in drawn.results["trajectories"].batches() for row in batch.to_pylist()]
    one = shown(Look(masks=False, caption=False, track_ids=frozenset([tracks[0]["track_id"]])))
    first = tracks[0]["frames"][0]
    changed = (np.abs(one - plain).max(axis=3) > 40)[first["frame"]]
    where = np.argwhere(changed)
    assert where[:, 1].min() >= first["x1"] - 4 and where[:, 0].max() <= first["y2"] + 4 and changed.sum() > 100
    ended = tracks[0]["frames"][-1]["frame"] + 5
    assert ended >= len(one) or not (np.abs(one - plain)[ended:] > 40).any()
    with pytest.raises(NothingThere, match="obj_999"):
        write_preview(shared, drawn.results, tmp_path / "b.mp4", look=Look(track_ids=frozenset(["obj_999"])))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_masks_are_drawn_where_they_were_measured(shared: Storage, drawn: Made, tmp_path: Path) -> None:
    write_preview(shared, drawn.results, tmp_path / "a.mp4", look=Look(boxes=False, caption=False))
    source, shown = (frames_of(path, drawn.size).astype(int) for path in (drawn.path, tmp_path / "a.mp4"))
    row = next(row for batch in drawn.results["masks"].batches() for row in batch.to_pylist() if row["frame_number"] > 0)
    others = [one for batch in drawn.results["masks"].batches() for one in batch.to_pylist() if one["frame_number"] == row["frame_number"]]
    inside = np.any([rle.decode(one["rle"], one["height"], one["width"]) for one in others], axis=0)
    coloured = np.abs(shown - source)[row["frame_number"]].max(axis=2) > 25
    assert (coloured & inside).sum() > 0.7 * inside.sum() and (coloured & ~inside).sum() < 0.1 * inside.sum()


def test_it_says_that_it_is_of_the_demo_models(shared: Storage, drawn: Made, tmp_path: Path) -> None:
    bars = []
    for name, results in (("marked.mp4", drawn.results), ("plain.mp4", official(drawn.results))):
        write_preview(shared, results, tmp_path / name, look=PLAIN)
        (video,) = probed(tmp_path / name)
        bars.append(frames_of(tmp_path / name, (640, video["height"]))[7, 360:].astype(int))
        said = ["-show_entries", "format_tags=comment", "-of", "csv=p=0"]
        comment = subprocess.run(["ffprobe", "-v", "error", *said, tmp_path / name], capture_output=True, text=True, check=True).stdout
        assert comment.strip() == ("Made by demonstration models" if results is drawn.results else "")
    assert bars[0].shape == bars[1].shape and (np.abs(bars[0] - bars[1]) > 60).any()


def test_what_ends_in_the_middle_leaves_nothing(shared: Storage, drawn: Made, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    kinds: tuple[FilmKind, ...] = ("mp4", "gif")
    for kind in kinds:
        with pytest.raises(KeyboardInterrupt), appearing(tmp_path / f"a.{kind}") as part:
            write_preview(shared, drawn.results, part, kind, progress=stop)
    assert list(tmp_path.iterdir()) == [] and not list(shared.settings.scratch_dir.glob("private-*"))


def test_evicted_pictures_are_not_missed_and_a_missing_video_is(
    shared: Storage, drawn: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise AssertionError("the frame store was opened")

    with monkeypatch.context() as patch:
        patch.setattr(type(drawn.results["frames"]), "open_attachment", lambda self: gone())
        write_preview(shared, drawn.results, tmp_path / "a.mp4", look=PLAIN)
    assert len(probed(tmp_path / "a.mp4")[0]["times"]) == 50

    def lost(*_: object) -> None:
        raise ObjectMissing("It is gone.")

    find: Callable[..., object] = lost
    monkeypatch.setattr(type(shared.store), "open_object", find)
    with pytest.raises(ObjectMissing):
        write_preview(shared, drawn.results, tmp_path / "b.mp4", look=PLAIN)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
