"""Reads notices in the Transparency Information Language as that project's own
Python binding does (PyPI `tilt`, TILT version 1):

    python tests/python/tilt_notice.py < documents.json

Standard input is a JSON list of documents. What the binding reads and writes
again must be what came in, and the texts that the language gives a form must
have it.
"""

import hashlib
import json
import re
import sys

from tilt import tilt

REFERENCE = re.compile(r"[A-Z]+(-[0-9]+|-[a-z])*")
SPAN = re.compile(r"P[0-9]+D")


def without_none(value):
    """The binding writes null for what is not there."""
    if isinstance(value, dict):
        return {key: without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_none(one) for one in value]
    return value


def check(document: dict) -> None:
    read = tilt.tilt_from_dict(document)
    assert without_none(tilt.tilt_to_dict(read)) == document, "not all of it was read"
    meta = document["meta"]
    assert re.fullmatch("[a-z]{2}", meta["language"])
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", meta["created"]), meta["created"]
    assert meta["status"] in ("active", "inactive") and meta["version"] >= 1
    hashed = json.loads(json.dumps(document))
    expected = hashed["meta"].pop("_hash")
    # RFC 8785 for text that has no numbers but whole ones.
    canonical = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == expected
    for item in read.data_disclosed:
        assert item.purposes and item.legal_bases
        for basis in item.legal_bases:
            assert REFERENCE.fullmatch(basis.reference), basis.reference
        for storage in item.storage:
            for span in storage.temporal:
                assert SPAN.fullmatch(span.ttl), span.ttl


def main() -> None:
    documents = json.load(sys.stdin)
    assert documents
    for document in documents:
        check(document)
    print(f"{len(documents)} documents read")


main()
