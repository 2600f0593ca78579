"""A feed of NVD: our typed decoding, item by item, beside `json.loads`, in one run.

No yearly feed is small enough to be kept here, so one is made of the mirror's real items (from single
answers and pages of the API, 1 to 130 kB each), repeated in turn with ids of their own up to 64 MiB; real
ones have some 30 MB (2002) to 250 MB (2024). Without a mirror there is nothing to measure.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.measure import least_cpu_s, peak_mb
from securetag.extractors.catalog import check_availability, get_source
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.advisories.nvd import decode_cves
from securetag.extractors.readers.registry import create_reader
from securetag.records import Record
from securetag.settings import get_settings
from securetag.settings.sections import FetchSettings

SOURCE = "nist-nvd"
FEED_BYTES = 64 * 2**20
#: Runs of each; the least counts, since whatever else the machine does only adds.
RUNS = 3
#: Records are made of a part of the feed: their text costs far more than decoding.
SAMPLE_BYTES = 4 * 2**20
#: Prints the MiB by which decoding a file raises the peak of a process that has imported all it needs.
#: VmHWM starts anew with the process; ru_maxrss on Linux would start at what its parent holds.
MEMORY = """
import json, re, sys
from pathlib import Path
from securetag.extractors.readers.advisories.nvd import decode_cves as decode
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
with open(sys.argv[1], "rb") as file:
    data = file.read()
if sys.argv[2] == "json":
    kept = json.loads(data)
else:
    for kept in decode(data):
        pass
print(peak() - before)
"""


def measure() -> Iterator[Figure]:
    """CPU-seconds and memory of decoding, then what reading end to end costs."""
    settings = get_settings()
    settings = settings.model_copy(update={"fetch": FetchSettings(mode="mirror")})
    source = get_source(SOURCE, settings)
    if not check_availability(source, settings):
        return
    with tempfile.TemporaryDirectory() as folder:
        items = list(_items(fetch(source, settings.model_copy(update={"data": Path(folder)}))))
        path, sample = Path(folder) / "feed.json", Path(folder) / "sample.json"
        path.write_bytes(feed(items, FEED_BYTES))
        sample.write_bytes(feed(items, SAMPLE_BYTES))
        yield from _decoding(path.read_bytes())
        yield from _memory(path)
        file = FetchedFile(sample, "https://example.org/", "0" * 64, "", "CC0-1.0")
        started = time.process_time()
        records = sum(isinstance(item, Record) for item in create_reader(source).read([file]))
        spent = time.process_time() - started
        yield Figure(
            figure="NVD: Records, end to end",
            value=round(records / spent),
            unit="Records/CPU-s",
            peer=f"{records:,} Records: Markdown, versions, languages, ids",
        )


def _items(files: list[FetchedFile]) -> Iterator[str]:
    """Real items as JSON, their ids replaced by a mark."""
    for file in files:
        for item in json.loads(file.path.read_bytes())["vulnerabilities"]:
            yield json.dumps(item | {"cve": item["cve"] | {"id": "@@"}})


def feed(items: list[str], size: int) -> bytes:
    """The envelope of a feed with the items over and over, at least `size` bytes."""
    parts, length = [], 0
    for number in count():
        if length >= size:
            break
        parts.append(items[number % len(items)].replace("@@", f"CVE-2031-{number:06}", 1))
        length += len(parts[-1]) + 2
    total = len(parts)
    head = f'{{"resultsPerPage": {total}, "startIndex": 0, "totalResults": {total}, "format": "NVD_CVE", '
    return f'{head}"version": "2.0", "vulnerabilities": [{", ".join(parts)}]}}'.encode()


def _decoding(data: bytes) -> Iterator[Figure]:
    def typed() -> None:
        for _ in decode_cves(data):
            pass

    ours, peer = least_cpu_s(typed, runs=RUNS), least_cpu_s(lambda: json.loads(data), runs=RUNS)
    yield Figure(
        figure=f"NVD: decoding a feed of {len(data) / 1e6:.0f} MB",
        value=round(peer / ours, 2),
        unit="x",
        peer=f"json.loads: {peer:.3f} CPU-s, ours {ours:.3f}",
        bar="≥ 2",
        ok=peer / ours >= 2,
    )


def _memory(path: Path) -> Iterator[Figure]:
    size = path.stat().st_size / 2**20
    ours, peer = (peak_mb(MEMORY, path, who) / size for who in ("ours", "json"))
    yield Figure(
        figure="NVD: peak memory of decoding",
        value=round(ours, 2),
        unit="x file size",
        peer=f"json.loads: {peer:.2f}",
        bar="≤ 2",
        ok=ours <= 2,
    )
