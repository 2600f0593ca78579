"""The rule files as one pack: read, checked, and compiled to the JSON file that a scan loads.

Rule loading dominates Semgrep's start: hundreds of YAML files cost 43 CPU-seconds to load, the
same rules as one JSON file under 3. JSON also has no aliases, which the YAML files use and which
osemgrep rejects rule by rule.

The taint rules of a language share their sources, propagators and sanitizers: they are written once, in
`sources/<language>.yaml`, and put into each rule that names them.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path

import yaml

from securetag.errors import ToolError
from securetag.records import JsonObject, canonical_json
from securetag.rules.metadata import RuleMetadata, read_metadata
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes

RULES = Path(__file__).parent
LANGUAGES = ("python", "javascript", "template")
#: Lists of patterns that a taint rule takes by name, and the one that every rule of the language has.
_LISTS = {"pattern-sources": "", "pattern-propagators": "propagators", "pattern-sanitizers": "sanitizers"}
#: Prose stays out of the compiled pack: Semgrep would repeat it in every finding.
_SCANNED_METADATA = ("cwe", "owasp", "severity", "confidence")


class _UniqueKeys(yaml.CSafeLoader):
    """YAML where a repeated key is an error: by default the last one silently wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"repeated key {key!r}", node.start_mark)
        return super().construct_mapping(node, deep)


def shared_lists(language: str, root: Path = RULES) -> dict[str, list[JsonObject]]:
    """Return the lists in `sources/<language>.yaml` by name; none where the language has no such file."""
    path = root / "sources" / f"{language}.yaml"
    if not path.is_file():
        return {}
    where = path.relative_to(root).as_posix()
    parsed = _load(path, where)
    if not isinstance(parsed, dict) or not all(isinstance(listed, list) for listed in parsed.values()):
        raise ToolError(f"{where} holds no lists", hint="It is a mapping of names to lists of patterns.")
    return parsed


def _load(path: Path, where: str) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except yaml.YAMLError as error:
        raise ToolError(f"{where} is not valid YAML: {error}", hint="Correct the rule file.") from error


def rule_files(root: Path = RULES) -> list[Path]:
    """The YAML files of the pack, in a fixed order."""
    return sorted(path for language in LANGUAGES for path in (root / language).glob("*.yaml"))


def read_rules(root: Path = RULES) -> dict[str, JsonObject]:
    """Every rule by id, as parsed, aliases resolved. Raises ToolError on a file or rule that is broken."""
    rules_by_id: dict[str, JsonObject] = {}
    for path in rule_files(root):
        where = path.relative_to(root).as_posix()
        parsed = _load(path, where)
        shared = shared_lists(path.parent.name, root)
        rules = parsed.get("rules") if isinstance(parsed, dict) else None
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise ToolError(f"{where} holds no list of rules", hint="A rule file begins with `rules:`.")
        for rule in rules:
            read_metadata(rule, where=where)
            if rule["id"] in rules_by_id:
                raise ToolError(f"rule {rule['id']} stands twice, again in {where}", hint="Rename one.")
            rules_by_id[rule["id"]] = _include_shared(rule, shared, where)
    if not rules_by_id:
        raise ToolError(f"no rules under {root}", hint="Reinstall securetag: its rule files are missing.")
    return rules_by_id


def _include_shared(rule: JsonObject, shared: dict[str, list[JsonObject]], where: str) -> JsonObject:
    """Return a taint rule with the shared lists in place of their names; any other rule as it is.

    The propagators and the sanitizers of a language are part of each of its taint rules, beside the lists
    that the rule names.
    """
    if not isinstance(rule.get("pattern-sources"), list):
        return rule
    lists: JsonObject = {}
    for field, common in _LISTS.items():
        named: list[object] = [*rule.get(field, [])]
        if common in shared and common not in named:
            named = [common, *named]
        included: list[object] = []
        for entry in named:
            if isinstance(entry, str) and entry not in shared:
                raise ToolError(
                    f"rule {rule['id']} in {where}: no list {entry!r}", hint=f"There are {', '.join(shared)}."
                )
            included += shared[entry] if isinstance(entry, str) else [entry]
        if included:
            lists[field] = included
    return {**rule, **lists}


@lru_cache(maxsize=1)
def _shipped_rules() -> dict[str, JsonObject]:
    """The rules of the package; nobody changes them."""
    return read_rules()


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, RuleMetadata]:
    return {name: read_metadata(rule, where="the pack") for name, rule in _shipped_rules().items()}


def catalogue() -> dict[str, RuleMetadata]:
    """Every rule's metadata by its id, as a dict of the caller's own. Raises ToolError."""
    return dict(_catalogue())


@lru_cache(maxsize=1)
def _compiled() -> bytes:
    rules = []
    for name, rule in sorted(_shipped_rules().items()):
        metadata = {key: rule["metadata"][key] for key in _SCANNED_METADATA}
        rules.append({**rule, "id": name, "metadata": metadata})
    return canonical_json({"rules": rules})


def pack_sha256() -> str:
    """64 hex digits over the compiled pack: two scans with the same one ran the same rules."""
    return hash_bytes(_compiled())


def compiled_pack(cache: Path) -> Path:
    """One JSON file with every rule, under the folder `cache`, named by its content.

    It is written whole or not at all, so that scans beside each other may share the folder;
    a file whose bytes were changed is written again. Raises ToolError when a rule is broken,
    OSError when `cache` can't be written.
    """
    content = _compiled()
    path = cache / f"rules-{pack_sha256()[:16]}.json"
    if path.is_file() and path.read_bytes() == content:
        return path
    return write_atomic(path, content, durable=False)
