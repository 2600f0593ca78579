def lxml():
    # ruleid: securetag.python.xpath-injection
    return tree.xpath("//user[@name='" + request.args["name"] + "']")


def compiled(request):
    # ruleid: securetag.python.xpath-injection
    return etree.XPath(f"//user[@id={request.GET['id']}]")(document)


def standard_library():
    # ruleid: securetag.python.xpath-injection
    return root.findall(".//item[@id='%s']" % request.form["id"])


def variable():
    # ok: securetag.python.xpath-injection
    return tree.xpath("//user[@name=$name]", name=request.args["name"])


def text():
    # ok: securetag.python.xpath-injection
    return title.find(request.args["name"])
