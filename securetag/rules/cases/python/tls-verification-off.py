import ssl

import requests


def call():
    # ruleid: securetag.python.tls-verification-off
    return requests.get("https://bank.example.test", verify=False)


def context():
    # ruleid: securetag.python.tls-verification-off
    return ssl._create_unverified_context()


def attribute(session):
    # ruleid: securetag.python.tls-verification-off
    session.verify = False


def private_authority():
    # ok: securetag.python.tls-verification-off
    return requests.get("https://bank.example.test", verify="/etc/ssl/own-ca.pem")


def own_function(order):
    # ok: securetag.python.tls-verification-off
    return check(order, verify=False)
