"""Find the main content of a page: without navigation, banners, cookie notices and footers.

An element that the author marked (`main`, `article`) is the content where it has most of the page's prose;
else the element that has most of the text outside links. Boilerplate is recognized by element, role, the
names that frameworks give it, and by a high share of links.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from selectolax.lexbor import LexborHTMLParser

Node = Any

#: Elements that are always removed. `form` isn't, since some frameworks wrap the whole page in one. Elements
#: without text (`input`, `object`, …) aren't listed, since the conversion to Markdown skips them.
_REMOVED = "script,style,nav,svg,template,iframe,select,dialog"
_FRAME_ROLES = {
    "navigation",
    "banner",
    "contentinfo",
    "search",
    "dialog",
    "alertdialog",
    "complementary",
    "menu",
    "menubar",
    "toolbar",
    "tablist",
}
#: Elements whose attributes or position mark the frame of the page or invisible content.
_FRAME_ATTRIBUTES = "[role],[hidden],[aria-modal],[style],footer,body>header"
_SMALL_FRAME = "span.mw-editsection,span.sr-only,span.visually-hidden,a.skip-link,a.headerlink"
#: Elements whose class or id may name a part of the page's frame.
_NAMEABLE_TAGS = {"div", "section", "aside", "ul", "ol", "p", "header", "table", "form"}
#: A whole class or id that names boilerplate.
_FRAME_NAME = re.compile(
    r"(?:(?:site|page|global|main|top|bottom|sub|left|right|mobile|post|entry|doc|docs|theme|wy|md|td|bd|mw|wp|js)[-_]{1,2})*"
    r"(?:nav(?:bar|igation|list)?|menu(?:bar)?|(?:side|top|bottom)-?(?:bar|nav|menu)|breadcrumbs?|crumbs|footer|masthead"
    r"|skip-?(?:to-?content|link|nav)|pagination|pager|prev-?next|next-?prev|share|sharing|social(?:-?media)?|related"
    r"|recommend(?:ed|ations)|newsletter|subscribe|subscription|comments?|disqus_thread|respond|adverts?|ads?|advertisement"
    r"|promo(?:tion)?|sponsors?(?:hip)?|toc|table-?of-?contents|on-?this-?page|jump-?to-?nav|edit-?(?:page|link|button|section|on-?github)"
    r"|headerlink|anchor-?link|hash-?link|copy-?(?:btn|button|code)|copybtn|announcement(?:-?bar)?|search-?(?:box|bar|form|results?)?"
    r"|log-?in|sign-?in|paywall|feedback|was-this-helpful|last-?(?:updated|modified)|byline|author-?(?:box|bio|info)|meta-?data|tags|tag-?list"
    r"|sr-?only|screen-?reader-?text|visually-?hidden|print-?only|back-?to-?top|popup|modal|overlay|lightbox|version-?(?:picker|selector|switcher)"
    r"|lang(?:uage)?-?(?:picker|selector|switcher)|github-?(?:fork|ribbon|corner)|catlinks|reflist|site-?sub|content-?sub|printfooter|jump-?link|vcard"
    r"|(?:cookie|consent|gdpr|privacy|ccpa)-?(?:s-?)?(?:banner|notice|bar|popup|modal|overlay|wall|dialog|law|consent|message|container|layer|box|settings|manager|policy-?(?:banner|notice)?)"
    r"|onetrust(?:-[a-z-]+)?|cookiebot(?:-?dialog)?|cc-(?:window|banner)|truste(?:-[a-z]+)?|osano(?:-[a-z]+)?|didomi(?:-[a-z]+)?)"
    r"(?:[-_]{1,2}(?:list|container|wrapper|wrap|inner|outer|box|bar|links?|area|section|block|widget|posts?|items?|content|menu|nav|panel"
    r"|left|right|top|bottom|main|primary|secondary|mobile|desktop|header|footer|icons?|buttons?|group|column|col|row|body|form|tree|toc))*",
    re.I,
)
_TEXT_ASIDE_NAME = re.compile(
    r"note|tip|warn|caution|danger|important|admonition|callout|example|hint|alert|info", re.I
)
_SEMANTIC_SELECTOR = "main,article,[role=main]"
_MAIN_SELECTOR = (
    f"{_SEMANTIC_SELECTOR},#content,#main,#main-content,#maincontent,#bodyContent,#mw-content-text,.markdown-body,"
    ".md-content,.entry-content,.post-content,.article-body,.page-content,"
    ".theme-doc-markdown,.document .body,[itemprop=articleBody]"
)
#: Minimum share of the page's prose in an element that the author marked as content.
_MIN_MARKED_SHARE = 0.4
#: Minimum share of its prose in a smaller marked element inside, which is then preferred.
_MIN_INNER_SHARE = 0.8
#: Minimum share of its parent's prose in a child that holds the content.
_MIN_CHILD_SHARE = 0.75
#: Minimum links of a list of links, and the share of its characters that they have.
_MIN_LINKS, _MAX_LINK_SHARE = 3, 0.7
#: Maximum share of the page's prose in an element that is removed for its name.
_MAX_FRAME_SHARE = 0.35
#: Maximum characters of a class or id that names a part of a page.
_MAX_NAME_CHARS = 60
_CONTAINERS = {"div", "section", "form", "center", "table", "tbody", "tr", "td", "article", "main"}
_SITE_SEPARATOR = re.compile(r"\s+(?:[|·•»–—]|::|-)\s+")


@dataclass(frozen=True)
class Content:
    """The main content of a page."""

    #: The page's only H1, else the title in its head.
    title: str
    #: Whether `title` is in the page, outside of `node`.
    headed: bool
    node: Node
    lang: str


def find_main_content(tree: LexborHTMLParser) -> Content | None:
    """Return the element with the main content, cleaned in place; None for a page without a body."""
    body: Node = tree.body
    if body is None:
        return None
    title, lang = _find_title(tree), _find_language(tree)
    for node in select_inside(body, _REMOVED):
        node.decompose()
    _strip_noscript(tree, body)
    _strip_frame(body)
    node = _find_marked_content(body) or _find_densest_content(body)
    headings = [heading for heading in body.css("h1") if (heading.text(deep=True) or "").strip()]
    headed = len(headings) == 1 and node.css_first("h1") is None
    if headed:
        title = " ".join(headings[0].text(deep=True).split())
    _strip_link_lists(node)
    return Content(title, headed, node, lang)


def select_inside(node: Node, selector: str) -> list[Node]:
    """Return the matches inside `node` without repetitions, innermost first.

    lexbor frees the children of a decomposed node, so that the inner ones must be removed first.
    """
    matches = {match.mem_id: match for match in node.css(selector)}
    matches.pop(node.mem_id, None)
    return list(reversed(matches.values()))


def _text_length(node: Node) -> int:
    """Return the characters of an element's text, with runs of white space counted once."""
    return len(" ".join((node.text(deep=True) or "").split()))


def _prose_length(node: Node) -> int:
    """Return the characters of an element's text outside links."""
    return _text_length(node) - sum(len(link.text(deep=True) or "") for link in node.css("a"))


def _strip_noscript(tree: LexborHTMLParser, body: Node) -> None:
    """Remove the replacements of scripts, unless the page holds little else."""
    noscript = tree.css("noscript")
    if noscript and _text_length(body) > 2 * sum(_text_length(node) for node in noscript):
        tree.strip_tags(["noscript"], recursive=True)


def _strip_frame(body: Node) -> None:
    max_length = max(_MAX_FRAME_SHARE * _text_length(body), 1.0)
    for node in select_inside(body, _SMALL_FRAME):
        node.decompose()
    for node in select_inside(body, _FRAME_ATTRIBUTES):
        if _is_marked_as_frame(node) and not _is_too_large_for_frame(node, max_length):
            node.decompose()
    for node in select_inside(body, "aside"):
        if not _TEXT_ASIDE_NAME.search(" ".join(_list_names(node))) and not _is_too_large_for_frame(
            node, max_length
        ):
            node.decompose()
    for node in select_inside(body, "[class]:not(span,a,td,li,code),[id]:not(span,a,h2,h3)"):
        if (
            node.tag in _NAMEABLE_TAGS
            and _is_named_as_frame(node)
            and not _is_too_large_for_frame(node, max_length)
        ):
            node.decompose()


