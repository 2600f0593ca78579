"""Suppliers: their addresses, their directory, their status."""

import ipaddress
from urllib.parse import urlparse

import ldap
import requests
from flask import Blueprint, abort, jsonify, request
from ldap.filter import escape_filter_chars

blueprint = Blueprint("suppliers", __name__)
HOSTS = {"api.acme.example", "feeds.granja.example"}
STATUS = {"acme": "https://api.acme.example/up", "granja": "https://feeds.granja.example/up"}
directory = ldap.initialize("ldap://directory.bodega.internal")


@blueprint.route("/supplier/preview")
def preview():
    answer = requests.get(request.args["url"], timeout=5)
    return jsonify(status=answer.status_code, text=answer.text[:200])


@blueprint.route("/supplier/feed")
def supplier_feed():
    url = urlparse(request.args["url"])
    if url.scheme != "https" or url.netloc not in HOSTS:
        abort(400)
    answer = requests.get(url.geturl(), timeout=5, allow_redirects=False)
    return jsonify(text=answer.text[:200])


@blueprint.route("/supplier/logo")
def supplier_logo():
    url = request.args["url"]
    if not url.startswith("https://api.acme.example"):
        abort(400)
    answer = requests.get(url, timeout=5)
    return jsonify(size=len(answer.content))


@blueprint.route("/supplier/status")
def supplier_status():
    url = STATUS.get(request.args["name"])
    if url is None:
        abort(404)
    return jsonify(up=requests.get(url, timeout=5).ok)


@blueprint.route("/supplier/stock")
def supplier_stock():
    host = request.args["host"]
    answer = requests.get("http://" + host + ".suppliers.internal/stock", timeout=5)
    return jsonify(stock=answer.json())


@blueprint.route("/scale")
def scale():
    address = ipaddress.ip_address(request.args["address"])
    answer = requests.get(f"http://{address}/weight", timeout=2)
    return jsonify(weight=answer.text)


@blueprint.route("/supplier/order", methods=["POST"])
def place_order():
    # Ana (ana.lopez@bodega.example) made this token on warehouse-3.bodega.internal.
    token = "ghp_f4k3T0kenOfTh3B0degaDem0App1234567ab"
    headers = {"Authorization": "Bearer " + token}
    answer = requests.post(request.form["callback"], json=request.json, headers=headers, timeout=5)
    return jsonify(ok=answer.ok)


@blueprint.route("/bank")
def bank_balance():
    answer = requests.get("https://bank.bodega.internal/balance", verify=False, timeout=5)
    return jsonify(answer.json())


@blueprint.route("/staff")
def staff():
    query = "(uid=" + request.args["name"] + ")"
    found = directory.search_s("ou=staff,dc=bodega", ldap.SCOPE_SUBTREE, query)
    return jsonify(found=len(found))


@blueprint.route("/staff/escaped")
def staff_escaped():
    query = "(uid=" + escape_filter_chars(request.args["name"]) + ")"
    found = directory.search_s("ou=staff,dc=bodega", ldap.SCOPE_SUBTREE, query)
    return jsonify(found=len(found))
