"""Convert documents of other formats to HTML with pandoc, which the extra `documents` brings.

pandoc runs as a process of its own with limits, and its sandbox lets it read nothing but the document
(https://pandoc.org/MANUAL.html#option--sandbox).
"""

from __future__ import annotations

import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from securetag.errors import SourceError
from securetag.extractors.text.pandoc_input import join_code_lines, rewrite_input
from securetag.system.processes import Limits, run_to_end

#: CPU-seconds, and seconds of wall time, of one document.
MAX_CPU_SECONDS, MAX_SECONDS = 60, 180
#: What pandoc may keep on its heap. It reserves more addresses than that, so no limit of the kernel is set.
_HEAP = "-M768M"
#: Ending → pandoc's name of the format, and what a person calls it.
FORMATS = {
    ".adoc": ("asciidoc", "AsciiDoc"),
    ".asciidoc": ("asciidoc", "AsciiDoc"),
    ".docx": ("docx", "a Word document"),
    ".odt": ("odt", "an OpenDocument text"),
    ".pptx": ("pptx", "a PowerPoint presentation"),
    ".epub": ("epub", "an EPUB book"),
    ".rtf": ("rtf", "an RTF document"),
    ".tex": ("latex", "LaTeX"),
    ".org": ("org", "Org mode"),
    ".textile": ("textile", "Textile"),
    ".mediawiki": ("mediawiki", "MediaWiki"),
    ".ipynb": ("ipynb+footnotes", "a notebook"),
}
#: Endings of the documents that are rewritten before pandoc reads them.
_REWRITTEN = frozenset({".odt", ".pptx", ".rtf", ".textile"})
_BACK_LINK = re.compile(r'<a\s[^>]*role="doc-backlink"[^>]*>.*?</a>', re.S)
_REPEATED_TITLE = re.compile(r"\A\s*<h1>([^<]*)</h1>\s*<h2[^>]*>\1</h2>")
_TEMPLATE = Path(__file__).with_name("pandoc_template.html")


def is_pandoc_installed() -> bool:
    """Return whether the extra `documents` is installed."""
    return find_spec("pypandoc") is not None


def convert_document(path: Path, ending: str) -> str:
    """Return the document at `path` as HTML: the title as H1, sections from H2 on.

    Raises SourceError for a document that pandoc can't read within its limits.
    """
    if ending not in _REWRITTEN:
        return _convert(path, ending)
    with tempfile.TemporaryDirectory(prefix="securetag-") as folder:
        target = Path(folder, path.name)
        try:
            title = rewrite_input(path, ending, target)
        except SourceError as error:
            raise SourceError(f"{FORMATS[ending][1]} that can't be read: {error}") from error
        return _convert(target, ending, title)


def _convert(path: Path, ending: str, title: str = "") -> str:
    from pypandoc import get_pandoc_path

    name, kind = FORMATS[ending]
    command = [get_pandoc_path(), "--sandbox", f"--from={name}", "--to=html5", "--standalone"]
    command += [f"--template={_TEMPLATE}", "--syntax-highlighting=none", "--shift-heading-level-by=1"]
    command += ["--metadata=pagetitle:document", *([f"--metadata=title:{title}"] if title else [])]
    command += [str(path), "+RTS", _HEAP, "-RTS"]
    try:
        done = run_to_end(command, timeout_s=MAX_SECONDS, limits=Limits(cpu_seconds=MAX_CPU_SECONDS))
    except TimeoutError as error:
        raise SourceError(f"{kind} that takes pandoc more than {MAX_SECONDS} s") from error
    if done.exit_code:
        reason = done.stderr_tail.replace(str(path), path.name) or f"it ended with {done.exit_code}"
        raise SourceError(f"{kind} that pandoc can't read: {reason}")
    html = done.stdout.decode(errors="replace")
    html = _BACK_LINK.sub("", html)
    html = _REPEATED_TITLE.sub(r"<h1>\1</h1>", html)
    html = re.sub(r'<pre class="(?:sourceCode )?([\w+#.-]+)[^"]*">', r'<pre data-lang="\1">', html)
    html = join_code_lines(html)
    return re.sub(
        r'<div class="title">\s*<p>(.*?)</p>\s*</div>', r"<p><strong>\1</strong></p>", html, flags=re.S
    )
