"""Which weights there are, where they lie, and whether they may be loaded.

What belongs here: the registry of official files, finding and fetching them, their digests, and who trusted them. What does not:
the transfer itself (`download`), building models (`models`).

Detector files are pickles, and loading a pickle may run code: they are loaded only if their digest was published by their
authors or the user said `--trust`. Segmenter files are plain tensors, loaded with torch's `weights_only`: no trust is needed. What was
seen and trusted is recorded in HOME/weights.json (`ledger`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reframer_pipeline.failures import SettingsInvalid, WeightsMissing, WeightsUntrusted
from reframer_pipeline.results import Progress, no_progress
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.download import download, sha256_of
from reframer_pipeline.vision.ledger import WeightsLedger

Role = Literal["detector", "segmenter"]
ROLES: Final[tuple[Role, ...]] = ("detector", "segmenter")


@dataclass(frozen=True)
class Release:
    """An official file.

    Attributes:
        file: Its name, in the folder and at the end of its address.
        base: The address before the name.
        sha256: Digest published by its authors, at `base`, for the file at that address; None where none was found.
        config: The sam2 package's config for it; empty for detectors.
    """

    file: str
    base: str
    sha256: str | None
    config: str = ""


# Ultralytics' own repository; the digests are in its commit 8a9e1a5 (Git LFS pointers).
_YOLO = "https://huggingface.co/Ultralytics/YOLOv8/resolve/8a9e1a55f987a77f9966c2ac3f80aa8aa37b3c1a/"
# Meta's own repositories for SAM 2, with digests shown on each file's page (Git LFS details) ...
_META = "https://huggingface.co/facebook/"
# ... and its download server, from the sam2 repository's download_ckpts.sh, which publishes no digests.
_META_20 = "https://dl.fbaipublicfiles.com/segment_anything_2/072824/"
_META_21 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"

RELEASES: Final[dict[str, Release]] = {
    "yolov8n.pt": Release("yolov8n.pt", _YOLO, "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"),
    "yolov8s.pt": Release("yolov8s.pt", _YOLO, "268e5bb54c640c96c3510224833bc2eeacab4135c6deb41502156e39986b562d"),
    "yolov8m.pt": Release("yolov8m.pt", _YOLO, "6c25b0b63b1a433843f06d821a9ac1deb8d5805f74f0f38772c7308c5adc55a5"),
    "yolov8l.pt": Release("yolov8l.pt", _YOLO, "18218ea4798da042d9862e6029ca9531adbd40ace19b6c9a75e2e28f1adf30cc"),
    "yolov8x.pt": Release("yolov8x.pt", _YOLO, "c4d5a3f000d771762f03fc8b57ebd0aae324aeaefdd6e68492a9c4470f2d1e8b"),
    "sam2_hiera_tiny": Release(
        "sam2_hiera_tiny.pt",
        f"{_META}sam2-hiera-tiny/resolve/main/",
        "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
        "configs/sam2/sam2_hiera_t.yaml",
    ),
    "sam2_hiera_small": Release(
        "sam2_hiera_small.pt",
        f"{_META}sam2-hiera-small/resolve/main/",
        "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
        "configs/sam2/sam2_hiera_s.yaml",
    ),
    "sam2_hiera_base_plus": Release(
        "sam2_hiera_base_plus.pt",
        f"{_META}sam2-hiera-base-plus/resolve/2869890888ba16bccc505194b4d5353caf4fd62b/",
        "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
        "configs/sam2/sam2_hiera_b+.yaml",
    ),
    "sam2_hiera_large": Release("sam2_hiera_large.pt", _META_20, None, "configs/sam2/sam2_hiera_l.yaml"),
    "sam2.1_hiera_tiny": Release("sam2.1_hiera_tiny.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_t.yaml"),
    "sam2.1_hiera_small": Release("sam2.1_hiera_small.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_s.yaml"),
    "sam2.1_hiera_base_plus": Release("sam2.1_hiera_base_plus.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_b+.yaml"),
    "sam2.1_hiera_large": Release("sam2.1_hiera_large.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_l.yaml"),
}


# Whoever has just tried to fetch them must not be told to.
NOT_TO_BE_FETCHED: Final = (
    "Put the file into that folder, or name a mirror that has it with REFRAMER_WEIGHTS_URL, or check the connection, "
    "or use `--models demo`."
)


@dataclass(frozen=True)
class WeightsFile:
    """A file that is there.

    Attributes:
        role: `detector` or `segmenter`.
        path: Where it lies.
        sha256: Its digest (hex).
        trusted: Whether it may be loaded.
        trusted_by: Who says so: `published digest`, `user`, `no pickle`, `bundled`; empty if nobody does.
    """

    role: Role
    path: Path
    sha256: str
    trusted: bool
    trusted_by: str


def model_name(settings: Settings, role: Role) -> str:
    """The model that the settings name for a role; without `.pt` for the segmenter."""
    return settings.yolo_model if role == "detector" else settings.sam2_model.removesuffix(".pt")


def release_of(settings: Settings, role: Role) -> Release | None:
    """The official file that the settings name, or None where they name a file of the user's own.

    Raises:
        SettingsInvalid: A segmenter that is not among the known ones: its architecture would be a guess.
    """
    release = RELEASES.get(model_name(settings, role))
    if role == "segmenter" and (release is None or not release.config):
        known = ", ".join(name for name, one in RELEASES.items() if one.config)
        raise SettingsInvalid(f"REFRAMER_SAM2_MODEL is {settings.sam2_model!r}.", f"Known models: {known}.")
    return release


def path_of(settings: Settings, role: Role) -> Path:
    """Where the weights lie, or would lie: the bundled file, the weights folder, or the path that the setting is."""
    if settings.models == "demo":
        from reframer_pipeline.demo import models as demo

        return demo.demo_weights_dir() / (demo.DETECTOR_FILE if role == "detector" else demo.SEGMENTER_FILE)
    release = release_of(settings, role)
    if release is not None:
        return settings.weights_folder / release.file
    named = Path(model_name(settings, role)).expanduser()
    return named.resolve() if named.is_absolute() or named.is_file() else settings.weights_folder / named


def resolve(settings: Settings, role: Role) -> WeightsFile:
    """Find a role's weights; the network is not asked.

    The digest is computed once and remembered until the file's size or time changes.

    Raises:
        WeightsMissing: It is not there; the message names file, folder and setting.
        WeightsCorrupt: It differs from what was recorded under its name.
    """
    path = path_of(settings, role)
    if not path.is_file():
        setting = "REFRAMER_YOLO_MODEL" if role == "detector" else "REFRAMER_SAM2_MODEL"
        message = f"The weights file {path.name} ({setting}) is not in {path.parent} (REFRAMER_WEIGHTS_DIR)."
        raise WeightsMissing(message, None if release_of(settings, role) else f"Put the file there, or name it in {setting} with its path.")
    if settings.models == "demo":  # part of the package, which vouches for them and may replace them
        return WeightsFile(role, path, sha256_of(path), True, "bundled")
    release = release_of(settings, role)
    published = release.sha256 if release else None
    entry = WeightsLedger(settings.home_dir).seen(path, lambda digest: digest == published)
    by = entry.get("trusted_by") or ""
    if entry["sha256"] == published:
        by = "published digest"
    elif role == "segmenter":
        by = "no pickle"
    return WeightsFile(role, path, entry["sha256"], bool(by), by)


def fetch(settings: Settings, role: Role, progress: Progress = no_progress, trust: bool = False) -> WeightsFile:
    """Find a role's weights, and download them first if they are missing.

    Args:
        settings: Name the model and the folder; `weights_url` replaces the official address.
        role: Whose weights.
        progress: Called with bytes so far and in all while downloading.
        trust: The user's word that this very file may be loaded; its digest is recorded.

    Raises:
        WeightsMissing: Neither in the folder nor to be had.
        DownloadFailed: The download broke off; the next call resumes it.
        WeightsCorrupt: Another digest than the published or the recorded one.
    """
    path = path_of(settings, role)
    ledger = WeightsLedger(settings.home_dir)
    if settings.models == "official" and not path.is_file():
        release = release_of(settings, role)
        if release is None:
            return resolve(settings, role)  # a file of the user's own: raises what there is to say
        address = (settings.weights_url.rstrip("/") + "/" if settings.weights_url else release.base) + release.file
        try:
            digest = download(address, path, release.sha256, progress)
        except WeightsMissing as error:
            message = f"The weights file {path.name} is not in {path.parent} (REFRAMER_WEIGHTS_DIR), and {error.message}"
            raise WeightsMissing(message, NOT_TO_BE_FETCHED) from error
        ledger.note(path, sha256=digest, source=address, replace=trust)
    if trust:
        ledger.note(path, sha256=sha256_of(path), trusted_by="user", replace=True)
    return resolve(settings, role)


def require_trusted(file: WeightsFile) -> None:
    """Refuse a pickle that nobody vouches for.

    Raises:
        WeightsUntrusted: With the digest, so that the user can compare it before saying `--trust`.
    """
    if not file.trusted:
        what = f"{file.path.name} is a pickle, which may run code when loaded"
        raise WeightsUntrusted(f"{what}, and its digest sha256:{file.sha256} is not the published one.")


def digests(settings: Settings) -> dict[str, str]:
    """Digest of the weights by role, as stage keys want it: `"sha256:…"`, or `"demo:…"` for the bundled models.

    Raises:
        WeightsMissing: A file is not there.
    """
    kind = "demo" if settings.models == "demo" else "sha256"
    return {role: f"{kind}:{resolve(settings, role).sha256}" for role in ROLES}
