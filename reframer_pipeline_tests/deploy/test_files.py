"""deploy/ names what exists: variables, commands, files, queues; and its files are what their readers accept."""

from __future__ import annotations

import ast
import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from reframer_pipeline.orchestration.fleet.app import GPU, QUEUES, RUNS
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.deploy.files import DEPLOY, KUBERNETES, demand_command, judged, of_kind, resources, tool
from reframer_pipeline_tests.support import REPOSITORY

FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if "build" in one}
VARIABLES = {Settings.variable(name) for name in Settings.model_fields}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
LONGEST_STAGE_S = 3600

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DEPLOY).as_posix())


@every_file
def test_each_variable_is_a_setting(path: Path) -> None:
    assert set(re.findall(r"REFRAMER_[A-Z0-9_]+", path.read_text())) <= VARIABLES


@every_file
def test_no_password_is_written_down(path: Path) -> None:
    for password in re.findall(r"://[^/\s:@]+:([^@\s]+)@", path.read_text()):
        assert password == "password" or re.fullmatch(r"\$\{\w+:\?\}", password), password


def test_the_readme_calls_commands_that_exist() -> None:
    calls = re.findall(r"(?:api|worker|--) (reframer [^#\n]+)", (DEPLOY / "README.md").read_text())
    assert len(calls) == 5
    for call in calls:
        demand_command(call.split())


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    said = judged(tool("hadolint"), DEPLOY / "Dockerfile")
    assert said.returncode == 0 and said.stdout == "", said.stdout


def test_the_image_is_of_a_plain_base_runs_as_a_user_and_writes_to_two_places() -> None:
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:3.11-slim-bookworm"}
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE) and "REFRAMER_HOME=/data HOME=/tmp" in last
    demand_command(ast.literal_eval(re.findall(r"^CMD (.*)$", last, re.MULTILINE)[0]))


def test_the_image_has_what_the_package_is_built_from() -> None:
    copied = {line.removeprefix("!") for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "requirements.lock", "README.md", "dagster.yaml", "sql", "reframer_pipeline"} <= copied
    assert all((REPOSITORY / name).exists() for name in copied)


def test_compose_is_as_its_schema_says() -> None:
    said = judged(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", OURS)
def test_each_container_of_compose_runs_a_command_and_may_do_little(name: str) -> None:
    one = OURS[name]
    demand_command(one["command"])
    assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"]
    assert (one["volumes"], one["tmpfs"]) == (["data:/data"], ["/tmp"])
    for port in one.get("ports", []):
        assert port.startswith("127.0.0.1:")
    if one.get("healthcheck", {}).get("test", [""])[1:2] == ["reframer"]:
        demand_command(one["healthcheck"]["test"][1:])


def test_compose_has_all_processes_and_workers_get_time_and_a_gpu() -> None:
    assert {one["command"][1] for one in OURS.values()} == {"daemon", "web", "serve", "worker"}
    assert all(OURS[name]["stop_grace_period"] == "1h" for name in ("worker", "worker-cpu"))
    (device,) = OURS["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"] and "deploy" not in OURS["worker-cpu"]


def test_kustomize_knows_every_file() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")


def test_kubernetes_accepts_all_but_what_keda_defines() -> None:
    manifests = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name not in ("kustomization.yaml", "scaling.yaml")]
    said = judged(tool("kubernetes-validate"), "--strict", *manifests)
    assert said.returncode == 0, said.stdout
    known = [one for one in resources() if "keda.sh" not in one["apiVersion"]]
    assert said.stdout.count(" passed for resource ") == len(known), said.stdout


