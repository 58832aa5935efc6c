"""How fast the API answers over a large library: 100,000 videos and 10 million detections in Postgres.

    python benchmarks/api.py [--videos 100000] [--seconds 5] [--home FOLDER]

The rows are made by SQL: of each video a run, two scenes, ten tracks, 100 detections, ten masks and two elements. One video in 500 has
failed, and every other one of these waits for another run. One person has all of them, another one twenty. Then the real server answers 16
clients, each on a connection of its own and four times a second. Every query is looked at with EXPLAIN first, also other orders, pages
further on, and what the server asks beside: it ends with an error if one reads a large table from end to end. (Of few rows that is the
cheapest: the plans of less than some 20,000 videos say nothing.) At last lists are paged through to their ends: a page there must cost what
the first one does. `--home` keeps the data folder for another run.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from unittest import mock
from urllib.parse import urlencode

import psutil
import psycopg

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.reading import estimates, jobs, library, search, tables
from reframer_pipeline.reading.estimates import Rates
from reframer_pipeline.reading.filters import Filter
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people

CLIENTS = 16
PACE_S = 0.25  # from one request of a client to its next, if it has its answer
PORT = 8765
PAGES = 200  # of a list that is paged through, at each end
FEW = 20  # videos of the other person
UNMEASURED = Rates()
STEP = 2_000  # videos made in one transaction
LARGE = ("detections", "track_sightings", "tracking_trajectories", "segmentation_masks", "scene_analysis", "scene_elements", "scene_tracks",
         "results", "published", "uploads", "videos", "processing_jobs")  # fmt: skip
STAGES = ("metadata", "frames", "detections", "masks", "trajectories", "scenes")
# Times of one video: 50 sampled frames, 5 source frames apart at 25 a second, two sightings in each.
_MADE: tuple[LiteralString, ...] = (
    """INSERT INTO videos (id, user_id, sha256, filename, size_bytes, container, codec, width, height, resolution, fps, duration,
           frame_count, status, failure_code, failure_message, created_at)
       SELECT md5('v' || n)::uuid, %(all)s::uuid, md5('a' || n) || md5('b' || n), 'clip-' || n || '.mp4', 1000000, 'mp4', 'h264', 1280, 720,
           '1280x720', 25, 10 + n * 7919 %% 977 / 100.0, 250, CASE WHEN n %% 500 = 1 THEN 'failed' ELSE 'completed' END,
           CASE WHEN n %% 500 = 1 THEN 'damaged' END, CASE WHEN n %% 500 = 1 THEN 'It is damaged.' END, now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n""",
    """INSERT INTO processing_jobs (video_id, run_id, status, stage, failure_code, finished_at, created_at)
       SELECT md5('v' || n)::uuid, 'run' || n, CASE WHEN n %% 500 = 1 THEN 'failed' ELSE 'completed' END, 'scenes',
           CASE WHEN n %% 500 = 1 THEN 'damaged' END, now() - n * interval '1 second', now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n
       UNION ALL
       SELECT md5('v' || n)::uuid, 'again' || n, 'pending', NULL, NULL, NULL, now() FROM generate_series(%(from)s::int, %(to)s::int) n
       WHERE n %% 1000 = 1""",
    """INSERT INTO uploads (user_id, video_id, filename, status, requested, created_at)
       SELECT %(all)s::uuid, md5('v' || n)::uuid, 'clip-' || n || '.mp4', 'completed', true, now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n
       UNION ALL
       SELECT %(few)s::uuid, md5('v' || n)::uuid, 'mine-' || n || '.mp4', 'completed', true, now() - n * interval '1 second'
       FROM generate_series(%(from)s::int, %(to)s::int) n WHERE n %% (%(videos)s::int / 20) = 0""",
    """INSERT INTO results (result_id, video_id, stage, stage_key, recipe, components, object_key, object_bytes, row_count, content_digest,
           seconds, created_at)
       SELECT md5(stage || n)::uuid, md5('v' || n)::uuid, stage, stage || n, stage, jsonb_build_object('weights', 'w', 'inputs',
           CASE WHEN stage = 'scenes' THEN jsonb_build_object('detections', md5('detections' || n)::uuid, 'masks', md5('masks' || n)::uuid,
               'trajectories', md5('trajectories' || n)::uuid) ELSE '{}'::jsonb END), stage || n, 1000, 10, 'd', 1.5, now()
       FROM generate_series(%(from)s::int, %(to)s::int) n, unnest(%(stages)s::text[]) stage""",
    """INSERT INTO published (video_id, stage, result_id)
       SELECT md5('v' || n)::uuid, stage, md5(stage || n)::uuid
       FROM generate_series(%(from)s::int, %(to)s::int) n, unnest(%(stages)s::text[]) stage""",
    """INSERT INTO detections (id, video_id, result_id, frame_number, "timestamp", ordinal, detection_data)
       SELECT md5('d' || n || ':' || f || ':' || o)::uuid, md5('v' || n)::uuid, md5('detections' || n)::uuid, f * 5, f / 5.0, o,
           jsonb_build_object('class', CASE o WHEN 0 THEN 'person' ELSE 'product' END,
               'label', CASE o WHEN 0 THEN 'person' ELSE (%(labels)s::text[])[1 + n %% 40] END, 'confidence', 0.9,
               'bbox', jsonb_build_object('x', f, 'y', 10, 'width', 50, 'height', 90))
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(0, 49) f, generate_series(0, 1) o""",
    """INSERT INTO segmentation_masks (id, video_id, result_id, detection_result_id, detection_id, frame_number, "timestamp", mask_rle,
           mask_area_pixels, height, width, predicted_iou, stability)
       SELECT md5('m' || n || ':' || f)::uuid, md5('v' || n)::uuid, md5('masks' || n)::uuid, md5('detections' || n)::uuid,
           md5('d' || n || ':' || f || ':0')::uuid, f * 5, f / 5.0, '7210,50,870,50,913420', 100, 720, 1280, 0.9, 0.9
       FROM generate_series(%(from)s::int, %(to)s::int) n, generate_series(0, 49, 5) f""",
    """INSERT INTO tracking_trajectories (id, video_id, result_id, track_id, object_class, trajectory_data, start_frame, end_frame)
       SELECT md5('t' || n || ':' || t)::uuid, md5('v' || n)::uuid, md5('trajectories' || n)::uuid, 'obj_' || lpad((t + 1)::text, 3, '0'),
           CASE t %% 2 WHEN 0 THEN 'person' ELSE 'product' END, jsonb_build_object('label', CASE t %% 2 WHEN 0 THEN 'person' ELSE
               (%(labels)s::text[])[1 + n %% 40] END, 'avg_confidence', 0.5 + (n * 31 + t * 17) %% 4999 / 10000.0,
               'seconds', 2 + (n * 7919 + t * 131) %% 977 / 100.0, 'frames',
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
                   'area_share', (n * 31 + t) %% 100 / 100.0, 'first_seconds', 0, 'end_seconds', 2))
                   FROM generate_series(s * 5 - 4, s * 5) t),
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


