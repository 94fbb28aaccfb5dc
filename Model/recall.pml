/* Recall's protocol: one client with its log, two servers with a copy each, up to four messages.
 *
 * Model/README.md says what is left out and why. Every block names the Swift code that it stands for; files without
 * a folder are in Sources/RecallCore. Each step of a process is one transition of a machine of the core: the machines
 * do no I/O and run on one event loop each, so nothing happens within a step, and any order between steps is possible.
 */
#ifndef MESSAGES    /* bounds; whoever gives one gives all, as Model/check does */
#define MESSAGES 4  /* that the caller sends */
#define WINDOW 2    /* of them unacknowledged at a time: ClientLimits.windowMessages */
#define READS 1     /* requests of the caller, at any time: 0 or 1 */
#define EFFECT 2    /* the message with an effect, as a bit: 2 is message b; 0: none has one */
#define KILLS 2     /* server crashes, evictions, and deletions by a detector that answers at random (invariant 8) */
#define CUTS 1      /* connections that break; the client goes on at either server */
#define CRASHES 1   /* of the client; what is not acknowledged may be lost from its log's end */
#define FAULTS 3    /* of all these together */
#define LOST_LOG 0  /* 1: a crash of the client may lose acknowledgements from the log as well */
#define LOG_LATER 0 /* 1: anything may happen between an acknowledgement's coming and its being in the log */
#define STRAY 0     /* 1: an acknowledgement may come when its stream has ended */
#endif

/* Planted bugs: each takes one rule away. -DBUG=BUG_READ chooses one. */
#define BUG_NUMBER 1          /* positions are compared by number only (trace 2) */
#define BUG_READ 2            /* a reply is shown before the log holds what it saw (trace 4) */
#define BUG_EFFECT 3          /* an effect starts before what it depends on is confirmed (trace 3) */
#define BUG_DUPLICATE 4       /* an update that the copy has is applied again */
#define BUG_SEAL 5            /* an update that the copy has is known by its number only (trace 5) */
#define BUG_GAP 6             /* an orphan is answered by a recall of the gap (trace 1) */
#define BUG_TOMBSTONE 7       /* a dropped copy leaves nothing behind (trace 6) */
#define BUG_TOMBSTONE_HEAD 8  /* a dropped copy leaves its head behind, confirmed or not */
#define BUG_STRAY 9           /* an ended stream's acknowledgement is taken, its digest not compared; needs STRAY */
#define BUG_TOLD 10           /* the caller is told before the log holds the acknowledgement; needs LOG_LATER */
#define BUG_CONFIRM 11        /* the server is told before the log holds the acknowledgement; needs LOG_LATER */
#define BUG_RESEND 12         /* nothing is sent again when a stream has fallen silent (trace 7) */
#define BUG_ABANDON 13        /* an effect goes on waiting for a confirmation when its client has attached anew */
#ifndef BUG
#define BUG 0
#endif

/* ---- Positions: RecallCore/Bytes, Position ----
 *
 * A log is a subset of the messages a, b, c, d in their order, since a message that was lost is never sent again and
 * new ones follow. So the low half of a byte, one bit for each message, stands for a seal: it tells number and contents
 * of everything up to there. The high half stands for the inputs' digest: bit i is the determinant of update number
 * i + 1. Two positions are equal only if number, seal and inputs are. Digests are taken to have no collisions.
 */
