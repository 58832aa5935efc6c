"""The object store: files under keys, in a folder or behind any fsspec URL.

What belongs here: whole-object put, open, list and delete, and the mark that ties a store to its database. What does not: which
object belongs to what (`commit`, `uploads.ingest`). Keys are relative POSIX paths. An object is never changed once it is
there: a put is atomic (a rename in a folder, one upload elsewhere) and results always go under new names.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from reframer_pipeline.failures import InternalError, ObjectMissing, SettingsInvalid, StoreMismatch, StoreUnavailable
from reframer_pipeline.settings import Settings
from reframer_pipeline.store.walk import find_all

if TYPE_CHECKING:
    import psycopg

    from reframer_pipeline.database.postgres import Database, Row

MARK = "store.json"
PART_BYTES = 8 * 2**20  # S3 takes 10,000 parts of at least 5 MiB


class ObjectStore:
    """Objects by key below one root.

    Attributes:
        root: Local folder, or None if the store is remote.
    """

    def __init__(self, url: str) -> None:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._fs, self._base = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsInvalid(
                f"The object store's URL cannot be used: {type(error).__name__}.",
                "Use a folder, or an fsspec URL whose package is installed (s3://…: install reframer_pipeline[s3]).",
            ) from error
        self.root: Path | None = Path(self._base) if isinstance(self._fs, LocalFileSystem) else None

    @classmethod
    def open(cls, settings: Settings) -> ObjectStore:
        """The store of these settings; nothing is read or written yet."""
        return cls(settings.objects_url)

    def __repr__(self) -> str:
        return f"ObjectStore({self._base})"

    def local_path(self, key: str) -> Path | None:
        """Where the object lies if the store is a local folder, whether it exists or not."""
        return None if self.root is None else self.root / _checked(key)

    def put(self, source: Path, key: str, alive: Callable[[], None] = lambda: None) -> int:
        """Store a file under a key, durably: it is whole and on disk when this returns.

        In a local store the object may be a hard link to `source`, which must not be changed afterwards: for our own finished
        files, never for a user's upload.

        Args:
            source: The file.
            key: Where to.
            alive: Called while it gets on, every few megabytes: a slow upload is no upload that stands still.

        Returns:
            Bytes stored.

        Raises:
            StoreUnavailable: It cannot be written.
        """
        with self._mapped(key, writing=True):
            target = self.local_path(key)
            if target is None:
                from fsspec.callbacks import Callback

                told = Callback(hooks={"alive": lambda size, value, **_: alive()})
                self._fs.put_file(str(source), self._path(key), callback=told, **self._in_parts())
            else:
                _put_local(source, target, alive)
            return source.stat().st_size

    def put_bytes(self, content: bytes, key: str) -> None:
        """Store a small object, as atomically as `put`."""
        with self._mapped(key, writing=True):
            target = self.local_path(key)
            if target is None:
                self._fs.pipe_file(self._path(key), content)
            else:
                with _beside(target) as part:
                    part.write_bytes(content)

    def open_object(self, key: str) -> BinaryIO:
        """The object, open for reading, seekable. Remote objects are read in the ranges that are asked for.

        Raises:
            ObjectMissing: There is none.
        """
        with self._mapped(key):
            target = self.local_path(key)
            return open(target, "rb") if target is not None else cast(BinaryIO, self._fs.open(self._path(key), "rb"))

    def get(self, key: str, target: Path) -> None:
        """Copy an object into a local file."""
        with self._mapped(key):
            self._fs.get_file(self._path(key), str(target))

    def exists(self, key: str) -> bool:
        """Whether there is an object under this key."""
        with self._mapped(key):
            self._fs.invalidate_cache()
            try:  # not by `isfile`, which says no when nobody answers
                return bool(self._fs.info(self._path(key))["type"] == "file")
            except (FileNotFoundError, NotADirectoryError):
                return False

    def delete(self, key: str) -> None:
        """Delete an object; it is no error if there is none."""
        with contextlib.suppress(ObjectMissing), self._mapped(key):
            self._fs.rm_file(self._path(key))

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects below a folder, sorted."""
        with self._mapped(prefix):
            try:
                found = find_all(self._fs, self._path(prefix))
            except FileNotFoundError:
                return
        base = self._base.rstrip("/") or "/"
        yield from sorted(str(PurePosixPath(path).relative_to(base)) for path in found if not path.endswith(".part"))

    def _in_parts(self) -> dict[str, int]:
        """Cloud stores would say nothing during the first hundred megabytes; those that upload in parts are asked for small ones."""
        taken = inspect.signature(getattr(self._fs, "_put_file", self._fs.put_file)).parameters
        return {"chunksize": PART_BYTES} if "chunksize" in taken else {}

    def _path(self, key: str) -> str:
        return f"{self._base.rstrip('/')}/{_checked(key)}"

    @contextlib.contextmanager
    def _mapped(self, key: str, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if writing:
                raise StoreUnavailable(f"The object store refuses {key}: {error.strerror or 'no such bucket or folder'}.") from error
            raise ObjectMissing(f"The object {key} is not in the store.") from error
        except OSError as error:
            raise StoreUnavailable(f"The object store cannot be used for {key}: {error.strerror or type(error).__name__}.") from error
        except Exception as error:  # each fsspec backend brings its own library's errors
            if type(error).__module__.startswith("reframer_pipeline"):
                raise
            raise StoreUnavailable(f"The object store cannot be used for {key}: {type(error).__name__}.") from error


def bind(db: Database, store: ObjectStore) -> str:
    """See that store and database belong together; the first use of both makes it so.

    A new database takes on the id of a store that has one (that is how `rebuild` begins), a new store that of its database.

    Returns:
        The id they share.

    Raises:
        StoreMismatch: Each has an id, and they differ. Nothing is changed.
    """
    seen = _mark_of(store)

    def claim(conn: psycopg.Connection[Row]) -> str:
        conn.execute("INSERT INTO deployment (store_id) VALUES (%s) ON CONFLICT DO NOTHING", (seen or str(uuid.uuid4()),))
        row = conn.execute("SELECT store_id FROM deployment").fetchone()
        assert row is not None
        return str(row["store_id"])

    owned = db.run(claim)
    if seen is None:
        store.put_bytes(json.dumps({"store_id": owned}).encode(), MARK)
    elif seen != owned:
        raise StoreMismatch(f"The store {store!r} has the id {seen}, the database {db.where} expects {owned}.")
    return owned


def _mark_of(store: ObjectStore) -> str | None:
    try:
        with store.open_object(MARK) as file:
            mark: dict[str, Any] = json.loads(file.read())
        return str(uuid.UUID(mark["store_id"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreMismatch(f"The store's mark {MARK} cannot be read.", "Restore it, or delete it if the store is new.") from error


def _checked(key: str) -> str:
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InternalError(f"{key!r} is no key of an object.")
    return str(path)


def _put_local(source: Path, target: Path, alive: Callable[[], None]) -> None:
    with _beside(target) as part:
        try:
            os.link(source, part)
        except OSError:  # another file system, or one without links
            with open(source, "rb") as reader, open(part, "wb") as writer:
                while chunk := reader.read(PART_BYTES):
                    writer.write(chunk)
                    alive()


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A name beside the target to write to; then synced to disk and renamed, for the database will soon point at it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        _sync(part)
        part.replace(target)
        _sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