@dataclass(frozen=True)
class Query:
    """Something that clients ask every day.

    Attributes:
        says: What.
        read: The same below HTTP, for a user and one of their videos, as `library.page` gives it.
        path: The address, for such a video; empty: it is looked at, and not measured.
        asked: Its parameters.
    """

    says: str
    read: Callable[[Database, str, Row], object]
    path: str = ""
    asked: dict[str, Any] = field(default_factory=dict)


def _search(says: str, kind: str, sort: str = "", **wanted: Any) -> Query:
    order = sort or next(iter(search.SEARCHED[kind].orders))
    names = {"object_class": "class"}
    asked = {"in": kind, "limit": 50, "sort": order, **{names.get(name, name): value for name, value in wanted.items()}}
    return Query(says, lambda db, user, video: search.search(db, user, kind, wanted, order, 50), "/search", asked)


def _table(says: str, table: tables.Table, path: str, wanted: Filter, **asked: Any) -> Query:
    def read(db: Database, user: str, video: Row) -> object:
        return tables.page(db, table, library.see(db, user, video["video_id"]).published(), limit=101, wanted=wanted)

    return Query(says, read, path, asked)


QUERIES = (
    Query("list of videos", lambda db, user, video: library.page(db, user, 50), "/videos", {"limit": 50}),
    Query("list, by status", lambda db, user, video: library.page(db, user, 50, status="failed"), "/videos", {"status": "failed"}),
    Query("one video", lambda db, user, video: library.one(db, user, video["video_id"]), "/videos/{video_id}", {}),
    Query("list of jobs", lambda db, user, video: jobs.list_jobs(db, user, UNMEASURED, 50), "/jobs", {"limit": 50}),
    Query("one job", lambda db, user, video: jobs.get_job(db, user, video["upload_id"], UNMEASURED, 1), "/jobs/{upload_id}", {}),
    _table("tracks of one video", tables.TRACKS, "/videos/{video_id}/tracks", Filter()),
    _table("sightings, a page", tables.SIGHTINGS, "/videos/{video_id}/sightings", Filter()),
    _table("sightings of a track", tables.SIGHTINGS, "/videos/{video_id}/sightings", Filter(track_id="obj_001"), track_id="obj_001"),
    _search("search tracks: a class", "tracks", object_class="product"),
    _search("search tracks: a label, for over 5 s", "tracks", label="bottle", min_seconds=5),
    _search("search tracks: a label, a large share", "tracks", label="cup", min_share=0.9),
    _search("search tracks: a label that is rare", "tracks", label="nothing"),
    _search("search scenes: importance", "scenes", min_importance=9),
    _search("search scenes: a common word", "scenes", words="person"),
    _search("search scenes: words that are rare", "scenes", words="room 4711"),
    _search("search elements: easy ones", "elements", difficulty="easy"),
    _search("search elements: the longest on screen", "elements", sort="seconds"),
    _search("search elements: a label, and a common word", "elements", label="laptop", words="held"),
)


