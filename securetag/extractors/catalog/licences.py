"""SPDX expressions of the licenses that manifests and publishers name in their own words."""

from __future__ import annotations

#: Spellings of manifests and publishers → SPDX expressions.
LICENCES = {
    "LicenseRef-US-Gov-Public-Domain (17 USC 105)": "LicenseRef-US-Gov-Public-Domain",
    "Public Domain": "LicenseRef-US-Gov-Public-Domain",
    "GPL-3.0": "GPL-3.0-only",
    "CC0": "CC0-1.0",
    "LicenseRef-CVE-Terms-of-Use": "LicenseRef-MITRE-CVE-Terms-of-Use",
}


def to_spdx(licence: str) -> str:
    """Return the SPDX expression of a license as a manifest spells it; other texts as they are."""
    return LICENCES.get(licence, licence)
