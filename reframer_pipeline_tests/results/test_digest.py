"""Content digests: of rows, not of batches."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from reframer_pipeline.results.digest import ContentDigest
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import BY_NAME, NAMES
from reframer_pipeline_tests.factories import Maker


def _digest(rows: list[dict[str, object]], stage: str, borders: list[int]) -> str:
    digest = ContentDigest()
    for start, end in zip([0, *borders], [*borders, len(rows)], strict=True):
        digest.update(pa.RecordBatch.from_pylist(rows[start:end], schema=BY_NAME[stage].schema))
    return digest.hexdigest()


@pytest.mark.parametrize("stage", NAMES)
def test_digest_knows_rows_not_batches(stage: str) -> None:
    rows = Maker("ab" * 32, Settings()).rows(stage)
    chance = random.Random(7)
    whole = _digest(rows, stage, [])
    for _ in range(5):
        assert _digest(rows, stage, sorted(chance.sample(range(len(rows) + 1), min(3, len(rows))))) == whole
    assert _digest(rows[:-1], stage, []) != whole
    for name in BY_NAME[stage].schema.names:
        value = rows[-1][name]
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else value[:-1]
        assert _digest([*rows[:-1], {**rows[-1], name: other}], stage, []) != whole, name


def test_digest_tells_shifted_texts_and_nulls_apart() -> None:
    def digest(values: list[str | None]) -> str:
        content = ContentDigest()
        content.update(pa.record_batch({"a": pa.array(values, pa.string())}))
        return content.hexdigest()

    assert len({digest(values) for values in (["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["abc"])}) == 5
