"""Checks: how a finding is counted, named and reported.

What belongs here: the value that Dagster's asset checks report, the collector that validators fill, and ids packed for
set operations. What does not: any rule about a stage (its own module).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.handover import StageInput
from reframer_pipeline.versions import StageKey

Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class CheckResult:
    """One invariant and how it came out.

    Attributes:
        name: Stable name, such as `boxes_inside_frame`.
        passed: Whether every row kept it.
        detail: What was broken, how often and where first; empty if nothing.
        warns: Whether it only tells people that the result looks poor; it then breaks nothing.
    """

    name: str
    passed: bool
    detail: str = ""
    warns: bool = False


class Validator(ABC):
    """Streaming judge of one stage's result: `feed` each batch, then ask for the `verdict`.

    Args:
        key: What the result is a function of: limits come from the settings it was made with, not from today's.
        upstream: Every result that it depends on, directly or not.

    Attributes:
        figures: Counts for the manifest's `stats`.
    """

    # Names of all checks, so that a check that met no row is reported as passed rather than left out; and those that only warn.
    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        self.key = key
        self.figures: dict[str, int] = {}
        self._bad: dict[str, int] = dict.fromkeys(self.names, 0)
        self._first: dict[str, str] = {}
        self._rows = 0

    def feed(self, batch: pa.RecordBatch) -> None:
        """Judge the next rows."""
        if batch.num_rows:
            self.judge(batch)
            self._rows += batch.num_rows

    @abstractmethod
    def judge(self, batch: pa.RecordBatch) -> None:
        """The stage's rules for a non-empty batch whose first row is row `self._rows`."""

    def conclude(self) -> None:  # noqa: B027 - most stages have nothing left to say
        """The stage's rules about the whole."""

    def expect(self, name: str, kept: Bools | bool, detail: str = "") -> None:
        """Count the rows that do not keep a rule, and remember the first."""
        flags = np.atleast_1d(np.asarray(kept, dtype=bool))
        bad = int(flags.size - np.count_nonzero(flags))
        if bad and not self._bad[name]:
            self._first[name] = detail or f"first in row {self._rows + int(np.argmin(flags))}"
        self._bad[name] += bad

    def verdict(self) -> list[CheckResult]:
        """All checks, after the last batch.

        Raises:
            InvalidResult: At least one failed that does more than warn; its `checks` has them all.
        """
        self.conclude()
        checks = [
            CheckResult(name, not bad, f"{bad} broken, {self._first[name]}" if bad else "", name in self.warnings)
            for name, bad in self._bad.items()
        ]
        failed = [check for check in checks if not check.passed and not check.warns]
        if failed:
            error = InvalidResult("; ".join(f"{check.name}: {check.detail}" for check in failed) + ".")
            error.checks = tuple(checks)
            raise error
        return checks


def numbers(batch: pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    """A column as numpy."""
    return batch.column(name).to_numpy(zero_copy_only=False)


def packed(ids: pa.Array) -> Ids:
    """UUIDs by their first 64 bits (60 of them hash): eight bytes each where a set of texts needs over a hundred.

    Two of ten million ids collide with a probability of 4e-5, and then a good result is refused, never a bad one accepted.

    Raises:
        InvalidResult: One is no UUID.
    """
    texts = ids.to_pylist()
    try:
        raw = bytes.fromhex("".join(texts).replace("-", ""))
    except ValueError as error:
        raise InvalidResult("An id is no UUID.") from error
    if len(raw) != 16 * len(texts):
        raise InvalidResult("An id is no UUID.")
    return np.frombuffer(raw, dtype=">u8")[::2].astype(np.uint64)


class IdTable:
    """Known ids, each with a frame number and a flag, for lookups of whole batches."""

    def __init__(self, ids: list[Ids], frames: list[npt.NDArray[Any]], flags: list[Bools]) -> None:
        # One id above all others, used already, belongs to no frame: what is looked up is never beyond the end.
        keys = np.concatenate([*ids, np.array([np.iinfo(np.uint64).max])])
        order = np.argsort(keys)
        self.ids = keys[order]
        self._frames = np.concatenate([*frames, np.array([-1], np.int32)])[order]
        self._flags = np.concatenate([*flags, np.array([False])])[order]
        self.used = order == order.size - 1

    def find(self, wanted: Ids) -> tuple[Bools, npt.NDArray[Any], Bools]:
        """For each id: whether it is known, its frame, its flag (arbitrary where unknown)."""
        at = np.searchsorted(self.ids, wanted)
        return self.ids[at] == wanted, self._frames[at], self._flags[at]

    def use(self, wanted: Ids) -> Bools:
        """Mark known ids as used; whether each was so for the first time."""
        at = np.searchsorted(self.ids, wanted)
        first = ~self.used[at]
        # Within the batch itself, only the first of equal ids is new.
        first[np.setdiff1d(np.arange(wanted.size), np.unique(wanted, return_index=True)[1])] = False
        self.used[at[self.ids[at] == wanted]] = True
        return first

    def unused(self, flag: bool) -> int:
        """How many ids with this flag were never used."""
        return int(np.count_nonzero(~self.used & (self._flags == flag)))
