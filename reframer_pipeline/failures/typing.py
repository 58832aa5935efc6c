"""Exceptions turned into typed failures, and failures into what travels and back: the one place for each.

What belongs here: the turning. What does not: the failures themselves, and what is done about them.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.failures import DiskFull, InternalError, MachineTrouble, ReframerError, all_failures

FULL: Final = {errno.ENOSPC, errno.EDQUOT}
# Of disks, of shares and the network below them, of what a process or the system may have at once. errno(3); not every system has all.
_TROUBLE: Final = {
    getattr(errno, name)
    for name in (
        "EIO", "EROFS", "ESTALE", "EBUSY", "ENOLCK", "EUCLEAN", "EBADMSG", "EREMOTEIO", "ENOMEDIUM", "EMEDIUMTYPE",
        "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNRESET", "ECONNABORTED",
        "ECONNREFUSED", "ESHUTDOWN", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOBUFS", "EFBIG",
    )
    if hasattr(errno, name)
}  # fmt: skip


def typed(error: BaseException, scratch: Path | None = None) -> ReframerError:
    """The failure that an exception is: itself, trouble of the machine, or a defect of the pipeline if nobody foresaw it.

    Args:
        error: The exception.
        scratch: Where the work keeps files that it has made itself. That one of them is gone is the machine's trouble: whoever mounts
            another disk there, or cleans up, takes them away.
    """
    if isinstance(error, ReframerError):
        return error
    trouble = of_machine(error, "The work broke off") if isinstance(error, OSError) else None
    if scratch is not None and isinstance(error, FileNotFoundError) and f"{scratch}/" in str(error):
        trouble = MachineTrouble(f"A file that this work has made is gone from {scratch}.")
    return trouble or InternalError(f"{type(error).__name__}: {error}")


def of_machine(error: OSError, what: str) -> DiskFull | MachineTrouble | None:
    """The failure that an error of the operating system is, if it says something of the machine, whatever file was worked on.

    Args:
        error: From Python, or from a library that hands its number on, as pyarrow does.
        what: Happened: the beginning of the message, such as "x cannot be read".

    Returns:
        None for an error that a path, a right or a defect may have caused.
    """
    kind = DiskFull if error.errno in FULL else MachineTrouble if error.errno in _TROUBLE else None
    return kind and kind(f"{what}: {error.strerror or type(error).__name__}.")


def as_metadata(failure: ReframerError) -> dict[str, str]:
    """A failure as texts by name, for events that outlive the process."""
    return {"failure_code": failure.code, "message": failure.message, "remedy": failure.remedy}


def from_metadata(metadata: Mapping[str, Any]) -> ReframerError | None:
    """Undo `as_metadata`; None if it tells of no failure. A code that this version does not know is a defect of the pipeline."""
    if "failure_code" not in metadata:
        return None
    known = {cls.code: cls for cls in all_failures()}
    return known.get(str(metadata["failure_code"]), InternalError)(str(metadata["message"]), str(metadata["remedy"]))
