"""Migrations: once each, whoever comes first, and in agreement with the Arrow schemas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from reframer_pipeline import schemas
from reframer_pipeline.database.migrations import migrate, migrations, pending
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import SchemaMismatch
from reframer_pipeline.stages import BY_NAME, NAMES, STAGES

POSTGRES_OF_ARROW = {
    "int32": "integer", "int64": "bigint", "double": "double precision", "float": "real", "string": "text", "bool": "boolean",
}  # fmt: skip
# Columns whose meaning changes on the way: ids become uuid, the rest goes into JSON or into plain run lengths.
RENAMED = {"mask_id": "id", "detection_id": "detection_id", "rle": "mask_rle", "area": "mask_area_pixels", "analysis": "analysis_data"}
SPECIAL = {"id": "uuid", "detection_id": "uuid", "analysis_data": "jsonb"}
IN_JSON = {
    "detections": {"object_class", "label", "confidence", "x1", "y1", "x2", "y2", "candidate"},
    "trajectories": {"avg_confidence", "frames"},
}


def test_two_at_once_migrate_once(database_url: str) -> None:
    with Database(database_url) as one, Database(database_url) as other, ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrate, [one, other]))
        names = [migration.name for migration in migrations()]
        assert sorted(applied[0] + applied[1]) == names
        assert migrate(one) == [] and pending(other) == []
        assert [row["name"] for row in one.fetch("SELECT name FROM schema_migrations ORDER BY name")] == names


def test_strange_or_edited_migrations_are_refused(database_url: str) -> None:
    with Database(database_url) as db:
        migrate(db)
        db.execute("INSERT INTO schema_migrations (name, sha256) VALUES ('9999_future.sql', 'x') ON CONFLICT DO NOTHING")
        with pytest.raises(SchemaMismatch, match="9999_future"):
            migrate(db)
        db.execute("DELETE FROM schema_migrations WHERE name = '9999_future.sql'")
        db.execute("UPDATE schema_migrations SET sha256 = 'x' WHERE name = '0001_core.sql'")
        with pytest.raises(SchemaMismatch, match="0001_core"):
            pending(db)


def test_tables_agree_with_the_arrow_schemas(database_url: str) -> None:
    with Database(database_url) as db:
        migrate(db)
        rows = db.fetch(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
        )
    tables: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows:
        tables.setdefault(row["table_name"], {})[row["column_name"]] = (row["data_type"], row["is_nullable"])
    for stage, target in ((stage.name, stage.rows) for stage in STAGES if stage.rows):
        table = tables[target.table]
        assert table["video_id"] == table["result_id"] == ("uuid", "NO")
        for field in BY_NAME[stage].schema:
            if field.name in IN_JSON.get(stage, set()) - {"object_class"}:
                assert field.name not in table
                continue
            name = "id" if (stage, field.name) == ("detections", "detection_id") else RENAMED.get(field.name, field.name)
            if (stage, name) == ("detections", "object_class"):
                continue
            expected = SPECIAL.get(name, POSTGRES_OF_ARROW.get(str(field.type)))
            taken_out = (stage, name) == ("trajectories", "label")  # of its JSON, by the database
            assert table[name] == (expected, "YES" if taken_out else "NO"), (stage, name)
    videos = tables["videos"]
    for name in ("width", "height", "rotation", "codec", "container", "fps_num", "fps_den", "frame_count", "size_bytes"):
        assert videos[name][0] == POSTGRES_OF_ARROW[str(schemas.METADATA.field(name).type)]


def test_promised_indexes_and_stages_exist(database_url: str) -> None:
    with Database(database_url) as db:
        migrate(db)
        indexes = {row["indexname"]: row["indexdef"] for row in db.fetch("SELECT indexname, indexdef FROM pg_indexes")}
        check = db.fetch_one("SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conname = 'results_stage_check'")
    promised = {
        "idx_videos_user_id", "idx_videos_status", "idx_detections_frame_number", "idx_detections_data", "idx_trajectories_track_id",
        "idx_scenes_frame_range",
    }  # fmt: skip
    assert promised <= set(indexes)
    assert "USING gin" in indexes["idx_detections_data"]
    assert check is not None and all(f"'{stage}'" in check["text"] for stage in NAMES)
