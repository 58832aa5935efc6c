"""How people and products look: one drawing function per kind of figure.

Lengths are in figure units: 1 is the figure's height, y points down, the anchor (0, 0) is between the feet. Not here: the patch that is
drawn on (`sketch`), where figures stand and how they move (`shots`), what is behind them (`backdrops`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reframer_pipeline.demo.sketch import Colour, Point, Sketch

SKINS: tuple[Colour, ...] = ((244, 208, 177), (224, 172, 125), (186, 126, 84), (134, 84, 54), (92, 58, 40))
HAIRS: tuple[Colour, ...] = ((35, 26, 22), (84, 52, 30), (168, 120, 60), (214, 184, 120), (150, 64, 34), (170, 170, 172))
VIVID: tuple[Colour, ...] = (
    (214, 58, 52), (238, 130, 40), (242, 196, 60), (70, 158, 84), (40, 140, 150), (52, 100, 190),
    (122, 74, 170), (214, 90, 140), (245, 240, 230), (48, 52, 62), (150, 30, 60), (110, 190, 220),
)  # fmt: skip
DENIM: tuple[Colour, ...] = ((44, 62, 104), (60, 64, 74), (120, 100, 78), (200, 190, 168), (32, 34, 40), (92, 110, 84))


@dataclass(frozen=True)
class PersonLook:
    """What a person wears; colours are RGB."""

    skin: Colour
    hair: Colour
    top: Colour
    accent: Colour
    bottom: Colour
    shoes: Colour
    hair_style: str
    outfit: str
    pattern: str
    short_sleeves: bool
    build: float

    @staticmethod
    def random(rng: np.random.Generator) -> PersonLook:
        """Dress somebody."""
        top, accent = rng.permutation(len(VIVID))[:2]
        return PersonLook(
            skin=SKINS[rng.integers(len(SKINS))],
            hair=HAIRS[rng.integers(len(HAIRS))],
            top=VIVID[top],
            accent=VIVID[accent],
            bottom=DENIM[rng.integers(len(DENIM))],
            shoes=((30, 28, 30), (235, 235, 235), (120, 70, 40))[rng.integers(3)],
            hair_style=str(rng.choice(["short", "long", "bun", "hat"])),
            outfit=str(rng.choice(["trousers", "trousers", "dress", "shorts"])),
            pattern=str(rng.choice(["plain", "stripes", "bars", "dots"])),
            short_sleeves=bool(rng.random() < 0.4),
            build=float(rng.uniform(0.9, 1.2)),
        )


PERSON_EXTENT = (-0.36, -1.04, 0.36, 0.03)
CARRYING_HAND: Point = (0.19, -0.5)  # where a carrying person's front hand is, facing right


def draw_person(sketch: Sketch, look: PersonLook, facing: int, phase: float, gait: float, carrying: bool) -> None:
    """Draw a person mid-step.

    Args:
        sketch: A patch with `PERSON_EXTENT`.
        look: What they wear.
        facing: 1 to the right, -1 to the left.
        phase: Angle of the walk cycle, in radians.
        gait: Length of the stride, 0 (standing) to 1.
        carrying: Whether the front hand is held still at `CARRYING_HAND`.
    """
    build = look.build
    swings = [0.42 * gait * np.sin(phase + turn) for turn in (0.0, np.pi)]
    _arm(sketch, look, facing, -0.1 * facing * build, -swings[1] * 1.1, None)
    for side, swing in ((-1, swings[1]), (1, swings[0])):
        bend = 0.7 * gait * max(0.0, float(np.sin(phase + (0 if side == 1 else np.pi) - 1.9)))
        _leg(sketch, look, facing, side * 0.042 * build, swing, bend)
    shoulder, waist = 0.118 * build, 0.092 * build
    hem, hem_width = (-0.28, 0.15 * build) if look.outfit == "dress" else (-0.47, 0.1 * build)
    torso = [(-shoulder, -0.8), (-0.05, -0.84), (0.05, -0.84), (shoulder, -0.8), (waist, -0.62),
             (hem_width, hem), (-hem_width, hem), (-waist, -0.62)]  # fmt: skip
    sketch.polygon(torso, look.top)
    if look.pattern != "plain":
        sketch.pattern(torso, look.accent, look.pattern, 0.06)
    _head(sketch, look, facing)
    hand = (CARRYING_HAND[0] * facing, CARRYING_HAND[1]) if carrying else None
    _arm(sketch, look, facing, 0.1 * facing * build, -swings[0] * 1.1, hand)


def _leg(sketch: Sketch, look: PersonLook, facing: int, hip_x: float, swing: float, bend: float) -> None:
    hip = (hip_x, -0.5)
    knee = (hip[0] + facing * 0.24 * np.sin(swing), hip[1] + 0.24 * np.cos(swing))
    ankle = (knee[0] + facing * 0.22 * np.sin(swing - bend), knee[1] + 0.22 * np.cos(swing - bend))
    bare = look.outfit in ("dress", "shorts")
    sketch.stroke([hip, knee, ankle], 0.072 if bare else 0.086, look.skin if bare else look.bottom)
    if look.outfit == "shorts":
        sketch.stroke([hip, knee], 0.105, look.bottom)
    sketch.stroke([ankle, (ankle[0] + facing * 0.045, ankle[1] + 0.012)], 0.06, look.shoes)


def _arm(sketch: Sketch, look: PersonLook, facing: int, shoulder_x: float, swing: float, hand: Point | None) -> None:
    shoulder = (shoulder_x, -0.775)
    elbow = (shoulder[0] + facing * 0.17 * np.sin(swing), shoulder[1] + 0.17 * np.cos(swing))
    if hand is None:
        hand = (elbow[0] + facing * 0.16 * np.sin(swing + 0.35), elbow[1] + 0.16 * np.cos(swing + 0.35))
    else:
        elbow = (shoulder[0] + facing * 0.03, -0.6)
    sketch.stroke([shoulder, elbow, hand], 0.056, look.skin if look.short_sleeves else look.accent)
    if look.short_sleeves:
        sketch.stroke([shoulder, elbow], 0.068, look.accent)
    sketch.ellipse(hand, (0.032, 0.032), look.skin)


def _head(sketch: Sketch, look: PersonLook, facing: int) -> None:
    face = (0.012 * facing, -0.915)
    if look.hair_style == "long":
        sketch.ellipse((-0.02 * facing, -0.88), (0.095, 0.125), look.hair)
    if look.hair_style == "bun":
        sketch.ellipse((-0.08 * facing, -0.965), (0.045, 0.045), look.hair)
    sketch.stroke([(0, -0.83), (0, -0.86)], 0.06, look.skin)
    sketch.ellipse((0, -0.93), (0.08, 0.088), look.hair)
    sketch.ellipse(face, (0.066, 0.082), look.skin)
    if look.hair_style == "hat":
        sketch.polygon([(-0.08, -0.955), (0.08, -0.955), (0.065, -1.025), (-0.065, -1.025)], look.accent)
        sketch.stroke([(-0.085, -0.955), (0.1 * facing, -0.955)], 0.02, look.accent)
    else:
        sketch.polygon([(-0.075, -0.95), (0.075, -0.95), (0.055, -1.005), (0, -1.02), (-0.055, -1.005)], look.hair)
    for eye in (-0.012, 0.04):
        sketch.ellipse((eye * facing + 0.005 * facing, -0.92), (0.009, 0.011), (30, 26, 30))
    sketch.stroke([(0.0, -0.875), (0.03 * facing, -0.875)], 0.01, (170, 80, 80))


@dataclass(frozen=True)
class ProductLook:
    """Colours of a product, RGB, and whether it is mirrored."""

    body: Colour
    accent: Colour
    flip: int

    @staticmethod
    def random(rng: np.random.Generator) -> ProductLook:
        """Pick two distinct colours."""
        body, accent = rng.permutation(len(VIVID))[:2]
        return ProductLook(VIVID[body], VIVID[accent], int(rng.choice([-1, 1])))


def _darker(colour: Colour, factor: float) -> Colour:
    return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))


def _bottle(sketch: Sketch, look: ProductLook) -> None:
    sketch.polygon([(-0.16, 0), (-0.17, -0.6), (-0.13, -0.7), (-0.06, -0.76), (-0.06, -0.92), (0.06, -0.92),
                    (0.06, -0.76), (0.13, -0.7), (0.17, -0.6), (0.16, 0)], look.body)  # fmt: skip
    sketch.polygon([(-0.075, -0.9), (-0.075, -1), (0.075, -1), (0.075, -0.9)], _darker(look.accent, 0.7))
    sketch.polygon([(-0.165, -0.18), (-0.168, -0.5), (0.168, -0.5), (0.165, -0.18)], look.accent)
    sketch.ellipse((0, -0.34), (0.08, 0.08), look.body)
    sketch.stroke([(-0.11, -0.06), (-0.11, -0.62)], 0.025, (250, 250, 250))


def _cup(sketch: Sketch, look: ProductLook) -> None:
    ring = [(look.flip * (0.36 + 0.19 * np.cos(a)), -0.52 + 0.22 * np.sin(a)) for a in np.linspace(-1.7, 1.7, 15)]
    sketch.stroke(ring, 0.085, look.body)
    sketch.polygon([(-0.28, -0.02), (-0.4, -0.9), (0.4, -0.9), (0.28, -0.02)], look.body)
    sketch.ellipse((0, -0.02), (0.28, 0.05), look.body)
    sketch.polygon([(-0.335, -0.42), (-0.365, -0.64), (0.365, -0.64), (0.335, -0.42)], look.accent)
    sketch.ellipse((0, -0.9), (0.4, 0.09), _darker(look.body, 0.85))
    sketch.ellipse((0, -0.89), (0.34, 0.065), (92, 58, 36))


def _box(sketch: Sketch, look: ProductLook) -> None:
    f = look.flip
    sketch.polygon([(-0.45 * f, 0), (-0.45 * f, -0.72), (0.2 * f, -0.72), (0.2 * f, 0)], look.body)
    sketch.polygon([(0.2 * f, 0), (0.2 * f, -0.72), (0.5 * f, -0.88), (0.5 * f, -0.18)], _darker(look.body, 0.62))
    top = tuple(min(255, int(c * 1.15 + 18)) for c in look.body)
    sketch.polygon([(-0.45 * f, -0.72), (-0.12 * f, -0.9), (0.5 * f, -0.88), (0.2 * f, -0.72)], (top[0], top[1], top[2]))
    sketch.polygon([(-0.2 * f, 0), (-0.2 * f, -0.72), (-0.06 * f, -0.72), (-0.06 * f, 0)], look.accent)
    sketch.polygon([(-0.4 * f, -0.1), (-0.4 * f, -0.26), (-0.25 * f, -0.26), (-0.25 * f, -0.1)], (250, 248, 240))


def _handbag(sketch: Sketch, look: ProductLook) -> None:
    arch = [(0.24 * np.cos(a), -0.56 - 0.38 * np.sin(a)) for a in np.linspace(0, np.pi, 15)]
    sketch.stroke(arch, 0.065, _darker(look.accent, 0.8))
    sketch.polygon([(-0.46, -0.04), (-0.4, 0), (0.4, 0), (0.46, -0.04), (0.36, -0.6), (-0.36, -0.6)], look.body)
    sketch.polygon([(-0.375, -0.52), (-0.36, -0.6), (0.36, -0.6), (0.375, -0.52), (0.12, -0.3), (-0.12, -0.3)],
                   _darker(look.body, 0.72))  # fmt: skip
    sketch.ellipse((0, -0.3), (0.055, 0.055), (236, 200, 90))


def _phone(sketch: Sketch, look: ProductLook) -> None:
    lean = 0.08 * look.flip
    sketch.polygon([(-0.24, 0), (-0.27, -0.03), (-0.27 + lean, -0.97), (-0.24 + lean, -1),
                    (0.24 + lean, -1), (0.27 + lean, -0.97), (0.27, -0.03), (0.24, 0)], (34, 36, 42))  # fmt: skip
    sketch.polygon([(-0.23, -0.06), (-0.23 + lean, -0.93), (0.23 + lean, -0.93), (0.23, -0.06)], look.body)
    for row in range(3):
        for column in (-1, 0, 1):
            x, y = 0.14 * column + lean * (0.3 + 0.22 * row), -0.3 - 0.21 * row
            sketch.polygon([(x - 0.05, y), (x - 0.05, y - 0.1), (x + 0.05, y - 0.1), (x + 0.05, y)], look.accent)


DRAW_PRODUCT: dict[str, Callable[[Sketch, ProductLook], None]] = {
    "bottle": _bottle, "cup": _cup, "box": _box, "handbag": _handbag, "phone": _phone,
}  # fmt: skip
PRODUCT_EXTENT = (-0.62, -1.04, 0.62, 0.06)
LABELS: tuple[str, ...] = ("person", *DRAW_PRODUCT)
