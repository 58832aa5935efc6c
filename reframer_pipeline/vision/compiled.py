"""Networks that OpenVINO compiles, on a CPU and where it is installed: the same numbers but for the last digits, in less time.

What belongs here: whether it can be had, turning a torch module into its network, keeping that on disk, calling it. What does not: which
modules (`compiled_models`), torch's own kernels (`fused`).

Tracing a module and compiling it takes seconds (base+: up to a minute), so the outcome is kept, a file a network. Its name is a digest of
the weights, the shapes, the processor and the versions of all that had a hand in it. Before its content stands the content's digest, so
damage is seen; a file is renamed into its place when it is whole, so any number of processes may make or read it at once.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import EXACT, Precision, Settings

_log = logging.getLogger(__name__)
_MADE_BY: Final = ("openvino", "torch", "ultralytics", "sam2")
_FORMAT: Final = 1  # raised when the networks are traced or prepared otherwise: here, in `compiled_models`, `single_frames`, `sam2_build`
_DIGEST: Final = hashlib.sha256().digest_size
_HINTS: Final = {"float32": "f32", "bfloat16": "bf16"}
_ADVICE: Final = "Install it (pip install 'reframer_pipeline[openvino]'), or set"


@dataclass(frozen=True)
class Engine:
    """What compiles networks.

    Attributes:
        precision: What it computes in.
        folder: Where traced networks are kept.
        weights: Digest of the weights that the modules hold.
    """

    precision: Precision
    folder: Path
    weights: str


def engine_of(settings: Settings, device: str, weights: str) -> Engine | None:
    """What the settings ask for; None: torch computes.

    Args:
        settings: `engine` and `precision` are used.
        device: A result of `resolve_device`.
        weights: Digest of the weights, hexadecimal.

    Raises:
        SettingsInvalid: What they ask for cannot be had here.
    """
    if settings.precision != EXACT:
        _demand_bfloat16(settings, device)
    if settings.engine == "openvino" and not installed():
        raise SettingsInvalid("OpenVINO is not installed.", f"{_ADVICE} REFRAMER_ENGINE to auto.")
    if device != "cpu" or settings.engine == "torch" or not installed():
        return None
    return Engine(settings.precision, settings.weights_folder / "openvino", weights)


def installed() -> bool:
    """Whether OpenVINO can be imported; it is not imported for that."""
    return importlib.util.find_spec("openvino") is not None


def _openvino() -> Any:
    """The library. It reports imports and conversions to its makers, by processes that it forks and that may never end, unless the package
    for that is missing: here it always is.
    """
    import sys

    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _demand_bfloat16(settings: Settings, device: str) -> None:
    if device != "cpu":
        raise SettingsInvalid("REFRAMER_PRECISION=bfloat16 is for a CPU.", "Leave it out: on a GPU, SAM2 computes in bfloat16 anyway.")
    if settings.engine == "torch" or not installed():
        raise SettingsInvalid("REFRAMER_PRECISION=bfloat16 needs OpenVINO.", f"{_ADVICE} REFRAMER_PRECISION to float32.")
    if "BF16" not in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise SettingsInvalid("This machine's processor has no bfloat16.", "Set REFRAMER_PRECISION to float32.")


def compiled(
    engine: Engine, name: str, module: Any, examples: Sequence[Any], free: frozenset[int] = frozenset(), threads: int = 0
) -> Callable[..., Any]:
    """A function that computes what a module computes.

    Args:
        engine: What compiles it.
        name: Of the network, for its file and for messages.
        module: A torch module in evaluation mode, whose answer is a tensor or a tuple of tensors, and which is a function of its inputs.
        examples: Tensors that it can be called with. All others must have their shapes, but for the first dimension of those in `free`.
        free: Which of the inputs have a first dimension of any size.
        threads: How many it computes with; 0: as many as torch has now.

    Returns:
        Takes tensors as `examples`, gives the tuple of answers. Only one thread may call it at a time.
    """
    import torch

    shapes = [[-1 if index in free else example.shape[0], *example.shape[1:]] for index, example in enumerate(examples)]
    core = _openvino().Core()
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[engine.precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
    }
    path = engine.folder / f"{name}-{_digest(core, engine, shapes)}"
    network = _kept(core, path, options)
    if network is None:
        _log.info("Preparing the %s for OpenVINO: once for these weights and this size", name)
        network = core.compile_model(_traced(module, tuple(examples), shapes), "CPU", options)
        _keep(network, path)
    request = network.create_infer_request()

    def call(*inputs: Any) -> tuple[Any, ...]:
        given = {index: one.detach().contiguous().numpy() for index, one in enumerate(inputs)}
        found = request.infer(given, share_inputs=True)
        return tuple(torch.from_numpy(found[output]) for output in network.outputs)

    return call


def _digest(core: Any, engine: Engine, shapes: list[list[int]]) -> str:
    processor = [str(core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    made_by = {package: version(package) for package in _MADE_BY}
    recipe = [_FORMAT, engine.weights, engine.precision, shapes, made_by, platform.machine(), *processor]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:24]


def _kept(core: Any, path: Path, options: dict[str, Any]) -> Any:
    """The network that is kept; None if there is none, or no whole one."""
    if not path.exists():
        return None
    try:
        kept = path.read_bytes()
        digest, network = kept[:_DIGEST], kept[_DIGEST:]
        if hashlib.sha256(network).digest() == digest:
            return core.import_model(io.BytesIO(network), "CPU", options)
        reason = "its digest is another one"
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
    _log.warning("%s cannot be used and is made anew: %s", path, reason)
    return None


def _keep(network: Any, path: Path) -> None:
    """Keep a network, behind its digest; where that cannot be, the next process makes it again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            try:
                content = io.BytesIO()
                network.export_model(content)
                file.write(hashlib.sha256(content.getbuffer()).digest())
                file.write(content.getbuffer())
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # a temporary file is its maker's alone
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except (OSError, RuntimeError) as error:
        _log.warning("%s, prepared for OpenVINO, cannot be kept in %s: %s", path.name, path.parent, error)


def _traced(module: Any, examples: tuple[Any, ...], shapes: list[list[int]]) -> Any:
    import warnings

    import torch

    with warnings.catch_warnings(), torch.no_grad():
        module(*examples)  # YOLO's head lays out its grid for the first picture of a size, and keeps it: the trace is to have the kept one
        warnings.simplefilter("ignore")  # torch warns of each Python number that becomes a constant; the shapes are fixed
        network = _openvino().convert_model(module, example_input=examples if len(examples) > 1 else examples[0])
    network.reshape({network.inputs[index]: _openvino().PartialShape(shape) for index, shape in enumerate(shapes)})
    return network
