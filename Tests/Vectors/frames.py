"""Every frame in all its variants, and bodies that must be refused. See README.md."""

from conversations import START, sample
from recall_protocol import *

AT = position(41, sample("a seal"), sample("a digest"))
FAR = position(2**64 - 1, b"\xff" * 32, ZERO)
RECEIPT = AT + sample("replies") + i64(START) + sample("a mac")
HEADER = u32(1) + AT + sample("replies") + i64(START) + u32(3)
LEAF = sample("a leaf")
TOP = 2**32 - 1


def claim(keys, n):
    """A plain claim: with n acknowledged, of which the newest is the log's last message."""
    return {
        "session": keys.session, "version": 1, "kind": keys.kind,
        "receipt": None if n == 0 else position(n, sample("seal %d" % n), ZERO) + ZERO + i64(START) + sample("mac"),
        "last": n, "lastSeal": ZERO if n == 0 else sample("seal %d" % n), "checkpoint": None, "historyFollows": False,
    }


FRESH = {"session": bytes(range(16)), "version": 1, "kind": "text", "receipt": None, "last": 0, "lastSeal": ZERO, "checkpoint": None,
         "historyFollows": False}
FULL = dict(FRESH, version=TOP, kind="büro", receipt=RECEIPT, last=99, lastSeal=sample("last seal"),
            checkpoint={"n": 41, "bytes": 2**40}, historyFollows=True)

CLIENT = [
    ("hello", {"magic": b"RCAL", "version": 1, "authentication": b""}),
    ("hello", {"magic": b"RCAL", "version": 1, "authentication": b"Bearer abc"}),
    ("hello", {"magic": b"RCAL", "version": 2, "authentication": b""}),
    ("initiate", {"stream": 1, "version": 1, "kind": "text"}),
    ("initiate", {"stream": TOP, "version": TOP, "kind": "k" * 255}),
    ("attach", {"stream": 2, "leaf": LEAF, "claim": FRESH}),
    ("attach", {"stream": 2, "leaf": LEAF, "claim": dict(FRESH, last=3, lastSeal=sample("seal 3"))}),
    ("attach", {"stream": 2, "leaf": LEAF, "claim": dict(FRESH, historyFollows=True)}),
    ("attach", {"stream": 2, "leaf": LEAF, "claim": dict(FULL, checkpoint=None)}),
    ("attach", {"stream": 2, "leaf": LEAF, "claim": FULL}),
    ("update", {"stream": 2, "confirms": None, "first": 1, "seal": LEAF, "contents": [b"\x01"]}),
    ("update", {"stream": 2, "confirms": AT, "first": 42, "seal": LEAF, "contents": [b"\x01hello", b"\x02", b"\xff" * 300]}),
    ("update", {"stream": 2, "confirms": None, "first": 2**63, "seal": LEAF, "contents": [b"\x01"]}),
    ("confirm", {"stream": 2, "at": AT}),
    ("confirm", {"stream": TOP, "at": FAR}),
    ("request", {"stream": 2, "request": 1, "n": 0, "leaf": LEAF, "content": b"\x02"}),
    ("request", {"stream": 2, "request": TOP, "n": 2**64 - 1, "leaf": LEAF, "content": b"\x02{}"}),
    ("historyStart", {"stream": 2, "recall": 1, "base": "continuation", "header": None}),
    ("historyStart", {"stream": 2, "recall": 0, "base": "start", "header": None}),
    ("historyStart", {"stream": 2, "recall": TOP, "base": "checkpoint", "header": HEADER}),
    ("historySegment", {"stream": 2, "recall": 1, "index": 0, "segment": bytes(28)}),
    ("historySegment", {"stream": 2, "recall": 1, "index": 4095, "segment": sample("a segment", 100)}),
    ("historyChunk", {"stream": 2, "recall": 1, "last": True, "first": 1, "receipt": None, "messages": []}),
    ("historyChunk", {"stream": 2, "recall": 1, "last": True, "first": 42, "receipt": RECEIPT, "messages": []}),
    ("historyChunk", {"stream": 2, "recall": 1, "last": False, "first": 40, "receipt": RECEIPT, "messages": [
        {"content": b"\x01a", "determinants": b""}, {"content": b"\x02", "determinants": determinants(clock=START, outcome=b"ok")}]}),
    ("kept", {"stream": 2, "at": AT}),
    ("ping", {"token": 0}),
    ("ping", {"token": 2**64 - 1}),
    ("detach", {"stream": 2}),
]

