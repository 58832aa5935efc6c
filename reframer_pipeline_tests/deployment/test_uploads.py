"""Files dropped into the folder of a running deployment, and nothing else touched: the first tests that use it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline_tests.deployment.deployment import Deployment

pytestmark = pytest.mark.timeout(1500)  # most of it is waiting


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two short clips with different content."""
    folder = tmp_path_factory.mktemp("clips")
    made = folder / "first.mp4", folder / "second.mp4"
    for seed, path in zip((3_500_001, 3_500_002), made, strict=True):
        write_clip(make_clip(seed, n_frames=25, shots=1), path)
    return made


def test_a_slow_upload_is_taken_once_it_is_whole_and_ends_completed(deployment: Deployment, clips: tuple[Path, Path]) -> None:
    content = clips[0].read_bytes()
    target = deployment.uploads / "drop" / "clip.mp4"
    target.parent.mkdir(parents=True)
    with target.open("wb") as file:  # for longer than two looks at the folder
        for start in range(0, len(content), len(content) // 30):
            file.write(content[start : start + len(content) // 30])
            file.flush()
            time.sleep(1.2)
            assert deployment.rows("uploads") == []
    deployment.wait("the upload", lambda: deployment.rows("uploads"))
    deployment.wait_for_completed(videos=1)
    (upload,) = deployment.rows("uploads")
    assert (upload["filename"], upload["status"], upload["size_bytes"]) == ("clip.mp4", "completed", len(content))
    (job,) = deployment.rows("processing_jobs")
    assert job["status"] == "completed"
    counts = deployment.db.fetch_one(
        """SELECT (SELECT count(*) FROM current_detections) AS detections, (SELECT count(*) FROM current_segmentation_masks) AS masks,
               (SELECT count(*) FROM current_scene_analysis) AS scenes"""
    )
    assert counts is not None and counts["detections"] == counts["masks"] > 0 and counts["scenes"] == 1
    assert job["video_id"] == upload["video_id"]


def test_names_contents_and_odd_files(deployment: Deployment, clips: tuple[Path, Path]) -> None:
    assert len(deployment.rows("videos")) == 1
    shutil.copy(clips[0], deployment.uploads / "again under another name.mp4")
    (deployment.uploads / "half.mp4.part").write_bytes(b"half")
    (deployment.uploads / "notes.mp4").write_text("no video at all")
    deployment.wait("both uploads", lambda: len(deployment.rows("uploads")) == 3)
    (first, again), (notes,) = (
        [row for row in deployment.rows("uploads") if row["filename"] == name] for name in ("clip.mp4", "notes.mp4")
    )
    assert first["video_id"] == again["video_id"]  # it keeps its name
    assert (notes["status"], notes["failure_code"]) == ("failed", "not_a_video")
    shutil.copy(clips[1], deployment.uploads / "drop" / "clip.mp4")  # a changed file under an old name
    deployment.wait_for_completed(videos=2)
    assert len(deployment.rows("uploads")) == 4 and len(deployment.rows("processing_jobs")) == 2  # nothing was computed twice
