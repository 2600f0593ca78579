"""Bodega, a small shop. Deliberately vulnerable: see the README one folder up."""

from flask import Flask

from shop import accounts, catalogue, documents, imports, orders, pages, suppliers

PARTS = (accounts, catalogue, documents, imports, orders, pages, suppliers)


def create_app():
    app = Flask(__name__)
    for part in PARTS:
        app.register_blueprint(part.blueprint)
    return app
