"""Which models exist here and which alias means which: `registry.json` in the models folder.

Every change takes a lock and replaces the file, so that a reader (the runtime polls it) sees the
state before or after and nothing between. Models are never changed; an alias is a stack: publish
pushes, rollback pops, and `log` keeps both for ever.

::

    {"schema": 1,
     "models": {"<model_id>": {…ModelEntry…}},
     "served": {"ollama:<digest that the server shows>": "<model_id>"},
     "aliases": {"securetag-v1": {"stack": ["<id>", "<id>"], "log": [{"at", "action", "model_id"}]}}}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from securetag.calibration import Calibration
from securetag.errors import ConflictError, InputError, NotFoundError
from securetag.records import Gate
from securetag.system.clock import utc_timestamp
from securetag.system.files import write_atomic
from securetag.system.locks import FileLock

FILE = "registry.json"
LIST_HINT = "`securetag model list` names models and aliases."
#: A public name has a namespace before it: `acme/Llama-3.1-Securetag-v1`.
_ALIAS = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,79}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_ID = re.compile(r"[0-9a-f]{64}")
#: What comes before the sha256 of a file, and before an Ollama server's digest of a model.
FILE_DIGEST = "file:"
OLLAMA_DIGEST = "ollama:"
_STRICTNESS: tuple[Gate, ...] = ("none", "demo", "production")
T = TypeVar("T")


class GatePass(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that a model has passed, and on what."""

    gate: Gate
    #: The release whose held-out rows decided.
    release: str
    #: The model that it was compared with.
    base_id: str
    #: RFC 3339 in UTC.
    at: str


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far the served file is from the adapter that was trained: one receipt, of one file."""

    #: The file that was asked.
    file_sha256: str
    #: The release whose held-out rows were asked, and how many of them.
    release: str
    rows: int
    #: Rows without a score from one of the three.
    unscored: int
    #: Verdicts that differ: adapter against merged model, and adapter against served file.
    flips_merged: int
    flips_served: int
    #: Largest difference of the probability of a false positive, likewise.
    shift_merged: float
    shift_served: float
    #: RFC 3339 in UTC.
    at: str


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model file and what it was made from."""

    #: 64 hex digits, see `securetag.serving.gguf.model_id`.
    model_id: str
    #: Relative to the models folder, or absolute where the file is elsewhere.
    path: str
    file_sha256: str
    #: Name of the base model.
    base: str
    quantisation: str
    #: SPDX expression of the weights.
    licence: str
    #: Digest of the adapter's weights; None for a base model.
    adapter: str | None = None
    converter: str | None = None
    #: Digest of the release that it was trained on.
    release: str | None = None
    #: Name of the training run.
    run: str | None = None
    #: RFC 3339 in UTC; set by `Registry.add`.
    created_at: str = ""
    #: Ids of the erasures that took rows out of later releases which this model was trained on.
    erasures: list[str] = []
    #: The strictest gate that it has passed; None before it is published.
    gate_pass: GatePass | None = None
    #: How its scores are read; None: its verdicts are its own word.
    calibration: Calibration | None = None
    #: The newest comparison of the file with its adapter; None before one was made.
    parity: Parity | None = None


