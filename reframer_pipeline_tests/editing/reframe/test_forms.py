"""The forms say the same, and the programs that they are for can read them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio
import pytest

from reframer_pipeline.editing.reframe.forms import as_after_effects, as_json
from reframer_pipeline.editing.reframe.plan import Reframing, Wishes, reframing
from reframer_pipeline.editing.reframe.sendcmd import as_sendcmd
from reframer_pipeline.editing.reframe.timeline import EFFECT, as_otio
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline_tests.editing.reframe.made import FPS, even, results, still, track
from reframer_pipeline_tests.media.made import ffmpeg

PICTURE = (200, 96)
CUT, FRAMES = 52, 90
UNEVEN = np.cumsum(np.random.default_rng(3).choice([0.01, 0.04, 0.16], FRAMES)).round(2)


def plan_of(times: list[float], **wishes: Any) -> Reframing:
    """A subject that crosses, and after the cut one that stands on the left."""
    going = track("obj_001", lambda at: (10 + 45 * at, 10, 50 + 45 * at, 90), times, (0, CUT))
    standing = track("obj_002", still(4, 10, 30, 90), times, (CUT, FRAMES))
    made = results([going, standing], times, [CUT], picture=PICTURE)
    return reframing(made, "video", "a 'clip'\n.mp4", Wishes(**{"ratio": Ratio.read("1:1"), **wishes}))


@pytest.fixture(params=["even", "uneven"])
def plan(request: pytest.FixtureRequest) -> Reframing:
    return plan_of(even(FRAMES) if request.param == "even" else [float(at - UNEVEN[0]) for at in UNEVEN])


def cut_at(document: dict[str, Any], times: list[float]) -> list[int]:
    """The left edge at each frame, by the keyframes of the JSON alone."""
    edges = []
    for shot in document["shots"]:
        keys = shot["keyframes"]
        seconds, x = [key["seconds"] for key in keys], [key["x"] for key in keys]
        edges += np.floor(np.interp(times[shot["start_frame"] : shot["end_frame"]], seconds, x) + 0.5).astype(int).tolist()
    return edges


def ramp(path: Path, times: list[float]) -> Path:
    """A clip without loss, whose luma at x is 20 + x, and 1 more in the last row's place of odd frames; shown at these times."""
    source = f"color=black:s={PICTURE[0]}x{PICTURE[1]}:r={FPS},geq=lum='20+X':cb=128:cr=128,trim=end_frame={len(times)}"
    steps = "+".join(f"eq(N,{number})*{at:.6f}" for number, at in enumerate(times))
    timed = f"{source},settb=1/50000,setpts='({steps})/TB'"
    kept = ["-fps_mode", "passthrough", "-enc_time_base", "1:50000"]
    ffmpeg(
        "-f", "lavfi", "-i", timed, *kept, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-bf", "0", "-pix_fmt", "yuv420p", path
    )
    return path


