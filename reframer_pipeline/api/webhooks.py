"""Webhooks: whoever named a URL with a job is told when that has ended, by the scheme of standardwebhooks.com.

What belongs here: who is due, signing, trying again. What does not: the request itself (`outbound`), when this is called (`upkeep`). A row
is claimed by moving its next try on, so two servers do not tell the same; a server that is killed meanwhile leaves it to the next try. The
id of a message stays the same over all tries: receivers know one that they have had.
"""

from __future__ import annotations

import http.client
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from reframer_pipeline.api.jobs import Job
from reframer_pipeline.api.outbound import WHOLE_S, post
from reframer_pipeline.api.services import Services
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.reading.estimates import Rates
from reframer_pipeline.reading.jobs import get_job

AT_ONCE: Final = 8
CLAIM_S: Final = 3 * WHOLE_S
FIRST_PAUSE_S: Final = 5.0  # after the first try in vain; three times as long after each further one, up to the longest
LONGEST_PAUSE_S: Final = 6 * 3600.0
TRIES: Final = 12  # over a good day
RETOLD_S: Final = 60.0  # a job that failed may yet be completed: it is looked at again, for a week
_DUE: Final = """
    WITH due AS (
        SELECT w.upload_id, u.user_id::text, stands.status
        FROM webhooks w JOIN uploads u ON u.id = w.upload_id LEFT JOIN videos v ON v.id = u.video_id
            CROSS JOIN LATERAL (SELECT CASE WHEN u.status = 'completed' THEN v.status ELSE u.status END AS status) stands
        WHERE w.next_try_at <= now() AND stands.status IN ('completed', 'failed') AND w.told IS DISTINCT FROM stands.status
        ORDER BY w.next_try_at LIMIT %s FOR UPDATE OF w SKIP LOCKED)
    UPDATE webhooks w SET next_try_at = now() + %s * interval '1 second' FROM due WHERE w.upload_id = due.upload_id
    RETURNING w.upload_id::text AS job_id, w.url, w.secret, w.attempts, due.user_id, due.status"""
_log = logging.getLogger(__name__)


def tell_due(served: Services) -> int:
    """Tell everybody who is due now. Returns how many were told."""
    told = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while due := served.db.run(lambda conn: conn.execute(_DUE, (AT_ONCE, CLAIM_S)).fetchall()):
            told += sum(pool.map(lambda one: _tell(served, one), due))
    return told


def _tell(served: Services, due: Row) -> bool:
    trouble = _try(served, due)
    last = trouble is not None and due["attempts"] + 1 >= TRIES
    if trouble is None or last:
        served.db.execute(
            """UPDATE webhooks SET told = %s, attempts = 0, trouble = %s, next_try_at = CASE
                   WHEN %s = 'completed' OR created_at < now() - interval '7 days' THEN 'infinity' ELSE now() + %s * interval '1 second' END
               WHERE upload_id = %s""",
            (due["status"], trouble, due["status"], RETOLD_S, due["job_id"]),
        )
    else:
        pause = min(FIRST_PAUSE_S * 3 ** due["attempts"], LONGEST_PAUSE_S)
        query = "UPDATE webhooks SET attempts = %s, trouble = %s, next_try_at = now() + %s * interval '1 second' WHERE upload_id = %s"
        served.db.execute(query, (due["attempts"] + 1, trouble, pause, due["job_id"]))
    if trouble is not None:
        _log.warning("The webhook of job %s was not told%s: %s", due["job_id"], ", and is given up" if last else "", trouble)
    return trouble is None


def _try(served: Services, due: Row) -> str | None:
    """Tell one; the trouble with it, without the URL, which may hold a secret."""
    from standardwebhooks import Webhook

    job = get_job(served.db, due["user_id"], due["job_id"], Rates(), 1)
    if job is None:
        return None
    now, message = datetime.now(UTC), f"msg_{due['job_id']}_{due['status']}"
    said: dict[str, Any] = {"type": f"job.{due['status']}", "timestamp": now.isoformat(), "data": Job.of(job).model_dump(mode="json")}
    body = json.dumps(said, separators=(",", ":"))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "reframer",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(due["secret"]).sign(message, now, body),
    }
    try:
        status = post(due["url"], body.encode(), headers, served.settings.webhook_private)
    except ReframerError as failure:
        return failure.message
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__
    return None if 200 <= status < 300 else f"it answered {status}"
