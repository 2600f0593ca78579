"""Print the changelog of a release, once the tag agrees with the package.

    python tools/release_notes.py v1.2.3

The version is written in pyproject.toml, since a checkout without tags must build too: here it is compared
with the tag. Exits 1 with the next step where the two differ, an image of deploy/compose.yaml has another
version, or CHANGELOG.md has no section `## [1.2.3]`.

Standard library alone, so that it runs in any environment.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def read_notes(tag: str, checkout: Path = CHECKOUT) -> str:
    """Return the changelog's section of a tag. Raises ValueError with the next step."""
    version = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if tag != f"v{version}":
        raise ValueError(
            f"the tag is {tag} and pyproject.toml has {version}: tag v{version}, or change it there"
        )
    images = re.findall(r"image: (securetag/\S+)", (checkout / "deploy" / "compose.yaml").read_text("utf-8"))
    if others := sorted({image for image in images if not image.endswith(f":{version}")}):
        raise ValueError(
            f"deploy/compose.yaml has {', '.join(others)}: give its images the version {version}"
        )
    changelog = (checkout / "CHANGELOG.md").read_text("utf-8")
    section = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None or not section[1].strip():
        raise ValueError(f"CHANGELOG.md has no section of {version}: name [Unreleased] so, with the date")
    return section[1].strip()


def main(arguments: list[str]) -> int:
    """Print the notes of the tag that is given; 1 where it can't be released."""
    if len(arguments) != 1:
        print("usage: python tools/release_notes.py TAG", file=sys.stderr)
        return 2
    try:
        print(read_notes(arguments[0]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
