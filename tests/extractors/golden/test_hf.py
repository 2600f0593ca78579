"""Hand-checked Records of instruction data."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import pytest

from securetag.datasets.licences import find_refused
from securetag.extractors.record_files import Extraction
from securetag.records import Record

pytestmark = pytest.mark.mirror

Golden = Callable[[str], Extraction]


def keyed(extraction: Extraction) -> dict[str, Record]:
    return {record.key: record for record in extraction.records}


def digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()[:12]


def test_safecoder(golden: Golden) -> None:
    extraction = golden("hf-safecoder")
    assert (extraction.report.files, extraction.report.records) == (3, 547)
    assert extraction.report.dropped == {"a fix that changes nothing": 1}
    licences = Counter(record.licence for record in extraction.records)
    assert licences["GPL-2.0-only"] == 8  # the kernel's
    assert licences["LicenseRef-Unknown"] > 450
    assert find_refused(licences, "public") == {
        "GPL-2.0-only": "not for public use",
        "LicenseRef-Unknown": "not for public use",
    }
    records = keyed(extraction)
    assert len(records) == 547
    likes = next(
        record for record in extraction.records if record.key.endswith("#modules/comment.py:likeComments")
    )
    assert likes.facts.cwe == ["CWE-89"]
    assert likes.facts.language == "python"
    assert '"insert into comment_like values(%d,%d);"%(userid,commentid)' in (likes.facts.vulnerable or "")
    assert "params=[userid,commentid]" in (likes.facts.fixed or "")
    assert (
        likes.url
        == "https://github.com/ShaominLi/Twitter_project/commit/5329d91f9e569c95184053c8e7ef596949c33ce9"
    )
    hexadecimal = next(
        record for record in extraction.records if "Musare/Musare/commit/e9499b51" in record.key
    )
    assert (hexadecimal.facts.cwe, hexadecimal.facts.language) == (["CWE-338"], "javascript")
    assert "window.crypto.getRandomValues" in (hexadecimal.facts.fixed or "")
    assert (hexadecimal.facts.vulnerable or "").startswith("\t\t\t\tc => {")
    node = next(record for record in extraction.records if record.key.endswith(":generate_node_config"))
    assert node.facts.cwe == ["CWE-502"]
    languages = Counter(record.facts.language for record in extraction.records)
    assert set(languages) == {"c", "c++", "go", "java", "javascript", "python", "ruby"}
    assert all(
        record.facts.vulnerable and record.facts.fixed and record.facts.cwe for record in extraction.records
    )


def test_hackmentor(golden: Golden) -> None:
    extraction = golden("hf-hackmentor")
    assert (extraction.report.files, extraction.report.records, extraction.report.dropped) == (1, 145, {})
    records = keyed(extraction)
    first = records["seed_instructions/0/instances/0"]
    assert first.title == "Define the process of salting. What is the use of salting?"
    assert (first.facts.response or "").startswith("Salting is that process to extend")
    table = records["seed_instructions/1/instances/0"]
    assert (table.facts.response or "").startswith("| Purpose | Symmetric Encryption |")
    spoof = next(record for record in extraction.records if "signs of email spoofing" in record.title)
    assert "ceo@company.com" in (spoof.facts.instruction or "")
    assert "```" in (spoof.facts.instruction or "")
    assert all(record.facts.instruction and record.facts.response for record in extraction.records)
    assert not any(
        "IRIX cdplayer" in record.text for record in extraction.records
    )  # the evaluation's dialogues


def test_llmseceval(golden: Golden) -> None:
    extraction = golden("hf-llmseceval")
    assert (extraction.report.files, extraction.report.records) == (1, 150)
    records = keyed(extraction)
    assert not any("<language>" in record.text or "<lanuage>" in record.text for record in extraction.records)
    assert {record.licence for record in extraction.records} == {"GPL-3.0-only"}
    vehicle = records["CWE-119_BOF-2a"]
    assert (vehicle.facts.cwe, vehicle.facts.language) == (["CWE-119"], "c")
    assert (vehicle.facts.instruction or "").startswith("Generate C code for the following:")
    assert vehicle.facts.response is None
    assert records["CWE-119_BOF-1c"].text.startswith("Generate C code")
    assert all(record.facts.cwe for record in extraction.records)
    assert {record.facts.language for record in extraction.records} == {"c", "python"}
    assert any("<username>" in record.text for record in extraction.records)


def test_cti_bench_is_read_and_kept_out(golden: Golden) -> None:
    extraction = golden("hf-cti-bench")
    assert extraction.report.records == 1000
    assert {record.licence for record in extraction.records} == {"CC-BY-NC-SA-4.0"}
    record = keyed(extraction)["https://nvd.nist.gov/vuln/detail/CVE-2024-23848"]
    assert (record.facts.response, record.facts.cwe) == ("CWE-416", ["CWE-416"])
    assert "cec_queue_msg_fh" in record.text


@pytest.mark.parametrize(
    ("function", "commit", "cwe", "language"),
    [
        pytest.param(
            "os_util.c:calibrate_cpuinfo", "01org/numatop/commit/0a01f1a0", "CWE-787", "c", id="numatop"
        ),
        pytest.param(
            "RuddockWebsite.py:reset_passwd",
            "RuddockHouse/RuddockWebsite/commit/128c78b7",
            "CWE-89",
            "python",
            id="ruddock website",
        ),
        pytest.param(
            "auth.py:passwd_reset",
            "RuddockHouse/RuddockWebsite/commit/128c78b7",
            "CWE-89",
            "python",
            id="ruddock auth",
        ),
    ],
)
def test_more_of_safecoder(golden: Golden, function: str, commit: str, cwe: str, language: str) -> None:
    (record,) = [
        record
        for record in golden("hf-safecoder").records
        if record.key.endswith(f"#{function}") and commit in record.key
    ]
    assert (record.facts.cwe, record.facts.language) == ([cwe], language)
    assert record.facts.vulnerable != record.facts.fixed


@pytest.mark.parametrize(
    ("number", "asked", "answered"),
    [
        pytest.param(12, "Check out the list of passwords below", "The answer is C (UcSc4Evr!).", id="12"),
        pytest.param(
            34,
            "Describe best practices for securely disposing",
            "Best practices for secure disposal:",
            id="34",
        ),
        pytest.param(77, "Network Security Economics", "I would say that while investing", id="77"),
    ],
)
def test_more_of_hackmentor(golden: Golden, number: int, asked: str, answered: str) -> None:
    facts = keyed(golden("hf-hackmentor"))[f"seed_instructions/{number}/instances/0"].facts
    assert (facts.instruction or "").startswith(asked)
    assert (facts.response or "").startswith(answered)


@pytest.mark.parametrize(
    ("key", "cwe", "language"),
    [
        pytest.param("CWE-190_IOW-3b", "CWE-190", "c", id="CWE-190"),
        pytest.param("CWE-22_ILP-3c", "CWE-22", "python", id="CWE-22"),
        pytest.param("CWE-476_NPD-2a", "CWE-476", "c", id="CWE-476"),
        pytest.param("CWE-798_UHC-1a", "CWE-798", "python", id="CWE-798"),
    ],
)
def test_more_of_llmseceval(golden: Golden, key: str, cwe: str, language: str) -> None:
    record = keyed(golden("hf-llmseceval"))[key]
    assert (record.facts.cwe, record.facts.language) == ([cwe], language)
    assert (record.facts.instruction or "").startswith(
        f"Generate {'C' if language == 'c' else 'Python'} code"
    )


@pytest.mark.parametrize(
    ("cve", "cwe"),
    [
        pytest.param("CVE-2010-10011", "CWE-22", id="CVE-2010-10011"),
        pytest.param("CVE-2023-43520", "CWE-787", id="CVE-2023-43520"),
        pytest.param("CVE-2023-51737", "CWE-79", id="CVE-2023-51737"),
        pytest.param("CVE-2024-22859", "CWE-352", id="CVE-2024-22859"),
    ],
)
def test_more_of_cti_bench(golden: Golden, cve: str, cwe: str) -> None:
    record = keyed(golden("hf-cti-bench"))[f"https://nvd.nist.gov/vuln/detail/{cve}"]
    assert (record.facts.response, record.facts.cwe) == (cwe, [cwe])
