"""Orders: status, labels, export, discounts."""

import os
import shlex
import subprocess

from flask import Blueprint, abort, jsonify, render_template_string, request

from shop.database import cursor, rows

blueprint = Blueprint("orders", __name__)
PRINTERS = ("counter", "warehouse")
RULES = {"none": "0", "members": "price * 0.05", "sale": "price * 0.2"}


@blueprint.route("/orders/<number>")
def order(number):
    found = cursor()
    found.execute("SELECT * FROM purchase WHERE number = '" + number + "'")
    return jsonify(rows(found))


@blueprint.route("/orders/day")
def orders_of_day():
    year, month = request.args["year"], request.args["month"]
    found = cursor()
    found.execute(f"SELECT * FROM purchase WHERE year = {int(year)} AND month = {month}")
    return jsonify(rows(found))


@blueprint.route("/orders/archive", methods=["POST"])
def archive_orders():
    year = request.form["year"]
    os.system("tar czf /srv/bodega/orders-" + year + ".tgz /srv/bodega/orders/" + year)
    return jsonify(done=True)


@blueprint.route("/orders/archive-year", methods=["POST"])
def archive_year():
    year = int(request.form["year"])
    os.system(f"tar czf /srv/bodega/orders-{year}.tgz /srv/bodega/orders/{year}")
    return jsonify(done=True)


@blueprint.route("/label")
def print_label():
    text = request.args["text"]
    subprocess.run(f"label --text '{text}' --printer counter", shell=True)
    return jsonify(printed=True)


@blueprint.route("/label/quoted")
def print_quoted_label():
    text = shlex.quote(request.args["text"])
    subprocess.run(f"label --text={text} --printer counter", shell=True)
    return jsonify(printed=True)


@blueprint.route("/label/printer")
def print_on():
    printer = request.args["printer"]
    if printer not in PRINTERS:
        abort(400)
    subprocess.run("label --test --printer " + printer, shell=True)
    return jsonify(printed=True)


@blueprint.route("/label/list")
def print_label_without_shell():
    text = request.args["text"]
    subprocess.run(["label", "--printer", "counter", "--text", text], check=True)
    return jsonify(printed=True)


@blueprint.route("/stock/count")
def count_stock():
    pattern = shlex.quote(request.args["pattern"])
    out = subprocess.getoutput("grep -c \"" + pattern + "\" /srv/bodega/stock.csv")
    return jsonify(count=out)


@blueprint.route("/discount")
def discount():
    price = 100
    return jsonify(discount=eval(request.args["rule"], {"price": price}))


@blueprint.route("/discount/known")
def known_discount():
    rule = RULES.get(request.args["rule"], "0")
    return jsonify(discount=eval(rule, {"price": 100}))


@blueprint.route("/discount/filtered")
def filtered_discount():
    rule = request.args["rule"]
    if "import" in rule or "os" in rule:
        abort(400)
    return jsonify(discount=eval(rule, {"price": 100}))


@blueprint.route("/orders/mail")
def order_mail():
    greeting = request.args.get("greeting", "Hello")
    return render_template_string(greeting + ", your order is on its way.")


class Receipt:
    def __init__(self, number):
        self.number = number


@blueprint.route("/orders/receipt")
def receipt():
    layout = request.args["layout"]
    return jsonify(text=layout.format(receipt=Receipt(request.args["number"])))
