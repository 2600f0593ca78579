"""Run the taint rules of a language as one rule, and say which of them each result belongs to.

Following data is most of what a taint rule costs, and Semgrep follows it again for each of them. Rules that
differ in their sources and sinks alone are run as one rule with those of all. Where their sources differ,
each source gives its data a label, and a sink asks for the labels of its own rule's sources. Semgrep doesn't
report which sink was reached, but it writes the values of metavariables into a result's message. So each sink
must also match a regular expression over the whole file, which binds its first character to a metavariable of
the sink's rule: the message shows which of these metavariables have a value, and each of their rules gets the
result.

The expression needs a file that is valid UTF-8 (see `Target.is_utf8`); other files get the rules unmerged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from securetag.errors import ToolError
from securetag.records import JsonObject, canonical_json
from securetag.scanning.raw_report import read_raw_report

#: Before the number of a merged rule.
MERGED_PREFIX = "securetag.merged."
#: No metavariable of a rule may begin like this: Semgrep replaces names in a message by their beginning.
_MARKER_PREFIX = "$_R"
#: Fields of a taint rule that may differ between the rules of a group.
_OWN_FIELDS = frozenset({"id", "message", "metadata", "severity", "pattern-sources", "pattern-sinks"})
#: A source or sink with another field (`label`, `requires`, `exact`, …) means something for its rule alone.
_PATTERN_FIELDS = frozenset({"pattern", "patterns", "pattern-either", "pattern-regex"})


class MergedRules:
    """Rules with the taint rules of a language merged, and the way back from a merged rule to its parts."""

    def __init__(self, rules: Iterable[JsonObject]) -> None:
        """Merge rules; they must have different ids."""
        groups: dict[bytes, list[JsonObject]] = defaultdict(list)
        #: As Semgrep is to run them.
        self.rules: list[JsonObject] = []
        self._members: dict[str, list[JsonObject]] = {}
        for rule in rules:
            if _is_mergeable(rule):
                groups[_shared_part(rule)].append(rule)
            else:
                self.rules.append(rule)
        for members in groups.values():
            if len(members) == 1:
                self.rules += members
            else:
                name = f"{MERGED_PREFIX}{len(self._members)}"
                self._members[name] = members
                self.rules.append(_merge(name, members))

    def members(self, rule_id: str) -> list[str]:
        """Return the ids of the rules that were merged into one; of any other rule its own id."""
        members = self._members.get(rule_id)
        return [str(rule["id"]) for rule in members] if members else [rule_id]

    def expand(self, content: bytes) -> bytes:
        """Return a report of Semgrep with the results of merged rules as results of their parts.

        Raises ToolError for a result that names none of them, msgspec.DecodeError for what is no report.
        """
        if MERGED_PREFIX.encode() not in content:
            return content
        report = read_raw_report(content)
        results: list[msgspec.Raw] = []
        for raw in report.results:
            if MERGED_PREFIX.encode() in bytes(raw):
                results += self._split(raw)
            else:
                results.append(raw)
        report.results = results
        return msgspec.json.encode(report)

    def _split(self, raw: msgspec.Raw) -> list[msgspec.Raw]:
        """Return the results of one entry."""
        result: JsonObject = msgspec.json.decode(raw)
        members = self._members.get(str(result["check_id"]))
        if members is None:
            return [raw]
        message = str(result["extra"]["message"])
        parts = [rule for number, rule in enumerate(members) if f"${_marker(number)}" not in message]
        if not parts:
            raise ToolError(
                f"Semgrep names no rule for a result in {result['path']}",
                hint="Report this: the file has a form that merged rules don't know.",
            )
        return [msgspec.Raw(msgspec.json.encode(_result_of(rule, result))) for rule in parts]


def _result_of(rule: JsonObject, result: JsonObject) -> JsonObject:
    fields: Mapping[str, object] = {
        "message": rule["message"],
        "severity": rule["severity"],
        "metadata": rule.get("metadata", {}),
    }
    return {**result, "check_id": rule["id"], "extra": {**result["extra"], **fields}}


def _is_mergeable(rule: JsonObject) -> bool:
    """Report whether a rule's sources and sinks keep their meaning beside those of other rules."""
    return (
        rule.get("mode") == "taint"
        and all(
            isinstance(entry, dict) and set(entry) <= _PATTERN_FIELDS
            for entry in [*rule["pattern-sources"], *rule["pattern-sinks"]]
        )
        and _MARKER_PREFIX.encode() not in canonical_json(rule)
    )


def _shared_part(rule: JsonObject) -> bytes:
    """Return what the rules of a group have in common: languages, propagators, sanitizers, options, paths."""
    return canonical_json({name: value for name, value in rule.items() if name not in _OWN_FIELDS})


def _merge(name: str, members: list[JsonObject]) -> JsonObject:
    sources, wanted = _label_sources(members)
    return {
        **members[0],
        "id": name,
        "message": " ".join(f"${_marker(number)}" for number in range(len(members))),
        "metadata": {},
        "pattern-sources": sources,
        "pattern-sinks": [
            {**_mark(sink, number), **wanted[number]}
            for number, rule in enumerate(members)
            for sink in rule["pattern-sinks"]
        ],
    }


def _label_sources(members: list[JsonObject]) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return each source of some rules once, and for each rule the fields that its sinks need for its own.

    Sources that the same rules have share a label; where all rules have all sources there is none.
    """
    sources: dict[bytes, JsonObject] = {}
    holders: dict[bytes, list[int]] = defaultdict(list)
    for number, rule in enumerate(members):
        for source in rule["pattern-sources"]:
            key = canonical_json(source)
            sources[key] = source
            if number not in holders[key]:
                holders[key].append(number)
    labels = {rules: f"S{number}" for number, rules in enumerate(dict.fromkeys(map(tuple, holders.values())))}
    if len(labels) == 1:
        return list(sources.values()), [{} for _ in members]
    labeled = [{**source, "label": labels[tuple(holders[key])]} for key, source in sources.items()]
    wanted = [
        {"requires": " or ".join(label for rules, label in labels.items() if number in rules)}
        for number in range(len(members))
    ]
    return labeled, wanted


def _mark(sink: JsonObject, number: int) -> JsonObject:
    """Return a sink that also binds the metavariable of its rule."""
    marker = {"pattern-regex": rf"(?s)\A(?<{_marker(number)}>.).*+\z"}
    if set(sink) == {"patterns"}:
        return {"patterns": [*sink["patterns"], marker]}
    return {"patterns": [sink, marker]}


def _marker(number: int) -> str:
    """Return the name of a rule's metavariable; all have one length, so that none begins like another."""
    return f"_RULE_{number:04}"
