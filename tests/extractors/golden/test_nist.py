"""Hand-checked Records of NIST's catalogs, frameworks and guidelines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.readers.registry import create_reader
from securetag.extractors.record_files import Extraction
from securetag.records import Record, Status
from securetag.settings import Settings

pytestmark = [pytest.mark.mirror, pytest.mark.system]

Golden = Callable[[str], Extraction]


def active(extraction: Extraction) -> dict[str, Record]:
    return {record.key: record for record in extraction.records if record.status is Status.ACTIVE}


def test_every_control_of_53_is_there_once(golden: Golden) -> None:
    extraction = golden("nist-sp800-53")
    assert extraction.report.by_status == {"active": 1008, "superseded": 428, "withdrawn": 182}
    counts = Counter(record.key for record in extraction.records if record.status is Status.ACTIVE)
    assert max(counts.values()) == 1
    kinds = Counter(record.facts.kind for record in active(extraction).values())
    assert kinds == {"control": 298, "enhancement": 709, "family": 1}
    editions = Counter(record.edition for record in active(extraction).values())
    assert editions == {"5.2.0": 149, "5.1.1+u4": 276, "5.0.1": 583}
    for record in extraction.records:
        assert "{{" not in record.text
        assert "_prm_" not in record.text
        assert "_odp" not in record.text
        assert "](" not in record.text


def test_controls_of_53(golden: Golden) -> None:
    controls = active(golden("nist-sp800-53"))
    policy = controls["AC-1"]
    assert policy.text.startswith(
        "- a. Develop, document, and disseminate to [Assignment: organization-defined personnel or roles]:\n"
        "  - 1. [Selection (one or more): organization-level; mission/business process-level; system-level] "
    )
    assert policy.facts.levels == ["LOW", "MODERATE", "HIGH", "PRIVACY"]
    assert policy.facts.related == ["IA-1", "PM-9", "PM-24", "PS-8", "SI-12"]
    assert policy.url.endswith("/SP_800_53_5_2_0/home?element=AC-01")
    attempts = controls["AC-7"].text
    assert (
        "[Selection (one or more): lock the account or node for [Assignment: organization-defined time"
        in attempts
    )
    assert "take other [Assignment: organization-defined action]] when" in attempts
    lock = controls["AC-11"]
    assert lock.facts.levels == ["MODERATE", "HIGH"]
    assert (
        "initiating a device lock after [Assignment: organization-defined time period] of inactivity"
        in lock.text
    )
    removal = controls["AC-2(2)"]
    assert (removal.facts.parents, removal.facts.kind) == (["AC-2"], "enhancement")
    assert "Automatically [Selection: remove; disable] temporary and emergency accounts after" in removal.text
    assert "time period for each type of account]" in removal.text
    assert "organization-defined [Selection (one or more): systems security; privacy] engineering" in (
        controls["SA-4(3)"].text
    )
    overview = controls["PM"]
    assert overview.title == "Program Management"
    assert overview.text.startswith("FISMA, PRIVACT, and OMB A-130 require federal agencies")
    assert "an access control policy is developed and documented" not in policy.text  # an assessment's words


def test_withdrawn_controls_of_53(golden: Golden) -> None:
    withdrawn = {r.key: r for r in golden("nist-sp800-53").records if r.status is Status.WITHDRAWN}
    assert len(withdrawn) == 182
    assert withdrawn["SI-7(14)"].facts.related == ["CM-7(8)"]
    assert withdrawn["SI-7(14)"].text == "Withdrawn: moved to CM-7(8)."
    assert withdrawn["AC-3(6)"].text == "Withdrawn: incorporated into MP-4 and SC-28."
    assert withdrawn["AC-2(10)"].facts.parents == ["AC-2"]
    assert withdrawn["CP-10(3)"].text.startswith("Addressed through tailoring.")
    assert len(withdrawn["SC-14"].facts.related) == 9
    moved = Counter("moved" if "moved to" in record.text else "other" for record in withdrawn.values())
    assert moved["moved"] == 34
    assert all(record.facts.levels == [] for record in withdrawn.values())


def test_levels_are_the_baselines_of_53b(golden: Golden) -> None:
    levels = Counter(
        level for record in active(golden("nist-sp800-53")).values() for level in record.facts.levels
    )
    assert levels == {"LOW": 149, "MODERATE": 287, "HIGH": 370, "PRIVACY": 102}


def test_xml_gives_what_json_gives(golden: Golden, mirror: Path, tmp_path: Path) -> None:
    source = golden("nist-sp800-53").source
    files = fetch(source, Settings(mirror=mirror, data=tmp_path))
    full = [file for file in files if "/v1.0.0/" in file.url]
    records_by_suffix = {
        file.path.suffix: {i.key: i for i in create_reader(source).read([file]) if isinstance(i, Record)}
        for file in full
    }
    assert set(records_by_suffix) == {".json", ".xml"}
    assert len(records_by_suffix[".json"]) == 1190
    assert {k: r.id for k, r in records_by_suffix[".json"].items()} == {
        k: r.id for k, r in records_by_suffix[".xml"].items()
    }


def test_csf(golden: Golden) -> None:
    extraction = golden("nist-csf")
    assert extraction.report.by_status == {"active": 134, "withdrawn": 91}
    kinds = Counter(record.facts.kind for record in active(extraction).values())
    assert kinds == {"function": 6, "category": 22, "subcategory": 106}
    keys = {record.key: record for record in extraction.records}
    assert sum(len(record.facts.examples) for record in keys.values()) == 363
    assert keys["GV"].title == "GOVERN"
    stakeholders = keys["GV.OC-02"]
    assert (stakeholders.title, len(stakeholders.facts.examples)) == ("Organizational Context: GV.OC-02", 2)
    assert stakeholders.facts.section == ["GOVERN", "Organizational Context"]
    rest = keys["PR.DS-01"]
    assert rest.text == "The confidentiality, integrity, and availability of data-at-rest are protected"
    assert len(rest.facts.examples) == 5
    assert keys["ID.BE"].text == "Withdrawn: incorporated into GV.OC."
    assert keys["ID.BE-04"].facts.related == ["GV.OC-04", "GV.OC-05"]
    assert keys["ID.AM-06"].status is Status.WITHDRAWN
    assert "POA&M" in "".join(keys["ID.RA-06"].facts.examples)


def test_csf_as_oscal_is_superseded_by_cprt(golden: Golden) -> None:
    old, new = golden("nist-csf-oscal"), golden("nist-csf")
    assert old.report.by_status == {"superseded": 134, "withdrawn": 79}
    assert active(old) == {}
    texts = {record.key: record.text for record in old.records if record.status is Status.SUPERSEDED}
    assert texts.keys() == active(new).keys()
    assert sum(text != active(new)[key].text for key, text in texts.items()) == 0


def test_ssdf(golden: Golden) -> None:
    extraction = golden("nist-ssdf")
    keys = active(extraction)
    assert Counter(r.facts.kind for r in keys.values()) == {"group": 4, "practice": 19, "task": 42}
    assert sum(len(record.facts.examples) for record in keys.values()) == 198
    assert keys["PO"].title == "Prepare the Organization"
    first = keys["PO.1.1"]
    assert first.title == "Define Security Requirements for Software Development: PO.1.1"
    assert first.facts.related == ["SA-1", "SA-8", "SA-15", "SR-3"]
    assert "- BSIMM: CP1.1, CP1.3, SR1.1, SR2.2, SE1.2, SE2.6" in first.text
    assert first.facts.parents == ["PO.1"]
    assert "https://doi.org/10.6028/NIST.SP.800-53r5" in first.facts.references
    assert "SA-8(3)" in keys["PO.1.2"].facts.related
    compilers = keys["PW.6.1"]
    assert len(compilers.facts.examples) == 3
    assert compilers.facts.section == [
        "Produce Well-Secured Software",
        "Configure the Compilation, Interpreter, and Build Processes to Improve Executable Security",
    ]


def test_digital_identity_guidelines(golden: Golden) -> None:
    extraction = golden("nist-sp800-63-3")
    keys = active(extraction)
    assert extraction.report.files == 55
    assert extraction.report.dropped["a page that holds nothing but other files"] == 4
    assert extraction.report.dropped["a file that no page includes"] == 4
    levels = keys["sp800-63b#4-authenticator-assurance-levels/4-1-authenticator-assurance-level-1"]
    assert levels.title == "NIST Special Publication 800-63B: 4.1 Authenticator Assurance Level 1"
    assert "* Memorized Secret (Section 5.1.1)" in levels.text
    assert levels.url == "https://pages.nist.gov/800-63-3/sp800-63b.html"
    by_title = {record.title: record for record in keys.values()}
    verifiers = by_title["NIST Special Publication 800-63B: 5.1.1.2 Memorized Secret Verifiers"]
    assert (
        "Verifiers SHALL require subscriber-chosen memorized secrets to be at least 8 characters"
        in verifiers.text
    )
    attack = by_title["NIST Special Publication 800-63-3: Active Attack"]
    assert attack.text.startswith(
        "An attack on the authentication protocol where the attacker transmits data"
    )
    assert (
        by_title["NIST Special Publication 800-63C: 9.2 Notice and Consent"]
        .facts.section[0]
        .endswith("800-63C")
    )
    assert by_title["NIST Special Publication 800-63A: 9 Usability Considerations"]
    for record in extraction.records:
        assert "{%" not in record.text
        assert "{{" not in record.text
        assert "<a name" not in record.text
        assert "&nbsp;" not in record.text


def test_texts_are_the_publisher_s_own(golden: Golden) -> None:
    """A few whole texts, read by eye against the files, pinned by their digest."""
    pins = {
        ("nist-sp800-53", "AC-2(1)"): "a4b10dca7ceb",
        ("nist-sp800-53", "AC-11"): "bddee81857f4",
        ("nist-sp800-53", "IA-5(1)"): "75c42fc21ae9",
        ("nist-csf", "GV.OC-01"): "649f5d3a9cb2",
        ("nist-csf", "PR.DS-01"): "c49efd3aeef2",
    }
    for (name, key), digest in pins.items():
        assert sha256(active(golden(name))[key].text.encode()).hexdigest()[:12] == digest
