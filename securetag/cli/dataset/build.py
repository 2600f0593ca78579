"""`securetag dataset build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from securetag.cli.output import Json, emit, format_counts, reported, show

# As in the modules that use them, which would be slow to import for `--help`; a test compares them.
Profile = Literal["compact", "full"]
Purpose = Literal["internal", "public"]
Lang = Literal["en", "es"]


@reported
def build(
    seed: Annotated[int, typer.Option(help="Seed of everything that is sampled.")] = 0,
    synthetic: Annotated[int, typer.Option(help="Synthetic triage rows to ask for.")] = 1200,
    knowledge: Annotated[int, typer.Option(help="Most rows from Records.")] = 400,
    profile: Annotated[
        Profile, typer.Option(help="Form of triage rows: compact for the embedded model, full for 8B.")
    ] = "compact",
    purpose: Annotated[
        Purpose, typer.Option(help="What it is for; decides which licenses may enter.")
    ] = "internal",
    test_since: Annotated[
        str, typer.Option(help="Rows published on this day or later are test; `never` for none.")
    ] = "2025-01-01",
    lang: Annotated[Lang, typer.Option(help="Language of triage prompts.")] = "en",
    mix: Annotated[
        Path | None,
        typer.Option(help="Which knowledge rows, a file like securetag/datasets/knowledge/mix.yaml."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Take this source's Records alone; may be given several times. Default: all but tier hf."
        ),
    ] = None,
    suite: Annotated[
        list[Path] | None,
        typer.Option(help="An evaluation to keep out: JSONL, or a folder with ground_truth.csv."),
    ] = None,
    harvest: Annotated[
        bool, typer.Option(help="Whether what people said of findings, as last harvested, enters.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Build a release from the extracted Records and the last harvest."""
    import msgspec

    from securetag.datasets.build import BuildParams
    from securetag.datasets.drops import describe_reason
    from securetag.datasets.knowledge.mix import load_mix
    from securetag.errors import InputError
    from securetag.pipeline.release import build_release
    from securetag.settings import get_settings

    options: dict[str, object] = {
        "seed": seed,
        "lang": lang,
        "synthetic": synthetic,
        "knowledge": knowledge,
        "profile": profile,
        "purpose": purpose,
        "test_since": None if test_since == "never" else test_since,
    }
    if mix is not None:
        options["mix"] = load_mix(mix)
    try:
        params = msgspec.convert(options, BuildParams)
    except msgspec.ValidationError as error:
        raise InputError(
            f"these parameters make no release: {error}",
            hint="See `securetag dataset build --help`.",
        ) from error
    release = build_release(
        params,
        get_settings(),
        sources=source,
        suites=suite or [],
        harvest=harvest,
        progress=None if as_json else typer.echo,
    )
    if as_json:
        emit({name: value for name, value in msgspec.structs.asdict(release).items() if name != "path"})
        return
    dropped = {describe_reason(reason): n for reason, n in release.dropped.items()}
    show(
        ["", ""],
        [
            ["release", release.release],
            ["digest", release.digest],
            ["rows", f"{release.rows:,}: {format_counts(release.splits)}"],
            ["by task", format_counts(release.by_task)],
            ["by source", format_counts(release.by_source, lines=12)],
            ["by license", format_counts(release.by_licence, lines=12)],
            ["left out", format_counts(dropped, lines=20)],
            ["CPU-s", release.cpu_s],
            ["peak MiB", release.peak_mb],
        ],
    )
    typer.echo(f"Card: {release.path}/README.md")
