"""The one place that imports ultralytics.

What belongs here: making the import quiet and harmless. What does not: models (`models`, `demo.models`), prediction
(`detector`). Left alone, ultralytics writes a settings file under the home folder, prints, asks the network whether it is
there, sends usage events, downloads missing weights, installs missing packages, unpickles any class, and leaves torch one thread.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from types import ModuleType

from reframer_pipeline.vision.torchvision_setup import import_torchvision


def import_ultralytics() -> ModuleType:
    """Import `ultralytics` with telemetry, downloads, installing and printing off.

    Its settings file goes to a private folder that is removed at exit, unless YOLO_CONFIG_DIR names another. Its loader runs
    with torch's `weights_only` and its own list of known classes (`ULTRALYTICS_SAFE_LOAD`).

    Returns:
        The `ultralytics` package.
    """
    # read once, when ultralytics.utils is first imported
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_VERBOSE="0", ULTRALYTICS_SAFE_LOAD="1")
    if "YOLO_CONFIG_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="reframer-ultralytics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["YOLO_CONFIG_DIR"] = folder
    threads = os.environ.get("OMP_NUM_THREADS")
    import torch  # noqa: F401 (before ultralytics, which says one thread for whoever loads OpenMP after it, children too)
    import ultralytics
    from ultralytics.nn import tasks
    from ultralytics.utils import LOGGER, SETTINGS

    import_torchvision()  # prediction would

    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    # where something else imported it first, the variables above came too late
    tasks.SAFE_LOAD = True
    LOGGER.setLevel("ERROR")
    dict.__setitem__(SETTINGS, "sync", False)  # dict's own: theirs would write the settings file
    return ultralytics