#define SEAL(p) ((p) & 15)
#define INPUTS(p) ((p) >> 4)
#define NUMBER(p) (((p) & 1) + (((p) >> 1) & 1) + (((p) >> 2) & 1) + (((p) >> 3) & 1))
#define UPTO(p) (SEAL(p) | (SEAL(p) >> 1) | (SEAL(p) >> 2) | (SEAL(p) >> 3)) /* all bits up to the last message */
#define LAST(p) (UPTO(p) ^ (UPTO(p) >> 1))                                   /* its last message */
#define AFTER(m, s) (((m) & ~UPTO(s)) & -((m) & ~UPTO(s)))                   /* the message of m that follows s */
#define BEFORE(n) ((1 << (n)) - 1)
#define CUT_AT(p, s) ((s) | ((INPUTS(p) & BEFORE(NUMBER(s))) << 4))          /* p's beginning, up to the seal s */
#define EXTENDED(p, m, d) (((p) | (m)) | ((d) << (4 + NUMBER(p))))           /* LogVerifier.extended */
#define SAME_INPUTS(p, q) (((INPUTS(p) ^ INPUTS(q)) & BEFORE(NUMBER(p))) == 0)
#define PREFIX(p, q) ((SEAL(q) & UPTO(p)) == SEAL(p) && SAME_INPUTS(p, q))   /* q agrees with p at p's number */
#define CONSISTENT(p, q) (PREFIX(p, q) || PREFIX(q, p))
#define AGREES(p, q) (PREFIX(p, q) || (BUG == BUG_NUMBER && NUMBER(p) <= NUMBER(q)))
#define HOLDS(invariant, condition) assert((condition) || invariant == 0) /* the number shows in pan's report */

mtype:phase = { NONE, RECALLING, LIVE };                     /* SessionSlot.Phase; NONE: no slot, or `waiting` */
mtype:awaiting = { NOTHING, CONFIRMATION, OUTCOME };         /* SessionSlot.Awaiting */
mtype:read = { IDLE, WANTED, SENT, REPLIED, OVER };          /* ClientMachine.PendingRequest */
mtype:hint = { NOHINT, GONE, SUPERSEDED, FORKED, BEHIND };   /* frames `gone` and `refusal` */

/* ---- Streams: what is under way ----
 *
 * A stream is a few cells, not a queue. Updates are under way from `acked` to `sent`; acknowledgements and
 * confirmations are cumulative, so only the newest counts. A cell that is never read is a lost frame, one that is read
 * late a delayed one; it stays when it was read, which is a duplicate. Stream NOW is the client's own; LATE belongs to
 * a connection that died and whose frames still arrive at its server. At most one connection is LATE.
 */
#define NOW 0
#define LATE 1
#define NOBODY 2
typedef Stream {
  bit open, at;         /* the server */
  bit attaching;        /* the attach has not arrived; the fields of its AttachClaim: */
  byte claim;           /*   the last position acknowledged in the log; also where the history ends */
  unsigned last : 4;    /*   the seal of the log's last message */
  unsigned sent : 4;    /* ClientMachine.sent */
  byte confirmed;       /* the newest `confirm` */
  byte acked            /* the newest acknowledgement; SessionSlot.matched and .sent on this stream */
};
Stream stream[2];
mtype:hint hint = NOHINT;  /* for NOW */
byte stray;                /* an acknowledgement that comes when its stream has ended */

/* ---- A server: SessionSlot and its CopyWindow ---- */
typedef Slot {
  mtype:phase phase = NONE;
  bit isGap;                        /* RecallProgress.isGap */
  byte head, confirmed;             /* CopyWindow */
  byte tombstone;                   /* SessionSlot.tombstone, 0: none */
  unsigned route : 2 = NOBODY;      /* SessionSlot.route: the stream */
  mtype:awaiting awaiting = NOTHING;
  bit ownsCurrent;                  /* SessionSlot.ownsCurrent */
  byte vouched                      /* for invariant 9: what this server saw confirmed, since it last lost its memory */
};
Slot slot[2];

/* ---- The client: ClientMachine and its log ---- */
unsigned submitted : 3;   /* messages that the caller has sent */
unsigned log : 4;         /* messages in the log: ClientMachine.persisted */
byte front;               /* ClientMachine.front: acknowledgements received */
byte logged;              /* ClientMachine.logged: acknowledgements in the log */
bit failed;               /* ClientMachine.Phase.failed */
mtype:read read = IDLE;
unsigned readAt : 4;      /* RequestLeaf.number, as a seal */
byte reply;               /* the state that the reply shows */

