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
from private_postfix import PrivatePostfix
from smtp import Client, Front, hop, html


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
        self.link, self.most = link, most
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
        line = b""
        while not line.endswith(b"\n"):
            try:
                c = self.do(self.tls.read, 1)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return line
            if not c:
                return line
            line += c
        return line

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


def postfix(bench, hop_port, *lines):
    dir = tempfile.mkdtemp(prefix="landfall-mta-")
    bench.at_end.append(lambda: shutil.rmtree(dir, ignore_errors=True))
    os.chmod(dir, 0o755)
    mta = PrivatePostfix(dir)
    mta.make(free_ports(1), hop_port)
    with open(dir + "/etc/main.cf", "a") as conf:
        conf.write("".join(line + "\n" for line in lines))
    with open(dir + "/etc/master.cf", "a") as conf:
        conf.write("lmtp unix - - n - - lmtp\ntlsmgr unix - - n 1000? 1 tlsmgr\n")
    mta.start()
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
