def make(request):
    # ruleid: securetag.python.mass-assignment
    user = User(**request.json)
    # ruleid: securetag.python.mass-assignment
    User.objects.create(**request.get_json())
    # Guarded code is reported all the same.
    if "admin" not in request.json:
        # ruleid: securetag.python.mass-assignment
        user = User(**request.json)
    return user


def near(request, fields):
    # ok: securetag.python.mass-assignment
    User(name=request.json["name"])
    # ok: securetag.python.mass-assignment
    User(**fields)
