"""The difficulty against what a compositor would say: one row per situation, written down before the limits were set.

A row says what is seen, what was measured of it, the answer, and why. Figures that a row does not name are those of a product that stands
still, alone and in full view, with a sure outline, for 4 s. A new limit must agree with all rows; a row may be added, never bent to fit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from reframer_pipeline.scenes.describer import TrackFigures
from reframer_pipeline.scenes.difficulty import FACTORS, Factor, judge
from reframer_pipeline.schemas import Difficulty, ObjectClass
from reframer_pipeline_tests.scenes.tracks import track_figures


class Seen(NamedTuple):
    """A situation."""

    what: str
    object_class: ObjectClass
    figures: dict[str, Any]
    answer: Difficulty
    why: str


def product(what: str, answer: Difficulty, why: str, **figures: Any) -> Seen:
    return Seen(what, "product", figures, answer, why)


def person(what: str, answer: Difficulty, why: str, **figures: Any) -> Seen:
    return Seen(what, "person", figures, answer, why)


SITUATIONS = (
    product("a bottle alone on a table", "easy", "one clean picture of the new bottle carries the shot"),
    product("a small box far back on a shelf", "easy", "few pixels, none of them in anybody's way", area_share=0.004, max_area_share=0.004),
    product("a can, the camera pans slowly past it", "easy", "a slow, steady path is tracked by machine", speed=0.05),
    product("a mug whose box a napkin touches", "easy", "they touch boxes, not edges", overlap=0.08),
    product("a parcel on a doorstep for 12 s", "easy", "nothing changes, so length costs nothing yet", visible_seconds=12),
    product("a cereal box before a plain wall", "easy", "the outline is as good as sure", mask_stability=0.95),
    product("a book with a twig before one corner", "easy", "a few pixels are put back by hand once", occlusion=0.03),
    product("a box that is cut while the camera settles", "easy", "one look in twelve", border_share=0.08),
    product("a carton close to the lens", "easy", "large, but flat and still", area_share=0.18, max_area_share=0.20),
    product("a jar on a slow turntable", "easy", "it turns a little from look to look", shape_change=0.06),
    product("a handbag, the camera moves in gently", "easy", "scale and place follow one smooth curve", shape_change=0.04, speed=0.03),
    product("a vase for half a second", "easy", "a dozen frames in which nothing happens", visible_seconds=0.5, sightings=3),
    product("a bottle that nobody moves, before a camera on a stand", "easy", "a patch of its size is painted once",
            plate_never_seen=1.0, plate_missing=0.03),
    product("a large parcel that is carried away later", "easy", "what it hid is taken from the frames in which it is away",
            area_share=0.18, max_area_share=0.2, plate_never_seen=0.02, plate_missing=0.004),
    product("a shampoo bottle, softly lit", "easy", "still, whole, hardly a doubtful edge", mask_stability=0.93, speed=0.01, overlap=0.1),
    # --- products that need work
    product("a cup held still in a hand", "medium", "fingers go around it, and their shadow lies on it",
            overlap=0.9, speed=0.05, occlusion=0.04),
    product("a bottle before the chest of a sitting person", "medium", "its edge runs over somebody who breathes", overlap=1.0),
    product("a tin among others that cover 73 % of its box", "medium", "edges and shadows of others are on it", overlap=0.73),
    product("a cup whose box is overlapped by a third", "medium", "contact: shadow and edge must be rebuilt", overlap=0.30),
    product("a box that passes behind a lamp post", "medium", "the post must be cut out, for a few frames", occlusion=0.12),
    product("a ball that rolls through the room", "medium", "slight motion blur, new in each frame", speed=0.2),
    product("a toy car lost and found again", "medium", "where it is not seen it must be guessed",
            gap_share=0.15, occlusion=0.15, speed=0.12),
    product("a suitcase pulled by somebody", "medium", "a hand on it, and it moves", overlap=0.3, speed=0.15),
    product("a bag that stands at the lower border, always cut", "medium", "no lower edge to track or to cast a shadow", border_share=1.0),
    product("a pram half of which leaves the picture", "medium", "points to track leave with it", border_share=0.5, speed=0.1),
    product("a box that fills two fifths of the picture", "medium", "its print and its light are looked at closely", max_area_share=0.4),
    product("a bottle of clear glass, soft edges", "medium", "the outline wants a second look everywhere", mask_stability=0.85),
    product("a parcel a little out of focus", "medium", "its edge is a ramp, not a line", mask_stability=0.88),
    product("a package nobody made a mask of", "medium", "the outline is drawn by hand", mask_stability=None),
    product("a box on a fast turntable", "medium", "another side in each look", shape_change=0.2),
    product("a bottle that stands for 25 s", "medium", "600 frames to look through", visible_seconds=25, sightings=125),
    product("a can in one single look", "medium", "nobody knows how it moves", sightings=1, visible_seconds=0.5),
    product("a cardboard stand before the wall, a sixth of the picture, that nobody moves", "medium",
            "what it hides no frame shows, so a part of the shop is made up", area_share=0.17, max_area_share=0.17,
            plate_never_seen=1.0, plate_missing=0.17),
    # --- products that nobody wants to do
    product("a bottle shaken in a hand", "hard", "blur and fingers, anew in each frame", overlap=0.9, speed=0.6),
    product("a box behind a fence, a third of it hidden", "hard", "every bar must be cut out", occlusion=0.35),
    product("a ball kicked across the picture", "hard", "more streak than ball", speed=0.9),
    product("a wine glass before a window", "hard", "nobody can say where it ends", mask_stability=0.6),
    product("a laptop with 45 % of its outline uncertain, always cut by the border", "hard", "neither edge nor corners to hold on to",
            mask_stability=0.55, border_share=1.0),
    product("a paper bag in the wind", "hard", "a new outline in each frame", shape_change=0.5),
    product("a lorry that fills three quarters of the picture", "hard", "the whole picture must be made anew",
            area_share=0.6, max_area_share=0.75),
    product("a phone in a hand through 90 s of talk", "hard", "over two thousand frames with fingers",
            visible_seconds=90, sightings=450, overlap=0.5),
    product("a stand that passers-by hide half the time", "hard", "each of them must be cut out", gap_share=0.5, occlusion=0.5),
    product("a keyboard under typing hands", "hard", "ten fingers before it, all the time", overlap=0.8, occlusion=0.3),
    # --- people
    person("somebody stands still in full view", "medium", "a body and a face, but nothing in the way"),
    person("somebody walks through in full view", "medium", "limbs swing, but slowly", speed=0.1, shape_change=0.14),
    person("a presenter, cut at the waist as usual", "medium", "what is outside need not be made", border_share=1.0),
    person("somebody far away who strolls", "medium", "few pixels, a slow path", area_share=0.004, max_area_share=0.004, speed=0.02),
    person("somebody with a neighbour's elbow in their box", "medium", "one contact", overlap=0.15),
    person("a speaker behind a thin stand", "medium", "one straight thing before them", occlusion=0.08),
    person("somebody whose hair is a doubtful edge", "medium", "hair is work, and known work", mask_stability=0.87),
    person("somebody nobody made a mask of", "medium", "drawn by hand, once still", mask_stability=None),
    person("somebody walks through the room and out of it", "medium", "the room is seen without them; limbs are work all the same",
           speed=0.1, plate_never_seen=0.0, plate_missing=0.0),
    person("a speaker who never leaves the desk, before a camera on a stand", "medium", "a quarter of the studio is made up, but once",
           max_area_share=0.24, area_share=0.22, plate_never_seen=0.9, plate_missing=0.25),
    person("somebody half hidden behind a counter and others", "hard", "limbs come and go behind things", occlusion=0.3, overlap=0.4),
    person("a dancer", "hard", "limbs blur, and the outline is new in each frame", speed=0.3, shape_change=0.3),
    person("a runner", "hard", "blur on every limb", speed=0.5),
    person("a cyclist who rides by", "hard", "legs, spokes and speed", speed=0.25, overlap=0.3),
    person("two people in each other's arms", "hard", "whose arm is it?", overlap=0.6),
    person("a face that fills nearly half the picture", "hard", "everybody knows what a face does", max_area_share=0.45),
    person("somebody who talks for 40 s", "hard", "a thousand frames of lips and hands", visible_seconds=40, sightings=200),
    person("somebody before a tree in the wind, edges unsure", "hard", "no matte, and leaves between", mask_stability=0.75),
)  # fmt: skip


def figures(seen: Seen) -> TrackFigures:
    return track_figures(object_class=seen.object_class, **{"visible_seconds": 4.0, "sightings": 20, **seen.figures})


@pytest.mark.parametrize("seen", SITUATIONS, ids=lambda seen: seen.what)
def test_it_is_as_hard_as_a_compositor_says(seen: Seen) -> None:
    verdict = judge(figures(seen))
    told = ", ".join(f"{reason.factor} {reason.value} is {reason.difficulty}" for reason in verdict.reasons)
    assert verdict.difficulty == seen.answer, f"{seen.what}: {seen.why}; judged by {told}"


def test_there_are_situations_enough() -> None:
    assert len(SITUATIONS) >= 40
    assert len({seen.what for seen in SITUATIONS}) == len(SITUATIONS)
    for answer in ("easy", "medium", "hard"):
        assert sum(seen.answer == answer for seen in SITUATIONS) >= 10


LIMITS = [
    (factor, kind, worse, limit)
    for factor in FACTORS
    for kind, limits in (("product", factor.product), ("person", factor.person))
    for worse, limit in zip(("medium", "hard"), limits, strict=True)
    if limit is not None
]


@pytest.mark.parametrize(("factor", "kind", "worse", "limit"), LIMITS, ids=lambda one: getattr(one, "name", str(one)))
def test_at_its_limit_a_factor_counts_as_the_harder(factor: Factor, kind: ObjectClass, worse: Difficulty, limit: float) -> None:
    milder = {"medium": "easy", "hard": "medium"}[worse]
    assert factor.alone(kind, limit) == worse
    assert factor.alone(kind, limit + 1e-6) == worse
    assert factor.alone(kind, limit - 1e-3) == milder


def test_every_limit_is_needed() -> None:
    """A factor that a situation is not easy, or hard, by alone: without it the table would not hold."""
    decided = set()
    for seen in SITUATIONS:
        verdict = judge(figures(seen))
        by = [reason.factor for reason in verdict.reasons if reason.difficulty == verdict.difficulty != "easy"]
        if len(by) == 1:
            decided.add((by[0], seen.object_class if verdict.difficulty == "hard" else "", verdict.difficulty))
    for factor in FACTORS:
        assert factor.product[0] is None or (factor.name, "", "medium") in decided or factor.name == "body", factor.name
        assert factor.product[1] is None or (factor.name, "product", "hard") in decided, factor.name


def test_the_hardest_limit_wins_and_the_score_is_its_points() -> None:
    verdict = judge(track_figures(overlap=0.73, speed=0.5, border_share=0.1))
    assert (verdict.difficulty, verdict.score) == ("hard", verdict.reasons[0].points)
    assert [(one.factor, one.difficulty) for one in verdict.reasons[:3]] == [("motion", "hard"), ("contact", "medium"), ("border", "easy")]
    assert verdict.reasons[0].points >= 67 > verdict.reasons[1].points >= 33 > verdict.reasons[2].points > 0


def test_points_rise_with_the_figure_and_never_cross_a_limit_before_it_does() -> None:
    for factor in FACTORS:
        for kind in ("product", "person"):
            values = [step / 1000 * (100 if factor.name == "duration" else 1) for step in range(1001)]
            points = [factor.points(kind, value) for value in values]
            assert points == sorted(points) and points[0] >= 0 and points[-1] <= 100
            for value, score in zip(values, points, strict=True):
                assert factor.alone(kind, value) == ("easy" if score < 33 else "medium" if score < 67 else "hard")
