"""Machine-readable descriptions of a release: Croissant 1.1 and a CycloneDX bill of materials.

`croissant.json` (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html) describes files, columns
and types, so that a loader needs no code of ours. `bom.cdx.json` (https://cyclonedx.org/docs/1.6/json/) names
what the rows were made of: each source with editions, licenses and rows. Which Records a row comes from
stands in the row (`origins`), and the sha256 of the lineage table is in the bill. Neither names a time or a
place, so that the same release has the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from securetag.datasets.releases.features import list_features
from securetag.datasets.releases.manifest import Manifest, SourceEntry
from securetag.records import JsonObject
from securetag.system.files import write_json
from securetag.system.hashing import hash_file

CROISSANT, BOM = "croissant.json", "bom.cdx.json"
_DESCRIPTION = (
    "Chat rows for triaging findings of static analyzers and for application security knowledge. "
    "Each row names its license and the Records that it comes from."
)
_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "bool": "sc:Boolean", "float64": "sc:Float"}
_FORMATS = {".jsonl": "application/jsonlines", ".parquet": "application/vnd.apache.parquet"}
#: https://github.com/mlcommons/croissant/blob/main/docs/croissant-spec-1.1.md, appendix.
_CONTEXT: JsonObject = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "equivalentProperty": "cr:equivalentProperty",
    "samplingRate": "cr:samplingRate",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_metadata(folder: Path, manifest: Manifest) -> None:
    """Write both descriptions beside the files of a release, which are there already."""
    write_json(folder / CROISSANT, make_croissant(folder, manifest), durable=False)
    write_json(folder / BOM, make_bom(folder, manifest), durable=False)


def make_croissant(folder: Path, manifest: Manifest) -> JsonObject:
    """Return the description of the rows: one record set a split, read from its JSONL."""
    splits = [name.removesuffix(".jsonl") for name, entry in manifest.files.items() if entry.rows]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"securetag-{manifest.digest[:12]}",
        "description": _DESCRIPTION,
        "url": f"urn:sha256:{manifest.digest}",
        "version": f"{manifest.schema}.0.0",
        "license": sorted(manifest.counts.get("by_licence", {})) or ["NOASSERTION"],
        "creator": {"@type": "sc:Organization", "name": "Securetag"},
        "isLiveDataset": False,
        "distribution": [_describe_file(path) for path in _list_data_files(folder)],
        "recordSet": [_describe_split(split) for split in splits],
    }


def _list_data_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*-of-*.parquet"), *folder.glob("*.jsonl")])


def _describe_file(path: Path) -> JsonObject:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _FORMATS[path.suffix],
        "sha256": hash_file(path),
    }


def _describe_split(split: str) -> JsonObject:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "key": {"@id": f"{split}/id"},
        "field": list(_describe_fields(split, f"{split}.jsonl", list_features())),
    }


def _describe_fields(
    parent: str, file: str, columns: Sequence[JsonObject], column: str = "", json_path: str = ""
) -> Iterator[JsonObject]:
    """Yield a field for each column; one inside a nested column is reached by a JSON path."""
    for feature in columns:
        name = feature["name"]
        source: JsonObject = {"fileObject": {"@id": file}, "extract": {"column": column or name}}
        if column:
            source["transform"] = {"jsonPath": f"{json_path}{name}"}
        field: JsonObject = {"@type": "cr:Field", "@id": f"{parent}/{name}", "name": f"{parent}/{name}"}
        item = feature.get("list") or feature.get("struct") or feature["dtype"]
        if "list" in feature:
            field["repeated"] = True
        if isinstance(item, list):
            path = f"{json_path}{name}." if column else ""
            field["subField"] = list(_describe_fields(f"{parent}/{name}", file, item, column or name, path))
        else:
            field |= {"dataType": _TYPES[item], "source": source}
        yield field


def make_bom(folder: Path, manifest: Manifest) -> JsonObject:
    """Return the bill of materials: the release, its files, and the sources that its rows were made of."""
    ref = f"release-{manifest.digest[:12]}"
    sources = [_describe_source(source, manifest.inputs) for source in manifest.sources if source.rows]
    files = [
        path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in (BOM, CROISSANT)
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:sha256:{manifest.digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "data",
                "bom-ref": ref,
                "name": "securetag-release",
                "version": manifest.digest[:12],
                "description": _DESCRIPTION,
                **_licences(manifest.counts.get("by_licence", {})),
                "data": [
                    {
                        "type": "dataset",
                        "name": name,
                        "contents": {"url": name},
                        "description": f"{entry.rows} rows",
                    }
                    for name, entry in sorted(manifest.files.items())
                ],
                "properties": _properties(
                    {
                        "digest": manifest.digest,
                        "code_version": manifest.code_version,
                        "lineage": "origins of a row name its Records; lineage.parquet adds consents",
                    }
                ),
            }
        },
        "components": [*sources, *map(_describe_component, files)],
        "dependencies": [
            {"ref": ref, "dependsOn": [source["bom-ref"] for source in sources]},
            *({"ref": source["bom-ref"], "dependsOn": []} for source in sources),
        ],
    }


def _describe_source(source: SourceEntry, inputs: JsonObject) -> JsonObject:
    described: JsonObject = {
        "type": "data",
        "bom-ref": f"source-{source.name}",
        "name": source.name,
        "version": ", ".join(source.editions),
        "publisher": source.publisher,
        **_licences(source.licences),
        "data": [{"type": "dataset", "name": source.name}],
        "properties": _properties({"records": source.records, "rows": source.rows}),
    }
    if url := next(filter(None, source.urls), ""):
        described["externalReferences"] = [{"type": "website", "url": url}]
    digests = inputs.get("records")
    if isinstance(digests, dict) and source.name in digests:
        described["properties"] += _properties({"record_ids": digests[source.name]})
    return described


def _describe_component(path: Path) -> JsonObject:
    return {
        "type": "file",
        "bom-ref": f"file-{path.name}",
        "name": path.name,
        "hashes": [{"alg": "SHA-256", "content": hash_file(path)}],
    }


def _licences(licences: Iterable[str]) -> JsonObject:
    """Return one SPDX expression of all licenses together; nothing without any."""
    parts = sorted(set(licences))
    expression = " AND ".join(f"({part})" if " " in part and len(parts) > 1 else part for part in parts)
    return {"licenses": [{"expression": expression}]} if expression else {}


def _properties(values: dict[str, object]) -> list[JsonObject]:
    return [
        {"name": f"securetag:{name}", "value": str(value)} for name, value in values.items() if value != ""
    ]
