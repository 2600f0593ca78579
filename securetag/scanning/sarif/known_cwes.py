"""The CWE of rules whose tools don't name one in their reports."""

from __future__ import annotations

from collections.abc import Mapping

_CODE, _COMMAND, _PATH, _XSS, _REDOS = "CWE-95", "CWE-78", "CWE-22", "CWE-79", "CWE-1333"

#: Name of the tool in lower case → rule → CWE.
KNOWN_CWES: Mapping[str, Mapping[str, str]] = {
    "eslint": {
        "no-eval": _CODE,
        "no-implied-eval": _CODE,
        "no-new-func": _CODE,
        "no-script-url": _XSS,
        "no-unsanitized/method": _XSS,
        "no-unsanitized/property": _XSS,
        "no-secrets/no-secrets": "CWE-798",
        "react/jsx-no-script-url": _XSS,
        "react/jsx-no-target-blank": "CWE-1022",
        "react/no-danger": _XSS,
        "react/no-danger-with-children": _XSS,
        "security/detect-child-process": _COMMAND,
        "security/detect-disable-mustache-escape": _XSS,
        "security/detect-eval-with-expression": _CODE,
        "security/detect-no-csrf-before-method-override": "CWE-352",
        "security/detect-non-literal-fs-filename": _PATH,
        "security/detect-non-literal-regexp": _REDOS,
        "security/detect-non-literal-require": "CWE-98",
        "security/detect-object-injection": "CWE-915",
        "security/detect-possible-timing-attacks": "CWE-208",
        "security/detect-pseudoRandomBytes": "CWE-338",
        "security/detect-unsafe-regex": _REDOS,
        "vue/no-v-html": _XSS,
    }
}
