"""Tell prose from what else is in text files: code, data, lists of words, licenses."""

from __future__ import annotations

import re

#: Characters of a file that are looked at.
_LOOKED_AT = 64 << 10
#: Share of a text, by characters, in lines that read like prose; less is code or data.
MIN_PROSE_SHARE = 0.25
#: Four words in a row, or six characters of a script without blanks.
_WORDS = re.compile(
    r"(?:(?<![\w$])[^\W\d_]{1,20}(?:['’-][^\W\d_]+)?[,;:]?[ \t]+){3}[^\W\d_]{2,}"
    r"|[\u3040-\u30ff\u3400-\u9fff]{6}"
)
#: Lines that programs and settings consist of.
_CODE_LINE = re.compile(
    r"^\s*(?:[{}()\[\];]+$|(?:#include|import|from|def|class|function|var|let|const|public|private|static|return|if"
    r"|elif|else|for|while|try|except|catch|using|package|func|fn|echo|export|SELECT|INSERT|CREATE)\b.*[:;{}()=]|@\w+)"
    r"|[;{}]\s*$|^\s*[\w.\[\]\"'-]+\s*(?:=|:=|=>)\s*\S"
)
_LICENSE_NAME = re.compile(
    r"^(?:(?:un)?licen[cs]es?|copying|copyright|eula|third[-_ ]?party[-_ ]?(?:licen[cs]es|notices)|patents"
    r"|notice)(?:[-_.].*)?$",
    re.I,
)
#: Sentences of the licenses: MIT, ISC, BSD, Apache, GNU, Mozilla, Creative Commons, zlib, Artistic.
_LICENSE_TEXT = re.compile(
    r"permission is hereby granted, free of charge"
    r"|permission to use, copy, modify,? and(?:/or)? distribute"
    r"|redistribution and use in source and binary forms"
    r"|terms and conditions for use, reproduction, and distribution"
    r"|everyone is permitted to copy and distribute verbatim copies"
    r"|\"?(?:the )?(?:software|work|program)\"? is provided [\"“]as[ -]is"
    r"|you may not use this file except in compliance with the license"
    r"|this program is free software[;:,] you can redistribute it"
    r"|subject to the terms of the mozilla public"
    r"|by exercising the licensed rights"
    r"|altered source versions must be plainly marked"
    r"|the copyright holder.{0,40}grants? (?:you|permission)",
    re.I,
)
#: Sentences by which an imprint says what the work's license allows.
_LICENSE_NOTICE = re.compile(
    r"you must attribute the work in the manner specified"
    r"|if you (?:alter|remix),? transform,? or build upon th(?:is|e) (?:work|material)"
    r"|(?:to|–|-) copy,? (?:and )?(?:re)?distribute (?:and transmit the work|the material in any medium)"
    r"|this (?:work|document|book) is (?:licensed|released) under (?:a|the) creative commons"
    r"|for any reuse or distribution, you must make clear to others the license",
    re.I,
)
#: Characters of a text around a sentence of a license, and of a notice, from which on it is about more.
_MAX_LICENSE_SECTION, _MAX_NOTICE_SECTION = 2_500, 700


def is_license_name(name: str) -> bool:
    """Whether a file is called as licenses are: `LICENSE`, `COPYING.LESSER`, `LICENSE-MIT.txt`."""
    return _LICENSE_NAME.match(name) is not None


def is_license_text(text: str) -> bool:
    """Whether a text is a license: it holds one's sentences, and not much more for each of them."""
    plain = " ".join(text.split())
    sentences, notices = len(_LICENSE_TEXT.findall(plain)), len(_LICENSE_NOTICE.findall(plain))
    return 0 < len(plain) <= _MAX_LICENSE_SECTION * sentences + _MAX_NOTICE_SECTION * notices


def measure_prose_share(text: str) -> float:
    """Return the share of characters in lines that read like prose, 0.0 to 1.0."""
    prose = total = 0
    for line in text[:_LOOKED_AT].split("\n"):
        length = len(line.strip())
        total += length
        if length and _WORDS.search(line) and not _CODE_LINE.search(line):
            prose += length
    return prose / total if total else 0.0
