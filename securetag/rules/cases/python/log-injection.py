def formatted():
    # ruleid: securetag.python.log-injection
    logger.info("login of " + request.args["user"])


def argument(request):
    # ruleid: securetag.python.log-injection
    logging.warning("no such page: %s", request.GET["page"])


def constant():
    # ok: securetag.python.log-injection
    logger.info("started")


def another_object():
    # ok: securetag.python.log-injection
    dialog.info(request.args["user"])
