def node(tree, name):
    # ruleid: securetag.python.xpath-formatted
    tree.xpath(f"//user[@name='{name}']")
    query = "//user[@name='%s']" % name
    # ruleid: securetag.python.xpath-formatted
    etree.XPath(query)
    # Guarded code is reported all the same.
    if name.isalnum():
        # ruleid: securetag.python.xpath-formatted
        tree.findall("user[@name='" + name + "']")


def near(tree, name):
    # ok: securetag.python.xpath-formatted
    tree.xpath("//user[@name=$name]", name=name)
    # ok: securetag.python.xpath-formatted
    names.find("a" + name)
