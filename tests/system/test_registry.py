"""A registry finds built-in classes and those of packages that are installed beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeGuard

import pytest
from temp_package import install_package

from securetag.errors import InputError, SettingsError
from securetag.system.registry import Registry

GROUP = "securetag.test-shapes"


def is_int_class(value: object) -> TypeGuard[type[int]]:
    return isinstance(value, type) and issubclass(value, int)


@pytest.fixture
def registry() -> Registry[type[int]]:
    builtins = {"bool": "builtins:bool", "number": "builtins:int", "absent": "securetag_absent:Thing"}
    return Registry("shape", builtins, group=GROUP, accepts=is_int_class, hint="pip install absent")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path; what is imported from it is forgotten at the end."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return folder


def install(site: Path, package: str, value: str, code: str, *, name: str = "circle") -> None:
    module = package.replace("-", "_")
    pyproject = (
        f'[project]\nname = "{package}"\nversion = "1.2"\n'
        f'[project.entry-points."{GROUP}"]\n{name} = "{value}"\n'
    )
    install_package(site, pyproject, {f"{module}.py": code})


def test_a_builtin_is_loaded_by_its_name(registry: Registry[type[int]]) -> None:
    assert registry.get("bool") is bool
    assert registry.get_origin("bool") == "securetag"


def test_an_entry_point_is_loaded_from_its_package(site: Path, registry: Registry[type[int]]) -> None:
    install(site, "round-shapes", "round_shapes:Circle", "class Circle(int):\n    pass\n")
    assert registry.names() == ["absent", "bool", "circle", "number"]
    assert registry.get("circle").__module__ == "round_shapes"
    assert registry.get_origin("circle") == "round-shapes 1.2"


def test_nothing_is_imported_before_it_is_needed(site: Path, registry: Registry[type[int]]) -> None:
    install(site, "round-shapes", "round_shapes:Circle", "raise RuntimeError('imported')\n")
    assert "circle" in registry.names()
    assert registry.get("number") is int


def test_an_unknown_name_gives_a_suggestion_and_the_list(registry: Registry[type[int]]) -> None:
    with pytest.raises(InputError, match="there is no shape nunber") as caught:
        registry.get("nunber")
    assert caught.value.hint == "Did you mean number? The shapes are: absent, bool, number."
    with pytest.raises(InputError) as caught:
        registry.get_origin("xyz")
    assert caught.value.hint == "The shapes are: absent, bool, number."


def test_a_missing_library_of_a_builtin_says_what_to_install(registry: Registry[type[int]]) -> None:
    with pytest.raises(SettingsError, match="the shape absent needs securetag_absent") as caught:
        registry.get("absent")
    assert caught.value.hint == "pip install absent"


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        pytest.param("round_shapes:Circle", "raise ValueError('no licence')\n", "no licence", id="raises"),
        pytest.param("round_shapes:Circle", "import securetag_absent\n", "securetag_absent", id="imports"),
        pytest.param("round_shapes:Circle", "", "Circle", id="no such attribute"),
        pytest.param("other_shapes:Circle", "", "other_shapes", id="no such module"),
        pytest.param("round_shapes:Circle", "Circle = str\n", "is not a shape", id="another class"),
        pytest.param("round_shapes:Circle", "Circle = 3\n", "is not a shape", id="no class"),
    ],
)
def test_a_broken_entry_point_names_its_package(
    site: Path, registry: Registry[type[int]], value: str, code: str, reason: str
) -> None:
    install(site, "round-shapes", value, code)
    with pytest.raises(SettingsError, match=r"round-shapes 1\.2") as caught:
        registry.get("circle")
    assert reason in str(caught.value)
    assert registry.get("number") is int


def test_two_packages_with_one_name_are_an_error_for_that_name(
    site: Path, registry: Registry[type[int]]
) -> None:
    for package in ("round-shapes", "more-shapes"):
        module = package.replace("-", "_")
        install(site, package, f"{module}:Circle", "class Circle(int):\n    pass\n")
    with pytest.raises(SettingsError, match=r"more-shapes 1\.2, round-shapes 1\.2"):
        registry.get("circle")
    assert registry.get("bool") is bool


def test_an_entry_point_cannot_replace_a_builtin(site: Path, registry: Registry[type[int]]) -> None:
    install(site, "round-shapes", "round_shapes:Circle", "class Circle(int):\n    pass\n", name="bool")
    assert registry.get("bool") is bool
    assert registry.names().count("bool") == 1
