"""The corpus of real code: one role a package, and nothing that can't be read is accepted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.real.corpus import MAX_PACKAGES, Role, read_places
from benchmarks.rules.clean import read_clean
from securetag.errors import InputError
from securetag.extractors import catalog

HEADER = "ecosystem,package,vulnerable_version,fixed_version,advisory,cwe,file,line,role\n"


def test_no_package_has_two_roles() -> None:
    roles: dict[tuple[str, str], set[Role]] = defaultdict(set)
    for place in read_places():
        roles[place.ecosystem, place.package.lower()].add(place.role)
    assert {package: values for package, values in roles.items() if len(values) > 1} == {}
    assert len(roles) <= MAX_PACKAGES


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            "pypi,a,1,2,CVE-1,CWE-89,a.py,3,rules_dev\npypi,a,1,2,CVE-2,CWE-89,b.py,4,train\n",
            "a .pypi. has the roles rules_dev, train",
            id="two roles",
        ),
        pytest.param("pypi,a,1,2,CVE-1,CWE-89,,,rules_dev\n" * 2, "a row is repeated", id="a row twice"),
        pytest.param("pypi,a,1,2,CVE-1,89,,,rules_dev\n", "cwe", id="a CWE without prefix"),
        pytest.param("pypi,a,1,2,CVE-1,CWE-89,,,rules\n", "role", id="no such role"),
        pytest.param("cargo,a,1,2,CVE-1,CWE-89,,,train\n", "ecosystem", id="no such ecosystem"),
        pytest.param("pypi,a,1,2,CVE-1,CWE-89,a.py,x,train\n", "line", id="a line that is no number"),
    ],
)
def test_a_wrong_list_is_refused(rows: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "packages.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(InputError, match=message):
        read_places(path)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "packages.csv"
    path.write_text("package,version\n")
    with pytest.raises(InputError, match="columns"):
        read_places(path)


def test_the_same_name_in_two_ecosystems_is_two_packages(tmp_path: Path) -> None:
    path = tmp_path / "packages.csv"
    path.write_text(
        HEADER + "pypi,a,1,2,CVE-1,CWE-89,,,rules_dev\nnpm,a,1,2,CVE-2,CWE-79,index.js,4,rules_unseen\n"
    )
    places = read_places(path)
    assert [place.is_located for place in places] == [False, True]
    assert read_places(path, roles=[Role.RULES_UNSEEN]) == places[1:]


def test_clean_packages_hold_no_known_place_and_use_what_rules_look_at() -> None:
    packages = read_clean()
    assert {(package.ecosystem, package.package) for package in packages} & {
        place.key for place in read_places()
    } == set()
    assert len(packages) >= 12
    assert {package.ecosystem for package in packages} == {"pypi", "npm"}
    assert sum(bool(package.uses) for package in packages) >= 6


def test_there_are_enough_places_for_rules_and_a_third_is_unseen() -> None:
    places = read_places(roles=[Role.RULES_DEV, Role.RULES_UNSEEN])
    assert len(places) >= 60
    packages = {place.key for place in places}
    unseen = {place.key for place in places if place.role is Role.RULES_UNSEEN}
    assert 0.3 <= len(unseen) / len(packages) <= 0.4
    assert all(place.is_located for place in places if place.role is Role.RULES_DEV)


def test_the_catalog_trains_on_the_packages_of_role_train_and_no_others() -> None:
    published = {
        (fix.ecosystem, fix.package, fix.vulnerable, fix.fixed, fix.advisory, fix.cwe)
        for fix in catalog.load()["advisory-fixes"].published
    }
    places = {
        (
            place.ecosystem,
            place.package,
            place.vulnerable_version,
            place.fixed_version,
            place.advisory,
            place.cwe,
        )
        for place in read_places(roles=[Role.TRAIN])
    }
    assert published == places
    held_out = {place.key for place in read_places() if place.role is not Role.TRAIN}
    assert not held_out & {(ecosystem, package) for ecosystem, package, *_ in published}
