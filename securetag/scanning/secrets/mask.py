"""Put a mask in the place of each secret's value, before a text is stored, shown or sent to a model."""

from __future__ import annotations

import re

import msgspec

from securetag.records import Finding, TraceStep
from securetag.scanning.evidence.families import family_of
from securetag.scanning.secrets.detect import KEY_BEGIN, KEY_END, TELLING, find_secrets

#: Of one length, which says nothing of the value's.
MASK = "********"
_QUOTED = re.compile(r"(?P<quote>[\"'`])(?P<value>(?:(?!(?P=quote))[^\\\n]|\\.){3,}?)(?P=quote)")
#: What stands behind the sign of an assignment without quotes.
_UNQUOTED = re.compile(r"^(?P<before>[^=:\n]{1,200}[=:][ \t]*)(?P<value>[^\s\"'`].*)$")
#: A line of a key: base64, perhaps in the quotes of a string.
_KEY_LINE = re.compile(r"[\s\"'+,(]*[A-Za-z0-9+/=]{8,}(?:\\n|[\s\"'+,)])*")
_LONG_KEY_LINE = re.compile(r"[\s\"'+,(]*[A-Za-z0-9+/=]{60,}(?:\\n|[\s\"'+,)])*")
#: What a tool prints of a setting.
_PRINTED = re.compile(
    rf"(?P<before>{TELLING}[\w-]*[\"']?\s?[=:]\s?[\"']?)(?P<value>[^\s\"']{{6,}})", re.IGNORECASE
)


def mask(text: str, path: str) -> str:
    """Return a text of the file at `path` with a mask in place of each secret."""
    lines = text.split("\n")
    for secret in reversed(find_secrets(text, path)):
        if secret.end_line > secret.line:
            for number in range(secret.line, secret.end_line - 1):
                lines[number] = MASK
        else:
            line = lines[secret.line - 1]
            lines[secret.line - 1] = line[: secret.start] + MASK + line[secret.end :]
    return "\n".join(_mask_key_part(lines))


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


def mask_finding(finding: Finding) -> Finding:
    """Return the finding without a secret's value in its snippet, its message and its data flow.

    Where the finding itself is about a secret, whatever is quoted or assigned on its lines is one.
    """
    snippet, message = finding.snippet, finding.message
    if family_of(finding.cwe) == "secret":
        lines = snippet.split("\n")
        values: set[str] = set()
        for number in range(
            finding.start_line - finding.snippet_line, finding.end_line - finding.snippet_line + 1
        ):
            if 0 <= number < len(lines):
                lines[number] = _mask_values(lines[number], values)
        snippet = "\n".join(lines)
        for value in sorted(values, key=len, reverse=True):
            snippet, message = snippet.replace(value, MASK), message.replace(value, MASK)
    return msgspec.structs.replace(
        finding,
        snippet=mask(snippet, finding.path),
        message=mask(message, finding.path),
        trace=[_mask_step(step) for step in finding.trace],
    )


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


def mask_report(content: bytes) -> bytes:
    """Return a SARIF report without code and without what its messages quote; other output masked as a text.

    What a tool prints is stored as it is otherwise, and tools quote the secrets that they report.
    """
    try:
        report: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = mask(content.decode("utf-8", errors="replace"), ".env")
        return _PRINTED.sub(lambda match: match["before"] + MASK, text).encode()
    _strip(report)
    return msgspec.json.encode(report)


def _strip(part: object) -> None:
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            for name in ("snippet", "contextRegion", "rendered", "contents", "fixes"):
                part.pop(name, None)
            message = part.get("message")
            if isinstance(message, dict) and isinstance(message.get("text"), str):
                quoted = _QUOTED.sub(lambda match: match["quote"] + MASK + match["quote"], message["text"])
                message["text"] = mask(quoted, ".env")
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _mask_step(step: TraceStep) -> TraceStep:
    return msgspec.structs.replace(step, text=mask(step.text, step.path))
