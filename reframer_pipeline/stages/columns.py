"""Arrow columns as the text of Postgres columns, JSON included.

What belongs here: the pieces that stages build their columns of. What does not: which column becomes which (the stages), COPY
(`results.rows`). Everything is done on whole columns. Numbers appear with the fewest digits that give back the same float, in JSON as in
columns (so 0.92 stays 0.92, not 0.9200000166893005).
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reframer_pipeline.versions import StageKey, row_id


def ids(key: StageKey, names: list[Any]) -> pa.Array:
    """The ids of rows with these names within a result."""
    return pa.array([row_id(key.result_id, str(name)) for name in names], pa.string())


def bbox(x1: pa.Array, y1: pa.Array, x2: pa.Array, y2: pa.Array) -> pa.Array:
    """`{"x", "y", "width", "height"}` of xyxy columns; the differences are taken, like the corners, in single precision."""
    width, height = pc.subtract(x2, x1), pc.subtract(y2, y1)
    return join('{"x": ', text(x1), ', "y": ', text(y1), ', "width": ', text(width), ', "height": ', text(height), "}")


def join(*parts: pa.Array | str) -> pa.Array:
    """The parts of each row one after the other."""
    return pc.binary_join_element_wise(*parts, "")


def text(column: pa.Array) -> pa.Array:
    """A column as text."""
    return pc.cast(column, pa.string())


def quoted(column: pa.Array) -> pa.Array:
    """Texts as JSON strings; few are distinct, or none needs escaping, so each distinct one is quoted once."""
    encoded = column.dictionary_encode()
    strings = pa.array([json.dumps(one) for one in encoded.dictionary.to_pylist()], pa.string())
    return strings.take(encoded.indices)
