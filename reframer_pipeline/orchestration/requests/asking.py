"""Asking for a run at once, by the web server of the deployment: a new video's, what the upload sensor would ask for with its next look;
one more of a video; or that of a deliverable, what its sensor would ask for.

What belongs here: the requests over HTTP, under the very name that the sensor gives the run, and under a claim that the sensor respects:
neither asks for what the other has. What does not: launching (Dagster's queue does, as for the sensor). It does not import Dagster: the
API's process does without. If the web server is away nothing is lost: the sensor gets the claim, and asks.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import NobodyToRun, ReframerError
from reframer_pipeline.orchestration.requests.deliverable_runs import run_config
from reframer_pipeline.orchestration.requests.deliverable_runs import run_key as deliverable_key
from reframer_pipeline.orchestration.requests.video_runs import again_key, run_key, run_tags
from reframer_pipeline.orchestration.tags import (
    JOB_OF,
    PARTITION_TAG,
    PARTITIONS,
    PROCESS_VIDEO,
    REQUEST_TAG,
    RUN_KEY_TAG,
    SENSOR_TAG,
    UPLOAD_SENSOR,
)
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.uploads.known import NEVER_RAN
from reframer_pipeline.work import jobs, run_claims

WITHIN_S: Final = 5.0  # each request; there are three, and two looks into the database before
CLAIM_S: Final = 6 * WITHIN_S  # nobody else asks meanwhile
HANDED_S: Final = 120.0  # for the sensor, which may be busy
_log = logging.getLogger(__name__)
_REPOSITORY: Final = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } jobs { name } } } } }"
_REQUESTED: Final = (
    """query ($key: ExecutionTag!) { runsOrError(filter: {tags: [$key]}, limit: 1) { ... on Runs { results { runId } } } }"""
)
_LAUNCH: Final = """mutation ($partition: String!, $key: String!, $repository: RepositorySelector!, $run: ExecutionParams!) {
    addDynamicPartition(partitionsDefName: $partition, partitionKey: $key, repositorySelector: $repository) { __typename }
    launchRun(executionParams: $run) { __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }"""


def ask(url: str | None, db: Database, video_id: str, request_id: str = "") -> str | None:
    """Ask for the run of a video that nobody has begun to compute.

    Args:
        url: Of Dagster's web server; None: the sensor asks.
        db: The database.
        video_id: The video.
        request_id: Of the request that this is for; the run is tagged with it.

    Returns:
        The run's id; None if there was nothing to ask for, or nobody to ask. Nothing is raised: the log says what the trouble was.
    """
    if url is None:
        return None
    me = str(uuid.uuid4())
    try:
        query = f"SELECT filename, created_at FROM videos WHERE id = %s AND status = 'pending' AND {NEVER_RAN}"
        if run_claims.claim(db, [video_id], me, CLAIM_S, WITHIN_S):
            for video in db.fetch(query, (video_id,), within_s=WITHIN_S):
                labels = {SENSOR_TAG: UPLOAD_SENSOR, **_requested_by(request_id)}
                run_id = _launch(url.rstrip("/"), video_id, run_key(video_id, video["created_at"]), video["filename"], labels)
                if run_id is not None:
                    jobs.queue(db, {run_id: video_id})  # so that people see it in the queue at once
                return run_id
    except (OSError, HTTPException, ValueError, LookupError, TypeError, ReframerError) as error:
        _log.warning("The run of video %s could not be asked for at once; the upload sensor will: %s", video_id, _why(error))
        with contextlib.suppress(ReframerError):
            run_claims.hand_over(db, video_id, me, UPLOAD_SENSOR, HANDED_S)
    return None


def ask_again(url: str | None, db: Database, video_id: str, stages: Sequence[str], request_id: str = "") -> str | None:
    """Ask for one more run of a video.

    Args:
        url: Of Dagster's web server.
        db: The database.
        video_id: The video.
        stages: What the run is to compute; none: whatever the job has.
        request_id: As for `ask`.

    Returns:
        The run's id; None if a run is at the video or waits.

    Raises:
        NobodyToRun: There is nobody to ask, or the answer is no. Nobody else will ask.
    """
    if url is None:
        raise NobodyToRun("REFRAMER_DAGSTER_URL is not set, so this server has nobody to ask for a run.")
    query = """SELECT filename, created_at, (SELECT count(*) FROM processing_jobs j WHERE j.video_id = v.id) AS runs FROM videos v
        WHERE id = %s AND NOT EXISTS (
            SELECT 1 FROM processing_jobs j WHERE j.video_id = v.id AND j.status IN ('pending', 'processing'))"""
    try:
        for video in db.fetch(query, (video_id,), within_s=WITHIN_S):
            key = again_key(video_id, video["created_at"], video["runs"])
            run_id = _launch(url.rstrip("/"), video_id, key, video["filename"], _requested_by(request_id), What(stages=stages))
            if run_id is not None:
                jobs.queue(db, {run_id: video_id})
            return run_id
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise NobodyToRun(f"Dagster could not be asked for a run: {_why(error)}.") from error
    return None


def ask_made(url: str | None, db: Database, one: Deliverable, filename: str, request_id: str = "") -> str | None:
    """Ask for the run of a deliverable that is wanted.

    Args:
        url: Of Dagster's web server; None: the deliverable sensor asks.
        db: The database.
        one: The deliverable.
        filename: Of its video, for people.
        request_id: As for `ask`.

    Returns:
        The run's id; None if it was asked for already, or there is nobody to ask. Nothing is raised: the log says what the trouble was.
    """
    if url is None:
        return None
    what = What(JOB_OF[one.kind], config=run_config(one))
    try:
        return _launch(url.rstrip("/"), one.video_id, deliverable_key(one), filename, _requested_by(request_id), what)
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        _log.warning("The run of deliverable %s could not be asked for at once; its sensor will: %s", one.id, _why(error))
        with contextlib.suppress(ReframerError):
            deliverables.hand_over(db, one.id)
    return None


def _requested_by(request_id: str) -> dict[str, str]:
    return {REQUEST_TAG: request_id} if request_id else {}


def _why(error: Exception) -> str:
    return error.message if isinstance(error, ReframerError) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class What:
    """What is run.

    Attributes:
        job: Name of the job.
        stages: Of its assets only these; none: all.
        config: Its run config.
    """

    job: str = PROCESS_VIDEO
    stages: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def _launch(url: str, video_id: str, key: str, filename: str, more: Mapping[str, str], what: What | None = None) -> str | None:
    what = what or What()
    name = {"key": RUN_KEY_TAG, "value": key}
    if _said(url, _REQUESTED, {"key": name})["runsOrError"]["results"]:
        return None
    repository, location = _repository(url)
    where = {"repositoryName": repository, "repositoryLocationName": location}
    labels = {PARTITION_TAG: video_id, **run_tags(filename), **more}
    chosen = {"assetSelection": [{"path": [stage]} for stage in what.stages]} if what.stages else {}
    run = {
        "selector": {**where, "jobName": what.job, **chosen},
        "runConfigData": what.config,
        "executionMetadata": {"tags": [name, *({"key": key, "value": value} for key, value in labels.items())]},
    }
    launched = _said(url, _LAUNCH, {"partition": PARTITIONS, "key": video_id, "repository": where, "run": run})["launchRun"]
    if launched["__typename"] != "LaunchRunSuccess":
        raise ValueError(f"{launched['__typename']} {launched.get('message', '')}")
    return str(launched["run"]["runId"])


@functools.lru_cache(8)
def _repository(url: str) -> tuple[str, str]:
    """Names of the repository that has the job, and of its code location."""
    for one in _said(url, _REPOSITORY, {})["repositoriesOrError"]["nodes"]:
        if any(job["name"] == PROCESS_VIDEO for job in one["jobs"]):
            return one["name"], one["location"]["name"]
    raise LookupError(f"nothing there has the job {PROCESS_VIDEO}")


def _said(url: str, query: str, variables: Mapping[str, Any]) -> Any:
    """What the web server answers. No proxy lies between."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=WITHIN_S) as answer:
        return json.load(answer)["data"]
