"""SARIF in the shape that each tool writes it, about files of our own: names and texts are ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from securetag.records import JsonObject

FILES = {
    "app/views.py": 'def find(request, db):\n    name = request.args["name"]\n'
    '    return db.execute("SELECT * FROM t WHERE n = \'" + name + "\'")\n',
    "src/app.js": "function run(req, res) {\n  const text = 'ä€🙂'; eval(req.query.code); done(text);\n}\n",
    "main.go": 'package main\n\nfunc run(name string) {\n\texec.Command("sh", "-c", name).Run()\n}\n',
}


def write_project(folder: Path) -> Path:
    """Write the files that the reports are about."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def _document(run: JsonObject) -> bytes:
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def _place(artifact: JsonObject, region: JsonObject) -> JsonObject:
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def codeql() -> bytes:
    """Rules in an extension, a base that isn't given, links in messages, code flows, no end line."""
    artifact: JsonObject = {"uri": "app/views.py", "uriBaseId": "%SRCROOT%", "index": 0}
    rule: JsonObject = {
        "id": "py/sql",
        "name": "py/sql",
        "shortDescription": {"text": "Query from input"},
        "defaultConfiguration": {"enabled": True, "level": "error"},
        "properties": {
            "tags": ["security", "external/cwe/cwe-089"],
            "precision": "high",
            "problem.severity": "error",
            "security-severity": "8.8",
        },
    }
    steps: list[JsonObject] = [
        {"location": {**_place(artifact, {"startLine": line}), "message": {"text": text}}}
        for line, text in ((1, "request"), (2, "name"), (3, "... + ..."))
    ]
    flows: list[JsonObject] = [{"threadFlows": [{"locations": list(steps)}]}]
    result: JsonObject = {
        "ruleId": "py/sql",
        "rule": {"id": "py/sql", "index": 0, "toolComponent": {"index": 0}},
        "message": {"text": "This query depends on a [value of a user](1)."},
        "locations": [_place(artifact, {"startLine": 3, "startColumn": 23, "endColumn": 65})],
        "partialFingerprints": {"primaryLocationLineHash": "0123456789abcdef:1"},
        "codeFlows": list(flows),
        "relatedLocations": [{"id": 1, **_place(artifact, {"startLine": 1})}],
    }
    unnamed = {name: value for name, value in result.items() if name != "ruleId"}
    unnamed["rule"] = {"index": 0, "toolComponent": {"index": 0}}
    unnamed["locations"] = [_place(artifact, {"startLine": 2})]
    return _document(
        {
            "tool": {
                "driver": {"name": "CodeQL", "organization": "GitHub", "semanticVersion": "2.20.0"},
                "extensions": [{"name": "codeql/python-queries", "semanticVersion": "1.0", "rules": [rule]}],
            },
            "artifacts": [{"location": {"uri": "app/views.py", "uriBaseId": "%SRCROOT%", "index": 0}}],
            "results": [result, unnamed],
            "columnKind": "utf16CodeUnits",
            "newlineSequences": ["\r\n", "\n"],
            "properties": {"semmle.formatSpecifier": "sarifv2.1.0"},
        }
    )


def njsscan() -> bytes:
    """The CWE as a tag of the rule and as words of the result; a level, and no default of the rule."""
    return _document(
        {
            "tool": {
                "driver": {
                    "name": "nodejsscan",
                    "version": "1.0.2",
                    "rules": [
                        {
                            "id": "eval_of_input",
                            "name": "EvalOfInput",
                            "properties": {"tags": ["security", "external/cwe/cwe-95"]},
                        }
                    ],
                }
            },
            "invocations": [{"executionSuccessful": True, "endTimeUtc": "2026-01-01T00:00:00Z"}],
            "results": [
                {
                    "ruleId": "eval_of_input",
                    "ruleIndex": 0,
                    "level": "error",
                    "message": {"text": "Input is run as code."},
                    "locations": [
                        _place(
                            {"uri": "src/app.js"},
                            {
                                "startLine": 2,
                                "endLine": 2,
                                "startColumn": 24,
                                "endColumn": 44,
                                "snippet": {"text": "eval(req.query.code)"},
                            },
                        )
                    ],
                    "properties": {"owasp-web": "A1: Injection", "cwe": "CWE-95: Code from input"},
                }
            ],
        }
    )


