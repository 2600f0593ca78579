"""Read the files and commands of a how-to page, so that a test follows the page to the letter."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_FILE = re.compile(
    r"^ *`(?P<name>[\w./-]+)`:\n\n(?P<indent> *)```\w+\n(?P<body>.*?)\n(?P=indent)```$", re.M | re.S
)
_COMMAND = re.compile(r"^ *\$ (?P<command>.+)$", re.M)


@dataclass(frozen=True)
class HowtoPage:
    """The code blocks of a page."""

    #: Name above a code block → its content.
    files: dict[str, str]
    #: Lines that begin with `$`, in order.
    commands: list[str]


def read_page(name: str) -> HowtoPage:
    """Return the code blocks of `docs/howto/<name>.md`."""
    text = (CHECKOUT / "docs" / "howto" / f"{name}.md").read_text(encoding="utf-8")
    files = {match["name"]: textwrap.dedent(match["body"]) + "\n" for match in _FILE.finditer(text)}
    return HowtoPage(files, [match["command"] for match in _COMMAND.finditer(text)])
