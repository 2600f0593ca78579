"""Why a base can't be had from the Hugging Face hub, and what to do about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from securetag.errors import TrainingError

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
#: Seconds in which the hub must answer where a run could do without it; transformers' own tries take 60.
PROBE_S = 5.0


def can_read(repository: str, revision: str | None, *, timeout_s: float = PROBE_S) -> bool:
    """Return whether the hub gives this account a repository's configuration within `timeout_s` seconds."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, "config.json", revision=revision)
    answers: list[bool] = []

    def ask() -> None:
        try:
            get_hf_file_metadata(url, timeout=timeout_s)
        except Exception:  # whatever it is, transformers would fail with it too, and say it
            return
        answers.append(True)

    # In a thread, since no timeout of the client covers the look-up of the hub's name.
    thread = threading.Thread(target=ask, name="hub-probe", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return bool(answers)


def explain_failure(error: Exception, base: str) -> TrainingError:
    """Return the error of a base that transformers couldn't load, with the next step.

    Tells apart: no token for a gated base, a token that is refused, a license that wasn't accepted, no such
    repository, a repository without weights, and a hub that isn't reached.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    causes = list(_causes(error))
    refusal = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    status = refusal.response.status_code if refusal is not None else None
    if isinstance(refusal, GatedRepoError):
        if get_token() is None:
            return TrainingError(
                f"{base} is gated, and no HF_TOKEN is set",
                hint=f"Accept its license at https://huggingface.co/{base}, make a read token at "
                f"{TOKENS_PAGE}, and set HF_TOKEN (or HF_TOKEN_FILE).",
            )
        if status == 403:
            return TrainingError(
                f"the account of HF_TOKEN has not been let in to {base} (403)",
                hint=f"Accept its license at https://huggingface.co/{base} with that account, wait for the "
                "publisher's mail, and check that a fine-grained token may read gated repositories.",
            )
        return TrainingError(
            f"Hugging Face refuses HF_TOKEN for {base} ({status})", hint=f"Make another one at {TOKENS_PAGE}."
        )
    if isinstance(refusal, RepositoryNotFoundError):
        return TrainingError(
            f"Hugging Face has no {base}, or HF_TOKEN may not see it",
            hint="Check the recipe's base; a private repository needs a token of its owner.",
        )
    if any(isinstance(cause, LocalEntryNotFoundError | OfflineModeIsEnabled) for cause in causes):
        return TrainingError(
            f"{base} is not on this machine, and the Hugging Face hub isn't reached",
            hint="Look at the network and at HF_HUB_OFFLINE, or give the folder of the weights as `base`.",
        )
    if any("does not appear to have" in str(cause) for cause in causes):
        return TrainingError(
            f"{base} has no weights that transformers can load: {error}",
            hint="Give a repository or folder with config.json and *.safetensors, in transformers' form.",
        )
    return TrainingError(f"the base model {base} can't be loaded: {error}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
