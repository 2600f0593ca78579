"""A job's inputs and a run's result as tar archives. The same inputs make the same bytes."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from securetag.errors import TrainingError
from securetag.system.files import draft_folder, move_file
from securetag.training.recipe import Recipe

RECIPE = "recipe.yaml"
RELEASE = "release"
#: What of a release training reads.
RELEASE_FILES = ("train.jsonl", "validation.jsonl", "manifest.json")
#: What of a run is brought back.
RESULT_FILES = ("run.json", "metrics.json", "log_history.json", "progress.jsonl", "train.log")
RESULT_FOLDERS = ("adapter", "tensorboard")
#: The adapter with the best AUC so far (`securetag.training.callbacks`).
BEST = "best.safetensors"
#: Bytes of a result: the adapter of an 8B model at rank 32 is 335 MB.
MAX_RESULT = 8 << 30


def pack_inputs(recipe: Recipe, release: Path, out: Path) -> Path:
    """Write the recipe, with its overrides, and the release's rows to the archive `out`."""
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        content = msgspec.yaml.encode(recipe, order="sorted")
        archive.addfile(_entry(RECIPE, len(content)), io.BytesIO(content))
        for name in RELEASE_FILES:
            path = release / name
            if path.is_file():
                with path.open("rb") as handle:
                    archive.addfile(_entry(f"{RELEASE}/{name}", path.stat().st_size), handle)
    return out


def pack_result(run_dir: Path, out: Path) -> Path:
    """Write what a finished run leaves to the archive `out`."""
    return _pack(run_dir, [*RESULT_FILES, *RESULT_FOLDERS], out)


def pack_checkpoint(run_dir: Path, checkpoint: Path, out: Path) -> Path:
    """Write one complete checkpoint, and the state of its run, to the archive `out`."""
    return _pack(
        run_dir, ["run.json", "progress.jsonl", BEST, checkpoint.relative_to(run_dir).as_posix()], out
    )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, in which files of the same names are replaced.

    Raises TrainingError for one that is damaged, or that would write elsewhere.
    """
    try:
        with draft_folder(folder) as draft:
            with tarfile.open(archive) as content:
                _extract(content, draft.path)
            for path in sorted(draft.path.iterdir()):
                target = folder / path.name
                if target.is_dir():
                    shutil.copytree(path, target, dirs_exist_ok=True)
                else:
                    move_file(path, target, durable=False)
    except (tarfile.TarError, EOFError) as error:
        raise TrainingError(f"{archive.name} can't be unpacked: {error}") from error


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the files of an archive below `folder`. Raises TarError for anything else that it holds.

    Python 3.11.2, which Debian 12 has, knows no filters of `extractall`.
    """
    inside = folder.resolve()
    for member in archive:
        path = folder / member.name
        if not path.resolve().is_relative_to(inside):
            raise tarfile.TarError(f"{member.name!r} lies elsewhere")
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        source = archive.extractfile(member) if member.isfile() else None
        if source is None:
            raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as target:
            shutil.copyfileobj(source, target)


def _pack(folder: Path, names: Iterable[str], out: Path) -> Path:
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            if (folder / name).exists():
                archive.add(folder / name, name)
    return out


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Return the entry of a file without owner and time."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry
