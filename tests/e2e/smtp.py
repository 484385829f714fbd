"""Tests of the SMTP front: the real rewriter between a scripted client and a
scripted next hop. No Redis runs: mail does not need one."""
import contextlib
import os
import random
import re
import resource
import signal
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from chain import free_ports, until
from private_postfix import PrivatePostfix

HTML = ("From: news@brand.test\r\nTo: %(to)s\r\nSubject: hello\r\nMessage-ID: <%(id)s@brand.test>\r\n"
        "X-Landfall-Campaign: %(campaign)s\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        "<html><body>\r\n<p>Hello</p>\r\n.a line that starts with a dot\r\n..\r\n"
        "<a href=\"https://shop.example/p?id=%(id)s\">buy</a>\r\n</body></html>\r\n")


def html(id, to="ok@a.test", campaign="spring"):
    return (HTML % {"id": id, "to": to, "campaign": campaign}).encode()


class Hop:
    """A next hop; the local part of the recipient says what it answers."""
    EHLO = ["PIPELINING", "SIZE 10240000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "CHUNKING", "STARTTLS"]

    def __init__(self, port=0, ehlo=None, delay=0, secure=None):
        self.secure = secure  # what wraps a socket after STARTTLS
        self.ehlo, self.delay = self.EHLO if ehlo is None else ehlo, delay
        self.lock, self.taken, self.senders, self.sessions, self.tries = threading.Lock(), [], [], 0, {}
        self.held = threading.Event()
        self.held.set()
        self.hold_at = None  # messages taken: then it holds the next
        self.queue_id = "0000%06X"
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", port))
        self.socket.listen(2000)
        self.port = self.socket.getsockname()[1]
        self.links = []
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.held.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.cut()

    def cut(self):
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def serve(self):
        while True:
            try:
                link, _ = self.socket.accept()
            except OSError:
                return
            self.sessions += 1
            self.links.append(link)
            threading.Thread(target=self.session, args=(link,), daemon=True).start()

    def session(self, link):
        with link, contextlib.suppress(OSError):
            self.talk(link, link.makefile("rb"))

    def talk(self, link, f, greet=True):
        def say(text):
            link.sendall(text.encode() + b"\r\n")

        sender, rcpts, chunks = None, [], b""
        if greet:
            say("220 hop.test ESMTP")
        for line in f:
            assert line.endswith(b"\r\n") and b"\r" not in line[:-2], line
            text = line[:-2].decode()
            verb = text[:4].upper()
            if verb in ("EHLO", "HELO"):
                say("\r\n".join("250%s%s" % (" " if i == len(self.ehlo) else "-", w) for i, w in enumerate(["hop.test"] + self.ehlo)))
            elif verb == "MAIL":
                sender, rcpts = re.match(r"MAIL FROM:<(.*?)>", text).group(1), []
                self.senders.append(sender)
                say("553 5.1.8 sender refused" if sender.startswith("refused") else "250 2.1.0 Ok")
            elif verb == "RCPT":
                to = re.match(r"RCPT TO:<(.*?)>", text).group(1)
                kind = to.split("@")[0].split("-")[0]
                if kind == "u550":
                    say("550-5.1.1 The account does not\r\n550-5.1.1  exist\r\n550 5.1.1 here")
                elif kind == "b421":
                    say("421 4.7.0 later")
                    return
                elif kind == "cutrcpt":
                    return
                elif kind == "slow":
                    f.readline()
                else:
                    rcpts.append(to)
                    say("250 2.1.5 Ok")
            elif verb in ("DATA", "BDAT"):
                rcpt = " ".join(rcpts)
                kind = rcpt.split("@")[0].split("-")[0]
                if verb == "BDAT":
                    size, *last = text[5:].split()
                    chunks += f.read(int(size))
                    if not last:
                        say("250 2.0.0 Ok")
                        continue
                    body, chunks = chunks, b""
                if not rcpts:
                    say("503 5.5.1 no recipient")
                    continue
                if verb == "DATA":
                    if kind == "cutdata":
                        return
                    say("354 go on")
                    body = []
                    for line in f:
                        if not line.endswith(b"\n"):
                            return  # cut off
                        assert line.endswith(b"\r\n") and b"\r" not in line[:-2] and b"\0" not in line, line
                        if line == b".\r\n":
                            break
                        body.append(line[1:] if line.startswith(b".") else line)
                    else:
                        return
                    body = b"".join(body)
                self.held.wait()
                if self.delay:
                    time.sleep(random.random() * self.delay)
                with self.lock:
                    n = self.tries[rcpt] = self.tries.get(rcpt, 0) + 1
                    if kind == "d451" and n == 1:
                        self.taken.append((sender, rcpt, body, False))
                        say("451 4.7.650 slow down")
                        continue
                    if kind == "d550":
                        say("550 5.7.1 content refused")
                        continue
                    self.taken.append((sender, rcpt, body, True))
                    count = len(self.taken)
                    if count == self.hold_at:
                        self.held.clear()
                if kind == "drop":
                    return
                if kind == "x421":
                    say("421 4.3.2 going down")
                    return
                say("250 2.0.0 Ok: queued as " + self.queue_id % count)
            elif verb == "RSET":
                sender, rcpts = None, []
                say("250 2.0.0 Ok")
            elif verb == "STAR" and self.secure:
                say("220 2.0.0 go on")
                link = self.secure(link)
                self.talk(link, link.makefile("rb"), greet=False)
                return
            elif verb == "QUIT":
                say("221 2.0.0 Bye")
                return
            else:
                say("502 5.5.2 what")


class Client:
    """Of the SMTP door, or with hi="LHLO" of the LMTP one."""

    def __init__(self, port, timeout=20, hi="EHLO"):
        self.hi = hi
        self.link = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.f = self.link.makefile("rb")

    def close(self):
        self.f.close()  # it keeps the socket open
        self.link.close()

    def read(self):
        """One reply: its lines, without line ends; empty when the peer closed."""
        lines = []
        while True:
            line = self.f.readline()
            if not line:
                return []
            assert line.endswith(b"\r\n"), line
            lines.append(line[:-2].decode())
            if line[3:4] != b"-":
                return lines

    def raw(self, data):
        self.link.sendall(data)

    def rest(self):
        """What still comes until the peer is gone."""
        got = b""
        with contextlib.suppress(ConnectionResetError):
            got = self.f.read()
        return got

    def say(self, text):
        self.raw(text.encode() + b"\r\n")
        return self.read()

    def hello(self):
        self.greeting = self.read()
        self.offers = self.say(self.hi + " client.test")
        return self

    def ask(self, rcpts, sender="news@brand.test"):
        """MAIL and RCPT; the recipients that were taken."""
        assert self.say("MAIL FROM:<%s>" % sender)[0].startswith("250")
        return [r for r in rcpts if self.say("RCPT TO:<%s>" % r)[0].startswith("250")]

    def begin(self, rcpt="ok@a.test", sender="news@brand.test"):
        """Up to 354; rcpt: one, or a list."""
        rcpts = [rcpt] if isinstance(rcpt, str) else rcpt
        got = self.ask(rcpts, sender)
        assert got == rcpts, got
        got = self.say("DATA")
        assert got[0].startswith("354"), got
        return self

    def body(self, message):
        self.raw(b"".join(b"." + line if line.startswith(b".") else line for line in message.splitlines(True)) + b".\r\n")

    def end(self, message):
        self.body(message)
        return self.read()

    def send(self, message, rcpt="ok@a.test", sender="news@brand.test"):
        return self.begin(rcpt, sender).end(message)

    def chunks(self, message, rcpt="ok@a.test", size=100):
        """By BDAT, all in one write. The last reply."""
        assert self.ask([rcpt]) == [rcpt]
        pieces = [message[i:i + size] for i in range(0, len(message), size)]
        self.raw(b"".join(b"BDAT %d\r\n%s" % (len(p), p) for p in pieces) + b"BDAT 0 LAST\r\n")
        for p in pieces:
            assert self.read() == ["250 2.0.0 %d octets taken" % len(p)]
        return self.read()


class Front:
    """A rewriter before a hop."""

    def __init__(self, bench, hop_port, name="front", before=None, port=0, **settings):
        self.bench, self.port = bench, port or free_ports(3)
        self.dir = bench.dir + "/" + name
        os.makedirs(self.dir + "/log", exist_ok=True)
        self.log, self.before = self.dir + "/log/rewriter.log", before
        self.config = self.dir + "/landfall.conf"
        self.settings = {"data.dir": self.dir + "/data", "rewriter.listen": "127.0.0.1:%d" % self.port,
                         "rewriter.lmtp_listen": "127.0.0.1:%d" % (self.port + 2),
                         "rewriter.next_hop": "127.0.0.1:%d" % hop_port, "rewriter.metrics": "127.0.0.1:%d" % (self.port + 1),
                         "track.url": "https://t.brand.test", "journal.segment_mb": "1", **settings}
        self.process = None
        with open(self.config, "w") as f:
            for key, value in self.settings.items():
                f.write("[%s]\n%s = %s\n" % (*key.split(".", 1), value))
        if not os.path.exists(self.dir + "/data/keys/ring"):
            subprocess.run([bench.bin + "/landfall", "key", "add", "--config", self.config], check=True, capture_output=True)
        bench.at_end.append(self.kill)
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.bench.bin + "/landfall-rewriter", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=self.before)
        until("the rewriter's port", 20, self.answers)

    def alive(self):
        assert self.process.poll() is None, "the rewriter ended: " + open(self.log).read()[-1000:]
        return True

    def answers(self):
        self.alive()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        assert status == 0, "the rewriter ended with %s: %s" % (status, open(self.log).read()[-2000:])

    def client(self):
        return Client(self.port).hello()

    def lmtp(self):
        return Client(self.port + 2, hi="LHLO").hello()

    def sent(self):
        return [e for e in self.events() if e["kind"] == "sent"]

    def metrics_port(self):
        def connect():
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port + 1), timeout=10)

        return until("the port of the metrics", 10, connect)

    def metrics(self):
        with self.metrics_port() as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return {k: int(v) for k, v in re.findall(r"(?m)^landfall_(\w+) (\d+)", text)}

    def health(self):
        with self.metrics_port() as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return int(s.recv(4096).split()[1])

    def events(self):
        """What the journal holds, as dicts."""
        got = subprocess.run("%s/landfall dump %s/data/rewriter/*.seg" % (self.bench.bin, self.dir), shell=True, capture_output=True, text=True)
        assert got.returncode == 0, got.stderr
        return [dict([("kind", line.split()[0])] + re.findall(r'([\w-]+)="?([^" ]*)', line)) for line in got.stdout.splitlines() if line.startswith("  ")]


