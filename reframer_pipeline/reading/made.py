"""How a video's results were made, stage by stage: by which models and settings, how long it took and what it cost, and what failed.

What belongs here: bringing manifest, plan and the last run together. What does not: comparing with what is wanted (`planning.survey`),
running again (`api.remaking`). A stage is shown as readers see it; before there is such a result, as it was made last.

Where the weights that are wanted are not at hand, as on a machine that only serves, nobody can say what is stale: what readers see is then
called fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, LiteralString

from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import UnknownVideo
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.planning.survey import VideoPlan
from reframer_pipeline.reading.jobs import Failure, failure_of
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages import STAGES
from reframer_pipeline.vision.releases import RELEASES

if TYPE_CHECKING:
    import psycopg

Status = Literal["fresh", "stale", "missing", "failed"]


@dataclass(frozen=True)
class Model:
    """A model that a stage used.

    Attributes:
        name: As people call it; for weights that no release has, what it is for.
        digest: Of its weights; None for Gemini.
        demo: Whether it is a demonstration model.
    """

    name: str
    digest: str | None
    demo: bool


@dataclass(frozen=True)
class Cost:
    """What was paid for a video, by everybody who asked."""

    usd: float
    requests: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Made:
    """How a stage stands, and how it was made; without a result only `stage`, `status` and `failure` are known.

    Attributes:
        stage: Its name.
        status: fresh; stale, made as it would not be made now; missing; failed, in the last run.
        result_id, made_at, seconds, code_version, settings: Of the result.
        model: The model it used, if it uses one.
        rows: As people count.
        cost: What was paid for it.
        failure: Why it failed.
    """

    stage: str
    status: Status
    result_id: str | None = None
    made_at: datetime | None = None
    seconds: float | None = None
    code_version: int | None = None
    model: Model | None = None
    settings: dict[str, Any] | None = None
    rows: int | None = None
    cost: Cost | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Making:
    """How a video was made.

    Attributes:
        stages: In pipeline order.
        open: Stages that a run would compute, in order.
        known: Whether `open` can be trusted: the weights that are wanted are at hand.
        running: Whether a run is at it, or waits.
    """

    stages: list[Made]
    open: tuple[str, ...]
    known: bool
    running: bool

    @property
    def demo_models(self) -> bool:
        """Whether a demonstration model made any of it."""
        return any(one.model is not None and one.model.demo for one in self.stages)

    @property
    def may_run_again(self) -> bool:
        """Whether there is something to compute, and nobody is at it."""
        return bool(self.open) and not self.running


def making(storage: Storage, video_id: str) -> Making:
    """How a video was made.

    Raises:
        UnknownVideo: There is no such video.
    """
    plan = next(iter(Planner.of(storage, storage.settings).plans([video_id])), None)
    if plan is None:
        raise UnknownVideo(f"There is no video {video_id}.")

    def read(conn: psycopg.Connection[Row]) -> tuple[dict[str, Row], Row | None, Row | None]:
        results = {row["stage"]: row for row in conn.execute(_RESULTS, (video_id,))}
        return results, conn.execute(_LAST_RUN, (video_id,)).fetchone(), conn.execute(_COST, (video_id,)).fetchone()

    results, last, paid = storage.db.run(read, snapshot=True)
    failed = last if last is not None and last["status"] == "failed" else None
    stages = [_stage(stage.name, plan, results.get(stage.name), failed, paid) for stage in STAGES]
    still = tuple(one.stage for one in stages if one.status != "fresh")
    return Making(stages, plan.to_compute if plan.trouble is None else still, plan.trouble is None, last is not None and last["going_on"])


def _stage(name: str, plan: VideoPlan, made: Row | None, failed: Row | None, paid: Row | None) -> Made:
    status: Status = plan.stages[name].state
    if plan.trouble is not None:
        status = "fresh" if made is not None and made["published"] else "missing" if made is None else "stale"
    failure = None
    if status != "fresh" and failed is not None and failed["stage"] == name:
        status, failure = "failed", failure_of(failed["failure_code"], failed["failure_message"])
    if made is None:
        return Made(name, status, failure=failure)
    components = made["components"]
    settings = components["settings"]
    gemini = settings.get("resolved_describer") == "gemini"
    return Made(
        stage=name,
        status=status,
        result_id=str(made["result_id"]),
        made_at=made["made_at"],
        seconds=made["seconds"],
        code_version=components["code_version"],
        model=Model(str(settings.get("gemini_model", "gemini")), None, demo=False) if gemini else _model(name, components["weights"]),
        settings=settings,
        rows=made["row_count"] - int(made["stats"].get("candidates", 0)),
        cost=Cost(paid["usd"], paid["requests"], paid["input_tokens"], paid["output_tokens"]) if gemini and paid else None,
        failure=failure,
    )


def _model(name: str, weights: str | None) -> Model | None:
    if weights is None:
        return None
    kind, _, digest = weights.rpartition(":")
    role = next(str(stage.weights) for stage in STAGES if stage.name == name)
    known = next((one.file for one in RELEASES.values() if one.sha256 == digest), role)
    return Model(f"demonstration {role}" if kind == "demo" else known, digest, kind == "demo")


# Of each stage what readers see, or else what was made last.
_RESULTS: LiteralString = """
    SELECT DISTINCT ON (r.stage) r.stage, r.result_id, r.components, r.row_count, r.stats, r.seconds,
        coalesce(r.recomputed_at, r.created_at) AS made_at, p.result_id IS NOT NULL AS published
    FROM results r LEFT JOIN published p ON p.video_id = r.video_id AND p.result_id = r.result_id WHERE r.video_id = %s
    ORDER BY r.stage, p.result_id IS NULL, r.created_at DESC"""
_LAST_RUN: LiteralString = """
    SELECT stage, status, failure_code, failure_message, status IN ('pending', 'processing') AS going_on
    FROM processing_jobs WHERE video_id = %s ORDER BY created_at DESC LIMIT 1"""
_COST: LiteralString = """
    SELECT sum(cost_usd)::float8 AS usd, sum(requests)::int AS requests, sum(input_tokens)::bigint AS input_tokens,
        sum(output_tokens)::bigint AS output_tokens
    FROM gemini_questions WHERE video_id = %s HAVING count(*) > 0"""
