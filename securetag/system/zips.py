"""What damaged ZIP archives raise."""

from __future__ import annotations

import struct
import zipfile
import zlib

#: What `zipfile` raises for damaged bytes; OSError when a damaged offset is seeked to.
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
