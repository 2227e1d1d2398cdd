"""Checks an exported audit log: a second implementation, written from RFC 6962
and C2SP's signed-note, tlog-checkpoint, tlog-tiles and tlog-proof alone.

    verify_log.py DIR [--key FILE] [--seen CHECKPOINT]
    verify_log.py --proof FILE --key FILE

Only hashlib and `cryptography`. Exit code 0: genuine; 1: not.
"""

import argparse
import base64
import hashlib
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


def need(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"not genuine: {what}")


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, over leaves' hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:split]), root(hashes[split:]))


def checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    """Size and root that a signed note states, if the key signed it."""
    name, key_id, key = vkey.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    digest = hashlib.sha256(name.encode() + b"\n" + key).digest()
    need(key[0] == 1 and digest[:4].hex() == key_id, "the public key is malformed")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    signed = 0
    for line in signatures.splitlines():
        dash, by, signature = line.split(" ")
        raw = base64.b64decode(signature, validate=True)
        need(dash == "\u2014", "a signature line is malformed")
        if by == name and raw[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], text.encode())
            except InvalidSignature:
                need(False, "the signature is not the key's")
            signed += 1
    need(signed > 0, "the key has not signed the checkpoint")
    origin, size, head = text.splitlines()[:3]
    need(origin == name, "the checkpoint is another log's")
    return int(size), base64.b64decode(head, validate=True)


def path(kind: str, index: int, width: int) -> str:
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03}")
    return f"tile/{kind}/{'/'.join(parts)}" + (f".p/{width}" if width < WIDTH else "")


def widths(count: int):
    return [(at // WIDTH, min(WIDTH, count - at)) for at in range(0, count, WIDTH)]


def entries(directory: pathlib.Path, size: int) -> list[bytes]:
    """Every entry: bundles of entries behind their lengths as uint16."""
    found = []
    for index, width in widths(size):
        bundle = (directory / path("entries", index, width)).read_bytes()
        at, before = 0, len(found)
        while at < len(bundle):
            length = int.from_bytes(bundle[at : at + 2], "big")
            found.append(bundle[at + 2 : at + 2 + length])
            need(len(found[-1]) == length, "a bundle is cut short")
            at += 2 + length
        need(len(found) - before == width, "a bundle has entries too many or too few")
    return found


def log(directory: pathlib.Path, vkey: str, seen: str | None) -> None:
    size, head = checkpoint((directory / "checkpoint").read_text(), vkey)
    hashes = [leaf(entry) for entry in entries(directory, size)]
    need(root(hashes) == head, "the entries do not make up the signed root")
    level, kind = hashes, 0
    while level:
        for index, width in widths(len(level)):
            tile = (directory / path(str(kind), index, width)).read_bytes()
            need(tile == b"".join(level[index * WIDTH :][:width]), "a tile is wrong")
        full = len(level) // WIDTH
        level = [root(level[i * WIDTH : (i + 1) * WIDTH]) for i in range(full)]
        kind += 1
    if seen is not None:
        old, old_head = checkpoint(seen, vkey)
        need(old <= size and root(hashes[:old]) == old_head, "the log was written anew")
    print(f"genuine: {size} entries")


def proof(text: str, vkey: str) -> None:
    """RFC 9162, section 2.1.3.2."""
    lines, _, note = text.partition("\n\n")
    header, extra, index, *hashes = lines.split("\n")
    need(header == "c2sp.org/tlog-proof@v1", "it is not a proof")
    size, head = checkpoint(note, vkey)
    found = leaf(base64.b64decode(extra.removeprefix("extra "), validate=True))
    at, last = int(index.removeprefix("index ")), size - 1
    need(at <= last, "there is no such entry")
    for sibling in map(base64.b64decode, hashes):
        need(last > 0, "the path is too long")
        if at & 1 or at == last:
            found = node(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0 and found == head, "the path does not lead to the signed root")
    print("genuine: the entry is in the log")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path)
    parser.add_argument("--seen", type=pathlib.Path)
    parser.add_argument("--proof", type=pathlib.Path)
    asked = parser.parse_args()
    trusted = (asked.key or asked.directory / "log.vkey").read_text()
    if asked.proof:
        proof(asked.proof.read_text(), trusted)
    else:
        log(asked.directory, trusted, asked.seen.read_text() if asked.seen else None)
