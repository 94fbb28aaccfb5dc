#!/usr/bin/env python3
"""Makes the test vectors in this folder, from docs/protocol.md and nothing else.

Needs Python 3.9 and the package `cryptography`. Everything is fixed (roots, ids, nonces, times), so that every run writes the
same bytes:

    python3 make_vectors.py            # writes the files beside this script
    python3 make_vectors.py --check    # writes nothing; fails if a file differs

README.md says what is in each file.
"""

import json
import pathlib
import sys

import conversations
import frames
from conversations import KIND, ROOT, SESSION, START, sample
from recall_protocol import *

SECOND = Keys(sample("second root"), session_id(65535, bytes(6), 2**64 - 1), "büro/1", b"alice@example.org")
FIRST = Keys(ROOT, SESSION, KIND)


def keys():
    long_kind = "k" * 255
    return [
        FIRST.fields(),
        Keys(ROOT, SESSION, KIND, b"alice@example.org").fields(),
        Keys(ROOT, SESSION, KIND, b"").fields(),
        Keys(ROOT, SESSION, "json").fields(),
        Keys(ROOT, session_id(1, bytes.fromhex("0102030405aa"), 8), KIND).fields(),
        SECOND.fields(),
        Keys(bytes(32), bytes(16), long_kind, bytes(1000)).fields(),
    ]


def seals():
    """Chains of updates, and leaves on their positions."""
    chains = []
    for chosen in (FIRST, SECOND):
        contents = [b"\x01", b"\x01hello", b"\xff" + bytes(300), b"\x02\x00", sample("long content", 70_000)]
        updates, sealed = [], [ZERO]
        for n, content in enumerate(contents, 1):
            sealed.append(seal(chosen.iv, sealed[-1], UPDATE, n, content))
            updates.append({"n": n, "content": content, "seal": sealed[-1]})
        requests = [
            {"n": n, "seal": sealed[n], "content": content, "leaf": seal(chosen.iv, sealed[n], REQUEST, n, content)}
            for n in (0, 3, 5) for content in (b"\x02", b"\x01hello")
        ]
        attaches = []
        for n in (0, 2):
            claim, nonce = frames.claim(chosen, n), sample("nonce of an attach %d" % n)
            leaf = seal(chosen.iv, sealed[n], ATTACH, n, encode_claim(claim) + nonce)
            attaches.append({"n": n, "seal": sealed[n], "claim": encode_claim(claim), "nonce": nonce, "leaf": leaf})
        chains.append({"iv": chosen.iv, "updates": updates, "requests": requests, "attaches": attaches})
    far = [2**32, 2**53 + 1, 2**63, 2**64 - 1]
    single = [
        {"kind": kind, "n": n, "base": sample("base"), "content": b"\x01x", "seal": seal(FIRST.iv, sample("base"), kind, n, b"\x01x")}
        for kind in (UPDATE, REQUEST, ATTACH) for n in far
    ]
    return {"chains": chains, "single": {"iv": FIRST.iv, "seals": single}}


def of(chosen, purpose):
    """What names a key: the root and the IV that it is derived from, and the key itself."""
    return {"root": chosen.root, "iv": chosen.iv, "key": getattr(chosen, purpose)}


DETERMINANTS = [
    {},
    {"clock": 0},
    {"clock": -1},
    {"clock": START},
    {"clock": -(2**63)},
    {"outcome": b""},
    {"outcome": b"paid"},
    {"clock": START, "outcome": bytes(300)},
    {"refusal": b'{"insufficient":100}'},
    {"clock": START, "refusal": b""},
    {"failure": (50, "the kind lists no message 9")},
    {"failure": (53, "")},
    {"clock": 2**63 - 1, "failure": (65535, "é" * 512)},
]

REFUSED_DETERMINANTS = [
    ("00", "there is no entry 0"),
    ("05", "there is no entry 5"),
    ("01", "a clock without a time"),
    ("0100000000000000", "a clock that is cut off"),
    ("01" + "00" * 8 + "01" + "00" * 8, "two clocks"),
    ("0200000000" + "01" + "00" * 8, "the clock after the outcome"),
    ("02000000", "a length that is cut off"),
    ("0200000002aa", "an outcome that is cut off"),
    ("0200000000" + "0300000000", "outcome and refusal"),
    ("0300000000" + "0300000000", "two refusals"),
    ("0300000000" + "040032" + "00000000", "refusal and failure"),
    ("0400", "a failure without its code"),
    ("040032" + "00000401" + "61" * 1025, "a failure's text of 1,025 bytes"),
    ("0200000000" + "ff", "bytes left over"),
]


def determinant_vectors():
    encodings = []
    for fields in DETERMINANTS:
        failure = fields.get("failure")
        shown = {key: fields.get(key) for key in ("clock", "outcome", "refusal")}
        shown["failure"] = failure and {"code": failure[0], "text": failure[1]}
        encodings.append({"fields": shown, "bytes": determinants(**fields)})
    return {"encodings": encodings, "refused": [{"bytes": bytes.fromhex(data), "why": why} for data, why in REFUSED_DETERMINANTS]}


