"""Read what the corrections of published packages changed: one Record a changed file, before and after.

The catalog row's `published` names pairs of versions and the advisory between them. A Record holds both
versions of one whole file, since a rule reads a file and not a function. Whether the change is the advisory's
is not decided here: `securetag.datasets.knowledge.package_fixes` does that with our rules. A release that
changes many files is more than a correction, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from securetag.extractors.catalog import PublishedFix
from securetag.extractors.catalog.licences import UNKNOWN_LICENCE
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader
from securetag.extractors.readers.packages.archive import LANGUAGES, Package, read_package
from securetag.records import PACKAGE_FIX, Facts
from securetag.scanning.identity.scopes import Scope, scopes

#: Changed source files of a release that is a correction. Of 59 pairs of versions of `rules_dev` half change
#: at most 3, and 52 at most 10; with 25 a release that rewrote how files are read gave wrong labels.
MAX_CHANGED_FILES = 10


class AdvisoryFixesReader(Reader):
    """Reads the archives of all versions that a row names."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self._files = {file.url: file for file in files}
        yield from ()

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        """Yield the Records of the pairs whose vulnerable version this file is. Raises SourceError."""
        pairs: dict[str, list[PublishedFix]] = {}
        for fix in self.source.published:
            if fix.make_url(fix.vulnerable) == file.url:
                pairs.setdefault(fix.make_url(fix.fixed), []).append(fix)
        before = read_package(file.path) if pairs else None
        for url, fixes in pairs.items():
            if before is None or url not in self._files:
                yield Failure(url, "", "the fixed version couldn't be fetched")
                continue
            yield from self._read_pair(file, fixes, before, read_package(self._files[url].path))

    def _read_pair(
        self, file: FetchedFile, fixes: Sequence[PublishedFix], before: Package, after: Package
    ) -> Iterator[Item]:
        fix = fixes[0]
        changed = [
            path
            for path, text in sorted(before.sources.items())
            if path in after.sources and text.split() != after.sources[path].split()
        ]
        if len(changed) > MAX_CHANGED_FILES:
            yield Drop(f"the release changes more than {MAX_CHANGED_FILES} files", file.url)
            return
        for path in changed:
            yield self._make_record(file, fixes, path, before, after)
        if not changed:
            yield Drop(
                "the release changes no file of Python, JavaScript or TypeScript", fix.make_url(fix.fixed)
            )

    def _make_record(
        self, file: FetchedFile, fixes: Sequence[PublishedFix], path: str, before: Package, after: Package
    ) -> Item:
        fix = fixes[0]
        language = LANGUAGES[Path(path).suffix]
        vulnerable, fixed = before.sources[path], after.sources[path]
        names = list_changed_functions(vulnerable, fixed, language)
        where = f"Changed in `{path}`: {', '.join(f'`{name}`' for name in names) or 'no named function'}."
        advisories = ", ".join(f"{each.advisory} ({each.cwe})" for each in fixes)
        return self.record(
            file,
            key=f"{file.url}#{path}",
            title=f"{fix.package} {fix.vulnerable} to {fix.fixed}: {path}",
            text=f"{fix.package} {fix.vulnerable} has {advisories}; {fix.fixed} corrects it. {where}",
            locator=path,
            facts=Facts(
                kind=PACKAGE_FIX,
                cwe=list(dict.fromkeys(each.cwe for each in fixes)),
                aliases=list(dict.fromkeys(each.advisory for each in fixes)),
                packages=[f"{fix.ecosystem}/{fix.package}"],
                language=language,
                vulnerable=vulnerable,
                fixed=fixed,
            ),
            lang="en",
            is_lang_certain=True,
            licence=before.licence if before.licence == after.licence else UNKNOWN_LICENCE,
        )


def list_changed_functions(before: str, after: str, language: str) -> list[str]:
    """Return the names of the functions of `before` that are gone or have another text in `after`."""
    texts = {(scope.name, _text_of(scope, after)) for scope in scopes(after, language)}
    return list(
        dict.fromkeys(
            scope.name
            for scope in scopes(before, language)
            if scope.kind == "function" and scope.name and (scope.name, _text_of(scope, before)) not in texts
        )
    )


def _text_of(scope: Scope, code: str) -> str:
    return " ".join("\n".join(code.splitlines()[scope.first - 1 : scope.last]).split())
