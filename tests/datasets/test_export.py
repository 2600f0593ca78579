"""Every export against its publisher's documented form, with nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml

from securetag import triage
from securetag.datasets.build import ReleaseSummary
from securetag.datasets.export import FORMATS, export
from securetag.datasets.export.base import Unfit, split_turns
from securetag.datasets.feedback import reviewed_rows
from securetag.datasets.releases import release
from securetag.datasets.releases.manifest import SPLITS
from securetag.datasets.triage_rows import PromptStyle
from securetag.errors import ConflictError, InputError, ReleaseError
from securetag.records import Decision, Example, HarvestedVerdict, JsonObject, Message, Task
from tests.plugins.small_release import write_small

TEXT = {"type": "string"}
NON_EMPTY = {"type": "string", "minLength": 1}
MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "additionalProperties": False,
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": TEXT},
    # An empty system message is one: without it a template would write its own.
    "if": {"properties": {"role": {"enum": ["user", "assistant"]}}},
    "then": {"properties": {"content": NON_EMPTY}},
}


def fields(**properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "required": sorted(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def messages(last: str) -> JsonObject:
    return {"type": "array", "items": MESSAGE, "minItems": 1, "x-last": last}


#: Of one row, written down from the page that each format names as `documented`.
SCHEMAS: dict[str, JsonObject] = {
    "trl-messages": fields(messages=messages("assistant")),
    "trl-prompt-completion": fields(prompt=messages("user"), completion=messages("assistant")),
    "axolotl": fields(messages=messages("assistant")),
    "openai": fields(messages=messages("assistant")),
    "alpaca": fields(instruction=NON_EMPTY, input=TEXT, output=NON_EMPTY),
    "llamafactory-alpaca": fields(
        instruction=NON_EMPTY,
        input=TEXT,
        output=NON_EMPTY,
        system=TEXT,
        history={
            "type": "array",
            "items": {"type": "array", "items": NON_EMPTY, "minItems": 2, "maxItems": 2},
        },
    ),
    "llamafactory-sharegpt": fields(
        conversations={
            "type": "array",
            "minItems": 2,
            "items": fields(**{"from": {"enum": ["human", "gpt"]}, "value": NON_EMPTY}),
        },
        system=TEXT,
    ),
    "kto": fields(prompt=messages("user"), completion=messages("assistant"), label={"type": "boolean"}),
}


def rows_of(folder: Path, name: str, split: str) -> list[JsonObject]:
    file = folder / FORMATS.get(name).file(split)
    if not file.exists():
        return []
    text = file.read_text()
    return json.loads(text) if FORMATS.get(name).array else [json.loads(line) for line in text.splitlines()]


def texts_of(row: JsonObject) -> list[str]:
    """Return every text of a row in the order of its turns."""
    texts: list[str] = []
    for value in (
        row.get(k)
        for k in (
            "system",
            "messages",
            "prompt",
            "completion",
            "conversations",
            "instruction",
            "input",
            "output",
        )
    ):
        if isinstance(value, str):
            texts += [value] if value else []
        elif isinstance(value, list):
            texts += [part["content"] if "content" in part else part["value"] for part in value]
    return [text for text in texts if text]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_rows_have_the_documented_form_and_every_text(
    built: ReleaseSummary, tmp_path: Path, name: str
) -> None:
    rows_by_split = release.read_release(Path(built.path))
    done = export(Path(built.path), name, tmp_path / "out")
    examples = {e.id: e for e in [*rows_by_split.train, *rows_by_split.validation, *rows_by_split.test]}
    provenance = [
        json.loads(line) for line in (tmp_path / "out" / "provenance.jsonl").read_text().splitlines()
    ]
    seen = set()
    for split in SPLITS:
        rows = rows_of(tmp_path / "out", name, split)
        assert len(rows) == done.rows.get(split, 0)
        places = [entry for entry in provenance if entry["file"] == FORMATS.get(name).file(split)]
        assert [entry["row"] for entry in places] == list(range(len(rows)))
        for row, place in zip(rows, places, strict=True):
            jsonschema.validate(row, SCHEMAS[name])
            for key, schema in SCHEMAS[name]["properties"].items():
                if "x-last" in schema:
                    assert row[key][-1]["role"] == schema["x-last"]
            example = examples[place["example_id"]]
            assert (example.split, example.licence) == (split, place["licence"])
            if row.get("label", True):
                assert texts_of(row) == [message.content for message in example.messages if message.content]
            seen.add(example.id)
    assert len(seen) + sum(done.left_out.values()) == len(examples)
    if name == "kto":
        assert set(done.left_out) == {"no person's feedback"}
        assert len(seen) == built.by_source["securetag-harvest"]
    else:
        assert done.left_out == {}


def test_an_export_has_licences_and_attribution(built: ReleaseSummary, tmp_path: Path) -> None:
    export(Path(built.path), "openai", tmp_path / "out")
    notice = (tmp_path / "out" / "NOTICE").read_text()
    assert built.digest in notice
    for licence in built.by_licence:
        assert licence in notice
    assert "Tests, test-weaknesses" in notice
    assert "share" in notice.lower()  # the obligation of CC-BY-SA, from the card
    assert FORMATS.get("openai").documented in (tmp_path / "out" / "README.md").read_text()


def test_the_same_release_gives_the_same_bytes(built: ReleaseSummary, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        export(Path(built.path), "llamafactory-sharegpt", tmp_path / folder)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert first == second


def test_the_axolotl_config_names_train_and_validation_files(built: ReleaseSummary, tmp_path: Path) -> None:
    export(Path(built.path), "axolotl", tmp_path / "out")
    config = yaml.safe_load((tmp_path / "out" / "axolotl.yaml").read_text())
    assert [part["path"] for part in config["datasets"]] == ["train.jsonl"]
    assert [part["path"] for part in config["test_datasets"]] == ["validation.jsonl"]
    assert {part["type"] for key in ("datasets", "test_datasets") for part in config[key]} == {
        "chat_template"
    }


@pytest.mark.parametrize("name", ["llamafactory-alpaca", "llamafactory-sharegpt"])
def test_the_llamafactory_info_names_existing_columns(
    built: ReleaseSummary, tmp_path: Path, name: str
) -> None:
    export(Path(built.path), name, tmp_path / "out")
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert f"securetag_{built.release}_train" in info
    for described in info.values():
        rows = json.loads((tmp_path / "out" / described["file_name"]).read_text())
        assert set(described["columns"].values()) <= set(rows[0])


def test_an_occupied_folder_and_an_unknown_format_are_refused(built: ReleaseSummary, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    with pytest.raises(ConflictError, match="not free"):
        export(Path(built.path), "openai", tmp_path / "taken")
    with pytest.raises(InputError, match="no export format csv"):
        export(Path(built.path), "csv", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def written(folder: Path, rows: list[Example]) -> Path:
    path, _ = write_small(folder, [msgspec.structs.replace(row, split="train") for row in rows])
    return path


def test_a_models_answer_that_a_person_rejected_is_undesired(
    verdict: Callable[..., HarvestedVerdict], tmp_path: Path
) -> None:
    """A right, a wrong, an abstaining and an absent model, and two models that disagree."""
    cases: list[tuple[str, list[Decision | None]]] = [
        ("right", [Decision.TRUE_POSITIVE]),
        ("wrong", [Decision.FALSE_POSITIVE]),
        ("silent", [Decision.NEEDS_REVIEW]),
        ("absent", [None]),
        ("odds", [Decision.TRUE_POSITIVE, Decision.FALSE_POSITIVE]),
    ]
    judged: list[HarvestedVerdict] = [
        msgspec.structs.replace(
            verdict(f"def {name}(q):\n    return db.execute(q)\n", reviewer=f"r{n}", finding=name),
            model_decision=decision,
        )
        for name, decisions in cases
        for n, decision in enumerate(decisions)
    ]
    for profile in ("compact", "full"):
        rows, drops = reviewed_rows.make_reviewed_rows(judged, PromptStyle(profile, "en"))
        assert drops == []
        out = tmp_path / profile
        done = export(written(tmp_path / "releases", rows), "kto", out)
        exported = rows_of(out, "kto", "train")
        assert (done.rows, sum(row["label"] for row in exported)) == ({"train": 6}, 5)
        (wrong,) = (row for row in exported if not row["label"])
        # A small model reads letters for names.
        assert f"def {'f' if profile == 'compact' else 'wrong'}(" in wrong["prompt"][-1]["content"]
        prompt = triage.read_prompt(
            [Message(**part) for part in wrong["prompt"]], triage.PROMPT_VERSIONS[profile]
        )
        answer = triage.parse(wrong["completion"][0]["content"], prompt)
        assert (answer.verdict, answer.reasoning) == ("false_positive", "")


def row_with(*roles: str) -> Example:
    return Example.of(
        task=Task.QA,
        messages=[Message(role, f"{n} {role}") for n, role in enumerate(roles)],  # type: ignore[arg-type]
        lang="en",
        licence="MIT",
        group="g",
        origin="template",
        origins=[],
        source="s",
    )


def test_several_turns_keep_their_history(tmp_path: Path) -> None:
    roles = ("system", "user", "assistant", "user", "assistant")
    path = written(tmp_path / "releases", [row_with(*roles)])
    export(path, "llamafactory-alpaca", tmp_path / "a")
    (row,) = rows_of(tmp_path / "a", "llamafactory-alpaca", "train")
    assert (row["system"], row["history"]) == ("0 system", [["1 user", "2 assistant"]])
    assert (row["instruction"], row["output"]) == ("3 user", "4 assistant")
    with pytest.raises(ReleaseError, match="several turns"):
        export(path, "alpaca", tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "roles",
    [
        pytest.param(("assistant",), id="only an assistant"),
        pytest.param(("user",), id="only a user"),
        pytest.param(("user", "user", "assistant"), id="two user turns"),
        pytest.param(("user", "assistant", "system"), id="system at the end"),
        pytest.param((), id="no turns"),
    ],
)
def test_turns_that_do_not_alternate_are_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(Unfit):
        split_turns(row_with(*roles))
