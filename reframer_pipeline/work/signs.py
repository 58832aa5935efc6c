"""Whether anybody computes at all: the signs that runs leave.

What belongs here: that question, over all videos. What does not: who is at which video (`lease`, `jobs`), what people are told (`reading`).
A deployment without work leaves no sign. One that has work does within `QUIET_S`: its schedules look once a minute.
"""

from __future__ import annotations

from typing import Final, LiteralString

QUIET_S: Final = 90

# Whether a run has waited, held a lease, made a result, failed or made a deliverable since. Each part reads the end of an index.
COMPUTING: Final[LiteralString] = f"""(
    EXISTS (SELECT 1 FROM leases WHERE heartbeat_at > now() - interval '{QUIET_S} seconds')
    OR EXISTS (SELECT 1 FROM processing_jobs
        WHERE status IN ('pending', 'processing') AND updated_at > now() - interval '{QUIET_S} seconds')
    OR EXISTS (SELECT 1 FROM processing_jobs WHERE status = 'failed' AND finished_at > now() - interval '{QUIET_S} seconds')
    OR EXISTS (SELECT 1 FROM results WHERE stage = 'scenes' AND created_at > now() - interval '{QUIET_S} seconds')
    OR EXISTS (SELECT 1 FROM deliverables WHERE status = 'making' AND alive_at > now() - interval '{QUIET_S} seconds'))"""
