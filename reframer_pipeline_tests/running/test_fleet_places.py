"""What other machines cannot reach is refused, and so is a fleet without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.running.fleet_places import demand_shared
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.command import started

SHARED = {
    "broker_url": "amqp://u:secret@broker//",
    "database_url": "postgresql://u:secret@db/reframer",
    "dagster_database_url": "postgresql://u:secret@db:5433/dagster?sslmode=require",
    "store_url": "s3://bucket/reframer",
    "uploads_url": "s3://bucket/drop",
}


def test_places_that_all_machines_reach_will_do(tmp_path: Path) -> None:
    demand_shared(Settings(home=tmp_path, **SHARED))
    demand_shared(Settings(home=tmp_path, **SHARED | {"database_url": "postgresql://u@/reframer?host=10.0.0.7"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in SHARED),
        ("database_url", "postgresql:///reframer"),
        ("database_url", "postgresql://u@/reframer?host=/var/run/postgresql"),
        ("database_url", "postgresql://u@%2Fvar%2Frun%2Fpostgresql/reframer"),
        ("dagster_database_url", "postgresql://u@/dagster?host=%2Ftmp"),
        ("store_url", "/mnt/objects"),
        ("store_url", "file:///mnt/objects"),
        ("uploads_url", "local://drop"),
    ],
)
def test_what_only_this_machine_reaches_is_refused(tmp_path: Path, name: str, value: str | None) -> None:
    with pytest.raises(SettingsInvalid, match=f"{Settings.variable(name)} (is|names)") as refused:
        demand_shared(Settings(home=tmp_path, **SHARED | {name: value}))
    assert Settings.variable(name) in refused.value.remedy and "secret" not in str(refused.value)


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    ran = started(tmp_path / "home", "worker", "--same-machine")
    assert ran.returncode == 2 and "REFRAMER_BROKER_URL is not set" in ran.stderr
    assert not (tmp_path / "home").exists()
