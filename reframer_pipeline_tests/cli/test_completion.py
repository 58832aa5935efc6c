"""Completion as the shells ask for it: commands, options, ids of videos, and no server that starts at a TAB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.command import called, environment

pytestmark = pytest.mark.slow


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "reframer"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nfrom reframer_pipeline.cli import main\nmain()\n")
    path.chmod(0o755)
    return path


def completed(program: Path, home: Path, *words: str) -> list[str]:
    """What bash offers for the last word, by the script as it is printed."""
    assert called(home, "completion", "bash").stdout.startswith("_reframer_completion")
    script = (
        'eval "$("$0" completion bash)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'complete -p reframer >&2; _reframer_completion "$0"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "-c", script, str(program), "reframer", *words], env=environment(home), capture_output=True, text=True, timeout=300
    )
    assert "-F _reframer_completion reframer" in ran.stderr, ran.stderr
    return ran.stdout.split()


def test_commands_options_and_choices(program: Path, tmp_path: Path) -> None:
    assert completed(program, tmp_path, "re") == ["reframe", "restore"]
    assert completed(program, tmp_path, "db", "s") == ["stop", "sweep"]
    assert completed(program, tmp_path, "run", "--track-") == ["--track-thresh", "--track-low-conf", "--track-buffer"]
    assert completed(program, tmp_path, "plan", "--models", "d") == ["demo"]


def test_ids_of_videos_while_the_database_runs(program: Path, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    home, video_id = shared.settings.home_dir, str(done.video_id)
    for command in ("show", "preview", "restore", "plan", "export"):
        assert video_id[:8] in completed(program, home, command, "")
    assert completed(program, home, "show", video_id[:4]) == [video_id[:8]]
    assert completed(program, home, "show", video_id[:12]) == [video_id]
    assert completed(program, home, "show", "%") == []
    assert completed(program, tmp_path, "show", "--home", str(home), video_id[:4]) == [video_id[:8]]


def test_where_no_id_begins_like_this_the_shell_offers_files(program: Path, shared: Storage, done: VideoOutcome) -> None:
    asked = {"_REFRAMER_COMPLETE": "bash_complete", "COMP_WORDS": "reframer export clips", "COMP_CWORD": "2"}
    ran = subprocess.run([program], env=environment(shared.settings.home_dir, **asked), capture_output=True, text=True, timeout=300)
    assert ran.stdout.strip() == "file,clips"


def test_no_server_starts_at_a_tab(program: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert completed(program, home, "show", "") == []
    assert not home.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, tmp_path: Path) -> None:
    ran = called(tmp_path, "completion", shell)
    assert ran.returncode == 0 and f"_REFRAMER_COMPLETE={shell}_complete" in ran.stdout
