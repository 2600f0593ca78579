"""From nothing to a verified triage, step by step; a run that ended early is gone on with by the next.

Every step looks for what it would make. Nothing is rented before the prices were compared with the limits and
the secrets were kept.
"""

from __future__ import annotations

from securetag.cli.cloud import plan, resources, state, user_data, verify
from securetag.cli.cloud.plan import Clouds
from securetag.cli.cloud.state import State
from securetag.cli.deployment.checks import Check, Report
from securetag.cli.deployment.model import SHOWN_DIGITS, check_model
from securetag.errors import ConflictError, SecuretagError, UnavailableError
from securetag.serving import ollama
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings


def deploy(
    name: str, clouds: Clouds, settings: Settings, *, patience_s: float, report: Report
) -> tuple[State, list[Check]]:
    """Make or finish a deployment that serves the model which the registry publishes now.

    Where the verification fails, the model that was verified last is served again; a deployment that never
    passed it is torn down. Raises LimitError, SettingsError, and what the clouds and the server raise.
    """
    plan.check_settings(settings.cloud)
    entry = _published(settings)
    deployment = state.load(name, settings)
    if deployment is None:
        _refuse_strangers(name, clouds)
        plan.check_budget(plan.price(clouds, settings.cloud), settings.cloud)
        deployment = state.create(name, settings)
    elif not _exists(name, clouds):
        plan.check_budget(plan.price(clouds, settings.cloud), settings.cloud)
    checks = _build(deployment, entry, clouds, settings, patience_s, report)
    if all(check.ok for check in checks):
        others = [model_id for model_id in deployment.verified if model_id != entry.model_id]
        deployment.verified = [*others, entry.model_id]
        state.save(deployment, settings)
    elif deployment.verified and settings.cloud.model == "pod":
        report("the verification failed; serving the model that was verified last")
        serve(Registry(settings.models_dir).get(deployment.verified[-1]), deployment, settings)
    elif not deployment.verified:
        report("the verification failed; tearing down what never served")
        destroy(name, clouds, settings, report)
    return deployment, checks


def rollback(name: str, settings: Settings) -> str:
    """Serve the model that was verified before the present one; return its id. Raises ConflictError."""
    deployment = state.load(name, settings)
    if deployment is None or len(deployment.verified) < 2 or settings.cloud.model != "pod":
        raise ConflictError(
            f"{name} has no earlier verified model to go back to",
            hint="`securetag cloud list` says what is rented; a serverless endpoint is deployed anew.",
        )
    earlier = deployment.verified[-2]
    serve(Registry(settings.models_dir).get(earlier), deployment, settings)
    deployment.verified = deployment.verified[:-1]
    state.save(deployment, settings)
    return earlier


def destroy(name: str, clouds: Clouds, settings: Settings, report: Report) -> int:
    """Delete the deployment's resources, then what this home remembers; return how many there were."""
    deleted = resources.destroy(clouds, name, report)
    state.path_of(name, settings).unlink(missing_ok=True)
    return deleted


def serve(entry: ModelEntry, deployment: State, settings: Settings) -> None:
    """Publish a model to the deployment's pod."""
    ollama.publish(entry, deployment.alias, endpoint_settings(deployment, settings))


def endpoint_settings(deployment: State, settings: Settings) -> Settings:
    """Return the settings that the deployment's worker has, as far as the model is concerned."""
    is_pod = settings.cloud.model == "pod"
    triage = settings.triage.model_copy(
        update={
            "backend": "ollama" if is_pod else "runtime",
            "url": None if is_pod else deployment.model_url,
            "aliases": [deployment.alias],
            "api_key": type(settings.pepper)(deployment.model_key),
        }
    )
    return settings.model_copy(update={"triage": triage, "ollama_host": deployment.model_url})


