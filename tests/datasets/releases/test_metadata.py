"""What describes a release to machines is read by the programs that it is for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases import metadata, release
from securetag.datasets.releases.manifest import SPLITS
from securetag.records import JsonObject


@pytest.fixture(scope="module")
def folder(built: ReleaseSummary) -> Path:
    return Path(built.path)


def load(folder: Path, name: str) -> JsonObject:
    loaded: JsonObject = json.loads((folder / name).read_text("utf-8"))
    return loaded


def test_the_bill_of_materials_is_valid_and_complete(folder: Path) -> None:
    bill = load(folder, metadata.BOM)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    manifest = release.verify_release(folder)
    components = {component["bom-ref"]: component for component in bill["components"]}
    for source in manifest.sources:
        if source.rows:
            properties = {p["name"]: p["value"] for p in components[f"source-{source.name}"]["properties"]}
            assert properties["securetag:rows"] == str(source.rows)
            # Synthetic cases and verdicts are no Records.
            ids = manifest.inputs["records"].get(source.name)
            assert properties.get("securetag:record_ids") == ids
    hashes = {c["name"]: c["hashes"][0]["content"] for c in components.values() if c["type"] == "file"}
    for name, digest in hashes.items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    described = {metadata.BOM, metadata.CROISSANT, release.MANIFEST, *hashes}
    assert described == {path.name for path in folder.iterdir()}
    assert bill["dependencies"][0]["dependsOn"] == [
        component["bom-ref"] for component in bill["components"] if component["type"] == "data"
    ]


def test_no_metadata_names_a_tenant_a_place_or_a_time(folder: Path) -> None:
    for name in (metadata.BOM, metadata.CROISSANT):
        text = (folder / name).read_text("utf-8")
        assert str(folder) not in text
        assert "timestamp" not in text
        assert "date" not in text.lower().replace("dated", "")


@pytest.mark.system
@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_gives_the_rows(folder: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(folder / metadata.CROISSANT))
    assert not dataset.metadata.ctx.issues.errors
    for split in SPLITS:
        written = [json.loads(line) for line in (folder / f"{split}.jsonl").read_bytes().splitlines()]
        rows = list(dataset.records(split))
        assert [row[f"{split}/id"].decode() for row in rows] == [row["id"] for row in written]
        for row, expected in zip(rows, written, strict=True):
            contents = [m[f"{split}/messages/content"].decode() for m in row[f"{split}/messages"]]
            assert contents == [message["content"] for message in expected["messages"]]
