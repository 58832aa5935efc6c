"""The embedded broker: a real RabbitMQ of this machine in the data folder, for warm workers on one machine.

What belongs here: its files, its command, and its URL. What does not: who keeps it running (`cli.dev`), what is sent
(`orchestration.fleet`).
It listens on loopback alone, and so does Erlang's own port mapper; its password is in a file of the data folder that nobody else may read.
Messages are kept on disk: what waits when it ends is handed out when it is back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reframer_pipeline import scratch
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings

# Debian's own wrapper changes to another user; this is what it starts.
_PLACES: Final = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server")
USER: Final = "reframer"
PATIENCE_S: Final = 30.0


@dataclass(frozen=True)
class Broker:
    """One that can be started.

    Attributes:
        command: Starts it in the foreground; SIGTERM ends it.
        environment: What it needs beside the usual.
        url: How clients reach it. Holds its password.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    url: str


def program() -> str | None:
    """RabbitMQ's server, if it is installed."""
    return next((place for place in _PLACES if os.access(place, os.X_OK)), None) or shutil.which("rabbitmq-server")


def broker(settings: Settings) -> Broker:
    """Make its files, take free ports, and end one that a killed process has left. It is not started.

    Raises:
        SettingsInvalid: RabbitMQ is not installed.
        HomeNotWritable, DiskFull: The data folder cannot be used.
    """
    server = program()
    if server is None:
        raise SettingsInvalid(
            "RabbitMQ, which hands runs to workers, is not installed.",
            "Install it: sudo apt-get install -y rabbitmq-server. Or set REFRAMER_BROKER_URL to one that runs elsewhere.",
        )
    folder = scratch.made(settings.home_dir / "rabbitmq")
    folder.chmod(0o700)
    _end_leftover(folder)
    with scratch.writing(folder):
        password, cookie = _secret(folder / "password"), _secret(folder / ".erlang.cookie")
        port, between = _free_port(), _free_port()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = {USER}\ndefault_pass = {password}\n"
            "consumer_timeout = 86400000\nlog.console = false\ndisk_free_limit.absolute = 50MB\n"
        )
        (folder / "plugins").write_text("[].\n")
        (folder / "advanced.config").write_text("[].\n")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"reframer-{_digest(folder)}@localhost",
        "RABBITMQ_ERLANG_COOKIE": cookie,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),  # else in the working folder, for all to read, with the cookie in it
        "RABBITMQ_DIST_PORT": str(between),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    return Broker((server,), environment, f"amqp://{USER}:{password}@127.0.0.1:{port}//")


def _secret(file: Path) -> str:
    """What the file holds; made once."""
    if not file.exists():
        part = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        part.touch(mode=0o600)
        part.write_text(secrets.token_hex(24))
        part.chmod(0o400)
        part.rename(file)
    return file.read_text().strip()


def _end_leftover(folder: Path) -> None:
    import psutil

    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / "pid").read_text()))
        if process.environ().get("HOME") == str(folder):
            process.terminate()
            process.wait(PATIENCE_S)


def _digest(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:12]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
