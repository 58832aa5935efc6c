"""Failures as types: each has a code of its own, and says the same after travelling to another process."""

from __future__ import annotations

import pickle

from reframer_pipeline import failures


def test_codes_are_their_own() -> None:
    codes = [cls.code for cls in failures.all_failures()]
    assert len(codes) == len(set(codes))


def test_failures_survive_pickling() -> None:
    again = pickle.loads(pickle.dumps(failures.TruncatedVideo("Cut off.")))
    assert (again.code, str(again)) == ("truncated", str(failures.TruncatedVideo("Cut off.")))
