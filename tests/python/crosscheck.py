#!/usr/bin/env python3
"""Opens the vault's messages and records with PyPI's `cryptography` (50 or
newer) and writes others for the vault to open.

    crosscheck.py [--write DIR] DIR...

Every DIR to read holds message.json and record.json, shaped as those in
tests/vectors. Written from docs/FORMAT.md alone; it shares no code with the
vault. Exits 0 only when every value opened to its plaintext.
"""

import argparse
import hmac
import json
import os
import pathlib
import struct
import sys

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
CHUNK = 16 * 1024
TAG = 16
LENGTHS = [0, 1, 15, 16, 17, 32, 100, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 40 * 1024]


def expand(key, info, length):
    """HKDF-Expand with SHA-512 (RFC 5869)."""
    out, block, counter = b"", b"", 1
    while len(out) < length:
        mac = HMAC(key, hashes.SHA512())
        mac.update(block + info + bytes([counter]))
        block = mac.finalize()
        out += block
        counter += 1
    return out[:length]


class Group:
    """The one-use key of a group of fields."""

    def __init__(self, key, context, salt):
        derived = expand(key, LABEL + salt + context, 32 + 12 + 32)
        self.cipher = AESGCM(derived[:32])
        self.base_nonce = int.from_bytes(derived[32:44], "big")
        self.commitment = derived[44:]

    def nonce(self, number, chunk):
        return (self.base_nonce ^ (number << 24 | chunk)).to_bytes(12, "big")

    def seal(self, number, plaintext):
        return b"".join(
            self.cipher.encrypt(self.nonce(number, i), plaintext[i * CHUNK : (i + 1) * CHUNK], None)
            for i in range(len(plaintext) // CHUNK + 1)
        )

    def open(self, number, ciphertext):
        whole = CHUNK + TAG
        if len(ciphertext) % whole < TAG:
            raise ValueError("cut off")
        return b"".join(
            self.cipher.decrypt(self.nonce(number, i), ciphertext[i * whole : (i + 1) * whole], None)
            for i in range(len(ciphertext) // whole + 1)
        )


def unhex(vector, *names):
    return [bytes.fromhex(vector[name]) for name in names]


def open_message(key, context, message):
    decryptor = Cobblestone256Decryptor(key, context)
    return decryptor.update(message) + decryptor.finalize()


def check_messages(path):
    vectors = json.loads(path.read_text())
    for number, vector in enumerate(vectors):
        key, context, message, plaintext = unhex(vector, "key", "context", "message", "plaintext")
        if open_message(key, context, message) != plaintext:
            sys.exit(f"{path}: message {number} opens to something else")
        for spoiled in (message[:-1], message[:-1] + bytes([message[-1] ^ 1])):
            try:
                open_message(key, context, spoiled)
            except Exception:  # any refusal will do
                continue
            sys.exit(f"{path}: message {number} opens although it was changed")
    return len(vectors)


def check_records(path):
    vectors = json.loads(path.read_text())
    for number, vector in enumerate(vectors):
        key, context, salt, commitment = unhex(vector, "key", "context", "salt", "commitment")
        group = Group(key, context, salt)
        if not hmac.compare_digest(group.commitment, commitment):
            sys.exit(f"{path}: record {number} commits to another key")
        for field in vector["fields"]:
            ciphertext, plaintext = unhex(field, "ciphertext", "plaintext")
            if group.open(field["number"], ciphertext) != plaintext:
                sys.exit(f"{path}: record {number} opens to something else")
            try:
                group.open(field["number"] ^ 1, ciphertext)
            except InvalidTag:
                continue
            sys.exit(f"{path}: record {number} opens as another field")
    return len(vectors)


def record_context(number):
    """Label, version, suite, deployment, tenant, customer, generation, record
    type, record, schema version, revision."""
    head = bytes([1, 1, 1]) + os.urandom(16)
    return head + struct.pack(">IQIHQIQ", 1, number, 2, 3, number * 7, 4, number << 40)


def fresh_messages():
    for number in range(2 * len(LENGTHS)):
        length = LENGTHS[number % len(LENGTHS)]
        key, context, plaintext = os.urandom(32), os.urandom(number * 5), os.urandom(length)
        encryptor = Cobblestone256Encryptor(key, context)
        message = encryptor.update(plaintext) + encryptor.finalize()
        values = {"key": key, "context": context, "message": message, "plaintext": plaintext}
        yield {name: value.hex() for name, value in values.items()}


def fresh_records():
    for number in range(2 * len(LENGTHS)):
        key, context, salt = os.urandom(32), record_context(number), os.urandom(24)
        group = Group(key, context, salt)
        fields = []
        for step in range(1 + number % 5):
            field, length = 1 + (number * 631 + step) % 16383, LENGTHS[(number + step) % len(LENGTHS)]
            plaintext = os.urandom(length)
            sealed = group.seal(field, plaintext)
            fields.append({"number": field, "ciphertext": sealed.hex(), "plaintext": plaintext.hex()})
        values = {"key": key, "context": context, "salt": salt, "commitment": group.commitment}
        yield {name: value.hex() for name, value in values.items()} | {"fields": fields}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", metavar="DIR", type=pathlib.Path)
    parser.add_argument("read", metavar="DIR", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    for directory in arguments.read:
        messages = check_messages(directory / "message.json")
        records = check_records(directory / "record.json")
        print(f"{directory}: {messages} messages and {records} records open")
    if arguments.write:
        for name, fresh in (("message", fresh_messages), ("record", fresh_records)):
            text = json.dumps(list(fresh()))
            (arguments.write / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
