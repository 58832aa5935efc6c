"""What every typed failure is: the base type, and whether trying again can help.

What belongs here: nothing that has a code of its own.
"""

from __future__ import annotations

from typing import ClassVar


class ReframerError(Exception):
    """Base of all typed failures.

    Attributes:
        code: Stable, lower-case identifier that scripts may rely on.
        retryable: Whether the same input can succeed later without anyone changing anything.
        blames_video: Whether the video may be the cause. If not (a service is away, a disk is full, somebody interrupted it), no
            number of failures says that this video cannot be computed.
        message: One sentence: what happened.
        remedy: One sentence: what to do.
    """

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    blames_video: ClassVar[bool] = True
    default_remedy: ClassVar[str] = "Report this with the run's log: it is a defect of the pipeline, not of the video."

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy or self.default_remedy
        super().__init__(f"{message} {self.remedy}")

    def __reduce__(self) -> tuple[type[ReframerError], tuple[str, str]]:
        return type(self), (self.message, self.remedy)


class PermanentFailure(ReframerError):
    """The same input will fail again: never retried."""


class CallerError(PermanentFailure):
    """Settings, weights or machine of whoever asked are at fault. It says nothing of the video: one that completed stays so."""

    blames_video = False


class RetryableFailure(ReframerError):
    """The same input may succeed later: retried with backoff, up to a limit."""

    code = "retryable_error"
    retryable = True
    default_remedy = "Nothing to do at first: it is retried. If it stays, see `reframer doctor`."
