from lxml import etree


def read(text, file):
    # ruleid: securetag.python.xml-entities
    etree.fromstring(text)
    # ruleid: securetag.python.xml-entities
    minidom.parseString(text)
    # ruleid: securetag.python.xml-entities
    parser = etree.XMLParser(resolve_entities=True)
    # Guarded code is reported all the same.
    if b"<!DOCTYPE" not in text:
        # ruleid: securetag.python.xml-entities
        etree.parse(file)


def near(text):
    # ok: securetag.python.xml-entities
    etree.fromstring(text, etree.XMLParser(resolve_entities=False))
    # ok: securetag.python.xml-entities
    json.parse(text)
