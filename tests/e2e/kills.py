"""kill -9 of the rewriter in every state of both its sides, by all doors."""
import collections
import contextlib
import random
import re
import signal
import threading
import time

from chain import until
from smtp import Front, Hop, html, one_number_each

# Where the hop stands still when the rewriter dies, and how often it came there before:
# the first MAIL and RCPT ask for the client, the next ones carry the copy.
HOP_STATES = (("mail", 0), ("rcpt", 0), ("mail", 1), ("rcpt", 1), ("data", 0), ("body", 0), ("dot", 0), ("answer", 0), ("answered", 0))
CLIENT_STATES = ("connect", "hello", "mail", "rcpt", "data", "half")
# Only then may a copy be there twice: the hop has it, and the client never heard.
DOUBTFUL = ("dot", "answer", "answered")


class Gate(Hop):
    """A hop that stands still at one place until it is let go."""
    place = None

    def __init__(self, bench):
        self.reached, self.go, self.turn = threading.Event(), threading.Event(), 0
        super().__init__()
        bench.at_end.append(self.close)
        bench.at_end.append(self.go.set)

    def arm(self, place, turn):
        self.reached.clear()
        self.go.clear()
        self.turn, self.place = turn, place

    def at(self, place):
        with self.lock:
            here = place == self.place
            if here:
                self.turn -= 1
                here = self.turn < 0
            if here:
                self.place = None
        if here:
            self.reached.set()
            self.go.wait(60)

    def talk(self, link, f):
        super().talk(_Seen(self, link), _Lines(self, f))


class _Lines:
    """What the hop reads, looked at before it does."""

    def __init__(self, gate, f):
        self.gate, self.f, self.data, self.count = gate, f, False, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.data and self.count == 1:
            self.gate.at("body")
        line = self.f.readline()
        if not line:
            raise StopIteration
        if self.data:
            self.count += 1
            if line == b".\r\n":
                self.data = False
                self.gate.at("dot")
                self.gate.at("answer")
        elif line[:4] in (b"MAIL", b"RCPT", b"DATA"):
            if line[:4] == b"DATA":
                self.data, self.count = True, 0
            self.gate.at(line[:4].decode().lower())
        return line

    def readline(self):
        return self.f.readline()


class _Seen:
    """What the hop says, looked at behind it."""

    def __init__(self, gate, link):
        self.gate, self.link = gate, link

    def sendall(self, data):
        self.link.sendall(data)
        if b"queued as" in data:
            self.gate.at("answered")


def message(id, large):
    text = html(id)
    if large:
        # More than the kernel keeps of it when the process dies.
        text = text.replace(b"</body>", b"".join(b"line %06d of a message that is really long, for no other reason than that\r\n" % i
                                                 for i in range(100000)) + b"</body>")
    return text


def offer(f, door, rcpts, data):
    """One try of a client. None: cut off; else the recipients that were taken in the end."""
    with contextlib.suppress(OSError, IndexError, AssertionError):
        c = f.lmtp() if door == "lmtp" else f.client()
        asked = c.ask(rcpts)
        if not asked:
            return []
        if door == "bdat":
            half = len(data) // 2
            c.raw(b"BDAT %d\r\n%s" % (half, data[:half]))
            if not c.read()[0].startswith("250"):
                return []
            c.raw(b"BDAT %d LAST\r\n%s" % (len(data) - half, data[half:]))
        else:
            if not c.say("DATA")[0].startswith("354"):
                return []
            c.body(data)
        answers = [c.read() for _ in (asked if door == "lmtp" else asked[:1])]
        if not all(answers):
            return None
        if door != "lmtp":
            answers *= len(asked)
        return [r for r, a in zip(asked, answers) if a[0].startswith("250")]
    return None


def kill_at(f, h, door, rcpts, id, place, turn):
    """The rewriter dies while the hop stands at a place; the client comes again until all is taken. True: it heard of the first try."""
    data = message(id, place == "body")
    h.arm(place, turn)
    heard = []
    client = threading.Thread(target=lambda: heard.append(offer(f, door, rcpts, data)))
    client.start()
    assert h.reached.wait(60), "%s by %s: the hop never came to %s %d" % (id, door, place, turn)
    if place == "answer":
        # The 250 is there, and is never read.
        f.process.send_signal(signal.SIGSTOP)
        h.go.set()
        until("the copy", 10, lambda: any(b"<%s@" % id.encode() in t[2] for t in h.taken))
        time.sleep(0.02)
    elif place == "answered":
        time.sleep(random.random() * 0.004)
    f.kill()
    h.go.set()
    client.join()
    f.start()
    insist(f, door, rcpts, data, heard[0])


