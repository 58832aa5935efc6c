"""What stages will take, from what earlier runs measured.

What belongs here: seconds and dollars per second of video or sampled frame, and a video's share. What does not: which stages have to run
(`planning`). Nothing is guessed: a stage that was never run has no estimate. Results that were made as those that are wanted count before
all others: with a mask for every fifth frame, masks take a fifth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.planning.survey import Wanted
from reframer_pipeline.stages import NAMES, STAGES

_LATEST: Final = 100  # results a rate is made from


@dataclass(frozen=True)
class Rates:
    """What a second of video takes.

    Attributes:
        seconds: Stage to median wall seconds per second of video.
        alike: Digest of a recipe to the same of its results alone.
        dollars: Model to mean cost of Gemini's answer per second of video.
        usual_duration: Median length of a video, seconds; for those not looked at yet. None without any.
        paid: Videos that Gemini has answered about: video id, model and prompt version.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    alike: dict[str, float] = field(default_factory=dict)
    dollars: dict[str, float] = field(default_factory=dict)
    usual_duration: float | None = None
    paid: frozenset[tuple[str, str, int]] = frozenset()

    def of_stage(self, stage: str, duration: float | None, wanted: Wanted | None = None) -> float | None:
        """Seconds that a stage of a video of this length will take, by results of what is wanted if there are any, or None."""
        length, rate = duration or self.usual_duration, self.seconds.get(stage)
        if wanted is not None:
            rate = self.alike.get(wanted[stage].digest, rate)
        return None if length is None or rate is None else round(length * rate, 3)

    def of_gemini(self, video_id: str, wanted: Wanted, duration: float | None) -> float | None:
        """Dollars that describing a video's scenes will cost: 0 if nobody is asked or the answer is there, None if unknown."""
        asked = wanted["scenes"].settings
        if asked["resolved_describer"] != "gemini" or (video_id, asked["gemini_model"], asked["gemini_prompt"]) in self.paid:
            return 0.0
        length, rate = duration or self.usual_duration, self.dollars.get(asked["gemini_model"])
        return None if length is None or rate is None else round(length * rate, 4)


def rates(db: Database) -> Rates:
    """The rates by the latest results of each stage."""
    speed = speeds(db)
    dollars = db.fetch(
        """SELECT model, sum(cost_usd)::float8 / sum(greatest(v.duration, 0.1)) AS rate
           FROM (SELECT * FROM gemini_questions WHERE answered_at IS NOT NULL ORDER BY answered_at DESC LIMIT %s) q
           JOIN videos v ON v.id = q.video_id WHERE v.duration IS NOT NULL GROUP BY model""",
        (_LATEST,),
    )
    paid = db.fetch("SELECT video_id::text AS id, model, prompt_version FROM gemini_questions WHERE answered_at IS NOT NULL")
    return replace(
        speed,
        dollars={row["model"]: float(row["rate"]) for row in dollars},
        paid=frozenset((row["id"], row["model"], row["prompt_version"]) for row in paid),
    )


def speeds(db: Database) -> Rates:
    """Of the rates those that take no look at all questions to Gemini: seconds by stage, and the usual length."""
    seconds = db.fetch(
        """SELECT stage, recipe, percentile_cont(0.5) WITHIN GROUP (ORDER BY latest.seconds / greatest(v.duration, 0.1)) AS rate
           FROM unnest(%s::text[]) AS stage,
               LATERAL (SELECT video_id, recipe, seconds FROM results r WHERE r.stage = stage.stage AND r.corrects IS NULL
                   ORDER BY created_at DESC LIMIT %s) latest
               JOIN videos v ON v.id = latest.video_id
           WHERE v.duration IS NOT NULL GROUP BY GROUPING SETS ((stage), (stage, recipe))""",
        (list(NAMES), _LATEST),
    )
    usual = db.fetch_one(
        """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS duration
           FROM (SELECT duration FROM videos WHERE duration IS NOT NULL ORDER BY created_at DESC LIMIT %s) latest""",
        (_LATEST,),
    )
    return Rates(
        {row["stage"]: float(row["rate"]) for row in seconds if row["recipe"] is None},
        {row["recipe"]: float(row["rate"]) for row in seconds if row["recipe"] is not None},
        usual_duration=float(usual["duration"]) if usual and usual["duration"] is not None else None,
    )


def seconds_a_frame(db: Database, wanted: Wanted) -> float | None:
    """What a sampled frame takes all stages that load weights, by the latest results of each as they are wanted, else of any with these
    weights; None if one has none.
    """
    seconds = 0.0
    for recipe in (wanted[stage.name] for stage in STAGES if stage.weights is not None):
        alike = _a_frame(db, recipe.stage, "recipe = %s", recipe.digest)
        found = alike or _a_frame(db, recipe.stage, "components->>'weights' = %s", recipe.weights)
        if not found:
            return None
        seconds += found
    return seconds


def _a_frame(db: Database, stage: str, made: LiteralString, how: str | None) -> float | None:
    row = db.fetch_one(
        f"""SELECT sum(r.seconds) / nullif(sum((f.stats->>'sampled')::float), 0) AS a_frame
            FROM (SELECT * FROM results WHERE stage = %s AND {made} ORDER BY created_at DESC LIMIT 10) r
            JOIN results f ON f.result_id = (r.components->'inputs'->>'frames')::uuid""",
        (stage, how),
    )
    return float(row["a_frame"]) if row and row["a_frame"] else None
