"""Whether database, store and broker are fit for workers on several machines.

What belongs here: refusing what only this machine can reach. What does not: whether they answer (each says so itself).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings

_LOCAL: Final = ("", "file", "local", "memory")


def demand_broker(settings: Settings) -> str:
    """The broker's URL, for a fleet that can work.

    Raises:
        SettingsInvalid: There is none, Celery is not installed, or runs are to start processes, which a worker's may not.
    """
    if find_spec("dagster_celery") is None:
        raise SettingsInvalid("Celery is not installed.", "Install the extra: pip install 'reframer_pipeline[celery]'.")
    if settings.executor == "multiprocess":
        raise SettingsInvalid(
            "Workers keep their models, and REFRAMER_EXECUTOR=multiprocess starts a process for each stage.",
            "Leave REFRAMER_EXECUTOR out, or set it to celery: each stage then goes to a worker of its kind.",
        )
    if settings.broker_url is None:
        raise SettingsInvalid(
            "REFRAMER_BROKER_URL is not set, so no worker gets a run.",
            "Set REFRAMER_BROKER_URL to a RabbitMQ that all machines reach: amqp://user:password@host:5672//. docs/scaling.md says how.",
        )
    return settings.broker_url.get_secret_value()


def demand_shared(settings: Settings) -> None:
    """Go on only if other machines can reach the places that these settings name.

    Raises:
        SettingsInvalid: One of them is this machine's alone.
    """
    demand_broker(settings)
    for name in ("database_url", "dagster_database_url"):
        _demand_tcp(Settings.variable(name), getattr(settings, name))
    for name in ("store_url", "uploads_url"):
        url = getattr(settings, name)
        if url is None or urlsplit(url).scheme in _LOCAL:
            raise SettingsInvalid(
                f"{Settings.variable(name)} is {'not set' if url is None else 'a folder of this machine'}: "
                "workers on other machines cannot read it.",
                f"Set {Settings.variable(name)} to a bucket, such as s3://my-bucket/reframer, on all machines.",
            )


def _demand_tcp(variable: str, value: SecretStr | None) -> None:
    remedy = f"Set {variable} to a server that listens on TCP, such as postgresql://user:password@host/database, on all machines."
    if value is None:
        raise SettingsInvalid(f"{variable} is not set. The embedded PostgreSQL serves one machine only.", remedy)
    parts = urlsplit(value.get_secret_value())
    hosts = [parts.hostname or "", *parse_qs(parts.query).get("host", [])]
    named = [host for host in hosts if host]
    if not named or any(host.startswith(("/", "%2F", "%2f", "@")) for host in named):
        raise SettingsInvalid(f"{variable} names a Unix socket, which serves one machine only.", remedy)