def digests():
    """A run of updates with determinants and replies, of which some have none."""
    steps, d, r = [], ZERO, ZERO
    for n, (fields, reply) in enumerate(zip(DETERMINANTS, [b"", b"1", b"", b"", b"two", b"", bytes(500)] * 2), 1):
        data = determinants(**fields)
        d, r = fold_determinants(d, n, data), fold_reply(r, n, reply)
        steps.append({"n": n, "determinants": data, "reply": reply, "d": d, "r": r})
    return steps


def receipts():
    valid = []
    for chosen, version, n, time in ((FIRST, 1, 1, START), (FIRST, 2**32 - 1, 2**64 - 1, -1), (SECOND, 7, 2**40, 0)):
        at, r = position(n, sample("seal %d" % n), sample("d %d" % n)), sample("r %d" % n)
        valid.append({**of(chosen, "receipt"), "version": version, "at": at, "r": r, "time": time,
                      "bytes": receipt(chosen.receipt, version, at, r, time)})
    one = valid[0]
    altered = [(i, one["bytes"][:i] + u8(one["bytes"][i] ^ 1) + one["bytes"][i + 1:]) for i in (7, 8, 40, 72, 104, 112, 143)]
    refused = [{**of(FIRST, "receipt"), "version": 1, "bytes": data, "why": "byte %d is altered" % i} for i, data in altered]
    refused.append({**of(FIRST, "receipt"), "version": 2, "bytes": one["bytes"], "why": "made for version 1"})
    refused.append({**of(SECOND, "receipt"), "version": 1, "bytes": one["bytes"], "why": "another session's key"})
    return {"valid": valid, "refused": refused}


def checkpoints():
    valid = []
    for n, parts in ((5, [b"state"]), (6, [b""]), (7, [sample("part %d" % i, 40 + i) for i in range(3)])):
        at, r = position(n, sample("seal %d" % n), sample("d %d" % n)), sample("r %d" % n)
        nonces = [sample("checkpoint nonce %d %d" % (n, i), 12) for i in range(len(parts))]
        header, segments = checkpoint(FIRST.checkpoint, 1, at, r, START, parts, nonces)
        shown = [{"nonce": nonce, "plaintext": part, "bytes": data} for nonce, part, data in zip(nonces, parts, segments)]
        valid.append({**of(FIRST, "checkpoint"), "version": 1, "at": at, "r": r, "time": START, "header": header,
                      "segments": shown})
    header, segments = valid[2]["header"], [s["bytes"] for s in valid[2]["segments"]]
    swapped = header[:116] + u32(2)
    refused = [
        (header, 1, segments[0], "the segment of index 0 as index 1"),
        (header, 0, segments[0][:-1] + u8(segments[0][-1] ^ 1), "its tag is altered"),
        (header, 0, u8(segments[0][0] ^ 1) + segments[0][1:], "its nonce is altered"),
        (header, 0, segments[0][:20] + u8(segments[0][20] ^ 1) + segments[0][21:], "its ciphertext is altered"),
        (swapped, 0, segments[0], "under a header with another number of segments"),
        (valid[0]["header"], 0, segments[0], "under another checkpoint's header"),
        (header, 0, segments[0][:27], "shorter than nonce and tag"),
    ]
    return {"valid": valid, "refused": [
        {**of(FIRST, "checkpoint"), "header": h, "index": i, "bytes": s, "why": why} for h, i, s, why in refused]}


def effects():
    keys_, streams = [], []
    for chosen in (FIRST, SECOND):
        for n in (1, 2, 2**40):
            sealed, before = sample("seal of effect %d" % n), sample("d before effect %d" % n)
            keys_.append({**of(chosen, "idempotency"), "n": n, "seal": sealed, "dBefore": before,
                          "idempotencyKey": idempotency_key(chosen.idempotency, n, sealed, before)})
            seed = random_seed(chosen.random, n)
            blocks = [random_block(seed, i) for i in range(3)]
            numbers = [str(int.from_bytes(b[i:i + 8], "big")) for b in blocks for i in range(0, 32, 8)]
            streams.append({**of(chosen, "random"), "n": n, "seed": seed, "blocks": blocks, "numbers": numbers})
    return {"idempotencyKeys": keys_, "randomStreams": streams}


# Integers that may not fit a JSON number, or do so everywhere that the name occurs.
WIDE = {"n", "first", "last", "replayed", "microseconds", "token", "time", "clock", "bytes"}


def plain(value, key=""):
    """Bytes as hexadecimal, wide integers as decimal strings, positions taken apart."""
    if isinstance(value, bytes):
        if key in ("at", "confirms"):
            return {"n": str(int.from_bytes(value[:8], "big")), "seal": value[8:40].hex(), "d": value[40:].hex()}
        return value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if key in WIDE else value
    if isinstance(value, dict):
        return {k: plain(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, key) for v in value]
    return value


FILES = {
    "keys.json": keys,
    "seals.json": seals,
    "determinants.json": determinant_vectors,
    "digests.json": digests,
    "receipts.json": receipts,
    "checkpoints.json": checkpoints,
    "effects.json": effects,
    "frames.json": frames.sections,
    "conversations.json": conversations.sections,
}


def main():
    folder = pathlib.Path(__file__).resolve().parent
    differing = 0
    for file, make in FILES.items():
        path, text = folder / file, json.dumps(plain(make()), indent=1, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            differing += 1
            print(f"{file} differs")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
