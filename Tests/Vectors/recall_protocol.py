"""Recall's protocol in Python, as docs/protocol.md describes it: keys, seals, digests and every frame, encoding only.

Written without a look at the Swift sources, so that an error in one of the two shows.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ZERO = bytes(32)


# --- Conventions ---------------------------------------------------------------------------------------------------------------


def u8(value):
    return struct.pack(">B", value)


def u16(value):
    return struct.pack(">H", value)


def u32(value):
    return struct.pack(">I", value)


def u64(value):
    return struct.pack(">Q", value)


def i64(value):
    return struct.pack(">q", value)


def block(data):
    return u32(len(data)) + data


def name(text):
    return u8(len(text.encode())) + text.encode()


def label(text):
    return text.encode("ascii") + b"\x01"


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(secret, salt, info):
    """HKDF-SHA-256 with 32 bytes of output: one block of expansion."""
    return mac(mac(salt or ZERO, secret), info + b"\x01")


# --- Keys and chain ------------------------------------------------------------------------------------------------------------


class Keys:
    """What a server derives for one session."""

    def __init__(self, root, session, kind, principal=None):
        self.root, self.session, self.kind, self.principal = root, session, kind, principal
        self.digest = ZERO if principal is None else sha256(principal)
        self.vector_key = hkdf(root, b"", label("ivec"))
        self.iv = mac(self.vector_key, label("ivec") + session + sha256(kind.encode()) + self.digest)
        self.receipt, self.checkpoint, self.random, self.idempotency = (
            hkdf(root, self.iv, label(purpose)) for purpose in ("rcpt", "ckpt", "rand", "idem")
        )

    def fields(self):
        return {
            "root": self.root,
            "session": self.session,
            "kind": self.kind,
            "principal": self.principal,
            "principalDigest": self.digest,
            "vectorKey": self.vector_key,
            "iv": self.iv,
            "receiptKey": self.receipt,
            "checkpointKey": self.checkpoint,
            "randomKey": self.random,
            "idempotencyKey": self.idempotency,
        }


def session_id(key, issuer, counter):
    return u16(key) + issuer + u64(counter)


UPDATE, REQUEST, ATTACH = 1, 2, 3


def seal(iv, base, kind, n, content):
    return sha256(iv + base + label("seal") + u8(kind) + u64(n) + u32(len(content)) + content)


def fold_determinants(d, n, determinants):
    return sha256(label("dtrm") + d + u64(n) + block(determinants)) if determinants else d


def fold_reply(r, n, reply):
    return sha256(label("rply") + r + u64(n) + block(reply)) if reply else r


def determinants(clock=None, outcome=None, refusal=None, failure=None):
    data = b"" if clock is None else b"\x01" + i64(clock)
    if outcome is not None:
        data += b"\x02" + block(outcome)
    if refusal is not None:
        data += b"\x03" + block(refusal)
    if failure is not None:
        data += b"\x04" + u16(failure[0]) + block(failure[1].encode())
    return data


def position(n, sealed, d):
    return u64(n) + sealed + d


def receipt(key, version, at, r, time):
    body = at + r + i64(time)
    return body + mac(key, label("rcpt") + u32(version) + body)


def checkpoint(key, version, at, r, time, parts, nonces):
    header = u32(version) + at + r + i64(time) + u32(len(parts))
    segments = [
        nonce + AESGCM(key).encrypt(nonce, part, label("ckpt") + header + u32(index))
        for index, (part, nonce) in enumerate(zip(parts, nonces))
    ]
    return header, segments


def idempotency_key(key, n, sealed, d_before):
    return mac(key, label("idem") + u64(n) + sealed + d_before)


def random_seed(key, n):
    return mac(key, label("rand") + u64(n))


def random_block(seed, index):
    return sha256(label("rblk") + seed + u64(index))


# --- Frames --------------------------------------------------------------------------------------------------------------------
# A frame is a name and its fields, in the order of the page. Positions (`at`, `confirms`) and receipts are their bytes here.


def optional(data):
    return b"\x00" if data is None else b"\x01" + data


def encode_claim(f):
    kept = f["checkpoint"]
    return (
        f["session"] + u32(f["version"]) + name(f["kind"]) + optional(f["receipt"]) + u64(f["last"]) + f["lastSeal"]
        + optional(None if kept is None else u64(kept["n"]) + u64(kept["bytes"])) + u8(f["historyFollows"])
    )


def encode_message(f):
    return block(f["content"]) + block(f["determinants"])


def encode_item(f):
    return u32(f["index"]) + block(f["determinants"]) + block(f["reply"])


HISTORY_BASES = {"continuation": 0, "start": 1, "checkpoint": 2}
RECALL_ORIGINS = {"position": 0, "newestCheckpoint": 1, "previousCheckpoint": 2}

CLIENT_FRAMES = {
    "hello": (0x01, lambda f: f["magic"] + u16(f["version"]) + block(f["authentication"])),
    "initiate": (0x02, lambda f: u32(f["stream"]) + u32(f["version"]) + name(f["kind"])),
    "attach": (0x03, lambda f: u32(f["stream"]) + f["leaf"] + encode_claim(f["claim"])),
    "update": (0x04, lambda f: u32(f["stream"]) + optional(f["confirms"]) + u64(f["first"]) + f["seal"]
               + b"".join(map(block, f["contents"]))),
    "confirm": (0x05, lambda f: u32(f["stream"]) + f["at"]),
    "request": (0x06, lambda f: u32(f["stream"]) + u32(f["request"]) + u64(f["n"]) + f["leaf"] + f["content"]),
    "historyStart": (0x07, lambda f: u32(f["stream"]) + u32(f["recall"]) + u8(HISTORY_BASES[f["base"]]) + (f["header"] or b"")),
    "historySegment": (0x08, lambda f: u32(f["stream"]) + u32(f["recall"]) + u32(f["index"]) + f["segment"]),
    "historyChunk": (0x09, lambda f: u32(f["stream"]) + u32(f["recall"]) + u8(f["last"]) + u64(f["first"]) + optional(f["receipt"])
                     + b"".join(map(encode_message, f["messages"]))),
    "kept": (0x0A, lambda f: u32(f["stream"]) + f["at"]),
    "ping": (0x0B, lambda f: u64(f["token"])),
    "detach": (0x0C, lambda f: u32(f["stream"])),
}

SERVER_FRAMES = {
    "hello": (0x41, lambda f: f["magic"] + u16(f["version"]) + u32(f["windowMessages"]) + u32(f["windowBytes"]) + f["nonce"]),
    "initiated": (0x42, lambda f: u32(f["stream"]) + f["session"] + f["iv"]),
    "attached": (0x43, lambda f: u32(f["stream"]) + u64(f["replayed"]) + u64(f["microseconds"])),
    "acknowledgement": (0x44, lambda f: u32(f["stream"]) + u64(f["first"]) + u64(f["last"]) + f["d"] + f["r"] + i64(f["time"])
                        + f["mac"] + b"".join(map(encode_item, f["items"]))),
    "reply": (0x45, lambda f: u32(f["stream"]) + u32(f["request"]) + u64(f["n"]) + u16(f["status"]) + f["bytes"]),
    "recall": (0x46, lambda f: u32(f["stream"]) + u32(f["recall"]) + u8(f["credit"]) + u8(RECALL_ORIGINS[f["origin"]])
               + (f["at"] or b"")),
    "credit": (0x47, lambda f: u32(f["stream"]) + u32(f["recall"]) + u8(f["chunks"])),
    "offer": (0x48, lambda f: u32(f["stream"]) + f["header"] + optional(f["adopt"])),
    "offerSegment": (0x49, lambda f: u32(f["stream"]) + u32(f["index"]) + f["segment"]),
    "gone": (0x4A, lambda f: u32(f["stream"])),
    "pong": (0x4B, lambda f: u64(f["token"])),
    "refusal": (0x4C, lambda f: u32(f["stream"]) + u16(f["code"]) + u64(f["first"]) + u64(f["last"]) + block(f["text"].encode())),
    "drain": (0x4D, lambda f: b""),
}


def encode(frames, kind, fields):
    code, encoder = frames[kind]
    return u8(code) + encoder(fields)
