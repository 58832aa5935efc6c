"""Every way the pipeline can refuse or fail, as types with a stable code.

What belongs here: the two base types, one subclass per code, and the table of codes that the README prints. What does not:
catching, retrying, logging. A failure says in one sentence what happened (`message`) and in one what to do (`remedy`).
Messages never hold secrets; they may hold the user's own file name.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final


class ReframerError(Exception):
    """Base of all typed failures.

    Attributes:
        code: Stable, lower-case identifier that scripts may rely on.
        retryable: Whether the same input can succeed later without anyone changing anything.
        message: One sentence: what happened.
        remedy: One sentence: what to do.
    """

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    default_remedy: ClassVar[str] = "Report this with the run's log: it is a defect of the pipeline, not of the video."

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy or self.default_remedy
        super().__init__(f"{message} {self.remedy}")

    def __reduce__(self) -> tuple[type[ReframerError], tuple[str, str]]:
        return type(self), (self.message, self.remedy)


class PermanentFailure(ReframerError):
    """The same input will fail again: never retried."""


class RetryableFailure(ReframerError):
    """The same input may succeed later: retried with backoff, up to a limit."""

    code = "retryable_error"
    retryable = True
    default_remedy = "Nothing to do at first: it is retried. If it stays, see `reframer doctor`."


# --- the upload itself -------------------------------------------------------------------------------------------------


class FileNotReadable(PermanentFailure):
    """The path does not exist, is no regular file, or may not be read."""

    code = "file_not_readable"
    default_remedy = "Check the path and its permissions."


class FileTooLarge(PermanentFailure):
    """More bytes than `max_upload_mb`."""

    code = "file_too_large"
    default_remedy = "Upload a smaller file, or raise REFRAMER_MAX_UPLOAD_MB."


class UploadChanged(RetryableFailure):
    """The upload was written to while it was copied."""

    code = "upload_changed"
    default_remedy = "Wait until the upload has finished; it is then taken up again."


class IngestAbandoned(PermanentFailure):
    """An upload in the bucket could not be taken in, however often it was tried."""

    code = "ingest_abandoned"
    default_remedy = "Mend what the ingest runs' logs say, then launch one of them again in the Dagster UI, or upload the file again."


class NotAVideo(PermanentFailure):
    """No accepted container was recognised in the content."""

    code = "not_a_video"
    default_remedy = "Upload an mp4, mov or avi file that plays in a video player."


class NoVideoStream(PermanentFailure):
    """A media file without a picture, such as audio only."""

    code = "no_video_stream"
    default_remedy = "Upload a file with a video track."


class UnsupportedCodec(PermanentFailure):
    """The codec is not among the accepted ones."""

    code = "unsupported_codec"
    default_remedy = "Convert it to H.264 in mp4."


class EncryptedVideo(PermanentFailure):
    """The stream is encrypted (DRM, CENC)."""

    code = "encrypted"
    default_remedy = "Upload an unprotected copy."


class DimensionsOutOfRange(PermanentFailure):
    """Fewer or more pixels a frame than the limits allow."""

    code = "dimensions_out_of_range"
    default_remedy = "Scale the video (limits: REFRAMER_MIN_SIDE, REFRAMER_MAX_PIXELS)."


class VideoTooLong(PermanentFailure):
    """Longer, or more frames, than the limits allow."""

    code = "video_too_long"
    default_remedy = "Cut the video into parts (limits: REFRAMER_MAX_DURATION_S, REFRAMER_MAX_FRAMES)."


class FrameStoreTooLarge(PermanentFailure):
    """The sampled frames need more than `max_store_mb`."""

    code = "frame_store_too_large"
    default_remedy = "Cut the video into parts, or raise REFRAMER_VID_STRIDE or REFRAMER_MAX_STORE_MB."


class TooManyStreams(PermanentFailure):
    """More streams than any real video has."""

    code = "too_many_streams"
    default_remedy = "Export the video with one picture and one sound track."


class NoDecodableFrames(PermanentFailure):
    """The header promises a video, but not one frame can be decoded."""

    code = "no_decodable_frames"
    default_remedy = "The file is damaged or was cut off: export or upload it again."


class TruncatedVideo(PermanentFailure):
    """Clearly less picture than the header promises: a half-finished upload."""

    code = "truncated"
    default_remedy = "The file was cut off: upload it again, completely."


class DamagedVideo(PermanentFailure):
    """The container or stream cannot be read to a usable end."""

    code = "damaged"
    default_remedy = "Export the video again."


# --- running ----------------------------------------------------------------------------------------------------------


class MediaToolMissing(PermanentFailure):
    """ffmpeg or ffprobe is not installed."""

    code = "ffmpeg_missing"
    default_remedy = "Install FFmpeg 5.1 or newer (Debian, Ubuntu: apt-get install ffmpeg)."


class MediaToolTimeout(PermanentFailure):
    """ffmpeg or ffprobe ran over its clock, CPU or memory limit on this file."""

    code = "media_limit_exceeded"
    default_remedy = (
        "The file demands more than the limits allow: convert it to plain H.264, or raise REFRAMER_STALL_S or REFRAMER_MEMORY_MB."
    )


class StageStalled(RetryableFailure):
    """No progress for `stall_s` seconds."""

    code = "stalled"


class WeightsMissing(PermanentFailure):
    """A weights file is neither in the folder nor to be fetched."""

    code = "weights_missing"
    default_remedy = "Run `reframer models fetch`, or put the file into the folder that REFRAMER_WEIGHTS_DIR names, or use `--models demo`."


class WeightsUntrusted(PermanentFailure):
    """Pickled weights whose digest nobody published, and the user has not said --trust."""

    code = "weights_untrusted"
    default_remedy = "If you trust the source, run `reframer models fetch --trust`: the digest shown is then recorded."


class WeightsCorrupt(PermanentFailure):
    """The file's digest differs from the recorded one."""

    code = "weights_corrupt"
    default_remedy = "Delete the file and run `reframer models fetch` again."


