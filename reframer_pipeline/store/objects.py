"""The object store: files under keys, in a folder or behind any fsspec URL.

What belongs here: whole-object put, open, list and delete, and under which key each object lies. What does not: which object belongs to
what (`commit`, `uploads.ingest`). Keys are relative POSIX paths. An object is never changed once it is there: a put is atomic (a rename in
a folder, one upload elsewhere) and results always go under new names. Only what `shown` has is written again.

    videos/AB/SHA256                          an upload, by its content; AB are the first two digits
    results/VIDEO/STAGE/RESULT.UNIQUE.SUFFIX  a Parquet file, or what is attached to one; each try has a name of its own
    proxies/VIDEO/UNIQUE.mp4                  a copy for browsers
    deliverables/VIDEO/ID.UNIQUE.SUFFIX       a matte or a reframed video; each try has a name of its own
    shown/VIDEO.json                          which set readers see of a video that was corrected (`results.shown`)
    store.json                                which database the store belongs to (`mark`)
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple, cast

from reframer_pipeline import scratch
from reframer_pipeline.failures import DiskFull, InternalError, ObjectMissing, ReframerError, StoreUnavailable
from reframer_pipeline.failures.typing import FULL
from reframer_pipeline.settings import Settings
from reframer_pipeline.store import folder, multipart
from reframer_pipeline.store.filesystem import find_all, modified, open_place
from reframer_pipeline.store.reading import Reading

PART_BYTES: Final = 8 * 2**20  # S3 takes 10,000 parts of at least 5 MiB
_BEGINNINGS: Final = "0123456789abcdef"  # of a video's id, or of a digest: all our objects lie below such a name
VIDEOS: Final = "videos"
RESULTS: Final = "results"
PROXIES: Final = "proxies"
DELIVERABLES: Final = "deliverables"
SHOWN: Final = "shown"
MARK: Final = "store.json"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PART: Final = r"(?P<part>\.[0-9a-f]+\.part)?"  # what is left of a put that was cut off
_UNFINISHED: Final = re.compile(r"\.[0-9a-f]+\.part$")
VIDEO_PATTERN: Final = re.compile(rf"{VIDEOS}/[0-9a-f]{{2}}/(?P<sha256>[0-9a-f]{{64}}){_PART}")
RESULT_PATTERN: Final = re.compile(rf"{RESULTS}/(?P<video>{_UUID})/(?P<stage>[a-z_]+)/{_UUID}\.[0-9a-f]+\.[a-z0-9]+?{_PART}")

PROXY_PATTERN: Final = re.compile(rf"{PROXIES}/{_UUID}/{_UUID}\.mp4{_PART}")
DELIVERABLE_PATTERN: Final = re.compile(rf"{DELIVERABLES}/{_UUID}/{_UUID}\.[0-9a-f]+\.[a-z0-9]+?{_PART}")


def video_key(sha256: str) -> str:
    """Where a video file lies."""
    return f"{VIDEOS}/{sha256[:2]}/{sha256}"


def result_key(video_id: str, stage: str, name: str) -> str:
    """Where an object of a result lies; its name begins with the result's id and was never used before."""
    return f"{RESULTS}/{video_id}/{stage}/{name}"


def proxy_key(video_id: str, unique: str) -> str:
    """Where a video's copy for browsers lies, under a name that was never used before."""
    return f"{PROXIES}/{video_id}/{unique}.mp4"


def deliverable_key(video_id: str, deliverable_id: str, unique: str, suffix: str) -> str:
    """Where a deliverable lies, under a name that was never used before. `unique` is hexadecimal, the suffix begins with its dot."""
    return f"{DELIVERABLES}/{video_id}/{deliverable_id}.{unique}{suffix}"


def shown_key(video_id: str) -> str:
    """Where it is noted which set readers see of a video."""
    return f"{SHOWN}/{video_id}.json"


