"""Which CWE numbers name the same weakness, as far as two rules may mean one place by them."""

from __future__ import annotations

#: Family → its numbers, from the parents and peers of each in MITRE's research view (CWE-1000).
FAMILIES: dict[str, frozenset[int]] = {
    "code": frozenset({94, 95, 96, 97, 470, 1336}),
    "command": frozenset({77, 78, 88}),
    "cookie": frozenset({614, 1004, 1275}),
    "cors": frozenset({346, 942}),
    "crypto": frozenset({310, 326, 327, 328, 759, 760, 780, 916}),
    "csrf": frozenset({352}),
    "deserialization": frozenset({502}),
    "header": frozenset({93, 113}),
    "log": frozenset({117}),
    "path": frozenset({22, 23, 24, 25, 29, 35, 36, 73, 98, 99, 434}),
    "prototype": frozenset({915, 1321}),
    "random": frozenset({330, 331, 334, 335, 338, 340}),
    "redirect": frozenset({601}),
    "redos": frozenset({185, 400, 730, 1333}),
    "secret": frozenset({256, 259, 260, 312, 321, 522, 798}),
    "signature": frozenset({345, 347}),
    "sql": frozenset({89, 564, 943}),
    "ssrf": frozenset({441, 918}),
    "temporary file": frozenset({377, 378, 379}),
    "tls": frozenset({295, 297, 299, 319, 599}),
    "xml": frozenset({611, 776, 827}),
    "xpath": frozenset({91, 643, 652}),
    "xss": frozenset({79, 80, 81, 83, 84, 87, 116, 692}),
}
_FAMILY = {number: name for name, numbers in FAMILIES.items() for number in numbers}


def family_of(cwe: str) -> str:
    """Return the family of `CWE-89`; the CWE itself where no family lists it, and empty for none."""
    digits = cwe.removeprefix("CWE-")
    return _FAMILY.get(int(digits), cwe) if digits.isdecimal() else cwe
