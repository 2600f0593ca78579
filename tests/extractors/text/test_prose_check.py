"""Prose, code and licenses."""

from __future__ import annotations

import pytest

from securetag.extractors.text.prose_check import (
    MIN_PROSE_SHARE,
    is_license_name,
    is_license_text,
    measure_prose_share,
)


@pytest.mark.parametrize(
    "text",
    [
        "Every door has a lock, and every lock has an owner.",
        "TODO\n\n- write down who holds a key\n- rotate the keys of the last year",
        "Cada puerta tiene una cerradura, y cada cerradura tiene un dueño.",
        "每一扇门都有一把锁，每一把锁都有一个主人。",
    ],
)
def test_prose(text: str) -> None:
    assert measure_prose_share(text) >= MIN_PROSE_SHARE


@pytest.mark.parametrize(
    "text",
    [
        "import os\nfrom a import b\n\ndef f(x):\n    return os.path.join(x)\n",
        "#include <stdio.h>\nint main(void) {\n    return 0;\n}\n",
        "flask==3.1\nrequests>=2\n",
        "alpha\nbeta\ngamma\n",
        "body { color: red; }\n.a { margin: 0; }\n",
        "2026-01-01T00:00:00Z GET /a 200 13\n2026-01-01T00:00:01Z GET /b 200 12\n",
    ],
)
def test_no_prose(text: str) -> None:
    assert measure_prose_share(text) < MIN_PROSE_SHARE


def test_names_of_licenses() -> None:
    names = ["LICENSE", "LICENCE", "COPYING.LESSER", "LICENSE-MIT", "copyright", "NOTICE", "UNLICENSE"]
    assert [name for name in names if not is_license_name(name)] == []
    assert not any(map(is_license_name, ["licensing-guide", "notices-for-users", "copy", "patented"]))


def test_a_document_with_a_license_at_its_end_is_none() -> None:
    grant = "Permission is hereby granted, free of charge, to any person obtaining a copy."
    assert is_license_text(f"# The MIT License\n\n{grant}")
    assert not is_license_text("A guide to doors and their keys. " * 200 + grant)
    assert not is_license_text("Choose a license for your project before you publish it.")
