"""Runs and steps on Kubernetes: what deploy/kubernetes renders, checked by the Kubernetes client's models.

Those are generated from Kubernetes' OpenAPI description and refuse fields that it doesn't have. No cluster
has run any of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from securetag.errors import SettingsError
from securetag.orchestration.executors import choose_executor
from securetag.orchestration.instance import prepare
from securetag.settings import Settings, get_settings

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "dagster.yaml"
#: A cluster that nobody asks.
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
}


def render(config: dict[str, Any], folder: Path, run_id: str) -> dict[str, Any]:
    """Return the Job that the run launcher would send for a run of `refresh_sources`."""
    dagster_k8s = pytest.importorskip("dagster_k8s", reason="the extra `kubernetes` isn't installed")
    from dagster._core.storage.dagster_run import DagsterRun
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(KUBECONFIG))
    from dagster._config import process_config

    processed = process_config(
        dagster_k8s.K8sRunLauncher.config_type(),
        {**config, "load_incluster_config": False, "kubeconfig_file": str(kubeconfig)},
    )
    assert processed.success, processed.errors
    launcher = dagster_k8s.K8sRunLauncher.from_config_value(None, processed.value)
    run = DagsterRun(job_name="refresh_sources", run_id=run_id)
    context = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(job_image=None, run_launcher=launcher),
        args=["dagster", "api", "execute_run"],
        job_name=f"dagster-run-{run_id}",
        user_defined_k8s_config=context.run_k8s_config,
        component="run_worker",
    )
    rendered: dict[str, Any] = ApiClient().sanitize_for_serialization(job)
    return rendered


def read_launcher() -> dict[str, Any]:
    launcher = yaml.safe_load(FILE.read_text())["run_launcher"]
    assert (launcher["module"], launcher["class"]) == ("dagster_k8s", "K8sRunLauncher")
    config: dict[str, Any] = launcher["config"]
    return config


def test_a_run_is_rendered_as_a_job_that_kubernetes_has_all_fields_of(tmp_path: Path) -> None:
    job = render(read_launcher(), tmp_path, "5e1f")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "securetag/dagster:0.1.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["data"] == "/var/lib/securetag-data"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts.keys() <= volumes.keys()
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "securetag-data"}
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["SECURETAG_DATA"] == "/var/lib/securetag-data"
    assert environment["SECURETAG_DAGSTER_EXECUTOR"] == "kubernetes"
    assert {"secretRef": {"name": "securetag-dagster"}} in container["envFrom"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_a_field_that_kubernetes_does_not_have_is_refused(tmp_path: Path) -> None:
    config = read_launcher()
    config["run_k8s_config"]["pod_spec_config"]["serviceAcountName"] = "typo"
    with pytest.raises(Exception, match="serviceAcountName"):
        render(config, tmp_path, "5e1f")


def test_each_step_is_a_job_by_setting() -> None:
    pytest.importorskip("dagster_k8s", reason="the extra `kubernetes` isn't installed")
    executor = choose_executor(Settings(dagster_executor="kubernetes"))
    assert executor.name == "k8s"
    assert choose_executor(Settings()) is dg.in_process_executor


def test_the_file_replaces_keys_of_dagsters_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_DAGSTER_EXECUTOR", "kubernetes")
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="SQLite"):
        prepare(get_settings())
    monkeypatch.setenv("SECURETAG_DAGSTER_CONFIG", str(FILE))
    get_settings.cache_clear()
    written = yaml.safe_load((prepare(get_settings()) / "dagster.yaml").read_text())
    assert written["storage"]["postgres"]["postgres_url"] == {"env": "DAGSTER_POSTGRES_URL"}
    assert written["run_launcher"]["config"] == read_launcher()
    assert written["telemetry"] == {"enabled": False}
    broken = tmp_path / "broken.yaml"
    for text in ("- a list", "{"):
        broken.write_text(text)
        with pytest.raises(SettingsError, match=r"broken\.yaml"):
            prepare(get_settings().model_copy(update={"dagster_config": broken}))
