"""How hard it would be to replace an element, by stated limits.

What belongs here: the limits, each with its reason, and the judgement by them. What does not: measuring (`measures`), wording of scenes
(`local`).

Each factor is one figure with two limits: from the first on an element is not easy, from the second on it is hard. A figure that lies
exactly on a limit counts as the harder. The hardest factor decides; factors do not add up, and none makes up for another: an element
whose outline nobody can tell is not made easy by standing still. Some limits are stricter for people. `FACTORS` is the table, with
the reason of every limit, and docs/difficulty.md shows it.

The limits are a compositor's judgement, not a measurement: they are held against the table of situations in the tests
(`test_difficulty`), whose answers were written down before. Every factor that went some way is stored beside the verdict, as points:
33 is the first limit, 67 the second, straight lines between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from reframer_pipeline.scenes.describer import Reason, TrackFigures
from reframer_pipeline.schemas import Difficulty, ObjectClass

NOT_EASY, HARD, MOST = 33.0, 67.0, 100.0  # points
Limits = tuple[float | None, float | None]  # not easy from, hard from; None: never by this factor alone
NEVER: Final[Limits] = (None, None)


class Factor(NamedTuple):
    """One figure and its limits.

    Attributes:
        name: Stable name, stored with each verdict.
        what: The figure in words.
        figure: Takes it from a track's figures.
        product: Limits for products.
        person: Limits for people.
        say: What is said of it, filled with the figure as `{value}` or as a percentage `{share}`.
        why: The reason of the limits.
    """

    name: str
    what: str
    figure: Callable[[TrackFigures], float]
    product: Limits
    person: Limits
    say: str
    why: str

    def points(self, kind: ObjectClass, value: float) -> float:
        """How far a figure goes, 0 to 100: below `NOT_EASY` up to the first limit, below `HARD` up to the second."""
        not_easy, hard = self.person if kind == "person" else self.product
        if not_easy is None:
            return 0.0
        if value < not_easy:
            low, high, share = 0.0, NOT_EASY, value / not_easy
        elif hard is None:
            low, high, share = NOT_EASY, HARD, value / not_easy - 1
        elif value < hard:
            low, high, share = NOT_EASY, HARD, (value - not_easy) / (hard - not_easy)
        else:
            low, high, share = HARD, MOST + 0.1, value / hard - 1
        return min(math.floor(10 * (low + (high - low) * share)), round(10 * high) - 1) / 10

    def alone(self, kind: ObjectClass, value: float) -> Difficulty:
        """What the element would be if this were all there is to it."""
        points = self.points(kind, value)
        return "easy" if points < NOT_EASY else "medium" if points < HARD else "hard"


FACTORS: Final = (
    Factor(
        "body", "1 for a person", lambda t: float(t.object_class == "person"), NEVER, (1.0, None),
        "a person bends and turns",
        "A product keeps its shape, or nearly. A body bends, and everybody knows how a face moves.",
    ),
    Factor(
        "occlusion", "share of it that is hidden", lambda t: t.occlusion, (0.05, 0.25), (0.05, 0.20),
        "{share} of it is hidden",
        "What is put in must go behind the same things, and these are cut out by hand. Up to a twentieth, masks vary anyway. "
        "From a quarter on it is much of the work in every frame. A body behind something comes and goes limb by limb.",
    ),
    Factor(
        "contact", "share of its box that others' boxes cover", lambda t: t.overlap, (0.20, None), (0.20, 0.50),
        "others cover {share} of its box",
        "Hands, shadows and edges of others lie on it. Up to a fifth, boxes touch and not things. Boxes do not tell who is in front, so "
        "it makes no product hard: `occlusion` counts what is hidden. People whose boxes overlap by half hold each other.",
    ),
    Factor(
        "motion", "speed, frame diagonals a second", lambda t: t.speed, (0.10, 0.40), (0.10, 0.25),
        "it moves {value} frame diagonals a second",
        "In full HD at 25 frames a second, 0.1 is 9 pixels a frame, which blurs edges by 4 to 5 (a shutter open half the time). "
        "At 0.4 the blur is 18 pixels, and edges are gone. The limbs of a person are faster than the middle of their box.",
    ),
    Factor(
        "mask", "share of its outline that is uncertain", lambda t: 0.0 if t.mask_stability is None else 1 - t.mask_stability,
        (0.08, 0.30), (0.08, 0.20),
        "{share} of its outline is uncertain",
        "An outline that wavers shows at the edge of what is put in. SAM's own mask generator keeps masks from a stability of 0.95 on. "
        "From three tenths on nobody can tell where it ends. Of a person that is hair and hands, which show sooner.",
    ),
    Factor(
        "no mask", "1 without a mask", lambda t: float(t.mask_stability is None), (1.0, None), (1.0, None),
        "no mask was made of it",
        "Its outline must be drawn by hand.",
    ),
    Factor(
        "shape", "change of its area from look to look", lambda t: t.shape_change, (0.10, 0.40), (0.10, 0.30),
        "its area changes by {share} from look to look",
        "It turns, comes nearer or deforms. Up to a tenth is a gentle move of the camera, and masks vary by that. "
        "From two fifths on each look has an outline of its own.",
    ),
    Factor(
        "border", "share of its sightings that the border cuts", lambda t: t.border_share, (0.25, None), (0.25, None),
        "it is cut by the border in {share} of its sightings",
        "Corners to track are outside, and so is its contact with the ground. It is not hard by that: what is outside need not be made.",
    ),
    Factor(
        "size", "largest share of the picture", lambda t: t.max_area_share, (0.25, 0.60), (0.25, 0.40),
        "it fills up to {share} of the picture",
        "From a quarter of the picture on, its print and its light are what one looks at. From three fifths on the picture is made anew. "
        "A face is looked at more closely than anything.",
    ),
    Factor(
        "plate", "share of the picture behind it that no frame shows", lambda t: t.plate_missing or 0.0, (0.10, None), (0.10, None),
        "{share} of the picture behind it is never seen",
        "What is put in seldom has the same outline, and around it one sees what lay behind. Up to a tenth of the picture that is a patch, "
        "painted from what surrounds it. Beyond, a part of the place is made up. It is painted once, for the camera stands still, so it is "
        "not hard by that. Where the camera moves this is not measured.",
    ),
    Factor(
        "duration", "seconds in view", lambda t: t.visible_seconds, (20.0, 60.0), (20.0, 30.0),
        "it is in view for {value} s",
        "All frames are looked through, and small errors add up: 500 frames in 20 s, 1,500 in a minute. A body differs in each of them.",
    ),
    Factor(
        "looks", "1 with a single sighting", lambda t: float(t.sightings < 2), (1.0, None), (1.0, None),
        "it was sighted only once",
        "A single sighting says nothing of motion, of turning, or of what passes before it.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A difficulty and where it comes from.

    Attributes:
        difficulty: easy, medium or hard: the hardest of the reasons'.
        score: The most points of a reason, 0 to 100; easy below 33, hard from 67 on.
        reasons: The factors that went some way, the farthest first.
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
        value = round(factor.figure(track), 4)
        points = factor.points(track.object_class, value)
        if points > 0:
            why, alone = factor.say.format(value=f"{value:.2f}", share=f"{value:.0%}"), factor.alone(track.object_class, value)
            reasons.append(Reason(factor=factor.name, value=value, points=points, difficulty=alone, why=why))
    reasons.sort(key=lambda reason: -reason.points)
    return Verdict(reasons[0].difficulty, reasons[0].points, tuple(reasons)) if reasons else Verdict("easy", 0.0, ())
