"""Shots: who stands where and how they move, and where the camera looks.

Here: the plan of a shot. World coordinates are frame pixels at zoom 1 with the camera at rest. Not here: clips and truth objects
(`world`), drawing a planned shot (`render`), what figures and places look like (`looks`, `backdrops`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reframer_pipeline.demo import backdrops
from reframer_pipeline.demo.looks import CARRYING_HAND, DRAW_PRODUCT, PersonLook, ProductLook
from reframer_pipeline.demo.sketch import Colour

CANVAS = 1.5  # the backdrop's size relative to the frame, so that the camera can pan
HORIZON = 0.6  # where the wall meets the floor, relative to the frame's height


@dataclass(frozen=True)
class Figure:
    """A person or product; lengths in world pixels, speeds per second."""

    object_id: int
    label: str
    look: PersonLook | ProductLook
    size: float  # height of the figure
    x: float  # at the start of the shot
    y: float  # of the feet or base
    speed: float  # along x
    stop_after: float  # seconds after which the figure stands still
    depth: float  # larger is nearer to the camera
    phase: float = 0.0
    carrier: Figure | None = None
    carrying: bool = False

    @property
    def facing(self) -> int:
        """1 to the right, -1 to the left; figures at rest keep the direction that their phase gives them."""
        return int(np.sign(self.speed)) or (1 if self.phase < np.pi else -1)

    def place(self, seconds: float) -> tuple[float, float]:
        """Where the anchor is, in world pixels, `seconds` into the shot."""
        if self.carrier is None:
            return self.x + self.speed * min(seconds, self.stop_after), self.y
        x, y = self.carrier.place(seconds)
        bob = 0.008 * np.sin(2 * self.carrier.stride(seconds))
        hand_x = x + self.carrier.size * CARRYING_HAND[0] * self.carrier.facing
        hand_y = y + self.carrier.size * (CARRYING_HAND[1] + bob)
        return hand_x, hand_y + self.size * (0.92 if self.label == "handbag" else 0.3)

    def stride(self, seconds: float) -> float:
        """Angle of the walk cycle in radians: a step of about half the figure's height per half turn."""
        return self.phase + 2 * np.pi * abs(self.speed) * min(seconds, self.stop_after) / (0.75 * self.size)


@dataclass(frozen=True)
class Slab:
    """A piece of scenery that can hide figures: a counter, a plinth or a post. World pixels."""

    xyxy: tuple[float, float, float, float]
    colour: Colour
    depth: float


@dataclass(frozen=True)
class Shot:
    """One shot; frames `[start, end)` of the clip."""

    start: int
    end: int
    fps: float
    width: int
    height: int
    canvas: np.ndarray  # (CANVAS * height, CANVAS * width, 3) uint8
    objects: tuple[Figure, ...]
    slabs: tuple[Slab, ...]
    pan: tuple[float, float, float, float]  # camera offset at start and end: x0, y0, x1, y1
    zoom: tuple[float, float]
    shake: tuple[float, float]  # amplitude in pixels, phase
    light: float  # direction, -1 (left) to 1 (right)
    gain: np.ndarray  # (3,) factor per channel
    blur: float  # sigma in pixels
    noise: float  # sigma in grey levels


def make_shot(rng: np.random.Generator, width: int, height: int, start: int, end: int, fps: float, first_id: int) -> Shot:
    """Plan a shot with 1 to 3 people and 1 to 4 products.

    Args:
        rng: Source of every choice.
        width: Frame width in pixels.
        height: Frame height in pixels.
        start: First frame of the shot in its clip.
        end: Frame after the last.
        fps: Frames per second.
        first_id: Id of the first object; the others follow.

    Returns:
        The shot.
    """
    unit = height / 360
    canvas = backdrops.paint(rng, int(width * CANVAS), int(height * CANVAS), int(height * (HORIZON + (CANVAS - 1) / 2)))
    people = _people(rng, int(rng.integers(1, 4)), width, unit, (end - start) / fps, first_id)
    products, slabs = _products(rng, int(rng.integers(1, 5)), width, unit, people, first_id + len(people))
    carriers = {product.carrier.object_id for product in products if product.carrier}
    people = [replace(person, carrying=True) if person.object_id in carriers else person for person in people]
    if rng.random() < 0.08:
        x, wide = rng.uniform(0.1, 0.9) * width, rng.uniform(16, 26) * unit
        slabs.append(Slab((x, -height, x + wide, 2 * height), _grey(rng), 3 * height))
    pan = rng.uniform(-38, 38, 4) * unit * (1, 0.4, 1, 0.4) * rng.choice([0, 1, 1])
    zoom = rng.uniform(1.0, 1.2, 2) if rng.random() < 0.5 else np.full(2, rng.uniform(1.0, 1.2))
    return Shot(
        start, end, fps, width, height, canvas, (*people, *products), tuple(slabs),
        pan=(pan[0], pan[1], pan[2], pan[3]),
        zoom=(zoom[0], zoom[1]),
        shake=(float(rng.choice([0, 0, rng.uniform(0.5, 1.6)])) * unit, rng.uniform(0, 6.28)),
        light=rng.uniform(-1, 1),
        gain=rng.uniform(0.78, 1.1) * rng.uniform(0.93, 1.07, 3),
        blur=float(rng.choice([0, 0, rng.uniform(0.4, 0.9)])),
        noise=rng.uniform(0.5, 3.5),
    )  # fmt: skip


