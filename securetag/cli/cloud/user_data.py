"""What a droplet does at its first start: it runs deploy/compose.yaml, with the rented model for its worker.

Secrets travel in the user data, which DigitalOcean's metadata service hands to any process of the droplet.
Containers are kept from it by a rule of the firewall.
"""

from __future__ import annotations

import shlex

import yaml

from securetag.cli.cloud.state import State
from securetag.records import JsonObject
from securetag.settings.sections import CloudSettings, TriageSettings

CHECKOUT = "/opt/securetag"
FOLDER = "/opt/securetag-cloud"
OVERRIDE = f"{FOLDER}/compose.cloud.yaml"
#: What a droplet runs, with whatever these depend on; datasets and training are made elsewhere.
SERVICES = "api worker proxy verification-key"
#: Name of the tenant whose key the verification uses.
TENANT = "verification"
#: The rented model is the operator's, so new tenants' code may go there.
TENANT_POLICY: JsonObject = {"SECURETAG_API__MODEL_POLICY": "operator"}


def render(state: State, cloud: CloudSettings, triage: TriageSettings, gates: str) -> str:
    """Return the user data, in cloud-init's form. `gates` is of `Registry.export_gates`."""
    command = f"docker compose -f deploy/compose.yaml -f {OVERRIDE}"
    domain = shlex.quote(cloud.domain) if cloud.domain else "$(cat /run/securetag-domain)"
    document: JsonObject = {
        "package_update": True,
        "packages": ["docker.io", "docker-compose-v2", "git"],
        "write_files": [
            _file("compose.cloud.yaml", yaml.safe_dump(_override(state, cloud, triage)), "0600"),
            # Read by the containers' user.
            _file("model_api_key", state.model_key, "0444"),
            _file("verification_key", state.api_key, "0444"),
            _file("registry.json", gates, "0444"),
        ],
        "runcmd": [
            f"chmod 711 {FOLDER}",
            "iptables -I DOCKER-USER -d 169.254.169.254 -j DROP",
            "curl -fsS http://169.254.169.254/metadata/v1/interfaces/public/0/ipv4/address"
            " | sed 's/[.]/-/g; s/$/.sslip.io/' > /run/securetag-domain",
            f"git clone --depth 1 --branch {shlex.quote(cloud.source_ref)}"
            f" {shlex.quote(cloud.source or '')} {CHECKOUT}",
            f"{CHECKOUT}/deploy/make-secrets.sh",
            f"cd {CHECKOUT} && DOMAIN={domain} {command} up --build --detach {SERVICES}",
        ],
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=1_000)


def model_environment(state: State, cloud: CloudSettings, triage: TriageSettings) -> dict[str, str]:
    """Return what a worker needs to find the rented model, but for its key."""
    address = (
        {"SECURETAG_TRIAGE__BACKEND": "ollama", "OLLAMA_HOST": state.model_url}
        if cloud.model == "pod"
        else {"SECURETAG_TRIAGE__BACKEND": "runtime", "SECURETAG_TRIAGE__URL": state.model_url}
    )
    return address | {
        "SECURETAG_TRIAGE__LOCATION": "operator",
        "SECURETAG_TRIAGE__ALIASES": f'["{state.alias}"]',
        "SECURETAG_TRIAGE__PROFILE": triage.profile,
        "SECURETAG_TRIAGE__TIMEOUT_S": str(triage.timeout_s),
    }


def _override(state: State, cloud: CloudSettings, triage: TriageSettings) -> JsonObject:
    """Return what is laid over compose.yaml: the worker's model, and the key of the verification."""
    environment = model_environment(state, cloud, triage)
    return {
        "services": {
            "api": {"environment": TENANT_POLICY},
            "worker": {
                "environment": {
                    **environment,
                    "SECURETAG_TRIAGE__API_KEY_FILE": "/run/secrets/model_api_key",
                    "SECURETAG_TRIAGE__REGISTRY": "/run/secrets/model_registry",
                },
                "secrets": ["model_api_key", "model_registry"],
                # The only way out, to the model: compose.yaml's networks of the worker have none.
                "networks": ["worker-net", "model-net"],
            },
            "verification-key": {
                "extends": {"file": f"{CHECKOUT}/deploy/compose.yaml", "service": "worker-key"},
                "command": [
                    *("securetag", "key", "register", "/run/secrets/verification_key"),
                    *("--tenant", TENANT),
                ],
                "environment": TENANT_POLICY,
                "secrets": ["verification_key"],
            },
        },
        "networks": {"model-net": {}},
        "secrets": {
            "model_api_key": {"file": f"{FOLDER}/model_api_key"},
            "verification_key": {"file": f"{FOLDER}/verification_key"},
            # No secret; compose mounts it alike.
            "model_registry": {"file": f"{FOLDER}/registry.json"},
        },
    }


def _file(name: str, content: str, permissions: str) -> JsonObject:
    return {"path": f"{FOLDER}/{name}", "content": content, "permissions": permissions}
