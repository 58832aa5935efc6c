"""F9: a result's rows into Postgres: our COPY against INSERT row by row, and `executemany`.

What belongs here: the two peers, which start from the same columns and fill the same tables, in one transaction as ours. What does not: all
stages of a long video (`storage`), timing (`pairs`).

    python -m benchmarks.rows [SAMPLED_FRAMES]

With eight objects a frame, at 1080x1920. Each run is rolled back, so that all find the same tables; what it wrote is digested once, before.
The processor's seconds are the client's: Postgres is a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from psycopg import sql

from benchmarks.homes import fresh_home
from benchmarks.pairs import HEADER, PAIRS, Row, Side, Work, rounds, row_of, warmed
from benchmarks.storage import HEIGHT, WIDTH, LongMaker
from reframer_pipeline.database import embedded
from reframer_pipeline.results import manifest
from reframer_pipeline.results.prepare import Prepared
from reframer_pipeline.results.rows import copy_rows
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import BY_NAME
from reframer_pipeline_tests.factories import add_video, commit_all, prepare

BEFORE: Final = {"detections": ("metadata", "frames"), "masks": ("metadata", "frames", "detections")}
Fill = Callable[[psycopg.Connection[Any], Prepared], int]
Digest = tuple[int, str]  # how many rows, and a digest of them all


def copied(conn: psycopg.Connection[Any], made: Prepared) -> int:
    """Ours."""
    return copy_rows(conn, made.row, made.batches)


def one_by_one(conn: psycopg.Connection[Any], made: Prepared) -> int:
    """`execute` a row."""
    count = 0
    for statement, values in _inserts(made):
        for row in values:
            conn.execute(statement, row)
        count += len(values)
    return count


def many(conn: psycopg.Connection[Any], made: Prepared) -> int:
    """`executemany` a batch, which psycopg sends as a pipeline."""
    count = 0
    for statement, values in _inserts(made):
        with conn.cursor() as cursor:
            cursor.executemany(statement, values)
        count += len(values)
    return count


def _inserts(made: Prepared) -> Iterator[tuple[sql.Composed, list[tuple[Any, ...]]]]:
    kept = BY_NAME[made.row.stage].rows
    assert kept is not None
    for batch in made.batches():
        columns = kept.columns(batch, made.key)
        names = sql.SQL(", ").join(map(sql.Identifier, ("video_id", "result_id", *columns)))
        places = sql.SQL(", ").join([sql.Placeholder()] * (2 + len(columns)))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(kept.table), names, places)
        lists = [[made.row.video_id] * batch.num_rows, [made.row.result_id] * batch.num_rows, *(c.to_pylist() for c in columns.values())]
        yield statement, list(zip(*lists, strict=True))


def filling(url: str, made: Prepared, fill: Fill) -> Work:
    """Fill a table within a transaction, and roll back."""
    kept = BY_NAME[made.row.stage].rows
    assert kept is not None
    conn: psycopg.Connection[Any] = psycopg.connect(url)

    def filled() -> int:
        manifest.insert(conn, made.row)
        return fill(conn, made)

    filled()
    table = sql.Identifier(kept.table)
    whole = sql.SQL(
        "SELECT count(*), md5(string_agg((to_jsonb(kept) - 'created_at')::text, '' ORDER BY id)) FROM {} AS kept WHERE result_id = %s"
    ).format(table)
    found = conn.execute(whole, (made.row.result_id,)).fetchone()
    assert found is not None
    digest: Digest = (found[0], found[1])
    conn.rollback()

    def work() -> Digest:
        count = filled()
        conn.rollback()
        assert count == digest[0]
        return digest

    return work


def same(theirs: Digest, own: Digest) -> str:
    """The gate."""
    assert theirs == own and own[0], "not the same rows"
    return f"{own[0]} rows, all columns equal"


def rows(pairs: int = PAIRS, quick: bool = False, sampled: int | None = None) -> Iterator[Row]:
    """Boxes, which are many and short, and masks, which are long; against both peers."""
    sampled = sampled or (50 if quick else 250)
    with fresh_home() as home:
        settings = Settings(home=home)
        with open_storage(settings) as storage:
            video_id, sha = add_video(storage)
            maker = LongMaker(sha, settings, frame_count=sampled * settings.vid_stride, width=WIDTH, height=HEIGHT)
            commit_all(storage, video_id, maker, BEFORE["detections"])
            for stage in ("detections", "masks"):
                made = prepare(storage, video_id, maker, stage)
                ways = ("ours", copied), ("INSERT row by row", one_by_one), ("executemany", many)
                with warmed([Side(name, filling, (embedded.database_url(settings), made, fill)) for name, fill in ways]) as warm:
                    took = rounds(warm, pairs)
                for place, target in ((1, "≥ 10"), (2, "≥ 1.1")):
                    one = [(found[place], found[0]) for found in took]
                    yield row_of("F9", f"{stage} into Postgres", ways[place][0], one, same, target)
                made.clear()
                if stage == "detections":
                    commit_all(storage, video_id, maker, ("detections",))


def main() -> None:
    """Print the lines."""
    print(HEADER)
    for row in rows(sampled=int(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()
