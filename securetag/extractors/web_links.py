"""Which addresses a crawl may ask for: normalised, inside the section, and no trap.

A trap is what makes a site endless: calendars, session ids, filters in the query, folders inside
themselves. Each is told by the address alone; what slips through ends at the row's bounds.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from securetag.errors import SourceError
from securetag.extractors.catalog import WebWay
from securetag.extractors.readers.xml_doc import parse

#: Query parameters that don't change what a page says.
_NOISE = re.compile(
    r"utm_\w+|fbclid|gclid|mc_[ce]id|ref|referrer|source|share|sid|s?session_?(?:id)?|phpsessid|jsessionid"
    r"|aspsessionid\w*|cfid|cftoken|oscsid|zenid|token|replytocom|print(?:able)?|sort|order(?:by)?|dir|highlight|lang_?switch",
    re.I,
)
#: Parameters that lead to a tool of the site rather than to a text.
_TOOL = re.compile(r"(?:action|diff|oldid|veaction|returnto|redlink|do|rev|share|login)", re.I)
_SESSION_PATH = re.compile(r";(?:jsessionid|sid|phpsessid)=[^/?#]*|/\(S\([a-z0-9]{24}\)\)", re.I)
_NO_PAGE = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|ico|bmp|css|js|mjs|json|xml|rss|atom|zip|gz|tgz|bz2|xz|7z|rar|exe|dmg|msi|deb|rpm|iso"
    r"|mp[34]|m4[av]|avi|mov|webm|og[gv]|wav|woff2?|ttf|eot|otf|docx?|xlsx?|pptx?|odt|ods|epub|pdf|tar|apk|jar|bin)$",
    re.I,
)
_LONGEST, _SEGMENTS, _REPEATS, _PARAMETERS = 512, 14, 3, 3
#: Pages whose addresses differ in their numbers or queries alone.
PER_SHAPE = 100
#: Addresses of one sitemap, and links of one page.
MAX_LINKS = 50_000


def normalise(url: str, base: str = "") -> str:
    """An absolute http(s) URL in one spelling, without fragment and session; empty for anything else."""
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        port = parts.port
    except ValueError:
        return ""
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        return ""
    if ":" in host:
        host = f"[{host}]"
    if port and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    # An encoded dot, slash or backslash may mean another folder to the server than it does to us.
    path = _SESSION_PATH.sub("", parts.path)
    if re.search(r"%(?:2e|2f|5c|00)|\\", path, re.I):
        return ""
    path = urlsplit(urljoin("http://host/", re.sub(r"^/+", "/", path) or "/")).path
    path = quote(path, safe="/~:@!$&'()*+,;=-._%")
    query = sorted(
        (k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _NOISE.fullmatch(k)
    )
    return urlunsplit((parts.scheme, host, path, urlencode(query), ""))


def inside(url: str, prefix: str) -> bool:
    """True = the prefix itself or below it, by whole path segments; https for http is the same place."""
    if prefix.startswith("http://") and url.startswith("https://"):
        url = "http://" + url.removeprefix("https://")
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    return url == prefix or url.startswith(folder) or url == folder[:-1] or url.startswith(f"{folder[:-1]}?")


class Scope:
    """What belongs to a section. `refusal` says why an address doesn't; empty = it may be asked for."""

    def __init__(self, way: WebWay) -> None:
        self.way = way
        self.prefix = normalise(way.prefix)
        self.shapes: Counter[str] = Counter()

    def refusal(self, url: str) -> str:
        """Counts the address's shape, so each address is to be asked about once."""
        parts = urlsplit(url)
        if not url or not inside(url, self.prefix):
            return "outside of the section"
        if any(fnmatchcase(url, glob) for glob in self.way.exclude):
            return "excluded by the row"
        if self.way.include and not any(fnmatchcase(url, glob) for glob in self.way.include):
            return "not included by the row"
        if _NO_PAGE.search(parts.path):
            return "not a page"
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        segments = [segment for segment in parts.path.split("/") if segment]
        if any(_TOOL.fullmatch(name) for name in names):
            return "a tool of the site"
        if len(url) > _LONGEST or len(segments) > _SEGMENTS or len(names) > _PARAMETERS:
            return "a trap: an address that grows"
        if max(Counter(segments).values(), default=0) >= _REPEATS:
            return "a trap: folders inside themselves"
        shape = f"{re.sub(r'[0-9]+', '#', parts.path)}?{'&'.join(sorted(set(names)))}"
        if names or "#" in shape:
            self.shapes[shape] += 1
            if self.shapes[shape] > PER_SHAPE:
                return "a trap: addresses that differ in numbers alone"
        return ""


def links_of(text: str, url: str) -> list[str]:
    """Normalised addresses that a page links to, in its order, each once; none where it says nofollow."""
    tree = LexborHTMLParser(text)
    robots = tree.css_first("meta[name=robots]")
    if robots is not None and "nofollow" in (robots.attributes.get("content") or "").lower():
        return []
    base = tree.css_first("base[href]")
    if base is not None:
        url = urljoin(url, base.attributes.get("href") or "")
    found: dict[str, None] = {}
    for link in tree.css("a[href],area[href]")[:MAX_LINKS]:
        attributes = link.attributes
        if "nofollow" not in (attributes.get("rel") or "").lower():
            found[normalise(attributes.get("href") or "", url)] = None
    found.pop("", None)
    return list(found)


def canonical(text: str, url: str, prefix: str) -> str:
    """The address that a page gives as its own, where that lies in the section; else `url`."""
    node = LexborHTMLParser(text).css_first("link[rel=canonical][href]")
    own = normalise(node.attributes.get("href") or "", url) if node is not None else ""
    return own if own and inside(own, prefix) else url


def sitemap(data: bytes) -> tuple[list[str], list[str]]:
    """(pages, further sitemaps) of a sitemap (https://www.sitemaps.org/protocol.html). Raises SourceError."""
    root = parse(data)
    kind = etree.QName(root).localname
    if kind not in ("urlset", "sitemapindex"):
        raise SourceError(f"not a sitemap but <{kind}>")
    found = [
        normalise(child.text or "")
        for entry in list(root)[:MAX_LINKS]
        for child in entry
        if isinstance(child.tag, str) and etree.QName(child).localname == "loc"
    ]
    return (found, []) if kind == "urlset" else ([], found)
