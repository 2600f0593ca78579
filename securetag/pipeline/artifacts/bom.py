"""The bill of materials of a model as CycloneDX 1.6 (ML-BOM): https://cyclonedx.org/capabilities/mlbom/."""

from __future__ import annotations

from uuid import UUID

from securetag.records import JsonObject
from securetag.serving.registry import ModelEntry

#: Figure of a run's manifest → what a bill of materials calls it.
_METRICS = {
    "validation_auc": "area under the ROC curve of verdicts on validation rows",
    "validation_verdicts_right": "share of verdicts on validation rows that are right",
    "train_loss": "loss in training",
}


def build_bom(entry: ModelEntry, manifest: JsonObject) -> JsonObject:
    """Return the document of a model; the same model and manifest give the same one."""
    model = f"model:{entry.model_id}"
    base, release, recipe = manifest["base"], manifest["release"], manifest["recipe"] or {}
    components: list[JsonObject] = [
        {
            "type": "machine-learning-model",
            "bom-ref": "base",
            "name": entry.base,
            "licenses": _license(entry.licence),
            **({"version": base["revision"]} if base["revision"] else {}),
            **({"hashes": [{"alg": "SHA-256", "content": base["sha256"]}]} if base["sha256"] else {}),
            **({"purl": _purl(base)} if base["hub"] and "/" in base["hub"] else {}),
        }
    ]
    if release["digest"]:
        components.append(
            {
                "type": "data",
                "bom-ref": "release",
                "name": "training rows",
                "version": release["digest"],
                "data": [{"type": "dataset", "name": f"Securetag release {release['digest'][:12]}"}],
            }
        )
    for name, version in sorted((manifest["versions"] or {}).items()):
        purl = f"pkg:pypi/{name}@{version}"
        components.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        )
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{UUID(entry.model_id[:32], version=4)}",
        "version": 1,
        "metadata": {
            **({"timestamp": entry.created_at} if entry.created_at else {}),
            "component": {
                "type": "machine-learning-model",
                "bom-ref": model,
                "name": recipe.get("name") or entry.base,
                "version": entry.model_id,
                "licenses": _license(entry.licence),
                "hashes": [{"alg": "SHA-256", "content": entry.file_sha256}],
                "modelCard": _describe_model(manifest),
                "properties": [
                    {"name": "securetag:quantization", "value": entry.quantisation},
                    {"name": "securetag:converter", "value": entry.converter or "none"},
                    {"name": "securetag:adapter_sha256", "value": entry.adapter or "none"},
                ],
            },
        },
        "components": components,
        "dependencies": [{"ref": model, "dependsOn": [str(part["bom-ref"]) for part in components]}],
    }


def _describe_model(manifest: JsonObject) -> JsonObject:
    run = manifest["run"]
    parameters: JsonObject = {
        "approach": {"type": "supervised"},
        "task": "triage of findings of static analyzers",
        "architectureFamily": "transformer, decoder only",
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "JSON"}],
    }
    if manifest["release"]["digest"]:
        parameters["datasets"] = [{"ref": "release"}]
    metrics = [
        {"type": what, "value": f"{run[name]:.4f}", "slice": "of the run"}
        for name, what in _METRICS.items()
        if run[name] is not None
    ]
    limits = "Its figures hold for the rows that its card names, and say nothing of other code."
    return {
        "modelParameters": parameters,
        **({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}),
        "considerations": {"technicalLimitations": [limits]},
    }


def _license(expression: str) -> list[JsonObject]:
    return [{"expression": expression}]


def _purl(base: JsonObject) -> str:
    revision = f"@{base['revision']}" if base["revision"] else ""
    return f"pkg:huggingface/{base['hub']}{revision}"