SERVER = [
    ("hello", {"magic": b"RCAL", "version": 1, "windowMessages": 1024, "windowBytes": 1 << 20, "nonce": sample("a nonce")}),
    ("initiated", {"stream": 1, "session": bytes(range(16)), "iv": sample("an IV")}),
    ("attached", {"stream": 2, "replayed": 0, "microseconds": 0}),
    ("attached", {"stream": 2, "replayed": 2**40, "microseconds": 2**63}),
    ("acknowledgement", {"stream": 2, "first": 1, "last": 3, "d": ZERO, "r": ZERO, "time": START, "mac": LEAF, "items": []}),
    ("acknowledgement", {"stream": 2, "first": 40, "last": 41, "d": AT[40:], "r": RECEIPT[72:104], "time": -1, "mac": LEAF, "items": [
        {"index": 0, "determinants": b"", "reply": b"5"},
        {"index": 1, "determinants": determinants(clock=START, refusal=b"no"), "reply": b""}]}),
    ("reply", {"stream": 2, "request": 1, "n": 0, "status": 0, "bytes": b""}),
    ("reply", {"stream": 2, "request": TOP, "n": 41, "status": 0, "bytes": b"42"}),
    ("reply", {"stream": 2, "request": 2, "n": 41, "status": 1, "bytes": b"{}"}),
    ("reply", {"stream": 2, "request": 3, "n": 41, "status": 51, "bytes": "läßt sich nicht lesen".encode()}),
    ("recall", {"stream": 2, "recall": 1, "credit": 4, "origin": "position", "at": AT}),
    ("recall", {"stream": 2, "recall": 2, "credit": 4, "origin": "newestCheckpoint", "at": None}),
    ("recall", {"stream": 2, "recall": TOP, "credit": 255, "origin": "previousCheckpoint", "at": None}),
    ("credit", {"stream": 2, "recall": 1, "chunks": 1}),
    ("offer", {"stream": 2, "header": HEADER, "adopt": None}),
    ("offer", {"stream": 2, "header": HEADER, "adopt": RECEIPT}),
    ("offerSegment", {"stream": 2, "index": 0, "segment": bytes(28)}),
    ("offerSegment", {"stream": 2, "index": 2, "segment": sample("a segment", 100)}),
    ("gone", {"stream": 2}),
    ("pong", {"token": 2**64 - 1}),
    ("refusal", {"stream": 0, "code": 80, "first": 0, "last": 0, "text": ""}),
    ("refusal", {"stream": 2, "code": 11, "first": 5, "last": 2**64 - 1, "text": "repliés differ"}),
    ("drain", {}),
]


def client(kind, /, **fields):
    return encode(CLIENT_FRAMES, kind, fields)


def server(kind, /, **fields):
    return encode(SERVER_FRAMES, kind, fields)


def refused_client():
    def attach(claim, **changes):
        return client("attach", stream=2, leaf=LEAF, claim=dict(claim, **changes))

    fresh = attach(FRESH)
    update = client("update", stream=2, confirms=None, first=1, seal=LEAF, contents=[])
    chunk = client("historyChunk", stream=2, recall=1, last=True, first=1, receipt=None, messages=[])
    start = b"\x07" + u32(2) + u32(1)
    return [
        (b"", "no type"),
        (b"\x00", "there is no type 0"),
        (b"\x0d" + bytes(8), "there is no type 0d"),
        (b"\xff", "there is no type ff"),
        (server("drain"), "a server's frame"),
        (b"\x01RCAL\x00", "cut off"),
        (client("hello", magic=b"RCAL", version=1, authentication=b"")[:-1], "cut off in a length"),
        (client("hello", magic=b"RCAL", version=1, authentication=b"") + b"\x00", "a byte left over"),
        (b"\x01RCAL\x00\x01" + u32(2) + b"x", "a block that is longer than the frame"),
        (client("hello", magic=b"RCAL", version=1, authentication=bytes(16385)), "authentication over 16 KiB"),
        (client("hello", magic=b"RCAM", version=1, authentication=b""), "another magic"),
        (b"\x02" + u32(1) + u32(1) + b"\x00", "an empty name"),
        (b"\x02" + u32(1) + u32(1) + b"\x05text", "a name that is longer than the frame"),
        (client("initiate", stream=1, version=1, kind="text") + b"\x00", "a byte left over"),
        (fresh[:-1] + b"\x02", "a flag that is 2"),
        (fresh[:-1], "history-follows flag missing"),
        (fresh + b"\x00", "a byte left over"),
        (attach(FULL, last=40), "the last before the acknowledged"),
        (attach(FULL, receipt=bytes(8) + RECEIPT[8:], checkpoint=None), "a receipt at 0"),
        (attach(FULL)[:100], "cut off in the receipt"),
        (update, "no contents"),
        (update + u32(0), "an empty content"),
        (update + u32(2) + b"\x01", "a content that is longer than the frame"),
        (update + block(b"\x01") + b"\x00\x00", "a length that is cut off"),
        (update[:5] + b"\x02" + update[6:] + block(b"\x01"), "a flag that is 2"),
        (client("update", stream=2, confirms=None, first=0, seal=LEAF, contents=[b"\x01"]), "update number 0"),
        (client("confirm", stream=2, at=AT)[:-1], "cut off"),
        (client("confirm", stream=2, at=AT) + b"\x00", "a byte left over"),
        (client("request", stream=2, request=1, n=0, leaf=LEAF, content=b""), "an empty content"),
        (start + b"\x03", "there is no base 3"),
        (start + b"\x01\x00", "a byte left over"),
        (start + b"\x02" + HEADER[:-1], "a header that is cut off"),
        (start + b"\x02" + u32(1) + bytes(8) + HEADER[12:], "a checkpoint at 0"),
        (start + b"\x02" + HEADER[:116] + u32(0), "a checkpoint of no segments"),
        (start + b"\x02" + HEADER[:116] + u32(4097), "a checkpoint of 4,097 segments"),
        (chunk[:9] + b"\x02" + chunk[10:], "a flag that is 2"),
        (chunk + block(b"\x01"), "a content without determinants"),
        (chunk + block(b"") + block(b""), "an empty content"),
        (client("kept", stream=2, at=AT) + b"\x00", "a byte left over"),
        (b"\x0b" + bytes(7), "cut off"),
        (b"\x0c" + bytes(5), "a byte left over"),
    ]


