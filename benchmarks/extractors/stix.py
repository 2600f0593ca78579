"""All of ATT&CK as one STIX bundle: our typed decoding beside `json.loads`, in one run."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.measure import least_cpu_s, peak_mb
from securetag.extractors.catalog import get_source
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.mitre.attack import AttackReader
from securetag.extractors.readers.registry import create_reader
from securetag.records import Record
from securetag.settings import get_settings

SOURCE = "mitre-attack-enterprise-15.0"
#: Runs of each; the least counts, since whatever else the machine does only adds.
RUNS = 5
#: Prints the MiB by which decoding a file raises the peak of a process that has imported all it needs.
#: VmHWM starts anew with the process; ru_maxrss on Linux would start at what its parent holds.
MEMORY = """
import json, re, sys
from pathlib import Path
from securetag.extractors.readers.mitre.attack import AttackReader
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
with open(sys.argv[1], "rb") as file:
    data = file.read()
kept = json.loads(data) if sys.argv[2] == "json" else AttackReader.kinds.decode(data, "")
print(peak() - before)
"""


def measure() -> Iterator[Figure]:
    """CPU-seconds and memory of decoding, then what reading end to end costs."""
    with tempfile.TemporaryDirectory() as folder:
        settings = get_settings()
        source = get_source(SOURCE, settings)
        (file,) = fetch(source, settings.model_copy(update={"data": Path(folder)}))
        yield from _decoding(file.path.read_bytes())
        yield from _memory(file)
        reader = create_reader(source)
        started = time.process_time()
        records = sum(isinstance(item, Record) for item in reader.read([file]))
        spent = time.process_time() - started
        yield Figure(
            figure=f"STIX: {records:,} Records, end to end",
            value=round(spent, 2),
            unit="CPU-s",
            peer="joins, Markdown, language, ids",
        )


def _decoding(data: bytes) -> Iterator[Figure]:
    ours = least_cpu_s(lambda: AttackReader.kinds.decode(data, ""), runs=RUNS)
    peer = least_cpu_s(lambda: json.loads(data), runs=RUNS)
    yield Figure(
        figure=f"STIX: decoding {len(data) / 1e6:.1f} MB",
        value=round(peer / ours, 2),
        unit="x",
        peer=f"json.loads: {peer:.3f} CPU-s, ours {ours:.3f}",
        bar="≥ 2.5",
        ok=peer / ours >= 2.5,
    )


def _memory(file: FetchedFile) -> Iterator[Figure]:
    size = file.path.stat().st_size / 2**20
    ours, peer = (peak_mb(MEMORY, file.path, who) / size for who in ("ours", "json"))
    yield Figure(
        figure="STIX: peak memory of decoding",
        value=round(ours, 2),
        unit="x file size",
        peer=f"json.loads: {peer:.2f}",
        bar="≤ 2",
        ok=ours <= 2,
    )
