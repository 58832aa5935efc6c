"""Every way the pipeline can refuse or fail, as types with a stable code.

What belongs in this package: the base types, one subclass per code, in a module by where the fault lies, and the list of codes, which
the docs print. What does not: catching, retrying, logging. A failure says in one sentence what happened (`message`) and in one
what to do (`remedy`). Messages never hold secrets; they may hold the user's own file name.
"""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, PermanentFailure, ReframerError, RetryableFailure
from reframer_pipeline.failures.gemini import (
    GEMINI_FAILURES,
    GeminiAnswerInvalid,
    GeminiBlocked,
    GeminiFileNotReady,
    GeminiFileRefused,
    GeminiKeyRefused,
    GeminiModelUnknown,
    GeminiRateLimited,
    GeminiRequestRefused,
    GeminiUnavailable,
)
from reframer_pipeline.failures.models import DownloadFailed, OutOfMemory, WeightsChanged, WeightsCorrupt, WeightsMissing, WeightsUntrusted
from reframer_pipeline.failures.running import (
    InputMissing,
    InternalError,
    Interrupted,
    MediaToolMissing,
    MediaToolTimeout,
    OutputNotWritable,
    Quarantined,
    RunDied,
    SettingsInvalid,
    StageStalled,
)
from reframer_pipeline.failures.storage import (
    DatabaseFull,
    DatabaseUnavailable,
    DiskFull,
    FramesEvicted,
    HomeNotWritable,
    InvalidResult,
    LeaseLost,
    NotPublished,
    ObjectMissing,
    SchemaMismatch,
    StoreMismatch,
    StoreUnavailable,
    UnknownVideo,
    VideoBusy,
)
from reframer_pipeline.failures.uploads import (
    BucketUnavailable,
    DamagedVideo,
    DimensionsOutOfRange,
    EncryptedVideo,
    FileNotReadable,
    FileTooLarge,
    FrameStoreTooLarge,
    IngestAbandoned,
    NoDecodableFrames,
    NotAVideo,
    NoVideoStream,
    TooManyStreams,
    TruncatedVideo,
    UnsupportedCodec,
    UploadChanged,
    VideoTooLong,
)

__all__ = [
    "BucketUnavailable",
    "IngestAbandoned",
    "FramesEvicted",
    "CallerError",
    "Interrupted",
    "Quarantined",
    "RunDied",
    "DamagedVideo",
    "DatabaseFull",
    "DatabaseUnavailable",
    "DimensionsOutOfRange",
    "DiskFull",
    "DownloadFailed",
    "EncryptedVideo",
    "FileNotReadable",
    "FileTooLarge",
    "FrameStoreTooLarge",
    "GEMINI_FAILURES",
    "GeminiAnswerInvalid",
    "GeminiBlocked",
    "GeminiFileNotReady",
    "GeminiFileRefused",
    "GeminiKeyRefused",
    "GeminiModelUnknown",
    "GeminiRateLimited",
    "GeminiRequestRefused",
    "GeminiUnavailable",
    "HomeNotWritable",
    "InputMissing",
    "InternalError",
    "InvalidResult",
    "LeaseLost",
    "MediaToolMissing",
    "MediaToolTimeout",
    "NoDecodableFrames",
    "NoVideoStream",
    "NotAVideo",
    "NotPublished",
    "ObjectMissing",
    "OutOfMemory",
    "OutputNotWritable",
    "PermanentFailure",
    "ReframerError",
    "RetryableFailure",
    "SchemaMismatch",
    "SettingsInvalid",
    "StageStalled",
    "StoreMismatch",
    "StoreUnavailable",
    "TooManyStreams",
    "TruncatedVideo",
    "UnknownVideo",
    "UnsupportedCodec",
    "UploadChanged",
    "VideoBusy",
    "VideoTooLong",
    "WeightsChanged",
    "WeightsCorrupt",
    "WeightsMissing",
    "WeightsUntrusted",
    "all_failures",
]


def all_failures() -> list[type[ReframerError]]:
    """Every concrete failure, by code, for the table in docs and its test."""

    def below(cls: type[ReframerError]) -> list[type[ReframerError]]:
        return [cls, *(leaf for sub in cls.__subclasses__() for leaf in below(sub))]

    bases = {ReframerError, PermanentFailure, CallerError, RetryableFailure}
    return sorted((cls for cls in below(ReframerError) if cls not in bases), key=lambda cls: cls.code)