class StoredObject(NamedTuple):
    """An object, or an unfinished part of one.

    Attributes:
        key: Relative to the store.
        bytes: Its size.
        modified: When it was written, with time zone; None if the store does not say.
        upload_id: Of an upload in parts that goes on or was cut off. It is no object, so its key is made up, and its size unknown.
    """

    key: str
    bytes: int
    modified: datetime | None
    upload_id: str | None = None


class ObjectStore:
    """Objects by key below one root.

    Attributes:
        root: Local folder, or None if the store is remote.
        private: Whether it lies in the data folder, which nobody else may enter. Any other one may be shared: the umask says with whom.
        demand_ours: Raises `StoreUnavailable` if it is no longer the store that was bound to the database (`mark.bind`). A disk that is
            not mounted looks like an empty store: that an object is missing is believed, and a folder is written to, only after this.
    """

    def __init__(self, url: str, home: Path | None = None) -> None:
        """The store at a URL; `home` is the data folder, where a store is private."""
        self.demand_ours: Callable[[], None] = lambda: None
        self._fs, self._base, self.root = open_place(url, "object store", "REFRAMER_STORE_URL")
        self.private = home is not None and self.root is not None and self.root.resolve().is_relative_to(home)

    @classmethod
    def open(cls, settings: Settings) -> ObjectStore:
        """The store of these settings; nothing is read or written yet."""
        return cls(settings.objects_url, settings.home_dir)

    def __repr__(self) -> str:
        return f"ObjectStore({self._base})"

    def local_path(self, key: str) -> Path | None:
        """Where the object lies if the store is a local folder, whether it exists or not."""
        return None if self.root is None else self.root / _checked(key)

    def put(self, source: Path, key: str, alive: Callable[[], None] = lambda: None) -> int:
        """Store a file under a key, durably: it is whole and on disk when this returns.

        In a private store the object may be a hard link to `source`, which must not be changed afterwards: for our own finished
        files, never for a user's upload.

        Args:
            source: The file.
            key: Where to.
            alive: Called while it gets on, every few megabytes: a slow upload is no upload that stands still.

        Returns:
            Bytes stored.

        Raises:
            StoreUnavailable: It cannot be written.
            DiskFull: A store that is a folder has no room.
        """
        with self._mapped(key, writing=True):
            target = self._target(key)
            if target is None:
                from fsspec.callbacks import Callback

                told = Callback(hooks={"alive": lambda size, value, **_: alive()})
                self._fs.put_file(str(source), self._path(key), callback=told, **self._in_parts())
            else:
                folder.put(source, target, alive, self.private)
            return source.stat().st_size

    def put_bytes(self, content: bytes, key: str) -> None:
        """Store a small object, as atomically as `put`."""
        with self._mapped(key, writing=True):
            target = self._target(key)
            if target is None:
                self._fs.pipe_file(self._path(key), content)
            else:
                with folder.beside(target) as part:
                    part.write_bytes(content)

    def open_object(self, key: str) -> BinaryIO:
        """The object, open for reading, seekable. Remote objects are read in the ranges that are asked for.

        Raises:
            ObjectMissing: There is none.
            StoreUnavailable: It cannot be opened; later, from the file itself, it cannot be read on.
        """
        with self._mapped(key):
            target = self.local_path(key)
            mapped = partial(self._mapped, key)
            return cast(BinaryIO, Reading(open(target, "rb") if target is not None else self._fs.open(self._path(key), "rb"), mapped))

    def get(self, key: str, target: Path) -> None:
        """Copy an object into a local file.

        Raises:
            ObjectMissing: There is none.
            StoreUnavailable: It cannot be read, or broke off.
            DiskFull: The file has no room.
        """
        with self._mapped(key):
            self._fs.get_file(self._path(key), str(target))
            if target.stat().st_size != self._fs.size(self._path(key)):
                raise StoreUnavailable(f"The object store broke off in the middle of {key}.")

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""
        with self._mapped(key):
            self._fs.invalidate_cache()
            try:  # not by `isfile`, which says no when nobody answers
                return bool(self._fs.info(self._path(key))["type"] == "file")
            except (FileNotFoundError, NotADirectoryError):
                self._demand_ours(key)
                return False

    def delete(self, key: str) -> None:
        """Delete an object; it is no error if there is none. In a folder, those go with it that are empty then."""
        with contextlib.suppress(ObjectMissing), self._mapped(key):
            self._fs.rm_file(self._path(key))
        if (gone := self.local_path(key)) is not None and self.root is not None:
            folder.prune(gone.parent, self.root)

    def discard(self, found: StoredObject) -> None:
        """Delete what an inventory has found, be it an object, a part of one, or an upload in parts."""
        if found.upload_id is None:
            self.delete(found.key)
            return
        with contextlib.suppress(ObjectMissing), self._mapped(found.key):
            multipart.abort(self._fs, self._path(_UNFINISHED.sub("", found.key)), found.upload_id)

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects below a folder, sorted."""
        yield from sorted(one.key for one in self._below(prefix) if not one.key.endswith(".part"))

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        """Everything of ours below a folder, unfinished `.part` files and uploads included; nothing holds all of it at once.

        Raises:
            StoreUnavailable: It cannot be listed.
        """
        for beginning in _BEGINNINGS if "s3" in self._fs.protocol else ("",):
            yield from self._below(prefix, beginning)
        with self._mapped(prefix):
            for one in multipart.find(self._fs, self._path(prefix)):
                made_up = f"{self._key(one.path)}.{hashlib.sha256(one.upload_id.encode()).hexdigest()[:8]}.part"
                yield StoredObject(made_up, 0, one.began, one.upload_id)

    def _below(self, prefix: str, beginning: str = "") -> Iterator[StoredObject]:
        with contextlib.suppress(ObjectMissing), self._mapped(prefix):
            for path, info in find_all(self._fs, self._path(prefix), beginning):
                seconds = modified(info)
                at = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
                yield StoredObject(self._key(path), int(info.get("size") or 0), at)
            self._demand_ours(prefix)  # of a disk that was unmounted meanwhile, the rest of the folders seem to have vanished

    def _in_parts(self) -> dict[str, int]:
        """Cloud stores would say nothing during the first hundred megabytes; those that upload in parts are asked for small ones."""
        taken = inspect.signature(getattr(self._fs, "_put_file", self._fs.put_file)).parameters
        return {"chunksize": PART_BYTES} if "chunksize" in taken else {}

    def _target(self, key: str) -> Path | None:
        """`local_path` to write to: its folders will be made, and those of a disk that is not mounted must not be."""
        if self.root is not None:
            self._demand_ours(key)
            if self.private:
                scratch.make(self.root)
        return self.local_path(key)

    def _demand_ours(self, key: str) -> None:
        if key != MARK:
            self.demand_ours()

    def _key(self, path: str) -> str:
        return str(PurePosixPath(path).relative_to(self._base or "/"))

    def _path(self, key: str) -> str:
        return f"{self._base}/{_checked(key)}"

    @contextlib.contextmanager
    def _mapped(self, key: str, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if writing:
                raise StoreUnavailable(f"The object store refuses {key}: {error.strerror or 'no such bucket or folder'}.") from error
            self._demand_ours(key)
            raise ObjectMissing(f"The object {key} is not in the store.") from error
        except ReframerError:
            raise
        except Exception as error:  # each fsspec backend brings its own library's errors
            if isinstance(error, OSError) and error.errno in FULL:  # no remote store says so: it is a disk of ours
                raise DiskFull(f"There is no room for {key}: {error.strerror}.") from error
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise StoreUnavailable(f"The object store cannot be used for {key}: {reason}.") from error


def _checked(key: str) -> str:
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InternalError(f"{key!r} is no key of an object.")
    return str(path)
