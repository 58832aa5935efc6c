"""I4: while a fault goes on, readers see the old whole or the new whole, never a mixture.

What belongs here: reading again and again, as people do, and judging each answer. What does not: faults.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

import psycopg
from psycopg.rows import dict_row

from reframer_pipeline.stages import NAMES

PAUSE_S: Final = 0.02
# One statement, so one moment: what is published, what each of it was made from, and the rows that the views show of it.
_LOOK: Final = """
SELECT v.id::text AS video, v.status,
    (SELECT jsonb_object_agg(p.stage, p.result_id) FROM published p WHERE p.video_id = v.id) AS shown,
    (SELECT jsonb_object_agg(r.stage, r.components -> 'inputs') FROM current_results r
        WHERE r.video_id = v.id AND r.corrects IS NULL) AS inputs,
    (SELECT jsonb_object_agg(result_id, n) FROM (
        SELECT result_id, count(*) AS n FROM current_detections WHERE video_id = v.id GROUP BY 1
        UNION ALL SELECT result_id, count(*) FROM current_segmentation_masks WHERE video_id = v.id GROUP BY 1
        UNION ALL SELECT result_id, count(*) FROM current_tracking_trajectories WHERE video_id = v.id GROUP BY 1
        UNION ALL SELECT result_id, count(*) FROM current_scene_analysis WHERE video_id = v.id GROUP BY 1) AS rows) AS rows
FROM videos v"""


class Watching:
    """A reader in a thread of its own, for the time of a block.

    Attributes:
        looks: Answers that it got.
        away: Times that the database gave none.
        seen: What was wrong with them, a line each.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._counts: dict[str, int] = {}
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self.looks = self.away = 0
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=10, row_factory=dict_row) as conn:
                    while not self._over.wait(PAUSE_S):
                        for row in conn.execute(_LOOK).fetchall():
                            self._judge(row)
                        self.looks += 1
            except psycopg.Error:
                self.away += 1
                time.sleep(0.1)

    def _judge(self, row: dict[str, Any]) -> None:
        shown, made_from, rows = row["shown"] or {}, row["inputs"] or {}, row["rows"] or {}
        if set(shown) not in (set(), set(NAMES)):
            self.seen.append(f"I4: only {sorted(shown)} of video {row['video']} were to be seen")
        if row["status"] == "completed" and not shown:
            self.seen.append(f"I4: video {row['video']} was completed, and nothing of it to be seen")
        for stage, needed in made_from.items():
            for name, result_id in (needed or {}).items():
                if made_from.get(name) is not None and shown.get(name) != result_id:
                    self.seen.append(f"I4: {stage} of video {row['video']} was shown with {name} of another set")
        for result_id, count in rows.items():
            if self._counts.setdefault(result_id, count) != count:
                self.seen.append(f"I4: result {result_id} had {self._counts[result_id]} rows, and then {count}")
