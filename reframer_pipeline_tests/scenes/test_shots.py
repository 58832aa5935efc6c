"""Where shots begin: synthetic scores, drawn clips and real footage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.demo.world import TRAINING_SEEDS, make_clip
from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.media.sampling import ContentScores, small_size
from reframer_pipeline.scenes.shots import Shot, candidates, find_shots
from reframer_pipeline.schemas import FRAMES
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.made import ffmpeg, sampled
from reframer_pipeline_tests.support import media_dir

pytestmark = pytest.mark.slow

QUIET, CUT = 2.0, 50.0


def shots_of(scores, *, pts=None, time_base=Fraction(1, 25), duration=None, batch=37, **settings) -> list[Shot]:
    """Shots of a video given by its scores; 25 frames a second unless `pts` says otherwise."""
    pts = np.arange(len(scores)) if pts is None else np.asarray(pts)
    seconds = (pts - pts[0]) * float(time_base) if len(pts) else pts.astype(float)
    table = pa.table(
        {
            "frame_number": pa.array(np.arange(len(scores), dtype=np.int32)),
            "pts": pa.array(pts.astype(np.int64)),
            "timestamp": pa.array(seconds),
            "content_score": pa.array(np.asarray(scores, np.float32)),
        }
    )
    if duration is None:
        duration = float(seconds[-1]) + float(time_base) if len(pts) else 0.0
    metadata = {"frame_count": len(scores), "duration_seconds": duration, "time_base_num": time_base.numerator}
    metadata["time_base_den"] = time_base.denominator
    return find_shots(table.to_batches(max_chunksize=batch), metadata, Settings(**settings))


def shots_of_file(path: Path, scratch: Path) -> list[Shot]:
    """Shots of a file as the stages find them: decoded and scored by the frames stage."""
    metadata, rows, _ = sampled(path, scratch / "store")
    return find_shots(pa.Table.from_pylist(rows, schema=FRAMES).to_batches(), metadata.to_batch().to_pylist()[0], Settings())


def cuts_of(scores, **more) -> list[int]:
    return [shot.start_frame for shot in shots_of(scores, **more)][1:]


def quiet(n: int, *peaks: int, height: float = CUT) -> np.ndarray:
    scores = np.full(n, QUIET)
    scores[0] = 0
    scores[list(peaks)] = height
    return scores


def test_cuts_are_found_to_the_frame_and_shots_cover_the_video():
    shots = shots_of(quiet(100, 31, 77))
    assert [(s.start_frame, s.end_frame) for s in shots] == [(0, 31), (31, 77), (77, 100)]
    assert [s.start_seconds for s in shots] == pytest.approx([0, 31 / 25, 77 / 25])
    assert [s.end_seconds for s in shots] == pytest.approx([31 / 25, 77 / 25, 4.0])


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_batches_may_end_anywhere(batch):
    assert cuts_of(quiet(90, 30, 60), batch=batch) == [30, 60]


def test_no_frames_no_shots():
    assert shots_of([]) == []


def test_a_single_frame_is_one_shot():
    assert shots_of([0.0]) == [Shot(0, 1, 0.0, 0.04)]


def test_the_threshold_is_the_setting():
    assert cuts_of(quiet(60, 30, height=26.0)) == []
    assert cuts_of(quiet(60, 30, height=27.0)) == [30]
    assert cuts_of(quiet(60, 30, height=26.0), shot_threshold=20.0) == [30]


def test_fast_motion_is_no_cut_but_a_cut_out_of_slow_motion_is():
    scores = quiet(120, 90)
    scores[30:50] = np.linspace(20, 45, 20)  # over the threshold, but no more than what surrounds it
    assert cuts_of(scores) == [90]


def test_a_flash_is_no_cut():
    assert cuts_of(quiet(100, 40, 41)) == []
    assert cuts_of(quiet(100, 40, 44)) == []  # four bright frames, 0.16 s


def test_a_cut_through_a_white_frame_is_one_cut():
    scores = quiet(100, 40)
    scores[41] = 32.0
    assert cuts_of(scores) == [40]


def test_two_cuts_further_apart_than_a_flash_but_closer_than_a_shot_are_one():
    assert cuts_of(quiet(100, 40, 48)) == [40]
    assert cuts_of(quiet(100, 40, 48), min_shot_s=0.3) == [40, 48]


def test_a_shot_of_exactly_the_least_length_is_kept():
    assert cuts_of(quiet(100, 40, 50)) == [40, 50]  # 10 frames of 1/25 s against 0.4 s


def test_no_shot_at_either_end_is_shorter_than_the_least():
    assert cuts_of(quiet(100, 9)) == []
    assert cuts_of(quiet(100, 10)) == [10]
    assert cuts_of(quiet(100, 91)) == []
    assert cuts_of(quiet(100, 90)) == [90]


def test_without_a_least_length_even_the_last_frame_may_be_a_shot():
    assert cuts_of(quiet(30, 1, 29), min_shot_s=0) == [1, 29]


@pytest.mark.parametrize("rate", [Fraction(1, 60), Fraction(1), Fraction(2), Fraction(5, 2)])
def test_a_slide_in_every_frame_is_a_shot_in_every_frame(rate):
    """What surrounds a frame is near in time: at a frame a second, the next slide says nothing about this one."""
    scores = [0.0, 40.0, 178.0, 61.0, 90.0, 45.0, 120.0, 70.0]
    assert cuts_of(scores, time_base=1 / rate) == [1, 2, 3, 4, 5, 6, 7]
    assert cuts_of([0.0, 0.1, 90.0, 0.1, 40.0, 0.1, 60.0, 0.1], time_base=1 / rate) == [2, 4, 6]


def test_the_least_length_does_not_say_what_motion_is():
    """Slides a second apart stay slides where shots are to last two, and motion stays motion where they may last a frame."""
    assert cuts_of([0.0, 40.0, 178.0, 61.0, 90.0, 45.0, 120.0, 70.0], time_base=Fraction(1), min_shot_s=2) == [2, 4, 6]
    scores = quiet(100)
    scores[30:50] = np.linspace(20, 45, 20)
    assert cuts_of(scores, min_shot_s=0) == []


def test_motion_at_few_frames_a_second_is_still_no_cut():
    """At 5 frames a second the neighbours, 0.2 s away, tell that everything moves."""
    scores = quiet(60, 50)
    scores[20:30] = np.linspace(30, 45, 10)
    assert cuts_of(scores, time_base=Fraction(1, 5)) == [50]


def test_a_recording_that_stands_still_and_moves():
    """A screen: 12 steps of 1/25 s of scrolling, a page that stays for 5 s, another one, and scrolling again."""
    scrolling = np.full(12, 45.0)
    scores = np.concatenate([[0.0], scrolling, [80.0, 90.0], scrolling])
    pts = np.cumsum(np.concatenate([[0], np.full(12, 1), [125, 125, 125], np.full(11, 1)]))
    assert cuts_of(scores, pts=pts) == [13, 14]


@pytest.mark.parametrize("fps", [10, 24, 30, 60])
def test_at_common_rates_the_candidates_are_pyscenedetects(fps):
    """The library's `AdaptiveDetector`, given our scores in place of its own."""
    from scenedetect import AdaptiveDetector, FrameTimecode

    class ScoreFed(AdaptiveDetector):
        def _calculate_frame_score(self, timecode, frame_img):
            return float(frame_img)

    scores = np.random.default_rng(fps).gamma(0.5, 20, 2_000).astype(np.float32)
    detector = ScoreFed(adaptive_threshold=3.0, min_scene_len=0, window_width=2, min_content_val=27.0)
    theirs = [cut.frame_num for n, score in enumerate(scores) for cut in detector.process_frame(FrameTimecode(n, float(fps)), score)]
    ours = [cut for cut in candidates(scores, np.arange(2_000) / fps, 27.0) if 2 <= cut < 1_998]
    assert ours == theirs
    assert len(ours) > 50