def insist(f, door, rcpts, data, told=None):
    """The client comes again with those of whom it heard no 250."""
    for _ in range(20):
        rcpts = [r for r in rcpts if r not in (told or [])]
        if not rcpts:
            return
        told = offer(f, door, rcpts, data)
    raise AssertionError("by %s: never taken for %s: %s" % (door, rcpts, data[:200]))


def check(h, id, rcpts, doubtful, what):
    """How often each has it; the number of those that have it twice."""
    got = collections.Counter(t[1] for t in h.taken if t[3] and b"<%s@brand.test>" % id.encode() in t[2])
    assert set(got) == set(rcpts), "%s: lost: %s" % (what, set(rcpts) - set(got))
    twice = [r for r in rcpts if got[r] > 1]
    assert max(got.values()) <= 2 and len(twice) <= doubtful, "%s: %s" % (what, got)
    return len(twice)


def test_smtp_kill_hop(bench):
    """kill -9 with the hop at every step, by SMTP, BDAT and LMTP, one and several recipients: no loss, doubles only behind its 250"""
    h = Gate(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    kills, twice = 0, 0
    for n in range(20 if bench.nightly else 1):
        for i, (place, turn) in enumerate(HOP_STATES):
            for j, door in enumerate(("smtp", "bdat", "lmtp")):
                for many in (False, True) if bench.nightly else ((i + j) % 2 == 0,):
                    id = "%s%d-%s-%d-%d" % (place, turn, door, many, n)
                    rcpts = ["ok-%d@a.test" % k for k in range(3 if many else 1)]
                    # The next copy's turn, sometimes: then the first one is taken already.
                    later = many and turn == 0 and place not in ("mail", "rcpt") and (n + i) % 2
                    kill_at(f, h, door, rcpts, id, place, turn + later)
                    twice += check(h, id, rcpts, place in DOUBTFUL, id)
                    kills += 1
    one_number_each(h)
    sent = {(e["campaign"], e["lane"], e["sequence"]) for e in f.sent()}
    assert len(sent) == len({t[0] for t in h.taken}), "each number that went is recorded, and no other"
    print("  %d kills, %d copies of %d there twice, all of them taken behind the dot of a first try" % (kills, twice, len(h.taken)))
    f.stop()


def test_smtp_kill_client(bench):
    """kill -9 in every state of an LMTP session, one with BDAT and one for several: no loss, nothing twice"""
    h = Hop()
    bench.at_end.append(h.close)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    kills = 0
    for n in range(20 if bench.nightly else 1):
        for door in ("smtp", "bdat", "lmtp"):
            for state in CLIENT_STATES:
                id, rcpts = "%s-%s-%d" % (door, state, n), ["ok-%d@a.test" % k for k in range(3)]
                data = message(id, False)
                c = f.lmtp() if door == "lmtp" else f.client()
                if state in ("mail", "rcpt", "data", "half"):
                    c.say("MAIL FROM:<news@brand.test>")
                if state in ("rcpt", "data", "half"):
                    for r in rcpts:
                        assert c.say("RCPT TO:<%s>" % r)[0].startswith("250")
                if state in ("data", "half") and door == "bdat":
                    c.raw(b"BDAT 50\r\n" + data[:50])
                    assert c.read()[0].startswith("250")
                    if state == "half":
                        c.raw(b"BDAT %d LAST\r\n%s" % (len(data) - 50, data[50:-9]))
                elif state in ("data", "half"):
                    assert c.say("DATA")[0].startswith("354")
                    if state == "half":
                        c.raw(data + b".\r")
                f.kill()
                assert not re.search(rb"(?m)^250 2\.0\.0", c.rest()), state
                f.start()
                insist(f, door, rcpts, data)
                assert check(h, id, rcpts, False, id) == 0
                kills += 1
    print("  %d kills, %d copies, none twice" % (kills, len(h.taken)))
    f.stop()