def _grey(rng: np.random.Generator) -> Colour:
    level = rng.uniform(70, 190)
    r, g, b = (int(np.clip(level + tint, 0, 255)) for tint in rng.uniform(-22, 22, 3))
    return (r, g, b)


def _people(rng: np.random.Generator, count: int, width: int, unit: float, seconds: float, first_id: int) -> list[Figure]:
    slots = rng.permutation(count)
    people = []
    for i in range(count):
        size = rng.uniform(150, 290) * unit
        x = width * (slots[i] + rng.uniform(0.25, 0.75)) / count
        speed = rng.uniform(0.12, 0.42) * size * rng.choice([-1, 1])
        stop_after, act = np.inf, rng.choice(["stroll", "enter", "exit", "stand", "stand"])
        if act == "enter":
            x = -0.25 * size if speed > 0 else width + 0.25 * size
            stop_after = rng.uniform(0.6, 1.2) * seconds
        elif act == "exit":
            x = width * (0.8 if speed > 0 else 0.2)
        elif act == "stand":
            speed = 0.0
        y = (0.62 * 360 + size / unit * 0.45) * unit
        look, phase = PersonLook.random(rng), rng.uniform(0, 2 * np.pi)
        people.append(Figure(first_id + i, "person", look, size, x, y, float(speed), stop_after, y, phase))
    return people


def _products(
    rng: np.random.Generator, count: int, width: int, unit: float, people: list[Figure], first_id: int
) -> tuple[list[Figure], list[Slab]]:
    counter = 360 * rng.uniform(0.78, 0.86) * unit if rng.random() < 0.5 else None
    slabs = []
    if counter is not None:
        depth, wood = 400 * unit, _grey(rng)
        slabs.append(Slab((-width, counter, 2 * width, 720 * unit), wood, depth))
        front = (int(wood[0] * 0.7), int(wood[1] * 0.7), int(wood[2] * 0.7))
        slabs.append(Slab((-width, counter + 26 * unit, 2 * width, 720 * unit), front, depth + 1))
    slots, products = rng.permutation(count), []
    free = [person for person in people if person.size > 170 * unit]
    for i in range(count):
        label = str(rng.choice(list(DRAW_PRODUCT)))
        wide = label in ("cup", "handbag", "box")
        size = rng.uniform(78, 125 if wide else 150) * unit
        x = width * (slots[i] + rng.uniform(0.35, 0.65)) / count
        look, number = ProductLook.random(rng), first_id + i
        if free and rng.random() < 0.12:
            carrier = replace(free.pop(int(rng.integers(len(free)))), carrying=True)
            size = min(size, 0.42 * carrier.size)
            figure = Figure(number, label, look, size, 0, 0, 0, np.inf, carrier.depth + 0.5, carrier=carrier)
        elif counter is not None:
            speed = float(rng.choice([0, 0, 0, rng.uniform(-28, 28)])) * unit
            figure = Figure(number, label, look, size, x, counter + 14 * unit, speed, np.inf, 410 * unit + i)
        else:
            top, base = rng.uniform(225, 265) * unit, rng.uniform(300, 335) * unit
            half = rng.uniform(0.55, 0.7) * size * (1 if wide else 0.6)
            slabs.append(Slab((x - half, top - 5 * unit, x + half, base), _grey(rng), base))
            figure = Figure(number, label, look, size, x, top + 3 * unit, 0, np.inf, base + 0.5)
        products.append(figure)
    return products, slabs
