"""A push to the hub: what is sent, what stays, what is refused. The hub itself isn't reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases import hub, release
from securetag.datasets.releases.manifest import SPLITS
from securetag.errors import InputError, LicenceError, ReleaseError, UnavailableError


@pytest.fixture(scope="module")
def folder(built: ReleaseSummary) -> Path:
    return Path(built.path)


def test_all_but_lineage_and_drops_is_sent(folder: Path) -> None:
    planned = hub.plan_push(folder, "acme/rows", private=True)
    assert planned.kept_back == ["dropped.parquet", "lineage.parquet"]
    assert set(planned.files) | set(planned.kept_back) == {path.name for path in folder.iterdir()}
    assert {f"{split}.jsonl" for split in SPLITS} < set(planned.files)
    assert planned.files["README.md"] == (folder / "README.md").stat().st_size


def test_the_card_is_read_as_the_hub_reads_it(folder: Path) -> None:
    from huggingface_hub import DatasetCard

    data = DatasetCard((folder / "README.md").read_text("utf-8")).data
    assert (data.license, data.license_name) == ("other", "per-row")
    assert [config["config_name"] for config in data.configs] == ["default"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("rows", id="no namespace"),
        pytest.param("acme/rows/more", id="two slashes"),
        pytest.param("acme/ro ws", id="a blank"),
        pytest.param("../rows", id="a path"),
        pytest.param("", id="empty"),
    ],
)
def test_a_name_that_the_hub_refuses(folder: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        hub.plan_push(folder, name, private=True)
    assert "Name it" in str(error.value.hint)


def test_an_internal_release_goes_to_no_public_repository(folder: Path) -> None:
    assert release.read_manifest(folder).params["purpose"] == "internal"
    with pytest.raises(LicenceError, match="internal"):
        hub.plan_push(folder, "acme/rows", private=False)


def test_a_changed_release_is_not_sent(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "README.md").write_text("other")
    with pytest.raises(ReleaseError, match=r"README\.md was changed"):
        hub.plan_push(copy, "acme/rows", private=True)


def test_a_hub_out_of_reach(folder: Path) -> None:
    planned = hub.plan_push(folder, "acme/rows", private=True)
    with pytest.raises(UnavailableError, match="acme/rows"):
        hub.push(folder, planned, "hf_none")
