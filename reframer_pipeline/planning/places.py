"""Settings on their way to another process: as environment variables, with places that mean the same in every folder.

What belongs here: writing settings down for a child or for the database. What does not: what they mean (`settings`), whose they are
(`deployment`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.releases import RELEASES


def as_environment(settings: Settings) -> dict[str, str]:
    """The same settings as environment variables, for a child process in whatever folder. Holds secrets in clear."""
    variables: dict[str, str] = {}
    places = absolute_places(settings)
    for name in Settings.model_fields:
        value = places.get(name, getattr(settings, name))
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        text = "" if value is None else ",".join(value) if isinstance(value, tuple) else str(value)
        variables[Settings.variable(name)] = text
    return variables


def absolute_places(settings: Settings) -> dict[str, str]:
    """The settings that name a file or folder here, as absolute paths. URLs and names of models are not among them."""
    places = {"home": str(settings.home_dir)}
    if settings.weights_dir is not None:
        places["weights_dir"] = str(settings.weights_folder)
    for name in ("store_url", "uploads_url"):
        url = getattr(settings, name)
        if url is not None and "://" not in url and "::" not in url:
            places[name] = str(Path(url).expanduser().absolute())
    own_model = Path(settings.yolo_model).expanduser()
    if settings.yolo_model not in RELEASES and own_model.is_file():
        places["yolo_model"] = str(own_model.absolute())
    return places
