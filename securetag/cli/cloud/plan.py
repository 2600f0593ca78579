"""What a deployment would create, under which names, and what that costs at list prices."""

from __future__ import annotations

import re
from dataclasses import dataclass

from securetag.cloud import DigitalOcean, RunPod
from securetag.errors import InputError, LimitError, SettingsError
from securetag.settings import Settings
from securetag.settings.sections import CloudSettings

#: Hours of a month, as clouds count them.
HOURS_PER_MONTH = 730
#: Name and tag of everything that we rent.
PREFIX = "securetag"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Item:
    """One thing that is rented, with its price in USD."""

    what: str
    per_hour: float
    per_month: float
    note: str = ""


@dataclass(frozen=True)
class Clouds:
    """The clients of both clouds."""

    digitalocean: DigitalOcean
    runpod: RunPod

    def close(self) -> None:
        """Close their connections."""
        self.digitalocean.close()
        self.runpod.close()


def connect(settings: Settings) -> Clouds:
    """Return the clients that the settings name. Raises SettingsError without a token."""
    secrets = {"DIGITALOCEAN_TOKEN": settings.digitalocean_token, "RUNPOD_API_KEY": settings.runpod_api_key}
    tokens = {name: secret.get_secret_value() if secret else "" for name, secret in secrets.items()}
    if missing := [name for name, token in tokens.items() if not token]:
        raise SettingsError(
            f"{' and '.join(missing)} is not set", hint="Make a token in the provider's console and set it."
        )
    return Clouds(
        DigitalOcean(settings.cloud.digitalocean_url, tokens["DIGITALOCEAN_TOKEN"]),
        RunPod(settings.cloud.runpod_url, tokens["RUNPOD_API_KEY"]),
    )


def resource_name(name: str) -> str:
    """Return the name of a deployment's resources. Raises InputError for one that is no host name."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name: use lower-case letters, digits and dashes, at most 40")
    return f"{PREFIX}-{name}"


def price(clouds: Clouds, cloud: CloudSettings) -> list[Item]:
    """Return what would be rented, at the clouds' list prices of now. Raises InputError for unknown kinds."""
    size = clouds.digitalocean.size(cloud.droplet_size, cloud.droplet_region)
    droplet = Item(
        f"DigitalOcean droplet {size.slug} in {cloud.droplet_region}",
        size.price_hourly,
        size.price_monthly,
        f"{size.vcpus} vCPU, {size.memory // 1024} GB",
    )
    if cloud.model == "pod":
        gpu = clouds.runpod.gpu(cloud.gpu)
        hourly = gpu.price.secure if cloud.gpu_cloud == "SECURE" else gpu.price.community
        model = Item(f"RunPod pod with {gpu.id}", hourly, hourly * HOURS_PER_MONTH, f"{gpu.memory} GB")
    else:
        hourly = clouds.runpod.pool_price(cloud.gpu_pool) * cloud.max_workers
        note = f"at most {cloud.max_workers} workers busy all the time, at least {cloud.min_workers}"
        model = Item(f"RunPod serverless {cloud.gpu_pool}", hourly, hourly * HOURS_PER_MONTH, note)
    return [model, droplet]


def check_budget(items: list[Item], cloud: CloudSettings) -> None:
    """Raise LimitError where the items together cost more than the settings allow."""
    per_hour, per_month = sum(item.per_hour for item in items), sum(item.per_month for item in items)
    if per_hour > cloud.max_price_per_hour:
        raise LimitError(
            f"${per_hour:.2f} an hour is more than the ceiling of ${cloud.max_price_per_hour:.2f}",
            hint="Choose smaller machines, or raise SECURETAG_CLOUD__MAX_PRICE_PER_HOUR.",
        )
    if per_month > cloud.monthly_budget:
        raise LimitError(
            f"${per_month:.2f} a month is more than the budget of ${cloud.monthly_budget:.2f}",
            hint="Choose smaller machines, or raise SECURETAG_CLOUD__MONTHLY_BUDGET.",
        )


def check_settings(cloud: CloudSettings) -> None:
    """Raise SettingsError where a setting is missing without which the deployment can't be made."""
    needed: dict[str, object] = {"SOURCE": cloud.source}
    if cloud.model == "pod":
        needed["POD_IMAGE"] = cloud.pod_image
    else:
        needed |= {"HUB_MODEL": cloud.hub_model, "ENDPOINT_KEY": cloud.endpoint_key}
    missing = [f"SECURETAG_CLOUD__{name}" for name, value in needed.items() if not value]
    if missing:
        raise SettingsError(f"{' and '.join(missing)} is not set", hint="docs/serving.md says what it is.")
