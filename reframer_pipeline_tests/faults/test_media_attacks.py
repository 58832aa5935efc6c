"""Files that want another file or an address opened: they end with a failure's code, and nothing was opened.

Each goes through the first look, the facts and all frames as in a run, in a process that is watched by `strace`: once behind the whole
fence, and once where neither bubblewrap nor `unshare` is installed, so that the lists of what FFmpeg may open are all there is. That an
attack is one is shown by an ffmpeg without either.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reframer_pipeline.media.commands import guards
from reframer_pipeline.media.fence import Limits, standing, without_network
from reframer_pipeline.media.runner import run_guarded
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.faults.attacked import COMPLETED
from reframer_pipeline_tests.faults.hostile import Listener, Lures, attacks, listening
from reframer_pipeline_tests.media.fences import tools_without
from reframer_pipeline_tests.media.made import numbered

LIMITS = replace(Limits.of(Settings()), stall_s=240, wall_s=480)
REFUSED = {"not_a_video", "truncated", "damaged", "no_decodable_frames", "no_video_stream"}
SECRET, NEAR = "the-secret.mp4", "the-neighbour.mp4"


@dataclass(frozen=True)
class Attacked:
    """What became of all attacks.

    Attributes:
        codes: The code that each ended with, by path.
        opened: What strace saw opened and connected to.
        asked: What reached the listener.
        fence: Which fences stood.
    """

    codes: dict[str, str]
    opened: list[str]
    asked: list[bytes]
    fence: dict[str, bool]


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening() as there:
        yield there


@pytest.fixture(scope="module")
def lures(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Lures:
    secret = numbered(tmp_path_factory.mktemp("elsewhere") / SECRET, frames=5)
    near = tmp_path_factory.mktemp("near") / NEAR
    shutil.copy(secret, near)
    return Lures(secret, near, listener.url)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, lures: Lures) -> dict[str, Path]:
    return attacks(tmp_path_factory.mktemp("attacks"), lures)


@pytest.fixture(scope="module", params=["whole fence", "lists alone"])
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path], listener: Listener
) -> Attacked:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: REFRAMER_TEST_SERVERS=1 scripts/setup.sh")
    log, before, environment = tmp_path_factory.mktemp("log") / "strace", len(listener.came), dict(os.environ)
    if request.param == "lists alone":
        environment["PATH"] = str(tools_without(tmp_path_factory.mktemp("tools"), "bwrap", "unshare"))
    watched = [strace, "-f", "--seccomp-bpf", "-s", "4096", "-o", str(log), "-e", "trace=open,openat,openat2,connect"]
    command = [*watched, sys.executable, "-m", "reframer_pipeline_tests.faults.attacked", *map(str, files.values())]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    if "PTRACE_TRACEME" in ran.stderr or "ptrace(" in ran.stderr:
        pytest.skip(f"no process may be watched here: {ran.stderr[:200]}")
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.loads(ran.stdout.splitlines()[-1])
    assert (request.param == "whole fence") or not (said["network"] or said["files"])
    return Attacked(said.pop("codes"), log.read_text(errors="replace").splitlines(), listener.came[before:], said)


def test_every_attack_ends_with_a_code(attacked: Attacked, files: dict[str, Path]) -> None:
    ended = {name: attacked.codes[str(path)] for name, path in files.items()}
    # pictures of their own, which are all there: the subtitles are passed over
    whole = {name for name, code in ended.items() if code == COMPLETED}
    assert whole == {name for name in files if name.startswith("subtitle") and ".avi" in name}
    assert {code for name, code in ended.items() if name not in whole} <= REFUSED


def test_no_attack_reaches_an_address(attacked: Attacked) -> None:
    assert attacked.asked == []
    assert [line for line in attacked.opened if "connect(" in line and "AF_INET" in line] == []


def test_no_attack_has_another_file_opened(attacked: Attacked, files: dict[str, Path]) -> None:
    assert [line for line in attacked.opened if SECRET in line or NEAR in line] == []
    assert all(any(f'"{path}"' in line for line in attacked.opened) for path in files.values())  # so it would have been seen


@pytest.mark.parametrize("attack", ["playlist", "list", "dash", "reference by alias"])
def test_the_attacks_work_on_who_is_not_guarded(attack: str, files: dict[str, Path], lures: Lures, listener: Listener) -> None:
    """So that the tests above can fail: the same files, an ffmpeg without lists or fence."""
    local = {
        "playlist": [*_loose("hls"), "-allowed_extensions", "ALL", "-i", f"file:{files['playlist.mp4 to file']}"],
        "list": [*_loose("concat"), "-safe", "0", "-i", f"file:{files['list.avi to file']}"],
        "dash": [*_loose("dash"), "-i", f"file:{files['dash.mp4 to url']}"],
        "reference by alias": ["-enable_drefs", "1", "-i", f"file:{files['reference by alias.mov to near']}"],
    }
    before = len(listener.came)
    done = subprocess.run(
        ["ffmpeg", "-v", "info", "-nostdin", *local[attack], "-f", "null", "-"], capture_output=True, text=True, timeout=600
    )
    if attack == "dash":
        if "Unknown input format" in done.stderr:
            pytest.skip("this FFmpeg has no DASH")
        assert len(listener.came) > before
    else:
        assert done.returncode == 0 and "frame=    5" in done.stderr  # those of the video that it was not given


def _loose(name: str) -> list[str]:
    return ["-protocol_whitelist", "file,http,tcp,crypto,data", "-f", name]


@pytest.mark.parametrize("fence", ["whole fence", "no sandbox"])
def test_without_lists_the_sandbox_still_hides_other_files(
    fence: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays open where there is no bubblewrap: if the lists failed, another file that this user may read would be read."""
    if fence == "no sandbox":
        monkeypatch.setenv("PATH", str(tools_without(tmp_path, "bwrap")))
    elif not standing("ffmpeg").files:
        pytest.skip("bubblewrap is not installed, or the system forbids it")
    path = files["list.avi to file"]
    command = ["ffmpeg", "-v", "info", "-nostdin", *_loose("concat"), "-safe", "0", "-i", f"file:{path}", "-f", "null", "-"]
    done = run_guarded(command, LIMITS, reads=[path])
    if fence == "no sandbox":
        assert done.returncode == 0 and "frame=    5" in done.stderr
    else:
        assert done.returncode != 0 and "No such file or directory" in done.stderr and "frame=" not in done.stderr


