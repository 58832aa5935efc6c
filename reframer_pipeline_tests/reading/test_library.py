"""A person's videos, in the orders that they can have."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest

from reframer_pipeline.reading import library
from reframer_pipeline.reading.parts import read_part
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.submitted import person, submitted


@pytest.mark.parametrize("sort", get_args(library.Sort))
def test_a_page_begins_where_the_one_before_ended_along_an_index(storage: Storage, sort: library.Sort) -> None:
    """However many videos there are: Postgres need not sort them all."""
    ann = person(storage.db)
    ids = [submitted(storage, ann, seed, filename=f"{name}.mp4").video_id for seed, name in enumerate("bacab")]
    storage.db.execute("UPDATE videos SET duration = nullif(ascii(left(sha256, 1)) % 3, 2)")
    found, after = list[str](), tuple[object, ...]()
    while rows := library.page(storage.db, ann.user_id, 2, after, sort=sort)[0]:
        found += [row["video_id"] for row in rows]
        after = rows[-1]["sort_key"], rows[-1]["upload_id"]
    assert sorted(found) == sorted(ids)
    assert found == [row["video_id"] for row in library.page(storage.db, ann.user_id, 9, sort=sort)[0]]
    query, values = library.asked(ann.user_id, 2, after, sort=sort)
    with storage.db.transaction() as conn:
        conn.execute("SET LOCAL enable_sort = off")  # so that it sorts only where nothing else would do
        conn.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in conn.execute(f"EXPLAIN {query}", values))
    index = {"uploaded": "idx_uploads_library", "name": "idx_uploads_names", "duration": "idx_videos_duration"}[sort.removeprefix("-")]
    assert re.search(rf"using {index} .*\n *Index Cond: ", plan), plan


def test_a_part_is_planned_as_what_is_read_whole(storage: Storage) -> None:
    """Postgres thinks that of a cursor only a tenth is wanted, and may walk through a whole table to give the first row soon."""
    with storage.db.transaction() as conn:
        assert read_part(conn, "SELECT generate_series(1, 5) AS n", {}, 3, math.inf) == ([{"n": 1}, {"n": 2}, {"n": 3}], True)
        assert conn.execute("SELECT current_setting('cursor_tuple_fraction')::float AS part").fetchone() == {"part": 1.0}
