"""Webhooks: whoever named a URL with a job is told when that has ended, by the scheme of standardwebhooks.com.

What belongs here: signing, telling, trying again. What does not: the request itself (`outbound`), when this is called (`upkeep`). A new
webhook is due at once: its job may have ended before. Whoever finds that it has not puts it off for good, and whoever writes the end makes
it due again (`work.status`). A row is claimed by moving its next try on, so two servers do not tell the same; a server that is killed
meanwhile leaves it to the next try. What has become due meanwhile stays due. The id of a message stays the same over all tries: receivers
know one that they have had.

A server tells few at a time, and fewer still of one person: whoever has slow receivers waits for them alone. People take turns.
"""

from __future__ import annotations

import http.client
import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

from reframer_pipeline.api.jobs import Job
from reframer_pipeline.api.outbound import WHOLE_S, post
from reframer_pipeline.api.services import Services
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.reading import jobs as reading
from reframer_pipeline.reading.estimates import Rates

AT_ONCE: Final = 8
OF_A_PERSON: Final = 2  # among these
CLAIM_S: Final = 3 * WHOLE_S
FIRST_PAUSE_S: Final = 5.0  # after the first try in vain; three times as long after each further one, up to the longest
LONGEST_PAUSE_S: Final = 6 * 3600.0
TRIES: Final = 12  # over a good day
LOOK_S: Final = 1.0  # while some are being told and there is room, others are looked for
_CLAIM: Final = """
    WITH turns AS (
        SELECT w.upload_id, row_number() OVER (PARTITION BY u.user_id ORDER BY w.next_try_at)
            + (SELECT count(*) FROM unnest(%(under_way)s::uuid[]) one WHERE one = u.user_id) AS turn
        FROM webhooks w JOIN uploads u ON u.id = w.upload_id WHERE w.next_try_at <= now()
    ), due AS (
        SELECT w.upload_id FROM webhooks w JOIN turns t ON t.upload_id = w.upload_id
        WHERE w.next_try_at <= now() AND t.turn <= %(of_a_person)s
        ORDER BY t.turn, w.next_try_at LIMIT %(room)s FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE webhooks w SET next_try_at = now() + %(claim)s * interval '1 second' FROM due, uploads u
    WHERE w.upload_id = due.upload_id AND u.id = w.upload_id
    RETURNING u.id::text AS job_id, u.user_id::text, w.url, w.secret, w.told, w.attempts, w.next_try_at AS claimed"""
_NOTE: Final = """
    UPDATE webhooks SET told = %(told)s, attempts = %(attempts)s, trouble = %(trouble)s,
        next_try_at = CASE WHEN next_try_at = %(claimed)s THEN coalesce(now() + %(pause)s * interval '1 second', 'infinity')
            ELSE next_try_at END
    WHERE upload_id = %(job_id)s"""
_log = logging.getLogger(__name__)


def tell_due(served: Services) -> int:
    """Tell everybody who is due, also those who become so meanwhile; somebody slow holds up no other person. Returns how many were told."""
    told, under_way = 0, dict[Future[bool], str]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while True:
            room = 0 if served.ending.is_set() else AT_ONCE - len(under_way)
            asked = {"room": room, "under_way": list(under_way.values()), "of_a_person": OF_A_PERSON, "claim": CLAIM_S}
            due = served.db.fetch(_CLAIM, asked) if room else []
            under_way |= {pool.submit(_tell, served, one): one["user_id"] for one in due}
            if not under_way:
                return told
            done, _ = wait(under_way, LOOK_S if len(due) < room else None, FIRST_COMPLETED)
            for one in done:
                del under_way[one]
                told += one.result()


def _tell(served: Services, due: Row) -> bool:
    job = reading.get_job(served.db, due["user_id"], due["job_id"], Rates(), 1)
    if job is None or not job.ended or job.status == due["told"]:
        _note(served, due, due["told"], 0, None, None)
        return False
    trouble = _try(served, due, job)
    attempts = due["attempts"] + 1
    last = trouble is not None and attempts >= TRIES
    if trouble is None or last:
        _note(served, due, job.status, 0, trouble, None)
    else:
        _note(served, due, due["told"], attempts, trouble, min(FIRST_PAUSE_S * 3 ** due["attempts"], LONGEST_PAUSE_S))
    if trouble is not None:
        _log.warning("The webhook of job %s was not told%s: %s", due["job_id"], ", and is given up" if last else "", trouble)
    return trouble is None


def _note(served: Services, due: Row, told: str | None, attempts: int, trouble: str | None, pause_s: float | None) -> None:
    """What became of a claim. Without a pause there is no further try, unless the job ended anew since the claim."""
    noted = {"told": told, "attempts": attempts, "trouble": trouble, "pause": pause_s}
    served.db.execute(_NOTE, {**noted, "job_id": due["job_id"], "claimed": due["claimed"]})


def _try(served: Services, due: Row, job: reading.Job) -> str | None:
    """Tell one; the trouble with it, without the URL, which may hold a secret."""
    from standardwebhooks import Webhook

    now, message = datetime.now(UTC), f"msg_{job.job_id}_{job.status}"
    said: dict[str, Any] = {"type": f"job.{job.status}", "timestamp": now, "data": Job.of(job)}
    body = to_json(said).decode()
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
