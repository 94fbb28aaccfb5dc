"""Whole conversations of a session of the kind `text`, as ordered frames both ways. See README.md."""

from recall_protocol import *

ROOT = bytes(range(32))
SESSION = session_id(1, bytes.fromhex("0102030405aa"), 7)
KIND, VERSION = "text", 1
START = 1_790_000_000_000_000_000


def sample(text, size=32):
    """Bytes that look random and are always the same."""
    data = b""
    while len(data) < size:
        data += sha256(b"recall vectors: %s %d" % (text.encode(), len(data)))
    return data[:size]


def varint(value):
    data = b""
    while value > 127:
        data += u8(value & 127 | 128)
        value >>= 7
    return data + u8(value)


def edit(at, deleted, inserted):
    return b"\x01" + varint(at) + varint(deleted) + inserted.encode()


READ = b'\x02{"position":0,"count":100}'


class Log:
    """A session's log and, beside it, what the server computes: texts, replies and receipts."""

    def __init__(self):
        self.keys = Keys(ROOT, SESSION, KIND)
        self.texts, self.contents, self.seals = [""], [b""], [ZERO]
        self.determinants, self.replies, self.ds, self.rs = [b""], [b""], [ZERO], [ZERO]
        self.receipts, self.checkpoints = {}, {}
        self.acknowledged = 0

    @property
    def last(self):
        return len(self.contents) - 1

    def append(self, at, deleted, inserted):
        """An edit: into the log, and applied as the server does."""
        n, text, content = len(self.contents), self.texts[-1], edit(at, deleted, inserted)
        self.contents.append(content)
        self.seals.append(seal(self.keys.iv, self.seals[-1], UPDATE, n, content))
        if at + deleted <= len(text):
            text = text[:at] + inserted + text[at + deleted:]
            outcome, reply = b"", varint(len(text))
        else:
            refusal = '{"deleted":%d,"length":%d,"position":%d}' % (deleted, len(text), at)
            outcome, reply = determinants(refusal=refusal.encode()), b""
        self.texts.append(text)
        self.determinants.append(outcome)
        self.replies.append(reply)
        self.ds.append(fold_determinants(self.ds[-1], n, outcome))
        self.rs.append(fold_reply(self.rs[-1], n, reply))

    def at(self, n):
        return position(n, self.seals[n], self.ds[n])

    def time(self, n):
        return START + n * 1_000_000_007

    def acknowledge(self, n):
        self.acknowledged = n
        self.receipts[n] = receipt(self.keys.receipt, VERSION, self.at(n), self.rs[n], self.time(n))

    def keep(self, n, parts):
        nonces = [sample(f"nonce {n} {index}", 12) for index in range(len(parts))]
        self.checkpoints[n] = checkpoint(self.keys.checkpoint, VERSION, self.at(n), self.rs[n], self.time(n), parts, nonces)


