"""Text that Postgres and JSON can hold."""

from __future__ import annotations

import pytest

from reframer_pipeline.database.text import clean_json_text


def test_text_that_json_columns_refuse_is_cleaned() -> None:
    assert clean_json_text('{"a\\u0000": ["\\ud800", NaN, 1e999, "\\ud83d\\ude00"]}') == '{"a\ufffd": ["\ufffd", null, null, "\U0001f600"]}'
    with pytest.raises(ValueError, match="Expecting"):
        clean_json_text("{")
