"""Publishing a GGUF of ours to an Ollama server through its API.

The weights go up as a blob, content-addressed, once; a create then names them together with template,
parameters and license. We upload a merged, quantized GGUF and let Ollama convert nothing.
API: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from securetag.errors import ConflictError, ModelUnavailableError
from securetag.serving import gguf, modelfile
from securetag.serving.registry import ModelEntry, Registry
from securetag.serving.runtime import CONTEXT
from securetag.settings import Settings

if TYPE_CHECKING:
    from ollama import Client

DEFAULT_HOST = "http://127.0.0.1:11434"
#: Seconds without a byte; storing a large blob and checking its digest takes a while.
TIMEOUT_S = 600.0


def publish(entry: ModelEntry, alias: str, settings: Settings, *, public: bool = False) -> str:
    """Make `alias` mean `entry` on the Ollama server of the settings; returns the alias.

    Publishing what is there already uploads nothing. Raises LicenceError for a name that the base's
    license forbids, ModelUnavailableError when the server is away or refuses, ConflictError when it
    shows another model afterwards.
    """
    import ollama

    modelfile.check_name(alias, entry, public=public)
    path = Registry(settings.models_dir).path(entry)
    pack = modelfile.choose_packaging(entry, gguf.chat_template(path), ctx=CONTEXT[settings.triage.profile])
    host = settings.ollama_host or DEFAULT_HOST
    client: Any = ollama.Client(host=host, timeout=TIMEOUT_S, follow_redirects=False)
    try:
        digest = f"sha256:{entry.file_sha256}"
        if not _has_blob(client, digest):
            digest = client.create_blob(path)
        client.create(
            model=alias,
            files={f"{entry.model_id[:16]}.gguf": digest},
            template=pack.template,
            system=pack.system,
            parameters=pack.parameters,
            license=pack.licences,
            stream=False,
        )
        shown = served_id(client, alias)
    except (ollama.ResponseError, ollama.RequestError, httpx.HTTPError, OSError, ValueError) as error:
        raise ModelUnavailableError(
            f"Ollama at {host} did not take {alias}: {error}",
            hint="Is OLLAMA_HOST right, and is its disk full?",
        ) from error
    finally:
        client.close()
    # The base's file is its publisher's and can't carry our key.
    if shown != entry.model_id and (shown or entry.adapter is not None):
        raise ConflictError(f"Ollama shows model {shown or 'without an id'} as {alias}, not {entry.model_id}")
    return alias


def served_id(client: Client, alias: str) -> str:
    """Return the model_id in the GGUF that an alias means there; empty for a model that isn't ours."""
    return str((client.show(alias).modelinfo or {}).get(gguf.MODEL_ID_KEY, ""))


def _has_blob(client: Client, digest: str) -> bool:
    # The official client has no call for HEAD; its connection knows the address and the headers.
    return bool(client._client.head(f"/api/blobs/{digest}").status_code == httpx.codes.OK)
