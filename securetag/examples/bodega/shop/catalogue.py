"""What the shop sells: search, sort, filter."""

import re

from flask import Blueprint, abort, jsonify, request

from shop.database import cursor, rows

blueprint = Blueprint("catalogue", __name__)
SORTABLE = {"name", "price", "stock"}
ORDERS = {"cheap": "price ASC", "dear": "price DESC", "new": "added DESC"}
PAGE = 20


@blueprint.route("/products/search")
def search_products():
    words = request.args.get("q", "")
    found = cursor()
    found.execute("SELECT * FROM product WHERE name LIKE '%" + words + "%'")
    return jsonify(rows(found))


@blueprint.route("/products/search/bound")
def search_products_bound():
    words = request.args.get("q", "")
    found = cursor()
    found.execute("SELECT * FROM product WHERE name LIKE ?", ("%" + words + "%",))
    return jsonify(rows(found))


@blueprint.route("/products/by-brand")
def products_by_brand():
    brand = request.args["brand"].strip().lower()
    found = cursor()
    found.execute(f"SELECT id, name FROM product WHERE brand = '{brand}'")
    return jsonify(rows(found))


@blueprint.route("/products/sorted")
def sorted_products():
    column = request.args.get("column", "name")
    found = cursor()
    found.execute("SELECT * FROM product ORDER BY %s" % column)
    return jsonify(rows(found))


@blueprint.route("/products/sorted-by")
def sorted_by_known_column():
    column = request.args.get("column", "name")
    if column not in SORTABLE:
        abort(400)
    found = cursor()
    found.execute("SELECT * FROM product ORDER BY %s" % column)
    return jsonify(rows(found))


@blueprint.route("/products/ordered")
def ordered_products():
    order = ORDERS.get(request.args.get("order"), "name ASC")
    found = cursor()
    found.execute("SELECT * FROM product ORDER BY " + order)
    return jsonify(rows(found))


@blueprint.route("/products/page")
def product_page():
    first = int(request.args.get("page", 0)) * PAGE
    found = cursor()
    found.execute(f"SELECT * FROM product LIMIT {PAGE} OFFSET {first}")
    return jsonify(rows(found))


@blueprint.route("/products/by-code")
def product_by_code():
    code = request.args["code"]
    if not re.match(r"[A-Z]{3}", code):
        abort(400)
    found = cursor()
    found.execute("SELECT * FROM product WHERE code = '" + code + "'")
    return jsonify(rows(found))


@blueprint.route("/products/by-ean")
def product_by_ean():
    ean = request.args["ean"]
    if not re.fullmatch(r"[0-9]{13}", ean):
        abort(400)
    found = cursor()
    found.execute("SELECT * FROM product WHERE ean = '" + ean + "'")
    return jsonify(rows(found))


@blueprint.route("/products/similar")
def similar_products():
    found = cursor()
    name = request.args["name"].replace("'", "")
    found.execute("SELECT * FROM product WHERE rank > " + name + " LIMIT 5")
    return jsonify(rows(found))


@blueprint.route("/products")
def all_products():
    found = cursor()
    found.execute("SELECT * FROM product ORDER BY name")
    return jsonify(rows(found))