class WeightsChanged(RetryableFailure):
    """The weights file was replaced while a stage ran with it."""

    code = "weights_changed"
    default_remedy = "Nothing to do at first: the stage is run again with the new weights. Replace weights while nothing runs."


class DownloadFailed(RetryableFailure):
    """A download broke off; what arrived is kept and resumed."""

    code = "download_failed"
    default_remedy = "Run the same command again: the download resumes where it broke off."


class OutOfMemory(PermanentFailure):
    """Even a batch of one does not fit the device."""

    code = "out_of_memory"
    default_remedy = "Use a smaller model (REFRAMER_YOLO_MODEL, REFRAMER_SAM2_MODEL) or a larger device."


class InvalidResult(PermanentFailure):
    """A stage's result broke one of its own invariants and was not written.

    `checks` holds what storage checked, failed or not, where it was storage that refused.
    """

    code = "invalid_result"
    checks: tuple[Any, ...] = ()


class SettingsInvalid(PermanentFailure):
    """A setting has a value outside its range."""

    code = "settings_invalid"
    default_remedy = "Correct the setting; `reframer doctor` shows all of them."


class GeminiUnavailable(RetryableFailure):
    """Gemini could not be reached, was overloaded, or gave no readable answer in time."""

    code = "gemini_unavailable"
    default_remedy = "Nothing to do at first: it is asked again. If it stays, check the connection and Google's status page."


class GeminiRateLimited(RetryableFailure):
    """Gemini's quota is used up for now."""

    code = "gemini_rate_limited"
    default_remedy = "It is asked again later. Lower REFRAMER_GEMINI_REQUESTS_PER_MINUTE, or raise the quota of the key's project."


class GeminiKeyRefused(PermanentFailure):
    """Gemini does not accept the key."""

    code = "gemini_key_refused"
    default_remedy = "Check GEMINI_API_KEY, or unset it to have scenes described locally."


class GeminiModelUnknown(PermanentFailure):
    """The model does not exist or was retired."""

    code = "gemini_model_unknown"
    default_remedy = "Set REFRAMER_GEMINI_MODEL to a current model; Google's list of models says which there are."


class GeminiFileRefused(PermanentFailure):
    """Gemini could not process the video file."""

    code = "gemini_file_refused"
    default_remedy = "Set REFRAMER_GEMINI_MEDIA=keyframes to send pictures instead of the file."


class GeminiFileNotReady(RetryableFailure):
    """The uploaded file was still being processed at the deadline, or had expired when it was used."""

    code = "gemini_file_not_ready"
    default_remedy = "It is uploaded again later. If it stays, set REFRAMER_GEMINI_MEDIA=keyframes."