def _place(video: Row) -> tuple[Any, ...]:
    return video["uploaded_at"], video["upload_id"]


def _waiting_job(db: Database, user: str, video: Row) -> object:
    for one in library.page(db, user, 1, status="pending")[0]:
        return jobs.get_job(db, user, one["upload_id"], UNMEASURED, 1)
    return None


# What else is asked every day, and is no first page: only looked at.
BESIDE = (
    Query("list of videos, further on", lambda db, user, video: library.page(db, user, 50, _place(video))),
    Query("list of videos, by name", lambda db, user, video: library.page(db, user, 50, sort="name")),
    Query("list of videos, the longest first", lambda db, user, video: library.page(db, user, 50, sort="-duration")),
    Query("list of videos that wait", lambda db, user, video: library.page(db, user, 50, status="pending")),
    Query("list of videos with a name", lambda db, user, video: library.page(db, user, 50, name="no such")),
    Query("list of jobs, further on", lambda db, user, video: jobs.list_jobs(db, user, UNMEASURED, 50, _place(video))),
    Query("list of jobs, the longest page", lambda db, user, video: jobs.list_jobs(db, user, UNMEASURED, 2_000)),
    Query("a job that waits", _waiting_job),
    Query("speeds of the stages", lambda db, user, video: estimates.speeds(db)),
)


def plans(db: Database, query: Query, user: str, video: Row) -> list[tuple[float, list[str]]]:
    """Of each statement that a query makes: what the planner thinks it costs, and the large tables that it reads from end to end."""
    from psycopg import ServerCursor

    from reframer_pipeline.database.connection import Connection

    said: list[tuple[Any, Any]] = []
    execute = Connection.execute

    def note(conn: Any, statement: Any, params: Any = None, **more: Any) -> Any:
        said.append((statement, params))
        return execute(conn, statement, params, **more)

    streamed = ServerCursor.execute

    def note_streamed(cursor: Any, statement: Any, params: Any = None, **more: Any) -> Any:
        said.append((statement, params))
        return streamed(cursor, statement, params, **more)

    with mock.patch.object(Connection, "execute", note), mock.patch.object(ServerCursor, "execute", note_streamed):
        query.read(db, user, video)
    found = []
    for statement, params in said:
        if isinstance(statement, bytes) or (isinstance(statement, str) and statement.startswith("SET")):  # how, not what
            continue

        def explain(conn: psycopg.Connection[Row], statement: Any = statement, params: Any = params) -> Any:
            text = statement if isinstance(statement, str) else statement.as_string(conn)
            row = conn.execute("EXPLAIN (FORMAT JSON) " + text, params).fetchone()
            assert row is not None
            return row["QUERY PLAN"][0]["Plan"]

        plan = db.run(explain)
        found.append((plan["Total Cost"], sorted(set(_read_whole(plan)))))
    return found


def _read_whole(plan: dict[str, Any]) -> Iterator[str]:
    if "Seq Scan" in plan["Node Type"] and plan["Relation Name"] in LARGE:
        yield plan["Relation Name"]
    for below in plan.get("Plans", ()):
        yield from _read_whole(below)


