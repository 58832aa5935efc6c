"""That what a sandboxed program used is counted."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

BURNS = """
import subprocess, sys
from reframer_pipeline_tests.descendants import used
before = used()
burn = "import time; x = bytearray(300_000_000)\\nwhile time.process_time() < 1: pass"
subprocess.run([*sys.argv[1:], sys.executable, "-c", burn], check=True)
after = used()
print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss)
"""


@pytest.mark.parametrize("words", [[], ["bwrap", "--unshare-pid", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev"]])
def test_seconds_and_memory_of_what_ran_are_counted_also_behind_a_sandbox(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", BURNS, *words], capture_output=True, text=True)
    if words and ("bwrap: " in done.stderr or shutil.which("bwrap") is None):
        pytest.skip("no sandbox can be made here")
    assert done.returncode == 0, done.stderr
    seconds, kilobytes = map(float, done.stdout.split())
    assert 0.9 <= seconds < 10 and 280_000 <= kilobytes < 600_000
