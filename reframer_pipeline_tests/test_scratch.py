"""Scratch: what killed runs leave behind goes after a day."""

from __future__ import annotations

import os
import time
from pathlib import Path

from reframer_pipeline.scratch import sweep_scratch
from reframer_pipeline.settings import Settings


def test_scratch_is_swept_of_what_is_a_day_old(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert sweep_scratch(settings) == 0  # no folder yet
    old, young, busy = (settings.scratch_dir / name for name in ("old", "young", "busy"))
    for folder in (old, young, busy):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    loose = settings.scratch_dir / "upload-1"
    loose.touch()
    long_ago = time.time() - 25 * 3600
    for path in (old / "file", old, young / "file", busy, loose):  # into busy's file something was written just now
        os.utime(path, (long_ago, long_ago))
    assert sweep_scratch(settings) == 2
    assert sorted(path.name for path in settings.scratch_dir.iterdir()) == ["busy", "young"]
