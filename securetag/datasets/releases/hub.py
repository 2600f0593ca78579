"""Push a release to a dataset repository of the Hugging Face hub: rows, card and descriptions, no lineage.

`lineage.parquet` and `dropped.parquet` hold ids of findings and tenants, so they stay in the house; a copy
from the hub is therefore checked by the sha256 of each file, which `manifest.json` and `bom.cdx.json` hold.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec

from securetag.datasets.releases.release import verify_release
from securetag.errors import InputError, LicenceError, UnavailableError

#: Files that hold ids of findings, tenants and consents.
_KEPT_BACK = ("lineage*.parquet", "dropped.parquet")


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """What a push sends, and where to."""

    release: str
    repository: str
    private: bool
    #: Name → bytes.
    files: dict[str, int]
    #: Files of the release that are not sent.
    kept_back: list[str]
    #: The commit's URL; empty for a dry run.
    url: str = ""


def plan_push(release: Path, repository: str, *, private: bool) -> Push:
    """Return what a push would send: the release is verified, its card and the repository's name are checked.

    Raises InputError for a name that the hub refuses and a card that it can't read, LicenceError for rows
    that may not be given away, ReleaseError, NotFoundError.
    """
    from huggingface_hub import DatasetCard
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    manifest = verify_release(release)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(f"{repository}: {error}", hint="Name it `<user or organization>/<name>`.") from error
    if repository.count("/") != 1:
        raise InputError(
            f"{repository}: no namespace", hint="Name it `<user or organization>/<name>`, as the hub does."
        )
    if not private and manifest.params.get("purpose") != "public":
        raise LicenceError(
            f"release {release.name} was built for purpose {manifest.params.get('purpose')}, not public",
            hint="Build it with --purpose public, or push it to a private repository with --private.",
        )
    try:
        card = DatasetCard((release / "README.md").read_text("utf-8"))
        fields = card.data.to_dict()  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise InputError(
            f"{release.name}: the hub can't read its card: {error}", hint="Build the release again."
        ) from error
    if missing := {"license", "configs", "dataset_info"} - set(fields):
        raise InputError(
            f"{release.name}: its card doesn't say {', '.join(sorted(missing))}",
            hint="Build the release again.",
        )
    files = {path.name: path.stat().st_size for path in sorted(release.iterdir())}
    kept_back = [name for name in files if any(Path(name).match(glob) for glob in _KEPT_BACK)]
    return Push(
        release=release.name,
        repository=repository,
        private=private,
        files={name: size for name, size in files.items() if name not in kept_back},
        kept_back=kept_back,
    )


def push(release: Path, planned: Push, token: str) -> Push:
    """Send what was planned in one commit, and return it with the commit's URL.

    Raises UnavailableError where the hub refuses it or doesn't answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi(token=token)
    try:
        api.create_repo(planned.repository, repo_type="dataset", private=planned.private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=planned.repository,
            repo_type="dataset",
            folder_path=release,
            allow_patterns=list(planned.files),
            commit_message=f"Securetag release {planned.release}",
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError) as error:
        raise UnavailableError(
            f"{planned.repository}: {error}",
            hint="Check HF_TOKEN's rights and the connection. Nothing is half there: a push is one commit.",
        ) from error
    return msgspec.structs.replace(planned, url=str(commit.commit_url))
