"""The curve of a window: still, within its limits, and where the subject is."""

from __future__ import annotations

import numpy as np
import pytest

from reframer_pipeline.editing.reframe import path
from reframer_pipeline.editing.reframe.path import JERK, SPEED, Allowed, Curve, Floats, follow

ROOM, SIDE, WINDOW = 440.0, 640.0, 200.0


def followed(seconds: Floats, low: Floats, high: Floats) -> Curve:
    low, high = np.clip(low, 0, ROOM), np.clip(high, 0, ROOM)
    return follow(seconds, Allowed(low, low, (low + high) / 2, high, high), ROOM, SIDE)


def walking(seconds: Floats, speed: float) -> tuple[Floats, Floats]:
    """Where the window may be if somebody of 80 pixels goes to the right."""
    start = 20 + speed * seconds
    return start + 80 - WINDOW, start


def within_limits(curve: Curve, lasts: float) -> bool:
    """By differences of a fine sampling, not by the curve's own word."""
    fine = np.linspace(0, lasts, round(lasts * 1000) + 1)
    moved, step = curve.at(fine), fine[1]
    fast, jerky = np.abs(np.diff(moved)) / step, np.abs(np.diff(moved[::20], 3)) / (20 * step) ** 3
    return bool(fast.max() <= SPEED * SIDE * 1.0001 and jerky.max(initial=0) <= JERK * SIDE * 1.01)


def test_a_still_subject_has_a_still_window_in_its_middle() -> None:
    seconds = np.arange(200) / 25
    at = followed(seconds, np.full(200, 100.0), np.full(200, 220.0)).at(seconds)
    assert np.ptp(at) < 1e-9 and at[0] == pytest.approx(160)


def test_a_subject_that_sways_within_the_window_does_not_move_it() -> None:
    seconds = np.arange(300) / 25
    sway = 25 * np.sin(seconds * 2)
    assert np.ptp(followed(seconds, 100 + sway, 220 + sway).at(seconds)) < 1e-9


@pytest.mark.parametrize("speed", [30, 80, 200])
def test_a_subject_that_crosses_stays_inside_within_the_limits(speed: float) -> None:
    seconds = np.arange(0, 540 / speed, 1 / 25)
    low, high = walking(seconds, speed)
    curve = followed(seconds, low, high)
    at = curve.at(seconds)
    assert ((at >= np.clip(low, 0, ROOM) - 0.5) & (at <= np.clip(high, 0, ROOM) + 0.5)).all()
    assert within_limits(curve, float(seconds[-1]))


def test_one_that_is_too_fast_is_left_rather_than_a_limit_broken() -> None:
    seconds = np.arange(100) / 25
    low, high = walking(seconds, 900)
    curve = followed(seconds, low, high)
    assert within_limits(curve, float(seconds[-1])) and curve.speed == pytest.approx(SPEED * SIDE, rel=1e-6)
    assert curve.at(seconds)[-1] > 400  # it comes after it


def test_a_jump_of_the_subject_is_a_bounded_move() -> None:
    seconds = np.arange(200) / 25
    best = np.where(seconds < 4, 50.0, 400.0)
    curve = followed(seconds, best - 20, best + 20)
    at = curve.at(seconds)
    assert within_limits(curve, float(seconds[-1])) and at[0] == pytest.approx(50, abs=20) and at[-1] == pytest.approx(400, abs=20)
    assert (np.diff(at) >= -1e-6).all() and np.abs(np.diff(at[:60])).max() < 1e-6  # it stands, goes once, and stands


def test_without_a_subject_it_is_in_the_middle_and_where_there_is_one_for_a_while_it_stays() -> None:
    seconds = np.arange(100) / 25
    nothing = np.full(100, np.nan)
    assert followed(seconds, nothing, nothing).at(seconds) == pytest.approx(ROOM / 2)
    low, high = np.where(seconds < 1, 0.0, np.nan), np.where(seconds < 1, 30.0, np.nan)
    assert followed(seconds, low, high).at(seconds)[-1] == pytest.approx(15, abs=15)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_shot_of_few_frames_has_a_path(count: int) -> None:
    seconds = np.arange(count) / 25
    assert followed(seconds, np.full(count, 10.0), np.full(count, 50.0)).at(seconds) == pytest.approx(30)


def test_frames_at_one_time_and_at_uneven_times() -> None:
    stands = np.zeros(5)
    assert followed(stands, np.full(5, 10.0), np.full(5, 50.0)).at(stands) == pytest.approx(30)
    rng = np.random.default_rng(1)
    seconds = np.concatenate([[0], np.cumsum(rng.choice([0.01, 0.04, 0.3], 80))])
    low, high = walking(seconds, 60)
    curve = followed(seconds, low, high)
    assert within_limits(curve, float(seconds[-1]))
    at = curve.at(seconds)
    assert np.mean((at >= np.clip(low, 0, ROOM) - 1) & (at <= np.clip(high, 0, ROOM) + 1)) > 0.98


def test_a_long_shot_is_solved_in_pieces_that_go_on_smoothly(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = np.arange(0, 40, 1 / 25)
    low = np.clip(220 + 200 * np.sin(seconds / 2), 0, ROOM - 100)
    whole = followed(seconds, low, low + 100)
    monkeypatch.setattr(path, "PIECE_S", 8.0)
    monkeypatch.setattr(path, "AHEAD_S", 3.0)
    pieces = followed(seconds, low, low + 100)
    assert within_limits(pieces, float(seconds[-1])) and len(pieces.control) == len(whole.control)
    at = pieces.at(seconds)
    assert ((at >= low - 0.5) & (at <= low + 100.5)).all()
    assert np.abs(at - whole.at(seconds)).max() < 60  # it knows less of what comes


def test_what_matters_most_is_awaited_by_leaving_something_else_early() -> None:
    seconds = np.arange(150) / 25
    late = seconds >= 3
    best = np.where(late, 30.0, 400.0)
    least, most = np.where(late, best - 20, 0), np.where(late, best + 20, ROOM)
    curve = follow(seconds, Allowed(least, best - 20, best, best + 20, most), ROOM, SIDE)
    at = curve.at(seconds)
    assert at[0] == pytest.approx(400, abs=20) and (at[late][2:] <= 50.5).all() and within_limits(curve, float(seconds[-1]))
