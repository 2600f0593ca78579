"""Put a mask in the place of each secret's value, before a text is stored, shown or sent to a model.

This is the one definition of what a mask hides: what `find_secrets` reports, wherever its value stands in the
text. A caller that has the files collects their values too (`collect_values`), so that a value stays hidden
where nothing around it tells that it is one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from securetag.records import Finding, TraceStep, rewrite_slice
from securetag.scanning.evidence.families import family_of
from securetag.scanning.secrets.detect import KEY_BEGIN, KEY_END, Secret, find_secrets
from securetag.scrubbing.scrub import MASK

_QUOTED = re.compile(r"(?P<quote>[\"'`])(?P<value>(?:(?!(?P=quote))[^\\\n]|\\.){3,}?)(?P=quote)")
#: What stands behind the sign of an assignment without quotes.
_UNQUOTED = re.compile(r"^(?P<before>[^=:\n]{1,200}[=:][ \t]*)(?P<value>[^\s\"'`].*)$")
#: A line of a key: base64, perhaps in the quotes of a string.
_KEY_LINE = re.compile(r"[\s\"'+,(]*[A-Za-z0-9+/=]{8,}(?:\\n|[\s\"'+,)])*")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")
#: Characters of base64 that are hidden wherever they stand: of a shorter part there are too many like it.
_MIN_KEY_PART = 16
_LONG_KEY_LINE = re.compile(r"[\s\"'+,(]*[A-Za-z0-9+/=]{60,}(?:\\n|[\s\"'+,)])*")
#: Kinds of secrets that tell themselves what they are.
_ISSUED = frozenset({"private-key", "provider-token"})
#: Characters of a value that is hidden wherever it stands; a shorter one is a word of the code as well.
MIN_VALUE = 8
#: Bytes of a file whose values are collected, and values of one project.
_MAX_FILE, _MAX_VALUES = 2_000_000, 2_000
#: Texts of findings whose secrets are remembered: about those of fifty findings.
_MAX_TEXTS = 256


def mask(text: str, path: str, values: Collection[str] = ()) -> str:
    """Return a text of the file at `path` with a mask in place of each secret, and of each of `values`."""
    return _mask_secrets(text, find_secrets(text, path), values)


def mask_issued(text: str) -> str:
    """Return a text of any kind with a mask in place of private keys and of issued tokens."""
    return _mask_secrets(text, [secret for secret in find_secrets(text, "") if secret.kind in _ISSUED], ())


def _mask_secrets(text: str, secrets: Sequence[Secret], values: Collection[str]) -> str:
    lines = text.split("\n")
    values = {*values, *_values_of(lines, secrets)}
    for secret in reversed(secrets):
        if secret.end_line > secret.line:
            for number in range(secret.line, secret.end_line - 1):
                lines[number] = MASK
        else:
            line = lines[secret.line - 1]
            lines[secret.line - 1] = line[: secret.start] + MASK + line[secret.end :]
    return hide_values("\n".join(_mask_key_part(lines)), values)


def hide_values(text: str, values: Collection[str]) -> str:
    """Return a text with a mask in place of each value that is long enough.

    A value of letters alone is hidden as a whole string: it may be the name of something, too.
    """
    for value in sorted(values, key=lambda value: (-len(value), value)):
        if len(value) < MIN_VALUE or value not in text:
            continue
        if value.isalpha():
            text = re.sub(rf"(?<=[\"'`]){re.escape(value)}(?=[\"'`\\])", MASK, text)
        else:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", MASK, text)
    return text


def collect_values(project: Path, paths: Iterable[str]) -> frozenset[str]:
    """Return the values of the secrets in files of a project; what can't be read has none."""
    values: set[str] = set()
    for path in dict.fromkeys(paths):
        try:
            with (project / path).open("rb") as file:
                text = file.read(_MAX_FILE).decode("utf-8", errors="replace")
        except (OSError, ValueError):
            continue
        values |= _values_of(text.split("\n"), find_secrets(text, path))
        if len(values) >= _MAX_VALUES:
            break
    return frozenset(values)


def _values_of(lines: list[str], secrets: Iterable[Secret]) -> set[str]:
    values: set[str] = set()
    for secret in secrets:
        if secret.end_line == secret.line:
            values.add(lines[secret.line - 1][secret.start : secret.end])
            continue
        for line in lines[secret.line : secret.end_line - 1]:
            values |= {part for part in _BASE64.findall(line) if len(part) >= _MIN_KEY_PART}
    return {value for value in values if len(value) >= MIN_VALUE and MASK not in value}