def _is_marked_as_frame(node: Node) -> bool:
    if node.tag in {"footer", "header"}:
        return True
    attributes = node.attributes
    hidden = (
        "hidden" in attributes or "display:none" in (attributes.get("style") or "").replace(" ", "").lower()
    )
    return hidden or attributes.get("aria-modal") == "true" or attributes.get("role") in _FRAME_ROLES


def _is_too_large_for_frame(node: Node, max_length: float) -> bool:
    """Whether an element holds too much of the page to be its frame, whatever its name."""
    return _text_length(node) > max_length and _prose_length(node) > max_length / 2


def _list_names(node: Node) -> list[str]:
    attributes = node.attributes
    return [*(attributes.get("class") or "").split(), *(attributes.get("id") or "").split()]


def _is_named_as_frame(node: Node) -> bool:
    attributes = node.attributes
    if any(_is_frame_name(name) for name in (attributes.get("class") or "").split()):
        return True
    if not _is_frame_name(attributes.get("id") or ""):
        return False
    # `<section id="comments"><h2>Comments</h2>`: the id is the heading's, and the section is text.
    first = next(node.iter(), None)
    return first is None or re.fullmatch(r"h[1-6]", first.tag) is None


@lru_cache(maxsize=4096)
def _is_frame_name(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME_CHARS and _FRAME_NAME.fullmatch(name) is not None


def _find_marked_content(body: Node) -> Node | None:
    """Return the innermost element that the author marked as content and that holds most of the prose."""
    total = _text_length(body)
    for selector in (_SEMANTIC_SELECTOR, _MAIN_SELECTOR):
        marked = sorted(
            ((_text_length(node), node) for node in body.css(selector)), key=lambda pair: -pair[0]
        )
        if marked and marked[0][0] >= _MIN_INNER_SHARE * total > 0:
            break
    else:
        if (
            not marked
            or not marked[0][0]
            or _prose_length(marked[0][1]) < _MIN_MARKED_SHARE * _prose_length(body)
        ):
            return None
    size, chosen = marked[0]
    for inner, node in marked[1:]:
        if inner >= _MIN_INNER_SHARE * size and _is_within(node, chosen):
            chosen = node
    return chosen


def _is_within(node: Node, outer: Node) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.mem_id == outer.mem_id:
            return True
        parent = parent.parent
    return False


def _find_densest_content(body: Node) -> Node:
    """Return the element below the body that still holds nearly all prose."""
    node, size = body, _prose_length(body)
    while size:
        children = [child for child in node.iter() if child.tag in _CONTAINERS or "-" in child.tag]
        sized = [(_prose_length(child), child) for child in children]
        best, child = max(sized, key=lambda pair: pair[0], default=(0, None))
        if child is None or best < _MIN_CHILD_SHARE * size:
            break
        node, size = child, best
    return node


def _strip_link_lists(node: Node) -> None:
    """Remove lists and boxes of links from the content: related pages, tags, previous and next."""
    link_counts: Counter[int] = Counter()
    for link in node.css("a"):
        parent = link.parent
        while parent is not None and parent.mem_id != node.mem_id:
            link_counts[parent.mem_id] += 1
            parent = parent.parent
    for child in select_inside(node, "ul,ol,div,section,p,td") if link_counts else ():
        if link_counts[child.mem_id] < _MIN_LINKS or child.css_first("pre,h1") is not None:
            continue
        if sum(_text_length(link) for link in child.css("a")) > _MAX_LINK_SHARE * _text_length(child):
            child.decompose()


def _find_language(tree: LexborHTMLParser) -> str:
    """Return ISO 639-1 of `<html lang>`; empty without one."""
    root: Node = tree.root
    match = re.match(r"[A-Za-z]{2}(?![A-Za-z])", (root.attributes.get("lang") or "") if root else "")
    return match[0].lower() if match else ""


def _find_title(tree: LexborHTMLParser) -> str:
    """Return the title of the page without the name of its site."""
    for selector in ("meta[property='og:title']", "meta[name='twitter:title']"):
        meta: Node = tree.css_first(selector)
        if meta is not None and (title := " ".join((meta.attributes.get("content") or "").split())):
            return _SITE_SEPARATOR.split(title)[0]
    element: Node = tree.css_first("title")
    title = " ".join((element.text(deep=True) or "").split()) if element is not None else ""
    return _SITE_SEPARATOR.split(title)[0] if title else ""
