"""`securetag trace` and the `dataset` commands on a small installation: two releases and a model."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from securetag.cli import app
from securetag.datasets.drops import Drop
from securetag.datasets.releases import release
from securetag.records import Example, JsonObject, Message, Origin, Task, content_id
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import get_settings
from tests.plugins.small_release import write_small

runner = CliRunner()
RECORD, FINDING, MODEL = content_id("record"), "01920000-aaaa-7000-8000-000000000001", "ab12" + "c" * 60
GONE = content_id("gone")


def example(number: int, origin: Origin, source: str) -> Example:
    found = Example.of(
        task=Task.QA,
        messages=[Message("user", f"q{number}"), Message("assistant", "an answer")],
        lang="en",
        licence="MIT",
        group=f"g{number}",
        origin="template",
        origins=[origin],
        source=source,
    )
    return msgspec.structs.replace(found, split="train")


KNOWLEDGE = example(1, Origin(record_id=RECORD), "mitre-cwe")
REVIEWED = example(
    2,
    Origin(record_id=content_id("r2"), finding_id=FINDING, tenant_id="tenant-7", consent_id="consent-7"),
    "securetag-harvest",
)


@pytest.fixture
def installation() -> dict[str, Path]:
    """Releases `first` (both rows) and `second` (one of them), and a model trained on the first."""
    settings = get_settings()
    made = {}
    for name, rows in (("first", [KNOWLEDGE, REVIEWED]), ("second", [KNOWLEDGE])):
        made[name], _ = write_small(
            settings.releases_dir,
            rows,
            [Drop(reason="too long", source="s", id=GONE)],
            params={"name": name},
            counts={
                "splits": {"train": len(rows)},
                "by_task": {"qa": len(rows)},
                "by_licence": {"MIT": 1},
                "dropped": {"too long": 1},
            },
            card=lambda _: "---\n---\n# Card\n",
        )
    registry = Registry(settings.models_dir)
    registry.models_dir.mkdir(parents=True)
    (registry.models_dir / "m.gguf").touch()
    registry.add(
        ModelEntry(
            model_id=MODEL,
            path="m.gguf",
            file_sha256="0" * 64,
            base="b",
            quantisation="Q8_0",
            licence="Apache-2.0",
            release=release.verify_release(made["first"]).digest,
        )
    )
    registry.publish("securetag-v1", MODEL)
    return made


def run(*arguments: str, code: int = 0) -> JsonObject:
    result = runner.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.output)


def test_from_each_thing_to_all_the_others(installation: dict[str, Path]) -> None:
    first, second = installation["first"].name, installation["second"].name
    for wanted, kind in (
        (RECORD[:9], "record"),
        (KNOWLEDGE.id, "example"),
        (FINDING[:12], "finding"),
        (MODEL[:8], "model"),
        ("securetag-v1", "model"),
        (first, "release"),
        (REVIEWED.id[:10].upper(), "example"),
        ("tenant-7", "tenant"),
        ("consent-7", "consent"),
    ):
        found = run("trace", wanted)
        assert found["thing"]["kind"] == kind
        places = {place["release"]: place for place in found["places"]}
        assert set(places) == ({first, second} if kind in ("record",) or wanted == KNOWLEDGE.id else {first})
        assert [model["model_id"] for model in places[first]["models"]] == [MODEL]
        assert places[first]["models"][0]["aliases"] == ["securetag-v1"]
        ids = places[first]["related"]["ids"]
        if kind in ("model", "release"):
            assert set(ids["example"]) == {KNOWLEDGE.id, REVIEWED.id}
            assert (ids["finding"], ids["tenant"]) == ([FINDING], ["tenant-7"])
        elif wanted in RECORD or wanted == KNOWLEDGE.id:
            assert ids == {"example": [KNOWLEDGE.id], "record": [RECORD]}
        else:
            assert ids["finding"] == [FINDING]
    assert RECORD[:12] in runner.invoke(app, ["trace", KNOWLEDGE.id]).output


def test_what_is_ambiguous_left_out_or_unknown(installation: dict[str, Path]) -> None:
    start = installation["first"].name[:4]
    found = run("trace", GONE[:10])
    assert {row["reason"] for row in found["left_out"]} == {"too long"}
    for wanted, hint in (("nothing-like-it", "dataset list"), ("ab", "four"), ("   ", "four")):
        result = runner.invoke(app, ["trace", wanted])
        assert (result.exit_code, hint in result.stderr) == (1, True)
    assert run("trace", start)["thing"]["id"] == installation["first"].name


def test_candidates_of_an_ambiguous_prefix(installation: dict[str, Path]) -> None:
    registry = Registry(get_settings().models_dir)
    other = "ab12" + "d" * 60
    registry.add(msgspec.structs.replace(registry.get(MODEL), model_id=other))
    found = run("trace", "ab12", code=1)
    assert [one["id"] for one in found["candidates"]] == [MODEL, other]
    assert runner.invoke(app, ["trace", "ab12"]).exit_code == 1


def test_a_source_is_withdrawn(installation: dict[str, Path]) -> None:
    (receipt,) = run("dataset", "erase", "--source", "mitre-cwe")
    held = {one["release"]: one["examples"] for one in receipt["releases"]}
    assert held == {path.name: 1 for path in installation.values()}
    assert [model["model_id"] for model in receipt["models"]] == [MODEL]
    assert run("dataset", "erase", "--source", "mitre-cwe") == [receipt]  # once is enough
    (model,) = run("model", "list")
    assert model["erasures"] == [receipt["id"]]
    assert run("trace", MODEL)["places"][0]["models"][0]["erasures"] == [receipt["id"]]
    for bad, hint in (
        (["--source", "no-such"], "source list"),
        (["--source", "securetag-composition"], "0"),
        (["--finding", FINDING], "--tenant"),
    ):
        result = runner.invoke(app, ["dataset", "erase", *bad])
        assert (result.exit_code, hint in result.stderr) == (1, True)


def test_list_show_verify_diff_export(installation: dict[str, Path], tmp_path: Path) -> None:
    first, second = installation["first"].name, installation["second"].name
    assert {row["release"] for row in run("dataset", "list")} == {first, second}
    assert "{'train': 2}" in runner.invoke(app, ["dataset", "list"]).output
    assert run("dataset", "show", first)["digest"].startswith(first)
    assert run("dataset", "verify", first) == {"release": first, "ok": True}
    assert run("dataset", "diff", first, second)["removed"] == {"not built": [REVIEWED.id]}
    assert REVIEWED.id in runner.invoke(app, ["dataset", "diff", first, second]).output
    found = run("dataset", "export", first, "--format", "openai", "--out", str(tmp_path / "out"))
    assert found["rows"] == {"train": 2}


def test_an_export_into_nowhere_says_so(installation: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", Path("/proc/securetag/out")):
        for command in (["export", "--format", "openai"], ["review", "export"]):
            name = [installation["first"].name, "--out", str(out)]
            result = runner.invoke(app, ["dataset", *command, *name])
            assert result.exit_code == 1
            error, hint = result.stderr.splitlines()
            assert error.startswith("error: ")
            assert str(out.parent) in error
            assert hint.startswith("  next: Check the path")


def test_an_index_that_does_not_fit_on_the_disk_says_so(installation: dict[str, Path]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        result = runner.invoke(app, ["trace", RECORD])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("  next: ")


def test_review_there_and_back(installation: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "review"
    first = installation["first"].name
    assert runner.invoke(app, ["dataset", "review", "export", first, "--out", str(out)]).exit_code == 0
    records = json.loads((out / "records.json").read_text())
    for record in records:
        record["responses"] = {"answer": [{"value": "reject", "user_id": user} for user in ("u1", "u2")]}
    (tmp_path / "records.json").write_text(json.dumps(records))
    assert run("dataset", "review", "import", str(tmp_path / "records.json")) == {"new": 4}
    status = run("dataset", "review", "status")
    assert (status["decisions"], status["agreement"]["observed"]) == ({"rejected": 2}, 1.0)
    assert status["reviewers"] == {"argilla/u1": 2, "argilla/u2": 2}
