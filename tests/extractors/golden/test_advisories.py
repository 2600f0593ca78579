"""Hand-checked Records of the real publications of vulnerabilities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from securetag.extractors import catalog
from securetag.extractors.record_files import Extraction
from securetag.extractors.text import prose
from securetag.records import Record, Status
from securetag.settings import Settings

pytestmark = pytest.mark.mirror

Golden = Callable[[str], Extraction]
VENDORS_SCORE = "CVSS:4.0/AV:A/AC:L/AT:P/PR:L/UI:P/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"


def keyed(extraction: Extraction, lang: str = "en") -> dict[str, Record]:
    records = [record for record in extraction.records if record.lang == lang]
    by_key = {record.key: record for record in records}
    assert len(by_key) == len(records)
    return by_key


def languages(extraction: Extraction) -> Counter[str]:
    return Counter(record.lang for record in extraction.records)


def test_nvd(golden: Golden) -> None:
    extraction = golden("nist-nvd")
    assert languages(extraction) == {"en": 67, "es": 55}
    nvd = keyed(extraction)
    apparmor = nvd["CVE-2016-1585"].facts
    assert (apparmor.cvss, apparmor.cvss_vector) == (9.8, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
    assert (apparmor.cwe, apparmor.packages) == ([], ["canonical/apparmor"])  # NVD-CWE-noinfo is no weakness
    assert "`< 2.13.10`; `≥ 3.0.0, < 3.0.12`; `≥ 3.1.0, < 3.1.6`" in nvd["CVE-2016-1585"].text
    assert "Versiones afectadas" in keyed(extraction, "es")["CVE-2016-1585"].text
    # NVD's score outweighs the CNA's, also a newer CVSS version's; a CNA's outweighs none.
    scores = {
        key: nvd[f"CVE-{key}"].facts.cvss for key in ("2022-2956", "2025-4565", "2018-14618", "2023-22068")
    }
    assert scores == {"2022-2956": 6.1, "2025-4565": 5.3, "2018-14618": 9.8, "2023-22068": 4.9}
    bare = nvd["CVE-2023-43250"]
    assert (bare.facts.cvss, bare.facts.cwe, bare.status) == (None, [], Status.SUPERSEDED)
    assert "NVD has not finished its analysis" in bare.text
    assert "NVD does not plan to analyse" in nvd["CVE-2016-1897"].text
    assert "no longer supported" in nvd["CVE-2016-15012"].text
    xz = nvd["CVE-2024-3094"]
    assert (xz.facts.cvss, xz.facts.severity, xz.facts.cwe) == (10.0, "critical", ["CWE-506"])
    assert "exploitation none, automatable yes, technical impact total" in xz.text


def test_metrics_in_words(golden: Golden) -> None:
    nvd = keyed(golden("nist-nvd"))
    scored = [record for record in golden("nist-nvd").records if record.facts.cvss_vector]
    assert all(record.facts.cvss_metrics for record in scored if record.lang in ("en", "es"))
    for source, key, lang, entry in (
        ("nist-nvd", "CVE-2016-1585", "en", "AV:N: the attack comes over a network"),
        ("nist-nvd", "CVE-2023-4863", "en", "UI:R: another person has to act"),
        ("nist-nvd", "CVE-2018-14618", "es", "PR:N: no se necesitan privilegios"),
        (
            "nist-nvd",
            "CVE-2024-47177",
            "es",
            "AC:H: tienen que darse condiciones que el atacante no controla",
        ),
        ("mitre-cve-list", "CVE-2024-3094", "en", "A:H: availability is lost entirely"),
        ("rustsec-advisories", "RUSTSEC-2024-0367", "en", "C:L: some confidentiality is lost"),
    ):
        assert entry in keyed(golden(source), lang)[key].facts.cvss_metrics, key
    assert "US federal agencies had to act by 2023-10-04." in nvd["CVE-2023-4863"].text


def test_cve_list(golden: Golden) -> None:
    published, enriched = golden("mitre-cve-list"), golden("cisa-vulnrichment")
    assert (len(published.records), len(keyed(enriched))) == (10, 308)
    assert languages(enriched) == {"en": 308, "de": 29}
    german = keyed(enriched, "de")["CVE-2024-1008"]
    assert "wurde eine kritische Schwachstelle ausgemacht" in german.text
    cve = keyed(enriched)
    assert "Schwachstelle" not in cve["CVE-2024-1008"].text
    assert cve["CVE-2024-1008"].facts.cvss == 4.7
    rejected = cve["CVE-2024-25285"]
    assert rejected.status is Status.REJECTED
    assert "issued in error" in rejected.text
    # Only CISA's container scores these; Apple's problem type is prose, so the weakness is CISA's too.
    assert cve["CVE-2024-23142"].facts.cvss == 8.8
    assert (cve["CVE-2024-23265"].facts.cvss, cve["CVE-2024-23265"].facts.cwe) == (9.8, ["CWE-400"])
    assert cve["CVE-2024-23897"].facts.cwe == ["CWE-27"]
    affected = {
        "CVE-2024-26806": "- Linux/Linux: `≥ 6.7`, fixed in `6.7.9` (`6.7.*`) and `6.8`",
        "CVE-2024-27050": "- Linux/Linux: `≥ 6.6`, fixed in `6.6.23` (`6.6.*`), `6.7.11` (`6.7.*`)",
        "CVE-2024-22157": "- WebWizards/SalesKing: `≤ 1.6.15`, fixed in `1.6.30`",
        "CVE-2024-23522": "- Strategy11 Form Builder Team/Formidable Forms: `≤ 6.7`, fixed in `6.7.1`",
        "CVE-2024-3400": "`≥ 10.2.0, < 10.2.9-h1`; `≥ 11.0.0, < 11.0.4-h1`; `≥ 11.1.0, < 11.1.2-h3`",
    }
    for key, sentence in affected.items():
        assert sentence in cve[key].text, key
    log4j = keyed(published)["CVE-2021-44228"].text
    assert "`≥ 2.0-beta9, < 2.3.1`; `≥ 2.4, < 2.12.2`; `≥ 2.13.0, < 2.15.0`" in log4j
    exploited = {key for key, record in cve.items() if record.facts.exploited}
    assert {"CVE-2024-3400", "CVE-2024-4577", "CVE-2024-8957"} <= exploited
    assert len(exploited) == 8
    assert keyed(published)["CVE-2021-44228"].facts.exploited
    assert "disputed" in keyed(published)["CVE-2021-26917"].text
    assert cve["CVE-2024-3094"].facts.packages == ["xz"]  # Red Hat's products are listed as unaffected
    assert not [key for key, record in cve.items() if re.search(r"<(span|p|br|div|li)\b", record.text)]


def test_kev(golden: Golden) -> None:
    extraction, rows = golden("cisa-kev"), golden("cisa-kev-csv")
    kev = keyed(extraction)
    assert (len(kev), extraction.report.dropped) == (
        1404,
        {"a JSON schema, which describes the catalog and is none": 1},
    )
    assert {(r.key, r.title, r.text) for r in rows.records} == {
        (r.key, r.title, r.text) for r in extraction.records
    }
    assert sum("ransomware campaigns" in record.text for record in kev.values()) == 293
    log4j = kev["CVE-2021-44228"]
    assert log4j.facts.cwe == ["CWE-20", "CWE-400", "CWE-502"]
    assert (log4j.facts.published, log4j.facts.packages) == ("2021-12-10", ["Apache/Log4j2"])
    assert "by 2021-12-24" in log4j.text
    assert kev["CVE-2025-48384"].title == "CVE-2025-48384: Git Link Following Vulnerability"
    assert kev["CVE-2017-0144"].facts.published == "2022-02-10"
    assert sum(not record.facts.cwe for record in kev.values()) == 152
    assert all(record.facts.exploited for record in kev.values())


def test_github(golden: Golden) -> None:
    ghsa = keyed(golden("github-advisories"))
    assert len(ghsa) == 10
    resteasy = ghsa["GHSA-29qj-rvv6-qrmv"].facts
    assert (resteasy.cvss, resteasy.severity, resteasy.cwe) == (5.4, "medium", ["CWE-79"])
    assert (resteasy.aliases, resteasy.published) == (["CVE-2020-10688"], "2021-06-15")
    assert "`< 3.11.1.Final`; `≥ 4.0.0, < 4.5.3.Final`" in ghsa["GHSA-29qj-rvv6-qrmv"].text
    assert ghsa["GHSA-2jm2-2p35-rp3j"].facts.cvss == 8.8
    assert ghsa["GHSA-2hjr-vmf3-xwvp"].facts.cvss_vector == VENDORS_SCORE
    unscored = ghsa["GHSA-8hxh-r6f7-jf45"].facts
    assert (unscored.cvss, unscored.severity, unscored.aliases) == (None, "low", [])
    assert ghsa["GHSA-wjxc-pjx9-4wvm"].facts.packages == ["crates.io/ckb"]


def test_pypa(golden: Golden) -> None:
    extraction = golden("pypa-advisories")
    pysec = keyed(extraction)
    assert extraction.report.by_status == {"superseded": 363, "withdrawn": 3}
    assert pysec["PYSEC-2023-73"].status is pysec["PYSEC-2023-101"].status is Status.WITHDRAWN
    smuggling = pysec["PYSEC-2023-120"]
    assert smuggling.title.endswith("HTTP request smuggling via llhttp HTTP request parser")
    assert smuggling.facts.aliases == ["GHSA-45c4-8wx5-qw6w", "CVE-2023-37276"]
    assert "\n```python\nfrom aiohttp import web\n" in smuggling.text
    assert "- PyPI/aiohttp: `< 3.8.5`" in smuggling.text
    assert pysec["PYSEC-2023-45"].facts.published == "2023-03-26"
    assert pysec["PYSEC-2023-246"].title == "PYSEC-2023-246 (PyPI/aiohttp)"  # most have no summary
    assert sum(record.facts.cvss is None for record in pysec.values()) == 194


def test_go(golden: Golden) -> None:
    extraction = golden("go-vulndb")
    go = keyed(extraction)
    assert extraction.report.by_status == {"superseded": 224, "withdrawn": 1}
    assert go["GO-2025-3408"].status is Status.WITHDRAWN
    assert go["GO-2025-3408"].facts.published is None  # the year 1
    assert "- `github.com/hashicorp/yamux`: `Client`, `DefaultConfig`, `Server`" in go["GO-2025-3408"].text
    traefik = go["GO-2026-6211"]
    assert traefik.facts.aliases == ["CVE-2026-54763", "GHSA-x677-9fxg-v5c5"]
    assert "- Go/github.com/traefik/traefik/v3: `< 3.6.22`; `≥ 3.7.0, < 3.7.6`" in traefik.text
    assert "- Go/github.com/traefik/traefik: all versions\n" in traefik.text
    assert traefik.url == "https://pkg.go.dev/vuln/GO-2026-6211"
    assert {record.facts.cvss for record in go.values()} == {None}


def test_rustsec(golden: Golden) -> None:
    extraction = golden("rustsec-advisories")
    rust = keyed(extraction)
    assert extraction.report.by_status == {"superseded": 134, "withdrawn": 1}
    ring = rust["RUSTSEC-2025-0007"]
    assert (ring.title, ring.status) == ("RUSTSEC-2025-0007: *ring* is unmaintained", Status.WITHDRAWN)
    assert "# Update: security maintenance only" in ring.text
    gix = rust["RUSTSEC-2024-0355"]
    assert gix.title == "RUSTSEC-2024-0355: gix-path can use a fake program files location"
    assert gix.facts.aliases == ["CVE-2024-40644", "GHSA-mgvv-9p9g-3jv4"]
    assert (gix.facts.cvss, gix.facts.platforms, gix.facts.published) == (6.8, ["windows"], "2024-07-18")
    assert gix.facts.mitigations == ["Patched versions of `gix-path`: `>= 0.10.9`."]
    assert "#[cfg(windows)]\npub(super) static ALTERNATIVE_LOCATIONS" in gix.text
    assert rust["RUSTSEC-2024-0375"].facts.severity == "info"
    assert rust["RUSTSEC-2024-0003"].facts.related == ["CVE-2019-9514"]
    taken_over = [key for key, record in rust.items() if record.licence != "CC0-1.0"]
    assert (taken_over, rust["RUSTSEC-2024-0334"].licence) == (["RUSTSEC-2024-0334"], "CC-BY-4.0")


def test_csaf(golden: Golden) -> None:
    extraction = golden("cisa-csaf")
    csaf = keyed(extraction)
    assert (len(csaf), sum(extraction.report.dropped.values())) == (82, 1)
    advisories = Counter(key.split("/")[0] for key in csaf)
    assert (len(advisories), advisories["ICSA-24-102-08"], advisories["VA-24-201-01"]) == (16, 47, 3)
    codemeter = csaf["ICSA-24-004-01/CVE-2023-38545"]
    assert codemeter.facts.cwe == ["CWE-787"]
    assert "- Rockwell Automation Factory Talk Activation Manager:" in codemeter.text
    assert "Upgrade to FactoryTalk Activation Manager 5.01" in codemeter.text
    assert codemeter.url == "https://www.cisa.gov/news-events/ics-advisories/icsa-24-004-01"
    adminer = csaf["VA-24-201-01/CVE-2023-45195"]
    assert (adminer.facts.cvss, adminer.facts.aliases) == (5.3, ["CVE-2023-45195"])
    assert "Adminer (all versions): Adminer is no longer maintained." in adminer.text
    assert not [key for key, record in csaf.items() if "CSAFPID" in record.text or "warrant" in record.text]


def test_merged(golden: Golden) -> None:
    extraction = golden("cve-merged")
    assert extraction.report.failures == []
    assert extraction.report.by_status == {"active": 2649, "rejected": 1, "withdrawn": 5}
    assert len({(record.key, record.lang) for record in extraction.records}) == len(extraction.records)
    for record in extraction.records:
        assert prose.find_residue(record.text) == [], record.key
    merged = keyed(extraction)
    aliases = [alias for record in merged.values() for alias in (record.key, *record.facts.aliases)]
    # Two flaws of tor-circmgr, each with its CVE: RustSec gives the first advisory both CVEs and GHSAs.
    assert {name for name, count in Counter(aliases).items() if count > 1} == {
        "RUSTSEC-2024-0339",
        "TROVE-2024-003",
        "GHSA-9328-gcfq-p269",
        "GHSA-c96h-cxx6-rmg9",
    }
    assert "RUSTSEC-2024-0340" in merged["CVE-2024-35313"].facts.aliases
    assert "RUSTSEC-2024-0340" not in merged["CVE-2024-35312"].facts.aliases
    urllib3 = merged["CVE-2023-45803"]
    assert urllib3.facts.aliases == ["PYSEC-2023-212", "GHSA-g4mx-q9vg-27p4"]
    assert (urllib3.facts.cvss, urllib3.facts.cwe) == (4.2, ["CWE-200"])
    assert {"python/urllib3", "PyPI/urllib3"} <= set(urllib3.facts.packages)
    assert urllib3.text.count("urllib3 is a user-friendly HTTP client library") == 1
    assert urllib3.licence == (
        "CC-BY-4.0 AND LicenseRef-MITRE-CVE-Terms-of-Use AND LicenseRef-US-Gov-Public-Domain"
    )
    log4j = merged["CVE-2021-44228"]
    assert (log4j.facts.exploited, log4j.facts.cvss) == (True, 10.0)
    assert "ransomware campaigns" in log4j.text
    assert merged["GHSA-8hxh-r6f7-jf45"].facts.aliases == []
    assert merged["CVE-2024-25285"].status is Status.REJECTED
    assert "malicioso" in keyed(extraction, "es")["CVE-2024-3094"].text


def test_nothing_of_what_was_merged_is_active_beside_it(golden: Golden, mirror: Path, tmp_path: Path) -> None:
    settings = Settings(mirror=mirror, data=tmp_path)
    parts = catalog.list_usable_parts(catalog.load()["cve-merged"], settings)
    assert len(parts) == 9
    records = [record for row in parts for record in golden(row.name).records]
    assert Status.ACTIVE not in {record.status for record in records}
    locators = " ".join(record.locator for record in golden("cve-merged").records)
    unused = [r for r in records if f"{r.source}:{r.id}" not in locators and r.status is Status.SUPERSEDED]
    assert unused == []
