"""Take a body from the network into a private temporary file, counted and hashed while it streams.

Nothing is spooled before the cap is checked, and the file is gone when the `with` block ends, error
or not. What a killed process leaves behind is removed by `sweep` at the next start.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO

from securetag.api.multipart import (
    BaseTarget,
    ParseFailedException,
    StreamingFormDataParser,
    UnexpectedPartException,
)
from securetag.errors import InputError, LimitError
from securetag.system.files import make_private_folder

_PREFIX = "incoming-"
CHUNK = 1 << 20
#: Seconds after which a temporary file belongs to no upload that still runs.
STALE_S = 3600
#: Bytes of one form field beside the file.
MAX_FIELD = 256 * 1024
_FORM_HINT = "Send multipart/form-data with the parts `file`, `project` and, if wanted, `params`."


class Incoming:
    """A temporary file that fills: at most `limit` bytes."""

    def __init__(self, path: Path, handle: IO[bytes], limit: int) -> None:
        self.path = path
        self.limit = limit
        self.size = 0
        self._handle = handle
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Raises LimitError before a byte over the limit is written."""
        self.size += len(chunk)
        if self.size > self.limit:
            raise LimitError(
                f"the file has more than {self.limit:,} bytes",
                hint="Leave out dependencies and build output, or have the operator raise the limit.",
            )
        self._digest.update(chunk)
        # On the event loop on purpose: a page-cache write of 64 KiB costs less than a thread's hand-over.
        self._handle.write(chunk)

    def flush(self) -> None:
        """Before somebody else reads `path`."""
        self._handle.flush()

    @property
    def sha256(self) -> str:
        """64 hex digits, of what was written so far."""
        return self._digest.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """The bytes again."""
        with self.path.open("rb") as again:
            while piece := again.read(CHUNK):
                yield piece


@contextmanager
def incoming(folder: Path, limit: int) -> Iterator[Incoming]:
    """A private (0600) temporary file below `folder`, removed at the end."""
    make_private_folder(folder)
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield Incoming(path, handle, limit)
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> int:
    """Remove what killed processes left; returns how many. Another replica's fresh files stay."""
    removed = 0
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed


async def receive_raw(stream: AsyncIterator[bytes], into: Incoming) -> None:
    """A whole body, as it is. Raises LimitError."""
    async for chunk in stream:
        into.write(chunk)
    into.flush()


class _FilePart(BaseTarget):  # type: ignore[misc]  # the library is untyped
    """A file of the form, given at most once."""

    def __init__(self, name: str, into: Incoming) -> None:
        super().__init__()
        self.name = name
        self.into = into
        self.parts = 0
        self.complete = False

    def on_start(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise InputError(f"the form has more than one `{self.name}`", hint=_FORM_HINT)

    def on_data_received(self, chunk: bytes) -> None:
        self.into.write(chunk)

    def on_finish(self) -> None:
        self.complete = True


class _FieldPart(BaseTarget):  # type: ignore[misc]
    """A short text field, given at most once."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.parts = 0
        self.data = bytearray()

    def on_start(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise InputError(f"the form has more than one `{self.name}`", hint=_FORM_HINT)

    def on_data_received(self, chunk: bytes) -> None:
        if len(self.data) + len(chunk) > MAX_FIELD:
            raise LimitError(f"the field `{self.name}` has more than {MAX_FIELD:,} bytes", hint=_FORM_HINT)
        self.data += chunk

    @property
    def text(self) -> str | None:
        """None where the form doesn't have the field. Raises InputError."""
        if not self.parts:
            return None
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"the field `{self.name}` is not UTF-8", hint=_FORM_HINT) from error


async def receive_form(
    stream: AsyncIterator[bytes],
    headers: Mapping[str, str],
    fields: tuple[str, ...],
    into: Incoming,
    others: Mapping[str, Incoming] = MappingProxyType({}),
) -> tuple[str, dict[str, str]]:
    """A multipart form of one `file` and text `fields`: the file's name and the fields that were given.

    `others` are files by the name of their part, which may be left out: nothing is written then.
    Raises InputError (no such form, cut off, unknown or doubled parts) and LimitError.
    """
    file, texts = _FilePart("file", into), {name: _FieldPart(name) for name in fields}
    optional = [_FilePart(name, other) for name, other in others.items()]
    try:
        parser = StreamingFormDataParser(
            headers={"Content-Type": headers.get("content-type", "")}, strict=True
        )
        parser.register("file", file)
        for part in optional:
            parser.register(part.name, part)
        for name, target in texts.items():
            parser.register(name, target)
        async for chunk in stream:
            parser.data_received(chunk)
    except UnexpectedPartException as error:
        raise InputError("the form has a part that isn't known here", hint=_FORM_HINT) from error
    except (ParseFailedException, UnicodeError) as error:
        raise InputError("the body is not a multipart form", hint=_FORM_HINT) from error
    if not file.parts:
        raise InputError("the form has no part `file`", hint=_FORM_HINT)
    if not file.complete or any(part.parts and not part.complete for part in optional):
        raise InputError("the form is cut off", hint="Send the whole body again.")
    for received in (into, *others.values()):
        received.flush()
    given = {name: text for name, target in texts.items() if (text := target.text) is not None}
    return shown_name(file.multipart_filename), given


def shown_name(name: str | None) -> str:
    """A stranger's file name made fit to be shown: no folder, no control characters, 200 characters."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    clean = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C")
    return clean.strip()[:200] or "upload.zip"
