"""Edits that move, copy, delete or rename: what must stay the same finding, and what must not become it."""

from __future__ import annotations

from benchmarks.identity.edits import Case, Change, Edit, Kind, Unfit
from benchmarks.identity.imports import split_module
from benchmarks.identity.neutral import comment, log_line


def file_name_and_edit(case: Case) -> Edit:
    """The file gets another name and the function a statement."""
    edit = log_line(case)
    folder, _, name = case.path.rpartition("/")
    path = f"{folder}/renamed_{name}"
    edit.kind = "file renamed and edited"
    edit.versions[1] = {path: edit.versions[1][case.path]}
    edit.truth = {at: (path, to[1]) if to else None for at, to in edit.truth.items()}
    return edit


def file_name(case: Case) -> Edit:
    """The file gets another name."""
    folder, _, name = case.path.rpartition("/")
    return case.edit("file renamed", [], path=f"{folder}/renamed_{name}")


def folder_name(case: Case) -> Edit:
    """A folder gets another name."""
    return case.edit("folder renamed", [], path=case.path.replace("src/", "app/lib/"))


def _top_function(case: Case) -> None:
    if case.top.type not in {
        "function_definition",
        "function_declaration",
        "decorated_definition",
        "class_definition",
    }:
        raise Unfit


def reorder(case: Case) -> Edit:
    """The whole definition moves to the end of the file."""
    _top_function(case)
    start, end = case.line_start(case.top), case.line_end(case.top)
    moved_text = case.content[start:end]
    inside = [site.start for site in case.sites if start <= site.start < end]
    if end >= len(case.content.rstrip()):
        raise Unfit
    shift = len(case.content) - (end - start) + 2
    return case.edit(
        "definition moved in its file",
        [Change(start, end, b""), Change(len(case.content), len(case.content), b"\n\n" + moved_text)],
        moved={offset: shift + offset - start for offset in inside},
    )


def to_other_file(case: Case) -> Edit:
    """The whole definition moves to a file of its own; the rest stays, and each imports the other's names."""
    _top_function(case)
    start, end = case.line_start(case.top), case.line_end(case.top)
    folder = case.path.rpartition("/")[0]
    suffix = case.path.rpartition(".")[2]
    other = f"{folder}/part.{suffix}"
    inside = [site.start for site in case.sites if start <= site.start < end]
    split = split_module(case, other)
    edit = case.edit(
        "definition moved to another file",
        [Change(start, end, b""), *split.changes],
        gone=inside,
        others={other: split.head + case.content[start:end] + split.tail},
    )
    edit.truth |= {(case.path, offset): (other, len(split.head) + offset - start) for offset in inside}
    return edit


def twin(case: Case, where: str) -> Edit:
    """A copy under another name, before or after the original, or in another file."""
    _top_function(case)
    start, end = case.line_start(case.top), case.line_end(case.top)
    definition = case.top.child_by_field_name("definition") or case.top
    name = definition.child_by_field_name("name")
    if name is None:
        raise Unfit
    text = case.content[start:end]
    at = name.start_byte - start
    copy = text[:at] + b"copy_of_" + text[at:]
    if where == "in another file":
        other = case.path.replace("src/", "a/")
        return case.edit(f"twin {where}", [], others={other: b"import os\n\n" + copy})
    place = start if where == "before" else end
    return case.edit(f"twin {where}", [Change(place, place, b"\n" + copy + b"\n\n")])


def copied_file(case: Case) -> Edit:
    """The file is copied to an earlier path."""
    return case.edit("file copied", [], others={case.path.replace("src/", "a/"): case.content})


def copy_then_delete(case: Case) -> Edit:
    """The file is copied, scanned, and the original deleted: the copy stays a finding of its own."""
    edit = copied_file(case)
    edit.kind, edit.expected = "copied, then deleted", "gone"
    copy = case.path.replace("src/", "a/")
    edit.versions.append({copy: case.content})
    edit.truth = dict.fromkeys(edit.truth, None)
    return edit


def deleted_beside_twin(case: Case) -> Edit:
    """The statement is fixed, and a copy of the function appears in another file in the same scan."""
    edit = deleted(case)
    edit.kind = "fixed, with a new twin elsewhere"
    edit.versions[1] = {**edit.versions[1], case.path.replace("src/", "a/"): case.content}
    return edit


def deleted(case: Case) -> Edit:
    """The statement goes away."""
    if case.statement.type != "expression_statement":
        raise Unfit
    first, last = case.statement.start_byte, case.statement.end_byte
    gone = [site.start for site in case.sites if first <= site.start < last]
    text = b"pass" if case.is_python else b";"
    edit = case.edit("deleted", [Change(first, last, text)], gone=gone)
    edit.expected = "gone"
    return edit


def rule_renamed(case: Case) -> Edit:
    """The rule has another id, and a line in the alias table."""
    edit = comment(case)
    edit.kind = "rule renamed"
    edit.renamed = {case.site.rule: f"new-{case.site.rule}"}
    edit.keys = {f"new-{case.site.rule}": case.site.rule}
    return edit


def rule_split(case: Case) -> Edit:
    """Two rules report what one did; each finding is reported by one of them."""
    edit = comment(case)
    edit.kind = "rule split"
    edit.renamed = {case.site.rule: f"part-of-{case.site.rule}"}
    edit.keys = {f"part-of-{case.site.rule}": case.site.rule, f"other-{case.site.rule}": case.site.rule}
    return edit


COMMON: list[Kind] = [
    file_name,
    folder_name,
    file_name_and_edit,
    reorder,
    to_other_file,
    lambda case: twin(case, "before"),
    lambda case: twin(case, "after"),
    lambda case: twin(case, "in another file"),
    copied_file,
    copy_then_delete,
    deleted,
    deleted_beside_twin,
    rule_renamed,
    rule_split,
]
