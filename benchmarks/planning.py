"""How long a plan takes at 100, 10,000 and 100,000 videos: everything fresh, and everything stale after a change of `conf`.

    python benchmarks/planning.py [VIDEOS ...]

The manifest is filled by SQL with six results and a completed run a video, and a failed one after it for each tenth; the plan is
`reframer plan --json` without the process's start-up, the tick that of the schedule without Dagster.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from reframer_pipeline.cli.plan import _lines, _print_json
from reframer_pipeline.database import embedded
from reframer_pipeline.orchestration.requests.schedules import _noting
from reframer_pipeline.planning.backlog import due, held_back, waits
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.reading.estimates import rates
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings


def fill(storage: Storage, count: int, settings: Settings) -> None:
    """Videos with six fresh, published results each, up to `count` of them."""
    planner = Planner.of(storage, settings)
    with storage.db.transaction() as conn:
        conn.execute("INSERT INTO users (email) VALUES ('bench@localhost') ON CONFLICT DO NOTHING")
        conn.execute(
            """INSERT INTO videos (id, user_id, sha256, filename, size_bytes, duration, status, created_at)
               SELECT md5('v' || n)::uuid, (SELECT id FROM users), md5('a' || n) || md5('b' || n), n || '.mp4', 1000, 15, 'completed',
                   now() - n * interval '1 second'
               FROM generate_series(1, %s) n ON CONFLICT DO NOTHING""",
            (count,),
        )
        for stage, recipe in planner.recipes({})[0].items():
            conn.execute(
                "INSERT INTO recipes VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (recipe.digest, stage, recipe.code_version, json.dumps(recipe.settings), recipe.weights, json.dumps(recipe.inputs)),
            )
            components = json.dumps({"settings": recipe.settings, "weights": recipe.weights})
            conn.execute(
                """INSERT INTO results (result_id, video_id, stage, stage_key, recipe, components, object_key, object_bytes, row_count,
                       content_digest, seconds, created_at)
                   SELECT md5(%(s)s || v.id)::uuid, v.id, %(s)s, %(s)s || v.id, %(r)s, %(c)s::jsonb || jsonb_build_object('inputs',
                       (SELECT coalesce(jsonb_object_agg(name, md5(name || v.id)::uuid), '{}') FROM unnest(%(i)s::text[]) name)),
                       %(s)s || v.id, 1000, 10, 'd', 1.5, v.created_at
                   FROM videos v ON CONFLICT DO NOTHING""",
                {"s": stage, "r": recipe.digest, "c": components, "i": list(recipe.inputs)},
            )
        conn.execute(
            "INSERT INTO published (video_id, stage, result_id) SELECT video_id, stage, result_id FROM results ON CONFLICT DO NOTHING"
        )
        conn.execute(
            """INSERT INTO processing_jobs (video_id, run_id, status, created_at, finished_at)
               SELECT id, 'good', 'completed', created_at, created_at FROM videos ON CONFLICT DO NOTHING"""
        )
        conn.execute(
            """INSERT INTO processing_jobs (video_id, run_id, status, failure_code, failure_message, failed_recipe, retryable, finished_at)
               SELECT id, 'bad', 'failed', 'stalled', 'It stalled.', %s, true, now() FROM videos WHERE right(id::text, 1) IN ('0', '1')
               ON CONFLICT DO NOTHING""",
            (Planner.of(storage, settings, {"conf": 0.4}).recipes({})[0]["detections"].digest,),
        )
    storage.db.execute("ANALYZE")


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=int, default=[100, 10_000, 100_000])
    counts = parser.parse_args().videos
    with tempfile.TemporaryDirectory(prefix="reframer-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(home=Path(folder) / "home", models="demo")
        with open_storage(settings) as storage:
            print(f"{'videos':>8} {'fresh: plan':>12} {'stale: plan':>12} {'stale: tick':>12}   seconds")
            for count in sorted(counts):
                fill(storage, count, settings)

                def plan(given: dict[str, float], settings: Settings = settings, storage: Storage = storage) -> None:
                    known, waiting = rates(storage.db), waits(storage.db)
                    plans = Planner.of(storage, settings, given).plans()
                    with redirect_stdout(io.StringIO()):
                        _print_json(
                            (one.video_id, _lines(one, known, held_back(one, waiting, 5) if one.to_compute else None)) for one in plans
                        )

                def tick(settings: Settings = settings, storage: Storage = storage) -> None:
                    plans = _noting(Planner.of(storage, settings, {"conf": 0.4}).plans(), [], {}, {})
                    list(due(plans, waits(storage.db), set(), 20, 5))
                    list(plans)

                fresh, stale, ticked = seconds(lambda: plan({})), seconds(lambda: plan({"conf": 0.4})), seconds(tick)
                print(f"{count:>8} {fresh:>12.2f} {stale:>12.2f} {ticked:>12.2f}")
        embedded.stop(settings)


if __name__ == "__main__":
    main()