def hop(bench, **how):
    h = Hop(**how)
    bench.at_end.append(h.close)
    return h


def test_smtp_replies(bench):
    """what the hop says reaches the client word for word, and 250 comes from the hop alone"""
    h = hop(bench)
    f = Front(bench, h.port)
    c = f.client()
    assert c.greeting[0].startswith("220 ") and c.offers[1:] == [
        "250-PIPELINING", "250-SIZE %d" % (10240000 - 65536), "250-8BITMIME", "250-SMTPUTF8", "250-ENHANCEDSTATUSCODES", "250-DSN", "250 CHUNKING"], c.offers
    plain = b"Subject: x\r\n\r\n.dot\r\n..\r\nend\r\n"
    assert c.send(plain) == ["250 2.0.0 Ok: queued as 0000000001"]
    assert h.taken[-1][2] == plain, h.taken[-1]
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("250")
    assert c.say("RCPT TO:<u550-x@a.test>") == ["550-5.1.1 The account does not", "550-5.1.1  exist", "550 5.1.1 here"]
    assert c.say("DATA")[0].startswith("554"), "no recipient"
    assert c.say("RCPT TO:<ok@a.test>")[0].startswith("250")
    assert c.say("RCPT TO:<u550-y@a.test>")[0].startswith("550")
    assert c.say("RSET")[0].startswith("250")
    assert c.send(html(1), "d451@a.test") == ["451 4.7.650 slow down"]
    assert c.send(html(1), "d550@a.test") == ["550 5.7.1 content refused"]
    assert c.say("QUIT")[0].startswith("221") and c.read() == []
    # The hop is cut at each place: never 250.
    for kind, want in (("cutrcpt", "451 4.4.2"), ("b421", "421 4.7.0 later")):
        c = f.client()
        c.say("MAIL FROM:<a@b.test>")
        assert c.say("RCPT TO:<%s@a.test>" % kind)[0].startswith(want), kind
    for kind, want in (("cutdata", "451 4.4.2"), ("drop", "451 4.4.2"), ("x421", "421 4.3.2 going down")):
        c = f.client()
        got = c.send(html(2), kind + "@a.test")
        assert got[0].startswith(want), (kind, got)
    # Only what the hop took with 250 is recorded as sent.
    assert [e["kind"] for e in f.events()].count("sent") == 0
    assert f.client().send(html(3))[0].startswith("250")
    sent = [e for e in f.events() if e["kind"] == "sent"]
    assert len(sent) == 1 and sent[0]["queue-id"].startswith("0000"), sent
    f.stop()


