"""Invoices, pictures and manuals that lie on the disk."""

import os
import tarfile
import tempfile
from pathlib import Path

from flask import Blueprint, abort, jsonify, request, send_file
from werkzeug.utils import secure_filename

blueprint = Blueprint("documents", __name__)
BASE = "/srv/bodega/documents"
MANUALS = {"scale": "scale-2021.pdf", "till": "till-v3.pdf"}


@blueprint.route("/invoice")
def invoice():
    return send_file(os.path.join(BASE, request.args["name"]))


@blueprint.route("/invoice/checked")
def invoice_checked():
    path = os.path.realpath(os.path.join(BASE, request.args["name"]))
    if not path.startswith(BASE + os.sep):
        abort(404)
    return send_file(path)


@blueprint.route("/invoice/cleaned")
def invoice_cleaned():
    name = request.args["name"].replace("../", "")
    return send_file(os.path.join(BASE, name))


@blueprint.route("/picture/<path:name>")
def picture(name):
    path = os.path.join(BASE, "pictures", name)
    if os.path.exists(path):
        return send_file(path)
    return abort(404)


@blueprint.route("/manual")
def manual():
    name = MANUALS.get(request.args["device"])
    if name is None:
        abort(404)
    return send_file(os.path.join(BASE, name))


@blueprint.route("/note")
def read_note():
    note = Path(BASE, "notes") / request.args["id"]
    return jsonify(text=note.read_text())


@blueprint.route("/note/numbered")
def read_numbered_note():
    note = Path(BASE, "notes") / f"{int(request.args['id'])}.txt"
    return jsonify(text=note.read_text())


@blueprint.route("/picture", methods=["DELETE"])
def remove_picture():
    os.remove(BASE + "/pictures/" + request.form["file"])
    return jsonify(removed=True)


@blueprint.route("/picture", methods=["POST"])
def upload_picture():
    photo = request.files["photo"]
    photo.save(os.path.join(BASE, "pictures", photo.filename))
    return jsonify(stored=True)


@blueprint.route("/picture/renamed", methods=["POST"])
def upload_renamed_picture():
    photo = request.files["photo"]
    name = secure_filename(photo.filename) or "photo"
    photo.save(os.path.join(BASE, "pictures", name))
    return jsonify(stored=True)


def restore_backup(archive):
    with tarfile.open(archive) as backup:
        backup.extractall(BASE)


def restore_backup_filtered(archive):
    with tarfile.open(archive) as backup:
        backup.extractall(BASE, filter="data")


def price_list():
    handle, name = tempfile.mkstemp(".csv")
    with os.fdopen(handle, "w") as file:
        file.write("code,price\n")
    return name