/* ---- For the invariants only ---- */
byte seen;                /* the longest state that the caller was shown, by results or by a reply */
byte outside;             /* the state that the effect was last started on */
bit lost;                 /* the log has lost acknowledgements */
unsigned drawn : 3;       /* the highest number for which anybody drew a determinant */
unsigned kills : 2 = KILLS, cuts : 2 = CUTS, crashes : 2 = CRASHES;

#define FINISHED (failed || (submitted == MESSAGES && front == logged && SEAL(logged) == log && \
  (read == IDLE || read == OVER)))
#define MAY_FAIL (QUIET && !FINISHED && (KILLS - kills) + (CUTS - cuts) + (CRASHES - crashes) < FAULTS)
/* While a hint is there, only the client moves. Nothing is lost by it: the stream has no route any more, and the client
 * may still stay detached for as long as it likes. */
#define QUIET (hint == NOHINT)

/* ==== Server/HandlerMachine ==== */

inline clear(c) { /* what is dead is 0, so that equal futures are equal states */
  stream[c].open = 0; stream[c].at = 0; stream[c].attaching = 0; stream[c].claim = 0; stream[c].last = 0;
  stream[c].sent = 0; stream[c].confirmed = 0; stream[c].acked = 0
}

inline unroute(x) { /* HandlerMachine.unroute */
  if :: slot[x].route == LATE -> clear(LATE) :: else fi;
  slot[x].route = NOBODY; slot[x].ownsCurrent = 0
}

#define REMEMBERED(x) \
  (BUG == BUG_TOMBSTONE -> 0 : (BUG == BUG_TOMBSTONE_HEAD -> slot[x].head : slot[x].confirmed))
inline bury(x) { /* HandlerMachine+Recall.bury, and HandlerMachine.dropCopy */
  if :: NUMBER(REMEMBERED(x)) > NUMBER(slot[x].tombstone) -> slot[x].tombstone = REMEMBERED(x) :: else fi;
  slot[x].phase = NONE; slot[x].isGap = 0; slot[x].head = 0; slot[x].confirmed = 0;
  slot[x].awaiting = NOTHING; slot[x].ownsCurrent = 0
}

inline say(x, what) { /* the stream ends; its client is told if it still has it */
  if :: slot[x].route == NOW -> hint = what :: else fi;
  unroute(x)
}

inline refuse(x, what) { /* HandlerMachine+Attach.refuse: a live copy stays, one that was being built goes */
  say(x, what);
  if :: slot[x].phase != LIVE -> bury(x) :: else fi
}

inline reattach(x) { say(x, GONE); bury(x) } /* HandlerMachine+Apply.reattach */

inline confirm(x, p) { /* CopyWindow.confirm, after its checks */
  slot[x].confirmed = p;
  if :: NUMBER(p) > NUMBER(slot[x].vouched) -> slot[x].vouched = p :: else fi
}

inline goOn(x, c) { /* HandlerMachine+Attach.goOn: from here on the client sees the copy */
  slot[x].phase = LIVE; slot[x].isGap = 0;
  HOLDS(9, PREFIX(slot[x].vouched, slot[x].head));
  HOLDS(1, PREFIX(stream[c].claim, slot[x].head) || lost);
  stream[c].claim = 0; stream[c].last = 0
}

inline beginRecall(x, c, gap) { /* HandlerMachine+Recall.beginRecall and .recallInFull */
  if :: !(gap) -> bury(x) :: else fi;
  stream[c].last = 0;
  if
  :: stream[c].claim == 0 && !(gap) -> slot[x].tombstone = 0; goOn(x, c) /* a fresh session */
  :: else -> slot[x].phase = RECALLING; slot[x].isGap = gap
  fi
}

