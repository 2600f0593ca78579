"""Customers: registration, login, password reset, where to go afterwards."""

import hashlib
import random
import secrets
from urllib.parse import urlsplit

import jwt
from flask import Blueprint, current_app, jsonify, redirect, request

from shop.database import cursor

blueprint = Blueprint("accounts", __name__)
AFTER_LOGIN = {"basket": "/basket", "orders": "/orders", "home": "/"}
JWT_SECRET = "bodega-firma-2019-Xk7"


@blueprint.route("/login", methods=["POST"])
def login():
    name, password = request.form["name"], request.form["password"]
    digest = stored_form(password)
    found = cursor()
    query = "SELECT id FROM customer WHERE name = '{}' AND digest = '{}'".format(name, digest)
    found.execute(query)
    return jsonify(ok=found.fetchone() is not None)


def stored_form(password):
    return hashlib.sha256(password.encode()).hexdigest()


def stored_form_slow(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


def reset_token():
    return "".join(random.choice("abcdefghjkmnpqrstuvwxyz") for _ in range(12))


def unguessable_reset_token():
    return secrets.token_urlsafe(24)


def coupon_signature(code):
    return hashlib.md5((current_app.config["COUPON_KEY"] + code).encode()).hexdigest()


def guest_token():
    return jwt.encode({"sub": "guest"}, JWT_SECRET, algorithm="HS256")


@blueprint.route("/me")
def who_am_i():
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    return jsonify(customer=claims["sub"])


@blueprint.route("/me/verified")
def who_am_i_verified():
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    claims = jwt.decode(token, current_app.config["JWT_KEY"], algorithms=["HS256"])
    return jsonify(customer=claims["sub"])


@blueprint.route("/login/done")
def after_login():
    return redirect(request.args.get("next", "/"))


@blueprint.route("/logout")
def after_logout():
    target = request.args.get("next", "/")
    if not target.startswith("/"):
        target = "/"
    return redirect(target)


@blueprint.route("/login/page")
def after_login_page():
    page = request.args.get("page", "home")
    return redirect(AFTER_LOGIN.get(page, "/"))


@blueprint.route("/login/local")
def after_login_local():
    target = urlsplit(request.args.get("next", ""))
    if target.scheme or target.netloc or target.path not in AFTER_LOGIN.values():
        return redirect("/")
    return redirect(target.path)


@blueprint.route("/partner")
def to_partner():
    target = request.args["to"]
    if "bodega-partner.example" not in target:
        return redirect("/")
    return redirect(target)