@pytest.mark.parametrize("fence", ["whole fence", "no sandbox"])
def test_without_lists_no_address_is_reached(
    fence: str, files: dict[str, Path], listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fence == "no sandbox":
        monkeypatch.setenv("PATH", str(tools_without(tmp_path, "bwrap")))
    if not (without_network() or standing("ffmpeg").network):
        pytest.skip("this system allows no network namespace")
    before, path = len(listener.came), files["playlist.mp4 to url"]
    done = run_guarded(["ffmpeg", "-v", "info", "-nostdin", *_loose("hls"), "-i", f"file:{path}", "-f", "null", "-"], LIMITS, reads=[path])
    assert done.returncode != 0 and len(listener.came) == before
    assert "Network is unreachable" in done.stderr or "Connection" in done.stderr  # it tried


def test_every_command_for_uploads_has_the_lists() -> None:
    assert guards(Settings()).items() >= {("protocol_whitelist", "file,pipe"), ("format_whitelist", "mov,avi")}


def test_a_run_ends_with_the_same_codes(shared: Storage, tmp_path: Path) -> None:
    """Taken in and computed as every video: what is not refused at once fails at its first stages, and the listener hears nothing."""
    codes: dict[str, str | None] = {}
    secret, near = tmp_path / SECRET, tmp_path / "near" / NEAR
    near.parent.mkdir()
    numbered(secret, frames=5)
    shutil.copy(secret, near)
    with listening() as listener:
        made = attacks(tmp_path, Lures(secret, near, listener.url))
        chosen = {name: made[name] for name in made if name.startswith(("list.avi to", "playlist behind an mp4", "reference by"))}
        taken: dict[str, str] = {}
        for name, path in chosen.items():
            result = ingest_file(path, shared.db, shared.store, shared.settings)
            if result.failure:
                codes[name] = result.failure.code
            elif result.video_id:
                taken[result.video_id] = name
        for video_id, outcome in zip(taken, run_videos(shared.settings, list(taken)), strict=True):
            assert outcome.status == "failed", taken[video_id]
            codes[taken[video_id]] = outcome.failure_code
        assert listener.came == []
    assert codes.keys() == chosen.keys() and set(codes.values()) <= REFUSED
