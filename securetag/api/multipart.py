"""The parser of multipart forms, without the clients of clouds that it would import.

`streaming_form_data` imports `smart_open` for targets that aren't used here, and that imports the client of
every cloud that is installed: 44 MiB of memory and a second of each start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def _replaced(name: str) -> Iterator[None]:
    """Let what is imported in the block find an empty module of this name, unless the real one is there."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


with _replaced("smart_open"):
    from streaming_form_data import ParseFailedException, StreamingFormDataParser
    from streaming_form_data.parser import UnexpectedPartException
    from streaming_form_data.targets import BaseTarget

__all__ = ["BaseTarget", "ParseFailedException", "StreamingFormDataParser", "UnexpectedPartException"]
