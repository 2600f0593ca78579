"""What may not stay in a text: secrets, personal data, and the control tokens of chat templates.

`scrub` is for code and findings that leave a tenant, `scrub_document` for a user's documents, `escape_tokens`
for any text that a tokenizer reads::

    from securetag.scrubbing import scrub_document

    scrub_document("the new password is hunter2-Prod!").counts  # {"secret": 1}
"""

from __future__ import annotations

from securetag.scrubbing.control_tokens import (
    CONTROL_TOKENS_KEY,
    AddedToken,
    escape_tokens,
    list_control_tokens,
    read_tokens,
    write_tokens,
)
from securetag.scrubbing.documents import scrub_document
from securetag.scrubbing.scrub import Scrubbed, scrub

__all__ = [
    "CONTROL_TOKENS_KEY",
    "AddedToken",
    "Scrubbed",
    "escape_tokens",
    "list_control_tokens",
    "read_tokens",
    "scrub",
    "scrub_document",
    "write_tokens",
]
