"""Nothing that came from elsewhere is loaded in a way that could run it. How weights are judged: `vision/test_weights.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from reframer_pipeline.orchestration.fleet.app import celery_app
from reframer_pipeline_tests.support import REPOSITORY

PACKAGE = REPOSITORY / "reframer_pipeline"
FORBIDDEN = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load", "dill.loads",
    "joblib.load", "cloudpickle.load", "cloudpickle.loads", "jsonpickle.decode", "pandas.read_pickle", "pd.read_pickle", "yaml.load",
    "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "eval", "exec", "os.system", "os.popen", "logging.config.fileConfig",
}  # fmt: skip


def unsafe(code: str) -> Iterator[tuple[int, str]]:
    """The line and name of each call that may run what it reads."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in FORBIDDEN or given.get("shell") == "True" or given.get("allow_pickle") == "True":
            yield node.lineno, name
        if name == "torch.load" and given.get("weights_only") != "True":
            yield node.lineno, name


@pytest.mark.parametrize(
    "line",
    [
        "pickle.loads(x)", "yaml.load(x, Loader)", "torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)",
        "eval(x)", "subprocess.run(x, shell=True)",
    ],
)  # fmt: skip
def test_such_calls_are_found(line: str) -> None:
    assert list(unsafe(line))


@pytest.mark.parametrize("line", ["yaml.safe_load(x)", "torch.load(x, weights_only=True)", "model.eval()", "np.load(x)", "json.loads(x)"])
def test_others_are_not(line: str) -> None:
    assert not list(unsafe(line))


def test_the_program_has_none() -> None:
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 200
    found = [f"{path.relative_to(REPOSITORY)}:{line}: {name}" for path in paths for line, name in unsafe(path.read_text())]
    assert found == []


def test_workers_take_json_alone_from_the_broker() -> None:
    conf = celery_app("amqp://broker").conf
    assert (conf.accept_content, conf.task_serializer) == (["json"], "json")


def test_bundled_weights_are_tensors_and_no_pickle() -> None:
    folder = PACKAGE / "demo" / "weights"
    weights = [path for path in folder.iterdir() if path.is_file()]
    assert weights and all(path.suffix == ".safetensors" for path in weights)
