"""What each image holds: the extras of its Dockerfile, resolved from the packages' own metadata."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
IMAGES = CHECKOUT / "deploy" / "images"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
#: Of the offline platform; each is large, or brings a license that a service shouldn't.
OFFLINE = {"torch", "transformers", "trl", "peft", "dagster", "pymupdf", "datasets", "pandas", "argilla"}


def extras_of(image: str) -> set[str]:
    """The extras of Securetag that a Dockerfile installs."""
    installs = re.findall(r"'\.\[([\w,]+)\]'", (IMAGES / f"{image}.Dockerfile").read_text("utf-8"))
    assert len(installs) == 1
    return set(installs[0].split(","))


def packages_of(extras: set[str]) -> set[str]:
    """Every package that these extras bring, with what those need in turn."""
    packages: set[str] = set()
    ours = [
        *PROJECT["dependencies"],
        *(line for name in extras for line in PROJECT["optional-dependencies"][name]),
    ]
    waiting = [Requirement(line) for line in ours]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        packages.add(name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name == "securetag":
                waiting += [Requirement(line) for line in PROJECT["optional-dependencies"].get(extra, [])]
                continue
            try:
                lines = requires(name) or []
            except PackageNotFoundError:
                pytest.fail(f"{name} isn't installed: what it needs can't be told")
            for line in lines:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return packages


@pytest.mark.parametrize(
    ("image", "needs"),
    [
        pytest.param("api", {"fastapi", "uvicorn", "psycopg", "alembic", "streaming-form-data"}, id="api"),
        pytest.param("worker", {"psutil", "ollama", "sarif-pydantic", "httpx"}, id="worker"),
    ],
)
def test_a_service_has_what_it_runs_and_nothing_of_the_offline_platform(image: str, needs: set[str]) -> None:
    packages = packages_of(extras_of(image))
    assert needs <= packages
    assert packages & OFFLINE == set()


def test_a_worker_has_no_driver_of_the_database() -> None:
    assert packages_of(extras_of("worker")) & {"psycopg", "sqlalchemy", "alembic"} == set()


def test_the_image_of_dagster_has_the_offline_platform() -> None:
    packages = packages_of(extras_of("dagster"))
    assert OFFLINE - {"argilla"} <= packages
    assert {"dagster-webserver", "dagster-postgres", "xllamacpp", "psycopg2-binary"} <= packages


@pytest.mark.parametrize("image", ["api", "worker", "dagster"])
def test_everything_that_is_copied_passes_dockerignore(image: str) -> None:
    text = (IMAGES / f"{image}.Dockerfile").read_text("utf-8")
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()
    }
    passed = {
        line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied - passed == set()
    assert all((CHECKOUT / name).exists() for name in copied)
    build = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert {build["readme"], *build["license-files"], "pyproject.toml", "securetag"} <= copied


@pytest.mark.slow
@pytest.mark.system
def test_the_sbom_lists_what_is_installed(tmp_path: Path) -> None:
    """The command of the Dockerfiles, with an environment of three packages."""
    program = shutil.which("cyclonedx-py", path=str(Path(sys.executable).parent)) or shutil.which(
        "cyclonedx-py"
    )
    if program is None:
        pytest.skip("cyclonedx-py isn't installed: pip install cyclonedx-bom")
    command = re.search(
        r"/opt/sbom/bin/cyclonedx-py (environment .*?) \\\n\s+--output-file",
        (IMAGES / "api.Dockerfile").read_text("utf-8"),
        re.DOTALL,
    )
    assert command is not None
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [program, *command[1].split(), "--output-file", tmp_path / "sbom.json", python],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert {"pip", "setuptools"} <= {component["name"] for component in sbom["components"]}
    assert (sbom["metadata"]["component"]["name"], sbom["metadata"]["component"]["version"]) == (
        "securetag",
        PROJECT["version"],
    )
