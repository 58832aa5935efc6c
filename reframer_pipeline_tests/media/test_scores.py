"""Content scores are the same on every processor: they are part of a result, which its key determines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline.media import commands
from reframer_pipeline.media.probe import probe
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings

pytestmark = pytest.mark.slow


def decoded(clip: Path, target: Path) -> tuple[list[float], bytes]:
    settings = Settings()
    rows = sample_frames(clip, probe(clip, settings, sha256="0" * 64), settings, target)
    return [row["content_score"] for batch in rows for row in batch.to_pylist()], target.read_bytes()


def test_without_the_processors_special_instructions(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, compose = decoded(clip, tmp_path / "here"), commands.decode

    def plain(*arguments: Any, **more: Any) -> list[str]:
        program, *options = compose(*arguments, **more)
        return [program, "-cpuflags", "0", *options]

    monkeypatch.setattr(commands, "decode", plain)
    assert decoded(clip, tmp_path / "there") == here and max(here[0]) > 20
