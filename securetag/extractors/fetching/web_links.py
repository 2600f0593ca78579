"""The addresses that a crawl may request: normalized, inside the section, outside of crawler traps.

A crawler trap makes a site endless: calendars, session ids, filters in the query, folders inside
themselves. Traps are recognized by the address only; an unrecognized one ends at the limits of the row.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from securetag.errors import SourceError
from securetag.extractors.catalog import WebMethod
from securetag.extractors.text.xml_doc import parse_xml

#: Query parameters that don't change the text of a page.
_IGNORED_PARAMETER = re.compile(
    r"utm_\w+|fbclid|gclid|mc_[ce]id|ref|referrer|source|share|sid|s?session_?(?:id)?|phpsessid|jsessionid"
    r"|aspsessionid\w*|cfid|cftoken|oscsid|zenid|token|replytocom|print(?:able)?|sort|order(?:by)?|dir|highlight|lang_?switch",
    re.I,
)
#: Parameters of a tool of the site (an editor, a login), whose pages hold no text.
_TOOL_PARAMETER = re.compile(r"(?:action|diff|oldid|veaction|returnto|redlink|do|rev|share|login)", re.I)
_SESSION_PATH = re.compile(r";(?:jsessionid|sid|phpsessid)=[^/?#]*|/\(S\([a-z0-9]{24}\)\)", re.I)
_NOT_A_PAGE = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|ico|bmp|css|js|mjs|json|xml|rss|atom|zip|gz|tgz|bz2|xz|7z|rar|exe|dmg|msi|deb|rpm|iso"
    r"|mp[34]|m4[av]|avi|mov|webm|og[gv]|wav|woff2?|ttf|eot|otf|docx?|xlsx?|pptx?|odt|ods|epub|pdf|tar|apk|jar|bin)$",
    re.I,
)
_MAX_URL_CHARS = 512
_MAX_SEGMENTS = 14
#: Occurrences of one segment in a path from which on the address is a trap.
_MAX_SEGMENT_REPEATS = 3
_MAX_PARAMETERS = 3
#: Pages whose addresses differ in numbers or query values only.
MAX_PAGES_PER_SHAPE = 100
#: Addresses of one sitemap, and links of one page.
MAX_LINKS = 50_000


def normalize_url(url: str, base: str = "") -> str:
    """Return an absolute http(s) URL in one spelling, without fragment and session; empty for others.

    `url` may be relative to `base`.
    """
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
    # A server may decode a dot, slash or backslash and serve another folder than the address names.
    path = _SESSION_PATH.sub("", parts.path)
    if re.search(r"%(?:2e|2f|5c|00)|\\", path, re.I):
        return ""
    path = urlsplit(urljoin("http://host/", re.sub(r"^/+", "/", path) or "/")).path
    path = quote(path, safe="/~:@!$&'()*+,;=-._%")
    query = sorted(
        (k, v)
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
        if not _IGNORED_PARAMETER.fullmatch(k)
    )
    return urlunsplit((parts.scheme, host, path, urlencode(query), ""))


def is_inside(url: str, prefix: str) -> bool:
    """Whether `url` is the prefix or below it, by whole path segments; https may stand for http."""
    if prefix.startswith("http://") and url.startswith("https://"):
        url = "http://" + url.removeprefix("https://")
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    return url == prefix or url.startswith(folder) or url == folder[:-1] or url.startswith(f"{folder[:-1]}?")


class Scope:
    """The addresses that belong to a section of a site."""

    def __init__(self, method: WebMethod) -> None:
        self.method = method
        self.prefix = normalize_url(method.prefix)
        self.shapes: Counter[str] = Counter()

    def refuse(self, url: str) -> str:
        """Return why an address may not be requested; empty where it may.

        Call it once per address: it counts the addresses of each shape.
        """
        parts = urlsplit(url)
        if not url or not is_inside(url, self.prefix):
            return "outside of the section"
        if any(fnmatchcase(url, glob) for glob in self.method.exclude):
            return "excluded by the row"
        if self.method.include and not any(fnmatchcase(url, glob) for glob in self.method.include):
            return "not included by the row"
        if _NOT_A_PAGE.search(parts.path):
            return "not a page"
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        segments = [segment for segment in parts.path.split("/") if segment]
        if any(_TOOL_PARAMETER.fullmatch(name) for name in names):
            return "a tool of the site"
        if len(url) > _MAX_URL_CHARS or len(segments) > _MAX_SEGMENTS or len(names) > _MAX_PARAMETERS:
            return "a trap: an address that grows"
        if max(Counter(segments).values(), default=0) >= _MAX_SEGMENT_REPEATS:
            return "a trap: folders inside themselves"
        shape = f"{re.sub(r'[0-9]+', '#', parts.path)}?{'&'.join(sorted(set(names)))}"
        if names or "#" in shape:
            self.shapes[shape] += 1
            if self.shapes[shape] > MAX_PAGES_PER_SHAPE:
                return "a trap: addresses that differ in numbers alone"
        return ""


def list_links(text: str, url: str) -> list[str]:
    """Return the normalized addresses that a page links to, in order and without repetitions.

    `url` is the address of the page. A page or link marked `nofollow` gives none.
    """
    tree = LexborHTMLParser(text)
    robots = tree.css_first("meta[name=robots]")
    if robots is not None and "nofollow" in (robots.attributes.get("content") or "").lower():
        return []
    base = tree.css_first("base[href]")
    if base is not None:
        url = urljoin(url, base.attributes.get("href") or "")
    links: dict[str, None] = {}
    for link in tree.css("a[href],area[href]")[:MAX_LINKS]:
        attributes = link.attributes
        if "nofollow" not in (attributes.get("rel") or "").lower():
            links[normalize_url(attributes.get("href") or "", url)] = None
    links.pop("", None)
    return list(links)


def find_canonical_url(text: str, url: str, prefix: str) -> str:
    """Return the canonical address that a page names, where that is inside `prefix`; else `url`."""
    node = LexborHTMLParser(text).css_first("link[rel=canonical][href]")
    canonical = normalize_url(node.attributes.get("href") or "", url) if node is not None else ""
    return canonical if canonical and is_inside(canonical, prefix) else url


def parse_sitemap(data: bytes) -> tuple[list[str], list[str]]:
    """Return (pages, other sitemaps) of a sitemap (https://www.sitemaps.org/protocol.html).

    Raises SourceError for any other document.
    """
    root = parse_xml(data)
    kind = etree.QName(root).localname
    if kind not in ("urlset", "sitemapindex"):
        raise SourceError(f"not a sitemap but <{kind}>")
    urls = [
        normalize_url(child.text or "")
        for entry in list(root)[:MAX_LINKS]
        for child in entry
        if isinstance(child.tag, str) and etree.QName(child).localname == "loc"
    ]
    return (urls, []) if kind == "urlset" else ([], urls)
