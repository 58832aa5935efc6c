"""What the API says of results: the vocabulary's tables as JSON.

What belongs here: the description of rows and of what they can be asked, made from the vocabulary. What does not: reading rows. Rows go out
as they were read, and are not validated again: there are many.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, Field, create_model
from starlette.responses import JSONResponse

from reframer_pipeline.api.paging import Asked, Paged, Text, Uuid, Whole
from reframer_pipeline.reading.tables import TABLES, Table

_TYPES: Final[dict[pa.DataType, Any]] = {
    pa.string(): str, pa.int32(): int, pa.int64(): int, pa.float64(): float, pa.list_(pa.string()): list[str],
    pa.list_(pa.int32()): list[int],
}  # fmt: skip
# What the keys of tables are made of, for cursors.
KEYS: Final[dict[str, Any]] = {
    "scene_number": Whole, "element_number": Whole, "frame_number": Whole, "ordinal": Whole, "track_id": Text, "detection_id": Uuid,
}  # fmt: skip
_INTEGER: Final = 2**31 - 1
# What may be asked of results, by its name in `reading`: type, and what is said of it.
ASKED: Final[dict[str, tuple[Any, Any]]] = {
    "object_class": (Literal["person", "product"] | None, Field(None, alias="class")),
    "label": (
        str | None,
        Field(None, max_length=200, description="The model's own word. A search takes it in any case.", examples=["bottle"]),
    ),
    "min_confidence": (float | None, Field(None, ge=0, le=1)),
    "from_seconds": (float | None, Field(None, ge=0, description="Of a range of time; what lasts is in it if it overlaps it.")),
    "to_seconds": (float | None, Field(None, ge=0, description="The end of that range, which does not belong to it.")),
    "from_frame": (int | None, Field(None, ge=0, le=_INTEGER, description="Of a range of frames.")),
    "to_frame": (int | None, Field(None, ge=0, le=_INTEGER, description="The end of that range, which does not belong to it.")),
    "track_id": (str | None, Field(None, max_length=100, examples=["obj_001"])),
    "scene_number": (int | None, Field(None, ge=1, le=_INTEGER)),
    "difficulty": (Literal["easy", "medium", "hard"] | None, Field(None)),
    "detection_id": (str | None, Field(None, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")),
    "min_seconds": (float | None, Field(None, ge=0, description="So long on screen at least; a scene: so long.")),
    "min_share": (float | None, Field(None, ge=0, le=1, description="So large a share of the picture at least, on average.")),
    "min_importance": (int | None, Field(None, ge=1, le=10)),
    "words": (
        str | None,
        Field(None, min_length=1, max_length=500, description="In the description, in any of their forms; `or`, `-` and quotes work."),
    ),
}


def asking(name: str, asked: Collection[str], base: type[Asked] = Paged, **more: Any) -> type[Asked]:
    """The parameters of a request, of a list unless said otherwise, that can be asked this."""
    fields: dict[str, Any] = {key: ASKED[key] for key in asked}
    return create_model(name, __base__=base, **more, **fields)


def _row(table: Table) -> type[BaseModel]:
    fields: dict[str, Any] = {
        column.name: (_TYPES[column.type] | None if column.nullable else _TYPES[column.type], Field(description=column.says))
        for column in table.columns
    }
    return create_model(table.name.removesuffix("s").capitalize(), __doc__=f"A row is {table.says}.", **fields)


ROWS: Final = {name: _row(table) for name, table in TABLES.items()}


def page_of(name: str, item: type[BaseModel], **more: Any) -> type[BaseModel]:
    """A page of a list, whose items stand under its name."""
    fields: dict[str, Any] = {
        **more,
        name: (list[item], Field()),  # type: ignore[valid-type]
        "next": (str | None, Field(description="`cursor` of the next page; null after the last.")),
    }
    return create_model(f"{item.__name__}s", __doc__=f"A page of {name}.", **fields)


class Plain(JSONResponse):
    """Rows as they were read."""

    def render(self, content: Any) -> bytes:
        """As JSON; times as in every other answer (pydantic's ISO 8601)."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_iso).encode()


def _iso(value: Any) -> str:
    text: str = value.isoformat()
    return text.replace("+00:00", "Z")
