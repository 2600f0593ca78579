"""Which language a file is written in, by its name.

The rules read three languages and the templates of web pages; the others are named so that a result
can say what nobody scanned.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from securetag.errors import ToolError

#: Language of a rule → the endings of the files that Semgrep 1.182 runs it on.
SCANNED_SUFFIXES: dict[str, tuple[str, ...]] = {
    "python": (".py", ".pyi"),
    "javascript": (".js", ".jsx", ".mjs", ".cjs"),
    "typescript": (".ts", ".tsx"),
    # Markup with values in it, which Semgrep reads as text.
    "template": (
        *(".html", ".htm", ".xhtml"),
        *(".j2", ".jinja", ".jinja2", ".njk", ".twig", ".tmpl", ".tpl"),
        *(".ejs", ".eta", ".ect", ".hbs", ".handlebars", ".mustache", ".hogan", ".pug", ".jade"),
        *(".vue", ".svelte", ".astro"),
    ),
}
#: Language of a rule → endings that Semgrep doesn't know; it gets a copy under one that it does.
COPIED_SUFFIXES: dict[str, tuple[str, ...]] = {
    "python": (".pyw", ".wsgi"),
    "javascript": (".es6",),
    "typescript": (".mts", ".cts"),
    "notebook": (".ipynb",),
}
#: Language of code → languages of the files that may hold such code inside.
EMBEDDED_IN: dict[str, tuple[str, ...]] = {
    "python": ("notebook",),
    "javascript": ("template",),
    "typescript": ("template",),
}
#: Semgrep's language of a rule that reads text → what we call the files that it is run on.
_TEXT_LANGUAGES = {"regex": "template"}
#: Language of a file that holds code or configuration of a program, but none of the above.
_OTHER_SUFFIXES: dict[str, tuple[str, ...]] = {
    "apex": (".cls", ".trigger"),
    "c": (".c", ".h"),
    "c#": (".cs", ".cshtml", ".razor"),
    "c++": (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"),
    "clojure": (".clj", ".cljs"),
    "dart": (".dart",),
    "dockerfile": (".dockerfile",),
    "elixir": (".ex", ".exs"),
    "erlang": (".erl",),
    "go": (".go",),
    "groovy": (".groovy", ".gradle"),
    "haskell": (".hs",),
    "java": (".java", ".jsp"),
    "julia": (".jl",),
    "kotlin": (".kt", ".kts"),
    "lua": (".lua",),
    "objective-c": (".m", ".mm"),
    "ocaml": (".ml", ".mli"),
    "perl": (".pl", ".pm"),
    "php": (".php", ".phtml", ".php5", ".inc"),
    "powershell": (".ps1", ".psm1"),
    "r": (".r",),
    "ruby": (".rb", ".erb", ".rake"),
    "rust": (".rs",),
    "scala": (".scala",),
    "shell": (".sh", ".bash", ".zsh"),
    "solidity": (".sol",),
    "sql": (".sql",),
    "swift": (".swift",),
    "terraform": (".tf", ".hcl"),
    "visual basic": (".vb", ".vbs"),
    "yaml": (".yaml", ".yml"),
}
_BY_SUFFIX = {
    suffix: language
    for languages in (SCANNED_SUFFIXES, COPIED_SUFFIXES, _OTHER_SUFFIXES)
    for language, suffixes in languages.items()
    for suffix in suffixes
}
_BY_NAME = {"dockerfile": "dockerfile", "containerfile": "dockerfile", "gemfile": "ruby", "rakefile": "ruby"}
#: Language of texts, images, data and whatever else has no ending that is listed here.
OTHER = "other"


def language_of(path: str) -> str:
    """Return the language of the file, `other` for one that is no code."""
    name = PurePosixPath(path).name.lower()
    stem = name.split(".", 1)[0]
    return _BY_NAME.get(name) or _BY_SUFFIX.get(PurePosixPath(name).suffix) or _BY_NAME.get(stem, OTHER)


def check_languages(languages: Iterable[str]) -> frozenset[str]:
    """Return the languages of the files that rules in `languages` read.

    Raises ToolError for a language whose files nobody would hand to Semgrep.
    """
    chosen = frozenset(_TEXT_LANGUAGES.get(language, language) for language in languages)
    if unlisted := chosen - SCANNED_SUFFIXES.keys():
        raise ToolError(
            f"the rules name {', '.join(sorted(unlisted))}, whose files are not in SCANNED_SUFFIXES",
            hint="Add the language to securetag/scanning/languages.py.",
        )
    return chosen