class Conversation:
    """Collects frames, with the methods of both sides."""

    def __init__(self, log, title, about):
        self.log, self.title, self.about, self.frames = log, title, about, []
        self.nonce = sample("nonce of " + title)

    def add(self, side, kind, data, note):
        self.frames.append({"from": side, "frame": kind, "bytes": data, **({"note": note} if note else {})})

    def client(self, kind, note="", /, **fields):
        self.add("client", kind, encode(CLIENT_FRAMES, kind, fields), note)

    def server(self, kind, note="", /, **fields):
        self.add("server", kind, encode(SERVER_FRAMES, kind, fields), note)

    def hello(self):
        self.client("hello", magic=b"RCAL", version=1, authentication=b"")
        self.server("hello", magic=b"RCAL", version=1, windowMessages=1024, windowBytes=1 << 20, nonce=self.nonce)

    def attach(self, stream, note="", follows=False):
        log, kept = self.log, None
        if log.checkpoints:
            sizes = [sum(map(len, segments)) for _, segments in log.checkpoints.values()]
            kept = {"n": max(log.checkpoints), "bytes": max(sizes)}
        claim = {
            "session": SESSION, "version": VERSION, "kind": KIND, "receipt": log.receipts.get(log.acknowledged), "last": log.last,
            "lastSeal": log.seals[-1], "checkpoint": kept, "historyFollows": follows,
        }
        leaf = seal(log.keys.iv, log.seals[log.acknowledged], ATTACH, log.acknowledged, encode_claim(claim) + self.nonce)
        self.client("attach", note, stream=stream, leaf=leaf, claim=claim)

    def attached(self, stream, replayed):
        self.server("attached", stream=stream, replayed=replayed, microseconds=1250)

    def update(self, stream, first, last, note="", confirms=None):
        log = self.log
        self.client("update", note, stream=stream, confirms=None if confirms is None else log.at(confirms), first=first,
                    seal=log.seals[last], contents=log.contents[first:last + 1])

    def request(self, stream, request, n, content=READ):
        leaf = seal(self.log.keys.iv, self.log.seals[n], REQUEST, n, content)
        self.client("request", stream=stream, request=request, n=n, leaf=leaf, content=content)

    def acknowledgement(self, stream, first, last, note=""):
        log = self.log
        log.acknowledge(last)
        items = [
            {"index": n - first, "determinants": log.determinants[n], "reply": log.replies[n]}
            for n in range(first, last + 1) if log.determinants[n] or log.replies[n]
        ]
        self.server("acknowledgement", note, stream=stream, first=first, last=last, d=log.ds[last], r=log.rs[last],
                    time=log.time(last), mac=log.receipts[last][-32:], items=items)

    def confirm(self, stream, n):
        self.client("confirm", stream=stream, at=self.log.at(n))

    def reply(self, stream, request, n):
        text = '"%s"' % self.log.texts[n]
        self.server("reply", stream=stream, request=request, n=n, status=0, bytes=text.encode())

    def chunk(self, stream, recall, first, last, final, note=""):
        log = self.log
        messages = [{"content": log.contents[n], "determinants": log.determinants[n]} for n in range(first, last + 1)]
        self.client("historyChunk", note, stream=stream, recall=recall, last=final, first=first, receipt=log.receipts[last],
                    messages=messages)

    def from_checkpoint(self, stream, recall, n):
        header, segments = self.log.checkpoints[n]
        self.client("historyStart", stream=stream, recall=recall, base="checkpoint", header=header)
        for index, segment in enumerate(segments):
            self.client("historySegment", stream=stream, recall=recall, index=index, segment=segment)

    def offer(self, stream, n, parts, adopt=None):
        self.log.keep(n, parts)
        header, segments = self.log.checkpoints[n]
        self.server("offer", stream=stream, header=header, adopt=adopt)
        for index, segment in enumerate(segments):
            self.server("offerSegment", stream=stream, index=index, segment=segment)
        self.client("kept", stream=stream, at=self.log.at(n))

    def fields(self):
        log = self.log
        return {"title": self.title, "about": self.about, "keys": log.keys.fields(), "version": VERSION, "text": log.texts[-1],
                "frames": self.frames}


def first_session(log):
    c = Conversation(log, "initiate, updates, a request",
                     "A new session: three updates in one run, the third of which is refused, and a request behind them; then one"
                     " update that carries the confirmation of the others, an offered checkpoint, a ping.")
    c.hello()
    c.client("initiate", stream=1, version=VERSION, kind=KIND)
    c.server("initiated", stream=1, session=SESSION, iv=log.keys.iv)
    c.attach(2)
    c.attached(2, 0)
    log.append(0, 0, "hello")
    log.append(5, 0, " wörld")
    log.append(99, 1, "?")
    c.update(2, 1, 3)
    c.request(2, 1, 3)
    c.acknowledgement(2, 1, 3, "update 3 reaches past the text: refused")
    c.reply(2, 1, 3)
    log.append(0, 1, "H")
    c.update(2, 4, 4, confirms=3)
    c.acknowledgement(2, 4, 4)
    c.confirm(2, 4)
    c.offer(2, 4, [log.texts[4].encode()])
    c.client("ping", token=1)
    c.server("pong", token=1)
    c.client("detach", stream=2)
    return c


