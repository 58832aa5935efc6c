"""Data that earlier versions made is opened whole, and stale only where a code version was raised since: each folder here has a store and
a database dump (README.md).
"""

from __future__ import annotations

import json
import lzma
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from PIL import Image
from psycopg.rows import dict_row

from reframer_pipeline.cli import app
from reframer_pipeline.reading.tables import TABLES as VOCABULARY
from reframer_pipeline.reading.tables import batches, published_set
from reframer_pipeline.results import parquet
from reframer_pipeline.results.digest import ContentDigest
from reframer_pipeline.results.storage import open_storage, storage_of
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.agreement import assert_database_holds_parquet
from reframer_pipeline_tests.servers import Server, fresh_database

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent.name for path in HERE.glob("*/objects.tar.xz"))
STALE = {"0.1.0": set(NAMES)}  # the code version of metadata, which all others read, was raised after it
TABLES = ("results", "published", "detections", "segmentation_masks", "tracking_trajectories", "scene_analysis")


@dataclass(frozen=True)
class Deployment:
    """A data folder with its databases, as today's commands see it, and the stages whose results are stale by now."""

    stale: set[str]
    home: Path
    database_url: str
    dagster_url: str

    @property
    def settings(self) -> Settings:
        given = {"home": self.home, "database_url": self.database_url, "dagster_database_url": self.dagster_url}
        return Settings.model_validate({**given, "models": "demo", "device": "cpu"})

    def reframer(self, *args: str | Path) -> str:
        """A command's standard output. It must end well."""
        variables: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("REFRAMER_", "GEMINI_"))}
        variables |= {"REFRAMER_HOME": str(self.home), "REFRAMER_DEVICE": "cpu", "REFRAMER_MODELS": "demo"}
        variables |= {"REFRAMER_DATABASE_URL": self.database_url, "REFRAMER_DAGSTER_DATABASE_URL": self.dagster_url}
        ran = CliRunner().invoke(app, [str(arg) for arg in args], env=variables, catch_exceptions=False)
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    def rows(self, query: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, row_factory=dict_row) as conn:
            return conn.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]  # the tests' own text

    def videos(self, status: str) -> list[dict[str, Any]]:
        return self.rows(
            f"SELECT id::text AS id, sha256, filename, settings_overrides FROM videos WHERE status = '{status}' ORDER BY created_at"
        )

    def published(self) -> dict[str, set[str]]:
        """Video to the results that readers see."""
        found = self.rows("SELECT video_id::text AS video, array_agg(result_id::text) AS results FROM published GROUP BY video_id")
        return {row["video"]: set(row["results"]) for row in found}


