"""Mask what a scanner has written, before it is stored: reports quote the code, and the secrets in it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from securetag.scanning.secrets.detect import MAX_LINE, TELLING
from securetag.scanning.secrets.mask import mask, mask_quoted
from securetag.scrubbing.scrub import MASK

#: Bytes of an output beyond which it isn't read; the worker stores less than that of one.
MAX_OUTPUT = 64 * 1024 * 1024
#: Fields of reports that hold code: of SARIF, then of the reports of Semgrep and Bandit.
_CODE = frozenset(
    {"snippet", "contextRegion", "rendered", "contents", "fixes"}
    | {"lines", "metavars", "dataflow_trace", "fix", "rendered_fix", "fixed_lines", "spans", "code"}
)
#: Of prose, which may quote code.
_MESSAGES = frozenset({"message", "long_msg", "short_msg", "issue_text"})
#: As what a text is read that is no file of a project: settings without quotes count in it.
_AS_SETTINGS = ".env"
#: What a tool prints of a setting.
_PRINTED = re.compile(
    rf"(?P<before>{TELLING}[\w-]*[\"']?\s?[=:]\s?[\"']?)(?P<value>[^\s\"']{{6,}})", re.IGNORECASE
)


def mask_file(path: Path) -> None:
    """Mask a file that a scanner has written, in its place."""
    size = path.stat().st_size
    if size > MAX_OUTPUT:
        path.write_text(f"not stored: {size:,} bytes\n", encoding="utf-8")
    elif size:
        path.write_bytes(mask_output(path.read_bytes()))


def mask_output(content: bytes) -> bytes:
    """Return a scanner's output without secrets.

    A report in JSON, or in a line of JSON for each entry, loses the code in it and what its messages quote.
    Anything else is masked as a text, and loses lines of more than MAX_LINE characters.
    """
    text = content.decode("utf-8", errors="replace")
    try:
        return msgspec.json.encode(_mask_part(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        parts = msgspec.json.Decoder().decode_lines(text)
        return msgspec.json.Encoder().encode_lines([_mask_part(part) for part in parts])
    except (msgspec.DecodeError, RecursionError):
        return mask_text(text).encode()


def mask_text(text: str) -> str:
    """Return what a tool has printed, such as the last line of its stderr, without secrets."""
    lines = (
        line if len(line) <= MAX_LINE else f"[a line of {len(line):,} characters]"
        for line in text.split("\n")
    )
    masked = mask("\n".join(lines), _AS_SETTINGS)
    return _PRINTED.sub(lambda match: match["before"] + MASK, masked)


def _mask_part(part: object) -> object:
    """Mask every text in a document, in its place."""
    if not isinstance(part, dict | list):
        return _mask_value(part)
    waiting: list[object] = [part]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            for name in _CODE & inner.keys():
                del inner[name]
            for name, value in inner.items():
                inner[name] = _mask_message(value) if name in _MESSAGES else _mask_value(value)
            waiting += inner.values()
        elif isinstance(inner, list):
            inner[:] = [_mask_value(value) for value in inner]
            waiting += inner
    return part


def _mask_value(value: object) -> object:
    return mask(value, _AS_SETTINGS) if isinstance(value, str) else value


def _mask_message(value: object) -> object:
    """Mask a message: a text, of which code may be the lines behind the first, or SARIF's object."""
    if isinstance(value, str):
        return mask_text(mask_quoted(value.partition("\n")[0]))
    if isinstance(value, dict):
        for name in ("text", "markdown"):
            if isinstance(value.get(name), str):
                value[name] = _mask_message(value[name])
        value.pop("arguments", None)
    return value