def _mask_key_part(lines: list[str]) -> list[str]:
    """Mask the lines of a private key whose beginning or end is outside the text.

    Without either, several lines of base64 are taken for one.
    """
    begins = [at for at, line in enumerate(lines) if KEY_BEGIN.search(line)]
    ends = [at for at, line in enumerate(lines) if KEY_END.search(line)]
    masked = set[int]()
    for at in begins:
        masked |= _run(lines, range(at + 1, len(lines)), _KEY_LINE)
    for at in ends:
        masked |= _run(lines, range(at - 1, -1, -1), _KEY_LINE)
    if not begins and not ends:
        long = [_LONG_KEY_LINE.fullmatch(line) is not None for line in lines]
        for at in range(1, len(lines)):
            if long[at - 1] and _KEY_LINE.fullmatch(lines[at]):
                masked |= {at - 1, at}
    return [MASK if at in masked else line for at, line in enumerate(lines)]


def _run(lines: list[str], order: range, pattern: re.Pattern[str]) -> set[int]:
    """Return the numbers of the lines that match, up to the first that doesn't."""
    run = set()
    for at in order:
        if lines[at] != MASK and not pattern.fullmatch(lines[at]):
            break
        run.add(at)
    return run


def mask_finding(finding: Finding, values: Collection[str] = ()) -> Finding:
    """Return the finding without a secret's value in any of its texts. `values` are those of its project.

    Where the finding itself is about a secret, whatever is quoted or assigned on its lines is one.
    """
    path, first = finding.path, finding.snippet_line
    texts = (finding.snippet, "\n".join(line.text for line in finding.code_slice))
    secrets = (_values_of(code.split("\n"), _find_again(code, path)) for code in texts)
    values = {*values, *itertools.chain.from_iterable(secrets)}
    quoted: set[str] = set()
    snippet = finding.snippet
    about_secret = is_about_secret(finding.cwe)
    if about_secret:
        snippet, quoted = mask_lines(snippet, range(finding.start_line - first, finding.end_line - first + 1))
        values |= quoted

    def hide(text: str) -> str:
        for value in quoted:
            text = text.replace(value, MASK)
        return mask_text(text)

    def mask_text(text: str) -> str:
        return _mask_secrets(text, _find_again(text, path), values)

    return msgspec.structs.replace(
        finding,
        snippet=mask_text(snippet),
        title=mask_text(finding.title),
        message=hide(finding.message),
        recommendation=mask_text(finding.recommendation),
        trace=[_mask_step(step, values) for step in finding.trace],
        # Whether a secret is one is seen on its own line, which is masked.
        code_slice=[] if about_secret else rewrite_slice(finding.code_slice, hide),
    )


@lru_cache(maxsize=_MAX_TEXTS)
def _find_again(text: str, path: str) -> tuple[Secret, ...]:
    """Return `find_secrets` of a finding's text, whose function and rule have other findings, too."""
    return tuple(find_secrets(text, path))


def is_about_secret(cwe: str) -> bool:
    """Return whether a weakness is that of a secret in the code."""
    return family_of(cwe) == "secret"


def mask_lines(text: str, numbers: range) -> tuple[str, set[str]]:
    """Mask what is quoted, else assigned, on lines of a text, counted from 0; return its values too."""
    lines, values = text.split("\n"), set[str]()
    for number in numbers:
        if 0 <= number < len(lines):
            lines[number] = _mask_values(lines[number], values)
    text = "\n".join(lines)
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text, values


def _mask_values(line: str, values: set[str]) -> str:
    """Mask what is quoted, else what is assigned; add to `values` what could stand elsewhere too."""

    def hide(match: re.Match[str]) -> str:
        if len(match["value"]) >= 6:
            values.add(match["value"])
        return match["quote"] + MASK + match["quote"]

    if _QUOTED.search(line):
        # The name of a setting in quotes stays: `"password": "…"`, `os.environ.get("KEY", "…")`.
        head, tail = _after_name(line)
        return head + _QUOTED.sub(hide, tail)
    if match := _UNQUOTED.match(line):
        if len(match["value"]) >= 6:
            values.add(match["value"].strip())
        return match["before"] + MASK
    return line


def _after_name(line: str) -> tuple[str, str]:
    name = re.match(r"""^.*?["'][\w.-]{1,100}["']\s*[\]]?\s*[:,=]\s*""", line)
    return (name[0], line[name.end() :]) if name and _QUOTED.search(line, name.end()) else ("", line)


def _mask_step(step: TraceStep, values: Collection[str]) -> TraceStep:
    return msgspec.structs.replace(step, text=mask(step.text, step.path, values))


def mask_quoted(text: str) -> str:
    """Return a text without what it quotes: a tool's message quotes the code."""
    return _QUOTED.sub(lambda match: match["quote"] + MASK + match["quote"], text)