@pytest.mark.parametrize(("slides", "seconds"), [(6, 2), (8, 1)])
def test_slides_at_a_picture_a_second(tmp_path, slides, seconds):
    colours = ("white", "navy", "yellow", "black", "cyan", "red", "white", "blue")[:slides]
    for frame, colour in enumerate(colour for colour in colours for _ in range(seconds)):
        ffmpeg("-f", "lavfi", "-i", f"color={colour}:s=128x96", "-frames:v", "1", tmp_path / f"{frame}.png")
    ffmpeg("-framerate", "1", "-i", tmp_path / "%d.png", "-c:v", "libx264", tmp_path / "slides.mp4")
    shots = shots_of_file(tmp_path / "slides.mp4", tmp_path)
    assert [(shot.start_frame, shot.start_seconds) for shot in shots] == [(seconds * n, seconds * n) for n in range(slides)]


def test_slides_of_a_shared_file(tmp_path):
    shots = shots_of_file(media_dir() / "hunt" / "slideshow_6slides_1fps_2s.mp4", tmp_path)
    assert [shot.start_seconds for shot in shots] == [0, 2, 4, 6, 8, 10]


FADES = {
    "to black": "fade=out:st=1:d=1",
    "to black, half a second": "fade=out:st=1:d=0.6",
    "from black": "fade=in:st=0.8:d=1",
    "through black": "fade=out:st=1:d=0.8:enable='lt(t,2)',fade=in:st=2:d=0.8:enable='gte(t,2)'",
    "to white": "fade=out:st=1:d=1:color=white",
    "to grainy black": "fade=out:st=1:d=0.8,noise=alls=8:allf=t",
}


