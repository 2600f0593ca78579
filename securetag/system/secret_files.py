"""Secrets that are given as files: `X_FILE` names the file that holds the value of the variable `X`.

Docker, Kubernetes and systemd hand secrets to a process this way, so that they are in no environment that a
crash report or `docker inspect` shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast, get_args

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from securetag.errors import SettingsError

SUFFIX = "_FILE"


class SecretFiles(PydanticBaseSettingsSource):
    """The secrets of a settings class that are given as files: `prefix` begins their variables."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:  # noqa: ARG002
        """Return what files give for a field of the root, its name, and that it isn't JSON."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, object]:
        places = dict(list_secrets(self.settings_cls, self._prefix))
        tree: dict[str, object] = {}
        for variable, value in read_secret_files(places, os.environ).items():
            *sections, name = places[variable]
            branch: dict[str, object] = tree
            for section in sections:
                branch = cast(dict[str, object], branch.setdefault(section, {}))
            branch[name] = value
        return tree


def list_secrets(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the variable of every secret, with the names of its sections and field."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for variable, path in list_secrets(field.annotation, f"{prefix}{name.upper()}__"):
                yield variable, (name, *path)
        elif SecretStr in (field.annotation, *get_args(field.annotation)):
            if isinstance(field.validation_alias, AliasChoices):
                # By the name that pydantic looks at first, which the environment's empty one would take.
                variable = str(field.validation_alias.choices[0])
                yield variable, (variable,)
            else:
                yield prefix + name.upper(), (name,)


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