def test_smtp_hop_down(bench):
    """no hop: 421 at the greeting; it comes back; it is lost while idle and within a transaction"""
    h = Hop()
    h.close()
    f = Front(bench, h.port)
    assert Client(f.port).read()[0].startswith("421 4.3.2")
    h2 = hop(bench, port=h.port)
    c = f.client()
    assert c.send(html(1))[0].startswith("250")
    h2.cut()
    assert c.send(html(2))[0].startswith("250"), "a new connection is made"
    c.begin()
    h2.cut()
    assert c.end(html(3))[0].startswith("250"), "nothing had been sent: the transaction is opened anew"
    h2.close()
    got = c.say("MAIL FROM:<a@b.test>")
    assert got[0].startswith("451 4.4."), got
    assert len(h2.taken) == 3
    f.stop()


def test_smtp_limits(bench):
    """a hop that does not answer in time: never 250, and the session goes on"""
    mute = socket.socket()
    mute.bind(("127.0.0.1", 0))
    mute.listen(10)
    bench.at_end.append(mute.close)
    limits = {"rewriter.hop_connect_timeout_s": "1", "rewriter.hop_greeting_timeout_s": "1", "rewriter.hop_rcpt_timeout_s": "1", "rewriter.hop_dot_timeout_s": "2"}
    f = Front(bench, mute.getsockname()[1], "mute", **limits)
    assert Client(f.port).read()[0].startswith("421 4.3.2")
    f.stop()
    h = hop(bench)
    f = Front(bench, h.port, **limits)
    c = f.client()
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("250")
    assert c.say("RCPT TO:<slow@a.test>")[0].startswith("451 4.4.2")
    assert c.say("RSET")[0].startswith("250")
    h.held.clear()
    began = time.monotonic()
    got = c.send(html(1))
    assert got[0].startswith("451 4.4.2") and 1.5 < time.monotonic() - began < 10, got
    h.held.set()
    assert c.send(html(2))[0].startswith("250")
    assert len([e for e in f.events() if e["kind"] == "sent"]) == 1
    f.stop()


def test_smtp_smuggling(bench):
    """nothing but CRLF.CRLF ends a message, and what might for others is refused"""
    h = hop(bench)
    f = Front(bench, h.port)
    bad = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\0.\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n.\n",
           b"\r\n.\r", b"a\nb", b"a\rb", b"a\0b"]
    second = b"MAIL FROM:<ceo@bank.test>\r\nRCPT TO:<ok-evil@a.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil"
    for seq in bad:
        for step in (0, 1, 3):
            c = f.client().begin()
            data = b"Subject: x\r\n\r\nbody" + seq + second + b"\r\n.\r\n"
            for at in range(0, len(data), step or len(data)):
                c.raw(data[at:at + (step or len(data))])
            got = c.read()
            assert got[0].startswith("550 5.5.2"), (seq, got)
            assert c.say("NOOP")[0].startswith("250"), seq
            c.close()
    assert not h.taken and "ceo@bank.test" not in h.senders, h.senders
    f.stop()


