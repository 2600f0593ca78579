"""SPDX expressions of the licenses that manifests, publishers and packages name in their own words."""

from __future__ import annotations

from collections.abc import Iterable

#: Spellings of manifests and publishers → SPDX expressions.
LICENCES = {
    "LicenseRef-US-Gov-Public-Domain (17 USC 105)": "LicenseRef-US-Gov-Public-Domain",
    "Public Domain": "LicenseRef-US-Gov-Public-Domain",
    "GPL-3.0": "GPL-3.0-only",
    "CC0": "CC0-1.0",
    "LicenseRef-CVE-Terms-of-Use": "LicenseRef-MITRE-CVE-Terms-of-Use",
}
#: Of code whose license nobody could read.
UNKNOWN_LICENCE = "LicenseRef-Unknown"
MAX_EXPRESSION_CHARS = 200
#: What authors of packages write instead of an SPDX identifier, in lower case.
_PACKAGE_NAMES = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "mit license": "MIT",
    "the mit license": "MIT",
    "3-clause bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "mpl 2.0": "MPL-2.0",
    "agpl-3.0": "AGPL-3.0-only",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
}
#: Classifiers that stand for one license; those of families (`BSD License`) don't say which.
_CLASSIFIERS = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
}


def to_spdx(licence: str) -> str:
    """Return the SPDX expression of a license as a manifest spells it; other texts as they are."""
    return LICENCES.get(licence, licence)


def name_to_spdx(name: str) -> str:
    """Return the SPDX expression of what a package's author wrote; UNKNOWN_LICENCE where it is none."""
    from license_expression import ExpressionError, get_spdx_licensing

    words = " ".join(name.split())
    if spdx := _PACKAGE_NAMES.get(words.lower()):
        return spdx
    if len(words) > MAX_EXPRESSION_CHARS:  # the text of a license
        return UNKNOWN_LICENCE
    licensing = get_spdx_licensing()
    try:
        parsed = licensing.parse(words, validate=True)
    except ExpressionError:
        return UNKNOWN_LICENCE
    return UNKNOWN_LICENCE if parsed is None else to_spdx(str(parsed))


def classifiers_to_spdx(classifiers: Iterable[str]) -> str:
    """Return the SPDX expression of a package's classifiers; empty where they don't name one license."""
    names = {value.rsplit(" :: ", 1)[-1] for value in classifiers if value.startswith("License :: ")}
    names.discard("OSI Approved")
    return _CLASSIFIERS.get(names.pop(), "") if len(names) == 1 else ""
