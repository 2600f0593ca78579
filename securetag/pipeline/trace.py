"""From a release, example, Record, finding or model to all the others, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from securetag.datasets.releases import lineage
from securetag.datasets.releases.release import read_manifest
from securetag.errors import InputError, NotFoundError
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings

Kind = Literal["release", "model", "example", "record", "finding", "tenant", "consent"]
#: Fewer letters than this name half the database.
MIN_PREFIX = 4
#: Candidates of an ambiguous prefix that are listed.
MAX_CANDIDATES = 20


class Thing(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that can be traced."""

    kind: Kind
    id: str


class TracedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was trained on a release."""

    model_id: str
    aliases: list[str]
    #: Erasures that concern a release it was trained on.
    erasures: list[str]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What one release has to do with the traced thing."""

    release: str
    models: list[TracedModel]
    related: lineage.Related


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """An example that a build left out, and why."""

    release: str
    example: str
    reason: str


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One thing and everything that hangs together with it; without one, what may have been meant."""

    thing: Thing | None
    candidates: list[Thing] = []
    places: list[Place] = []
    left_out: list[LeftOut] = []


def trace(wanted: str, settings: Settings, *, limit: int = 20) -> Trace:
    """Where a thing comes from and where it went; at most `limit` ids of a kind, counts of all.

    `wanted` is an id, the beginning of one, or a model's alias. A prefix of several things is answered
    with candidates. Raises NotFoundError, InputError for a prefix that is too short.
    """
    wanted = wanted.strip()
    registry = Registry(settings.models_dir)
    aliases = _aliases(registry)
    if any(wanted in names for names in aliases.values()):
        wanted = registry.resolve(wanted).model_id
    wanted = wanted.lower()
    if len(wanted) < MIN_PREFIX:
        raise InputError(f"{wanted!r} is too short to name anything", hint="Give four characters or more.")
    releases = list_releases(settings)
    models = registry.list()
    left = [
        LeftOut(release=folder.name, example=example, reason=reason)
        for folder in releases
        for example, reason in lineage.find_dropped(folder, wanted, MAX_CANDIDATES)
    ]
    candidates = _candidates(wanted, releases, models)
    if len(candidates) != 1:
        if not candidates and not left:
            raise NotFoundError(
                f"no release, model, example, Record or finding begins with {wanted}",
                hint="What no release holds has no lineage; `securetag dataset list` names the releases.",
            )
        return Trace(thing=None, candidates=candidates[:MAX_CANDIDATES], left_out=left)
    (thing,) = candidates
    places = [
        Place(
            release=folder.name,
            models=[_traced(model, aliases) for model in models if _trained_on(model, folder)],
            related=related,
        )
        for folder, related in _related(thing, releases, models, limit)
    ]
    return Trace(thing=thing, places=places, left_out=[row for row in left if row.example == thing.id])


def list_releases(settings: Settings) -> list[Path]:
    """Every release of this installation."""
    return sorted(path.parent for path in settings.releases_dir.glob("[!.]*/manifest.json"))


def models_trained_on(folder: Path, settings: Settings) -> list[ModelEntry]:
    """The models that were trained on a release."""
    return [model for model in Registry(settings.models_dir).list() if _trained_on(model, folder)]


def _trained_on(model: ModelEntry, folder: Path) -> bool:
    return model.release is not None and model.release.startswith(folder.name)


def _aliases(registry: Registry) -> dict[str, list[str]]:
    aliases: dict[str, list[str]] = {}
    for alias, meaning in registry.aliases().items():
        aliases.setdefault(meaning.current, []).append(alias)
    return aliases


def _traced(model: ModelEntry, aliases: dict[str, list[str]]) -> TracedModel:
    return TracedModel(
        model_id=model.model_id, aliases=sorted(aliases.get(model.model_id, [])), erasures=model.erasures
    )


def _candidates(wanted: str, releases: list[Path], models: list[ModelEntry]) -> list[Thing]:
    candidates = {
        Thing(kind="model", id=model.model_id) for model in models if model.model_id.startswith(wanted)
    }
    for folder in releases:
        # The folder's name is the digest's beginning; the manifest is read only where that could be meant.
        if folder.name.startswith(wanted[: len(folder.name)]) and (
            len(wanted) <= len(folder.name) or read_manifest(folder).digest.startswith(wanted)
        ):
            candidates.add(Thing(kind="release", id=folder.name))
        candidates |= {
            Thing(kind=kind, id=name) for kind, name in lineage.find_ids(folder, wanted, MAX_CANDIDATES)
        }
    exact = [thing for thing in candidates if thing.id == wanted]
    return exact if len(exact) == 1 else sorted(candidates)


def _related(
    thing: Thing, releases: list[Path], models: list[ModelEntry], limit: int
) -> list[tuple[Path, lineage.Related]]:
    if thing.kind == "release":
        chosen = [folder for folder in releases if folder.name == thing.id]
    elif thing.kind == "model":
        (model,) = (model for model in models if model.model_id == thing.id)
        chosen = [folder for folder in releases if _trained_on(model, folder)]
    else:
        places = [(folder, lineage.find_related(folder, thing.kind, thing.id, limit)) for folder in releases]
        return [(folder, related) for folder, related in places if related.splits]
    return [(folder, lineage.find_related(folder, None, "", limit)) for folder in chosen]