def test_smtp_rewriting(bench):
    """the copy is rewritten, carries its return path, and is the same when the client comes again"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    c = f.client()
    assert c.send(html(1, campaign="a"), "d451-x@a.test")[0].startswith("451")
    assert c.send(html(1, campaign="a"), "d451-x@a.test")[0].startswith("250")
    assert c.send(html(1, campaign="a"), "d451-x@a.test")[0].startswith("250")
    first, second, third = h.taken
    assert first[0] == second[0] == third[0] and re.fullmatch(r"b\+[a-z2-7]{37}@bounce\.brand\.test", first[0]), first[0]
    assert first[2] == second[2] == third[2], "same bytes"
    body = first[2].decode()
    assert "https://t.brand.test/c/" in body and "shop.example" not in body and "/o/" in body, body
    assert "\r\n.a line that starts with a dot\r\n..\r\n" in body
    assert c.send(html(2, campaign="a"), "ok@a.test")[0].startswith("250")
    assert h.taken[-1][0] != first[0], "another recipient, another return path"
    # The empty sender stays empty; a message without a campaign stays as it is.
    assert c.send(html(3, campaign="a"), sender="")[0].startswith("250")
    assert h.taken[-1][0] == "" and b"t.brand.test" in h.taken[-1][2]
    plain = b"Subject: x\r\n\r\nsee https://shop.example/\r\n"
    assert c.send(plain)[0].startswith("250")
    assert h.taken[-1][0] == "news@brand.test" and h.taken[-1][2] == plain
    # In mode anonymous nothing in the message tells two recipients apart.
    secret = html(4, campaign="b").replace(b"MIME-Version", b"X-Landfall-Track: mode=anonymous\r\nMIME-Version")
    for rcpt in ("ok-1@a.test", "ok-2@a.test"):
        assert c.send(secret, rcpt)[0].startswith("250")
    assert h.taken[-1][2] == h.taken[-2][2] and h.taken[-1][0] != h.taken[-2][0]
    assert b"X-Landfall-Track" not in h.taken[-1][2] and b"t.brand.test/c/" in h.taken[-1][2]
    events = f.events()
    assert [int(e["recipient"], 16) for e in events if e["kind"] == "sent"][-2:] == [0, 0], events[-2:]
    assert len([e for e in events if e["kind"] == "campaign"]) == 2
    sent = [(e["sequence"], "queue-id" in e) for e in events if e["kind"] == "sent"]
    assert sent == [("0", False), ("0", False), ("1", False), ("2", True), ("0", False), ("1", False)], sent
    m = f.metrics()
    assert (m["messages_in"], m["messages_rewritten"], m["messages_untouched"], m["messages_delivered"], m["messages_deferred"]) == (
        8, 7, 1, 7, 1), m
    f.stop()


def test_smtp_clients(bench):
    """clients that pipeline, vanish, fall silent, send too much, come in crowds"""
    h = hop(bench)
    f = Front(bench, h.port, **{"rewriter.client_timeout_s": "2", "rewriter.max_sessions": "4", "rewriter.max_message_mb": "1"})
    c = Client(f.port)
    c.read()
    c.raw(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ok@a.test>\r\nDATA\r\n")
    assert [c.read()[-1][:3] for _ in range(4)] == ["250", "250", "250", "354"]
    c.raw(b"one\r\n.\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u550@a.test>\r\nRCPT TO:<ok@a.test>\r\nDATA\r\n")
    assert [c.read()[-1][:3] for _ in range(5)] == ["250", "250", "550", "250", "354"]
    c.raw(b"two\r\n.\r\nQUIT\r\n")
    assert [c.read()[-1][:3] for _ in range(2)] == ["250", "221"] and c.read() == []
    assert [t[2] for t in h.taken] == [b"one\r\n", b"two\r\n"]
    # Vanish before the dot: nothing goes.
    c = f.client().begin()
    c.raw(b"half a message\r\n.")
    c.close()
    # Vanish behind the dot: the hop takes it, and it is recorded.
    h.held.clear()
    c = f.client().begin()
    c.raw(html(7) + b".\r\n")
    until("the message at the hop", 10, lambda: f.metrics()["messages_in"] == 3)
    c.close()
    h.held.set()
    until("the record", 10, lambda: [e for e in f.events() if e["kind"] == "sent"])
    assert len(h.taken) == 3
    # Too large.
    c = f.client().begin()
    got = c.end(b"x" * 70 + b"\r\n" + (b"y" * 78 + b"\r\n") * 14000)
    assert got[0].startswith("552 5.3.4"), got
    assert c.say("MAIL FROM:<a@b.test> SIZE=2000000")[0].startswith("552 5.3.4")
    assert c.send(b"fits\r\n")[0].startswith("250")
    # A crowd.
    crowd = [f.client() for _ in range(3)]
    assert Client(f.port).read()[0].startswith("421 4.3.2")
    # Silent.
    began = time.monotonic()
    assert crowd[0].read()[0].startswith("421 4.4.2") and time.monotonic() - began < 10
    until("room", 10, lambda: f.metrics()["sessions_open"] == 0)
    assert f.client().send(b"again\r\n")[0].startswith("250")
    f.stop()


def test_smtp_stop(bench):
    """SIGTERM: what is under way ends well, nobody new is taken"""
    h = hop(bench)
    f = Front(bench, h.port)
    idle, busy, waiting = f.client(), f.client().begin(), f.client().begin()
    h.held.clear()
    waiting.raw(html(1) + b".\r\n")
    until("the message at the hop", 10, lambda: f.metrics()["messages_in"] == 1)
    f.process.send_signal(signal.SIGTERM)
    assert idle.read()[0].startswith("421 4.3.2") and idle.read() == []
    h.held.set()
    assert waiting.read()[0].startswith("250") and waiting.read()[0].startswith("421")
    assert busy.end(html(2))[0].startswith("250") and busy.read()[0].startswith("421")
    assert f.process.wait(20) == 0
    assert len(h.taken) == 2 and len([e for e in f.events() if e["kind"] == "sent"]) == 2


def test_smtp_start(bench):
    """why it does not start is said in one line"""
    h = hop(bench)
    f = Front(bench, h.port)

    def fails(*more):
        got = subprocess.run([bench.bin + "/landfall-rewriter", "--config", f.config, "--set", "rewriter.lmtp_listen=", *more],
                             capture_output=True, text=True, timeout=30)
        return got.returncode, got.stderr

    status, said = fails()
    assert status == 3 and "rewriter.listen" in said and str(f.port) in said and said.count("\n") == 1, (status, said)
    status, said = fails("--set", "rewriter.listen=127.0.0.1:%d" % free_ports(1))
    assert status == 3 and "another landfall-rewriter" in said, (status, said)
    status, said = fails("--set", "data.dir=%s/none" % bench.dir)
    assert status == 3 and "landfall key add" in said and said.count("\n") == 1, (status, said)
    status, said = fails("--set", "track.url=ftp://x")
    assert status == 1 and "track.url" in said, (status, said)
    status, said = fails("--set", "rewriter.next_hop=127.0.0.1:%d" % f.port)
    assert status == 1 and "circles" in said, (status, said)
    assert f.client().send(html(1))[0].startswith("250")
    f.stop()
    os.unlink(f.dir + "/data/rewriter/sequence")
    status, said = fails()
    assert status == 3 and "sequence" in said, (status, said)


def test_smtp_disk_full(bench):
    """no room to record: 451, and no message is lost or sent unrecorded"""
    h = hop(bench)
    h.queue_id = "%064X"
    f = Front(bench, h.port, before=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN), **{"journal.cap_mb": "2"})
    # Numbers cannot be reserved.
    old = resource.prlimit(f.process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    c = f.client()
    got = c.send(html(1, campaign="x"))
    assert got[0].startswith("451 4.3.1") and not h.taken, got
    plain = b"Subject: no campaign\r\n\r\nx\r\n"
    assert c.send(plain)[0].startswith("250"), "what needs no record flows"
    resource.prlimit(f.process.pid, resource.RLIMIT_FSIZE, old)
    assert c.send(html(1, campaign="x"))[0].startswith("250")
    # The record fails behind the hop's 250: that answer waits for the disk, new mail is put off before the hop has it.
    resource.prlimit(f.process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    waiting = threading.Thread(target=lambda: got.append(c.send(html(2, campaign="x"))))
    got = []
    waiting.start()
    until("the copy", 10, lambda: len(h.taken) == 3)
    until("mail is put off", 10, lambda: f.client().send(html(3, campaign="x"))[0].startswith("451 4.3.1"))
    assert not got and len(h.taken) == 3 and f.health() == 503
    resource.prlimit(f.process.pid, resource.RLIMIT_FSIZE, old)
    waiting.join(10)
    assert got and got[0][0].startswith("250"), got
    until("health", 10, lambda: f.health() == 200)
    # The journal is full: Redis is not there to take anything.
    told, got = 2, []
    for i in range(20000):
        got = c.send(html(i, campaign="%0500d" % i))
        if not got[0].startswith("250"):
            break
        told += 1
    assert got[0].startswith("451 4.3.1"), got
    assert len(h.taken) == told + 1, (len(h.taken), told)
    assert c.send(plain)[0].startswith("250")
    events = [e for e in f.events() if e["kind"] == "sent"]
    assert len(events) == told, (len(events), told)
    assert f.metrics()["events_lost"] == 0
    f.stop()


def test_smtp_several(bench):
    """several recipients in a transaction: each has a copy; mixed outcomes neither lose nor double"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    c = f.client()

    def taken():
        return [t[1] for t in h.taken if t[3]]

    # All agree: the hop's own reply. Each copy has its sender, its links, its record.
    three, sessions = ["ok-%d@a.test" % i for i in range(3)], h.sessions
    assert c.ask([*three[:2], "u550@a.test", three[2]]) == three
    assert c.say("DATA")[0].startswith("354")
    assert c.end(html(1)) == ["250 2.0.0 Ok: queued as 0000000001"]
    assert taken() == three and len({t[0] for t in h.taken}) == 3 and len({t[2] for t in h.taken}) == 3
    assert all(t[0].startswith("b+") and b"https://t.brand.test/c/" in t[2] for t in h.taken)
    assert sorted(e["sequence"] for e in f.sent()) == ["0", "1", "2"]
    assert h.sessions == sessions, "the connection is kept"
    # A message without a campaign goes once, for all.
    assert c.send(b"Subject: x\r\n\r\nhello\r\n", three)[0].startswith("250")
    assert taken()[3:] == [" ".join(three)] and h.taken[-1][0] == "news@brand.test"
    # One is put off: 451; the retry sends to that one alone.
    h.taken.clear()
    assert c.send(html(2), ["ok@a.test", "d451@a.test"])[0].startswith("451 4.3.0")
    assert c.send(html(2), ["ok@a.test", "d451@a.test"])[0].startswith("250 2.0.0 Ok: queued")
    assert taken() == ["ok@a.test", "d451@a.test"], h.taken
    # Remembered for one retry, not for ever: the same again is new mail.
    assert c.send(html(2), ["ok@a.test", "d451@a.test"])[0].startswith("250")
    assert taken() == ["ok@a.test", "d451@a.test"] * 2
    # One is refused: 451; from then on it must be alone, so that the others get their 250 and it its 550.
    h.taken.clear()
    assert c.send(html(3), ["d550@a.test", "ok-1@a.test", "ok-2@a.test"])[0].startswith("451 4.3.0")
    assert c.ask(["ok-1@a.test", "d550@a.test", "ok-2@a.test"]) == ["ok-1@a.test", "ok-2@a.test"]
    assert c.say("DATA")[0].startswith("354")
    assert c.end(html(3)) == ["250 2.0.0 Ok, taken at an earlier attempt"]
    assert c.ask(["d550@a.test", "ok-9@a.test"]) == ["d550@a.test"]
    assert c.say("DATA")[0].startswith("354")
    assert c.end(html(3)) == ["550 5.7.1 content refused"]
    assert c.ask(["ok-9@a.test", "d550@a.test"]) == ["ok-9@a.test", "d550@a.test"], "its time alone is over"
    assert taken() == ["ok-1@a.test", "ok-2@a.test"]
    # The hop dies in the middle: who was taken stays so.
    c, h.taken[:] = f.client(), []
    assert c.send(html(4), ["ok-1@a.test", "drop@a.test", "ok-2@a.test"])[0].startswith("451 4.3.0")
    assert c.send(html(4), ["ok-1@a.test", "ok-2@a.test"])[0].startswith("250")
    assert taken() == ["ok-1@a.test", "drop@a.test", "ok-2@a.test"]
    # The client goes in the middle: nothing more is sent, and the retry knows.
    h.taken.clear()
    h.held.clear()
    before = f.metrics()["messages_in"]
    c = f.client().begin(["ok-1@a.test", "ok-2@a.test"])
    c.body(html(5))
    until("the first copy at the hop", 10, lambda: f.metrics()["messages_in"] > before)
    c.close()
    mixed = f.metrics()["messages_mixed"]
    time.sleep(0.2)  # the front must see the client go before the hop answers
    h.held.set()
    until("the end of the message", 10, lambda: f.metrics()["messages_mixed"] > mixed)
    assert f.client().send(html(5), ["ok-1@a.test", "ok-2@a.test"])[0].startswith("250")
    assert taken() == ["ok-1@a.test", "ok-2@a.test"], taken()
    # It says QUIT behind the message and closes its half, as Exim does: it is still there.
    h.taken.clear()
    c = f.client().begin(three)
    c.raw(html(7) + b".\r\nQUIT\r\n")
    c.link.shutdown(socket.SHUT_WR)
    assert c.read()[0].startswith("250 2.0.0") and c.read()[0].startswith("221"), "half closed"
    assert taken() == three
    # A hundred, and no more.
    many = ["ok-%d@a.test" % i for i in range(101)]
    h.taken.clear()
    c = f.client()
    assert c.ask(many) == many[:100]
    assert c.say("RCPT TO:<ok@a.test>")[0].startswith("452 4.5.3")
    assert c.say("DATA")[0].startswith("354")
    assert c.end(html(6))[0].startswith("250")
    assert taken() == many[:100] and len({t[0] for t in h.taken}) == 100
    c = f.client()
    assert c.ask(many) == many[:100] and c.say("DATA")[0].startswith("354")
    assert c.end(b"plain\r\n")[0].startswith("250") and taken()[100:] == [" ".join(many[:100])]
    sent = [(e["campaign"], e["sequence"]) for e in f.sent()]
    assert len(sent) == len(set(sent)) + 2, "only what was sent as new mail again has its number twice"
    m = f.metrics()
    assert (m["messages_mixed"], m["messages_known"]) == (4, 5), m
    f.stop()


