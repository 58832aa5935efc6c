"""Failures of running: tools, limits, settings, and what nobody foresaw."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, PermanentFailure, RetryableFailure


class MediaToolMissing(CallerError):
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


class Interrupted(RetryableFailure):
    """The run was interrupted, or its process ended."""

    code = "interrupted"
    blames_video = False
    default_remedy = "Start it again: finished stages are kept."


class RunDied(RetryableFailure):
    """The process of a run ended without a word: killed, out of memory, or the machine went away."""

    code = "run_died"
    default_remedy = "Nothing to do at first: the backfill starts it again. If it stays, see the system's log for what killed it."


class DagsterFailed(RetryableFailure):
    """Dagster could not go on with a run: its own database was away, or somebody deleted the video's partition."""

    code = "dagster_failed"
    blames_video = False
    default_remedy = "Nothing to do at first: the backfill starts it again. If it stays, see the run in Dagster's UI."


class AnotherDaemon(CallerError):
    """Another daemon watches the uploads and launches the runs of this database."""

    code = "another_daemon"
    default_remedy = "Stop it first. If its machine is gone, wait a minute. A machine that only computes runs `reframer worker`."


class BrokerUnavailable(RetryableFailure):
    """The broker that hands runs to workers cannot be reached."""

    code = "broker_unavailable"
    blames_video = False
    default_remedy = "Check REFRAMER_BROKER_URL and that the broker is up; `reframer doctor` tests it."


class Quarantined(PermanentFailure):
    """The video's runs died one after the other; it is left alone."""

    code = "quarantined"
    default_remedy = "Find out what kills the process (memory, GPU driver), then run `reframer run` with the file, or change a setting."


class StageStalled(RetryableFailure):
    """No progress for `stall_s` seconds."""

    code = "stalled"


class SettingsInvalid(CallerError):
    """A setting has a value outside its range."""

    code = "settings_invalid"
    default_remedy = "Correct the setting; `reframer doctor --settings` shows all of them."


class OutputNotWritable(PermanentFailure):
    """The file that a command was asked to write cannot be written."""

    code = "output_not_writable"
    default_remedy = "Name a file in a folder that you may write to."


class UnknownFormat(CallerError):
    """No export has this format."""

    code = "unknown_format"
    default_remedy = "`reframer export --help` lists the formats."


class InputMissing(CallerError):
    """A stage was asked for before the stages it reads."""

    code = "input_missing"
    default_remedy = "Materialize the stages before it for this video first, or run all of them with `reframer run`."


class InternalError(PermanentFailure):
    """Anything unforeseen; the log has the traceback."""
