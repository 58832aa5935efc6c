"""Failures of what is kept: database, store, disk, leases, and results that must not be written."""

from __future__ import annotations

from typing import Any

from reframer_pipeline.failures.base import CallerError, PermanentFailure, RetryableFailure


class InvalidResult(PermanentFailure):
    """A stage's result broke one of its own invariants and was not written.

    `checks` holds what storage checked, failed or not, where it was storage that refused.
    """

    code = "invalid_result"
    checks: tuple[Any, ...] = ()


class LeaseLost(RetryableFailure):
    """Another run took this video over; this one must not commit."""

    code = "lease_lost"
    blames_video = False


class VideoBusy(RetryableFailure):
    """Another run holds this video's lease."""

    code = "video_busy"
    blames_video = False
    default_remedy = "Wait until the other run has finished."


class DatabaseUnavailable(RetryableFailure):
    """The database cannot be reached or is shutting down."""

    code = "database_unavailable"
    blames_video = False
    default_remedy = "Check REFRAMER_DATABASE_URL and that the server is up; `reframer doctor` tests it."


class DatabaseTooSlow(DatabaseUnavailable):
    """A statement ran over its time in the database."""

    code = "database_too_slow"
    default_remedy = "Ask for less: with a filter, or a smaller page. If it stays, see what keeps the database busy."


class DatabaseFull(RetryableFailure):
    """The database's size limit is reached (SQLSTATE 53100)."""

    code = "database_full"
    blames_video = False
    default_remedy = "Free space or raise the plan's limit; nothing of the earlier results is lost."


class DatabaseNotPrepared(CallerError):
    """The database cannot be used as it is: no right to make tables, no such schema, another encoding, another program's tables."""

    code = "database_not_prepared"
    default_remedy = "Prepare the database as docs/postgres.md says, or name another one in REFRAMER_DATABASE_URL."


class DiskFull(RetryableFailure):
    """No space is left for the files in REFRAMER_HOME or in a store that is a folder, or a quota is used up."""

    code = "disk_full"
    blames_video = False
    default_remedy = "Free space, or point REFRAMER_HOME at a larger disk."


class MachineTrouble(RetryableFailure):
    """The machine fails, not the file: a disk or share that does not answer or is read-only, no handles or memory left for files."""

    code = "machine_trouble"
    blames_video = False
    default_remedy = "Nothing to do at first: it is tried again. If it stays, look at the disk or share, `dmesg` and `ulimit -a`."


class HomeNotWritable(CallerError):
    """Files in REFRAMER_HOME cannot be written."""

    code = "home_not_writable"
    default_remedy = "Check the folder's owner and permissions, or point REFRAMER_HOME at another one."


class HomeMissing(CallerError):
    """There is no data folder to read from."""

    code = "home_missing"
    default_remedy = "Check `home` or REFRAMER_HOME. The first run makes the folder."


class StoreUnavailable(RetryableFailure):
    """The object store cannot be reached or refuses."""

    code = "store_unavailable"
    blames_video = False
    default_remedy = "Check REFRAMER_STORE_URL and its credentials."


class ObjectMissing(PermanentFailure):
    """An object that the manifest names is not in the store."""

    code = "object_missing"
    default_remedy = "Run `reframer run --force` for this video to make it anew."


class FramesEvicted(PermanentFailure):
    """The frame store was deleted to save space, and a stage or a preview needs its pictures."""

    code = "frames_evicted"
    default_remedy = "Make the pictures again: `reframer run --force`, or materialize frames in the UI."


class StoreMismatch(PermanentFailure):
    """Store and database do not belong together: their ids differ, or the store has none though the database knows videos."""

    code = "store_mismatch"
    blames_video = False
    default_remedy = "Point REFRAMER_STORE_URL and REFRAMER_DATABASE_URL at a pair that belongs together; nothing was changed."


class SchemaMismatch(PermanentFailure):
    """The database's tables were made by another version of the program, or an applied migration was edited."""

    code = "schema_mismatch"
    blames_video = False
    default_remedy = "Use the version of the program that the database was migrated with, or a newer one."


class NotPublished(PermanentFailure):
    """The video has no results yet."""

    code = "not_published"
    blames_video = False
    default_remedy = "`reframer run` with its file computes it; `reframer show ID` says how it stands."


class RowsArchived(PermanentFailure):
    """The rows of the video's results are in Parquet only."""

    code = "rows_archived"
    blames_video = False
    default_remedy = "Load them back: `reframer restore ID`."


class UnknownFrame(PermanentFailure):
    """No picture of this frame: the video has no such frame, or it was not looked at."""

    code = "unknown_frame"
    blames_video = False
    default_remedy = "Choose one of the frames that were looked at: every fifth by default."


class UnknownVideo(PermanentFailure):
    """No video with this id."""

    code = "unknown_video"
    default_remedy = "`reframer list` shows the known videos."
