from Crypto.Cipher import AES, DES
from cryptography.hazmat.primitives.ciphers import algorithms, modes


def old(key):
    # ruleid: securetag.python.weak-cipher
    return DES.new(key, DES.MODE_CBC)


def block_by_block(key):
    # ruleid: securetag.python.weak-cipher
    return AES.new(key, AES.MODE_ECB)


def mode():
    # ruleid: securetag.python.weak-cipher
    return modes.ECB()


def authenticated(key, nonce):
    # ok: securetag.python.weak-cipher
    return AES.new(key, AES.MODE_GCM, nonce=nonce)
