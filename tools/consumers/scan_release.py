"""Run in an environment of its own: credentials and e-mail addresses in a release, by tools of others.

`python scan_release.py RELEASE OUT` writes to OUT what CredSweeper (rules and its model) reports on the texts
of the rows, and the e-mail addresses that Presidio finds, as JSON: {"credentials": [[row, rule, severity,
probability, line]], "addresses": {address: rows}}. Each row is a file to CredSweeper, so that a line's
neighbors are its own.
"""

import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path


def main() -> None:
    """Scan every row. No network: Presidio judges addresses by the list of domains that it brings."""
    import tldextract
    from credsweeper.app import CredSweeper
    from credsweeper.common.constants import Severity, ThresholdPreset
    from credsweeper.file_handler.files_provider import FilesProvider
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    release, out = Path(sys.argv[1]), Path(sys.argv[2])
    addresses: Counter[str] = Counter()
    emails = EmailRecognizer()
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "validation", "test"):
            with (release / f"{split}.jsonl").open(encoding="utf-8") as lines:
                for line in lines:
                    row = json.loads(line)
                    text = "\n".join(message["content"] for message in row["messages"])
                    if "@" in text:
                        hits = emails.analyze(text, ["EMAIL_ADDRESS"], None)
                        addresses.update({text[hit.start : hit.end] for hit in hits})
                    if re.search(r"[=:]|-----BEGIN|[A-Za-z0-9+/_-]{16,}", text):
                        Path(folder, f"{row['id']}.txt").write_text(text, encoding="utf-8")
        report = out.with_suffix(".credsweeper.json")
        sweeper = CredSweeper(
            json_filename=str(report),
            ml_threshold=ThresholdPreset.medium,
            severity=Severity.MEDIUM,
            pool_count=1,
        )
        sweeper.run(content_provider=FilesProvider([folder]))
        credentials = [
            [
                os.path.basename(entry["path"]).removesuffix(".txt"),
                finding["rule"],
                finding["severity"],
                finding["ml_probability"],
                entry["line"],
            ]
            for finding in json.loads(report.read_text("utf-8"))
            for entry in finding["line_data_list"]
        ]
        report.unlink()
    out.write_text(json.dumps({"credentials": credentials, "addresses": dict(addresses)}), encoding="utf-8")


if __name__ == "__main__":
    main()
