"""Writes the README's tables of settings and failure codes from the code, where a test compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reframer_pipeline.failures import all_failures
from reframer_pipeline.settings import Settings

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- tables: made by scripts/readme_tables.py -->\n", "<!-- /tables -->\n"


def tables() -> Iterator[str]:
    """The lines between the markers."""
    yield "## Settings\n\nEnvironment variables; most are options of `reframer run` too (`--vid-stride`). Secrets are never options.\n\n"
    yield "| variable | default | meaning |\n|---|---|---|\n"
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            shown = ", ".join(default[:3]) + (", … (`settings.py` has all)" if len(default) > 3 else "")
        else:
            shown = "" if default is None else f"`{default}`"
        yield f"| `{Settings.variable(name)}` | {shown} | {field.description} |\n"
    yield "\n## Failure codes\n\n"
    yield "A failed video has a code and a sentence that says what to do: in `reframer run`, in `videos` or `uploads`, in Dagster.\n"
    yield "Retryable failures of a stage are tried again by themselves, twice, with growing pauses.\n\n"
    yield "| code | what | retried | what to do |\n|---|---|---|---|\n"
    for failure in all_failures():
        what = (failure.__doc__ or "").strip().splitlines()[0]
        yield f"| `{failure.code}` | {what} | {'yes' if failure.retryable else ''} | {failure.default_remedy} |\n"


def main() -> None:
    text = README.read_text()
    before, rest = text.split(START)
    README.write_text(before + START + "".join(tables()) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