#define CLAIMED(c) NUMBER(stream[c].claim)
#define ENDS_SHORT(x, c) (NUMBER(stream[c].last) < NUMBER(slot[x].head) || \
  (NUMBER(stream[c].last) == NUMBER(slot[x].head) && stream[c].last != SEAL(slot[x].head)))

inline agreement(x, c) { /* CopyWindow.agreement, and the switch over it in HandlerMachine+Attach.decide */
  if
  :: CLAIMED(c) < NUMBER(slot[x].confirmed) -> refuse(x, BEHIND)
  :: CLAIMED(c) > NUMBER(slot[x].head) -> beginRecall(x, c, (slot[x].awaiting == NOTHING))
  :: else ->
    if
    :: !AGREES(stream[c].claim, slot[x].head) && CLAIMED(c) == NUMBER(slot[x].confirmed) -> refuse(x, FORKED)
    :: !AGREES(stream[c].claim, slot[x].head) && CLAIMED(c) != NUMBER(slot[x].confirmed) ->
       beginRecall(x, c, (BUG == BUG_GAP))
    :: AGREES(stream[c].claim, slot[x].head) && ENDS_SHORT(x, c) -> beginRecall(x, c, 0) /* an orphan as well */
    :: AGREES(stream[c].claim, slot[x].head) && !ENDS_SHORT(x, c) -> /* current */
       confirm(x, CUT_AT(slot[x].head, SEAL(stream[c].claim))); goOn(x, c)
    fi
  fi
}

inline attachArrived(x, c) { /* HandlerMachine+Attach: attach, supersede, route, decide */
  printf("%c: attach on stream %d\n", 65 + x, c);
  stream[c].attaching = 0;
  say(x, SUPERSEDED); slot[x].route = c;
  if :: slot[x].phase != LIVE -> bury(x) :: else fi; /* a recall under way begins anew */
  if
  :: CLAIMED(c) < NUMBER(slot[x].tombstone) -> refuse(x, BEHIND)
  :: CLAIMED(c) >= NUMBER(slot[x].tombstone) && slot[x].phase != LIVE -> beginRecall(x, c, 0)
  :: CLAIMED(c) >= NUMBER(slot[x].tombstone) && slot[x].phase == LIVE ->
     if :: slot[x].awaiting == CONFIRMATION && BUG != BUG_ABANDON -> slot[x].awaiting = NOTHING :: else fi;
     agreement(x, c)
  fi
}

/* The whole answer to a recall in one step: what the log holds up to the claim cannot change while the stream lasts.
 * Client/HistorySender: beginHistory, compare, decide; Server/HandlerMachine+Recall: historyStarted, becomeFull,
 * chunkArrived, checkTombstone, finishRecall. Histories of more than one chunk are left out. */
inline historyArrived(x, c) {
  printf("%c: history up to %d/%d\n", 65 + x, SEAL(stream[c].claim), INPUTS(stream[c].claim));
  if
  :: slot[x].isGap && !PREFIX(slot[x].head, stream[c].claim) ->
     if
     :: BUG == BUG_GAP -> refuse(x, FORKED) /* what comes after the copy's number does not follow from the copy */
     :: else -> bury(x)                     /* the client sends everything: the copy is dropped */
     fi
  :: else
  fi;
  if
  :: slot[x].route != c
  :: slot[x].route == c && !PREFIX(slot[x].tombstone, stream[c].claim) ->
     slot[x].phase = RECALLING; refuse(x, FORKED)
  :: slot[x].route == c && PREFIX(slot[x].tombstone, stream[c].claim) ->
     slot[x].head = stream[c].claim; confirm(x, stream[c].claim);
     slot[x].tombstone = 0; goOn(x, c)
  fi
}