class GeminiBlocked(PermanentFailure):
    """Gemini's safety filters refused the video or the answer."""

    code = "gemini_blocked"
    default_remedy = "The scenes of this video can only be described locally: REFRAMER_DESCRIBER=local."


class GeminiAnswerInvalid(RetryableFailure):
    """What Gemini answered does not keep to the schema: cut off, empty, or no JSON."""

    code = "gemini_answer_invalid"
    default_remedy = "It is asked again later. If it stays, try another REFRAMER_GEMINI_MODEL."


class GeminiRequestRefused(PermanentFailure):
    """Gemini refused the request itself."""

    code = "gemini_request_refused"
    default_remedy = "Try another REFRAMER_GEMINI_MODEL, or REFRAMER_GEMINI_MEDIA=keyframes."


GEMINI_FAILURES: Final = (
    GeminiUnavailable, GeminiRateLimited, GeminiKeyRefused, GeminiModelUnknown, GeminiFileRefused, GeminiFileNotReady, GeminiBlocked,
    GeminiAnswerInvalid, GeminiRequestRefused,
)  # fmt: skip


class LeaseLost(RetryableFailure):
    """Another run took this video over; this one must not commit."""

    code = "lease_lost"


class VideoBusy(RetryableFailure):
    """Another run holds this video's lease."""

    code = "video_busy"
    default_remedy = "Wait until the other run has finished."


class DatabaseUnavailable(RetryableFailure):
    """The database cannot be reached or is shutting down."""

    code = "database_unavailable"
    default_remedy = "Check REFRAMER_DATABASE_URL and that the server is up; `reframer doctor` tests it."


class DatabaseFull(RetryableFailure):
    """The database's size limit is reached (SQLSTATE 53100)."""

    code = "database_full"
    default_remedy = "Free space or raise the plan's limit; nothing of the earlier results is lost."


class DiskFull(RetryableFailure):
    """No space is left for the files in REFRAMER_HOME, or a quota is used up."""

    code = "disk_full"
    default_remedy = "Free space, or point REFRAMER_HOME at a larger disk."


class HomeNotWritable(PermanentFailure):
    """Files in REFRAMER_HOME cannot be written."""

    code = "home_not_writable"
    default_remedy = "Check the folder's owner and permissions, or point REFRAMER_HOME at another one."


class StoreUnavailable(RetryableFailure):
    """The object store cannot be reached or refuses."""

    code = "store_unavailable"
    default_remedy = "Check REFRAMER_STORE_URL and its credentials."


class BucketUnavailable(RetryableFailure):
    """The watched bucket cannot be listed or read, or not in time."""

    code = "bucket_unavailable"
    default_remedy = "Check REFRAMER_UPLOADS_URL and its credentials; the sensor goes on by itself."


class ObjectMissing(PermanentFailure):
    """An object that the manifest names is not in the store."""

    code = "object_missing"
    default_remedy = "Run `reframer run --force` for this video to make it anew."


class StoreMismatch(PermanentFailure):
    """Store and database carry different ids: they do not belong together."""

    code = "store_mismatch"
    default_remedy = "Point REFRAMER_STORE_URL and REFRAMER_DATABASE_URL at a pair that belongs together; nothing was changed."


class SchemaMismatch(PermanentFailure):
    """The database's tables were made by another version of the program, or an applied migration was edited."""

    code = "schema_mismatch"
    default_remedy = "Use the version of the program that the database was migrated with, or a newer one."


class InputMissing(PermanentFailure):
    """A stage was asked for before the stages it reads."""

    code = "input_missing"
    default_remedy = "Materialize the stages before it for this video first, or run all of them with `reframer run`."


class UnknownVideo(PermanentFailure):
    """No video with this id."""

    code = "unknown_video"
    default_remedy = "`reframer list` shows the known videos."


class InternalError(PermanentFailure):
    """Anything unforeseen; the log has the traceback."""


def all_failures() -> list[type[ReframerError]]:
    """Every concrete failure, by code, for the README's table and its test."""

    def below(cls: type[ReframerError]) -> list[type[ReframerError]]:
        return [cls, *(leaf for sub in cls.__subclasses__() for leaf in below(sub))]

    bases = {ReframerError, PermanentFailure, RetryableFailure}
    return sorted((cls for cls in below(ReframerError) if cls not in bases), key=lambda cls: cls.code)
