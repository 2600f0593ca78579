"""The part of SARIF 2.1.0 that we write, as types.

Standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Names are the standard's own,
written in camel case; a field that is left at its default stays out of the document.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from securetag.records import JsonObject

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Level = Literal["none", "note", "warning", "error"]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of every object of a document."""


class Message(Part, frozen=True, kw_only=True):
    text: str
    markdown: str | None = None


class ArtifactLocation(Part, frozen=True, kw_only=True):
    uri: str | None = None
    uri_base_id: str | None = None
    description: Message | None = None


class Snippet(Part, frozen=True, kw_only=True):
    text: str


class Region(Part, frozen=True, kw_only=True):
    start_line: int
    end_line: int | None = None
    snippet: Snippet | None = None


class PhysicalLocation(Part, frozen=True, kw_only=True):
    artifact_location: ArtifactLocation
    region: Region | None = None


class LogicalLocation(Part, frozen=True, kw_only=True):
    fully_qualified_name: str


class Location(Part, frozen=True, kw_only=True):
    physical_location: PhysicalLocation
    logical_locations: list[LogicalLocation] = []
    message: Message | None = None


class ThreadFlowLocation(Part, frozen=True, kw_only=True):
    location: Location


class ThreadFlow(Part, frozen=True, kw_only=True):
    locations: list[ThreadFlowLocation]


class CodeFlow(Part, frozen=True, kw_only=True):
    thread_flows: list[ThreadFlow]


class ToolComponentReference(Part, frozen=True, kw_only=True):
    name: str
    index: int | None = None


class DescriptorReference(Part, frozen=True, kw_only=True):
    id: str
    tool_component: ToolComponentReference | None = None


class Relationship(Part, frozen=True, kw_only=True):
    target: DescriptorReference
    kinds: list[str] = []


class Configuration(Part, frozen=True, kw_only=True):
    level: Level


class Descriptor(Part, frozen=True, kw_only=True):
    id: str
    name: str | None = None
    short_description: Message | None = None
    full_description: Message | None = None
    help: Message | None = None
    help_uri: str | None = None
    default_configuration: Configuration | None = None
    relationships: list[Relationship] = []
    properties: JsonObject = {}


class Component(Part, frozen=True, kw_only=True):
    name: str
    organization: str | None = None
    information_uri: str | None = None
    version: str | None = None
    short_description: Message | None = None
    rules: list[Descriptor] = []
    taxa: list[Descriptor] = []
    notifications: list[Descriptor] = []
    supported_taxonomies: list[ToolComponentReference] = []


class Tool(Part, frozen=True, kw_only=True):
    driver: Component


class Suppression(Part, frozen=True, kw_only=True):
    #: `external`: decided outside the code, as by a person in Securetag.
    kind: Literal["inSource", "external"]
    status: Literal["accepted", "underReview", "rejected"] | None = None
    justification: str | None = None


class Notification(Part, frozen=True, kw_only=True):
    message: Message
    level: str
    descriptor: DescriptorReference | None = None
    locations: list[Location] = []


class Invocation(Part, frozen=True, kw_only=True):
    execution_successful: bool
    start_time_utc: str | None = None
    end_time_utc: str | None = None
    tool_execution_notifications: list[Notification] = []
    tool_configuration_notifications: list[Notification] = []


class AutomationDetails(Part, frozen=True, kw_only=True):
    id: str
    description: Message | None = None


class Result(Part, frozen=True, kw_only=True):
    rule_id: str
    rule_index: int
    level: str
    message: Message
    locations: list[Location]
    taxa: list[DescriptorReference] = []
    partial_fingerprints: dict[str, str] = {}
    code_flows: list[CodeFlow] = []
    related_locations: list[Location] = []
    #: None: nothing is known of suppressions. An empty list: there is none.
    suppressions: list[Suppression] | None = None
    baseline_state: Literal["new", "unchanged", "updated", "absent"] | None = None
    rank: float = -1.0
    properties: JsonObject = {}


class Run(Part, frozen=True, kw_only=True):
    tool: Tool
    results: list[Result] | None = None
    invocations: list[Invocation] = []
    taxonomies: list[Component] = []
    automation_details: AutomationDetails | None = None
    original_uri_base_ids: dict[str, ArtifactLocation] = {}
    column_kind: Literal["utf16CodeUnits", "unicodeCodePoints"] | None = None
    properties: JsonObject = {}


class Log(Part, frozen=True, kw_only=True):
    schema: str = msgspec.field(name="$schema", default="")
    version: str = ""
    runs: list[Run]