def from_the_start(log):
    log.checkpoints = {}
    log.append(6, 0, "big ")
    c = Conversation(log, "recall from the start",
                     "Another server with the same root. Of the log before, the checkpoint is left out: four acknowledged updates in two runs with a"
                     " receipt each, and a fifth that was never acknowledged.")
    c.hello()
    c.attach(1, "update 5 is in the log, not acknowledged")
    c.update(1, 5, 5, "sent without waiting")
    c.server("recall", stream=1, recall=1, credit=4, origin="newestCheckpoint", at=None)
    c.client("historyStart", stream=1, recall=1, base="start", header=None)
    c.chunk(1, 1, 1, 3, False)
    c.chunk(1, 1, 4, 4, True)
    c.server("credit", stream=1, recall=1, chunks=1)
    c.attached(1, 4)
    c.acknowledgement(1, 5, 5)
    c.confirm(1, 5)
    return c


def from_a_checkpoint(log):
    log.keep(4, [log.texts[4].encode()])
    data = log.texts[5].encode()
    log.keep(5, [data[:6], data[6:]])
    for n in (6, 7):
        log.append(0, 0, str(n))
        log.acknowledge(n)
    c = Conversation(log, "recall from a checkpoint, with a gap",
                     "The log holds checkpoints at 4 and 5 and has forgotten the updates before; the newest checkpoint is in two"
                     " segments. Updates 6 and 7 follow it. Update 8 is new.")
    c.hello()
    c.attach(1)
    c.server("recall", stream=1, recall=1, credit=4, origin="newestCheckpoint", at=None)
    c.from_checkpoint(1, 1, 5)
    c.chunk(1, 1, 6, 6, False)
    c.chunk(1, 1, 7, 7, True)
    c.server("credit", stream=1, recall=1, chunks=1)
    c.attached(1, 2)
    log.append(0, 2, "")
    c.update(1, 8, 8)
    c.acknowledgement(1, 8, 8)
    c.confirm(1, 8)
    return c


def behind_this_log(log):
    for n in (9, 10):
        log.append(0, 0, chr(88 + n))
        log.acknowledge(n)
    c = Conversation(log, "recall from a position, then from the checkpoint before",
                     "A server that has a copy up to update 8 asks for what follows. After the end of its process another one"
                     " finds the newest checkpoint damaged and asks for the one before.")
    c.hello()
    c.attach(1)
    c.server("recall", stream=1, recall=1, credit=4, origin="position", at=log.at(8))
    c.client("historyStart", stream=1, recall=1, base="continuation", header=None)
    c.chunk(1, 1, 9, 10, True)
    c.attached(1, 2)
    c.server("drain")
    header, segments = log.checkpoints[5]
    log.checkpoints[5] = header, [segments[0], segments[1][:-1] + u8(segments[1][-1] ^ 1)]
    c.hello()
    c.attach(1)
    c.server("recall", stream=1, recall=1, credit=4, origin="newestCheckpoint", at=None)
    c.from_checkpoint(1, 1, 5)
    c.chunk(1, 1, 6, 10, True, "sent before the next recall came: ignored")
    c.server("recall", stream=1, recall=2, credit=4, origin="previousCheckpoint", at=None)
    c.from_checkpoint(1, 2, 4)
    c.chunk(1, 2, 5, 10, True)
    c.attached(1, 6)
    c.server("gone", stream=1)
    return c


def sections():
    """One session's life; each conversation goes on with the log of the one before."""
    log = Log()
    return [make(log).fields() for make in (first_session, from_the_start, from_a_checkpoint, behind_this_log)]