def gosec() -> bytes:
    """The CWE by a taxonomy, an index of the rule that is wrong, an empty region, the severity as a tag."""

    def rule(name: str, cwe: str, severity: str) -> JsonObject:
        target: JsonObject = {"id": cwe, "guid": "0", "toolComponent": {"name": "CWE", "guid": "1"}}
        return {
            "id": name,
            "name": "A weakness",
            "shortDescription": {"text": f"Title of {name}"},
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": ["security", severity], "precision": "high"},
            "relationships": [{"target": target, "kinds": ["superset"]}],
        }

    region: JsonObject = {
        "startLine": 4,
        "endLine": 4,
        "startColumn": 2,
        "endColumn": 2,
        "sourceLanguage": "go",
        "snippet": {"text": '4: \texec.Command("sh", "-c", name).Run()'},
    }
    return _document(
        {
            "tool": {
                "driver": {
                    "name": "gosec",
                    "version": "2.22.0",
                    "supportedTaxonomies": [{"name": "CWE", "guid": "1"}],
                    "rules": [rule("G104", "703", "LOW"), rule("G204", "78", "MEDIUM")],
                }
            },
            "taxonomies": [{"name": "CWE", "version": "4.4", "taxa": [{"id": "703"}, {"id": "78"}]}],
            "results": [
                {
                    "ruleId": "G204",
                    "ruleIndex": 0,
                    "level": "error",
                    "message": {"text": "A process is started with a variable"},
                    "locations": [_place({"uri": "main.go"}, region)],
                    "suppressions": [{"kind": "inSource", "justification": "reviewed"}],
                }
            ],
        }
    )


def eslint() -> bytes:
    """Absolute addresses of another machine, no CWE at all, empty lists of suppressions."""
    results: list[JsonObject] = [
        {
            "ruleId": name,
            "ruleIndex": index,
            "level": level,
            "message": {"text": "It can be harmful."},
            "locations": [
                _place(
                    {"uri": "file:///home/runner/work/shop/src/app.js", "index": 0},
                    {"startLine": 2, "startColumn": 24, "endLine": 2, "endColumn": 28},
                )
            ],
            "suppressions": list(suppressions),
        }
        for index, (name, level, suppressions) in enumerate(
            (
                ("no-eval", "error", [{"kind": "inSource", "justification": ""}]),
                ("security/detect-eval-with-expression", "warning", []),
            )
        )
    ]
    return _document(
        {
            "tool": {
                "driver": {
                    "name": "ESLint",
                    "version": "9.39.5",
                    "rules": [
                        {"id": "no-eval", "properties": {}, "shortDescription": {"text": "No eval"}},
                        {
                            "id": "security/detect-eval-with-expression",
                            "properties": {"category": "Possible"},
                        },
                    ],
                }
            },
            "artifacts": [{"location": {"uri": "file:///home/runner/work/shop/src/app.js"}}],
            "results": list(results),
        }
    )


def indexed() -> bytes:
    """A CWE that is named by its place in a taxonomy alone."""
    return _document(
        {
            "tool": {"driver": {"name": "Indexed", "rules": [{"id": "X"}]}},
            "taxonomies": [{"name": "CWE", "taxa": [{"id": "22"}, {"id": "89"}]}],
            "results": [
                {
                    "ruleId": "X",
                    "message": {"text": "m"},
                    "taxa": [{"index": 1, "toolComponent": {"index": 0}}],
                    "locations": [_place({"uri": "app/views.py"}, {"startLine": 3})],
                }
            ],
        }
    )


TOOLS: dict[str, Callable[[], bytes]] = {
    "codeql": codeql,
    "njsscan": njsscan,
    "gosec": gosec,
    "eslint": eslint,
    "indexed": indexed,
}
