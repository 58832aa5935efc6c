"""A digest over the rows of a result, whatever batches they came in.

What belongs here: hashing Arrow data by value. What does not: digests of files, and of keys (`versions`).
Each leaf column has its own SHA-256 over the values one after another, so batch borders leave no trace; lists and texts add their
lengths, so that neither do borders between values; and a byte for each value says whether it is null.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ContentDigest:
    """Streaming digest: `update` with each batch, then `hexdigest`."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = defaultdict(hashlib.sha256)

    def update(self, batch: pa.RecordBatch) -> None:
        """Take in the rows of a batch."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            self._add(name, column)

    def hexdigest(self) -> str:
        """SHA-256 (hex) over the columns' names and digests."""
        lines = "".join(f"{name} {column.hexdigest()}\n" for name, column in sorted(self._columns.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def _add(self, name: str, values: pa.Array) -> None:
        kind = values.type
        self._columns[f"{name}?"].update(_numpy(pc.is_valid(values)).astype(np.uint8).tobytes())
        if pa.types.is_list(kind):
            self._columns[f"{name}#"].update(_numpy(pc.fill_null(pc.list_value_length(values), 0)).astype("<i8").tobytes())
            self._add(f"{name}[]", values.flatten())
        elif pa.types.is_struct(kind):
            for field, child in zip(kind, values.flatten(), strict=True):
                self._add(f"{name}.{field.name}", child)
        elif pa.types.is_string(kind):
            filled = pc.fill_null(values, "")
            self._columns[f"{name}#"].update(_numpy(pc.binary_length(filled)).astype("<i8").tobytes())
            self._columns[name].update("".join(filled.to_pylist()).encode("utf-8", "surrogatepass"))
        elif pa.types.is_boolean(kind):
            self._columns[name].update(_numpy(pc.fill_null(values, False)).astype(np.uint8).tobytes())
        else:
            self._columns[name].update(np.ascontiguousarray(_numpy(pc.fill_null(values, 0))).tobytes())


def _numpy(values: Any) -> np.ndarray[Any, Any]:
    return values.to_numpy(zero_copy_only=False)
