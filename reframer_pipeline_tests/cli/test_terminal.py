"""What people read on a terminal: names that look like markup or hold control codes, narrow terminals, settings, files asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from reframer_pipeline.cli import app, db, doctor, progress, report, settings_report, show, tables
from reframer_pipeline.cli.readable import readable
from reframer_pipeline.failures import OutputNotWritable
from reframer_pipeline.reading import previews, sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings

TRICK = "a\x1b[31mred\x9b2J\u202egnp.exe\r\n[/red].mp4"
SEEN = "a\ufffd[31mred\ufffd2J\ufffdgnp.exe\ufffd [/red].mp4"


def test_list_and_show_say_that_they_are_of_the_demo_models(terminal: io.StringIO, shared: Storage, done: VideoOutcome) -> None:
    home, video_id = ("--home", str(shared.settings.home_dir)), done.video_id or ""
    listed = [json.loads(line) for line in invoke("list", "--json", *home).splitlines()]
    assert {row["video_id"]: row["demo_models"] for row in listed}[video_id] is True
    assert json.loads(invoke("show", video_id, "--json", *home))["demo_models"] is True
    invoke("list", *home)
    assert f"{done.filename} (demo models)" in terminal.getvalue()
    invoke("show", video_id, *home)
    assert tables.DEMO_NOTICE in terminal.getvalue()


def invoke(*args: str) -> str:
    ran = CliRunner().invoke(app, args, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the commands write to a wide terminal without colours or styles."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system=None, width=300, highlight=False)
    for module, name in ((progress, "ERR"), (tables, "ERR"), (tables, "OUT"), (show, "OUT"), (doctor, "OUT"), (settings_report, "OUT")):
        monkeypatch.setattr(module, name, console)
    return shown


def test_progress_shows_a_name_with_brackets_as_it_is(terminal: io.StringIO, shared: Storage) -> None:
    with progress.StageBars(shared.db, {"a": "[/red]x.mp4", "b": "[bold]y.mp4"}) as bars:
        bars._draw("a", "frames", 1, 2)
        bars._draw("b", "frames", 1, 2)
    assert "[/red]x.mp4" in terminal.getvalue() and "[bold]y.mp4" in terminal.getvalue()


def test_show_prints_texts_with_brackets_as_they_are(terminal: io.StringIO) -> None:
    element = {"difficulty": "easy", "type": "product", "description": "a [/b] box", "tracks": ["obj_001"]}
    analysis = {"importance": 5, "scene_type": "[both]", "describer": "gemini", "description": "A [/i] sign."}
    span = {"start_frame": 0, "end_frame": 9, "start_seconds": 0.0, "end_seconds": 0.36}
    found: dict[str, Any] = {
        "video": {"filename": "[/red]x.mp4", "id": "1", "status": "failed", "failure_code": "not_a_video", "failure_message": "[/red]x"},
        "jobs": [
            {"status": "processing", "stage": "masks", "progress": 0.5},
            {"status": "pending", "stage": None, "progress": 0.0},
            {"status": "completed", "stage": "scenes", "progress": 1.0},
        ],
        "stages": [],
        "tracks": [
            {
                "track_id": "obj_001",
                "class": "product",
                "label": "cup [/x]",
                "start_frame": 0,
                "end_frame": 9,
                "start_seconds": 0.0,
                "seconds": 0.6,
                "sightings": 3,
                "confidence": 1.0,
                "by_hand": ["label"],
            }
        ],
        "corrections": [{"number": 1, "says": "obj_001 is cup [/x]", "applied": False, "trouble": "not found [/y]"}],
        "doubts": [{"track_id": "obj_001", "frame_number": 3, "says": "seen [/z] once"}],
        "scenes": [{"scene_number": 1, **span, "analysis_data": {**analysis, "replaceable_elements": [element]}}],
        "gemini": [],
        "demo_models": True,
        "archived": False,
        "evicted": [],
    }
    show.print_video(found)
    tables.notice("see [/red]x.mp4")
    for text in ("[/red]x.mp4", "cup [/x]", "A [/i] sign.", "[both]", "a [/b] box", "see [/red]x.mp4", "not found [/y]", "seen [/z] once"):
        assert text in terminal.getvalue()
    assert "Demonstration models" in terminal.getvalue()
    assert "now at masks, 50%" in terminal.getvalue() and terminal.getvalue().count("a run waits for its turn") == 1


def test_preview_names_a_file_with_brackets(terminal: io.StringIO, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    output = tmp_path / "[" / "red]x.jpg"
    invoke("preview", done.video_id or "", "-o", str(output), "--home", str(shared.settings.home_dir))
    assert output.is_file() and f"Wrote {output}" in terminal.getvalue()


def test_control_codes_of_names_are_not_obeyed(terminal: io.StringIO, shared: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert readable(TRICK) == SEEN and readable("\udcff né 你好 \U0001f3ac") == "\ufffd né 你好 \U0001f3ac"
    marks = {"demo_models": False, "archived": False}
    row = {"video_id": "01234567-0000-5000-8000-000000000000", "filename": TRICK, "status": "pending", **marks}
    monkeypatch.setattr(show, "list_videos", lambda db, limit: [row])
    home = ("--home", str(shared.settings.home_dir))
    invoke("list", *home)
    lists: dict[str, Any] = {name: [] for name in ("jobs", "stages", "tracks", "scenes", "gemini", "evicted", "corrections")}
    show.print_video({"video": {**row, "id": "1"}, **marks, **lists})
    report.outcomes_table([VideoOutcome(None, TRICK, "failed", "not_a_video", f"{TRICK} is none."), VideoOutcome("1", TRICK, "completed")])
    with progress.StageBars(shared.db, {"a": TRICK}) as bars:
        bars._draw("a", "frames", 1, 2)
    said = terminal.getvalue()
    assert said.count("�[31mred�2J") >= 6 and "\x1b[31m" not in said and "\x9b" not in said and "\u202e" not in said
    assert json.loads(invoke("list", "--json", *home))["filename"] == TRICK


def test_a_list_can_be_read_on_a_narrow_terminal(shared: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "video_id": "01234567-89ab-5000-8000-000000000000",
        "filename": "holiday.mp4",
        "status": "processing",
        "resolution": "1920x1080",
        "duration": 14399.5,
        "failure_code": "dimensions_out_of_range",
        "demo_models": True,
        "archived": False,
    }
    monkeypatch.setattr(show, "list_videos", lambda db, limit: [row])
    shown = io.StringIO()
    monkeypatch.setattr(tables, "OUT", Console(file=shown, width=80))
    invoke("list", "--home", str(shared.settings.home_dir))
    words = shown.getvalue().split()
    assert {"01234567", "holiday.mp4", "(demo", "models)", "processing", "1920x1080", "14399.5", "dimensions_out_of_range"} <= set(words)


def test_doctor_and_db_print_brackets_as_they_are(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(settings: Settings) -> Iterator[doctor.Finding]:
        yield doctor.Finding("weights", False, "/data [/red]/w.pt", "move [/w.pt]")

    monkeypatch.setattr(doctor, "_guarded", lambda check, settings: found(settings))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
    db.line("  left out: [/red] and [bold]")
    for text in ("/data [/red]/w.pt", "move [/w.pt]", "left out: [/red] and [bold]"):
        assert text in terminal.getvalue()


def test_every_setting_is_shown_and_the_wrong_ones_are_named(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFRAMER_CONF", "1.5")
    monkeypatch.setenv("REFRAMER_DESCRIBER", "gemini")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.setenv("REFRAMER_DATABASE_URL", "postgresql://me:secret@host/db")
    monkeypatch.setenv("REFRAMER_STORE_URL", "s3://me:secret@bucket")
    assert CliRunner().invoke(app, ["doctor", "--settings", "--imgsz", "65", "--iou", "0.25"]).exit_code == 1
    lines = {line.removeprefix("mend").split()[0]: line for line in terminal.getvalue().splitlines()}
    assert {Settings.variable(name) for name in Settings.model_fields} <= set(lines)
    assert lines["REFRAMER_CONF"].startswith("mend") and "1.5" in lines["REFRAMER_CONF"] and "(default: 0.5)" in lines["REFRAMER_CONF"]
    assert lines["REFRAMER_IMGSZ"].startswith("mend") and "multiple of 32" in lines["REFRAMER_IMGSZ"]
    assert "0.25   (default: 0.45)" in lines["REFRAMER_IOU"] and "needs GEMINI_API_KEY" in terminal.getvalue()
    assert "secret" not in terminal.getvalue() and "hidden" in lines["REFRAMER_DATABASE_URL"]


def test_settings_that_are_well_are_no_failure(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(app, ["doctor", "--settings"]).exit_code == 0
    assert not any(line.startswith("mend") for line in terminal.getvalue().splitlines())


def test_a_preview_that_cannot_be_written_is_refused_before_it_is_drawn(
    shared: Storage, done: VideoOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dir.mp4").mkdir()
    (tmp_path / "file").touch()
    drawn: list[object] = []
    monkeypatch.setattr(previews, "write_preview", lambda *args: drawn.append(args))
    monkeypatch.setattr(sheets, "sheet", lambda *args: drawn.append(args))
    for target in (Path("/proc/x/p.jpg"), tmp_path / "dir.mp4", tmp_path / "file" / "a.mp4"):
        ran = CliRunner().invoke(app, ["preview", done.video_id or "", "-o", str(target), "--home", str(shared.settings.home_dir)])
        assert isinstance(ran.exception, OutputNotWritable) and str(target) in ran.exception.message
    assert drawn == [] and {path.name for path in tmp_path.iterdir()} == {"dir.mp4", "file"}


def test_a_preview_that_breaks_off_leaves_the_old_file(
    shared: Storage, done: VideoOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "p.jpg"
    target.write_bytes(b"old")

    def broken(results: object, look: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(sheets, "sheet", broken)
    CliRunner().invoke(app, ["preview", done.video_id or "", "-o", str(target), "--home", str(shared.settings.home_dir)])
    assert target.read_bytes() == b"old" and [path.name for path in tmp_path.iterdir()] == ["p.jpg"]