def test_smtp_lmtp(bench):
    """LMTP: a reply for each recipient, in their order"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    c = f.lmtp()
    assert c.greeting == ["220 landfall.localdomain LMTP Landfall"]
    rcpts = ["d550@a.test", "ok-1@a.test", "d451@a.test", "ok-2@a.test"]
    assert c.ask([rcpts[0], "u550@a.test", *rcpts[1:]]) == rcpts
    assert c.say("DATA")[0].startswith("354")
    got = [c.end(html(1))] + [c.read() for _ in rcpts[1:]]
    assert [g[0][:13] for g in got] == ["550 5.7.1 con", "250 2.0.0 Ok:", "451 4.7.650 s", "250 2.0.0 Ok:"], got
    assert c.say("NOOP")[0].startswith("250"), "and not one reply more"
    assert c.send(html(1), "d451@a.test")[0].startswith("250")
    assert [t[1] for t in h.taken if t[3]] == ["ok-1@a.test", "ok-2@a.test", "d451@a.test"]
    assert len({t[0] for t in h.taken}) == 3 and len(f.sent()) == 3
    # One copy for all is answered for each.
    assert c.send(b"plain\r\n", rcpts[1:])[0].startswith("250") and c.read()[0].startswith("250") and c.read()[0].startswith("250")
    # The hop is lost at the second.
    got = c.send(html(2), ["ok-1@a.test", "drop@a.test", "ok-2@a.test"]), c.read(), c.read()
    assert [g[0][:9] for g in got] == ["250 2.0.0", "451 4.4.2", "451 4.4.2"], got
    # What we refuse.
    assert c.send(b"a\nb\r\n", ["ok-1@a.test", "ok-2@a.test"])[0].startswith("550 5.5.2") and c.read()[0].startswith("550 5.5.2")
    assert c.say("EHLO x")[0].startswith("500") and c.say("QUIT")[0].startswith("221")
    assert Client(f.port).hello().say("LHLO x")[0].startswith("500")
    f.stop()


def test_smtp_chunks(bench):
    """BDAT: the same message as by DATA, and nothing that smuggles"""
    h = hop(bench)
    f = Front(bench, h.port)
    c = f.client()
    for size in (1, 7, 100, 100000):
        assert c.chunks(html(1, campaign="chunks"), size=size)[0].startswith("250 2.0.0 Ok: queued")
    assert c.send(html(1, campaign="chunks"))[0].startswith("250")
    assert len(h.taken) == 5 and len({t[2] for t in h.taken}) == 1, "same bytes"
    # Dots, and no line end at the end.
    assert c.chunks(b"Subject: x\r\n\r\n.\r\n..\r\nQUIT")[0].startswith("250")
    assert h.taken[-1][2] == b"Subject: x\r\n\r\n.\r\n..\r\nQUIT\r\n"
    # Bytes behind the end of data of other servers stay in the message, or refuse it.
    for seq, good in ((b"\r\n.\r\n", True), (b"\n.\n", False), (b"\n.\r\n", False), (b"\r\n.\r", False), (b"\r.\r", False), (b"\0", False)):
        got = c.chunks(b"Subject: x\r\n\r\n" + seq + b"MAIL FROM:<ceo@bank.test>\r\nRCPT TO:<ok-evil@a.test>\r\nDATA\r\nevil\r\n.\r\n", size=11)
        assert got[0].startswith("250" if good else "550 5.5.2"), (seq, got)
    assert "ceo@bank.test" not in h.senders and len(h.taken) == 7
    c.raw(b"BDAT 29 LAST\r\nMAIL FROM:<ceo@bank.test>\r\nxxBDAT ten\r\nMAIL FROM:<ceo@bank.test>\r\n")
    assert c.read()[0].startswith("503") and c.read()[0].startswith("521") and c.read() == []
    assert "ceo@bank.test" not in h.senders
    f.stop()


def test_smtp_postfix(bench):
    """Postfix as the client, several recipients in a transaction, by SMTP and by LMTP: each gets one copy or its own bounce"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    rcpts = ["%s@a.test" % r for r in ("ok-1", "ok-2", "d451-x", "u550-x", "d550-x", "ok-3")]
    want = {r: "bounced" if "550" in r else "sent" for r in rcpts}
    for name, transport in (("smtp", "smtp:[127.0.0.1]:%d" % f.port), ("lmtp", "lmtp:inet:127.0.0.1:%d" % (f.port + 2))):
        dir = tempfile.mkdtemp(prefix="landfall-mta-")
        bench.at_end.append(lambda dir=dir: shutil.rmtree(dir, ignore_errors=True))
        os.chmod(dir, 0o755)
        mta = PrivatePostfix(dir)
        mta.make(free_ports(1), h.port)
        with open(dir + "/etc/main.cf", "a") as conf:
            conf.write("default_transport = %s\nrelayhost =\nmaximal_queue_lifetime = 60s\n" % transport)
        with open(dir + "/etc/master.cf", "a") as conf:
            conf.write("lmtp unix - - n - - lmtp\n")
        mta.start()
        bench.at_end.append(mta.stop)
        h.taken.clear()
        h.tries.clear()
        assert Client(mta.port).hello().send(html(name), rcpts)[0].startswith("250")

        def final():
            with open(mta.log) as log:
                return dict(re.findall(r" to=<([^>]*@a\.test)>.* status=(sent|bounced) ", log.read()))

        until("the fate of all six by " + name, 40, lambda: len(final()) == len(rcpts))
        assert final() == want, (name, final())
        got = [t[1] for t in h.taken if t[3] and t[1].endswith("@a.test")]
        assert sorted(got) == sorted(r for r in rcpts if want[r] == "sent"), (name, got)
    f.stop()