inline apply(x, m, d) { /* HandlerMachine+Apply.record */
  printf("%c: applies %c%d\n", 65 + x, 96 + NUMBER(UPTO(m)), d);
  HOLDS(3, (SEAL(slot[x].head) & (m)) == 0);
  slot[x].head = EXTENDED(slot[x].head, m, d);
  if :: NUMBER(slot[x].head) > drawn -> drawn = NUMBER(slot[x].head) :: else fi
}

#define MAY_START(x) (slot[x].confirmed == slot[x].head || BUG == BUG_EFFECT)
inline resumeEffect(x) { /* HandlerMachine+Apply.resumeEffect: every update here has determinants */
  if
  :: slot[x].awaiting == CONFIRMATION && MAY_START(x) ->
     printf("%c: starts the effect\n", 65 + x);
     slot[x].awaiting = OUTCOME; outside = slot[x].head;
     HOLDS(2, CONSISTENT(outside, logged) || lost)
  :: else
  fi
}

#define NEXT(c) AFTER(stream[c].sent, SEAL(stream[c].acked))
#define UNTIL(c) (SEAL(stream[c].acked) | NEXT(c))            /* the seal of the next update */
#define IS_KNOWN(x, c) (NUMBER(stream[c].acked) < NUMBER(slot[x].head) && BUG != BUG_DUPLICATE)
#define IS_SAME(x, c) (PREFIX(UNTIL(c), SEAL(slot[x].head)) || BUG == BUG_SEAL)
#define CAN_DEAL(x, c) (QUIET && slot[x].route == c && slot[x].phase == LIVE && slot[x].awaiting == NOTHING)
#define READ_IS_NEXT(c) (c == NOW && read == SENT && readAt == SEAL(stream[c].acked))
/* Names of determinants do not matter, only whether they are equal: the first one drawn at a number is called 0. */
#define MAY_DIFFER(x) (NUMBER(slot[x].head) < drawn)

/* An update is received, dealt with and acknowledged in one step: HandlerMachine+Receive.updatesArrived,
 * HandlerMachine+Apply.dealWithNext and .apply, HandlerMachine+Acknowledge.acknowledge. An update in SessionSlot.queue
 * is one that is still under way here, and an acknowledgement that was not flushed one that is lost. */
inline updateArrived(x, c, d) {
  if
  :: IS_KNOWN(x, c) && IS_SAME(x, c) -> stream[c].acked = CUT_AT(slot[x].head, UNTIL(c))
  :: IS_KNOWN(x, c) && !IS_SAME(x, c) -> reattach(x)
  :: !IS_KNOWN(x, c) && NEXT(c) == EFFECT ->
     slot[x].awaiting = CONFIRMATION; slot[x].ownsCurrent = 1; resumeEffect(x)
  :: !IS_KNOWN(x, c) && NEXT(c) != EFFECT -> apply(x, NEXT(c), d); stream[c].acked = slot[x].head
  fi
}

inline effectEnded(x, d) { /* HandlerMachine+Apply.effectEnded and .settle */
  slot[x].awaiting = NOTHING;
  apply(x, EFFECT, d);
  if :: slot[x].ownsCurrent -> stream[slot[x].route].acked = slot[x].head :: else fi;
  slot[x].ownsCurrent = 0
}

inline confirmArrived(x, c) { /* HandlerMachine+Receive.confirmed, and .misfit */
  printf("%c: confirmed %d/%d\n", 65 + x, SEAL(stream[c].confirmed), INPUTS(stream[c].confirmed));
  if
  :: NUMBER(stream[c].confirmed) <= NUMBER(stream[c].acked) && AGREES(stream[c].confirmed, slot[x].head) ->
     confirm(x, CUT_AT(slot[x].head, SEAL(stream[c].confirmed))); resumeEffect(x)
  :: else -> say(x, GONE)
  fi
}

