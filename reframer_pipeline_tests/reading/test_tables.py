"""The vocabulary: its views have the columns it names, and hold what the stages' results say."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.database.migrations import migrate
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import NotPublished, RowsArchived, UnknownVideo
from reframer_pipeline.reading.sheets import published
from reframer_pipeline.reading.tables import ELEMENTS, MASKS, SCENES, SIGHTINGS, TABLES, TRACKS, Table, batches, page, published_set
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import archive
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.vision.rle import counts_of
from reframer_pipeline.work import lease
from reframer_pipeline_tests.factories import FPS, Maker, add_video, commit_all
from reframer_pipeline_tests.support import REPOSITORY

TYPES = {
    pa.string(): ("text", "uuid"), pa.int32(): ("integer",), pa.int64(): ("bigint",), pa.float64(): ("double precision", "real"),
    pa.list_(pa.string()): ("ARRAY",),
    pa.list_(pa.int32()): ("ARRAY",),
}  # fmt: skip
SAME = pytest.approx


def rows(db: Database, table: Table, video_id: str) -> list[dict[str, Any]]:
    return pa.Table.from_batches(batches(db, table, published_set(db, video_id)), table.schema).to_pylist()


def stage_rows(storage: Storage, video_id: str, stage: str) -> list[dict[str, Any]]:
    return [row for batch in published(storage, video_id)[stage].batches() for row in batch.to_pylist()]


def test_views_have_the_columns_that_the_vocabulary_names(database_url: str) -> None:
    with Database(database_url) as db:
        migrate(db)
        found = db.fetch(
            """SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'
               ORDER BY table_name, ordinal_position"""
        )
    views: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in found:
        views[row["table_name"]].append((row["column_name"], row["data_type"]))
    for table in TABLES.values():
        assert views[table.name] == views[f"result_{table.name}"]
        named = {column.name for column in table.columns} | ({"source_id"} if table.source else set())
        assert {name for name, _ in views[table.name]} == named, table.name
        kinds = dict(views[table.name])
        assert all(kinds[column.name] in TYPES[column.type] for column in table.columns), table.name


def test_tracks_last_as_long_as_what_their_sightings_stand_for(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    maker = Maker(sha, storage.settings, frame_count=9)  # two sampled frames, and both objects in either
    commit_all(storage, video_id, maker)
    stride = storage.settings.vid_stride / FPS
    for track in rows(storage.db, TRACKS, video_id):
        assert (track["sightings"], track["seconds"]) == (2, SAME(2 * stride))
        assert track["end_seconds"] - track["start_seconds"] == SAME(2 * stride)
    seen_once, sha = add_video(storage, seed=2)
    commit_all(storage, seen_once, Maker(sha, storage.settings, frame_count=4))
    assert [track["seconds"] for track in rows(storage.db, TRACKS, seen_once)] == [SAME(stride, abs=1e-6)] * 2


def test_sightings_are_the_detections_that_count_with_their_tracks(storage: Storage) -> None:
    settings = storage.settings.model_copy(update={"track_low_conf": 0.1})
    video_id, sha = add_video(storage)
    maker = Maker(sha, settings, candidates=True)
    commit_all(storage, video_id, maker)
    counting = [row for row in maker.rows("detections") if not row["candidate"]]
    sightings = rows(storage.db, SIGHTINGS, video_id)
    assert [(one["frame_number"], one["ordinal"], one["detection_id"]) for one in sightings] == [
        (row["frame_number"], row["ordinal"], row["detection_id"]) for row in counting
    ]
    for one, row in zip(sightings, counting, strict=True):
        assert one["track_id"] == f"obj_{row['ordinal'] + 1:03}"
        assert (one["class"], one["label"], one["x"], one["width"]) == (
            row["object_class"], row["label"], SAME(row["x1"], abs=1e-4), SAME(row["x2"] - row["x1"], abs=1e-4),
        )  # fmt: skip


def test_what_a_result_says_is_in_the_tables(shared: Storage, done: VideoOutcome) -> None:
    """Of a computed clip, against the Parquet files."""
    video_id = done.video_id
    analyses = [json.loads(row["analysis"]) for row in stage_rows(shared, video_id, "scenes")]
    scenes = rows(shared.db, SCENES, video_id)
    assert [{name: scene[name] for name in ("scene_number", "description", "importance", "scene_type")} for scene in scenes] == [
        {name: one[name] for name in ("scene_number", "description", "importance", "scene_type")} for one in analyses
    ]
    assert sum(scene["seconds"] for scene in scenes) == SAME(scenes[-1]["end_seconds"])

    figures = {(track["track_id"], one["scene_number"]): track for one in analyses for track in one["tracks"]}
    tracks = {track["track_id"]: track for track in rows(shared.db, TRACKS, video_id)}
    assert tracks.keys() == {row["track_id"] for row in stage_rows(shared, video_id, "trajectories")} and len(tracks) > 3
    assert {(track["track_id"], track["scene_number"]) for track in tracks.values()} == figures.keys()
    for (name, _), measured in figures.items():
        assert tracks[name]["seconds"] == SAME(measured["visible_seconds"], abs=1e-3)  # these are rounded
        assert all(
            tracks[name][key] == measured[key] for key in ("area_share", "occlusion", "overlap", "speed", "border_share", "plate_missing")
        )

    seconds: dict[str, float] = defaultdict(float)
    for one in rows(shared.db, SIGHTINGS, video_id):
        if one["track_id"]:
            seconds[one["track_id"]] += one["seconds"]
    assert seconds == {name: SAME(track["seconds"], abs=1e-5) for name, track in tracks.items()}

    stored = {row["detection_id"]: row for row in stage_rows(shared, video_id, "masks")}
    masks = rows(shared.db, MASKS, video_id)
    assert [mask["frame_number"] for mask in masks] == sorted(mask["frame_number"] for mask in masks)
    assert {mask["detection_id"] for mask in masks} == stored.keys()
    for mask in masks:
        np.testing.assert_array_equal(np.array(mask["mask_rle"].split(","), int), counts_of(stored[mask["detection_id"]]["rle"]))
        assert mask["mask_area_pixels"] == stored[mask["detection_id"]]["area"]

    told = [(one, element) for one in analyses for element in one["replaceable_elements"]]
    elements = rows(shared.db, ELEMENTS, video_id)
    assert len(elements) == len(told) > 3
    for element, (scene, one) in zip(elements, told, strict=True):
        assert (element["scene_number"], element["class"], element["label"]) == (scene["scene_number"], one["type"], one["label"])
        assert (element["difficulty"], element["difficulty_score"]) == (one["difficulty"], one["difficulty_score"])
        assert element["reasons"] == [reason["why"] for reason in one["difficulty_reasons"]]
        assert element["track_ids"] == one["tracks"] and element["seconds"] == one["figures"]["visible_seconds"]
        assert element["plate_frames"] == [shown["frame"] for shown in one["plate_frames"]]
        (track,) = [track for track in scene["tracks"] if track["track_id"] in one["tracks"]]
        assert (element["start_seconds"], element["end_seconds"]) == (track["first_seconds"], track["end_seconds"])


@pytest.mark.parametrize("name", TABLES)
def test_pages_lose_nothing_and_stay_within_one_set(storage: Storage, name: str) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    table, old = TABLES[name], published_set(storage.db, video_id)
    whole = page(storage.db, table, old)
    first, *others = whole
    assert page(storage.db, table, old, limit=1) == [first] and len(others) >= 1
    changed = storage.settings.model_copy(update={"vid_stride": 4})
    commit_all(storage, video_id, Maker(sha, changed))
    assert published_set(storage.db, video_id) != old
    assert pa.Table.from_batches(batches(storage.db, table, old, rows=1)).to_pylist() == [
        {column.name: row[column.name] for column in table.columns} for row in whole
    ]
    query = f"SELECT DISTINCT result_id::text AS id FROM {name} WHERE video_id = %s"
    assert [row["id"] for row in storage.db.fetch(query, (video_id,))] == [published_set(storage.db, video_id)]  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [TRACKS, SIGHTINGS, MASKS], ids=lambda table: table.name)
def test_a_page_begins_where_the_one_before_ended(storage: Storage, table: Table) -> None:
    """However long the video is: Postgres need not sort, it goes on along an index."""
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    row = storage.db.fetch_one("SELECT * FROM result_sets WHERE video_id = %s", (video_id,))
    assert row is not None and table.source is not None
    key = ", ".join(table.key)
    query = f"EXPLAIN SELECT * FROM result_{table.name} WHERE result_id = %s AND source_id = %s ORDER BY {key} LIMIT 20"
    with storage.db.transaction() as conn:
        conn.execute("SET LOCAL enable_sort = off")  # so that it sorts only where nothing else would do
        found = conn.execute(query, (row["result_id"], row[table.source])).fetchall()  # type: ignore[arg-type]
    plan = "\n".join(line["QUERY PLAN"] for line in found)
    assert "Index" in plan and not re.search(rf"Sort Key: .*\b{table.key[-1]}", plan), plan


def test_what_is_archived_is_away_and_comes_back_whole(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    before = {name: rows(storage.db, table, video_id) for name, table in TABLES.items()}
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (video_id,))
    with lease.hold(storage.db, video_id, "test") as token:
        assert archive.archive(storage.db, storage.store, video_id, token) > 0
    left = "SELECT result_id FROM scene_elements UNION SELECT result_id FROM track_sightings UNION SELECT result_id FROM scene_tracks"
    assert storage.db.fetch(left) == []
    with pytest.raises(RowsArchived, match="upload-0.mp4"):
        published_set(storage.db, video_id)
    with lease.hold(storage.db, video_id, "test") as token:
        archive.restore(storage.db, storage.store, video_id, token)
    assert {name: rows(storage.db, table, video_id) for name, table in TABLES.items()} == before


def test_a_video_without_results_is_named(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with pytest.raises(NotPublished, match="upload-0.mp4"):
        published_set(storage.db, video_id)
    with pytest.raises(UnknownVideo):
        published_set(storage.db, "00000000-0000-5000-8000-000000000000")


PAGES = ("README.md", "docs/queries.md", "docs/results.md")
BLOCKS = [block for page in PAGES for block in re.findall(r"```sql\n(.*?)```", (REPOSITORY / page).read_text(), re.S)]
QUERIES = [query.strip() for block in BLOCKS for query in block.split(";") if query.strip()]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("\n")[0][:40])
def test_queries_of_the_docs_find_something(shared: Storage, done: VideoOutcome, query: str) -> None:
    assert shared.db.fetch(query.replace("seconds > 2", "seconds > 0.5"))  # type: ignore[arg-type]  # the clip has only two seconds
