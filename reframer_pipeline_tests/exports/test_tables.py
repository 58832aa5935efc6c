"""CSV and Parquet: the database's own rows."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from reframer_pipeline.exports.tables import BETWEEN, FORMULA
from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.failures import RowsArchived
from reframer_pipeline.reading.tables import TABLES
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention.archive import archive
from reframer_pipeline.work import lease
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.exports.conftest import LABEL, WORDS
from reframer_pipeline_tests.factories import Maker, add_video, commit_all

Exported = Callable[..., Path]


@pytest.mark.models
def test_the_computed_clip_is_as_in_the_database(drawn: Video, exported: Exported) -> None:
    _compare(exported("parquet", drawn), exported("csv", drawn), drawn)


def test_what_is_awkward_is_as_in_the_database(made: list[Video], exported: Exported) -> None:
    tables, texts = exported("parquet", *made), exported("csv", *made)
    for video in made:
        _compare(tables, texts, video)


def _compare(tables: Path, texts: Path, video: Video) -> None:
    for name, table in TABLES.items():
        rows = truth.rows(video, table)
        found = pq.read_table(tables / video.name / f"{name}.parquet")
        assert found.schema.equals(table.schema) and found.to_pylist() == rows
        with (texts / video.name / f"{name}.csv").open(newline="") as file:
            assert list(csv.reader(file)) == [table.schema.names, *([_said(value) for value in row.values()] for row in rows)]
        if rows:
            options = pyarrow.csv.ParseOptions(newlines_in_values=True)
            assert pyarrow.csv.read_csv(texts / video.name / f"{name}.csv", parse_options=options).num_rows == len(rows)


def _said(value: Any) -> str:
    text = "" if value is None else BETWEEN.join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if isinstance(value, str | list) and text.startswith(FORMULA) else text


def test_no_cell_of_a_csv_begins_like_a_formula(odd: Video, exported: Exported) -> None:
    folder = exported("csv", odd) / odd.name
    cells = [cell for path in folder.iterdir() for row in csv.reader(path.open(newline="")) for cell in row]
    assert {f"'{LABEL}", f"'{WORDS}", f"'=SUM(1){BETWEEN}it moves"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(FORMULA)]


def test_rows_that_are_away_are_not_exported_as_none(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    commit_all(storage, video_id, Maker(sha256, storage.settings))
    (video,) = published_videos(storage, [video_id])
    with lease.hold(storage.db, video_id, "test") as token:
        assert archive(storage.db, storage.store, video_id, token)
    with pytest.raises(RowsArchived, match="upload-0.mp4.*were archived"):
        truth.sightings(video)
