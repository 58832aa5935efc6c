"""Files and folders of the user's choice, which appear when they are whole.

What belongs here: how they come to be. What does not: what is written. The scratch folder has files of its own (`scratch`).
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from reframer_pipeline.failures import OutputNotWritable


@contextlib.contextmanager
def appearing(output: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new empty file or folder beside the target, which takes its name when the block has ended well and is deleted when not.

    A file replaces one of its name; a folder takes only the place of an empty one.

    Raises:
        OutputNotWritable: Before the block where the target cannot be written, or later, such as on a full disk.
    """
    part = output.with_name(f".reframer-{uuid.uuid4().hex[:12]}{output.suffix}")
    try:
        if folder and (output.exists() or output.is_symlink()) and not _is_empty_folder(output):
            raise OutputNotWritable(f"{output} is there already.", "Name a folder that is not there yet.")
        if not folder and output.is_dir():
            raise OutputNotWritable(f"{output} is a folder.")
        output.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir() if folder else part.touch(exist_ok=False)
        try:
            yield part
            part.replace(output)
        finally:
            if folder:
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"{output} cannot be written: {error.strerror or type(error).__name__}.") from error


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