class Client:
    """A client on a connection of its own."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-API-Key": key}

    def get(self, path: str, asked: dict[str, Any]) -> tuple[float, Any]:
        """Seconds until the answer was there, and the answer."""
        began = time.perf_counter()
        self._connection.request("GET", f"{path}?{urlencode(asked)}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        assert answer.status == 200, body
        return took, json.loads(body)


def measured(port: int, key: str, query: Query, videos: Sequence[Row], seconds: float) -> list[float]:
    """Seconds of each answer, all clients together."""
    took: list[float] = []
    begin = time.perf_counter()

    def ask(number: int) -> None:
        client, chosen = Client(port, key), random.Random(number)
        due = begin + PACE_S * number / CLIENTS
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            took.append(client.get(query.path.format_map(chosen.choice(videos)), query.asked)[0])
            due = max(due + PACE_S, time.perf_counter())

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return took


def worked(server: psutil.Process, settings: Settings) -> float:
    """Seconds of the processor that the server and Postgres have had."""
    postgres = psutil.Process(int((settings.home_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
    ended, times = postgres.cpu_times(), [one.cpu_times() for one in (server, *postgres.children())]
    return float(sum(one.user + one.system for one in times) + ended.children_user + ended.children_system)


def paged(port: int, key: str, path: str, name: str, asked: dict[str, Any]) -> tuple[int, float, float]:
    """Items of a list, and the usual seconds of a page at its beginning and at its end."""
    client, took, count, cursor = Client(port, key), list[float](), 0, None
    while True:
        seconds, answer = client.get(path, asked | ({"cursor": cursor} if cursor else {}))
        took.append(seconds)
        count, cursor = count + len(answer[name]), answer["next"]
        if cursor is None:
            return count, statistics.median(took[:PAGES]), statistics.median(took[-PAGES - 1 : -1])


@contextmanager
def _server(settings: Settings, port: int) -> Iterator[psutil.Process]:
    """The real server, whose answers somebody waits for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REFRAMER_")}
    more = {"REFRAMER_HOME": str(settings.home_dir), "REFRAMER_MODELS": "demo", "REFRAMER_API_REQUESTS_PER_MINUTE": "1000000"}
    command = [sys.executable, "-m", "reframer_pipeline", "serve", "--quiet", "--api-port", str(port)]
    process = subprocess.Popen(command, env=kept | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/healthz")
                break
            except OSError:
                assert process.poll() is None, "the server did not start"
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Fill, look at the plans, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="that each query is asked for")
    parser.add_argument("--home", type=Path, help="a data folder that is kept")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(home=given.home or Path(folder) / "home", models="demo")
        try:
            with open_storage(settings) as storage:
                _measure(storage.db, settings, given)
        finally:
            embedded.stop(settings)


def _measure(db: Database, settings: Settings, given: argparse.Namespace) -> None:
    fill(db, given.videos)
    users = {name: people.add(db, f"{name}@example.org") for name in ("all", "few")}
    secrets = {name: keys.add(db, user, "bench", ["read"]) for name, user in users.items()}
    owned = {name: library.page(db, user, 5_000)[0] for name, user in users.items()}
    whole = [
        f"{query.says}, {name}: {', '.join(read)}"
        for query, name in itertools.product((*QUERIES, *BESIDE), users)
        for _, read in plans(db, query, users[name], owned[name][-1])
        if read
    ]
    print("\n".join(["read from end to end:", *whole]) if whole else "no large table is read from end to end")
    print(f"{'milliseconds':42}{'all: p50':>10}{'p95':>8}{'processor':>11}{'few: p50':>12}{'p95':>8}{'processor':>11}")
    with _server(settings, given.port) as server:
        measured(given.port, secrets["all"], QUERIES[0], owned["all"], 2.0)  # connections are opened by the first
        for query in QUERIES:
            print(f"{query.says:42}", end="", flush=True)
            for name in users:
                before = worked(server, settings)
                took = measured(given.port, secrets[name], query, owned[name], given.seconds)
                processor = (worked(server, settings) - before) / len(took) * 1000
                p50, p95 = statistics.median(took) * 1000, statistics.quantiles(took, n=20)[-1] * 1000
                print(f"{p50:>{10 if name == 'all' else 12}.0f}{p95:>8.0f}{processor:>11.1f}", end="", flush=True)
            print()
        for says, path, items, asked in (
            ("list of videos", "/videos", "videos", {"limit": 100}),
            ("list of jobs", "/jobs", "jobs", {"limit": 100}),
            ("search elements: easy ones", "/search", "hits", {"in": "elements", "difficulty": "easy", "limit": 100}),
        ):
            count, first, last = paged(given.port, secrets["all"], path, items, asked)
            print(
                f"{says}: {count} in pages of {asked['limit']}, {first * 1000:.0f} ms a page at the beginning, {last * 1000:.0f} at the end"
            )
    if whole:
        sys.exit(1)


if __name__ == "__main__":
    main()
