"""The watched bucket: a folder, or anything behind an fsspec URL, that other people write to.

What belongs here: what one file in it is called and what tells its versions apart, here and in `uploads`, and getting its bytes. What
does not: listing all of it (`listing`), deciding what is to be taken in (`watching`), our own objects (`store.objects`). Nothing here
writes to the bucket, and none of its files is trusted to stay as it is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from reframer_pipeline import scratch
from reframer_pipeline.failures import BucketUnavailable, FileNotReadable, ReframerError, UploadChanged
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.filesystem import modified, open_place
from reframer_pipeline.uploads.beneath import folder_of

_BLOCK: Final = 4 << 20
_UPLOAD_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "reframer/upload")
_TAGS: Final = ("ETag", "etag", "md5Hash", "generation")


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one file in the bucket.

    Attributes:
        key: Its path below the bucket's URL, with slashes.
        size: Bytes.
        mtime: When it was last written to, in seconds since 1970; None where the bucket does not say.
        etag: Differs whenever the content does: the bucket's own tag, or else made of size and time.
    """

    key: str
    size: int
    mtime: float | None
    etag: str


def upload_id(key: str, etag: str) -> str:
    """`uploads.id` of the file under this key in the version with this tag, so that taking it in twice makes one row. Keys may hold bytes
    that are no text.
    """
    return str(uuid.uuid5(_UPLOAD_NAMESPACE, json.dumps([key, etag])))


class Bucket:
    """The files below one URL.

    Attributes:
        root: Local folder, or None if the bucket is remote.
        fs: The fsspec file system.
        base: The bucket's path on it.
    """

    def __init__(self, url: str) -> None:
        self.fs, self.base, self.root = open_place(url, "bucket", "REFRAMER_UPLOADS_URL")

    @classmethod
    def open(cls, settings: Settings) -> Bucket:
        """The bucket of these settings. Only the default folder is made if it is not there: any other may be a mount that is missing."""
        bucket = cls(settings.bucket_url)
        if settings.uploads_url is None and bucket.root is not None:
            scratch.made(bucket.root)
        return bucket

    def find(self, key: str) -> Entry | None:
        """The file under this key, as it is now; None if there is none.

        Raises:
            FileNotReadable: It may not be looked at.
            BucketUnavailable: The bucket does not answer.
        """
        with reading_bucket():
            try:
                return self._look(key)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
            except PermissionError as error:  # the listing was allowed: of this file
                raise FileNotReadable(f"{PurePosixPath(key).name} may not be looked at in the bucket.") from error
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return None
                raise

    def expect(self, key: str, etag: str) -> Entry:
        """The file under this key, if it is still the version with this tag.

        Raises:
            UploadChanged: It is another one, or gone.
            FileNotReadable, BucketUnavailable: As for `find`.
        """
        entry = self.find(key)
        if entry is None or entry.etag != etag:
            raise UploadChanged(f"{PurePosixPath(key).name} is {'another file now' if entry else 'no longer in the bucket'}.")
        return entry

    @contextlib.contextmanager
    def local_file(self, entry: Entry, folder: Path) -> Iterator[Path]:
        """The file as a local path; read it only. A local bucket's own file is given out, a remote one is downloaded for the block. In
        a local one, a folder of the path may be swapped for a link at any time (`beneath`).

        Raises:
            UploadChanged: It is longer or shorter than it was said to be, as where the connection broke off in silence.
            FileNotReadable: The bucket has it but does not give it out, as from an archive.
            BucketUnavailable: The download broke off.
            DiskFull, MachineTrouble, HomeNotWritable: The folder cannot be used.
        """
        if self.root is not None:
            yield self.root / entry.key
            return
        with scratch.private(folder) as place:
            download = place / PurePosixPath(entry.key).name[-60:]  # for messages; file systems allow 255 bytes, stores more
            self._download(entry, download)
            yield download

    def entry(self, key: str, info: Mapping[str, Any]) -> Entry:
        """What a file system's `info` says of a file."""
        size, mtime = int(info.get("size") or 0), modified(info)
        etag = next((str(info[name]).strip('"') for name in _TAGS if info.get(name)), f"{size}-{mtime}")
        return Entry(key, size, mtime, etag)

    def local_entry(self, key: str, size: int, mtime_ns: int) -> Entry:
        """A file of a local bucket."""
        return Entry(key, size, mtime_ns / 1e9, f"{size}-{mtime_ns}")

    def _look(self, key: str) -> Entry:
        if self.root is not None:
            with folder_of(self.root, key) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):  # as in the listing: links are not followed
                raise FileNotFoundError(key)
            return self.local_entry(key, found.st_size, found.st_mtime_ns)
        self.fs.invalidate_cache()
        return self.entry(key, self.fs.info(f"{self.base}/{key}"))

    def _download(self, entry: Entry, target: Path) -> None:
        size = 0
        with scratch.writing(target.parent), target.open("wb") as writing:
            for block in self._blocks(entry):
                size += len(block)
                if size > entry.size:
                    raise UploadChanged(f"{PurePosixPath(entry.key).name} grew while it was read.")
                writing.write(block)
        if size != entry.size:
            raise UploadChanged(f"{PurePosixPath(entry.key).name} ended after {size} of {entry.size} bytes.")

    def _blocks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a file. Trouble with reading gets its name here, where that with writing does not come by."""
        with reading_bucket():
            try:
                with self.fs.open(f"{self.base}/{entry.key}", "rb") as reading:
                    while block := reading.read(_BLOCK):
                        yield block
            except PermissionError as error:  # fsspec's word for a 403 and for an object that lies in an archive
                raise FileNotReadable(f"{PurePosixPath(entry.key).name} is in the bucket, but may not be read from it.") from error


@contextlib.contextmanager
def reading_bucket() -> Iterator[None]:
    """Give the errors of any file system a name. A file that is not there stays a `FileNotFoundError`.

    Raises:
        BucketUnavailable: Anything else that goes wrong with the bucket.
    """
    try:
        yield
    except (ReframerError, FileNotFoundError):
        raise
    except Exception as error:  # each fsspec backend brings its own library's errors, whose text may hold addresses and keys
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise BucketUnavailable(f"The bucket cannot be read: {reason}.") from error
