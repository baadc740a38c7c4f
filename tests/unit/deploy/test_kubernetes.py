"""deploy/kubernetes: valid by Kubernetes' own schemas, whole, without a secret, and agreeing with the settings."""

import textwrap
from typing import Any

import kubernetes_validate
import pytest
import yaml

from datacosmos.settings import Settings
from tests.deployment import KUBERNETES, NEEDS, SECRETS, SETTINGS, manifests, of_kind, parse_env

DEPLOYMENTS = of_kind("Deployment")
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
CONFIG = parse_env((KUBERNETES / "settings.env").read_text())


def container(name: str) -> dict[str, Any]:
    (only,) = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("document", manifests(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_each_object_is_valid_by_the_schema_of_its_kind(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_kustomize_takes_up_every_file() -> None:
    files = {file.name for file in KUBERNETES.iterdir()} - {"README.md", "kustomization.yaml", "settings.env"}
    assert set(KUSTOMIZATION["resources"]) == files
    assert KUSTOMIZATION["configMapGenerator"] == [{"name": "datacosmos", "envs": ["settings.env"]}]


def test_all_goes_into_the_namespace_that_is_made() -> None:
    assert list(of_kind("Namespace")) == [KUSTOMIZATION["namespace"]]


def test_no_secret_is_here_but_by_reference() -> None:
    assert not of_kind("Secret")
    assert not CONFIG.keys() & SECRETS
    for name in DEPLOYMENTS:
        sources = {variable["name"]: variable.get("valueFrom") for variable in container(name)["env"]}
        needed = {f"DATACOSMOS_{secret.upper()}" for secret in NEEDS[name]}
        assert sources.keys() & SECRETS == needed
        assert all(sources[secret]["secretKeyRef"]["name"] == "datacosmos" for secret in needed)


def test_the_readme_makes_the_secret_with_every_key_that_is_asked_for() -> None:
    readme = (KUBERNETES / "README.md").read_text()
    for name in DEPLOYMENTS:
        for variable in container(name)["env"]:
            if "valueFrom" in variable:
                assert f"--from-file={variable['valueFrom']['secretKeyRef']['key']}=" in readme


def test_every_setting_exists_and_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {variable["name"] for name in DEPLOYMENTS for variable in container(name)["env"]} | CONFIG.keys()
    assert {name for name in named if name.startswith("DATACOSMOS_")} <= SETTINGS
    for name, value in CONFIG.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)  # pyright: ignore[reportCallIssue]
    assert settings.host == "0.0.0.0"
    (port,) = of_kind("Service")["calculation"]["spec"]["ports"]
    assert settings.calculation_url == f"http://calculation:{port['port']}"


@pytest.mark.parametrize(
    ("name", "setting"),
    [("api", "PORT"), ("calculation", "CALCULATION_PORT"), *[(n, "HEALTH_PORT") for n in ("ingest", "write")]],
)
def test_each_is_probed_where_it_listens(name: str, setting: str) -> None:
    (port,) = container(name)["ports"]
    assert str(port["containerPort"]) == CONFIG[f"DATACOSMOS_{setting}"]
    ready = "/health" if setting == "HEALTH_PORT" else "/health/ready"
    paths = {"livenessProbe": "/health/live", "startupProbe": "/health/live", "readinessProbe": ready}
    for probe, path in paths.items():
        assert container(name)[probe]["httpGet"] == {"path": path, "port": port["name"]}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_stop_waits_longer_than_open_requests_may_take(name: str) -> None:
    before = container(name).get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})
    pause = int(before["exec"]["command"][1])
    seconds = DEPLOYMENTS[name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert seconds >= pause + Settings.model_fields["stop_grace"].default.total_seconds() + 10


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_runs_with_no_right_that_it_does_not_need(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_asks_for_what_it_needs_and_is_bounded(name: str) -> None:
    resources = container(name)["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


def test_there_is_exactly_one_poller_also_while_it_is_replaced() -> None:
    spec = DEPLOYMENTS["ingest"]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_api_finds_every_replica_of_the_calculation_service_by_its_name() -> None:
    assert of_kind("Service")["calculation"]["spec"]["clusterIP"] == "None"


def test_what_is_scaled_by_load_leaves_its_number_to_the_autoscaler() -> None:
    scalers = of_kind("HorizontalPodAutoscaler")
    assert scalers.keys() == {"api", "calculation"}
    for name, scaler in scalers.items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert scaler["spec"]["minReplicas"] >= 2
        assert "replicas" not in DEPLOYMENTS[name]["spec"]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_every_selector_finds_pods(kind: str) -> None:
    for name, found in of_kind(kind).items():
        selector = found["spec"]["selector"]
        labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
        assert (selector.get("matchLabels") or selector).items() <= labels.items()


def test_the_connections_of_the_ingress_are_not_counted_as_one_clients() -> None:
    assert "10.0.0.0/8" in CONFIG["DATACOSMOS_PROXIES"].split(",")


def test_probes_which_ask_by_the_address_of_a_pod_are_answered() -> None:
    assert CONFIG["DATACOSMOS_ALLOWED_HOSTS"] == "*"


def test_the_ingress_of_the_readme_is_valid_and_cuts_no_stream_between_two_heartbeats() -> None:
    _, _, example = (KUBERNETES / "README.md").read_text().partition("    apiVersion: networking.k8s.io/v1\n")
    text = "apiVersion: networking.k8s.io/v1\n" + textwrap.dedent(example.partition("\n\n")[0])
    ingress = yaml.safe_load(text)
    kubernetes_validate.validate(ingress, kubernetes_validate.latest_version(), strict=True)
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > 3 * 15
