"""The processes of a test session: where they write, how many threads each computes with, and that none stays behind."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress

import psutil

ENGINE = "REFRAMER_ENGINE"
FOLDER = "PYTEST_DEBUG_TEMPROOT"  # where pytest makes its folders, and the servers theirs; the workers inherit it


def own_folder() -> None:
    """Give the session a folder of its own, which goes with all that runs there when the session ends, however it ends.

    pytest shuts the folder that its sessions share: the embedded server of another session, run by another user, would stand outside.
    """
    if FOLDER not in os.environ:
        os.environ[FOLDER] = folder = tempfile.mkdtemp(prefix="reframer-tests-")
        os.chmod(folder, 0o711)
        atexit.register(_leave, folder)


def is_setting(name: str) -> bool:
    """Whether a variable is a setting of whoever runs the tests, from which they are to be kept."""
    return name.startswith("REFRAMER_") and not name.startswith("REFRAMER_TEST_") and name != ENGINE


def share_cores() -> None:
    """Before torch is loaded: a worker, and what it starts, computes with as many threads as are its share, and without OpenVINO.

    OpenVINO prepares the models once for each data folder, and nearly every test has one of its own. `vision/test_compiled` uses it.
    """
    os.environ[ENGINE] = "torch"
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _leave(folder: str) -> None:
    """After Ctrl-C the workers have a few seconds: what they could not end in that time is ended here."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # gone, or somebody else's
            ours = process.environ().get(FOLDER) == folder or any(folder in word for word in process.cmdline())
            if ours and process.pid != os.getpid():
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)
