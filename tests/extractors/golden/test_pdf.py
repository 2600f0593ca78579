"""Hand-checked Records of the real PDF publications: each fact here was read off the rendered page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from long_books import with_long_ones

from securetag.extractors import catalog
from securetag.extractors.record_files import Extraction
from securetag.records import Record

pytestmark = [pytest.mark.mirror, pytest.mark.system]

Golden = Callable[[str], Extraction]
PUBLICATIONS = sorted(row.name for row in catalog.load().values() if row.reader == "pdf" and row.mirror)


def section(extraction: Extraction, tail: str) -> Record:
    """The Record whose key ends so."""
    (record,) = [record for record in extraction.records if record.key.endswith(tail)]
    return record


def page_of(extraction: Extraction, number: int) -> str:
    """Text of all Records that begin on a page."""
    return "\n".join(record.text for record in extraction.records if record.locator == f"page {number}")


@pytest.mark.slow
@pytest.mark.parametrize("name", with_long_ones(PUBLICATIONS))
def test_what_holds_of_every_publication(name: str, golden: Golden) -> None:
    extraction = golden(name)
    row = catalog.load()[name]
    keys = [record.key for record in extraction.records]
    assert len(set(keys)) == len(keys)
    for record in extraction.records:
        assert record.key.partition("#")[0] == row.options["key"]
        assert record.facts.section[0] == row.options["title"]
        assert record.lang == "en"
        assert record.url.endswith(f"#page={record.locator.removeprefix('page ')}")
        assert not re.search(r"(?:[.…] ?){6,}\d*$", record.text, re.M), record.key
        assert not re.search("[\ue000-\uf8ff\ufb00-\ufb06\u00ad\u200b]", record.text), record.key
        assert not re.search(r"^\|(?! .*\|$)", record.text, re.M), record.key  # rows are whole


def test_sp_800_52(golden: Golden) -> None:
    extraction = golden("nist-sp800-52r2")
    version = section(extraction, "#3-minimum-requirements-for-tls-servers/3-1-protocol-version-support")
    assert version.locator == "page 17"
    assert (
        "Servers that support government-only applications shall be configured to use TLS 1.2" in version.text
    )
    assert version.text.endswith("bring-your-own-device (BYOD) system.") or "BYOD" in version.text
    assert version.licence == "LicenseRef-US-Gov-Public-Domain"
    profile = section(extraction, "3-2-1-server-certificate-profile").text
    assert (
        "| Field | Critical | Value | Description |\n| --- | --- | --- | --- |\n| Version | N/A | 2 |"
        in profile
    )
    assert "| Extended Key Usage | No | id-kp-serverAuth {1 3 6 1 5 5 7 3 1} | Required |" in profile
    assert not any("free of charge" in record.text for record in extraction.records)
    assert not any("GUIDELINES FOR TLS IMPLEMENTATIONS" in record.text for record in extraction.records)
    assert extraction.report.dropped["a contents page"] == 3


def test_sp_800_57_has_no_margin_text_and_its_tables(golden: Golden) -> None:
    extraction = golden("nist-sp800-57pt1r5")
    assert not any("free of charge" in record.text for record in extraction.records)
    assert section(extraction, "/5-4-assurances").locator == "page 60"
    frames = section(extraction, "5-6-3-projected-security-strength-time-frames-and-current-approval-status")
    assert frames.locator == "page 72"
    assert "| Security Strength |  | Through 2030 | 2031 and Beyond |" in frames.text
    assert (
        "| 112 | Applying protection | Acceptable | Disallowed |\n|  | Processing |  | Legacy use |"
        in frames.text
    )
    periods = section(extraction, "5-3-6-cryptoperiod-recommendations-for-specific-key-types").text
    assert "| 17. Symmetric Authorization Key |" in periods
    assert "| Access control | Restricts resource access to only authorized entities. |" in page_of(
        extraction, 19
    )
    assert "2^128 SHA-256 hash operations" in " ".join(record.text for record in extraction.records)


def test_other_publications_of_nist(golden: Golden) -> None:
    status = golden("nist-sp800-131ar2")
    assert (
        "| SHA-1 | Digital signature generation | Disallowed, except where specifically allowed by"
        in " ".join(record.text for record in status.records)
    )
    gcm = golden("nist-sp800-38d")
    tags = section(gcm, "#appendix-c-requirements-and-guidelines-for-using-short-tags")
    assert tags.locator == "page 36"
    assert "| 2^5 | 2^22 |\n| 2^6 | 2^20 |\n| 2^7 | 2^18 |" in tags.text
    assert gcm.report.dropped["an empty page"] == 1
    fips = golden("nist-fips-140-2")  # its owner encrypted it; it opens without a password
    assert "|  | Security Level 1 | Security Level 2 | Security Level 3 | Security Level 4 |" in page_of(
        fips, 20
    )
    assert (
        "| Incorrect |  |\n| --- | --- |\n| Length of Run | Required Interval |\n| 1 | 2,343 – 2,657 |"
        in " ".join(record.text for record in fips.records)
    )
    assert fips.report.dropped["a contents page"] == 2
    juliet = golden("nist-juliet-java-guide")
    scope = section(juliet, "/section-2-test-case-scope")
    assert (
        "| Library | File |\n| --- | --- |\n| Apache Commons Codec 1.5 API | commons-code-1.5.jar |"
        in scope.text
    )
    assert "| Test Cases | 23,957 | 25,477 | 6.30% |" in scope.text
    building = section(juliet, "/6-3-compiling-an-individual-test-case").text
    assert re.search(r"^```\njavac? -cp \.\.\\lib\\servlet-api\.jar", building, re.M)


def test_top_10(golden: Golden) -> None:
    extraction, old = golden("owasp-top10-2017"), golden("owasp-top10-2013")
    risks = [record for record in extraction.records if re.search(r"#a\d+-", record.key)]
    assert sorted(int(record.locator.removeprefix("page ")) for record in risks) == list(range(8, 18))
    injection = section(extraction, "#a1-injection").text
    assert (
        "| App. Specific | Exploitability: 3 | Prevalence: 2 | Detectability: 3 | Technical: 3 |" in injection
    )
    headings = ["Is the Application Vulnerable?", "Example Attack Scenarios", "How to Prevent", "References"]
    places = [injection.index(f"### {heading}") for heading in headings]
    assert places == sorted(places)  # the left column first, then the right one
    assert "- CWE-564: Hibernate Injection" in injection
    factors = section(extraction, "#rf-details-about-risk-factors").text
    assert "EASY: 3 | COMMON: 2 | EASY: 3 | SEVERE: 3 | App Specific | 8.0 |" in factors
    assert "| A1-Injection | App Specific | EASY | COMMON | AVERAGE | SEVERE | App Specific |" in (
        section(old, "#f-details-about-risk-factors").text
    )
    assert old.report.dropped["a page of images only"] == 2
    assert {str(record.status) for record in [*extraction.records, *old.records]} == {"superseded"}
    comparison = golden("owasp-top10-comparison").records[0].text
    assert "| XML External Entity (XXE) |  |  |  |  |  | A4 | A5 |" in comparison


def test_asvs_as_pdf(golden: Golden) -> None:
    old, new = golden("owasp-asvs-4.0.3-pdf"), golden("owasp-asvs-5.0.0-pdf")
    passwords = section(old, "#v2-authentication/v2-1-password-security").text
    assert passwords.count("| \\# | Description | L1 | L2 | L3 | CWE | NIST § |") == 2
    assert "| 2.1.5 | Verify users can change their password. | ✓ | ✓ | ✓ | 620 | 5.1.1.2 |" in passwords
    assert "| 2.1.10 | Verify that there are no periodic credential rotation or password history" in passwords
    assert (old.report.dropped["a contents page"], new.report.dropped["a contents page"]) == (5, 6)
    encoding = section(new, "/v1-1-encoding-and-sanitization-architecture").text
    assert (
        "| \\# | Description | Level |\n| --- | --- | --- |\n| 1.1.1 | Verify that input is decoded"
        in encoding
    )
    generators = " ".join(record.text for record in new.records if "appendix-c" in record.key)
    assert "| XChaCha20 | XChaCha20 Draft | A |" in generators


@pytest.mark.long
def test_long_guides(golden: Golden) -> None:
    review = golden("owasp-code-review-guide-2")
    flags = section(review, "/a5-security-misconfiguration/fxcop").text
    assert (
        "| Rule | Description |\n| --- | --- |\n| EnableEventValidationShouldBeTrue | Verifies if the"
        in flags
    )
    testing = golden("owasp-testing-guide-4")
    roles = section(testing, "/test-role-definitions-otg-ident-001").text
    assert "| Role | Permission | Object | Constraints |" in roles
    assert "| Manager | Read | Customer records | Only records related to business unit |" in roles
    assert "To be most accurate" not in roles
    traversal = next(
        record
        for record in testing.records
        if record.key.endswith("traversal-file-include-otg-authz-001/summary")
    )
    assert traversal.locator == "page 80"
    assert "Many web applications use and manage files as part of their daily operation." in traversal.text
    everything = " ".join(record.text for record in testing.records)
    assert "web appli- cations" not in everything
    assert len(re.findall(r"[a-z]- [a-z]", everything)) < 60  # of 2,196 line-end hyphens
    assert testing.report.dropped["a contents page"] == 4


def test_the_quick_reference(golden: Golden) -> None:
    practices = golden("owasp-scp-quick-reference-2.1")
    assert any(
        "Conduct all data validation on a trusted system" in record.text for record in practices.records
    )


def test_checklists_and_cheat_sheets(golden: Golden) -> None:
    checklist = section(golden("owasp-pentest-checklist-1.1"), "#checklist").text  # pages on their side
    assert "| Category | Ref Number | Name | Objective | Notes |" in checklist
    assert "|  | OWASP-AD-002 | Application Lockout | Ensure that the application does not allow" in checklist
    ssrf = golden("owasp-ssrf-bible")
    schemes = section(ssrf, "#url-schema-support").text
    assert "| ldap | - | - | + | + | - |" in schemes
    assert "| http | + | + | + | + | + |" in schemes
    mapping = golden("owasp-proactive-controls-3-mapping")
    assert "| C4: Encode and Escape Data" in " ".join(record.text for record in mapping.records)
    controls = golden("owasp-proactive-controls-3")
    password = " ".join(record.text for record in controls.records)
    assert '\n  $password_hash = password_hash("secret_password", PASSWORD_DEFAULT' in password


def test_mitre_and_cncf(golden: Golden) -> None:
    (briefing,) = golden("mitre-cwe-rest-api-briefing").records
    assert "| {api-root}/collections/{id}/objects/ | GET, POST | envelope |" in briefing.text
    assert '"default": "https://cti-taxii.mitre.org/stix/",' in briefing.text
    assert "sponsored by" not in briefing.text  # the foot of every slide
    assert "```" in briefing.text
    example = section(golden("mitre-cwe-entry-example"), "#introduction-general-xml-format")
    assert "\n  <SubElement>\n  <Field1>content</Field1>\n" in example.text
    (charter,) = golden("mitre-cwe-rest-api-wg").records
    assert "The Working Group no longer meets regularly." in charter.text
    paper = golden("cncf-cloud-native-security-2")
    table = " ".join(record.text for record in paper.records)
    assert "| Security Checks in Development | PO.3.1 PO.3.2 PO.3.3 PO.5.1 PS.1.1 |" in table
    assert section(paper, "#cloud-native-layers/distribute/image-hardening").locator == "page 14"
    assert paper.report.dropped["a contents page"] == 1


def test_layouts_that_were_read_wrongly(golden: Golden) -> None:
    """Hand-checked on the rendered pages: figures, page marks, XML, notes, formulas, imprints, numbers."""
    review = golden("owasp-code-review-guide-2")
    sample = section(review, "/a7-missing-function-level-access-control/sample-13-1")
    assert sample.locator == "page 136"
    assert not any("CONTROLLER" in record.title for record in review.records)
    forms = section(review, "/sample-8-2").text
    assert "```\n<authentication mode=”Forms”>\n<forms loginUrl=”member_login.aspx”\n" in forms
    (briefing,) = golden("mitre-cwe-rest-api-briefing").records
    assert not re.search(r"\| \d+ \\?\|$", briefing.text.replace("\\", ""), re.M)
    entry = section(golden("mitre-cwe-entry-example"), "#annotated-example").text
    assert "groups of weaknesses" not in entry.partition("\n\n")[0]
    assert entry.partition("\n\n")[0].endswith("with a group of weaknesses, categories, and/or views.")
    assert (
        "\nno real distinction between the control and data planes.</xhtml:p>\n </Extended_Description>\n"
        in entry
    )
    tls = golden("nist-sp800-52r2")
    path = section(tls, "/3-5-1-path-validation").text
    assert "SP 800-131A [10] states that" in path
    assert section(tls, "/3-2-1-server-certificate-profile").text.endswith(
        "DSA and ECDSA key pairs, see [45]."
    )
    gcm = golden("nist-sp800-38d")
    assert "2. Let n = ⎡ len ( X ) 128 ⎤ ." in section(gcm, "/6-5-gctr-function").text
    encryption = section(gcm, "/7-1-algorithm-for-the-authenticated-encryption-function").text
    assert "6. Let T = MSB t ( GCTR K ( J 0 , S ) ) ." in encryption
    guide = golden("owasp-testing-guide-4")
    assert not any("You must attribute" in record.text for record in guide.records)
    assert section(guide, "#4-web-application-security-testing").locator == "page 29"
    coding = section(golden("owasp-scp-quick-reference-2.1"), "#session-management").text
    assert "\n\n[59] Session identifier creation must always be done on a trusted system" in coding


def test_headings_that_an_outline_leaves_out(golden: Golden) -> None:
    fips = golden("nist-fips-140-2")
    environment = section(fips, "#appendix-a-summary-of-documentation-requirements/operational-environment")
    assert environment.locator == "page 50"
    assert (
        section(fips, "/change-notice-1-superseded-by-change-notice-2/4-9-1-power-up-tests").locator
        == "page 64"
    )
    agreement = section(golden("nist-sp800-131ar2"), "#5-key-agreement-using-diffie-hellman-and-mqv")
    assert agreement.locator == "page 18"
    revision = section(golden("nist-sp800-57pt1r5"), "#appendix-c-revision-history/c-4-revision-4-2015")
    assert revision.locator == "page 163"


def test_headings_that_wrap_and_lines_below_a_repeated_place(golden: Golden) -> None:
    """Hand-checked on the rendered pages: what the order by baselines and the joined headings are about."""
    top = golden("owasp-top10-2017")
    assert section(top, "#a9-using-components-with-known-vulnerabilities").locator == "page 16"
    assert section(top, "#a10-insufficient-logging-monitoring").title.endswith(
        ": A10 Insufficient Logging & Monitoring"
    )
    tls = section(golden("nist-sp800-52r2"), "/3-3-1-1-cipher-suites-for-tls-1-2-and-earlier-versions")
    notes = tls.text.split("\n\n")[-2:]
    assert notes[0].startswith("The full list of IANA values for TLS parameters")
    assert notes[1].startswith("Perfect forward secrecy is the condition")
    fips = golden("nist-fips-140-2")
    chips = section(fips, "/multiple-chip-embedded-cryptographic-modules")  # the first line of its page
    assert chips.locator == "page 32"
    assert section(fips, "/4-10-2-delivery-and-operation").locator == "page 45"
    paper = golden("cncf-cloud-native-security-2")
    assert section(paper, "#cloud-native-layers/distribute/image-hardening").title.endswith(
        ": Cloud Native Layers: Image hardening"
    )


@pytest.mark.parametrize("name", with_long_ones(PUBLICATIONS))
def test_no_two_records_share_a_title(name: str, golden: Golden) -> None:
    titles = [record.title for record in golden(name).records]
    assert len(set(titles)) == len(titles)
