"""`reframer` as people and scripts use it: exit codes, JSON lines, help, errors that say what to do."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.work import lease
from reframer_pipeline_tests.command import called, environment, started
from reframer_pipeline_tests.processes import is_setting

KEYS = {
    "video_id", "filename", "status", "failure_code", "failure_message", "frames", "detections", "masks", "tracks", "scenes", "seconds",
}  # fmt: skip


@pytest.fixture(scope="session")
def home(shared: Storage) -> Path:
    return shared.settings.home_dir


def test_json_is_a_line_per_file_and_good_ones_complete(home: Path, done: VideoOutcome, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes [draft].mp4"
    text.write_text("this is no video")
    copy = tmp_path / "same bytes.mov"
    copy.write_bytes(clip.read_bytes())
    missing = tmp_path / "missing.mp4"
    ran = started(home, "run", str(text), str(clip), str(copy), str(missing), "--models", "demo", "--json")
    assert ran.returncode == 1, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    by_name = {line["filename"]: line for line in lines}
    assert len(lines) == 4
    assert all(set(line) >= KEYS for line in lines)
    assert by_name["notes [draft].mp4"]["failure_code"] == "not_a_video"
    assert by_name["missing.mp4"]["failure_code"] == "file_not_readable"
    assert by_name[clip.name]["status"] == by_name["same bytes.mov"]["status"] == "completed"
    assert by_name[clip.name]["video_id"] == by_name["same bytes.mov"]["video_id"] == done.video_id
    assert by_name[clip.name]["seconds"] == {}
    assert by_name[clip.name]["detections"] == done.detections
    assert "demonstration" in ran.stderr.lower()


def test_who_waits_for_another_run_says_so(home: Path, shared: Storage, done: VideoOutcome, clip: Path) -> None:
    db, video_id = shared.db, str(done.video_id)
    command = [sys.executable, "-m", "reframer_pipeline", "run", str(clip), "--models", "demo", "--json"]
    with lease.hold(db, video_id, "somebody else"):
        ran = subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert ran.stderr is not None
        said = next(line for line in ran.stderr if "Waiting" in line)
    assert clip.name in said and "somebody else" in said
    out, err = ran.communicate(timeout=400)
    assert json.loads(out)["status"] == "completed" and "Waiting" not in err


def test_the_table_names_the_reason(home: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video")
    ran = called(home, "run", str(text), "--models", "demo")
    assert ran.returncode == 1
    assert "[not_a_video]" in ran.stdout


def test_missing_official_weights_are_one_clear_error(home: Path, clip: Path, tmp_path: Path) -> None:
    # a mirror that answers nothing: the address is refused at once
    ran = called(home, "run", str(clip), REFRAMER_WEIGHTS_DIR=str(tmp_path), REFRAMER_WEIGHTS_URL="http://127.0.0.1:9/")
    assert ran.returncode == 1
    shown = " ".join(ran.stdout.split())
    assert "yolov8m.pt" in shown
    assert "REFRAMER_WEIGHTS_DIR" in shown
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("run",), "Missing argument"),
        (("run", "x.mp4", "--conf", "1.5"), "conf"),
        (("run", "x.mp4", "--models", "other"), "other"),
        (("fly",), "No such command"),
    ],
)
def test_wrong_usage_is_exit_2_with_a_reason(home: Path, args: tuple[str, ...], reason: str) -> None:
    ran = called(home, *args)
    assert ran.returncode == 2
    assert reason in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_device_that_is_not_there_is_refused_before_anything_begins(home: Path, clip: Path, shared: Storage) -> None:
    uploads = "SELECT count(*) AS n FROM uploads"
    before = shared.db.fetch_one(uploads)
    ran = called(home, "run", str(clip), "--models", "demo", "--device", "cuda:99")
    assert ran.returncode == 2
    assert "[settings_invalid]" in ran.stderr and "cuda:99" in ran.stderr
    assert shared.db.fetch_one(uploads) == before


@pytest.mark.parametrize("command", ["run", "demo", "list", "show", "preview", "models", "db", "dev", "doctor"])
def test_help_teaches(home: Path, command: str) -> None:
    ran = called(home, command, "--help")
    assert ran.returncode == 0
    assert len(ran.stdout.splitlines()) > 5


def test_list_and_show(home: Path, done: VideoOutcome) -> None:
    listed = [json.loads(line) for line in started(home, "list", "--json").stdout.splitlines()]
    assert done.video_id in {row["video_id"] for row in listed}
    shown = json.loads(called(home, "show", (done.video_id or "")[:10], "--json").stdout)
    assert len(shown["tracks"]) == done.tracks
    assert len(shown["scenes"]) == done.scenes
    people = started(home, "show", done.video_id or "").stdout
    assert "obj_001" in people
    assert "scene 1" in people
    assert called(home, "show", "ffffffff").returncode == 1


def test_tracks_with_few_sightings_are_left_out_when_asked(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    video_id = done.video_id or ""
    every = json.loads(called(home, "show", video_id, "--json").stdout)
    most = max(track["sightings"] for track in every["tracks"])
    kept = [track for track in every["tracks"] if track["sightings"] == most]
    assert 0 < len(kept) < len(every["tracks"])
    assert json.loads(called(home, "show", video_id, "--json", "--min-sightings", str(most)).stdout) == {**every, "tracks": kept}
    shown = called(home, "show", video_id, "--min-sightings", str(most)).stdout
    assert f"{len(every['tracks']) - len(kept)} tracks with fewer sightings are left out" in shown
    assert "left out" not in called(home, "show", video_id).stdout
    for number in (1, most + 1):
        assert called(home, "preview", video_id, "-o", str(tmp_path / f"{number}.jpg"), "--min-sightings", str(number)).returncode == 0
    assert (tmp_path / "1.jpg").read_bytes() != (tmp_path / f"{most + 1}.jpg").read_bytes()


def test_previews_are_a_video_and_a_picture(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("annotated.mp4", "sheet.jpg"):
        ran = started(home, "preview", done.video_id or "", "-o", str(tmp_path / name))
        assert ran.returncode == 0, ran.stderr
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", tmp_path / "annotated.mp4"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(probed.stdout.strip().strip(",")) == 50
    assert Image.open(tmp_path / "sheet.jpg").size[0] >= 1000
    assert called(home, "preview", done.video_id or "", "-o", str(tmp_path / "x.txt")).returncode == 2


def test_database_url_and_dagster_url(home: Path) -> None:
    assert started(home, "db", "url").stdout.startswith("postgresql://")
    assert called(home, "db", "url", "--dagster").stdout.startswith("postgresql+psycopg2://")
    assert called(home, "db", "migrate").stdout.strip() == "Up to date."


def test_rebuild_restores_dagster_s_list_of_videos(home: Path, shared: Storage, done: VideoOutcome) -> None:
    with dagster_home.open_instance(shared.settings) as instance:
        instance.delete_dynamic_partition("videos", done.video_id or "")
        ran = called(home, "db", "rebuild")
        assert ran.returncode == 0, ran.stderr
        assert instance.has_dynamic_partition("videos", done.video_id or "")


def test_plain_dagster_runs_one_asset_with_the_printed_environment(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    printed = started(home, "dev", "--print-env", "--models", "demo")
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "reframer_pipeline.definitions"]
    ran = in_shell(printed.stdout, [*command, "--select", "detections", "--partition", done.video_id or ""], tmp_path)
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_the_printed_environment_has_every_option_whatever_the_folder(home: Path, tmp_path: Path) -> None:
    chosen = ["--models", "demo", "--conf", "0.5", "--vid-stride", "7", "--yolo-model", "it's mine.pt", "--weights-dir", "weights"]
    gemini = {"GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9"}
    secret = {"REFRAMER_DAGSTER_DATABASE_URL": "postgres://someone@example.org/dagster?options=a'b"}
    printed = called(home, "dev", "--print-env", *chosen, REFRAMER_CONF="0.9", REFRAMER_GPU_POOL_LIMIT="2", **gemini, **secret)
    assert printed.returncode == 0, printed.stderr
    show = "from reframer_pipeline.settings import Settings; print(Settings().model_dump_json())"
    ran = in_shell(printed.stdout, [sys.executable, "-c", show], tmp_path)
    assert ran.returncode == 0, ran.stderr
    got = json.loads(ran.stdout)
    assert (got["home"], got["models"], got["conf"], got["vid_stride"], got["gpu_pool_limit"]) == (str(home), "demo", 0.5, 7, 2)
    assert (got["yolo_model"], got["weights_dir"]) == ("it's mine.pt", str(Path.cwd() / "weights"))
    assert got["gemini_url"] == "http://127.0.0.1:9"
    assert "export REFRAMER_DEVICE=" not in printed.stdout  # a default, and not in the environment
    secret = {"REFRAMER_DAGSTER_DATABASE_URL": "postgresql://someone:secret@example.org/dagster"}
    printed = called(home, "dev", "--print-env", **secret)
    assert "DAGSTER_HOME" in printed.stdout and "secret" not in printed.stdout + printed.stderr


def test_dev_is_alone_over_its_data_and_on_its_port(home: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = started(home, "dev", "--models", "demo", "--port", port)
        assert ran.returncode == 2 and f"port {port} cannot be used" in ran.stderr
    with (home / "dev.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = started(home, "dev", "--models", "demo", "--port", port)
    assert ran.returncode == 1 and "running already" in ran.stderr
    with daemon_of(home / "dagster", "dev") as parent:
        ran = started(home, "dev", "--models", "demo", "--port", port)
        assert ran.returncode == 1 and f"`dagster dev` is running already over {home / 'dagster'}, as process {parent.pid}" in ran.stderr
    with daemon_of(home / "dagster", "dev", PGAPPNAME="reframer dev 1"), socket.create_server(("127.0.0.1", 0)) as taken:
        ran = started(home, "dev", "--models", "demo", "--port", str(taken.getsockname()[1]))  # for a short run
        assert "Ended 2 processes of an earlier" in ran.stderr
    with daemon_of(home / "dagster", "orphan"), socket.create_server(("127.0.0.1", 0)) as taken:
        ran = started(home, "dev", "--models", "demo", "--port", str(taken.getsockname()[1]))  # for a short run
        assert "Ended 1 processes of an earlier" in ran.stderr
    assert called(home, "dev", "--port", "99999").returncode == 2


@pytest.mark.slow
def test_the_database_is_not_stopped_under_somebody_who_uses_it(tmp_path: Path) -> None:
    url = called(tmp_path, "db", "url").stdout.strip()
    with psycopg.connect(url, application_name="psql"):
        ran = called(tmp_path, "db", "stop")
        assert ran.returncode == 1 and "In use by a client named psql. Stop that first, or say --force." in ran.stderr
    assert called(tmp_path, "db", "stop").stdout == "Stopped.\n"
    assert called(tmp_path, "db", "stop").stdout == "It was not running.\n"
    url = called(tmp_path, "db", "url").stdout.strip()
    with psycopg.connect(url):
        assert called(tmp_path, "db", "stop", "--force").stdout == "Stopped.\n"


@contextmanager
def daemon_of(dagster_home: Path, word: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process with this word, and below it one that looks like its Dagster daemon."""
    sleeper = "import time; print(1, flush=True); time.sleep(60)"
    child = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {sleeper!r}, 'dagster._daemon'])"
    environment = os.environ | {"DAGSTER_HOME": str(dagster_home), **variables}
    with subprocess.Popen([sys.executable, "-c", child, word], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "1\n"
        try:
            yield parent
        finally:
            for process in (*psutil.Process(parent.pid).children(), parent) if parent.poll() is None else ():
                process.kill()


def in_shell(exports: str, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command after `eval "$(reframer dev --print-env)"`, in another folder and with no settings but those."""
    env = {key: value for key, value in os.environ.items() if not is_setting(key)}
    script = f'{exports}\nexec "$0" "$@"'
    return subprocess.run(["sh", "-c", script, *command], cwd=folder, env=env, capture_output=True, text=True, timeout=600)


def test_doctor_names_old_tools_missing_limits_and_pickles_without_trust(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    tools, folder = tmp_path / "tools", tmp_path / "weights"
    tools.mkdir()
    folder.mkdir()
    for tool, version in (("ffmpeg", "4.4.2-0ubuntu0"), ("ffprobe", "n7.1")):
        (tools / tool).write_text(f"#!/bin/sh\necho '{tool} version {version} Copyright (c) the FFmpeg developers'\n")
        (tools / tool).chmod(0o755)
    (folder / "yolov8m.pt").write_bytes(b"a pickle from somewhere")
    (folder / "sam2_hiera_base_plus.pt").write_bytes(b"tensors")
    ran = started(home, "doctor", "--weights-dir", str(folder), PATH=str(tools), COLUMNS="400")
    assert ran.returncode == 1, ran.stderr
    verdicts = {tuple(line.split()[:2]) for line in ran.stdout.splitlines()}
    assert verdicts >= {("mend", "ffmpeg"), ("ok", "ffprobe"), ("mend", "prlimit"), ("mend", "weights"), ("ok", "database")}
    assert "FFmpeg 5.1 or newer" in ran.stdout
    assert "reframer models fetch --trust" in ran.stdout