STATES = ("connect", "hello", "mail", "rcpt", "data", "half", "dot", "answered")


def test_smtp_kill(bench):
    """kill -9 in every state of a session: the client heard no 250, or the hop has it and it is recorded"""
    h = hop(bench)
    f = Front(bench, h.port)
    rounds = 125 if bench.nightly else 2
    told = []
    for n in range(rounds):
        for state in STATES:
            id = "%s-%d" % (state, n)
            if state == "dot":
                h.held.clear()
            before = f.metrics()["messages_in"]
            c = Client(f.port)
            if state != "connect":
                c.hello()
            if state in ("mail", "rcpt"):
                c.say("MAIL FROM:<a@b.test>")
            if state == "rcpt":
                c.say("RCPT TO:<ok@a.test>")
            if state in ("data", "half", "dot", "answered"):
                c.begin()
            if state == "half":
                c.raw(html(id)[:200])
            if state in ("dot", "answered"):
                c.raw(html(id) + b".\r\n")
            if state == "dot":
                until("the message at the hop", 10, lambda: f.metrics()["messages_in"] > before)
            if state == "answered":
                assert c.read()[0].startswith("250")
                told.append(id)
            f.kill()
            assert b"250 2.0.0" not in c.rest(), state
            h.held.set()
            f.start()
            # It comes again, as clients do.
            if state != "answered":
                assert f.client().send(html(id))[0].startswith("250")
                told.append(id)
    check_kills(f, h, told)
    f.stop()


