"""How hard it would be to replace an element: a score that explains itself.

What belongs here: the formula, its weights and its limits. What does not: measuring (`measures`), wording of scenes (`local`).

Each factor turns one figure into 0..1 by a straight ramp between two values, times its weight; the weights add up to 100 points.

| factor    | figure                                 | ramp         | points | why it makes a replacement hard                       |
|-----------|----------------------------------------|--------------|--------|-------------------------------------------------------|
| body      | 1 for a person, 0 for a product        | 0 .. 1       | 25     | bodies bend and have faces; a product keeps its shape |
| occlusion | `occlusion`                            | 0.02 .. 0.30 | 20     | what is put in must go behind the same things         |
| contact   | `overlap`                              | 0.10 .. 0.80 | 15     | hands, shadows and edges of others touch it           |
| motion    | `speed`, frame diagonals per second    | 0.03 .. 0.40 | 15     | motion blur, and every frame must be matched          |
| mask      | `1 - mask_stability` (0.1 without one) | 0.03 .. 0.20 | 10     | an uncertain outline shows at its edge                |
| shape     | `shape_change`                         | 0.03 .. 0.25 | 5      | its outline changes between looks: turning, deforming |
| border    | `border_share`                         | 0.00 .. 0.50 | 5      | the part outside the picture was never seen           |
| size      | `max_area_share`                       | 0.10 .. 0.50 | 5      | the larger it is, the more pixels must be invented    |

Up to 25 points is easy, up to 45 medium, more is hard. So a still bottle in full view is easy; a person who walks in full view, or
a product in a moving hand, is medium; a person half hidden behind others is hard. These limits are a judgement, not a measurement:
that is why every contribution is stored next to the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from reframer_pipeline.scenes.describer import Reason, TrackFigures
from reframer_pipeline.schemas import Difficulty

EASY_UP_TO: Final = 25.0
MEDIUM_UP_TO: Final = 45.0
NO_MASK_DOUBT: Final = 0.1


class Factor(NamedTuple):
    """One row of the table above."""

    name: str
    figure: Callable[[TrackFigures], float]
    low: float
    high: float
    points: float
    say: str  # filled with the figure as `{value}` or as a percentage `{share}`


FACTORS: Final = (
    Factor("body", lambda t: float(t.object_class == "person"), 0.0, 1.0, 25.0, "a person bends and turns"),
    Factor("occlusion", lambda t: t.occlusion, 0.02, 0.30, 20.0, "{share} of it is hidden"),
    Factor("contact", lambda t: t.overlap, 0.10, 0.80, 15.0, "others cover {share} of its box"),
    Factor("motion", lambda t: t.speed, 0.03, 0.40, 15.0, "it moves {value} frame diagonals a second"),
    Factor("mask", lambda t: NO_MASK_DOUBT if t.mask_stability is None else 1 - t.mask_stability, 0.03, 0.20, 10.0,
           "{share} of its outline is uncertain"),
    Factor("shape", lambda t: t.shape_change, 0.03, 0.25, 5.0, "its area changes by {share} from look to look"),
    Factor("border", lambda t: t.border_share, 0.0, 0.50, 5.0, "it is cut by the border in {share} of its sightings"),
    Factor("size", lambda t: t.max_area_share, 0.10, 0.50, 5.0, "it fills up to {share} of the picture"),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A difficulty and where it comes from.

    Attributes:
        difficulty: easy, medium or hard.
        score: Sum of the reasons' points, 0..100.
        reasons: The factors that added something, the largest first.
    """

    difficulty: Difficulty
    score: float
    reasons: tuple[Reason, ...]


def judge(track: TrackFigures) -> Verdict:
    """How hard a track would be to replace in its scene.

    Args:
        track: Its figures.

    Returns:
        The verdict; the same figures always give the same one.
    """
    reasons = []
    for factor in FACTORS:
        value = factor.figure(track)
        points = round(factor.points * min(1.0, max(0.0, (value - factor.low) / (factor.high - factor.low))), 1)
        if points > 0:
            why = factor.say.format(value=f"{value:.2f}", share=f"{value:.0%}")
            reasons.append(Reason(factor=factor.name, value=round(value, 4), points=points, why=why))
    reasons.sort(key=lambda reason: -reason.points)
    score = round(sum(reason.points for reason in reasons), 1)
    difficulty: Difficulty = "easy" if score <= EASY_UP_TO else "medium" if score <= MEDIUM_UP_TO else "hard"
    return Verdict(difficulty, score, tuple(reasons))