def _build(
    deployment: State,
    entry: ModelEntry,
    clouds: Clouds,
    settings: Settings,
    patience_s: float,
    report: Report,
) -> list[Check]:
    """Make what is missing, and verify it."""
    cloud = settings.cloud
    alias = settings.triage.aliases[0]
    if cloud.model == "pod":
        deployment.alias = alias
        pod = resources.ensure_pod(clouds, deployment, cloud, patience_s, report)
        deployment.model_url = cloud.pod_url.format(id=pod.id)
        state.save(deployment, settings)
        _wait_for_server(deployment, settings, patience_s, report)
        serve(entry, deployment, settings)
    else:
        # vLLM shows no id of ours, so the name carries it.
        wanted = f"{alias}-{entry.model_id[:SHOWN_DIGITS]}"
        if deployment.verified and deployment.alias != wanted:
            raise ConflictError(
                f"the endpoint of {deployment.name} serves {deployment.alias}, not {wanted}",
                hint="Set another hub revision and name at the endpoint by hand, or deploy under a new name.",
            )
        deployment.alias = wanted
        endpoint = resources.ensure_endpoint(clouds, deployment, cloud, report)
        deployment.model_url = cloud.endpoint_url.format(id=endpoint.id)
        state.save(deployment, settings)
    checks = check_model(
        endpoint_settings(deployment, settings),
        model_id=entry.model_id,
        patience_s=patience_s,
        report=report,
    )
    if not all(check.ok for check in checks):
        return checks
    gates = Registry(settings.models_dir).export_gates()
    data = user_data.render(deployment, cloud, settings.triage, gates)
    droplets = resources.find_droplets(clouds, deployment.name)
    if not droplets:
        deployment.droplet_model_url = deployment.model_url
        state.save(deployment, settings)
    droplet = resources.ensure_droplet(clouds, deployment, cloud, data, patience_s, report)
    deployment.droplet_model_url = deployment.model_url
    domain = cloud.domain or f"{str(droplet.address).replace('.', '-')}.sslip.io"
    deployment.api_url = cloud.api_url.format(domain=domain, id=droplet.id)
    state.save(deployment, settings)
    checks += verify.wait_for_api(deployment.api_url, patience_s, report)
    if all(check.ok for check in checks):
        ids = (entry.model_id, f"openai:{deployment.alias}")
        checks.append(verify.verify_triage(deployment.api_url, deployment.api_key, ids, patience_s, report))
    return checks


def _wait_for_server(deployment: State, settings: Settings, patience_s: float, report: Report) -> None:
    """Wait until the pod's Ollama answers, before a model is there. Raises UnavailableError."""
    checks = check_model(
        endpoint_settings(deployment, settings), model_id=None, patience_s=patience_s, report=report
    )
    failed = [check for check in checks if not check.ok]
    if failed and failed[0].name == "model endpoint" and failed[0].cause != "no_model":
        raise UnavailableError(failed[0].detail, hint=failed[0].hint)


def _published(settings: Settings) -> ModelEntry:
    """Return the model that the first published alias of the settings means."""
    registry = Registry(settings.models_dir)
    aliases = registry.aliases()
    for alias in settings.triage.aliases:
        if alias in aliases:
            return registry.resolve(alias)
    raise ConflictError(
        f"none of {', '.join(settings.triage.aliases)} is published here",
        hint="Train, evaluate and publish a model first; `securetag model list` shows what there is.",
    )


def _exists(name: str, clouds: Clouds) -> bool:
    return bool(
        resources.find_pods(clouds, name)
        or resources.find_endpoints(clouds, name)
        or resources.find_droplets(clouds, name)
    )


def _refuse_strangers(name: str, clouds: Clouds) -> None:
    """Raise ConflictError for resources whose secrets this home doesn't have."""
    if _exists(name, clouds):
        raise ConflictError(
            f"machines of {name} are rented already, and this home doesn't know their secrets",
            hint=f"Run it where it was deployed from, or `securetag cloud destroy {name} --yes`.",
        )


def describe_failure(checks: list[Check]) -> SecuretagError | None:
    """Return the error of the first check that failed, or None."""
    failed = next((check for check in checks if not check.ok), None)
    return UnavailableError(f"{failed.name}: {failed.detail}", hint=failed.hint) if failed else None