def test_sendcmd_run_by_ffmpeg_cuts_where_the_json_says(plan: Reframing, tmp_path: Path) -> None:
    document, times = json.loads("".join(as_json(plan))), np.concatenate([shot.seconds for shot in plan.shots]).tolist()
    commands = tmp_path / "moves.sendcmd"
    commands.write_text("".join(as_sendcmd(plan)))
    usage = shlex.split(commands.read_text().partition("\n")[0].removeprefix("# "))
    place = usage.index("-i") + 1
    assert usage[0] == "ffmpeg" and usage[place] == "file:a 'clip'_.mp4"
    usage[place] = str(ramp(tmp_path / "ramp.mp4", times))
    usage = [word.replace("THIS_FILE", str(commands)) for word in usage[:-1]]
    grey = subprocess.run([*usage, "-v", "error", "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    pictures = np.frombuffer(grey, np.uint8).reshape(FRAMES, 96, 96)
    found = [round(float(picture[:, 0].mean() * 219 / 255 + 16 - 20)) for picture in pictures]
    expected = cut_at(document, times)
    assert found == expected
    assert expected[CUT - 1] > 40 and expected[CUT] == 0 and len(set(expected)) > 30


def test_the_json_says_what_is_known(plan: Reframing) -> None:
    document = json.loads("".join(as_json(plan)))
    assert (document["ratio"], document["output"], document["picture"]) == (
        "1:1",
        {"width": 96, "height": 96},
        {"width": 200, "height": 96},
    )
    assert [(shot["start_frame"], shot["end_frame"], shot["letterbox"]) for shot in document["shots"]] == [
        (0, CUT, False),
        (CUT, FRAMES, False),
    ]
    assert document["shots"][0]["subjects"] == [{"track_id": "obj_001", "share": 1.0}]
    for shot, planned in zip(document["shots"], plan.shots, strict=True):
        since = planned.seconds - planned.seconds[0]
        exact = planned.curves[0].at(since)
        keys = shot["keyframes"]
        said = np.interp(planned.seconds, [key["seconds"] for key in keys], [key["x"] for key in keys])
        assert np.abs(said - exact).max() <= document["keyframe_error_px"] + 0.002
    assert len(document["shots"][0]["keyframes"]) < CUT / 2


def test_after_effects_text_is_as_after_effects_writes_it(plan: Reframing) -> None:
    text = "".join(as_after_effects(plan))
    assert text.startswith("Adobe After Effects 8.0 Keyframe Data\n\n\tUnits Per Second\t25\n\tSource Width\t200\n\tSource Height\t96\n")
    assert text.endswith("\n\nEnd of Keyframe Data\n")
    blocks = {name: [list(map(float, line.split())) for line in rows.splitlines()] for name, rows in re.findall(
        r"\nTransform\t([\w ]+)\n\tFrame\t[^\n]+\n((?:\t[\d.\t-]+\n)+)", text)}  # fmt: skip
    assert set(blocks) == {"Anchor Point", "Position", "Scale"}
    anchors = np.array(blocks["Anchor Point"])
    assert (np.diff(anchors[:, 0]) > 0).all() and blocks["Position"] == [[0, 48, 48, 0]]
    assert {tuple(row[1:]) for row in blocks["Scale"]} == {(100, 100, 100)}
    if plan.shots[1].seconds[0] == CUT / FPS:  # of an even rate frames are those of the source
        left = np.interp(np.arange(FRAMES), anchors[:, 0], anchors[:, 1]) - 48
        exact = np.concatenate([shot.curves[0].at(shot.seconds - shot.seconds[0]) for shot in plan.shots])
        assert np.abs(left - exact).max() < 0.26
        assert left[CUT - 1] - left[CUT] > 40


def test_a_cut_between_frames_that_after_effects_takes_for_one_is_no_pan() -> None:
    times = [at / FPS for at in range(CUT)] + [(CUT - 1) / FPS + 0.008 + at / FPS for at in range(FRAMES - CUT)]
    left, right = track("obj_001", still(4, 10, 30, 90), times, (0, CUT)), track("obj_002", still(170, 10, 196, 90), times, (CUT, FRAMES))
    plan = reframing(results([left, right], times, [CUT], picture=PICTURE), "video", "a.mp4", Wishes(Ratio.read("1:1")))
    rows = "".join(as_after_effects(plan)).partition("Anchor Point")[2].partition("Transform")[0].splitlines()[2:-1]
    frames, x = zip(*(map(float, row.split()[:2]) for row in rows), strict=True)
    assert plan.shots[1].pixels[0, 0] == 104
    for frame in (CUT - 1, CUT + 10):  # the first frame of the second shot is shown there, and goes on so
        assert np.interp(frame, frames, x) == pytest.approx(104 + 48, abs=1)
    assert np.interp(CUT - 2, frames, x) == pytest.approx(48, abs=1)


def test_bars_are_a_scale_in_after_effects() -> None:
    plan = plan_of(even(FRAMES), letterbox=True)
    assert not any(shot.whole for shot in plan.shots)
    wide = replace(plan.shots[0], whole=True, window=PICTURE, xy=np.zeros((1, 2)), keys=np.array([0]))
    text = "".join(as_after_effects(replace(plan, shots=(wide, plan.shots[1]))))
    scale = text.partition("Transform\tScale")[2]
    assert "\t0\t48\t48\t100\t" in scale and f"\t{CUT}\t100\t100\t100\t" in scale
    assert "\t0\t100\t48\t0\t" in text.partition("Transform\tPosition")[0]


def test_the_timeline_is_opened_again_by_opentimelineio(plan: Reframing, tmp_path: Path) -> None:
    path = tmp_path / "path.otio"
    path.write_text(as_otio(plan))
    timeline = otio.adapters.read_from_file(path)
    document = json.loads("".join(as_json(plan)))
    clips = timeline.find_clips()
    assert [clip.effects[0].effect_name for clip in clips] == [EFFECT, EFFECT]
    for clip, shot in zip(clips, document["shots"], strict=True):
        told = clip.effects[0].metadata["reframer"]
        assert [dict(key) for key in told["keyframes"]] == shot["keyframes"]
        assert clip.source_range.start_time.to_seconds() == pytest.approx(shot["start_seconds"], abs=0.021)
        assert clip.source_range.end_time_exclusive().to_seconds() == pytest.approx(shot["end_seconds"], abs=0.021)
    assert dict(timeline.metadata["reframer"]["output"]) == {"width": 96, "height": 96}
    assert clips[0].media_reference.target_url == "a%20%27clip%27%20.mp4"