@pytest.fixture(scope="module", params=FOLDERS)
def old(request: pytest.FixtureRequest, embedded_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """What the version left, with a Dagster database that is new."""
    home = tmp_path_factory.mktemp("old")
    with tarfile.open(HERE / request.param / "objects.tar.xz") as archive:
        archive.extractall(home, filter="data")
    with empty(embedded_server, home, STALE[request.param]) as made:
        with psycopg.connect(made.database_url) as conn:
            conn.execute(lzma.decompress((HERE / request.param / "database.sql.xz").read_bytes()))
        yield made


@contextmanager
def empty(server: Server, home: Path, stale: set[str]) -> Iterator[Deployment]:
    for results in fresh_database(server):
        for dagster in fresh_database(server):
            made = Deployment(stale, home, results, dagster)
            yield made
            storage_of(made.settings).close()


def test_a_stage_is_fresh_unless_a_code_version_was_raised(old: Deployment) -> None:
    plans = {video["video_id"]: video["stages"] for video in json.loads(old.reframer("plan", "--json"))["videos"]}
    for video in old.videos("completed"):
        lines = {line["stage"]: line for line in plans.pop(video["id"])}
        assert {stage for stage, line in lines.items() if line["state"] == "stale"} == old.stale
        assert {stage for stage, line in lines.items() if line["state"] == "fresh"} == set(NAMES) - old.stale
        for stage in old.stale:
            assert set(re.sub(r"\d+ → \d+|(?<=other )\w+", "N", lines[stage]["reason"]).split("; ")) <= {
                "code version: N",
                "other N",
                "min_sightings: unset → 1",
            }
    assert plans.keys() == {video["id"] for video in old.videos("failed")}


def test_what_was_refused_stays_refused_by_the_same_code(old: Deployment) -> None:
    (video,) = old.videos("failed")
    ((first, *others),) = [video["stages"] for video in json.loads(old.reframer("plan", video["id"], "--json"))["videos"]]
    if "metadata" in old.stale:  # what refused it is judged otherwise by now, so it is looked at again
        assert {line["state"] for line in (first, *others)} == {"missing"}
        return
    assert (first["state"], {line["state"] for line in others}) == ("failed", {"missing"})
    assert "[truncated]" in first["reason"]


def test_rows_are_those_that_were_written(old: Deployment) -> None:
    """The digest in the manifest is that of the Parquet file, and the database holds what the file does."""
    with open_storage(old.settings) as storage:
        for row in old.rows("SELECT * FROM results"):
            digest = ContentDigest()
            for batch in parquet.read_batches(storage.store.open_object(row["object_key"])):
                digest.update(batch.drop_columns(["video_id", "result_id"]))
            assert digest.hexdigest() == row["content_digest"], row["object_key"]
        for video in old.videos("completed"):
            assert min(assert_database_holds_parquet(storage, video["id"]).values()) >= 1


def test_list_and_show(old: Deployment) -> None:
    listed = {row["video_id"]: row["status"] for row in map(json.loads, old.reframer("list", "--json").splitlines())}
    assert listed == {row["id"]: row["status"] for row in old.rows("SELECT id::text AS id, status FROM videos")}
    published = old.published()
    for video in old.videos("completed"):
        found = json.loads(old.reframer("show", video["id"], "--json"))
        assert {stage["result_id"] for stage in found["stages"]} == published[video["id"]]
        assert found["tracks"] and found["scenes"]
        assert video["filename"] in old.reframer("show", video["id"])


def test_the_vocabulary_has_them(old: Deployment) -> None:
    """What a sighting stands for was not kept then: a track lasts from its first to its last."""
    with open_storage(old.settings) as storage:
        for video in old.videos("completed"):
            found = published_set(storage.db, video["id"])
            read = {
                name: [row for batch in batches(storage.db, table, found) for row in batch.to_pylist()]
                for name, table in VOCABULARY.items()
            }
            assert all(read.values())
            for track in read["tracks"]:
                times = [one["timestamp"] for one in read["sightings"] if one["track_id"] == track["track_id"]]
                assert (len(times), track["seconds"]) == (track["sightings"], pytest.approx(times[-1] - times[0]))
            assert {element["difficulty"] for element in read["elements"]} <= {"easy", "medium", "hard"}


@pytest.mark.parametrize("kind", ["jpg", "mp4"])
def test_preview(old: Deployment, kind: str, tmp_path: Path) -> None:
    for video in old.videos("completed"):
        target = tmp_path / f"{video['id']}.{kind}"
        old.reframer("preview", video["id"], "-o", target)
        if kind == "jpg":
            Image.open(target).verify()
        else:
            assert target.read_bytes()[4:8] == b"ftyp"


def test_rebuild_from_the_store_alone(old: Deployment, embedded_server: Server) -> None:
    def contents(place: Deployment, table: str) -> list[dict[str, Any]]:
        own = "'{created_at,recomputed_at,published_at,seconds}'::text[]"  # made anew, or not kept in the footers
        return place.rows(f"SELECT to_jsonb(t) - {own} AS row FROM {table} t ORDER BY (to_jsonb(t) - {own})::text")

    with empty(embedded_server, old.home, old.stale) as rebuilt:
        said = rebuilt.reframer("db", "rebuild")
        assert "left out" not in said
        for table in TABLES:
            assert contents(rebuilt, table) == contents(old, table) != [], table
        plans = json.loads(rebuilt.reframer("plan", "--json"))["videos"]
        assert {plan["video_id"] for plan in plans} == {video["id"] for video in old.videos("completed")}
        assert {line["stage"] for plan in plans for line in plan["stages"] if line["state"] != "fresh"} == old.stale


@pytest.mark.models
def test_running_again_computes_what_is_stale(old: Deployment, tmp_path: Path) -> None:
    before = old.published()
    for video in old.videos("completed"):
        clip = tmp_path / video["filename"]
        clip.write_bytes((old.home / "objects" / "videos" / video["sha256"][:2] / video["sha256"]).read_bytes())
        options = [f"--{name.replace('_', '-')}={value}" for name, value in video["settings_overrides"].items()]
        outcome = json.loads(old.reframer("run", clip, "--json", *options))
        assert (outcome["video_id"], outcome["status"], set(outcome["seconds"])) == (video["id"], "completed", old.stale)
    assert (old.published() == before) == (not old.stale)
