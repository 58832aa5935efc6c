"""Peer and ours side by side in one run: interleaved, each warm in a process of its own, with a gate that their answers agree.

What belongs here: timing two sides, the median of their ratios, and the line of the table. What does not: what is timed (the other files).
Machines are shared and noisy, so only ratios within a run are trusted, and processor seconds more than those of the clock.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from reframer_pipeline_tests.descendants import used

PAIRS: Final = 5
Work = Callable[..., Any]
Gate = Callable[[Any, Any], str]  # what agreed, in a few words; raises AssertionError where the answers differ


@dataclass(frozen=True)
class Took:
    """What one run took.

    Attributes:
        answer: What the work returned.
        wall: Seconds of the clock.
        cpu: Seconds of the processor, of the process and of what it started, where that has ended.
        peak_mb: Largest resident memory of the process during the run.
    """

    answer: Any
    wall: float
    cpu: float
    peak_mb: float


@dataclass(frozen=True)
class Side:
    """One of the two: `prepare(*arguments)` is called once in a process of its own and returns the work. Both must be importable."""

    name: str
    prepare: Callable[..., Work]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Way:
    """One of ours: what is done, the side that does it, and the judge of its answers."""

    what: str
    side: Side
    gate: Gate


@dataclass(frozen=True)
class Row:
    """One line of the table: the peer's seconds over ours, so above 1 we are faster.

    Attributes:
        wall, cpu: The ratio of each pair.
        ours, peers: Median seconds of the clock, seconds of the processor, and peak MB.
        gate: What agreed; `FAILED: …` where the answers differ.
    """

    key: str
    what: str
    peer: str
    wall: list[float]
    cpu: list[float]
    ours: tuple[float, float, float]
    peers: tuple[float, float, float]
    gate: str
    target: str

    @property
    def ratio(self) -> float:
        """Median of the processor's ratios, which a busy machine changes least."""
        return statistics.median(self.cpu)

    def line(self) -> str:
        """A line of Markdown; `HEADER` says what its cells are."""
        return (
            f"| {self.key} {self.what} | {self.peer} | {_spread(self.wall)} | {_spread(self.cpu)} | {self.target} "
            f"| {_figures(self.ours)} | {_figures(self.peers)} | {self.gate} |"
        )


HEADER: Final = (
    "| row | peer | faster by the clock | by the processor | aimed at | ours: s, processor s, MB | peer: the same | gate |\n"
    "|---|---|---|---|---|---|---|---|"
)


class Warm:
    """A side in its process, which stays warm from run to run."""

    def __init__(self, side: Side) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, side.prepare, side.arguments), name=side.name, daemon=False)
        self._process.start()
        far.close()

    def wait_until_ready(self) -> None:
        """Until it has prepared its work."""
        self._end.recv()

    def run(self, *given: Any) -> Took:
        """Do the work once, with these arguments. Raises what it raised."""
        self._end.send(given)
        took = self._end.recv()
        if isinstance(took, BaseException):
            raise took
        return took

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.send(None)
        self._process.join()


def timed(work: Work, *given: Any) -> Took:
    """Run the work here."""
    below, own, began = used(), resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    answer = work(*given)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = _seconds(after) - _seconds(own) + _seconds(used()) - _seconds(below)  # the looking around is outside
    return Took(answer, wall, cpu, peak_mb())


def peak_mb() -> float:
    """Largest resident memory of this process. `ru_maxrss` would count that of its parent when it was started, too."""
    with suppress(OSError):
        return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(spent: resource.struct_rusage) -> float:
    return spent.ru_utime + spent.ru_stime


def compare(key: str, what: str, peer: Side, ours: Side, gate: Gate, target: str, pairs: int = PAIRS) -> Row:
    """Run both so many times, in turn, after one run each that does not count.

    Args:
        key: Of the row, such as `F1`.
        what: What is done.
        peer: The other way.
        ours: Our way.
        gate: Judges each pair's answers.
        target: What is aimed at, in words.
        pairs: How many.
    """
    (row,) = compare_ways(key, peer, [Way(what, ours, gate)], target, pairs)
    return row


def compare_ways(key: str, peer: Side, ways: Sequence[Way], target: str, pairs: int = PAIRS) -> list[Row]:
    """The same for several of our ways: a row each, and the peer is run once a round for all of them."""
    with warmed([peer, *(way.side for way in ways)]) as warm:
        took = rounds(warm, pairs)
    return [
        row_of(key, way.what, peer.name, [(one[0], one[place]) for one in took], way.gate, target)
        for place, way in enumerate(ways, start=1)
    ]


@contextmanager
def warmed(sides: Sequence[Side]) -> Iterator[list[Warm]]:
    """Their processes, which get ready at the same time; all of them are."""
    with ExitStack() as stack:
        warm = [stack.enter_context(Warm(side)) for side in sides]
        for side in warm:
            side.wait_until_ready()
        yield warm


def rounds(warm: Sequence[Warm], pairs: int = PAIRS, *given: Any) -> list[list[Took]]:
    """Run all sides in turn, so many times, after one run each that does not count. A list a round, in the order of the sides.

    Args:
        warm: Of `warmed`.
        pairs: How many rounds.
        given: What each side's work is given.
    """
    for side in warm:
        side.run(*given)
    took = []
    for number in range(pairs):  # who goes first changes, so that a drift of the machine favours nobody
        found = [side.run(*given) for side in (warm if number % 2 == 0 else reversed(warm))]
        took.append(found if number % 2 == 0 else found[::-1])
    return took


def row_of(key: str, what: str, peer: str, took: Sequence[tuple[Took, Took]], gate: Gate, target: str) -> Row:
    """The row of pairs (peer's, ours)."""
    try:
        said = {gate(theirs.answer, own.answer) for theirs, own in took}
        judged = "; ".join(sorted(said))
    except AssertionError as error:
        judged = f"FAILED: {error}"
    wall = [theirs.wall / own.wall for theirs, own in took]
    cpu = [theirs.cpu / own.cpu for theirs, own in took]
    return Row(key, what, peer, wall, cpu, _medians([own for _, own in took]), _medians([theirs for theirs, _ in took]), judged, target)


def _medians(took: Sequence[Took]) -> tuple[float, float, float]:
    return (
        statistics.median(one.wall for one in took),
        statistics.median(one.cpu for one in took),
        max(one.peak_mb for one in took),
    )


def _spread(ratios: Sequence[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _figures(figures: tuple[float, float, float]) -> str:
    wall, cpu, peak = figures
    return f"{wall:.3g}, {cpu:.3g}, {peak:.0f}"


def _serve(end: Any, prepare: Callable[..., Work], arguments: tuple[Any, ...]) -> None:
    """The side's process: one run for each message, until it is None."""
    work = prepare(*arguments)
    end.send("ready")
    while (given := end.recv()) is not None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the largest memory is counted anew (proc_pid_clear_refs(5))
        try:
            end.send(timed(work, *given))
        except BaseException as error:
            end.send(error)
