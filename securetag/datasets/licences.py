"""Which licenses may enter a release, by purpose, and what they require when rows are passed on.

`internal` is a release that stays in the house; `public` one that is given away. What stops a release
whatever its purpose, since a row can't be taken back out of a trained model: a license that forbids
commercial use, one that isn't known here, and rows distilled from a vendor's model, whose terms forbid
training another on its answers. A catalog row says the last with `AND LicenseRef-Distilled-<Vendor>` behind
the license under which the rows were published (`Apache-2.0 AND LicenseRef-Distilled-OpenAI`).

Expressions are SPDX (https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

from securetag.errors import LicenceError

Purpose = Literal["internal", "public"]

#: How a license begins that marks rows as answers of a vendor's model.
DISTILLED = "LicenseRef-Distilled-"
#: Adaptations must be given under the same license.
SHARE_ALIKE = frozenset(
    {"CC-BY-SA-2.0", "CC-BY-SA-2.5", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "ODbL-1.0", "CDLA-Sharing-1.0"}
)
#: Ask that author and license be named, and that changes be said.
_ATTRIBUTION = SHARE_ALIKE | {
    "CC-BY-2.0",
    "CC-BY-2.5",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-ND-4.0",
    "ODC-By-1.0",
    "OGL-UK-3.0",
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "PSF-2.0",
    "Python-2.0",
    "PostgreSQL",
    "CDLA-Permissive-1.0",
}
#: What MITRE's terms ask to be reproduced with its material.
_MITRE = {
    f"LicenseRef-MITRE-{name}-Terms-of-Use": (
        f"© The MITRE Corporation. {written} is reproduced and distributed with the permission of The MITRE "
        "Corporation, under its terms of use."
    )
    for name, written in (("ATTACK", "ATT&CK®"), ("CWE", "CWE™"), ("CAPEC", "CAPEC™"), ("CVE", "CVE®"))
}
#: Ask for nothing.
_FREE = frozenset(
    {
        "MIT-0",
        "0BSD",
        "Unlicense",
        "CC0-1.0",
        "PDDL-1.0",
        "CC-PDDC",
        "Zlib",
        "BSL-1.0",
        "BlueOak-1.0.0",
        "CDLA-Permissive-2.0",
        "LicenseRef-US-Gov-Public-Domain",
        "LicenseRef-Public-Domain",
    }
)
#: Whoever passes rows on must pass the source on, under the same terms.
_COPYLEFT = frozenset(
    {
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "GPL-3.0",
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MPL-2.0",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "EPL-2.0",
        "EUPL-1.2",
        "GFDL-1.2-only",
        "GFDL-1.2-or-later",
        "GFDL-1.3-only",
        "GFDL-1.3-or-later",
    }
)
#: Of published code whose own license nobody has read, whatever a collection of it says.
UNKNOWN = "LicenseRef-Unknown"
#: May be used in the house only: copyleft, what may not be adapted, what belongs to the house or a tenant.
_INTERNAL = _COPYLEFT | {
    "LicenseRef-Securetag-Tenant-Consent",
    "LicenseRef-Internal",
    "CC-BY-ND-4.0",
    UNKNOWN,
}
#: May be given away, some with attribution or under the same license.
_PUBLIC = (_FREE | _ATTRIBUTION | frozenset(_MITRE)) - _INTERNAL


@lru_cache(maxsize=1024)
def is_allowed(expression: str, purpose: Purpose) -> bool:
    """Whether rows under this license may enter. Of an `OR` one side is enough, of an `AND` all are needed.

    Raises LicenceError for what stops a release: non-commercial, distilled, unknown, no SPDX expression.
    """
    return _is_allowed(_parse(expression), expression, purpose)


def find_refused(expressions: Iterable[str], purpose: Purpose) -> dict[str, str]:
    """Return the expressions that may not be in a release for `purpose`, each with the reason."""
    refusals: dict[str, str] = {}
    for expression in sorted(set(expressions)):
        try:
            if not is_allowed(expression, purpose):
                refusals[expression] = f"not for {purpose} use"
        except LicenceError as error:
            refusals[expression] = str(error)
    return refusals


def needs_attribution(expression: str) -> bool:
    """Whether author and license must be named when the rows are passed on."""
    return not _ATTRIBUTION.isdisjoint(_keys(expression))


def list_obligations(expressions: Iterable[str]) -> list[str]:
    """Sentences: what the licenses of these rows ask beside naming their authors."""
    used = {key for expression in expressions for key in _keys(expression)}
    lines = [_MITRE[key] for key in sorted(used & set(_MITRE))]
    if share_alike := sorted(used & SHARE_ALIKE):
        lines.append(
            f"Rows under {_join(share_alike)} are adaptations: "
            "share them under the same license or a later version."
        )
    if left := sorted(used & _COPYLEFT):
        lines.append(f"Rows under {_join(left)} stay in the house: passed on, their terms go with them.")
    if UNKNOWN in used:
        lines.append("Rows of code whose license nobody has read stay in the house.")
    if "LicenseRef-Securetag-Tenant-Consent" in used:
        lines.append("Rows of tenants' code are used by their consent alone, and go with it.")
    return lines


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _keys(expression: str) -> frozenset[str]:
    return frozenset(str(symbol.key) for symbol in _parse(expression).symbols)


@lru_cache(maxsize=1024)
def _parse(expression: str) -> Any:
    from license_expression import ExpressionError, get_spdx_licensing

    try:
        tree = get_spdx_licensing().parse(expression)
    except ExpressionError as error:
        raise _stop(expression, f"is no SPDX expression ({error})") from error
    if tree is None:
        raise _stop(expression or "(none)", "is no license")
    return tree


def _is_allowed(tree: Any, expression: str, purpose: Purpose) -> bool:
    operator = type(tree).__name__
    if operator == "AND":
        # Every part is looked at: a later one may stop the release.
        parts = [_is_allowed(part, expression, purpose) for part in tree.args]
        return all(parts)
    if operator == "OR":
        answers: list[bool] = []
        stops: list[LicenceError] = []
        for part in tree.args:
            try:
                answers.append(_is_allowed(part, expression, purpose))
            except LicenceError as error:
                stops.append(error)
        if not answers:
            raise stops[0]
        return any(answers)
    key = str(tree)
    if key.startswith(DISTILLED):
        vendor = key.removeprefix(DISTILLED)
        raise _stop(expression, f"marks answers of a model of {vendor}, whose terms forbid training on them")
    if "-NC-" in key or key.endswith("-NC"):
        raise _stop(expression, "forbids commercial use")
    if key in _PUBLIC:
        return True
    if key in _INTERNAL:
        return purpose == "internal"
    raise _stop(expression, "isn't known to the license gate")


def _stop(expression: str, why: str) -> LicenceError:
    return LicenceError(
        f"the license {expression} {why}: no release is built from its rows",
        hint="Leave the source out, or add the license to securetag/datasets/licences.py after reading it.",
    )
