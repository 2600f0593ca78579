"""Which GPU is rented, and whether it may be: stock, the price ceiling and the month's budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from securetag.cloud import GpuType, RunPod
from securetag.errors import LimitError, SecuretagError, TrainingError
from securetag.settings import Settings
from securetag.settings.sections import CloudSettings
from securetag.training.recipe import Recipe

_STOCK = ("HIGH", "MEDIUM", "LOW")


@dataclass(frozen=True)
class Offer:
    """A kind of GPU that is in stock."""

    gpu: str
    count: int
    #: USD an hour for all of them.
    price: float
    stock: str


def list_offers(api: RunPod, recipe: Recipe, cloud: CloudSettings) -> list[Offer]:
    """Return what fits the recipe, is in stock and isn't too dear; the cheapest first, then the best stock.

    Raises TrainingError that names stock and price of each kind where there is none.
    """
    kinds = {gpu.id: gpu for gpu in api.list_gpus(recipe.gpus, cloud.gpu_cloud)}
    offers, refused = [], []
    for name in recipe.gpu_types:
        kind = kinds.get(name)
        if kind is None:
            refused.append(f"{name}: not offered")
            continue
        price, stock = read_price(kind, cloud), kind.availability or "NONE"
        if stock not in _STOCK:
            refused.append(f"{name}: out of stock at ${price:.2f} an hour")
        elif price > cloud.training_price:
            refused.append(f"{name}: ${price:.2f} an hour, stock {stock}")
        else:
            offers.append(Offer(name, recipe.gpus, price * recipe.gpus, stock))
    if not offers:
        raise TrainingError(
            f"RunPod has no GPU for {recipe.name} in {cloud.gpu_cloud} at up to "
            f"${cloud.training_price:.2f} an hour ({'; '.join(refused)})",
            hint="Wait, raise SECURETAG_CLOUD__TRAINING_PRICE, set SECURETAG_CLOUD__GPU_CLOUD, or give "
            "the recipe other gpu_types.",
        )
    return sorted(offers, key=lambda offer: (offer.price, _STOCK.index(offer.stock)))


def read_prices(recipe: Recipe, settings: Settings) -> dict[str, tuple[float, str]] | None:
    """Return USD an hour and stock by kind of GPU; None where RunPod isn't reached or no key is set."""
    if settings.runpod_api_key is None:
        return None
    api = RunPod(settings.cloud.runpod_url, settings.runpod_api_key.get_secret_value())
    try:
        kinds = api.list_gpus(recipe.gpus, settings.cloud.gpu_cloud)
    except SecuretagError:
        return None
    finally:
        api.close()
    return {kind.id: (read_price(kind, settings.cloud), kind.availability or "NONE") for kind in kinds}


def read_price(kind: GpuType, cloud: CloudSettings) -> float:
    """Return the USD an hour of one GPU in the settings' tier."""
    return kind.price.secure if cloud.gpu_cloud == "SECURE" else kind.price.community


def check_budget(api: RunPod, offer: Offer, hours: float, cloud: CloudSettings, now: float) -> None:
    """Raise LimitError where the run, at its longest, would take the month's pods over the budget."""
    moment = datetime.fromtimestamp(now, UTC)
    spent = api.measure_spending(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    most = offer.price * hours
    if spent + most > cloud.monthly_budget:
        raise LimitError(
            f"{offer.count} x {offer.gpu} for at most {hours:.1f} h costs up to ${most:.2f}; with "
            f"${spent:.2f} of this month that is over the budget of ${cloud.monthly_budget:.2f}",
            hint="Set a shorter time limit, or raise SECURETAG_CLOUD__MONTHLY_BUDGET.",
        )