DEPLOYMENTS = of_kind("Deployment")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_pod_runs_a_command_and_may_do_little(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "reframer"
    demand_command(container["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "exec" in container.get(probe, {}):
            demand_command(container[probe]["exec"]["command"])
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {one["mountPath"] for one in container["volumeMounts"]} == {"/data", "/tmp"}
    assert container["envFrom"] == [{"configMapRef": {"name": "reframer"}}, {"secretRef": {"name": "reframer"}}]
    assert "reframer" in of_kind("ConfigMap")


def test_what_selects_pods_finds_them() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in DEPLOYMENTS.values()]
    selectors = [one["spec"]["selector"] for one in of_kind("Service").values()]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in [*DEPLOYMENTS.values(), *of_kind("PodDisruptionBudget").values()]]
    assert all(one in labels for one in selectors)


def test_there_is_one_daemon_and_workers_get_time_and_a_gpu() -> None:
    daemon, worker = DEPLOYMENTS["daemon"]["spec"], DEPLOYMENTS["worker"]["spec"]
    assert (daemon["replicas"], daemon["strategy"]) == (1, {"type": "Recreate"})
    pod = worker["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= LONGEST_STAGE_S
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "livenessProbe" not in pod["containers"][0]
    assert "replicas" not in worker, "KEDA says how many"


def test_keda_counts_the_runs_of_our_queue_and_those_at_work() -> None:
    """Its own schemas are in no package of Python: these are the names that its documentation has."""
    (scaled,) = of_kind("ScaledObject").values()
    spec, (trigger,) = scaled["spec"], scaled["spec"]["triggers"]
    assert set(spec) <= {
        "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "advanced", "triggers",
    }  # fmt: skip
    assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
    assert trigger["type"] == "rabbitmq" and trigger["authenticationRef"]["name"] in of_kind("TriggerAuthentication")
    assert trigger["metadata"] == {
        "protocol": "http", "mode": "QueueLength", "value": "1", "queueName": RUNS, "excludeUnacknowledged": "false",
    }  # fmt: skip
    assert str(spec["maxReplicaCount"]) == of_kind("ConfigMap")["reframer"]["data"]["REFRAMER_MAX_CONCURRENT_RUNS"]


def test_the_variant_without_gpus_takes_away_what_is_there() -> None:
    (patch,) = yaml.safe_load((KUBERNETES / "cpu" / "kustomization.yaml").read_text())["patches"]
    place: Any = of_kind(patch["target"]["kind"])[patch["target"]["name"]]
    (operation,) = yaml.safe_load(patch["patch"])
    *way, last = [word.replace("~1", "/") for word in operation["path"].split("/")[1:]]
    for word in way:
        place = place[int(word) if isinstance(place, list) else word]
    assert operation["op"] == "remove" and last in place


BY_STAGE = KUBERNETES / "by-stage"


def test_kubernetes_accepts_the_workers_for_single_stages() -> None:
    said = judged(tool("kubernetes-validate"), "--strict", BY_STAGE / "workers.yaml")
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("queue", [queue for queue in QUEUES if queue != GPU])
def test_they_are_as_the_worker_with_a_gpu_but_for_what_they_compute(queue: str) -> None:
    name = f"worker-{queue}"
    made = {one["kind"]: one for one in yaml.safe_load_all((BY_STAGE / "workers.yaml").read_text()) if one["metadata"]["name"] == name}
    usual = {kind: copy.deepcopy(of_kind(kind)["worker"]) for kind in made}
    assert set(made) == {"Deployment", "PodDisruptionBudget", "ScaledObject"}
    pod, spec = usual["Deployment"]["spec"]["template"], made["Deployment"]["spec"]["template"]["spec"]
    pod["metadata"]["labels"]["app"] = usual["Deployment"]["spec"]["selector"]["matchLabels"]["app"] = name
    del pod["spec"]["tolerations"]
    (container,) = pod["spec"]["containers"]
    container["args"] = ["reframer", "worker", "--queue", queue]
    demand_command(container["args"])
    container["resources"] = spec["containers"][0]["resources"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    pod["spec"]["volumes"][0] = spec["volumes"][0]
    usual["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]["app"] = name
    usual["ScaledObject"]["spec"]["scaleTargetRef"]["name"] = name
    usual["ScaledObject"]["spec"]["triggers"][0]["metadata"]["queueName"] = queue
    for kind, one in usual.items():
        one["metadata"]["name"] = name
        assert made[kind] == one


def test_by_stage_changes_what_is_there() -> None:
    changes = yaml.safe_load((BY_STAGE / "kustomization.yaml").read_text())
    assert changes["resources"] == ["..", "workers.yaml"]
    values = {}
    for patch in changes["patches"]:
        place: Any = of_kind(patch["target"]["kind"])[patch["target"]["name"]]
        (operation,) = yaml.safe_load(patch["patch"])
        *way, last = operation["path"].split("/")[1:]
        for word in way:
            place = place[int(word) if isinstance(place, list) else word]
        assert (operation["op"] == "add") == (last not in place)
        values[last] = operation["value"]
    assert values == {"REFRAMER_EXECUTOR": "celery", "args": ["reframer", "worker", "--queue", GPU], "queueName": GPU}
    demand_command(values["args"])


def test_dagsters_chart_makes_the_instance_that_reframer_writes() -> None:
    values = yaml.safe_load((DEPLOY / "dagster-values.yaml").read_text())
    runs = int(of_kind("ConfigMap")["reframer"]["data"]["REFRAMER_MAX_CONCURRENT_RUNS"])
    settings = Settings(launcher="celery", max_concurrent_runs=runs, broker_url=SecretStr("amqp://broker"))
    written = yaml.safe_load(dagster_home.configuration(settings))
    del written["storage"], written["compute_logs"]  # the chart's own
    launcher, coordinator = values["runLauncher"], values["dagsterDaemon"]["runCoordinator"]
    made = dict(values["additionalInstanceConfig"], telemetry=values["telemetry"])
    for name, one in (
        ("run_launcher", launcher["config"]["customRunLauncher"]),
        ("run_coordinator", coordinator["config"]["customRunCoordinator"]),
    ):
        made[name] = {key: value for key, value in one.items() if value}
    assert made == written
    assert (
        not any(values["dagsterDaemon"][name]["enabled"] for name in ("runMonitoring", "runRetries")) and not values["retention"]["enabled"]
    )
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["dagsterApiGrpcArgs"] == ["-m", "reframer_pipeline.definitions"]
