def flask_percent():
    name = request.args["name"]
    # ruleid: securetag.python.sql-injection
    cur.execute("SELECT * FROM item WHERE name = '%s'" % name)


def django_format(request):
    # ruleid: securetag.python.sql-injection
    return Item.objects.raw("SELECT * FROM item WHERE id = {}".format(request.GET["id"]))


async def aiohttp_post(request):
    form = await request.post()
    query = f"DELETE FROM item WHERE id = {form['id']}"
    # ruleid: securetag.python.sql-injection
    await conn.fetchrow(query)


def guarded_is_reported_too():
    column = request.args.get("sort")
    if column not in ("name", "price"):
        column = "name"
    # ruleid: securetag.python.sql-injection
    db.execute("SELECT * FROM item ORDER BY " + column)


def cast_is_reported_too():
    # ruleid: securetag.python.sql-injection
    db.execute(f"SELECT * FROM item WHERE id = {int(request.form['id'])}")


@app.get("/item/{key}")
async def fastapi_path(key: str):
    # ruleid: securetag.python.sql-injection
    await db.fetch_one("SELECT * FROM item WHERE key = '" + key + "'")


def sqlalchemy_text():
    # ruleid: securetag.python.sql-injection
    session.execute(text("SELECT * FROM item WHERE id = " + request.json["id"]))


def django_extra(request):
    # ruleid: securetag.python.sql-injection
    return Item.objects.extra(where=["id = " + request.GET["id"]])


def own_connection():
    # ruleid: securetag.python.sql-injection
    conn.query("SELECT 1 FROM item WHERE id = " + input())


def bound():
    # ok: securetag.python.sql-injection
    cur.execute("SELECT * FROM item WHERE name = %s", (request.args["name"],))


def bound_by_name():
    # ok: securetag.python.sql-injection
    session.execute(text("SELECT * FROM item WHERE id = :id"), {"id": request.args["id"]})


def built_from_constants(table_suffix="a"):
    # ok: securetag.python.sql-injection
    cur.execute("SELECT * FROM item_" + table_suffix)


def chosen_not_copied():
    order = "DESC" if request.args.get("newest") else "ASC"
    # ok: securetag.python.sql-injection
    cur.execute("SELECT * FROM item ORDER BY made " + order)


def no_statement():
    # ok: securetag.python.sql-injection
    return re.compile("a").match(request.args["name"])
