"""Writes the tables of docs/settings.md, failure-codes.md, difficulty.md and vocabulary.md from the code, where a test compares them.

What belongs here: what the tables show. What does not: the words around them, which are written by hand in the pages themselves.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reframer_pipeline.cli.options import API, COMPUTING
from reframer_pipeline.failures import all_failures
from reframer_pipeline.reading.tables import TABLES as VOCABULARY
from reframer_pipeline.scenes.difficulty import FACTORS, Limits
from reframer_pipeline.settings import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
START, END = "<!-- made by `make docs` -->\n", "<!-- /made -->\n"


def settings() -> Iterator[str]:
    """One table per group, as the comments of `Settings` part its fields."""
    for line in inspect.getsource(Settings).splitlines():
        if group := re.match(r"    # --- (\w.*)", line):
            title = group[1][0].upper() + group[1][1:]
            if title.startswith("Derived"):
                return
            yield f"\n## {title}\n\n| variable | option | default | meaning |\n|---|---|---|---|\n"
        elif (found := re.match(r"    (\w+): ", line)) and (field := Settings.model_fields.get(found[1])):
            option = f"`--{found[1].replace('_', '-')}`" if found[1] in (*COMPUTING, *API) else ""
            yield f"| `{Settings.variable(found[1])}` | {option} | {_default(field.default)} | {field.description} |\n"


def failures() -> Iterator[str]:
    """Every code, in alphabetical order."""
    yield "\n| code | what | retried | what to do |\n|---|---|---|---|\n"
    for failure in all_failures():
        what = (failure.__doc__ or "").strip().splitlines()[0]
        yield f"| `{failure.code}` | {what} | {'yes' if failure.retryable else ''} | {failure.default_remedy} |\n"


def difficulty() -> Iterator[str]:
    """Every factor, as in the code."""
    yield "\n| factor | figure | product | person | why |\n|---|---|---|---|---|\n"
    for one in FACTORS:
        yield f"| `{one.name}` | {one.what} | {_limits(one.product)} | {_limits(one.person)} | {one.why} |\n"


def vocabulary() -> Iterator[str]:
    """One table per table of results."""
    for table in VOCABULARY.values():
        yield f"\n## `{table.name}`\n\nA row is {table.says}.\n\n| column | type | meaning |\n|---|---|---|\n"
        for one in table.columns:
            kind = {"string": "text", "int32": "integer", "int64": "integer", "double": "number", "list<item: int32>": "integers"}.get(
                str(one.type), "texts"
            )
            yield f"| `{one.name}` | {kind}{', or empty' if one.nullable else ''} | {one.says} |\n"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "settings.md": settings, "failure-codes.md": failures, "difficulty.md": difficulty, "vocabulary.md": vocabulary,
}  # fmt: skip


def page(name: str) -> str:
    """A page as it should be: its own words, and between the marks what the code says."""
    before, rest = (DOCS / name).read_text().split(START)
    return before + START + "".join(TABLES[name]()) + "\n" + END + rest.split(END)[1]


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value[:3]) + (", … (`settings.py` has all)" if len(value) > 3 else "")
    return "" if value is None else f"`{value}`"


def _limits(limits: Limits) -> str:
    return " / ".join("never" if one is None else f"{one:g}" for one in limits) if any(limits) else "never"


def main() -> None:
    for name in TABLES:
        (DOCS / name).write_text(page(name))


if __name__ == "__main__":
    main()