def refused_server():
    hello, acknowledgement = SERVER[0][1], SERVER[4][1]
    return [
        (b"", "no type"),
        (b"\x40", "there is no type 40"),
        (b"\x4e", "there is no type 4e"),
        (client("ping", token=1), "a client's frame"),
        (server("hello", **hello)[:-1], "cut off"),
        (server("hello", **hello) + b"\x00", "a byte left over"),
        (server("hello", **dict(hello, windowMessages=0)), "a window of no messages"),
        (server("hello", **dict(hello, windowBytes=0)), "a window of no bytes"),
        (server("hello", **dict(hello, magic=b"RCAM")), "another magic"),
        (b"\x42" + u32(1) + bytes(47), "cut off"),
        (server("acknowledgement", **dict(acknowledgement, first=0)), "update number 0"),
        (server("acknowledgement", **dict(acknowledgement, first=4)), "the first after the last"),
        (server("acknowledgement", **acknowledgement) + u32(0) + block(b""), "an item without a reply"),
        (server("acknowledgement", **acknowledgement)[:-1], "cut off"),
        (b"\x46" + u32(2) + u32(1) + b"\x04\x03", "there is no origin 3"),
        (b"\x46" + u32(2) + u32(1) + b"\x04\x00" + AT[:-1], "a position that is cut off"),
        (b"\x46" + u32(2) + u32(1) + b"\x04\x01" + AT, "a position with origin 1"),
        (b"\x48" + u32(2) + HEADER + b"\x02", "a flag that is 2"),
        (b"\x48" + u32(2) + HEADER + b"\x01", "adoption without a receipt"),
        (b"\x48" + u32(2) + HEADER[:116] + u32(0) + b"\x00", "a checkpoint of no segments"),
        (server("offer", stream=2, header=HEADER, adopt=bytes(7) + u8(40) + RECEIPT[8:]), "adoption with a receipt at another position"),
        (server("refusal", stream=2, code=11, first=0, last=0, text="a" * 1025), "a text of 1,025 bytes"),
        (b"\x4c" + u32(2) + u16(11) + u64(0) + u64(0) + u32(3) + b"ab", "a text that is longer than the frame"),
        (b"\x4d\x00", "a byte left over"),
    ]


def sections():
    return {
        "client": [{"frame": kind, "fields": fields, "bytes": encode(CLIENT_FRAMES, kind, fields)} for kind, fields in CLIENT],
        "server": [{"frame": kind, "fields": fields, "bytes": encode(SERVER_FRAMES, kind, fields)} for kind, fields in SERVER],
        "refusedFromClient": [{"bytes": data, "why": why} for data, why in refused_client()],
        "refusedFromServer": [{"bytes": data, "why": why} for data, why in refused_server()],
        "streams": [
            {"bytes": block(client("ping", token=1)) + block(client("detach", stream=2)),
             "bodies": [client("ping", token=1), client("detach", stream=2)]},
        ],
        "refusedLengths": [u32(0), u32(2_097_153), u32(2**32 - 1)],
    }
