"""Results as small tables for people.

What belongs here: the pieces that stages build their tables of. What does not: which rows they show (the stages), Markdown
(`reading.sheets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from reframer_pipeline.handover import StageInput
from reframer_pipeline.stages.stage import Cells

TABLE_ROWS: Final = 12


def facts(values: Mapping[str, Any]) -> Cells:
    """Names and values, a line each."""
    return ["fact", "value"], [[name, value] for name, value in values.items()], len(values)


def first_rows(result: StageInput, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """The first rows of a result; no more of it is read."""
    rows = (row for batch in result.batches(columns) for row in batch.slice(0, TABLE_ROWS).to_pylist())
    return list(islice(rows, TABLE_ROWS))
