"""Exceptions as failures: trouble of the machine is passing and nobody's fault, whoever meets it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reframer_pipeline.failures import InternalError
from reframer_pipeline.failures.typing import typed
from reframer_pipeline_tests.machine import FAILING_FILE, fill, small_disk

# Within the limits of its own process: what is done there, and the code of what comes of it.
CHILD = """
import resource, sys
from pathlib import Path
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.runner import GuardedProcess
from reframer_pipeline.settings import Settings
limits = Limits.of(Settings())
resource.setrlimit(resource.{limit}, ({value}, {value}))
try:
    {act}
except Exception as error:
    failure = typed(error)
    print(failure.code, failure.retryable, failure.blames_video, failure.message, sep="|")
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((number, "disk_full") for number in (errno.ENOSPC, errno.EDQUOT)),
        *((number, "machine_trouble") for number in (errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM)),
    ],
)
def test_errors_of_the_machine_are_passing_and_not_the_videos(number: int, code: str) -> None:
    failure = typed(OSError(number, os.strerror(number)))
    assert (failure.code, failure.retryable, failure.blames_video) == (code, True, False)
    assert os.strerror(number) in failure.message


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), IsADirectoryError(21, "x"), OSError("no number"), ValueError()])
def test_anything_else_is_a_defect(error: Exception) -> None:
    assert type(typed(error)) is InternalError


def test_a_full_disk_under_arrow(tmp_path: Path) -> None:
    table = pa.table({"noise": [os.urandom(100) for _ in range(2000)]})
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(OSError) as caught:
            pq.write_table(table, disk / "x.parquet")
        assert typed(caught.value).code == "disk_full"
        fill(disk)
        with pytest.raises(OSError) as caught:
            (disk / "x").write_bytes(bytes(9000))
        assert typed(caught.value).code == "disk_full"


def test_a_disk_that_cannot_be_read() -> None:
    with FAILING_FILE.open("rb") as file, pytest.raises(OSError) as caught:
        file.read(10)
    assert typed(caught.value).code == "machine_trouble"


@pytest.mark.parametrize(
    ("limit", "value", "act", "said"),
    [
        ("RLIMIT_NOFILE", 3, "open('/dev/null')", "Too many open files"),
        ("RLIMIT_NOFILE", 3, "with GuardedProcess(['true'], limits): pass", "Too many open files"),
        ("RLIMIT_FSIZE", 1000, "Path('{tmp}/x').write_bytes(bytes(2000))", "File too large"),
    ],
)
def test_limits_of_the_process(limit: str, value: int, act: str, said: str, tmp_path: Path) -> None:
    code = CHILD.format(limit=limit, value=value, act=act.format(tmp=tmp_path))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("machine_trouble|True|False|") and said in told


def test_what_is_gone_from_the_scratch_folder_was_taken_away(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    for read in (Path.read_bytes, pq.read_table, Path.stat):
        failures = []
        for folder in (scratch, tmp_path / "other"):
            try:
                read(folder / "a.parquet")
            except OSError as error:
                failures.append(typed(error, scratch))
        assert [(one.code, one.retryable, one.blames_video) for one in failures] == [
            ("machine_trouble", True, False),
            (InternalError.code, InternalError.retryable, InternalError.blames_video),
        ]