def test_smtp_kill_copies(bench):
    """kill -9 between the copies of a message: LMTP and SMTP retries lose nobody, and double only what the hop had not confirmed"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    rcpts = ["ok-%d@a.test" % i for i in range(4)]
    for n in range(60 if bench.nightly else 3):
        for door in (f.client, f.lmtp):
            id, h.hold_at = "%s-%d" % (door.__name__, n), len(h.taken) + 1 + n % 3
            c = door().begin(rcpts)
            c.body(html(id))
            until("copies at the hop", 10, lambda: len(h.taken) == h.hold_at)
            f.kill()
            assert b"250" not in c.rest()
            h.held.set()
            f.start()
            c = door().begin(rcpts)
            assert c.end(html(id))[0].startswith("250")
            for _ in rcpts[1:] if c.hi == "LHLO" else ():
                assert c.read()[0].startswith("250")
            got = [t[1] for t in h.taken if b"<%s@brand.test>" % id.encode() in t[2]]
            assert set(got) == set(rcpts) and len(got) <= 5, got
    one_number_each(h)
    sent = {(e["campaign"], e["lane"], e["sequence"]) for e in f.sent()}
    assert len(sent) == len({t[0] for t in h.taken}), "each number that went is recorded, and no other"
    f.stop()


def test_smtp_kill_load(bench):
    """kill -9 at random under load: no message told 250 is missing, no number is given twice"""
    h = hop(bench, delay=0.002)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    told, stop, lock = [], threading.Event(), threading.Lock()

    def work(name):
        n = 0
        while not stop.is_set():
            try:
                c = f.client()
                while not stop.is_set():
                    id = "%s-%d" % (name, n)
                    if c.send(html(id), "ok-%s@a.test" % id)[0].startswith("250"):
                        with lock:
                            told.append(id)
                        n += 1
            except (OSError, IndexError, AssertionError):
                pass

    threads = [threading.Thread(target=work, args=("t%d" % i,)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(100 if bench.nightly else 8):
            time.sleep(random.random() * 0.4)
            f.kill()
            f.start()
        time.sleep(0.3)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert len(told) > 50, len(told)
    check_kills(f, h, told)
    one_number_each(h)
    f.stop()


def one_number_each(h):
    """A return path is a number: two recipients never share one, and a message that came again has the one it had."""
    owner, number, bytes_of = {}, {}, {}
    for sender, rcpt, body, _ in h.taken:
        key = rcpt, re.search(rb"Message-ID: <(.*?)>", body).group(1)
        assert owner.setdefault(sender, rcpt) == rcpt, (sender, rcpt, owner[sender])
        assert number.setdefault(key, sender) == sender, (key, sender, number[key])
        assert bytes_of.setdefault(key, body) == body, key


def test_smtp_recent(bench):
    """kill -9 between two tries of a client: nobody is sent to twice, and what goes again has the same bytes"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    for n in range(25 if bench.nightly else 3):
        h.taken.clear()
        h.tries.clear()

        def again():
            f.kill()
            f.start()
            return f.client()

        def taken():
            return [t[1] for t in h.taken if t[3]]

        # A message for one, put off: the same bytes and return path after a restart.
        assert f.client().send(html("a%d" % n), "d451@a.test")[0].startswith("451")
        assert again().send(html("a%d" % n), "d451@a.test")[0].startswith("250")
        # Taken, but the client never hears it: the hop's reply is lost.
        assert f.client().send(html("b%d" % n), "drop@a.test")[0].startswith("451")
        assert again().send(html("b%d" % n), "drop@a.test")[0].startswith("451")
        one_number_each(h)
        # Several, one of them put off: only that one is sent to.
        h.taken.clear()
        h.tries.clear()
        three = ["ok-1@a.test", "d451@a.test", "ok-2@a.test"]
        assert f.client().send(html("c%d" % n), three)[0].startswith("451 4.3.0")
        assert again().send(html("c%d" % n), three)[0].startswith("250")
        assert sorted(taken()) == sorted(three), taken()
        # One of them is refused for good: what must be alone is alone after a restart, too.
        h.taken.clear()
        bad = ["ok-1@a.test", "d550@a.test", "ok-2@a.test"]
        assert f.client().send(html("d%d" % n), bad)[0].startswith("451 4.3.0")
        c = again()
        assert c.ask(bad) == ["ok-1@a.test", "ok-2@a.test"] and c.say("DATA")[0].startswith("354")
        assert c.end(html("d%d" % n)) == ["250 2.0.0 Ok, taken at an earlier attempt"]
        c = again()
        assert c.send(html("d%d" % n), "d550@a.test") == ["550 5.7.1 content refused"]
        assert taken() == ["ok-1@a.test", "ok-2@a.test"]
        assert again().ask(["ok-9@a.test", "d550@a.test"]) == ["ok-9@a.test", "d550@a.test"], "its time alone is over"
        # Told 250: the same again is new mail, also after a restart.
        h.taken.clear()
        assert f.client().send(html("e%d" % n), three[::2])[0].startswith("250")
        assert again().send(html("e%d" % n), three[::2])[0].startswith("250")
        assert taken() == three[::2] * 2
        one_number_each(h)
    # The file is damaged: it starts, says so, and mail flows.
    f.kill()
    with open(f.dir + "/data/rewriter/recent", "r+b") as file:
        file.write(b"\xff" * 100)
    f.start()
    assert f.metrics()["recent_damaged"] == 2
    assert "memory of recent mail damaged" in open(f.log).read()
    assert f.client().send(html("x"), "ok@a.test")[0].startswith("250")
    f.stop()


def check_kills(f, h, told):
    got = [re.search(rb"Message-ID: <(.*?)@", body).group(1).decode() for _, _, body, _ in h.taken]
    missing = set(told) - set(got)
    assert not missing, "told 250 and not at the hop: %s" % missing
    # One that was recorded and not answered is recorded again with the same number, when it comes again.
    sent = {(e["campaign"], e["lane"], e["sequence"]) for e in f.events() if e["kind"] == "sent"}
    assert len(set(told)) <= len(sent) <= len(set(got)), (len(told), len(sent), len(got))
