"""The deployment as people run it: real `reframer dev` processes, a folder to drop files into, and nothing else touched."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import embedded
from reframer_pipeline.storage.postgres import Row


class Deployment:
    """A running `reframer dev`."""

    def __init__(self, settings: Settings, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.settings, self.port, self.process, self.log = settings, port, process, log
        self.uploads = Path(settings.bucket_url)
        self.db = Pipeline(settings).storage.db

    def wait(self, what: str, done: Callable[[], object], seconds: float = 200) -> None:
        """Until something is so."""
        until = time.monotonic() + seconds
        while not done():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            if time.monotonic() > until:
                pytest.fail(f"{what} did not come about; {self.state()}; {self.log.read_text()[-3000:]}")
            time.sleep(1)

    def state(self) -> str:
        """For failure messages."""
        return f"uploads {self.rows('uploads')}, jobs {self.rows('processing_jobs')}"

    def rows(self, table: str) -> list[Row]:
        """All rows, the oldest first."""
        assert table in ("uploads", "videos", "processing_jobs")
        return self.db.fetch(f"SELECT * FROM {table} ORDER BY created_at")  # type: ignore[arg-type]  # one of three names


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployment")
    settings = Settings(home=home, models="demo", device="cpu", upload_settle_s=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "REFRAMER_HOME": str(home), "REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu"}
    environment["REFRAMER_UPLOAD_SETTLE_S"] = "1"
    log = home / "dev.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "reframer_pipeline", "dev", "--port", str(port)], env=environment, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    running: Deployment | None = None
    try:
        until = time.monotonic() + 120
        while running is None:
            assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5):
                    running = Deployment(settings, port, process, log)
            except OSError:
                time.sleep(1)
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            os.killpg(process.pid, signal.SIGKILL)  # whoever of its children is still there
        Pipeline(settings).close()
        embedded.stop(settings)


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
    deployment.wait("completion", lambda: [row["status"] for row in deployment.rows("videos")] == ["completed"])
    (upload,) = deployment.rows("uploads")
    assert (upload["filename"], upload["status"], upload["size_bytes"]) == ("clip.mp4", "completed", len(content))
    (job,) = deployment.rows("processing_jobs")
    deployment.wait("the job's end", lambda: [row["status"] for row in deployment.rows("processing_jobs")] == ["completed"], 60)
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
    by_name = {row["filename"]: row for row in deployment.rows("uploads")}
    assert by_name["again under another name.mp4"]["video_id"] == by_name["clip.mp4"]["video_id"]
    assert (by_name["notes.mp4"]["status"], by_name["notes.mp4"]["failure_code"]) == ("failed", "not_a_video")
    shutil.copy(clips[1], deployment.uploads / "drop" / "clip.mp4")  # a changed file under an old name
    deployment.wait("the new video", lambda: len(deployment.rows("videos")) == 2)
    deployment.wait("its completion", lambda: [row["status"] for row in deployment.rows("videos")] == ["completed"] * 2)
    assert len(deployment.rows("uploads")) == 4 and len(deployment.rows("processing_jobs")) == 2  # nothing was computed twice
