"""Synthetic advisories with planted duplicates and siblings, from a seed.

A sibling repeats another advisory's sentences about another product, version and CVE, as publishers
do; losing it loses a fact. A planted duplicate is the same advisory as somebody else printed it:
wrapped anew, quoted otherwise, a word or two replaced, a sentence added or a typo made.
"""

from __future__ import annotations

from random import Random

import msgspec

#: Shares of all advisories. The rest stands alone.
SIBLINGS, DUPLICATES = 0.55, 0.2
#: Siblings of one family, at most; real families (one plugin after the other) are as large.
FAMILY = 400

_ONSETS = (
    "b", "br", "c", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "k", "kr", "l", "m", "n", "p", "pl", "qu",
    "r", "s", "st", "t", "tr", "v", "w", "z",
)  # fmt: skip
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou"]
_CODAS = ["l", "m", "n", "nd", "r", "rk", "s", "st", "t", "x"]
_FLAWS = (
    "cross-site scripting", "SQL injection", "path traversal", "use after free", "out-of-bounds read",
    "integer overflow", "server-side request forgery", "deserialisation of untrusted data",
    "missing authorisation", "open redirect", "command injection", "improper certificate validation",
)  # fmt: skip
_PLACES = (
    "the upload form", "the login handler", "the session store", "the template engine", "the image parser",
    "the export job", "the search endpoint", "the mail gateway", "the plugin loader", "the REST interface",
    "the archive reader", "the admin console", "the cache layer", "the report generator",
)  # fmt: skip
_ACTORS = (
    "a remote attacker", "an authenticated user", "anyone on the network", "a low-privileged account",
    "a malicious server", "a local process", "an unauthenticated visitor", "a guest",
)  # fmt: skip
_GAINS = (
    "read files outside of its folder", "run code in the victim's browser", "change records of others",
    "crash the service", "learn the signing key", "reach hosts of the internal network",
    "take over a session", "execute commands of the operating system", "disclose memory of the process",
)  # fmt: skip
_REASONS = (
    "because input is not escaped before output", "since the length field is trusted",
    "as the check runs after the value was used", "because the caller's role is never compared",
    "since the parser accepts two encodings of one name", "as the pointer is kept after the buffer is freed",
    "because redirects are followed without looking at their target",
)  # fmt: skip
_CLOSINGS = (
    "Users are advised to update.", "No workaround is known.", "The vendor has published a fixed release.",
    "Exploitation has been observed in the wild.", "Administrators should restrict access until then.",
)  # fmt: skip
_SYNONYMS = {
    "attacker": "adversary", "read": "view", "crash": "halt", "run": "execute", "because": "since",
    "allows": "permits", "before": "ahead", "affected": "vulnerable", "files": "documents",
    "handled": "processed", "user": "account", "value": "input",
}  # fmt: skip


class Advisory(msgspec.Struct, frozen=True):
    """One text. `cluster` is the same for a planted duplicate and what it was made from."""

    text: str
    cluster: int
    sibling: bool


def advisories(count: int, seed: int) -> list[Advisory]:
    """`count` advisories in random order: alone, in families of siblings, and duplicates of any of them."""
    rng = Random(seed)
    found: list[Advisory] = []
    distinct = count - round(count * DUPLICATES)
    siblings = round(count * SIBLINGS)
    while len(found) < siblings:
        tell = _story(rng)
        for _ in range(min(rng.randint(2, FAMILY), siblings - len(found))):
            found.append(Advisory(_printed(rng, tell, len(found)), len(found), True))
    while len(found) < distinct:
        found.append(Advisory(_printed(rng, _story(rng), len(found)), len(found), False))
    # Duplicates of duplicates too: who prints an advisory anew may have it from a third.
    for _ in range(count - distinct):
        original = rng.choice(found)
        found.append(Advisory(_reprinted(rng, original.text), original.cluster, original.sibling))
    rng.shuffle(found)
    return found


def _name(rng: Random) -> str:
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(["", rng.choice(_CODAS)])
        for _ in range(rng.randint(2, 3))
    )


def _story(rng: Random) -> str:
    """What happened, with slots for product, version and number."""
    flaw, place = rng.choice(_FLAWS), rng.choice(_PLACES)
    detail = f"the {_name(rng)} option of {rng.choice(_PLACES)}"
    sentences = [
        f"{{product}} before {{version}} is affected by {flaw} in {place} ({{cve}}).",
        f"When {detail} is handled, {rng.choice(_ACTORS)} can {rng.choice(_GAINS)}, {rng.choice(_REASONS)}.",
        f"The {_name(rng)} function of {place} lets a {_name(rng)} value that {rng.choice(_ACTORS)} chose "
        f"pass into {_name(rng)}, and so to {rng.choice(_GAINS)}.",
        f"The flaw was introduced with {_name(rng)} support and concerns every installation that has "
        f"{rng.choice(_PLACES)} enabled, {rng.choice(_REASONS)}.",
        f"Systems that keep {_name(rng)} behind a {_name(rng)} are reached only by {rng.choice(_ACTORS)}.",
    ]
    kept = [sentences[0], *rng.sample(sentences[1:], rng.randint(2, 4))]
    return " ".join([*kept, rng.choice(_CLOSINGS)])


def _printed(rng: Random, story: str, number: int) -> str:
    version = f"{rng.randint(0, 12)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
    cve = f"CVE-{rng.randint(2015, 2026)}-{10_000 + number}"
    return story.format(product=f"{_name(rng)}-{_name(rng)}", version=version, cve=cve)


def _reprinted(rng: Random, text: str) -> str:
    """The same advisory by another hand: one to three changes, none of which touches a number."""
    for change in rng.sample([_wrapped, _quoted, _replaced, _longer, _mistyped, _shouted], rng.randint(1, 3)):
        text = change(rng, text)
    return text


def _wrapped(rng: Random, text: str) -> str:
    width = rng.randint(8, 14)
    words = text.split()
    return "\n".join(" ".join(words[start : start + width]) for start in range(0, len(words), width))


def _quoted(rng: Random, text: str) -> str:
    word = rng.choice(text.split())
    return text.replace(word, f"“{word}”", 1).replace(", ", " – ", 1)


def _replaced(rng: Random, text: str) -> str:
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word in _SYNONYMS]
    for place in rng.sample(places, min(len(places), rng.randint(1, 2))):
        words[place] = _SYNONYMS[words[place]]
    return " ".join(words)


def _longer(rng: Random, text: str) -> str:
    return f"{text} {rng.choice(_CLOSINGS)}"


def _mistyped(rng: Random, text: str) -> str:
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    place = rng.choice(places)
    cut = rng.randint(1, len(words[place]) - 2)
    words[place] = words[place][:cut] + words[place][cut + 1] + words[place][cut] + words[place][cut + 2 :]
    return " ".join(words)


def _shouted(rng: Random, text: str) -> str:
    head, _, rest = text.partition(". ")
    return f"**{head.upper() if rng.random() < 0.5 else head.title()}**. {rest}"
