"""Dagster's instance follows the settings: its limits and its database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reframer_pipeline.orchestration.tags import PARTITION_TAG
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.support import REPOSITORY


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A Dagster database that is named and never opened."""
    made = Settings.model_validate({"home": tmp_path, "dagster_database_url": "postgres://someone@example.org/dagster"})
    return made.model_copy(update={"max_concurrent_runs": 5, "gpu_pool_limit": 3})


def test_the_limits_are_those_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    for wanted in (settings, settings.model_copy(update={"gpu_pool_limit": 4})):  # a file that is there is brought up to date
        dagster_home.prepare(wanted)
        written = yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_text())
        runs = written["concurrency"]["runs"]
        assert (runs["max_concurrent_runs"], runs["tag_concurrency_limits"]) == (6, [{"key": PARTITION_TAG, "limit": 5}])
        assert written["concurrency"]["pools"] == {"default_limit": wanted.gpu_pool_limit, "granularity": "op"}
        assert [path.name for path in (tmp_path / "dagster").iterdir()] == ["dagster.yaml"]


def test_the_rest_is_the_projects_file(settings: Settings) -> None:
    usual = settings.model_copy(update={"max_concurrent_runs": 2, "gpu_pool_limit": 1})
    assert yaml.safe_load(dagster_home.configuration(usual)) == yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())


def test_dagster_reads_the_limits(settings: Settings, tmp_path: Path) -> None:
    variables = dagster_home.prepare(settings)
    assert variables[dagster_home.URL_VARIABLE] == "postgresql+psycopg2://someone@example.org/dagster"
    code = (
        "from dagster._core.instance.config import dagster_instance_config as load; import sys; "
        "pools = load(sys.argv[1])[0]['concurrency']; print(pools['pools']['default_limit'], pools['runs']['max_concurrent_runs'])"
    )
    ran = subprocess.run([sys.executable, "-c", code, variables["DAGSTER_HOME"]], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3", "6"]
