"""Checks an exported audit log: a second implementation, written from RFC 6962, RFC 9162
and C2SP's signed-note, tlog-checkpoint, tlog-tiles, tlog-proof and tlog-cosignature alone;
what a pruned log must hold is from docs/FORMAT.md.

    verify_log.py DIR [--key FILE] [--seen CHECKPOINT] [--witness FILE]
    verify_log.py --proof FILE --key FILE

Only hashlib and `cryptography`. Exit code 0: genuine; 1: not.
"""
import argparse
import base64
import hashlib
import json
import pathlib
import sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

W = 256  # hashes of a full tile, entries of a full bundle


def need(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"not genuine: {what}")


def b64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: list[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:split]), root(hashes[split:]))


def signed(note: str, vkey: str, kind: int) -> list[str]:
    """The lines of a note that the key signed (kind 1), or cosigned (kind 4)."""
    name, key_id, key = vkey.strip().split("+", 2)
    key = b64(key)
    digest = hashlib.sha256(name.encode() + b"\n" + key).digest()
    need(key[0] == kind and digest[:4].hex() == key_id, "the public key is malformed")
    text, _, lines = note.rpartition("\n\n")
    lines = [line.split(" ") for line in lines.splitlines()]
    need(all(line[0] == "\u2014" for line in lines), "a signature line is malformed")
    raws = [b64(raw)[4:] for _, by, raw in lines if by == name and b64(raw)[:4].hex() == key_id]
    need(raws != [], f"{name} has not signed the checkpoint")
    for raw in raws:
        time = f"cosignature/v1\ntime {int.from_bytes(raw[:8], 'big')}\n" if kind == 4 else ""
        message = (time + text + "\n").encode()
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[8 if time else 0 :], message)
    return text.splitlines()


def checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    origin, size, head = signed(note, vkey, 1)[:3]
    need(origin == vkey.split("+")[0], "the checkpoint is another log's")
    return int(size), b64(head)


def parts(directory: pathlib.Path, kind: str, count: int):
    """The files of tiles or bundles, each with its first number, its width and, where it is
    there, what is in it."""
    for at in range(0, count, W):
        index, width = at // W, min(W, count - at)
        names = [f"{index % 1000:03}"]
        while index := index // 1000:
            names.insert(0, f"x{index % 1000:03}")
        name = f"tile/{kind}/{'/'.join(names)}" + (f".p/{width}" if width < W else "")
        file = directory / name
        yield at, width, file.read_bytes() if file.exists() else None


def entries(bundle: bytes, places: bool) -> list[tuple[int, bytes]]:
    """The entries of a bundle, or those that stayed, each behind its place."""
    found = []
    while bundle:
        place, bundle = (bundle[0], bundle[1:]) if places else (len(found), bundle)
        length = 2 + int.from_bytes(bundle[:2], "big")
        need(length <= len(bundle), "a bundle is cut short")
        found.append((place, bundle[2:length]))
        bundle = bundle[length:]
    return found


def pruned(facts: list[tuple[int, bytes, dict]], gone: int) -> None:
    """Nothing is gone but what the log says was pruned, and what must stay is there."""
    told = [fact["pruned"] for at, _, fact in facts if at >= fact.get("pruned", {}).get("entries", at + 1)]
    told = max(told, key=lambda of: of["entries"], default={"entries": 0, "kept": 0})
    need(gone <= told["entries"], "entries are not there, and none says that they were pruned")
    go = {"consent", "exported", "imported", "request", "restraint"}
    stay = [hash for at, hash, fact in facts if at < told["entries"] and not go & fact.keys()]
    need(len(stay) == told["kept"], "entries that must stay are not there")
    if told["kept"]:
        need(root(stay).hex() == told["root"], "other entries are there than must stay")
    if told["entries"]:
        print(f"pruned: the first {told['entries']} entries, but for {told['kept']}")


def log(directory: pathlib.Path, vkey: str, seen: str | None, witness: str | None) -> None:
    size, head = checkpoint((directory / "checkpoint").read_text(), vkey)
    hashes: list[bytes] = []
    facts, gone = [], 0
    files = (parts(directory, kind, size) for kind in ("entries", "kept", "0"))
    for (at, width, bundle), (_, _, kept), (_, _, tile) in zip(*files):
        if bundle is None:
            need(width == W and len(tile or b"") == 32 * W, "a bundle is not there")
            here, gone = entries(kept or b"", True), at + W
            hashes += [tile[32 * place : 32 * place + 32] for place in range(W)]
        else:
            here = entries(bundle, False)
            hashes += [leaf(entry) for _, entry in here]
        need(len(hashes) == at + width, "a bundle has entries too many or too few")
        for place, entry in here:
            need(leaf(entry) == hashes[at + place], "an entry stayed that is not in the log")
            if fact := json.loads(entry)["fact"]:
                facts.append((at + place, leaf(entry), fact))
    pruned(facts, gone)
    need(root(hashes) == head, "the entries do not make up the signed root")
    level, kind = hashes, 0
    while level:
        for at, width, tile in parts(directory, str(kind), len(level)):
            need(tile == b"".join(level[at : at + width]), "a tile is wrong")
        level = [root(level[at : at + W]) for at in range(0, len(level) // W * W, W)]
        kind += 1
    if witness:
        seen = (directory / "checkpoint.cosigned").read_text()
        signed(seen, witness, 4)
    if seen:
        old, old_head = checkpoint(seen, vkey)
        need(old <= size and root(hashes[:old]) == old_head, "the log was written anew")
    print(f"genuine: {size} entries")


def proof(text: str, vkey: str) -> None:  # RFC 9162, 2.1.3.2
    lines, _, note = text.partition("\n\n")
    header, extra, index, *hashes = lines.split("\n")
    need(header == "c2sp.org/tlog-proof@v1", "it is not a proof")
    size, head = checkpoint(note, vkey)
    found = leaf(b64(extra.removeprefix("extra ")))
    at, last = int(index.removeprefix("index ")), size - 1
    need(at <= last, "there is no such entry")
    for sibling in map(b64, hashes):
        need(last > 0, "the path is too long")
        right = at & 1 or at == last
        found = node(sibling, found) if right else node(found, sibling)
        while right and not at & 1 and at:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    need(last == 0 and found == head, "the path does not lead to the signed root")
    print("genuine: the entry is in the log")


parser = argparse.ArgumentParser()
parser.add_argument("directory", nargs="?", type=pathlib.Path)
for option in ("--key", "--seen", "--proof", "--witness"):
    parser.add_argument(option, type=lambda name: pathlib.Path(name).read_text())
asked = parser.parse_args()
trusted = asked.key or (asked.directory / "log.vkey").read_text()
if asked.proof:
    proof(asked.proof, trusted)
else:
    log(asked.directory, trusted, asked.seen, asked.witness)
