"""Exceptions turned into typed failures, and failures into what travels and back: the one place for each.

What belongs here: the turning. What does not: the failures themselves, and what is done about them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reframer_pipeline.failures import InternalError, ReframerError, all_failures


def typed(error: BaseException) -> ReframerError:
    """The failure that an exception is: itself, or a defect of the pipeline if nobody foresaw it."""
    return error if isinstance(error, ReframerError) else InternalError(f"{type(error).__name__}: {error}")


def as_metadata(failure: ReframerError) -> dict[str, str]:
    """A failure as texts by name, for events that outlive the process."""
    return {"failure_code": failure.code, "message": failure.message, "remedy": failure.remedy}


def from_metadata(metadata: Mapping[str, Any]) -> ReframerError | None:
    """Undo `as_metadata`; None if it tells of no failure. A code that this version does not know is a defect of the pipeline."""
    if "failure_code" not in metadata:
        return None
    known = {cls.code: cls for cls in all_failures()}
    return known.get(str(metadata["failure_code"]), InternalError)(str(metadata["message"]), str(metadata["remedy"]))
