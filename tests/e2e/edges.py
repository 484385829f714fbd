"""What is large, long, many, slow or gone: the rewriter at its edges."""
import os
import random
import re
import resource
import socket
import struct
import threading
import time

from chain import until
from rig import Mta
from smtp import Client, Front, hop, html


def descriptors(f):
    return len(os.listdir("/proc/%d/fd" % f.process.pid))


def memory(f):
    """Resident now and at most, in MB."""
    with open("/proc/%d/status" % f.process.pid) as s:
        text = s.read()
    return [int(re.search(r"%s:\s+(\d+)" % key, text).group(1)) // 1024 for key in ("VmRSS", "VmHWM")]


def reset(c):
    """The client's end of it breaks off."""
    c.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()


def quiet(f, limit=20):
    until("the end of all sessions", limit, lambda: f.metrics()["sessions_open"] == 0)


def test_edge_offers(bench):
    """SMTPUTF8 and 8BITMIME with a hop that has them and with one that has not; SIZE that tracking would pass"""
    rcpt, subject = "j\u00fcrgen@a.test", "Gr\u00fc\u00dfe"
    mail = html(1).replace(b"hello", subject.encode())
    full, bare = hop(bench), hop(bench, ehlo=["PIPELINING", "SIZE 100000", "ENHANCEDSTATUSCODES", "DSN"])
    f = Front(bench, full.port)
    a = Mta(bench, "a-full", f.port)
    c = Client(a.port).hello()
    assert c.say("MAIL FROM:<news@brand.test> SMTPUTF8 BODY=8BITMIME")[0].startswith("250")
    c.raw(("RCPT TO:<%s>\r\n" % rcpt).encode())
    assert c.read()[0].startswith("250") and c.say("DATA")[0].startswith("354") and c.end(mail)[0].startswith("250")
    until("the message", 20, lambda: full.taken)
    assert full.taken[0][1] == rcpt and subject.encode() in full.taken[0][2] and b"t.brand.test/c/" in full.taken[0][2]
    f.stop()
    f = Front(bench, bare.port, "bare")
    assert not {"8BITMIME", "SMTPUTF8"} & {w[4:] for w in f.client().offers}
    c = f.client()
    assert c.say("MAIL FROM:<news@brand.test> SMTPUTF8")[0].startswith("555") and c.say("MAIL FROM:<news@brand.test> BODY=8BITMIME")[0].startswith("555")
    a = Mta(bench, "a-bare", f.port, "transport_maps = inline:{brand.test=discard:}\n")
    c = Client(a.port).hello()
    assert c.say("MAIL FROM:<news@brand.test> SMTPUTF8")[0].startswith("250")
    c.raw(("RCPT TO:<%s>\r\n" % rcpt).encode())
    assert c.read()[0].startswith("250") and c.say("DATA")[0].startswith("354") and c.end(mail)[0].startswith("250")
    until("the bounce", 20, lambda: any(x[2] == "5.6.7" for x in a.fates()))
    assert not bare.taken
    # Postfix turns 8bit into quoted-printable for us; then the rewriter works in that.
    assert c.say("MAIL FROM:<news@brand.test> BODY=8BITMIME")[0].startswith("250") and c.say("RCPT TO:<ok@a.test>")[0].startswith("250")
    eight = html(2).replace(b"<p>Hello</p>", "<p>Gr\u00fc\u00dfe</p>".encode())
    assert c.say("DATA")[0].startswith("354") and c.end(eight.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", 1))[0].startswith("250")
    until("the message", 20, lambda: bare.taken)
    body = bare.taken[0][2]
    assert b"Gr=C3=BC=C3=9Fe" in body and b"quoted-printable" in body and max(body) < 128 and b"shop.example" not in body, body
    # Half of it is within what is offered, the same with all links tracked is not within the hop's limit.
    c = f.client()
    assert "250-SIZE 50000" in c.offers, c.offers
    links = b"".join(b"<a href=\"https://shop.example/%d\">x</a>\r\n" % i for i in range(1100))
    long = html(3).replace(b"</body>", links + b"</body>")
    assert len(long) < 50000 and c.send(long)[0].startswith("250")
    assert bare.taken[-1][2].count(b"shop.example") == 1101, "the original goes out"
    assert c.say("MAIL FROM:<news@brand.test> SIZE=50001")[0].startswith("552 5.3.4")
    m = f.metrics()
    print("  SMTPUTF8 refused for the MTA to bounce (5.6.7), 8bit comes as quoted-printable; %d B that would grow past 100000 go untouched (%d)" % (
        len(long), m["messages_untouched"]))
    f.stop()


def test_edge_large(bench):
    """a message of 49 MB, with a link and a pixel to find; one of 51 MB is refused"""
    h = hop(bench, ehlo=["PIPELINING", "SIZE 80000000", "8BITMIME", "ENHANCEDSTATUSCODES"])
    f = Front(bench, h.port)
    # Base64 without anything to find, and HTML.
    attachment = (b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + (b"JVBERi0xLjQK" * 6 + b"\r\n") * (49 * 1000000 // 74))
    head, body = html(1).split(b"\r\n\r\n", 1)
    head = head.replace(b"Content-Type: text/html; charset=utf-8", b"Content-Type: multipart/mixed; boundary=b")
    mail = head + b"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + body + attachment + b"--b--\r\n"
    before = memory(f)
    for way in ("DATA", "BDAT"):
        h.taken.clear()
        c, began = f.client(), time.monotonic()
        if way == "DATA":
            assert c.send(mail)[0].startswith("250")
        else:
            assert c.ask(["ok@a.test"]) == ["ok@a.test"]
            got = []
            pieces = [mail[i:i + 4000000] for i in range(0, len(mail), 4000000)]
            reader = threading.Thread(target=lambda: got.extend(c.read() for _ in pieces))
            reader.start()
            for i, p in enumerate(pieces):
                c.raw(b"BDAT %d%s\r\n" % (len(p), b" LAST" if i + 1 == len(pieces) else b"") + p)
            reader.join()
            assert all(g[0].startswith("250") for g in got), got
        got = h.taken[0][2]
        assert got.endswith(attachment + b"--b--\r\n") and b"https://t.brand.test/c/" in got[:2000] and b"t.brand.test/o/" in got[:3000]
        print("  %s: %.1f MB in %.1f s, resident %d MB before, %d MB at most" % (way, len(mail) / 1e6, time.monotonic() - began, before[0], memory(f)[1]))
    c.close()
    c = f.client()
    assert c.say("MAIL FROM:<a@b.test> SIZE=53000000")[0].startswith("552 5.3.4")
    c.begin()
    with_more = mail + b"x" * 76 + b"\r\n"
    got = c.end(with_more + (b"y" * 76 + b"\r\n") * 50000)
    assert got[0].startswith("552 5.3.4"), got
    assert c.send(html(2))[0].startswith("250"), "and the session goes on"
    # A sanitizer keeps what was freed for a while.
    assert memory(f)[1] < 700, memory(f)
    f.stop()


def test_edge_many(bench):
    """1,000 idle sessions: one more is told 421, those that speak are served, nothing is left behind"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bench.at_end.append(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    h = hop(bench)
    f = Front(bench, h.port)
    assert f.client().send(html(0))[0].startswith("250")
    quiet(f)
    files, before = descriptors(f), memory(f)[0]
    began = time.monotonic()
    crowd = [Client(f.port, timeout=60) for _ in range(1000)]
    for c in crowd:
        c.hello()
        assert c.offers, "session %d" % crowd.index(c)
    opened = time.monotonic() - began
    assert Client(f.port).read()[0].startswith("421 4.3.2")
    assert f.metrics()["sessions_open"] == 1000
    cpu = cpu_of(f)
    time.sleep(1)
    cpu = cpu_of(f) - cpu
    times = []
    for i in range(50):
        began = time.monotonic()
        assert crowd[i * 20].send(html(i))[0].startswith("250")
        times.append(time.monotonic() - began)
    print("  1000 sessions in %.1f s, %d hop connections in all, %.0f KB each, %.0f ms CPU in an idle second; a message among them %.1f ms (median), %.1f ms at most" % (
        opened, h.sessions, (memory(f)[0] - before) * 1024 / 1000, cpu * 1000, 1000 * sorted(times)[25], 1000 * max(times)))
    assert cpu < 0.3, "busy while idle: %.2f s" % cpu
    for i, c in enumerate(crowd):
        (reset if i % 2 else Client.close)(c)
    quiet(f)
    until("the descriptors to be closed", 20, lambda: descriptors(f) <= files + 200)
    assert f.client().send(html(99))[0].startswith("250")
    assert len(h.taken) == 52
    f.stop()


def cpu_of(f):
    with open("/proc/%d/stat" % f.process.pid) as s:
        fields = s.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_edge_slow(bench):
    """200 clients that send a byte now and then: others are not held up, and the silent are dropped"""
    h = hop(bench)
    f = Front(bench, h.port, **{"rewriter.client_timeout_s": "3"})
    stop, wrong = threading.Event(), []
    drip = [Client(f.port, timeout=60) for _ in range(200)]
    for i, c in enumerate(drip):
        if i % 2:
            c.hello()
            c.begin()
        else:
            c.read()

    def work():
        rng, n = random.Random(1), 0
        while not stop.wait(0.02):
            n += 1
            for i in range(n % 10, 200, 10):
                try:
                    drip[i].raw(bytes([rng.choice(b"abcdefgh")]))
                except OSError as e:
                    wrong.append("%d: %r" % (i, e))
                    return

    slow = threading.Thread(target=work)
    slow.start()
    honest, times = f.client(), []
    for i in range(100):
        began = time.monotonic()
        assert honest.send(html(i))[0].startswith("250")
        times.append(time.monotonic() - began)
    times.sort()
    until("five seconds of dripping", 10, lambda: time.monotonic() - began > 0 and f.metrics()["sessions_open"] == 201)
    stop.set()
    slow.join()
    assert not wrong, wrong[:3]
    honest.close()
    began = time.monotonic()
    quiet(f)
    took = time.monotonic() - began
    assert took < 10 and len(h.taken) == 100, (took, len(h.taken))
    for c in drip[:4]:
        assert b"421 4.4.2" in c.rest()
    print("  beside 200 slow ones a message took %.1f ms (median), %.1f ms (99 %%); the silent were gone after %.1f s" % (
        1000 * times[50], 1000 * times[98], took))
    f.stop()


VANISH = ("connect", "greeting", "hello", "pipelined", "mail", "rcpt", "data", "half", "chunk", "at the dot", "answered")


def test_edge_vanish(bench):
    """clients that vanish in each state, by FIN and by RST: no session, no descriptor, no mail too many is left"""
    h = hop(bench)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    assert f.client().send(html("first"))[0].startswith("250")
    quiet(f)
    files, expected, count = descriptors(f), 1, 0
    for door in ("smtp", "lmtp"):
        for state in VANISH:
            for go in (Client.close, reset):
                id = "%s-%s-%s" % (door, state.replace(" ", "-"), go.__name__)
                c = Client(f.port + (2 if door == "lmtp" else 0), hi="LHLO" if door == "lmtp" else "EHLO")
                if state == "greeting":
                    c.read()
                elif state != "connect":
                    c.hello()
                if state == "pipelined":
                    c.raw(b"MAIL FROM:<news@brand.test>\r\nRCPT TO:<ok@a.test>\r\nRCPT TO:<ok-2@a.test>\r\nDATA\r\n")
                if state in ("mail", "rcpt", "chunk"):
                    c.say("MAIL FROM:<news@brand.test>")
                if state in ("rcpt", "chunk"):
                    c.say("RCPT TO:<ok@a.test>")
                if state == "chunk":
                    c.raw(b"BDAT 100 LAST\r\nhalf of it")
                if state in ("data", "half", "at the dot", "answered"):
                    c.begin()
                if state == "half":
                    c.raw(html(id)[:200] + b"\r\n.")
                if state == "at the dot":
                    h.held.clear()
                    before = f.metrics()["messages_in"]
                    c.body(html(id))
                    until("the message at the hop", 10, lambda: f.metrics()["messages_in"] > before)
                if state == "answered":
                    assert c.end(html(id))[0].startswith("250")
                expected += state in ("at the dot", "answered")
                go(c)
                h.held.set()
                count += 1
        quiet(f)
    until("the last message", 10, lambda: len(h.taken) == expected)
    time.sleep(0.1)
    assert len(h.taken) == expected == len(f.sent()), (len(h.taken), expected, len(f.sent()))
    until("the descriptors to be closed", 20, lambda: descriptors(f) <= files + 20)
    assert f.client().send(html("last"))[0].startswith("250")
    print("  %d clients vanished, %d messages were whole; sessions 0, descriptors %d before, %d after" % (count, expected, files, descriptors(f)))
    f.stop()
