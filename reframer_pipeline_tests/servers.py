"""Real servers for tests: the embedded PostgreSQL, Debian's PostgreSQL 15, and PgBouncer with TLS before it.

Each is private: a folder and a loopback port of its own, run as a non-root user, stopped at the end of the session. Where
a server's programs are not installed, its tests are skipped with the reason. `database_url` gives a fresh database on each.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import pytest
from psycopg import sql

from reframer_pipeline.database import embedded
from reframer_pipeline.settings import Settings

PASSWORD = "se cret/word"


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        direct: URL template with `{database}`, not through a pooler: for administration.
        url: URL template with `{database}`, as the pipeline is to use it.
        folder: Its private folder.
    """

    direct: str
    url: str
    folder: Path


def servants() -> dict[str, Any]:
    """Arguments for `subprocess` that run a program as a non-root user."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def short_folder(name: str) -> Path:
    """A folder with a short path, since the length of a socket's path is limited."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))


def private_folder(name: str) -> Path:
    """A short folder that the non-root user owns."""
    folder = short_folder(name)
    ids = servants()
    if ids:
        os.chown(folder, ids["user"], ids["group"])
    return folder


def postgres15_programs() -> Path:
    """Folder of Debian's PostgreSQL 15 programs, or a skip."""
    folder = Path("/usr/lib/postgresql/15/bin")
    if not (folder / "initdb").exists():
        pytest.skip("Debian's PostgreSQL 15 is not installed (apt-get install postgresql)")
    return folder


def pg_ctl(programs: Path, folder: Path, *args: str, **variables: str) -> None:
    with open(folder / "pg_ctl.log", "a") as log:
        command = [str(programs / "pg_ctl"), "-w", "-D", str(folder / "data"), "-l", str(folder / "server.log"), *args]
        subprocess.run(command, check=True, stdout=log, stderr=log, cwd=folder, timeout=240, env={**os.environ, **variables}, **servants())


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Server]:
    """PostgreSQL 15 with passwords (SCRAM), on a loopback port."""
    with running_postgres15() as server:
        yield server


@contextmanager
def running_postgres15(**variables: str) -> Iterator[Server]:
    """A server of its own, with these environment variables."""
    programs, folder, port = postgres15_programs(), private_folder("pg15"), free_port()
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    ids = servants()
    if ids:
        os.chown(password_file, ids["user"], ids["group"])
    arguments = ["-D", str(folder / "data"), "-U", "reframer", "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "-N"]
    subprocess.run([str(programs / "initdb"), *arguments], check=True, capture_output=True, cwd=folder, timeout=240, **ids)
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c synchronous_commit=off -c shared_buffers=32MB"
    (folder / "options").write_text(options)
    pg_ctl(programs, folder, "-o", options, "start", **variables)
    url = f"postgresql://reframer:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/{{database}}"
    try:
        yield Server(url, url, folder)
    finally:
        pg_ctl(programs, folder, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pgbouncer_tls(postgres15: Server) -> Iterator[Server]:
    """PgBouncer in transaction mode, TLS only, before that PostgreSQL: the stand-in for a pooled URL of Neon."""
    program, openssl = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", shutil.which("openssl")
    if not Path(program).exists() or openssl is None:
        pytest.skip("pgbouncer or openssl is not installed (apt-get install pgbouncer openssl)")
    folder, port = private_folder("bouncer"), free_port()
    ids = servants()
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names], check=True, capture_output=True, cwd=folder, timeout=240, **ids)
    parts = psycopg.conninfo.conninfo_to_dict(postgres15.direct.format(database="postgres"))
    (folder / "users.txt").write_text(f'"reframer" "{PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
* = host=127.0.0.1 port={parts["port"]} user=reframer
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 4
server_reset_query =
client_tls_sslmode = require
client_tls_key_file = {folder}/key.pem
client_tls_cert_file = {folder}/cert.pem
logfile = {folder}/bouncer.log
"""
    )
    command = [program, "-q", str(folder / "pgbouncer.ini")]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **ids)
    base = postgres15.direct.replace(f":{parts['port']}/", f":{port}/")
    tls = f"{base}?sslmode=verify-full&sslrootcert={quote(str(folder / 'cert.pem'), safe='')}"
    try:
        _wait_for(port, process)
        yield Server(postgres15.direct, tls, folder)
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[Server]:
    """The embedded server, as the program starts it."""
    folder = short_folder("embedded")
    settings = Settings(home=folder / "home")
    server = embedded.server(settings)
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:  # what is tested here survives no power cut
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
    url = server.url("{database}")
    try:
        yield Server(url, url, folder)
    finally:
        embedded.stop(settings)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["embedded_server", "postgres15", "pgbouncer_tls"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new, empty database, on each kind of server in turn."""
    yield from fresh_database(request.getfixturevalue(request.param))


def embedded_processes(settings: Settings) -> list[int]:
    """All processes of the embedded server of a data folder; none where it does not run."""
    found = embedded.running(settings)
    if found is None:
        return []
    with suppress(psutil.NoSuchProcess):
        return [found.pid, *(child.pid for child in psutil.Process(found.pid).children(recursive=True))]
    return []


def tell_embedded(settings: Settings, number: signal.Signals) -> bool:
    """Send all of them a signal. Returns whether there were any."""
    pids = embedded_processes(settings)
    _tell(pids, number)
    return bool(pids)


@contextmanager
def embedded_suspended(settings: Settings) -> Iterator[bool]:
    """SIGSTOP of all its processes, as when a serverless database sleeps, until the block ends. Gives whether there were any."""
    pids = embedded_processes(settings)
    _tell(pids, signal.SIGSTOP)
    try:
        yield bool(pids)
    finally:
        _tell(pids, signal.SIGCONT)


def _tell(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def fresh_database(server: Server) -> Iterator[str]:
    """Create a database, give its URL, drop it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.direct.format(database="postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield server.url.format(database=name)
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def direct_url(url: str, request: pytest.FixtureRequest) -> str:
    """The same database, not through a pooler."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    if "sslmode" not in parts:
        return url
    server: Server = request.getfixturevalue("postgres15")
    return server.direct.format(database=parts["dbname"])


def administer(url: str, *statements: str) -> None:
    """Say something to a server as the database's owner."""
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)  # type: ignore[arg-type]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("pgbouncer did not start")
