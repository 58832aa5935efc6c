"""Masks as run lengths: COCO's compressed string and back, the plain counts, and what they say of a box.

What belongs here: the encoding and nothing about where masks come from. What does not: masks at low resolution
(`segmenter`), storage. Runs go down the columns (Fortran order) and begin with zeros, so a mask whose first pixel is set
starts with a run of 0. The compressed form is pycocotools' own and pure ASCII; Parquet holds it. Postgres holds the counts as text:
`"3,5,10"` means 3 zeros, 5 ones, 10 zeros, and pycocotools reads it as `{"size": [height, width], "counts": [3, 5, 10]}`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reframer_pipeline.failures import InvalidResult

BoolMask = npt.NDArray[np.bool_]


def encode(mask: npt.NDArray[np.generic]) -> tuple[str, int]:
    """Compress a mask.

    Args:
        mask: `(height, width)`, bool or integer; non-zero is set. Fortran order saves a copy.

    Returns:
        COCO's compressed counts, and the number of pixels set.
    """
    from pycocotools import mask as coco

    bits = mask if mask.dtype == np.bool_ else mask != 0
    encoded = coco.encode(np.asfortranarray(bits).view(np.uint8))
    return encoded["counts"].decode("ascii"), int(coco.area(encoded))


def encode_part(part: BoolMask, left: int, top: int, height: int, width: int) -> tuple[str, int]:
    """What `encode` gives for a mask that is empty beyond a part of it; the whole is never made.

    Args:
        part: `(rows, columns)` bool, best in Fortran order.
        left: Columns before it.
        top: Rows above it.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        COCO's compressed counts, and the number of pixels set.
    """
    rows, columns = part.shape
    lined = np.zeros((columns, min(rows + 1, height)), bool)  # with a row of zeros, so that runs end with their column
    lined[:, :rows] = part.T
    edges = np.flatnonzero(np.diff(lined.reshape(-1), prepend=False, append=False))  # where runs of ones begin and end, in turn
    return encode_edges((edges // lined.shape[1] + left) * height + edges % lined.shape[1] + top, height, width)


def encode_edges(edges: npt.NDArray[np.int64], height: int, width: int) -> tuple[str, int]:
    """What `encode` gives for a mask of which is known where its runs begin and end.

    Args:
        edges: Rising places, counted down the columns, in front of which a run of ones begins, and ends, in turn.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        COCO's compressed counts, and the number of pixels set.
    """
    from pycocotools import mask as coco

    counts = np.diff(np.concatenate(([0], edges, [height * width])))
    if counts[-1] == 0:  # COCO has no empty run at the end
        counts = counts[:-1]
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return encoded["counts"].decode("ascii"), int(counts[1::2].sum())


def decode(compressed: str, height: int, width: int) -> BoolMask:
    """Undo `encode`.

    Args:
        compressed: COCO's compressed counts.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        `(height, width)` bool, in Fortran order.

    Raises:
        InvalidResult: The runs do not add up to `height * width`.
    """
    return _filled(counts_of(compressed), height, width)


def decode_small(compressed: str, height: int, width: int, size: tuple[int, int]) -> BoolMask:
    """`decode`, and of the mask the pixels in the middle of those of a picture of another size.

    Args:
        compressed: COCO's compressed counts.
        height: Rows of the mask.
        width: Columns of the mask.
        size: Rows and columns of the picture.

    Returns:
        Bool of that size.

    Raises:
        InvalidResult: The runs do not add up to `height * width`.
    """
    whole = decode(compressed, height, width)
    if size == whole.shape:
        return whole
    rows, columns = (((2 * np.arange(few) + 1) * many) // (2 * few) for few, many in zip(size, (height, width), strict=True))
    return whole[np.ix_(rows, columns)]


def decode_plain(counts: str, height: int, width: int) -> BoolMask:
    """The same for the plain counts, `"3,5,10"`.

    Raises:
        InvalidResult: The runs do not add up to `height * width`.
    """
    try:
        return _filled(np.array(counts.split(","), np.int64), height, width)
    except ValueError as error:
        raise InvalidResult("A stored mask is not a list of run lengths.") from error


def cropped(compressed: str, height: int, width: int) -> tuple[int, int, BoolMask]:
    """The part of a mask within its bounding rectangle; the rest of the frame is never made.

    Args:
        compressed: COCO's compressed counts; at least one pixel is set.
        height: Rows of the mask.
        width: Columns of the mask.

    Returns:
        Left, top, and `(rows, columns)` bool.

    Raises:
        InvalidResult: The runs do not add up to `height * width`, or set nothing.
    """
    counts = _covering(counts_of(compressed), height, width)
    edges = np.concatenate(([0], np.cumsum(counts)))
    ones = np.flatnonzero(counts[1::2])
    if ones.size == 0:
        raise InvalidResult("A stored mask that should have pixels has none.")
    left, right = int(edges[2 * ones[0] + 1]) // height, (int(edges[2 * ones[-1] + 2]) - 1) // height + 1
    within = np.diff(np.clip(edges, left * height, right * height))
    columns = np.repeat(np.arange(counts.size) % 2 == 1, within).reshape((height, right - left), order="F")
    rows = np.flatnonzero(columns.any(axis=1))
    return left, int(rows[0]), columns[rows[0] : rows[-1] + 1]


def coarse(compressed: str, height: int, width: int, cell: int) -> tuple[int, int, BoolMask]:
    """The squares of `cell` x `cell` pixels in which a mask has a pixel, within their rectangle; from the runs alone, nothing is decoded.

    Args:
        compressed: COCO's compressed counts; at least one pixel is set.
        height: Rows of the mask.
        width: Columns of the mask.
        cell: Side of a square; the first begins at the origin.

    Returns:
        Left, top, and `(rows, columns)` bool, counted in squares.

    Raises:
        InvalidResult: The runs do not add up to `height * width`, or set nothing.
    """
    edges = np.cumsum(_covering(counts_of(compressed), height, width))
    begin, end = edges[: edges.size // 2 * 2].reshape(-1, 2).T
    begin, end = begin[begin < end], end[begin < end]
    if begin.size == 0:
        raise InvalidResult("A stored mask that should have pixels has none.")
    columns = (end - 1) // height - begin // height + 1  # that a run goes through
    run = np.repeat(np.arange(begin.size), columns)
    column = begin[run] // height + np.arange(run.size) - np.repeat(np.cumsum(columns) - columns, columns)
    first = np.maximum(begin[run] - column * height, 0) // cell
    after = (np.minimum(end[run] - column * height, height) - 1) // cell + 1
    left, top = int(column[0]) // cell, int(first.min())
    steps = np.zeros((int(after.max()) - top + 1, int(column[-1]) // cell - left + 1), np.int32)
    np.add.at(steps, (first - top, column // cell - left), 1)
    np.add.at(steps, (after - top, column // cell - left), -1)
    return left, top, np.cumsum(steps, axis=0)[:-1] > 0


def runs(bits: BoolMask) -> npt.NDArray[np.int64]:
    """The lengths of the runs in `(n,)` bits, zeros first."""
    lengths = np.diff(np.concatenate(([0], np.flatnonzero(np.diff(bits)) + 1, [bits.size])))
    return np.concatenate(([0], lengths)) if bits.size and bits[0] else lengths


def _filled(counts: npt.NDArray[np.int64], height: int, width: int) -> BoolMask:
    return np.repeat(np.arange(counts.size) % 2 == 1, _covering(counts, height, width)).reshape((height, width), order="F")


def _covering(counts: npt.NDArray[np.int64], height: int, width: int) -> npt.NDArray[np.int64]:
    """The run lengths if they are those of a mask of this size. Limits before anything is made of them: a damaged row must not ask for
    gigabytes.
    """
    if counts.size == 0 or counts.min() < 0 or counts.max() > height * width or int(counts.sum()) != height * width:
        raise InvalidResult(f"A stored mask does not have {width}x{height} pixels.")
    return counts


def counts_of(compressed: str) -> npt.NDArray[np.int64]:
    """The run lengths in COCO's compressed string.

    Each number is written in groups of five bits, lowest first, as `chr(48 + bits)`, 32 marking that more follow and 16 in the last
    group being the sign; from the fourth number on it is the difference to the number two before (pycocotools, `rleFrString`).
    Reading it at once in numpy needs 0.1 ms for a typical mask, where a decode and a second search for runs need 3 ms.

    Args:
        compressed: COCO's compressed counts.

    Returns:
        `(n,)` run lengths, zeros first.

    Raises:
        InvalidResult: It is no such string.
    """
    codes = np.frombuffer(compressed.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return np.zeros(0, np.int64)
    last = (codes & 0x20) == 0
    if not last[-1] or codes.min() < 0 or codes.max() > 63:
        raise InvalidResult("A stored mask is not a run-length string.")
    starts = np.concatenate(([0], np.flatnonzero(last)[:-1] + 1))
    group = np.arange(codes.size) - np.repeat(starts, np.diff(np.append(starts, codes.size)))
    if group.max() > 11:
        raise InvalidResult("A stored mask has an impossible run length.")
    numbers = np.add.reduceat((codes & 0x1F) << (5 * group), starts)
    negative = (codes[last] & 0x10) != 0
    numbers[negative] -= np.int64(1) << (5 * (group[last][negative] + 1))
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def inside(counts: npt.NDArray[np.int64], height: int, xyxy: npt.NDArray[np.floating]) -> int:
    """How many of a mask's pixels lie in a box; from the runs alone, nothing is decoded.

    Args:
        counts: `(n,)` run lengths that cover the mask, zeros first.
        height: Rows of the mask.
        xyxy: The box in pixels; a pixel that it cuts belongs to it.

    Returns:
        Pixels that are set and in the box.
    """
    left, top = np.floor(xyxy[:2]).astype(np.int64)
    right, bottom = np.minimum(np.ceil(xyxy[2:]), (np.iinfo(np.int32).max, height)).astype(np.int64)
    column, row = np.divmod(np.cumsum(counts), height)
    # of the pixels before each end of a run, those in the box: whole columns, and the part of the column that the end lies in
    here = (column >= left) & (column < right)
    before = np.clip(column - left, 0, right - left) * (bottom - top) + here * np.clip(row - top, 0, bottom - top)
    return int(np.diff(before)[::2].sum())