inline requestArrived(x) { /* HandlerMachine+Receive.requestArrived, HandlerMachine+Apply.deal and .answer */
  printf("%c: answers the read\n", 65 + x);
  if
  :: NUMBER(slot[x].head) == NUMBER(readAt) -> read = REPLIED; reply = slot[x].head
  :: else -> reattach(x)
  fi
}

inline settle(x) { /* a LATE stream of which nothing is left is as good as closed: HandlerMachine.closed */
  if
  :: slot[x].route == LATE && slot[x].phase == LIVE && slot[x].awaiting == NOTHING &&
     SEAL(stream[LATE].acked) == stream[LATE].sent && NUMBER(stream[LATE].confirmed) <= NUMBER(slot[x].confirmed) ->
     unroute(x)
  :: else
  fi
}

active [4] proctype Server() { /* one process for each server and stream */
#define X (_pid & 1)
#define C (_pid >> 1)
end: do
  :: d_step { QUIET && stream[C].attaching && stream[C].at == X -> attachArrived(X, C); settle(X) }
  :: d_step { QUIET && slot[X].route == C && slot[X].phase == RECALLING -> historyArrived(X, C); settle(X) }
  :: d_step { CAN_DEAL(X, C) && NEXT(C) != 0 && !READ_IS_NEXT(C) -> updateArrived(X, C, 0); settle(X) }
  :: d_step { CAN_DEAL(X, C) && NEXT(C) != 0 && !READ_IS_NEXT(C) && !IS_KNOWN(X, C) && NEXT(C) != EFFECT &&
       MAY_DIFFER(X) -> updateArrived(X, C, 1); settle(X) }
  :: d_step { CAN_DEAL(X, C) && READ_IS_NEXT(C) -> requestArrived(X) }
  :: d_step { QUIET && slot[X].route == C && slot[X].phase == LIVE && stream[C].confirmed != slot[X].confirmed &&
       NUMBER(stream[C].confirmed) >= NUMBER(slot[X].confirmed) -> confirmArrived(X, C); settle(X) }
  :: d_step { QUIET && C == NOW && slot[X].awaiting == OUTCOME -> effectEnded(X, 0); settle(X) }
  :: d_step { QUIET && C == NOW && slot[X].awaiting == OUTCOME && MAY_DIFFER(X) -> effectEnded(X, 1); settle(X) }
  od
}

/* ==== Client/ClientMachine ==== */

#define HERE stream[NOW].at

inline closed(c) { /* HandlerMachine.closed, at the server that a connection ends at */
  if
  :: slot[stream[c].at].route == c ->
     slot[stream[c].at].route = NOBODY; slot[stream[c].at].ownsCurrent = 0;
     if :: slot[stream[c].at].phase == RECALLING -> bury(stream[c].at) :: else fi
  :: else
  fi
}

inline endStream() { /* ClientMachine+Stream: endStream, withdrawRequests */
  if :: STRAY && NUMBER(stream[NOW].acked) > NUMBER(front) -> stray = stream[NOW].acked :: else fi;
  closed(NOW); clear(NOW); hint = NOHINT;
  if :: read == SENT || read == REPLIED -> read = WANTED; readAt = 0; reply = 0 :: else fi
}

#define IS_LEFT (stream[NOW].attaching || (slot[HERE].route == NOW && (NEXT(NOW) != 0 || \
  slot[HERE].phase == RECALLING || slot[HERE].awaiting != NOTHING || stream[NOW].confirmed != slot[HERE].confirmed)))

inline breakOff() { /* ClientMachine+Stream.disconnected; if anything is under way it may arrive later, or never */
  if
  :: IS_LEFT ->
     if :: stream[LATE].open -> closed(LATE); clear(LATE) :: else fi;
     stream[LATE].open = 1; stream[LATE].at = HERE; stream[LATE].attaching = stream[NOW].attaching;
     stream[LATE].claim = stream[NOW].claim; stream[LATE].last = stream[NOW].last;
     stream[LATE].sent = stream[NOW].sent; stream[LATE].confirmed = stream[NOW].confirmed;
     stream[LATE].acked = stream[NOW].acked;
     if :: slot[HERE].route == NOW -> slot[HERE].route = LATE :: else fi
  :: else
  fi;
  endStream()
}

