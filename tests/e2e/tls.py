"""Tests of TLS on both sides of the SMTP front."""
import contextlib
import os
import random
import re
import select
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import shutil

from chain import free_ports, until
from private_postfix import PrivatePostfix, Trouble
from smtp import Client, Front, Hop, hop, html


def certificate(path, issuer=None, names="DNS:mx.test", kind="ecdsa", days=30):
    """PATH.pem and PATH.key; put there whole, as a renewal does."""
    new = path + ".new"
    key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ecdsa" else ["rsa:2048"]
    signer = ["-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-addext", "basicConstraints=CA:FALSE"] if issuer else []
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", str(days), "-subj", "/CN=" + os.path.basename(path),
                           "-addext", "subjectAltName=" + names, "-keyout", new + ".key", "-out", new + ".pem", *signer],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    os.chmod(new + ".key", 0o600)
    os.rename(new + ".key", path + ".key")
    os.rename(new + ".pem", path + ".pem")
    return path


def lax():
    """A client that believes everybody."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c


def strict(ca):
    return ssl.create_default_context(cafile=ca + ".pem")


class Pki:
    """A CA and a certificate of ours."""

    def __init__(self, bench):
        # Postfix reads the CA as another user.
        self.dir = tempfile.mkdtemp(prefix="landfall-pki-")
        os.chmod(self.dir, 0o755)
        bench.at_end.append(lambda: shutil.rmtree(self.dir, ignore_errors=True))
        self.ca = certificate(self.dir + "/ca", names="DNS:ca.test")
        self.mx = certificate(self.dir + "/mx", self.ca, "DNS:mx.test,DNS:localhost,IP:127.0.0.1")

    def front(self, level="may", cert=None):
        cert = cert or self.mx
        return {"rewriter.tls": level, "rewriter.tls_certificate": cert + ".pem", "rewriter.tls_key": cert + ".key"}

    def server(self, cert=None):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain((cert or self.mx) + ".pem", (cert or self.mx) + ".key")
        return c


class Fragments:
    """TLS over a socket, in writes of random size; looks like a socket to Client."""

    def __init__(self, link, context, server_side=False, most=3000):
        self.link, self.most, self.held = link, most, b""
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.come, self.go, server_side=server_side, server_hostname=None if server_side else "mx.test")
        self.do(self.tls.do_handshake)

    def flush(self):
        data = self.go.read()
        while data:
            n = random.randint(1, random.choice((3, self.most, 20 * self.most)))
            self.link.sendall(data[:n])
            data = data[n:]

    def do(self, f, *args):
        while True:
            try:
                got = f(*args)
                self.flush()
                return got
            except ssl.SSLWantReadError:
                self.flush()
                data = self.link.recv(random.randint(1, 5 * self.most))
                if not data:
                    self.come.write_eof()
                self.come.write(data)

    def sendall(self, data):
        for i in range(0, len(data), 100000):
            self.do(self.tls.write, data[i:i + 100000])

    def makefile(self, mode):
        return self

    def readline(self):
        while b"\n" not in self.held:
            try:
                got = self.do(self.tls.read, 65536)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                got = b""
            if not got:
                break
            self.held += got
        line, end, self.held = self.held.partition(b"\n")
        return line + end

    def __iter__(self):
        return iter(self.readline, b"")

    def close(self):
        self.link.close()


class Secure(Client):
    """A client that says STARTTLS."""

    def starttls(self, context=None, name="mx.test", fragments=False):
        got = self.say("STARTTLS")
        assert got == ["220 2.0.0 ready for TLS"], got
        return self.wrap(context, name, fragments)

    def wrap(self, context=None, name="mx.test", fragments=False):
        context = context or lax()
        self.link = Fragments(self.link, context) if fragments else context.wrap_socket(self.link, server_hostname=name)
        self.f = self.link.makefile("rb")
        return self

    def again(self):
        self.offers = self.say(self.hi + " client.test")
        assert self.offers[0].startswith("250"), self.offers
        return self


def secure(port, hi="EHLO", **how):
    return Secure(port, hi=hi).hello().starttls(**how).again()


def refuses(bench, hop_port, settings, *words):
    """The rewriter does not start, and says why."""
    try:
        Front(bench, hop_port, name="refused-%d" % len(bench.at_end), **settings)
    except AssertionError as e:
        for word in words:
            assert word in str(e), (word, str(e))
        return
    raise AssertionError("it started with %s" % settings)


def test_tls_clients(bench):
    """STARTTLS and TLS from the start: the same mail, nothing remembered from before, all kinds of clients"""
    pki, h = Pki(bench), hop(bench)
    smtps = free_ports(8) + 7
    f = Front(bench, h.port, **pki.front(), **{"rewriter.smtps_listen": "127.0.0.1:%d" % smtps})
    message = html(1)
    # In plain text all is as ever, and STARTTLS is offered.
    c = Secure(f.port).hello()
    assert "250-STARTTLS" in c.offers or "250 STARTTLS" in c.offers, c.offers
    assert c.say("STARTTLS now")[0].startswith("501")
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("250") and c.say("STARTTLS")[0].startswith("503")
    assert c.say("RSET")[0].startswith("250")
    c.starttls(strict(pki.ca))
    assert c.link.version() == "TLSv1.3"
    # All is forgotten: EHLO first, and no STARTTLS twice.
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("503")
    c.again()
    assert not any("STARTTLS" in o for o in c.offers), c.offers
    assert c.say("STARTTLS")[0].startswith("503")
    assert c.send(message)[0].startswith("250 2.0.0")
    assert c.send(message)[0].startswith("250 2.0.0")
    assert c.say("QUIT")[0].startswith("221")
    # We say our end: with suppress_ragged_eofs off a cut would be an error.
    c.link.suppress_ragged_eofs = False
    assert c.link.recv(10) == b""
    c = Client(f.port).hello()
    assert c.send(message)[0].startswith("250 2.0.0")
    assert len(h.taken) == 3 and len({re.sub(rb"/[cop]/[^\"]*", b"", t[2]) for t in h.taken}) == 1
    # Old versions are not spoken.
    old = lax()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    c = secure(f.port, context=old)
    assert c.link.version() == "TLSv1.2" and c.link.cipher()[0].startswith("ECDHE-ECDSA-") and c.send(message)[0].startswith("250")
    # Postfix's language is LMTP as well.
    c = secure(f.port + 2, hi="LHLO")
    assert c.send(message)[0].startswith("250")
    # Other clients.
    with smtplib.SMTP("127.0.0.1", f.port, timeout=20) as s:
        s.starttls(context=lax())
        s.sendmail("news@brand.test", ["ok@a.test"], message)
    with smtplib.SMTP_SSL("localhost", smtps, timeout=20, context=strict(pki.ca)) as s:
        assert not s.has_extn("starttls")
        s.sendmail("news@brand.test", ["ok@a.test"], message)
        assert not s.has_extn("starttls")
    got = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:%d" % f.port, "-CAfile", pki.ca + ".pem",
                          "-verify_return_error", "-verify_hostname", "mx.test", "-crlf", "-quiet"],
                         input="EHLO x\nNOOP\nQUIT\n", capture_output=True, text=True, timeout=20)
    assert "250 2.0.0 Ok" in got.stdout and "221 " in got.stdout, (got.stdout, got.stderr)
    # Plain text where TLS is expected.
    c = Client(smtps)
    c.raw(b"EHLO x\r\n")
    assert b"220" not in c.rest()
    c = Secure(f.port).hello()
    assert c.say("STARTTLS")[0].startswith("220")
    c.raw(b"EHLO x\r\n")
    assert b"250" not in c.rest()
    until("failures counted", 10, lambda: f.metrics()["client_tls_failed"] == 2)
    with open(f.log) as log:
        assert "does not speak TLS" in log.read()
    m = f.metrics()
    assert m["client_tls"] == 6, m
    f.stop()


def test_tls_injection(bench):
    """plain text behind STARTTLS is thrown away"""
    pki, h = Pki(bench), hop(bench)
    f = Front(bench, h.port, **pki.front())
    evil = b"EHLO evil\r\nMAIL FROM:<ceo@bank.test>\r\nRCPT TO:<ok-evil@a.test>\r\nDATA\r\n\r\nevil\r\n.\r\n"
    for n in range(30):
        c = Secure(f.port).hello()
        cut = random.randint(0, len(evil)) if n else len(evil)
        c.raw(b"STARTTLS\r\n" + evil[:cut])
        assert c.read() == ["220 2.0.0 ready for TLS"]
        c.wrap()
        # One answer to one command, and it is not that of what came before.
        assert c.say("NOOP") == ["250 2.0.0 Ok"]
        assert c.say("MAIL FROM:<a@b.test>")[0].startswith("503"), "EHLO of the plain text does not count"
        c.again()
        assert c.send(html(n))[0].startswith("250")
        assert c.say("QUIT")[0].startswith("221") and c.read() == []
    assert "ceo@bank.test" not in h.senders and len(h.taken) == 30
    f.stop()


def test_tls_needed(bench):
    """encrypt: no mail without TLS; the doors' certificates refused at start with what to do"""
    pki, h = Pki(bench), hop(bench)
    f = Front(bench, h.port, **pki.front("encrypt"))
    for port, hi in ((f.port, "EHLO"), (f.port + 2, "LHLO")):
        c = Secure(port, hi=hi).hello()
        for command in ("MAIL FROM:<a@b.test>", "RCPT TO:<a@b.test>", "DATA", "VRFY a", "HELP"):
            assert c.say(command)[0].startswith("530 5.7.0"), command
        for command in ("NOOP", "RSET", hi + " x"):
            assert c.say(command)[0].startswith("250"), command
        assert c.starttls().again().send(html(1))[0].startswith("250")
        # A chunk is dropped, and is no command.
        c = Secure(port, hi=hi).hello()
        c.raw(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        got = c.read(), c.read()
        assert got[0][0].startswith("503") and got[1][0].startswith("250"), got
    f.stop()
    assert len(h.taken) == 2
    other = certificate(pki.dir + "/other", pki.ca)
    os.chmod(other + ".key", 0o644)
    refuses(bench, h.port, {"rewriter.tls": "yes"}, "rewriter.tls = yes: want none, may or encrypt")
    refuses(bench, h.port, {"rewriter.tls": "may"}, "rewriter.tls wants rewriter.tls_certificate and rewriter.tls_key")
    refuses(bench, h.port, {"rewriter.smtps_listen": "127.0.0.1:4650"}, "rewriter.smtps_listen wants rewriter.tls_certificate")
    refuses(bench, h.port, pki.front(cert=pki.dir + "/nobody"), "rewriter.tls_certificate", pki.dir + "/nobody.pem: No such file")
    refuses(bench, h.port, pki.front(cert=other), other + ".key: others may read it (mode 0644): chmod 600 " + other + ".key")
    refuses(bench, h.port, {**pki.front(), "rewriter.tls_key": pki.ca + ".key"}, pki.ca + ".key: is not the key of the first certificate in " + pki.mx + ".pem")


def big(n):
    """About n bytes of mail, of lines that are not alike."""
    lines = (b"%d %s\r\n" % (i, b"x" * (i * 7919 % 900)) for i in range(n // 456))
    return b"Subject: big\r\n\r\n" + b"".join(lines)


def test_tls_large(bench):
    """10 MB through TLS in pieces of random size"""
    pki, h = Pki(bench), hop(bench, ehlo=["PIPELINING", "8BITMIME"])
    f = Front(bench, h.port, **pki.front())
    message = big(10 << 20)
    assert len(message) > 9 << 20
    c = secure(f.port, fragments=True)
    assert c.send(message)[0].startswith("250")
    assert c.chunks(message, size=1 << 20)[0].startswith("250")
    assert [t[2] == message for t in h.taken] == [True, True]
    f.stop()


def test_tls_kill(bench):
    """kill -9 in the middle of a handshake, on either side, and clients that stop there: no session is left behind and no mail lost"""
    pki, h = Pki(bench), hop(bench)
    f = Front(bench, h.port, **pki.front())
    hello, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = lax().wrap_bio(hello, go, server_hostname="mx.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    first = go.read()
    good = secure(f.port)
    for cut in (0, 1, 5, 50, len(first) - 1, len(first)):
        c = Secure(f.port).hello()
        assert c.say("STARTTLS")[0].startswith("220")
        c.raw(first[:cut])
        c.close()
    until("the sessions of those that left", 10, lambda: f.metrics()["sessions_open"] == 1)
    assert good.send(html("good"))[0].startswith("250"), "others go on"
    told = ["good"]
    for n, cut in enumerate((0, 5, len(first) - 1, len(first))):
        c = Secure(f.port).hello()
        assert c.say("STARTTLS")[0].startswith("220")
        c.raw(first[:cut])
        f.kill()
        c.rest()
        f.start()
        assert secure(f.port).send(html("k%d" % n))[0].startswith("250")
        told.append("k%d" % n)
    # And behind the end of data.
    for n in range(3):
        h.held.clear()
        c = secure(f.port).begin()
        before = f.metrics()["messages_in"]
        c.body(html("d%d" % n))
        until("the message", 10, lambda: f.metrics()["messages_in"] > before)
        f.kill()
        with contextlib.suppress(OSError):
            assert c.read() == []
        h.held.set()
        f.start()
        assert secure(f.port).send(html("d%d" % n))[0].startswith("250")
        told.append("d%d" % n)
    got = [re.search(rb"Message-ID: <(.*?)@", t[2]).group(1).decode() for t in h.taken]
    assert set(told) <= set(got), set(told) - set(got)
    f.stop()


def serial(port):
    """Of the certificate that new clients are shown."""
    c = Secure(port).hello().starttls()
    der = c.link.getpeercert(True)
    c.close()
    return der


def test_tls_renewal(bench):
    """a new certificate under load, by SIGHUP: no session is dropped, a half-replaced one changes nothing"""
    pki, h = Pki(bench), hop(bench)
    f = Front(bench, h.port, **pki.front())
    stop, trouble, count = threading.Event(), [], [0] * 3

    def work(n):
        try:
            c = secure(f.port)
            while not stop.is_set():
                assert c.send(html("%d-%d" % (n, count[n])))[0].startswith("250")
                count[n] += 1
        except Exception as e:  # noqa: BLE001 - any is a dropped session
            trouble.append(repr(e))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        seen = {serial(f.port)}
        for n in range(4):
            before = serial(f.port)
            if n == 2:
                # The key is there and the certificate is not yet: the old pair goes on.
                certificate(pki.dir + "/next", pki.ca)
                os.rename(pki.mx + ".key", pki.dir + "/kept.key")
                os.rename(pki.dir + "/next.key", pki.mx + ".key")
                f.process.send_signal(signal.SIGHUP)
                until("the refusal", 10, lambda: "certificates not renewed" in open(f.log).read())
                assert serial(f.port) == before
                os.rename(pki.dir + "/next.pem", pki.mx + ".pem")
            else:
                certificate(pki.mx, pki.ca, kind="rsa" if n % 2 else "ecdsa")
            f.process.send_signal(signal.SIGHUP)
            until("the new certificate", 10, lambda: serial(f.port) != before)
            seen.add(serial(f.port))
            was = list(count)
            until("mail on all sessions", 20, lambda: trouble or all(b > a for a, b in zip(was, count)))
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not trouble, trouble
    assert len(seen) == 5 and min(count) > 3, (len(seen), count)
    f.stop()


def quits(f, to="ok@a.test"):
    """What a client hears that brings a message: the first reply that is no 2xx or 3xx, or the last one."""
    c = Client(f.port)
    got = c.read()
    if not got[0].startswith("220"):
        return got[0]
    for command in ("EHLO client.test", "MAIL FROM:<news@brand.test>", "RCPT TO:<%s>" % to, "DATA"):
        got = c.say(command)
        if got[0][0] not in "23":
            return got[0]
    return c.end(html("q"))[0]


def logged(f, text):
    with open(f.log) as log:
        return text in log.read()


def test_tls_hop(bench):
    """none, may, encrypt and verify to the next hop: plain text only where it is allowed, no mail to a wrong hop"""
    pki = Pki(bench)
    other = certificate(pki.dir + "/other", names="DNS:mx.test")
    wrong = certificate(pki.dir + "/wrong", pki.ca, "DNS:mx.elsewhere.test")
    seen = []

    def tls(cert=None):
        context = pki.server(cert)

        def wrap(link):
            link = context.wrap_socket(link, server_side=True)
            seen.append(link.version())
            return link
        return wrap

    def broken(link):
        link.recv(10000)
        link.sendall(b"hello, this is no TLS\r\n")
        raise OSError("broken")

    def cut(link):
        link.recv(10000)
        raise OSError("cut")

    plain = ["PIPELINING", "8BITMIME"]
    offers = plain + ["STARTTLS"]
    verify = {"rewriter.next_hop_tls_name": "mx.test", "rewriter.next_hop_tls_ca": pki.ca + ".pem"}
    rows = [  # level, settings, offers, what the hop does, by TLS or in plain text or not at all, in the log
        ("none", {}, offers, tls(), "plain", ""),
        ("may", {}, offers, tls(), "TLS", ""),
        ("may", {}, offers, tls(other), "TLS", ""),
        ("may", {}, plain, None, "plain", ""),
        ("may", {}, offers, None, "plain", ""),  # says 502
        ("may", {}, offers, broken, "plain", "does not speak TLS"),
        ("may", {}, offers, cut, "plain", "cut off in the handshake"),
        ("encrypt", {}, offers, tls(other), "TLS", ""),
        ("encrypt", {}, plain, None, "", "it does not offer STARTTLS"),
        ("encrypt", {}, offers, None, "", "it refuses STARTTLS"),
        ("encrypt", {}, offers, broken, "", "does not speak TLS"),
        ("encrypt", {}, offers, cut, "", "cut off in the handshake"),
        ("verify", verify, offers, tls(), "TLS", ""),
        ("verify", {"rewriter.next_hop_tls_ca": pki.ca + ".pem"}, offers, tls(), "TLS", ""),  # by its address
        ("verify", verify, offers, tls(other), "", "self-signed certificate"),
        ("verify", verify, offers, tls(wrong), "", "hostname mismatch"),
        ("verify", {**verify, "rewriter.next_hop_tls_ca": other + ".pem"}, offers, tls(), "", "unable to get local issuer certificate"),
        ("verify", verify, plain, None, "", "it does not offer STARTTLS"),
    ]
    for n, (level, settings, ehlo, what, want, text) in enumerate(rows):
        row = "row %d: %s" % (n, level)
        h = hop(bench, ehlo=ehlo, secure=what)
        seen.clear()
        f = Front(bench, h.port, name="hop-%d" % n, **{"rewriter.next_hop_tls": level}, **settings)
        got = quits(f)
        if want:
            assert got.startswith("250 2.0.0"), (row, got)
            assert quits(f).startswith("250 2.0.0"), row
            assert bool(seen) == (want == "TLS") and len(h.taken) == 2, (row, seen, len(h.taken))
            assert len(seen) <= 2, "connections are kept"
        else:
            assert got.startswith("421 4.7.5 ") or got.startswith("451 4.7.5 "), (row, got)
            assert not h.senders and not h.taken, row
        m = f.metrics()
        assert (m["hop_tls"] > 0) == (want == "TLS"), (row, m)
        assert (m["hop_tls_failed"] > 0) == bool(text), (row, m)
        assert not text or logged(f, text), (row, text, open(f.log).read())
        f.stop()
        h.close()
    refuses(bench, 1, {"rewriter.next_hop_tls": "dane"}, "rewriter.next_hop_tls = dane: want none, may, encrypt or verify")
    refuses(bench, 1, {"rewriter.next_hop_tls": "encrypt", "rewriter.next_hop_tls_ca": pki.ca + ".pem"}, "rewriter.next_hop_tls_ca is looked at with")
    refuses(bench, 1, {"rewriter.next_hop_tls": "verify", "rewriter.next_hop_tls_ca": pki.dir + "/none.pem"}, pki.dir + "/none.pem: No such file")


def test_tls_hop_injection(bench):
    """plain text of the hop behind its 220 is no answer to what is said under TLS"""
    pki = Pki(bench)
    context = pki.server()
    evil = b"250-evil\r\n250 SIZE 1\r\n250 Ok\r\n250 Ok\r\n354 go\r\n250 2.0.0 Ok: queued as EVIL\r\n"

    class Evil(Hop):
        def talk(self, link, f, greet=True):
            if greet:
                class Link:  # the 220 of STARTTLS comes with more in the same packet
                    real = link

                    def sendall(self, data):
                        link.sendall(data + evil if data.startswith(b"220 2.0.0 go on") else data)
                super().talk(Link(), f, greet)
            else:
                super().talk(link, f, greet)

    h = Evil(ehlo=["PIPELINING", "STARTTLS"], secure=lambda link: context.wrap_socket(link.real, server_side=True))
    bench.at_end.append(h.close)
    f = Front(bench, h.port, **{"rewriter.next_hop_tls": "encrypt"})
    for _ in range(3):
        got = quits(f)
        assert got[:3] in ("421", "451"), got
    assert not h.taken and not h.senders
    assert logged(f, "next hop fails at TLS") and logged(f, "plain text behind its 220")
    f.stop()


def test_tls_hop_large(bench):
    """10 MB to the next hop through TLS in pieces of random size, and through TLS on both sides"""
    pki = Pki(bench)
    context = pki.server()
    h = hop(bench, ehlo=["PIPELINING", "8BITMIME", "STARTTLS"], secure=lambda link: Fragments(link, context, server_side=True))
    f = Front(bench, h.port, **pki.front(), **{"rewriter.next_hop_tls": "encrypt"})
    message = big(10 << 20)
    assert f.client().send(message)[0].startswith("250")
    assert secure(f.port, fragments=True).send(message)[0].startswith("250")
    assert [t[2] == message for t in h.taken] == [True, True]
    assert f.metrics()["hop_tls"] >= 1
    f.stop()


def test_tls_hop_kill(bench):
    """kill -9 while the handshake with the next hop is under way, and hops that leave in it: nothing told 250 is missing"""
    pki = Pki(bench)
    context, hold, leave = pki.server(), threading.Event(), threading.Event()
    begun, done = [], []

    def wrap(link):
        begun.append(link)
        try:
            if leave.is_set():
                raise OSError("gone")
            hold.wait()
            h.links.append(context.wrap_socket(link, server_side=True))
            return h.links[-1]
        finally:
            done.append(link)

    h = hop(bench, ehlo=["PIPELINING", "STARTTLS"], secure=wrap)
    bench.at_end.append(hold.set)
    hold.set()
    f = Front(bench, h.port, **pki.front(), **{"rewriter.next_hop_tls": "encrypt", "rewriter.hop_idle_s": "1", "rewriter.hop_retry_s": "1"})
    told = []

    def bring(id):
        def once():
            with contextlib.suppress(OSError, IndexError, AssertionError):
                return secure(f.port).send(html(id))[0].startswith("250")
        until("mail again", 30, once)
        told.append(id)

    bring("first")
    for n in range(3):
        # The kept connections have gone: a new one shakes hands when the client wants it.
        until("handshakes to end", 10, lambda: len(begun) == len(done))
        h.cut()
        hold.clear()
        before = len(begun)
        c = Client(f.port)
        c.raw(b"EHLO x\r\n")
        c.raw(b"MAIL FROM:<a@b.test>\r\n")
        until("the handshake", 30, lambda: len(begun) > before)
        f.kill()
        hold.set()
        f.start()
        bring("killed-%d" % n)
    leave.set()
    h.cut()
    with contextlib.suppress(OSError, IndexError):
        c = Client(f.port)
        got = c.read()
        if got[0].startswith("220"):
            got = c.say("EHLO x") and c.say("MAIL FROM:<a@b.test>")
        assert got[0][:3] in ("421", "451"), got
    leave.clear()
    bring("after")
    got = [re.search(rb"Message-ID: <(.*?)@", t[2]).group(1).decode() for t in h.taken]
    assert set(told) <= set(got), set(told) - set(got)
    f.stop()


def test_tls_postfix_hop(bench):
    """Postfix as the next hop that takes nothing without TLS, verified by a CA; both sides at once"""
    pki, sink = Pki(bench), hop(bench)
    mta = postfix(bench, sink.port, "smtpd_tls_security_level = encrypt", "smtpd_tls_chain_files = %s.key, %s.pem" % (pki.mx, pki.mx),
                  "smtpd_tls_received_header = yes", "smtpd_tls_loglevel = 1")
    settings = {"rewriter.next_hop_tls_name": "mx.test", "rewriter.next_hop_tls_ca": pki.ca + ".pem"}
    f = Front(bench, mta.port, **pki.front(), **{"rewriter.next_hop_tls": "verify"}, **settings)
    assert secure(f.port).send(html("hop"))[0].startswith("250 2.0.0 Ok: queued as ")
    message = big(9 << 20)
    assert secure(f.port).send(message)[0].startswith("250 2.0.0 Ok: queued as ")
    until("both at the sink", 60, lambda: len(sink.taken) == 2)
    assert all(b"using TLSv1.3" in t[2] for t in sink.taken)
    assert max(sink.taken, key=lambda t: len(t[2]))[2].endswith(message.split(b"\r\n\r\n", 1)[1]), "the body as it was"
    f.stop()
    # Without TLS it takes nothing, and says so.
    f = Front(bench, mta.port, name="plain")
    assert quits(f).startswith("530 5.7.0"), quits(f)
    f.stop()


def postfix(bench, hop_port, *lines, tries=3):
    """Now and then the master of a Postfix that is started right behind another one does not come up: it gets another try."""
    dir = tempfile.mkdtemp(prefix="landfall-mta-")
    bench.at_end.append(lambda: shutil.rmtree(dir, ignore_errors=True))
    os.chmod(dir, 0o755)
    mta = PrivatePostfix(dir)
    mta.make(free_ports(1), hop_port)
    with open(dir + "/etc/main.cf", "a") as conf:
        conf.write("".join(line + "\n" for line in lines))
    with open(dir + "/etc/master.cf", "a") as conf:
        conf.write("lmtp unix - - n - - lmtp\ntlsmgr unix - - n 1000? 1 tlsmgr\n")
    try:
        mta.start()
    except Trouble as e:
        print("  another try: %s" % e)
        mta.stop()
        if tries == 1:
            raise
        return postfix(bench, hop_port, *lines, tries=tries - 1)
    bench.at_end.append(mta.stop)
    return mta


def fate(mta, rcpt):
    with open(mta.log) as log:
        got = re.findall(r" to=<%s>.* status=(\w+) (.*)" % re.escape(rcpt), log.read())
    return got[-1] if got else None


def test_tls_postfix_client(bench):
    """Postfix as the client: may, encrypt and verify with a CA, by SMTP and LMTP; wrong names are not given mail"""
    pki, h = Pki(bench), hop(bench)
    f = Front(bench, h.port, **pki.front("encrypt"))
    rows = [("smtp", "may", "", True), ("smtp", "encrypt", "", True), ("smtp", "verify", "mx.test", True), ("smtp", "verify", "other.test", False),
            ("lmtp", "encrypt", "", True), ("smtp", "none", "", False)]
    for n, (agent, level, name, good) in enumerate(rows):
        to = "[127.0.0.1]:%d" % (f.port if agent == "smtp" else f.port + 2)
        mta = postfix(bench, h.port, "default_transport = %s:%s%s" % (agent, "inet:" if agent == "lmtp" else "", to.strip("[]").replace("]", "") if agent == "lmtp" else to),
                      "relayhost =", "maximal_queue_lifetime = 60s", "%s_tls_security_level = %s" % (agent, level),
                      "%s_tls_CAfile = %s.pem" % (agent, pki.ca), "%s_tls_loglevel = 1" % agent,
                      *(["%s_tls_verify_cert_match = %s" % (agent, name)] if name else []))
        rcpt = "ok-%d@a.test" % n
        h.taken.clear()
        assert Client(mta.port).hello().send(html(n), rcpt)[0].startswith("250")
        until("the fate of %s by %s %s" % (rcpt, agent, level), 30, lambda: fate(mta, rcpt))
        status, text = fate(mta, rcpt)
        assert (status == "sent") == good, (agent, level, status, text)
        with open(mta.log) as log:
            assert ("TLS connection established" in log.read()) == (level != "none"), (agent, level)
        assert [t[1] for t in h.taken if t[1] == rcpt] == ([rcpt] if good else [])
        mta.stop()
    f.stop()
