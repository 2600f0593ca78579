"""Which licences may enter a release, by purpose.

`internal` is a release that stays in the house; `public` one that is given away. A licence that
forbids commercial use, and one that isn't known here, stops the release whatever its purpose: a
row of it can't be taken back out of a trained model. Expressions are SPDX
(https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from securetag.errors import LicenceError

Purpose = Literal["internal", "public"]

#: May be given away, some with attribution or under the same licence.
_PUBLIC = frozenset(
    {
        "Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Unlicense", "CC0-1.0",
        "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CDLA-Permissive-2.0", "PSF-2.0",
        "LicenseRef-US-Gov-Public-Domain", "LicenseRef-Public-Domain",
        "LicenseRef-MITRE-ATTACK-Terms-of-Use", "LicenseRef-MITRE-CWE-Terms-of-Use",
        "LicenseRef-MITRE-CAPEC-Terms-of-Use", "LicenseRef-MITRE-CVE-Terms-of-Use",
    }
)  # fmt: skip
#: May be used in the house only.
_INTERNAL = frozenset(
    {
        "LicenseRef-Securetag-Tenant-Consent", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only",
        "GPL-3.0-or-later", "GPL-3.0", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
        "LGPL-3.0-or-later", "MPL-2.0", "CC-BY-ND-4.0",
    }
)  # fmt: skip
#: Adaptations must be given under the same licence.
SHARE_ALIKE = frozenset({"CC-BY-SA-3.0", "CC-BY-SA-4.0"})


@lru_cache(maxsize=1024)
def allowed(expression: str, purpose: Purpose) -> bool:
    """True = rows under this licence may enter. Of an `OR` one side is enough, of an `AND` all are needed.

    Raises LicenceError for what stops a release: non-commercial, unknown, or no SPDX expression.
    """
    from license_expression import ExpressionError, get_spdx_licensing

    try:
        tree = get_spdx_licensing().parse(expression)
    except ExpressionError as error:
        raise _stop(expression, f"is no SPDX expression ({error})") from error
    if tree is None:
        raise _stop(expression or "(none)", "is no licence")
    return _allowed(tree, expression, purpose)


def _allowed(tree: Any, expression: str, purpose: Purpose) -> bool:
    operator = type(tree).__name__
    if operator == "AND":
        # Every part is looked at: a later one may stop the release.
        parts = [_allowed(part, expression, purpose) for part in tree.args]
        return all(parts)
    if operator == "OR":
        answers: list[bool] = []
        stops: list[LicenceError] = []
        for part in tree.args:
            try:
                answers.append(_allowed(part, expression, purpose))
            except LicenceError as error:
                stops.append(error)
        if not answers:
            raise stops[0]
        return any(answers)
    key = str(tree)
    if "-NC-" in key or key.endswith("-NC"):
        raise _stop(expression, "forbids commercial use")
    if key in _PUBLIC:
        return True
    if key in _INTERNAL:
        return purpose == "internal"
    raise _stop(expression, "isn't known to the licence gate")


def _stop(expression: str, why: str) -> LicenceError:
    return LicenceError(
        f"the licence {expression} {why}: no release is built from its rows",
        hint="Leave the source out, or add the licence to securetag/datasets/licences.py after reading it.",
    )
