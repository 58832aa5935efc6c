"""Failures of running: tools, limits, settings, and what nobody foresaw."""

from __future__ import annotations

from reframer_pipeline.failures.base import PermanentFailure, RetryableFailure


class MediaToolMissing(PermanentFailure):
    """ffmpeg or ffprobe is not installed, or too old."""

    code = "ffmpeg_missing"
    default_remedy = (
        "Install FFmpeg 5.1 or newer: Debian 12, Ubuntu 24.04 and later have one (apt-get install ffmpeg); "
        "elsewhere put a build of your own first on PATH."
    )


class MediaToolTimeout(PermanentFailure):
    """ffmpeg or ffprobe ran over its clock, CPU or memory limit on this file."""

    code = "media_limit_exceeded"
    default_remedy = (
        "The file demands more than the limits allow: convert it to plain H.264, or raise REFRAMER_STALL_S or REFRAMER_MEMORY_MB."
    )


class StageStalled(RetryableFailure):
    """No progress for `stall_s` seconds."""

    code = "stalled"


class SettingsInvalid(PermanentFailure):
    """A setting has a value outside its range."""

    code = "settings_invalid"
    default_remedy = "Correct the setting; `reframer doctor --settings` shows all of them."


class OutputNotWritable(PermanentFailure):
    """The file that a command was asked to write cannot be written."""

    code = "output_not_writable"
    default_remedy = "Name a file in a folder that you may write to."


class InputMissing(PermanentFailure):
    """A stage was asked for before the stages it reads."""

    code = "input_missing"
    default_remedy = "Materialize the stages before it for this video first, or run all of them with `reframer run`."


class InternalError(PermanentFailure):
    """Anything unforeseen; the log has the traceback."""
