"""Routes of how a video was made, and of making again what failed or is stale.

What belongs here: HTTP. What does not: how it stands (`reading.made`), asking Dagster (`orchestration.requests.asking`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from reframer_pipeline.api.access import Reader, Writer
from reframer_pipeline.api.jobs import Job, JobFailure, look
from reframer_pipeline.api.services import Served
from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.failures import NothingToRun
from reframer_pipeline.orchestration.requests.asking import ask_again
from reframer_pipeline.reading import library, made

router = APIRouter(tags=["videos"])


class Model(BaseModel):
    """A model that a stage used."""

    name: str = Field(examples=["yolov8x.pt"])
    digest: str | None = Field(description="SHA-256 of its weights; null for Gemini.")
    demo: bool = Field(description="It is a demonstration model: of no use on real footage.")


class Cost(BaseModel):
    """What was paid for the video's descriptions, by everybody who asked."""

    usd: float
    requests: int
    input_tokens: int
    output_tokens: int


class MadeStage(BaseModel):
    """How a stage stands, and how its result was made; that part is null before there is one."""

    stage: str = Field(examples=["masks"])
    status: made.Status = Field(description="Stale: it would be made otherwise now. Failed: in the last run.")
    result_id: str | None
    made_at: datetime | None
    seconds: float | None = Field(description="That it took.")
    code_version: int | None
    model: Model | None
    settings: dict[str, Any] | None = Field(description="That it depends on.", examples=[{"vid_stride": 5}])
    rows: int | None
    cost: Cost | None
    failure: JobFailure | None


class Making(BaseModel):
    """How a video was made."""

    stages: list[MadeStage]
    demo_models: bool = Field(description="Demonstration models made some of it.")
    may_run_again: bool = Field(description="Something failed, is stale or missing, no run is at it, and this key may ask for one.")


@router.get("/videos/{video_id}/made")
def how(video_id: str, served: Served, who: Reader) -> Making:
    """How a video was made: models, settings, time and cost by stage, and why a stage failed."""
    library.see(served.db, who.user_id, video_id)
    found = made.making(served.storage, video_id)
    stages = [MadeStage.model_validate(one, from_attributes=True) for one in found.stages]
    return Making(stages=stages, demo_models=found.demo_models, may_run_again=found.may_run_again and "write" in who.scopes)


@router.post("/videos/{video_id}/run", status_code=202)
def run_again(video_id: str, served: Served, who: Writer) -> Job:
    """Compute again what failed, is stale or is missing; while a run is at it, nothing more happens. The answer is the video's job."""
    job_id = library.job_of(served.db, who.user_id, video_id)
    found = made.making(served.storage, video_id)
    if not found.running:
        if not found.open:
            raise NothingToRun("Nothing of this video failed or is stale.")
        ask_again(served.settings.dagster_url, served.db, video_id, found.open if found.known else (), request_id())
    return Job.of(look(served, who, job_id))
