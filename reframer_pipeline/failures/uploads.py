"""Failures that lie in the upload itself: what it is, what it holds, how large it is."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, PermanentFailure, RetryableFailure


class FileNotReadable(PermanentFailure):
    """The path does not exist, is no regular file, or may not be read."""

    code = "file_not_readable"
    default_remedy = "Check the path and its permissions."


class NoVideosThere(CallerError):
    """No file that was named: the folder holds no video, or the pattern matches nothing."""

    code = "no_videos_there"
    default_remedy = "Name a folder with mp4, mov or avi files in it, or the files themselves."


class FileTooLarge(PermanentFailure):
    """More bytes than `max_upload_mb`."""

    code = "file_too_large"
    default_remedy = (
        "Upload a smaller file, or raise REFRAMER_MAX_UPLOAD_MB; a file of the bucket is then looked at again by `reframer uploads retry`."
    )


class UploadChanged(RetryableFailure):
    """The upload was written to while it was copied."""

    code = "upload_changed"
    default_remedy = "Wait until the upload has finished; it is then taken up again."


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


class IngestAbandoned(PermanentFailure):
    """An upload in the bucket could not be taken in, however often it was tried."""

    code = "ingest_abandoned"
    default_remedy = (
        "Mend what the ingest runs' logs say, then run `reframer uploads retry` with its id. To upload the same file again helps under "
        "another name; under the same one it helps in a folder, where its time changes, but not on S3, where its tag is made of its bytes."
    )


class BucketUnavailable(RetryableFailure):
    """The watched bucket cannot be listed or read, or not in time."""

    code = "bucket_unavailable"
    default_remedy = "Check REFRAMER_UPLOADS_URL and its credentials; the sensor goes on by itself."
