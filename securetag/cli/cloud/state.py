"""What this home remembers of a deployment: its secrets, its addresses, the models that were verified.

The file is written before anything is rented and after each step, as a whole. The clouds stay the truth about
what exists: resources are looked up there by their names.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import InputError
from securetag.settings import Settings
from securetag.system.files import PRIVATE, make_private_folder, write_atomic
from securetag.system.locks import FileLock


class State(msgspec.Struct, kw_only=True):
    """One deployment."""

    schema: Literal[1] = 1
    name: str
    #: Key of the model's endpoint.
    model_key: str
    #: Key of the tenant `verification`, which the droplet registers.
    api_key: str
    #: Ids of the models that passed the verification, newest last.
    verified: list[str] = []
    #: Name under which the endpoint serves the model, and where.
    alias: str = ""
    model_url: str = ""
    #: The model's address that the droplet was created with.
    droplet_model_url: str = ""
    api_url: str = ""


def path_of(name: str, settings: Settings) -> Path:
    """Return the path of a deployment's state."""
    return settings.home / "cloud" / f"{name}.json"


def lock(name: str, settings: Settings) -> FileLock:
    """Return the lock that one command holds while it changes a deployment."""
    make_private_folder(settings.home / "cloud")
    return FileLock(settings.home / "cloud" / f".{name}.lock")


def load(name: str, settings: Settings) -> State | None:
    """Return what is remembered, or None. Raises InputError for a file that isn't readable."""
    path = path_of(name, settings)
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise InputError(
            f"{path} is no deployment's state: {error}", hint="Restore it from a backup."
        ) from error


def create(name: str, settings: Settings) -> State:
    """Make and keep the state of a new deployment, with secrets of its own."""
    endpoint_key = settings.cloud.endpoint_key
    return save(
        State(
            name=name,
            model_key=endpoint_key.get_secret_value() if endpoint_key else secrets.token_urlsafe(32),
            api_key=f"stk_{secrets.token_urlsafe(9)}_{secrets.token_urlsafe(32)}",
        ),
        settings,
    )


def save(state: State, settings: Settings) -> State:
    """Keep the state, readable by this user alone."""
    encoded = msgspec.json.format(msgspec.json.encode(state), indent=2)
    write_atomic(path_of(state.name, settings), encoded + b"\n", mode=PRIVATE)
    return state
