"""What `run` says of each file: a line as it ends, a table for 80 columns, nothing when asked to be quiet."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from reframer_pipeline.cli import progress, report, show, tables
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline_tests.command import called, environment, started

LONG = "blocks_hands_interview_second_take_of_the_day.mp4"


@pytest.fixture
def home(shared: Storage) -> Path:
    return shared.settings.home_dir


def test_without_a_terminal_each_file_has_its_line_as_it_ends(
    home: Path, shared: Storage, done: VideoOutcome, clip: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video")
    command = [sys.executable, "-m", "reframer_pipeline", "run", str(clip), str(text), "--models", "demo"]
    with lease.hold(shared.db, str(done.video_id), "somebody else"):  # so the other file has to wait
        ran = subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert ran.stdout is not None
        first = ran.stdout.readline()
        assert ran.poll() is None
    assert first.startswith("[1/2] notes.mp4: failed [not_a_video] notes.mp4 is text")
    out, err = ran.communicate(timeout=400)
    counts = f"{done.frames} frames, {done.detections} detections, {done.masks} masks, {done.tracks} tracks, {done.scenes} scenes"
    assert out == f"[2/2] {clip.name}: completed, fresh: {counts}; id {str(done.video_id)[:8]}\n"
    assert ran.returncode == 1, err


def test_quiet_says_only_what_failed(home: Path, done: VideoOutcome, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video")
    well = called(home, "run", str(clip), "--models", "demo", "--quiet")
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    ill = called(home, "run", str(clip), str(text), "--models", "demo", "-q")
    assert (ill.returncode, len(ill.stdout.splitlines()), ill.stderr) == (1, 1, "") and "notes.mp4: failed" in ill.stdout
    assert called(home, "run", str(clip), "-qv").returncode == 2
    assert "Demonstration models" in called(home, "run", str(clip), "--models", "demo").stderr  # quiet did not stay


def test_verbose_says_what_each_stage_took(done: VideoOutcome, capsys: pytest.CaptureFixture[str]) -> None:
    report.Report(verbose=True).ended(done)
    first, second = capsys.readouterr().out.splitlines()
    assert f"{done.filename}: completed in {sum(done.seconds.values()):.1f} s" in first
    assert second == "  " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in done.seconds.items())


def test_verbose_says_a_stage_when_it_begins_and_nothing_of_earlier_runs(
    shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, video_id, lines = shared.db, str(done.video_id), list[str]()
    looked, said, latest = threading.Event(), threading.Event(), jobs.latest

    def look(db: Database, video_id: str) -> Row | None:
        found = latest(db, video_id)
        if looked.is_set():
            looked_again.set()
        looked.set()
        return found

    def aside(text: str) -> None:
        lines.append(text)
        said.set()

    looked_again = threading.Event()
    monkeypatch.setattr(jobs, "latest", look)
    monkeypatch.setattr(progress, "aside", aside)
    with progress.StageBars(db, {video_id: "drawn.mp4"}, lines=True) as bars, lease.hold(db, video_id, "test") as token:
        bars.announce(video_id, ("masks",))
        assert looked_again.wait(240) and lines == []  # the run that computed it is over
        jobs.start(db, video_id, "another run", lease_token=token, pinned={}, stage="masks")
        try:
            assert said.wait(240)
        finally:
            db.execute("DELETE FROM processing_jobs WHERE video_id = %s AND run_id = 'another run'", (video_id,))
            status.settle(db, video_id, token)
    assert lines == ["drawn.mp4: masks"]


def test_a_long_name_stays_whole_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "OUT", Console(file=(shown := io.StringIO()), width=80, highlight=False))
    counts = dict(frames=1234, detections=56789, masks=56789, tracks=123, scenes=45, seconds={"masks": 1234.5})
    report.outcomes_table([VideoOutcome("0" * 36, name, "completed", **counts) for name in ("a.mp4", LONG, "名前.mp4")])  # type: ignore[arg-type]
    lines = shown.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= 80 and LONG in lines
    assert [line.split()[0] for line in lines if line != LONG] == ["video", "a.mp4", "00000000", "名前.mp4"]
    assert len({cell_len(line) for line in lines if line != LONG}) == 1  # right aligned under their heads


def test_a_list_in_a_file_has_whole_names(home: Path, shared: Storage, done: VideoOutcome) -> None:
    rename = "UPDATE videos SET filename = %s WHERE id = %s"
    shared.db.execute(rename, (LONG * 3, done.video_id))
    try:
        assert f"{LONG * 3} (demo models)  completed" in started(home, "list").stdout
    finally:
        shared.db.execute(rename, (done.filename, done.video_id))


def test_a_name_is_shortened_in_its_middle_where_the_list_is_narrow(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "video_id": "0" * 36,
        "filename": LONG,
        "status": "processing",
        "resolution": "1920x1080",
        "duration": 9.0,
        "failure_code": "not_a_video",
    }
    monkeypatch.setattr(show, "list_videos", lambda db, limit: [{**row, "demo_models": True, "archived": False}])
    for width, name in ((80, "blocks_hand"), (200, f"{LONG} (demo models)")):
        monkeypatch.setattr(tables, "OUT", Console(file=(shown := io.StringIO()), width=width, highlight=False))
        assert called(home, "list").returncode == 0
        assert name in shown.getvalue() and ".mp4 " in shown.getvalue() and max(map(len, shown.getvalue().splitlines())) <= width
    assert tables.shortened(LONG, 20) == "blocks_han…e_day.mp4" and cell_len(tables.shortened("名前" * 20, 21)) <= 21
