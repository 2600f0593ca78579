"""Secrets that are given as files: `X_FILE` names the file that holds the value of the variable `X`.

Docker, Kubernetes and systemd hand secrets to a process this way, so that they are in no environment that a
crash report or `docker inspect` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from securetag.errors import SettingsError

SUFFIX = "_FILE"


def read_secret_files(variables: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return variable → content of its file, without the last newline, for each that is given as a file.

    An empty variable counts as not given. Raises SettingsError where a variable is given both ways, or its
    file can't be read or holds nothing.
    """
    given = {name.upper(): (name, value) for name, value in environment.items() if value}
    secrets: dict[str, str] = {}
    for variable in variables:
        if variable + SUFFIX not in given:
            continue
        name, path = given[variable + SUFFIX]
        if variable in given:
            raise SettingsError(f"{variable} and {name} are both set", hint="Set one of them.")
        secrets[variable] = _read(name, Path(path))
    return secrets


def _read(variable: str, path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(
            f"{variable}: {path} can't be read: {error.strerror}",
            hint="Name a file that holds the secret and that this user may read.",
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{variable}: {path} is not UTF-8 text", hint="Write the secret as text, on one line."
        ) from error
    if not value.strip():
        raise SettingsError(f"{variable}: {path} is empty", hint="Write the secret into it.")
    return value
