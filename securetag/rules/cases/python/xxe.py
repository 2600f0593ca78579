from lxml import etree
from xml.dom import minidom


def lxml():
    # ruleid: securetag.python.xxe
    return etree.fromstring(request.data)


def standard_library(request):
    # ruleid: securetag.python.xxe
    return minidom.parseString(request.body)


def hardened_is_reported_too():
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    # ruleid: securetag.python.xxe
    return etree.fromstring(request.data, parser)


def defused():
    # ok: securetag.python.xxe
    return defusedxml.ElementTree.fromstring(request.data)


def own_file():
    # ok: securetag.python.xxe
    return etree.parse("catalog.xml")
