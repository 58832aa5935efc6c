"""Timecode is what editing programs say: held against OpenTimelineIO's."""

from __future__ import annotations

from fractions import Fraction

import pytest
from opentimelineio.opentime import RationalTime

from reframer_pipeline.media.timecode import Timecode, is_drop_frame, timecode

NTSC = Fraction(1000, 1001)
RATES = [24 * NTSC, Fraction(24), Fraction(25), 30 * NTSC, Fraction(30), Fraction(50), 60 * NTSC, Fraction(60)]


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.3f}")
def test_it_is_that_of_opentimelineio(rate: Fraction) -> None:
    minute = 60 * round(rate)
    around = {minute * n + shift for n in (1, 2, 9, 10, 11, 60, 600) for shift in range(-80, 80)}
    smpte = RationalTime.nearest_smpte_timecode_rate(float(rate))
    for frame in sorted({*range(0, 3 * minute), *range(0, 12 * 60 * minute, 997), *around}):
        assert timecode(frame, rate) == RationalTime(frame, smpte).to_timecode(), frame


def test_numbers_are_left_out_at_each_minute_but_every_tenth() -> None:
    assert [timecode(frame, 30 * NTSC) for frame in (1799, 1800, 17981, 17982)] == [
        "00:00:59;29", "00:01:00;02", "00:09:59;29", "00:10:00;00",
    ]  # fmt: skip
    assert timecode(3600, 60 * NTSC) == "00:01:00;04" and timecode(1800, 30) == "00:01:00:00"
    assert [is_drop_frame(rate) for rate in (29.97, 59.94006, 23.976, 30, 25, 29.9)] == [True, True, False, False, False, False]


def test_other_rates_have_as_many_numbers_as_they_need() -> None:
    assert timecode(119, 120) == "00:00:00:119" and timecode(5, 0.5) == "00:00:05:00"
    assert timecode(60 * 60 * 25 * 100, 25) == "100:00:00:00"


def test_frames_of_variable_rate_are_called_by_their_time() -> None:
    uneven = [(0, 0.0), (1, 0.04), (2, 1.0), (3, 61.52)]
    called = Timecode.of(25.0, uneven)
    assert [called.at(*one) for one in uneven] == ["00:00:00:00", "00:00:00:01", "00:00:01:00", "00:01:01:13"]
    assert not Timecode.of(16.745, [(n, n / 16.745) for n in range(50)]).counts


@pytest.mark.parametrize("rate", [float(rate) for rate in RATES])
def test_frames_of_constant_rate_are_counted_though_times_are_rounded(rate: float) -> None:
    for digits in (3, 6):
        called = Timecode.of(round(rate, 3), [(n, round(n / rate, digits)) for n in range(2000)])
        assert called.counts and called.at(1900, 0.0) == timecode(1900, rate)