inline submit() { /* ClientMachine.submit, nextLogOperation, appended, send: persist, then send */
  printf("client: sends %c\n", 97 + submitted);
  log = log | (1 << submitted); submitted++;
  if :: stream[NOW].open -> stream[NOW].sent = log :: else fi
}

inline request() { /* ClientMachine.request and .sendRequest */
  if :: stream[NOW].open -> read = SENT; readAt = log :: else -> read = WANTED fi
}

#define WANTS_ATTACH (QUIET && !stream[NOW].open && !failed && front == logged && \
  (log != SEAL(logged) || read == WANTED)) /* ClientMachine.wantsAttach and .hasUnanswered */
/* The servers are alike: the first attach goes to A. */
#define HAS_BEGUN (logged || slot[0].phase != NONE || kills < KILLS || cuts < CUTS || crashes < CRASHES)

inline attach(x) { /* ClientMachine+Stream.attach: everything unacknowledged follows at once */
  printf("client: attaches to %c\n", 65 + x);
  stream[NOW].open = 1; stream[NOW].at = x; stream[NOW].attaching = 1;
  stream[NOW].claim = logged; stream[NOW].last = log; stream[NOW].sent = log;
  stream[NOW].confirmed = logged; stream[NOW].acked = logged;
  if :: read == WANTED -> read = SENT; readAt = log :: else fi
}

inline reveal(p) { if :: NUMBER(p) > NUMBER(seen) -> seen = p :: else fi }

inline written() { /* ClientMachine.appended: the log holds the acknowledgement; tell the caller, then confirm */
  logged = front;
  HOLDS(2, CONSISTENT(seen, logged));
  HOLDS(2, CONSISTENT(outside, logged) || lost);
  reveal(logged);
  if :: stream[NOW].open -> stream[NOW].confirmed = logged :: else fi
}

/* The client computes the inputs' digest from its own; the seal is its own anyway. */
inline acknowledged(p) { /* ClientMachine+Stream.acknowledged and .accept, else .misfit */
  printf("client: is acknowledged %d/%d\n", SEAL(p), INPUTS(p));
  if
  :: SAME_INPUTS(front, p) ->
     HOLDS(1, PREFIX(SEAL(p), log)); /* what is acknowledged is what this log holds */
     front = p;
     if
     :: BUG == BUG_TOLD -> reveal(front)
     :: BUG == BUG_CONFIRM -> stream[NOW].confirmed = front
     :: else
     fi;
     /* Only a crash can come between, and that is as if the acknowledgement had been lost. */
     if :: LOG_LATER :: else -> written() fi
  :: else -> endStream()
  fi
}

inline strayArrived() { /* ClientMachine+Stream.receive: `frame.stream == phase.stream`, else it is ignored */
  if
  :: BUG == BUG_STRAY && NUMBER(stray) > NUMBER(front) && PREFIX(SEAL(stray), log) ->
     printf("client: takes a stray acknowledgement %d/%d\n", SEAL(stray), INPUTS(stray));
     front = stray & ~(BEFORE(NUMBER(front)) << 4) | (INPUTS(front) << 4);
     written()
  :: else
  fi;
  stray = 0
}

#define IS_HELD (NUMBER(reply) <= NUMBER(logged) || BUG == BUG_READ)
inline replied() { /* ClientMachine+Stream.replied: shown when the log holds what it saw */
  printf("client: the read shows %d/%d\n", SEAL(reply), INPUTS(reply));
  HOLDS(2, CONSISTENT(reply, logged));
  reveal(reply);
  read = OVER; readAt = 0; reply = 0
}

