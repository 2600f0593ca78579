def user(request):
    # ruleid: securetag.python.nosql-injection
    db.users.find_one({"name": request.json["name"]})
    query = request.get_json()
    # ruleid: securetag.python.nosql-injection
    db.users.find(query)
    # Guarded code is reported all the same.
    if isinstance(query, dict):
        # ruleid: securetag.python.nosql-injection
        users.delete_many(query)


def near(text, request, name):
    # ok: securetag.python.nosql-injection
    db.users.find_one({"name": name})
    # ok: securetag.python.nosql-injection
    text.find(request.args["name"])