@pytest.mark.parametrize("source", ["testsrc2=s=320x180:r=25", "mandelbrot=s=320x180:r=25:start_scale=0.5"], ids=["drawn", "moving"])
@pytest.mark.parametrize("fade", FADES)
def test_a_fade_is_no_cut(tmp_path, source, fade):
    ffmpeg("-f", "lavfi", "-i", source, "-t", "3", "-vf", FADES[fade], "-c:v", "libx264", "-crf", "23", tmp_path / "a.mp4")
    assert len(shots_of_file(tmp_path / "a.mp4", tmp_path)) == 1


def test_a_cut_to_black_and_back_are_two_cuts(tmp_path):
    gap = "drawbox=color=black:t=fill:enable='between(n,25,49)'"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-t", "3", "-vf", gap, "-c:v", "libx264", tmp_path / "a.mp4")
    assert [shot.start_frame for shot in shots_of_file(tmp_path / "a.mp4", tmp_path)] == [0, 25, 50]


def test_lengths_are_measured_in_real_time_not_in_frames():
    """Frames 20 to 40 last ten times as long as the others: two cuts three frames apart are 1.2 s apart there, 0.12 s elsewhere."""
    steps = np.ones(99, int)
    steps[20:40] = 10
    pts = np.concatenate([[0], np.cumsum(steps)]) + 14_700_000  # and the stream starts at 588 000 s
    shots = shots_of(quiet(100, 30, 33), pts=pts)
    assert [s.start_frame for s in shots] == [0, 30, 33]
    assert [s.start_seconds for s in shots] == pytest.approx([0, (20 + 100) / 25, (20 + 130) / 25])
    assert cuts_of(quiet(100, 60, 67), pts=pts) == [60]


def test_a_last_frame_beyond_the_claimed_duration_still_ends_the_last_shot():
    assert shots_of(quiet(50), duration=1.0)[-1].end_seconds == pytest.approx(49 / 25)


def test_missing_frames_are_refused():
    batch = pa.record_batch({"frame_number": pa.array([0, 2], pa.int32()), "pts": pa.array([0, 2]), "timestamp": [0.0, 0.08],
                             "content_score": pa.array([0, 1], pa.float32())})  # fmt: skip
    with pytest.raises(InvalidResult, match="left a source frame out"):
        find_shots([batch], {"frame_count": 3, "duration_seconds": 1.0, "time_base_num": 1, "time_base_den": 25}, Settings())


def content_scores(pictures) -> np.ndarray:
    """Scores of pictures (RGB) as the frames stage makes them."""
    import cv2

    scores = ContentScores()
    sizes = ((picture, small_size(picture.shape[1], picture.shape[0])) for picture in pictures)
    return np.array([scores.next(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)[..., ::-1]) for picture, size in sizes])


@pytest.mark.parametrize("seed", TRAINING_SEEDS[70_000:70_003])
def test_cuts_of_drawn_clips(seed):
    clip = make_clip(seed, width=320, height=180, n_frames=130, shots=3)
    assert tuple(cuts_of(content_scores(picture for picture, _ in clip.frames()))) == clip.cuts


def test_real_footage(decoded):
    """Scores of real clips: fast motion makes no cuts; a test picture that changes its background and a real edit do."""
    assert cuts_of(decoded("hideandseek.mp4")) == []
    assert cuts_of(decoded("webcam_vfr_paper.mov")) == []
    assert cuts_of(decoded("counter_frame_accurate.mp4"), time_base=Fraction(1, 10)) == [10]
    assert 202 in cuts_of(decoded("nasa_multistream.mp4"))


@pytest.fixture
def decoded():
    """Decodes a shared clip at a small size and scores it."""
    import subprocess

    def decode(name: str) -> np.ndarray:
        command = ["ffmpeg", "-v", "quiet", "-threads", "1", "-i", f"file:{media_dir() / 'clips' / name}", "-map", "0:v:0", "-vsync", "0"]
        command += ["-vf", "scale=320:180:flags=area", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        pictures = subprocess.run(command, capture_output=True, check=True).stdout
        return content_scores(np.frombuffer(pictures, np.uint8).reshape(-1, 180, 320, 3))

    return decode
