"""Uploads in parts to S3 that nobody finished: a put that was killed leaves its parts, which no listing shows and which are paid for.

What belongs here: finding and ending them. What does not: which of them are left over (`retention.orphans`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

_log = logging.getLogger(__name__)


class Unfinished(NamedTuple):
    """An upload in parts.

    Attributes:
        path: On the file system, of the object that it was to be.
        began: When, with time zone.
        upload_id: S3's name for it.
    """

    path: str
    began: datetime
    upload_id: str


def find(fs: Any, path: str) -> Iterator[Unfinished]:
    """All uploads in parts below a path. None where the file system is no S3, or does not list them: objects do not depend on it."""
    if "s3" not in fs.protocol:
        return
    bucket, beginning, _ = fs.split_path(path)
    after: dict[str, str] = {}
    while True:
        try:
            page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{beginning}/", **after)
        except Exception as error:  # a right of its own (s3:ListBucketMultipartUploads), which not all have, nor do all servers know it
            _log.warning("Unfinished uploads to %s cannot be listed: %s.", bucket, type(error).__name__)
            return
        for one in page.get("Uploads", ()):
            yield Unfinished(f"{bucket}/{one['Key']}", one["Initiated"], one["UploadId"])
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def abort(fs: Any, path: str, upload_id: str) -> None:
    """End one, and delete its parts; it is no error if it has ended."""
    bucket, key, _ = fs.split_path(path)
    fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)
