"""How fast the API answers over a large library: 100,000 videos and 10 million detections in Postgres.

    python benchmarks/api.py [--videos 100000] [--seconds 10] [--home FOLDER]

The rows are made by SQL: of each video two scenes, ten tracks, 100 detections, a mask of each tenth, and two elements. One person has all of
them, another one twenty. Then the real server answers 16 clients at a time, each on a connection of its own. Every query is looked at with
EXPLAIN, too: none may read a large table from end to end. `--home` keeps the data folder for another run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import httpx2
import psycopg

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.reading import library, search, tables
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people

CLIENTS = 16
PORT = 8765
FEW = 20  # videos of the other person
STEP = 2_000  # videos made in one transaction
LARGE = ("detections", "track_sightings", "tracking_trajectories", "segmentation_masks", "scene_analysis", "scene_elements", "scene_tracks",
         "results", "published", "uploads", "videos")  # fmt: skip
STAGES = ("metadata", "frames", "detections", "masks", "trajectories", "scenes")
# Times of one video: 50 sampled frames, 5 source frames apart at 25 a second, two sightings in each.
_MADE: tuple[LiteralString, ...] = (
    """INSERT INTO videos (id, user_id, sha256, filename, size_bytes, container, codec, width, height, resolution, fps, duration,
           frame_count, status, created_at)
       SELECT md5('v' || n)::uuid, %(all)s::uuid, md5('a' || n) || md5('b' || n), 'clip-' || n || '.mp4', 1000000, 'mp4', 'h264', 1280, 720,
           '1280x720', 25, 10, 250, 'completed', now() - n * interval '1 second' FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO uploads (user_id, video_id, filename, status, created_at)
       SELECT %(all)s::uuid, md5('v' || n)::uuid, 'clip-' || n || '.mp4', 'completed', now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n
       UNION ALL
       SELECT %(few)s::uuid, md5('v' || n)::uuid, 'mine-' || n || '.mp4', 'completed', now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n WHERE n %% (%(videos)s::int / 20) = 0""",
    """INSERT INTO results (result_id, video_id, stage, stage_key, recipe, components, object_key, object_bytes, row_count, content_digest,
           seconds, created_at)
       SELECT md5(stage || n)::uuid, md5('v' || n)::uuid, stage, stage || n, stage, jsonb_build_object('weights', 'w', 'inputs',
           CASE WHEN stage = 'scenes' THEN jsonb_build_object('detections', md5('detections' || n)::uuid, 'masks', md5('masks' || n)::uuid,
               'trajectories', md5('trajectories' || n)::uuid) ELSE '{}'::jsonb END), stage || n, 1000, 10, 'd', 1.5, now()
       FROM generate_series(%(from)s::int, %(to)s::int) n, unnest(%(stages)s::text[]) stage""",
    """INSERT INTO published (video_id, stage, result_id)
       SELECT md5('v' || n)::uuid, stage, md5(stage || n)::uuid FROM generate_series(%(from)s::int, %(to)s::int) n, unnest(%(stages)s::text[]) stage""",
    """INSERT INTO detections (id, video_id, result_id, frame_number, "timestamp", ordinal, detection_data)
       SELECT md5('d' || n || ':' || f || ':' || o)::uuid, md5('v' || n)::uuid, md5('detections' || n)::uuid, f * 5, f / 5.0, o,
           jsonb_build_object('class', CASE o WHEN 0 THEN 'person' ELSE 'product' END, 'label', CASE o WHEN 0 THEN 'person' ELSE
               (%(labels)s::text[])[1 + n %% 40] END, 'confidence', 0.9, 'bbox', jsonb_build_object('x', f, 'y', 10, 'width', 50, 'height', 90))
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(0, 49) f, generate_series(0, 1) o""",
    """INSERT INTO segmentation_masks (id, video_id, result_id, detection_result_id, detection_id, frame_number, "timestamp", mask_rle,
           mask_area_pixels, height, width, predicted_iou, stability)
       SELECT md5('m' || n || ':' || f)::uuid, md5('v' || n)::uuid, md5('masks' || n)::uuid, md5('detections' || n)::uuid,
           md5('d' || n || ':' || f || ':0')::uuid, f * 5, f / 5.0, '7210,50,870,50,913420', 100, 720, 1280, 0.9, 0.9
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(0, 49, 5) f""",
    """INSERT INTO tracking_trajectories (id, video_id, result_id, track_id, object_class, trajectory_data, start_frame, end_frame)
       SELECT md5('t' || n || ':' || t)::uuid, md5('v' || n)::uuid, md5('trajectories' || n)::uuid, 'obj_' || lpad((t + 1)::text, 3, '0'),
           CASE t %% 2 WHEN 0 THEN 'person' ELSE 'product' END, jsonb_build_object('label', CASE t %% 2 WHEN 0 THEN 'person' ELSE
               (%(labels)s::text[])[1 + n %% 40] END, 'avg_confidence', 0.9, 'seconds', 2 + (n * 7919 + t * 131) %% 977 / 100.0, 'frames',
               (SELECT jsonb_agg(jsonb_build_object('frame', f * 5, 'timestamp', f / 5.0, 'confidence', 0.9, 'seconds', 0.2, 'detection_id',
                   md5('d' || n || ':' || f || ':' || t %% 2)::uuid) ORDER BY f) FROM generate_series(t / 2 * 10, t / 2 * 10 + 9) f)),
           t / 2 * 50, t / 2 * 50 + 46
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(0, 9) t""",
    """INSERT INTO scene_analysis (id, video_id, result_id, scene_number, start_frame, end_frame, start_seconds, end_seconds, describer,
           analysis_data)
       SELECT md5('s' || n || ':' || s)::uuid, md5('v' || n)::uuid, md5('scenes' || n)::uuid, s, (s - 1) * 125, s * 125, (s - 1) * 5, s * 5,
           'local', jsonb_build_object('scene_type', 'both', 'importance', 1 + (n + s) %% 10,
               'description', 'A person with a ' || (%(labels)s::text[])[1 + n %% 40] || ' in room ' || n,
               'tracks', (SELECT jsonb_agg(jsonb_build_object('track_id', 'obj_' || lpad(t::text, 3, '0'), 'visible_seconds', 2,
                   'area_share', (n * 31 + t) %% 100 / 100.0, 'first_seconds', 0, 'end_seconds', 2)) FROM generate_series(s * 5 - 4, s * 5) t),
               'replaceable_elements', jsonb_build_array(jsonb_build_object('type', 'product', 'label', (%(labels)s::text[])[1 + n %% 40],
                   'description', 'a ' || (%(labels)s::text[])[1 + n %% 40] || ' held in room ' || n,
                   'difficulty', (ARRAY['easy', 'medium', 'hard'])[1 + (n + s) %% 3], 'difficulty_score', (n + s) %% 3 * 33 + n %% 33,
                   'tracks', '["obj_002"]'::jsonb, 'figures', '{"visible_seconds": 2, "area_share": 0.1}'::jsonb)))
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(1, 2) s""",
)


def fill(db: Database, videos: int) -> None:
    """Add what is missing to so many videos."""
    ids = {name: people.add(db, f"{name}@example.org") for name in ("all", "few")}
    for stage in STAGES:
        db.execute("INSERT INTO recipes VALUES (%s, %s, 1, '{}', NULL, '{}') ON CONFLICT DO NOTHING", (stage, stage))
    labels = ["bottle", "cup", "laptop", "book", "phone"] + [f"thing{number}" for number in range(35)]
    count = db.fetch("SELECT count(*) AS n FROM videos")[0]["n"]
    if count >= videos:
        return
    with _quick(db):
        for first in range(count + 1, videos + 1, STEP):
            values = {**ids, "from": first, "to": min(first + STEP - 1, videos), "stages": list(STAGES), "labels": labels, "videos": videos}

            def act(conn: psycopg.Connection[Row], values: dict[str, Any] = values) -> None:
                conn.execute("SET LOCAL session_replication_role = replica")  # what is made agrees: no foreign key is checked
                conn.execute("SET LOCAL synchronous_commit = off")
                for statement in _MADE:
                    conn.execute(statement, values)

            db.run(act, timeout_s=3600)
            print(f"\r{values['to']:>8} of {videos} videos", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    db.run(lambda conn: conn.execute("ANALYZE"), timeout_s=3600)


@contextmanager
def _quick(db: Database) -> Iterator[None]:
    """Without the indexes of large tables that keep nothing unique, which are made again at the end; our own triggers work all the time."""
    indexes = db.fetch(
        """SELECT i.indexname, i.indexdef FROM pg_indexes i JOIN pg_index x ON x.indexrelid = i.indexname::regclass
           WHERE i.tablename = ANY(%s) AND NOT x.indisunique""",
        (list(LARGE),),
    )
    triggers = {"tracking_trajectories": "keep_sightings", "scene_analysis": "keep_elements"}

    def say(statement: str) -> None:
        db.run(lambda conn: conn.execute(statement.encode()), timeout_s=3600)

    for index in indexes:
        say(f"DROP INDEX {index['indexname']}")
    for table, trigger in triggers.items():
        say(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
    try:
        yield
    finally:
        for table, trigger in triggers.items():
            say(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
        for index in indexes:
            print(f"\r{index['indexname']:40}", end="", file=sys.stderr, flush=True)
            say(index["indexdef"])
