"""Page and api say what publishing and building have recorded, of a finding and of the model in use."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from api_in_process import Api, Tenant
from postgres import Database
from pydantic import SecretStr
from rows import make_finding
from stored_scans import store_scan
from ui_browser import signed_in

from securetag.db.repositories.keys import create_key
from securetag.evaluation import gate
from securetag.evaluation.compare import Cell, Comparison, SuiteComparison
from securetag.pipeline.evaluate import Evaluation
from securetag.pipeline.lineage import record_lineage, record_model
from securetag.records import Example, Message, Origin, Task
from securetag.serving.registry import GatePass, ModelEntry, Registry
from securetag.settings import LOCAL_PEPPER, Settings
from tests.plugins.small_release import write_small

pytestmark = pytest.mark.anyio
ALIAS = "securetag-v7"
MODEL_ID = "ab" * 32
CELL = Cell(
    base=0.5,
    base_low=0.4,
    base_high=0.6,
    candidate=0.93,
    low=0.9,
    high=0.96,
    p=0.001,
    n=200,
    difference=0.43,
    difference_low=0.4,
    difference_high=0.46,
    majority=0.5,
)


def make_example(number: int, tenant: Tenant, finding_id: str, split: str) -> Example:
    made = Example.of(
        task=Task.TRIAGE,
        messages=[Message("user", f"is {number} true?"), Message("assistant", "yes")],
        lang="en",
        licence="LicenseRef-Customer",
        group=f"g{number}",
        origin="analyst",
        origins=[Origin(finding_id=finding_id, tenant_id=str(tenant.id), consent_id="c")],
        source="feedback",
    )
    return msgspec.structs.replace(made, split=split)  # type: ignore[arg-type]


def write_release(folder: Path, rows: list[Example]) -> str:
    """Write a release of these rows; return its digest."""
    _, manifest = write_small(folder, rows)
    return manifest.digest


def make_evaluation(digest: str) -> Evaluation:
    metrics = {"accuracy": CELL, "true_positive_recall": CELL}
    labels = {"true_positive": 100, "false_positive": 100}
    suite = SuiteComparison(n=200, labels=labels, metrics=metrics, base_confusion={}, candidate_confusion={})
    comparison = Comparison(
        base_model="b",
        candidate_model=MODEL_ID,
        suites={"held_out": suite},
        base_unanswered=0,
        candidate_unanswered=0,
    )
    spec = gate.GateSpec(
        name="ours",
        min_examples=1,
        min_per_label=1,
        require=[gate.Requirement(metric="accuracy", rule="lower_bound_above_base")],
    )
    return Evaluation(
        folder="",
        model_id=MODEL_ID,
        base_id="b",
        release=digest[:12],
        comparison=comparison,
        decision=gate.decide(comparison, spec),
    )


async def judged_finding(api: Api, tenant: Tenant, name: str) -> str:
    """A finding of one scan, of the branch of its name, with a person's verdict."""
    await store_scan(api, tenant, make_finding(name, path=f"{name}.py"), branch=name, model_id=MODEL_ID)
    (item,) = (await tenant.client.get("/findings", params={"branch": name, "path": f"{name}.py"})).json()[
        "items"
    ]
    body = {"occurrence_id": item["occurrence"]["id"], "verdict": "false_positive", "saw_model": True}
    assert (await tenant.client.post(f"/findings/{item['id']}/feedback", json=body)).status_code == 201
    return str(item["id"])


async def test_a_finding_says_which_models_it_trained(
    api: Api, tmp_path: Path, pg_database: Database
) -> None:
    tenant, silent = await api.tenant(), await api.tenant()
    await tenant.client.put("/consent", json={"granted": True})
    trained, measured, unused = [await judged_finding(api, tenant, name) for name in ("a", "b", "c")]
    foreign = await judged_finding(api, silent, "a")
    settings = Settings(
        home=tmp_path / "home", data=tmp_path / "data", database_url=SecretStr(pg_database.dsn_harvest)
    )
    digest = write_release(
        settings.releases_dir,
        [
            make_example(1, tenant, trained, "train"),
            make_example(2, tenant, trained, "train"),
            make_example(3, tenant, measured, "test"),
            make_example(4, silent, foreign, "train"),
            # Of another installation, and another tenant's finding.
            make_example(5, tenant, "0193a1b2-0000-7000-8000-000000000001", "train"),
            make_example(6, tenant, foreign, "train"),
        ],
    )
    registry = Registry(settings.models_dir)
    settings.models_dir.mkdir(parents=True)
    (settings.models_dir / "m.gguf").touch()
    registry.add(
        ModelEntry(
            model_id=MODEL_ID,
            path="m.gguf",
            file_sha256="0" * 64,
            base="smollm2",
            quantisation="Q8_0",
            licence="Apache-2.0",
            release=digest,
        )
    )
    registry.record_gate(
        MODEL_ID,
        GatePass(gate="production", release=digest[:12], base_id="b", at="2026-11-28T00:00:00.000Z"),
    )
    registry.publish(ALIAS, MODEL_ID)
    record_model(make_evaluation(digest), settings, by="lea")
    for _ in range(2):
        summary = record_lineage(settings)
        assert (summary.models, summary.findings) == (1, {digest[:12]: 2}), "recording again changes nothing"

    (use,) = (await tenant.client.get(f"/findings/{trained}")).json()["training"]
    (model,) = use.pop("models")
    assert use == {"release": digest, "split": "train", "examples": 2}
    assert (model["model_id"], model["name"], model["gate"]) == (MODEL_ID, ALIAS, "production")
    for finding_id, of_whom in ((unused, tenant), (foreign, silent)):
        assert (await of_whom.client.get(f"/findings/{finding_id}")).json()["training"] == []

    browser = await signed_in(api, tenant.key)
    assert f"Trained model {ALIAS} through release {digest[:12]} (2 rows)." in await browser.open(
        f"/ui/findings/{trained}"
    )
    text = await browser.open(f"/ui/findings/{measured}")
    assert f"In release {digest[:12]} models are measured on it (1 rows); it trains none." in text
    assert "What came of it" not in await browser.open(f"/ui/findings/{unused}")

    text = await browser.open("/ui/")
    for part in (f"Published as {ALIAS} on ", "made from smollm2.", "By lea.", "Report of the gate ours"):
        assert part in text, part
    assert "candidate 0.930 [0.900, 0.960], base 0.500 (n=200)" in text
    assert "el límite inferior 0.900 supera" in await browser.open("/ui/?lang=es")
    # A model is the installation's, not a tenant's.
    assert "Published as" in await (await signed_in(api, silent.key)).open("/ui/")


async def test_blind_mode_hides_what_a_finding_trained(api: Api) -> None:
    tenant = await api.tenant()
    await tenant.client.put("/consent", json={"granted": True})
    finding_id = await judged_finding(api, tenant, "a")
    api.query(
        "INSERT INTO securetag.training_use (id, tenant_id, finding_id, release, split, examples)"
        " VALUES (gen_random_uuid(), %s, %s, %s, 'train', 1) RETURNING id",
        tenant.id,
        finding_id,
        "ab" * 32,
    )
    other = await create_key(api.engine, tenant.id, "another", ("read", "feedback"), LOCAL_PEPPER)
    browser = await signed_in(api, other)
    assert "What came of it" in await browser.open(f"/ui/findings/{finding_id}")
    # Only judged findings train, so that it would say that somebody has judged.
    await browser.send("/ui/blind")
    assert "What came of it" not in await browser.open(f"/ui/findings/{finding_id}")
