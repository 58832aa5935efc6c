"""Dagster's lasting instance: its folder in the data folder, its configuration, its database.

What belongs here: making DAGSTER_HOME and opening the instance. What does not: what runs on it. The configuration is the
project's `dagster.yaml`; an installed package carries the same file.
"""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

import dagster as dg

from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import embedded

URL_VARIABLE = "REFRAMER_DAGSTER_DATABASE_URL"


def template() -> Path:
    """`dagster.yaml` of the checkout, or the copy that an installed distribution carries."""
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "dagster.yaml"
    listed = metadata.files("reframer_pipeline") or []
    (found,) = (Path(str(file.locate())) for file in listed if file.name == "dagster.yaml")
    return found


def prepare(settings: Settings) -> dict[str, str]:
    """Make the instance folder and return the environment that Dagster's processes need.

    Starts the embedded Postgres unless a Dagster database is configured.
    """
    home = settings.home_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists() or (home / "dagster.yaml").read_bytes() != template().read_bytes():
        shutil.copyfile(template(), home / "dagster.yaml")
    if settings.dagster_database_url is not None:
        url = psycopg2_url(settings.dagster_database_url.get_secret_value())
    else:
        url = embedded.dagster_url(settings)
    return {"DAGSTER_HOME": str(home), URL_VARIABLE: url, "REFRAMER_HOME": str(settings.home_dir), "DAGSTER_DISABLE_TELEMETRY": "1"}


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The lasting instance, in this process. Sets the environment that child processes of a run inherit."""
    os.environ.update(prepare(settings))
    return dg.DagsterInstance.get()


def psycopg2_url(url: str) -> str:
    """The form of a Postgres URL that SQLAlchemy 2.1 hands to psycopg2, which dagster-postgres is written for."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg2://" + url.removeprefix(prefix)
    return url
