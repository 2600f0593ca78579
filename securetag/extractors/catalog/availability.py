"""Which fetch methods of a source work under the settings: nothing is fetched to find out."""

from __future__ import annotations

from pathlib import Path

import msgspec

from securetag.extractors.catalog.loading import load
from securetag.extractors.catalog.mirror_manifest import MirrorManifest
from securetag.extractors.catalog.source import FetchMethod, PackageMethod, Source
from securetag.settings import Settings
from securetag.system import extras

#: Methods that ask a server.
NETWORK_METHODS: frozenset[FetchMethod] = frozenset({"network", "web", "published"})


class Availability(msgspec.Struct, frozen=True):
    """The fetch methods that work for a source, or the reason why none does. True where one works."""

    methods: list[FetchMethod]
    reason: str

    def __bool__(self) -> bool:
        return bool(self.methods)

    @property
    def is_local(self) -> bool:
        """Whether the first method works without the network."""
        return bool(self.methods) and self.methods[0] not in NETWORK_METHODS


def check_availability(source: Source, settings: Settings) -> Availability:
    """Return the methods by which `source` can be fetched now, best first, or why there is none."""
    methods: list[FetchMethod] = []
    reasons: list[str] = []
    for method in source.methods:
        if reason := _find_obstacle(method, source, settings):
            reasons.append(reason)
        else:
            methods.append(method)
    return Availability(methods, "" if methods else "; ".join(dict.fromkeys(reasons)))


def _find_obstacle(method: FetchMethod, source: Source, settings: Settings) -> str:
    """Return why a method doesn't work; empty where it works."""
    mode = settings.fetch.mode
    needed_mode = "network" if method in NETWORK_METHODS else method
    if mode not in ("auto", needed_mode) and method not in ("folder", "records"):
        return f"fetch.mode is {mode}"
    if method == "package" and source.package and not find_package_file(source.package):
        return f"the package {source.package.name} is not installed"
    if method == "mirror" and settings.mirror is None:
        return "SECURETAG_MIRROR is not set"
    if method == "mirror" and settings.mirror:
        if not MirrorManifest.load(settings.mirror).select(source.mirror):
            return "the mirror does not hold it"
    elif method == "folder" and source.folder and not Path(source.folder.path).is_dir():
        return f"there is no folder {source.folder.path}"
    elif method == "records" and not any(is_usable(row, settings) for row in get_parts(source, settings)):
        return f"none of {', '.join(source.records)} can be had"
    return ""


def is_usable(source: Source, settings: Settings) -> bool:
    """Whether a build takes `source` unasked: available, and locally unless the mode is `network`."""
    availability = check_availability(source, settings)
    return bool(availability) and (availability.is_local or settings.fetch.mode == "network")


def get_parts(source: Source, settings: Settings) -> list[Source]:
    """Return the rows whose Records `source` is made of, usable or not."""
    rows = load(settings.catalog)
    return [rows[name] for name in source.records]


def find_package_file(method: PackageMethod) -> Path | None:
    """Return the path of the package's data without importing it; None where it isn't installed."""
    return extras.find_package_file(method.name, method.file)
