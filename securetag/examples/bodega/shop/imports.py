"""What comes in from other systems: baskets, feeds, settings."""

import base64
import hashlib
import hmac
import json
import pickle

import yaml
from flask import Blueprint, abort, current_app, jsonify, request
from lxml import etree

blueprint = Blueprint("imports", __name__)
CATALOGUE = etree.parse("/srv/bodega/catalogue.xml")


@blueprint.route("/basket")
def basket():
    content = pickle.loads(base64.b64decode(request.cookies["basket"]))
    return jsonify(items=len(content))


@blueprint.route("/basket/signed", methods=["POST"])
def signed_basket():
    body = request.get_data()
    mac = hmac.new(current_app.config["BASKET_KEY"], body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(mac, request.headers.get("X-Mac", "")):
        abort(403)
    return jsonify(items=len(pickle.loads(body)))


@blueprint.route("/basket/checked", methods=["POST"])
def checked_basket():
    body = request.get_data()
    if hashlib.sha256(body).hexdigest() != request.headers["X-Sha256"]:
        abort(403)
    return jsonify(items=len(pickle.loads(body)))


@blueprint.route("/basket/json", methods=["POST"])
def json_basket():
    return jsonify(items=len(json.loads(request.get_data())))


@blueprint.route("/settings", methods=["POST"])
def load_settings():
    settings = yaml.load(request.data, Loader=yaml.Loader)
    return jsonify(settings=sorted(settings))


@blueprint.route("/settings/safe", methods=["POST"])
def load_settings_safely():
    return jsonify(settings=sorted(yaml.safe_load(request.data)))


@blueprint.route("/feed", methods=["POST"])
def product_feed():
    parser = etree.XMLParser(resolve_entities=True, no_network=False)
    feed = etree.fromstring(request.data, parser)
    return jsonify(products=[node.text for node in feed.iter("name")])


@blueprint.route("/feed/strict", methods=["POST"])
def strict_product_feed():
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    feed = etree.fromstring(request.data, parser)
    return jsonify(products=len(feed))


@blueprint.route("/feed/shelf")
def shelf():
    found = CATALOGUE.xpath("//product[@shelf='" + request.args["shelf"] + "']/name/text()")
    return jsonify(products=found)


@blueprint.route("/feed/shelf-number")
def shelf_number():
    number = int(request.args["shelf"])
    found = CATALOGUE.xpath(f"//product[@shelf='{number}']/name/text()")
    return jsonify(products=found)
