"""What `show` says of a result beside its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from reframer_pipeline.cli import app
from reframer_pipeline.cli.show import print_video
from reframer_pipeline.failures import HomeMissing
from reframer_pipeline.reading.videos import show_video
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import NAMES
from reframer_pipeline.vision.rle import encode
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import Maker, add_video, commit, commit_all

NOTE = "Beside the picture there is a stream in g722."


class Astray(Maker):
    """All masks lie in the lower right corner, outside their boxes."""

    def _masks(self) -> Iterator[dict[str, Any]]:
        corner = np.zeros((self.height, self.width), np.uint8)
        corner[-4:, -4:] = 1
        rle, area = encode(corner)
        yield from ({**row, "rle": rle, "area": area} for row in super()._masks())


def test_notes_and_warnings_stand_below_their_stage(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    video_id, sha = add_video(storage)
    maker = Astray(sha, storage.settings)
    with lease.hold(storage.db, video_id, "test") as token:
        commit(storage, video_id, maker, "metadata", token, run_id="run", notes={"notes": [NOTE]})
    commit_all(storage, video_id, maker, NAMES[1:])
    print_video({**show_video(storage.db, video_id), "scenes": []})
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    first = next(at for at, line in enumerate(lines) if line.startswith("metadata"))
    masks = len(maker.rows("masks"))
    assert [line.split()[0] for line in lines[first : first + 8]] == [
        "metadata", "Beside", "frames", "detections", "masks", "mostly_inside_box:", "trajectories", "scenes"
    ]  # fmt: skip
    assert lines[first + 1] == NOTE and lines[first + 5] == f"mostly_inside_box: {masks} broken, first in row 0"


def test_nothing_is_said_where_nothing_is_odd(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    print_video({**show_video(storage.db, video_id), "scenes": []})
    lines = capsys.readouterr().out.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("  metadata"))
    assert [line.split()[0] for line in lines[first : first + 6]] == list(NAMES)


@pytest.mark.parametrize(
    "words", ["list", "show ab", "preview ab -o out.mp4", "export ab --format csv -o out", "uploads", "plan", "users list", "keys list",
              "delete ab --yes", "restore ab", "db sweep"],
)  # fmt: skip
def test_a_home_with_a_slip_in_its_name_is_not_made(tmp_path: Path, words: str) -> None:
    ran = CliRunner().invoke(app, [*words.split(), "--home", str(tmp_path / "typo")], env={"REFRAMER_DATABASE_URL": None})
    assert isinstance(ran.exception, HomeMissing) and "typo" in ran.exception.message and "REFRAMER_HOME" in ran.exception.remedy
    assert list(tmp_path.iterdir()) == []
