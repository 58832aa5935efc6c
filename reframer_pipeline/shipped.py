"""The files that lie beside the package and travel with it: `sql/` and `dagster.yaml`.

What belongs here: finding them, in a checkout and in an installed distribution. What does not: reading them, and data files inside the
package, which are found beside the module that uses them.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from reframer_pipeline.failures import InternalError


def shipped(pattern: str) -> list[Path]:
    """The files of this name or pattern, such as `sql/*.sql`, in order: those of the checkout, else those that the installation has.

    Raises:
        InternalError: There are none: the installation is broken.
    """
    checkout = Path(__file__).resolve().parents[1]
    found = list(checkout.glob(pattern)) if (checkout / "pyproject.toml").is_file() else []
    if not found:
        listed = metadata.files("reframer_pipeline") or []
        found = [Path(str(file.locate())) for file in listed if file.match(f"share/reframer_pipeline/{pattern}")]
    if not found:
        raise InternalError(f"The files {pattern} are not installed.", "Install reframer_pipeline again.")
    return sorted(found)