inline stalled() { /* ClientMachine+Stream.stalled: after a long silence, attach anew */
  printf("client: stalled\n");
  HOLDS(22, stream[NOW].open && BUG != BUG_RESEND);
  endStream()
}

active proctype Client() {
end: do
  :: d_step { QUIET && submitted < MESSAGES && !failed && NUMBER(log) - NUMBER(front) < WINDOW -> submit() }
  :: d_step { QUIET && READS && read == IDLE && !failed && log != SEAL(logged) -> request() }
  :: d_step { WANTS_ATTACH -> attach(0) }
  :: d_step { WANTS_ATTACH && HAS_BEGUN -> attach(1) }
  :: d_step { stream[NOW].open && NUMBER(stream[NOW].acked) > NUMBER(front) -> acknowledged(stream[NOW].acked) }
  :: d_step { QUIET && front != logged -> written() }
  :: d_step { QUIET && stray != 0 -> strayArrived() }
  :: d_step { QUIET && read == REPLIED && IS_HELD -> replied() }
  /* ClientMachine+Stream.receive of `gone`, and .refused */
  :: d_step { hint == GONE || hint == SUPERSEDED -> endStream() }
  :: d_step { hint == FORKED || hint == BEHIND ->
       printf("client: is refused\n"); HOLDS(21, lost); failed = 1; endStream() }
  /* Nothing else can happen: either all is done, or nothing was heard for a long time. */
  :: atomic { timeout && !FINISHED -> stalled() }
  :: atomic { timeout && FINISHED && !lost && !PREFIX(seen, logged) -> HOLDS(1, false) }
  :: atomic { timeout && FINISHED && !failed && slot[HERE].route == NOW && slot[HERE].phase == LIVE &&
       slot[HERE].head != logged -> HOLDS(3, false) }
  od
}

/* ==== What goes wrong ==== */

/* A crash, HandlerMachine+Evict.delete by a detector, or an eviction: the slot goes with all it knew. `gone` (or the
 * end of the connection) may get lost. */
inline kill(x, isTold) {
  printf("%c: the session is deleted\n", 65 + x);
  kills--;
  if :: isTold -> say(x, GONE) :: else -> unroute(x) fi;
  bury(x); slot[x].tombstone = 0; slot[x].vouched = 0
}

inline crash() { /* a new ClientMachine from what RecoveredLog found; every caller is gone */
  printf("client: crashes\n");
  front = logged;
  if :: read != IDLE -> read = OVER :: else fi;
  reply = 0
}

active proctype Faults() {
end: do
  :: d_step { MAY_FAIL && kills && (slot[0].phase != NONE || slot[0].tombstone) -> kill(0, true) }
  :: d_step { MAY_FAIL && kills && (slot[1].phase != NONE || slot[1].tombstone) -> kill(1, true) }
  :: d_step { MAY_FAIL && kills && slot[0].phase != NONE && slot[0].route == NOW -> kill(0, false) }
  :: d_step { MAY_FAIL && kills && slot[1].phase != NONE && slot[1].route == NOW -> kill(1, false) }
  :: d_step { MAY_FAIL && cuts && stream[NOW].open -> printf("client: is cut off\n"); cuts--; breakOff() }
  :: atomic { MAY_FAIL && crashes ->
       crashes--;
       if :: stream[NOW].open -> breakOff() :: else fi;
       crash();
       do /* with LOST_LOG; what was promised for such acknowledgements is void */
       :: LOST_LOG && logged != 0 ->
          lost = 1; logged = CUT_AT(logged, SEAL(logged) ^ LAST(logged)); log = SEAL(logged)
       :: break
       od;
       front = logged;
       if :: lost -> seen = logged; outside = 0 :: else fi;
       do :: log != SEAL(logged) -> log = log ^ LAST(log) :: break od;
       printf("client: has %d, acknowledged %d/%d\n", log, SEAL(logged), INPUTS(logged)) }
  od
}
