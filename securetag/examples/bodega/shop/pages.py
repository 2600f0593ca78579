"""The few pages that are written by hand."""

from html import escape

from flask import Blueprint, jsonify, make_response, render_template, request
from markupsafe import Markup

blueprint = Blueprint("pages", __name__)


@blueprint.route("/hello")
def hello():
    name = request.args.get("name", "stranger")
    return "<h1>Welcome, " + name + "</h1>"


@blueprint.route("/hello/escaped")
def hello_escaped():
    name = escape(request.args.get("name", "stranger"))
    return "<h1>Welcome, " + name + "</h1>"


@blueprint.route("/not-found")
def not_found():
    page = request.args["page"]
    return make_response(f"<p>There is no page {page}.</p>", 404)


@blueprint.route("/basket/count")
def basket_count():
    count = int(request.args.get("count", 0))
    return make_response(f"<p>{count} things in your basket</p>")


@blueprint.route("/review")
def review():
    text = request.args["text"].replace("<script>", "")
    return Markup("<blockquote>" + text + "</blockquote>")


@blueprint.route("/picture/tag")
def picture_tag():
    title = escape(request.args["title"], quote=False)
    return Markup("<img src='/logo.png' alt='" + title + "'>")


@blueprint.route("/colour")
def colour():
    chosen = request.args.get("colour", "")
    name = chosen if chosen.isalpha() else "grey"
    return Markup("<p class='" + name + "'>Your colour</p>")


@blueprint.route("/about")
def about():
    return render_template("about.html", visitor=request.args.get("name"))


@blueprint.route("/version")
def version():
    return jsonify(version="3.1", lang=request.args.get("lang", "es"))
