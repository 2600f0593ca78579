"""Publishing a merged GGUF of ours to an Ollama server, through Ollama's official client.

Every model becomes a version of its alias, `securetag-v1:<12 digits of its id>`. A version is uploaded,
created, compared with what the server shows and asked one triage question before the alias is copied from
it: a publication that ends early leaves the alias as it was, and a repetition goes on from what is there.
We convert and merge ourselves: Ollama makes no adapter models any more (0.34.1).
API: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from securetag.errors import ConflictError, InputError, ModelUnavailableError, TriageError
from securetag.serving import gguf, modelfile, smoke
from securetag.serving.client import OLLAMA_HOST, OllamaClient, bearer
from securetag.serving.registry import OLLAMA_DIGEST, ModelEntry, Registry
from securetag.serving.runtime import CONTEXT
from securetag.settings import Settings

if TYPE_CHECKING:
    from ollama import Client, ShowResponse

#: Seconds without a byte; storing a large blob, checking its digest and loading a model take a while.
TIMEOUT_S = 600.0
#: Digits of the model's id in the name of a version.
VERSION_DIGITS = 12

#: Gets the step's name, and how much of how much is done.
Progress = Callable[[str, int, int], None]


def publish(
    entry: ModelEntry,
    alias: str,
    settings: Settings,
    *,
    public: bool = False,
    progress: Progress | None = None,
) -> str:
    """Make `alias` mean `entry` on the Ollama server of the settings; return the version's name.

    Publishing what is there already uploads nothing. Versions beyond `publish.keep_versions` are removed,
    oldest first. Raises LicenceError for a name that the base's license forbids, InputError for an adapter,
    ModelUnavailableError when the server is away or refuses, ConflictError when it shows another model than
    was sent, TriageError when the model doesn't answer in the triage schema.
    """
    modelfile.check_name(alias, entry, public=public)
    path = Registry(settings.models_dir).path(entry)
    if gguf.read_metadata(path).get("general.type") == "adapter":
        raise InputError(
            f"{path} is an adapter, and Ollama serves merged models only",
            hint="`securetag train` merges the adapter into its base; publish that model.",
        )
    pack = modelfile.choose_packaging(entry, gguf.chat_template(path), ctx=CONTEXT[settings.triage.profile])
    version = f"{alias}:{entry.model_id[:VERSION_DIGITS]}"
    with _connected(settings, alias, path, progress) as client:
        digest = f"sha256:{entry.file_sha256}"
        if not _has_blob(client, digest):
            digest = client.create_blob(path)
        client.create(
            model=version,
            files={f"{entry.model_id[:16]}.gguf": digest},
            template=pack.template,
            system=pack.system,
            parameters=pack.parameters,
            license=pack.licences,
            stream=False,
        )
        _verify(client.show(version), version, entry, pack)
        _ask(version, settings)
        client.copy(version, alias)
        digests = {str(model.model): model.digest for model in client.list().models}
        if digests.get(f"{alias}:latest") != digests.get(version):
            raise ConflictError(
                f"Ollama shows another model as {alias} than {version}",
                hint="Somebody else published meanwhile: look at `ollama list`, and publish again.",
            )
        # By this digest a worker knows the model again, whatever anybody calls by its name later.
        Registry(settings.models_dir).record_served(f"{OLLAMA_DIGEST}{digests[version]}", entry.model_id)
        _prune(client, alias, version, settings.publish.keep_versions)
    return version


def _verify(shown: ShowResponse, version: str, entry: ModelEntry, packaging: modelfile.Packaging) -> None:
    """Raise ConflictError when the server shows another model, template or license than was sent."""
    model_id = str((shown.modelinfo or {}).get(gguf.MODEL_ID_KEY, ""))
    differing = [
        name
        for name, differs in (
            # The base's file is its publisher's and can't carry our key.
            ("model id", model_id != entry.model_id and (model_id or entry.adapter is not None)),
            ("template", shown.template != packaging.template),
            ("license", not all(text in (shown.license or "") for text in packaging.licences)),
        )
        if differs
    ]
    if differing:
        raise ConflictError(
            f"Ollama shows another {' and '.join(differing)} for {version} than was sent",
            hint=f"Remove it (`ollama rm {version}`) and publish again; the alias is unchanged.",
        )


def _ask(version: str, settings: Settings) -> None:
    """Raise TriageError unless the version answers a triage question in the schema."""
    api_key = settings.triage.api_key.get_secret_value() if settings.triage.api_key else None
    client = OllamaClient(settings.ollama_host, aliases=[version], api_key=api_key)
    try:
        smoke.ask(client, settings.triage, timeout_s=TIMEOUT_S)
    except TriageError as error:
        raise TriageError(
            f"{version} does not answer a triage question: {error}",
            hint="The alias is unchanged. Was it trained for this profile (SECURETAG_TRIAGE__PROFILE)?",
        ) from error
    finally:
        client.close()


def _prune(client: Client, alias: str, current: str, keep: int) -> None:
    """Remove the oldest versions of an alias, so that `keep` are left, `current` among them."""
    pattern = re.compile(rf"{re.escape(alias)}:[0-9a-f]{{{VERSION_DIGITS}}}")
    versions = [model for model in client.list().models if pattern.fullmatch(str(model.model))]
    versions.sort(key=lambda model: str(model.modified_at), reverse=True)
    others = [str(model.model) for model in versions if model.model != current]
    for version in others[keep - 1 :]:
        client.delete(version)


@contextmanager
def _connected(settings: Settings, alias: str, path: Path, progress: Progress | None) -> Iterator[Client]:
    """Yield the official client; what the server refuses becomes ModelUnavailableError."""
    import ollama

    def count(request: httpx.Request) -> None:
        if progress and request.method == "POST" and request.url.path.startswith("/api/blobs/"):
            request.stream = _CountedStream(request, path.stat().st_size, progress)

    host = settings.ollama_host or OLLAMA_HOST
    api_key = settings.triage.api_key.get_secret_value() if settings.triage.api_key else None
    client = ollama.Client(
        host=host,
        timeout=TIMEOUT_S,
        follow_redirects=False,
        headers=bearer(api_key),
        event_hooks={"request": [count]},
    )
    try:
        with client:
            yield client
    except (ollama.ResponseError, ollama.RequestError, httpx.HTTPError, OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"Ollama at {host} did not take {alias}: {error}",
            hint="Is OLLAMA_HOST right, is SECURETAG_TRIAGE__API_KEY its key, and is its disk full?",
        ) from error


class _CountedStream(httpx.SyncByteStream):
    """A request's body that reports how much of it was sent."""

    def __init__(self, request: httpx.Request, total: int, progress: Progress) -> None:
        self._body, self._total, self._progress = request.stream, total, progress

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._body, httpx.SyncByteStream)
        sent = 0
        for block in self._body:
            yield block
            sent += len(block)
            self._progress("upload", sent, self._total)


def _has_blob(client: Client, digest: str) -> bool:
    # The official client has no call for HEAD; its connection knows the address and the headers.
    response = client._client.head(f"/api/blobs/{digest}")
    if response.status_code not in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
        response.raise_for_status()
    return bool(response.status_code == httpx.codes.OK)