class AliasChange(msgspec.Struct, frozen=True, kw_only=True):
    """One publish or rollback: what the alias meant afterwards."""

    at: str
    action: Literal["publish", "rollback"]
    model_id: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias means now (the stack's top) and meant before."""

    stack: list[str]
    log: list[AliasChange]

    @property
    def current(self) -> str:
        return self.stack[-1]


class _State(msgspec.Struct, kw_only=True):
    schema: Literal[1] = 1
    models: dict[str, ModelEntry] = {}
    #: Digest under which a server shows what was published there → model_id.
    served: dict[str, str] = {}
    aliases: dict[str, Alias] = {}


class Registry:
    """The registry of one models folder."""

    def __init__(self, models_dir: Path, *, file: Path | None = None) -> None:
        """Open the registry of `models_dir`, or a copy of it in `file`."""
        self.models_dir = models_dir
        self._file = file or models_dir / FILE

    def add(self, entry: ModelEntry) -> ModelEntry:
        """List a model; adding the same one again changes nothing.

        Raises InputError for an id that is none, NotFoundError when the file isn't there, and
        ConflictError when the id is taken by other bytes.
        """
        if not _ID.fullmatch(entry.model_id):
            raise InputError(f"{entry.model_id!r} is no model id (64 hex digits)")
        if not self.path(entry).is_file():
            raise NotFoundError(
                f"there is no model file at {self.path(entry)}", hint="Train and register the model again."
            )

        def change(state: _State) -> ModelEntry:
            registered = state.models.get(entry.model_id)
            if registered is not None and registered.file_sha256 != entry.file_sha256:
                raise ConflictError(
                    f"model {entry.model_id[:12]} exists with another file",
                    hint="The same inputs made other bytes: look at the converter's version.",
                )
            if registered is not None and self.path(registered).is_file():
                return registered
            state.models[entry.model_id] = msgspec.structs.replace(
                entry, created_at=utc_timestamp("milliseconds")
            )
            return state.models[entry.model_id]

        return self._change(change)

    def mark(self, model_id: str, erasure: str) -> ModelEntry:
        """Note that an erasure concerns rows that a model was trained on. Raises NotFoundError."""

        def change(state: _State) -> ModelEntry:
            registered = state.models.get(model_id)
            if registered is None:
                raise NotFoundError(f"no model {model_id[:12]} is registered", hint=LIST_HINT)
            state.models[model_id] = msgspec.structs.replace(
                registered, erasures=sorted({*registered.erasures, erasure})
            )
            return state.models[model_id]

        return self._change(change)

    def record_gate(self, model_id: str, gate_pass: GatePass) -> ModelEntry:
        """Note that a model has passed a gate; a stricter one from before stays. Raises NotFoundError."""

        def change(state: _State) -> ModelEntry:
            registered = state.models.get(model_id)
            if registered is None:
                raise NotFoundError(f"no model {model_id[:12]} is registered", hint=LIST_HINT)
            before = registered.gate_pass
            if before is None or _STRICTNESS.index(gate_pass.gate) > _STRICTNESS.index(before.gate):
                state.models[model_id] = msgspec.structs.replace(registered, gate_pass=gate_pass)
            return state.models[model_id]

        return self._change(change)

    def record_parity(self, model_id: str, parity: Parity) -> ModelEntry:
        """Keep the comparison of a model's file with its adapter. Raises NotFoundError."""

        def change(state: _State) -> ModelEntry:
            registered = state.models.get(model_id)
            if registered is None:
                raise NotFoundError(f"no model {model_id[:12]} is registered", hint=LIST_HINT)
            state.models[model_id] = msgspec.structs.replace(registered, parity=parity)
            return state.models[model_id]

        return self._change(change)

    def record_calibration(self, calibration: Calibration) -> ModelEntry:
        """Keep the calibration of a model, in place of an older one. Raises NotFoundError."""

        def change(state: _State) -> ModelEntry:
            registered = state.models.get(calibration.model_id)
            if registered is None:
                raise NotFoundError(f"no model {calibration.model_id[:12]} is registered", hint=LIST_HINT)
            state.models[calibration.model_id] = msgspec.structs.replace(registered, calibration=calibration)
            return state.models[calibration.model_id]

        return self._change(change)

    def find_calibration(self, model_id: str) -> Calibration | None:
        """Return the calibration of a model; None for one that has none or isn't registered."""
        entry = self._read().models.get(model_id)
        return entry.calibration if entry else None

    def record_served(self, digest: str, model_id: str) -> None:
        """Note under which digest a server shows a model that was published there."""
        self._change(lambda state: state.served.update({digest: model_id}))

    def find_gate(self, digest: str, model_id: str) -> Gate:
        """Return the strictest gate that the served model has passed.

        `digest` is what its server shows: `file:<sha256 of the GGUF>` for the embedded runtime, else what
        `record_served` got. A model that isn't registered under this digest has passed none.
        """
        state = self._read()
        entry = state.models.get(model_id)
        if entry is None or entry.gate_pass is None:
            return "none"
        is_published = state.served.get(digest) == model_id or digest == FILE_DIGEST + entry.file_sha256
        return entry.gate_pass.gate if is_published else "none"

    def export_gates(self) -> str:
        """Return as JSON what another machine needs for `find_gate`: models with a gate, and their digests.

        Without aliases and paths, which mean something here alone.
        """
        state = self._read()
        models = {
            model_id: msgspec.structs.replace(entry, path=Path(entry.path).name, erasures=[])
            for model_id, entry in state.models.items()
            if entry.gate_pass is not None
        }
        served = {digest: model_id for digest, model_id in state.served.items() if model_id in models}
        return msgspec.json.encode(_State(models=models, served=served)).decode()

    def publish(self, alias: str, model_id: str) -> ModelEntry:
        """Make `alias` mean `model_id`; publishing what it means already changes nothing.

        Raises InputError for a name that is no alias, NotFoundError for an unknown model.
        """
        if not _ALIAS.fullmatch(alias):
            raise InputError(f"{alias!r} is no alias: use letters, digits, dot, dash and underscore")

        def change(state: _State) -> ModelEntry:
            if model_id not in state.models:
                raise NotFoundError(f"no model {model_id[:12]} is registered", hint=LIST_HINT)
            before = state.aliases.get(alias, Alias(stack=[], log=[]))
            if not before.stack or before.current != model_id:
                state.aliases[alias] = _moved(before, [*before.stack, model_id], "publish")
            return state.models[model_id]

        return self._change(change)

    def before(self, alias: str) -> ModelEntry:
        """Return the model to which `rollback` would go. Raises as that does."""
        state = self._read()
        return state.models[_stack_before(state, alias)[-1]]

    def rollback(self, alias: str) -> ModelEntry:
        """Make `alias` mean what it meant before, passing over models that an erasure marks.

        Raises NotFoundError for an unknown alias, ConflictError when no model is left to go back to.
        """

        def change(state: _State) -> ModelEntry:
            stack = _stack_before(state, alias)
            state.aliases[alias] = _moved(state.aliases[alias], stack, "rollback")
            return state.models[stack[-1]]

        return self._change(change)

    def resolve(self, alias: str) -> ModelEntry:
        """Return the model that `alias` means now. Raises NotFoundError."""
        state = self._read()
        if alias not in state.aliases:
            raise NotFoundError(f"no alias {alias} is published", hint=LIST_HINT)
        return state.models[state.aliases[alias].current]

    def get(self, model_id: str) -> ModelEntry:
        """Return the model with this id, or with the one id that begins so. Raises NotFoundError."""
        state = self._read()
        entries = [entry for name, entry in state.models.items() if name.startswith(model_id)]
        if len(entries) != 1 or not model_id:
            raise NotFoundError(f"{len(entries)} models begin with {model_id!r}", hint=LIST_HINT)
        return entries[0]

    def list(self) -> list[ModelEntry]:
        """Return all models, oldest first."""
        return sorted(self._read().models.values(), key=lambda entry: (entry.created_at, entry.model_id))

    def aliases(self) -> dict[str, Alias]:
        """Return all aliases with their history."""
        return self._read().aliases

    def path(self, entry: ModelEntry) -> Path:
        """Return the path of the model's file."""
        return self.models_dir / entry.path  # an absolute path stays itself

    def _read(self) -> _State:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_State)
        except FileNotFoundError:
            return _State()
        except msgspec.DecodeError as error:
            raise InputError(
                f"{self._file} is no model registry: {error}",
                hint="Move it away; publishing writes a new one.",
            ) from error

    def _change(self, change: Callable[[_State], T]) -> T:
        with FileLock(self.models_dir / f".{FILE}.lock"):
            state = self._read()
            before = msgspec.json.encode(state)
            result = change(state)
            if msgspec.json.encode(state) != before:
                write_atomic(self._file, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
            return result


def _stack_before(state: _State, alias: str) -> list[str]:
    """Return an alias's stack without its top and without the marked models under that."""
    history = state.aliases.get(alias)
    if history is None:
        raise NotFoundError(f"no alias {alias} is published", hint=LIST_HINT)
    if len(history.stack) < 2:
        raise ConflictError(
            f"{alias} has never meant another model",
            hint="There is nothing to go back to; it stays as it is.",
        )
    stack = history.stack[:-1]
    while stack and (state.models[stack[-1]].erasures or stack[-1] == history.current):
        stack = stack[:-1]
    if not stack:
        raise ConflictError(
            f"every model that {alias} meant before was trained on rows that were withdrawn since",
            hint="Build a release, which leaves them out, train on that and publish.",
        )
    return stack


def _moved(history: Alias, stack: list[str], action: Literal["publish", "rollback"]) -> Alias:
    return Alias(
        stack=stack,
        log=[*history.log, AliasChange(at=utc_timestamp("milliseconds"), action=action, model_id=stack[-1])],
    )
