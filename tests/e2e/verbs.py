"""Tests of SMTP's extensions: AUTH, XCLIENT, XFORWARD, the PROXY protocol and DSN, with a real Postfix as the next hop."""
import base64
import os
import re
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile

from chain import free_ports, until
from private_postfix import PrivatePostfix
from smtp import Client, Front, Hop, hop, html
from tls import Pki

SASL = """\
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = {dir}/etc/sasl
smtpd_sasl_security_options = noanonymous
smtpd_sasl_local_domain = landfall.test
broken_sasl_auth_clients = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""
XHOSTS = "smtpd_authorized_xclient_hosts = 127.0.0.0/8\nsmtpd_authorized_xforward_hosts = 127.0.0.0/8\n"


class Recorder(Hop):
    """A hop that keeps what was said to it."""

    def __init__(self, **how):
        self.lines = []
        super().__init__(**how)

    def talk(self, link, f):
        lines = self.lines

        class Tee:
            def __iter__(self):
                return self

            def __next__(self):
                line = f.readline()
                if not line:
                    raise StopIteration
                lines.append(line[:-2].decode(errors="replace"))
                return line

            readline = f.readline

        super().talk(link, Tee())


def postfix(bench, hop_port, settings):
    dir = tempfile.mkdtemp(prefix="landfall-mta-")
    bench.at_end.append(lambda: shutil.rmtree(dir, ignore_errors=True))
    os.chmod(dir, 0o755)
    mta = PrivatePostfix(dir)
    mta.make(free_ports(1), hop_port)
    with open(dir + "/etc/main.cf", "a") as conf:
        conf.write(settings.format(dir=dir))
    bench.at_end.append(mta.stop)
    return mta


def with_users(mta):
    """Users in a file of Cyrus SASL."""
    os.makedirs(mta.dir + "/etc/sasl")
    db = mta.dir + "/etc/sasldb2"
    with open(mta.dir + "/etc/sasl/smtpd.conf", "w") as f:
        f.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: %s\nmech_list: PLAIN LOGIN CRAM-MD5\n" % db)
    for user in ("anna", "otto"):
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", db, "-u", "landfall.test", user], input=b"secret of " + user.encode(), check=True)
    shutil.chown(db, "postfix")
    return mta


def said(mta, pattern):
    with open(mta.log) as log:
        return re.findall(pattern, log.read())


def plain(user, password):
    return base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode()


def test_smtp_auth(bench):
    """AUTH is a dialogue with the MTA: good and bad passwords, three mechanisms; who authenticated is alone on its connection"""
    h = hop(bench)
    mta = with_users(postfix(bench, h.port, SASL))
    mta.start()
    f = Front(bench, mta.port, **{"rewriter.auth_tls_only": "off", "track.return_path_domain": "bounce.brand.test"})
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        with smtplib.SMTP("127.0.0.1", f.port, timeout=20) as c:
            c.ehlo()
            assert sorted(c.esmtp_features["auth"].split()) == ["CRAM-MD5", "LOGIN", "PLAIN"], c.esmtp_features
            c.user, c.password = "anna@landfall.test", "secret of otto"
            how = getattr(c, "auth_" + mechanism.lower().replace("-", "_"))
            try:
                c.auth(mechanism, how)
                raise AssertionError("a wrong password was taken")
            except smtplib.SMTPAuthenticationError as e:
                assert e.smtp_code == 535, e
            assert c.mail("news@brand.test")[0] == 250 and c.rcpt("ok@a.test")[0] == 554, "not authenticated"
            c.rset()
            c.password = "secret of anna"
            assert c.auth(mechanism, how)[0] == 235
            c.sendmail("news@brand.test", ["ok-%s@a.test" % mechanism, "ok2-%s@a.test" % mechanism], html(mechanism))
            # Nobody else sends on her connection, also when it is idle.
            other = f.client()
            assert other.say("MAIL FROM:<x@b.test>")[0].startswith("250")
            assert other.say("RCPT TO:<ok@a.test>")[0].startswith("554 5.7.1"), mechanism
            other.close()
            c.sendmail("news@brand.test", ["ok3-%s@a.test" % mechanism], html(mechanism + "-2"))
    users = said(mta, r"client=\S+ sasl_method=(\S+), sasl_username=(\S+)")
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        assert users.count((mechanism, "anna@landfall.test")) >= 3, users
    until("nine copies", 30, lambda: len({t[1] for t in h.taken}) == 9)
    # By hand: in one line, given up, not base64, and when the connection is gone.
    c = f.client()
    assert c.say("AUTH PLAIN " + plain("otto@landfall.test", "wrong"))[0].startswith("535 5.7.8")
    assert c.say("AUTH LOGIN") == ["334 VXNlcm5hbWU6"]
    assert c.say("*")[0].startswith("501 5.7.0")
    assert c.say("AUTH LOGIN") == ["334 VXNlcm5hbWU6"]
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("501 5.7.0"), "no command within the dialogue"
    assert c.say("AUTH XOAUTH2 AAAA")[0].startswith("504 5.5.4")
    assert c.say("AUTH PLAIN " + plain("otto@landfall.test", "secret of otto"))[0].startswith("235 2.7.0")
    assert c.say("AUTH PLAIN " + plain("otto@landfall.test", "secret of otto"))[0].startswith("503")
    assert c.say("MAIL FROM:<otto@brand.test> AUTH=<>")[0].startswith("250")
    assert c.say("RSET")[0].startswith("250")
    mta.stop()
    mta.start()
    assert c.say("NOOP")[0].startswith("250")
    assert c.say("MAIL FROM:<otto@brand.test>")[0].startswith("421 4.4.2") and c.read() == [], "it must say anew who it is"
    f.stop()


def test_smtp_auth_tls(bench):
    """AUTH only under TLS is the default: not offered before, refused, and there behind STARTTLS"""
    mta = with_users(postfix(bench, hop(bench).port, SASL))
    mta.start()
    pki = Pki(bench)
    f = Front(bench, mta.port, **pki.front())
    c = f.client()
    assert not any("AUTH" in line for line in c.offers), c.offers
    assert c.say("AUTH PLAIN " + plain("anna@landfall.test", "secret of anna"))[0].startswith("538 5.7.11")
    c.close()
    with smtplib.SMTP("127.0.0.1", f.port, timeout=20) as c:
        c.starttls(context=ssl._create_unverified_context())
        c.login("anna@landfall.test", "secret of anna")
        c.sendmail("news@brand.test", ["ok@a.test"], html(1))
    assert said(mta, r"sasl_username=(\S+)") == ["anna@landfall.test"]
    f.stop()


def test_smtp_xclient(bench):
    """XCLIENT and XFORWARD of a trusted client reach the MTA and its log; from others they are refused"""
    h = hop(bench)
    mta = postfix(bench, h.port, XHOSTS)
    mta.start()
    f = Front(bench, mta.port, "stranger", **{"rewriter.trusted_clients": "192.0.2.0/24 ::1"})
    c = f.client()
    assert not any("XCLIENT" in line or "XFORWARD" in line for line in c.offers), c.offers
    for line in ("XCLIENT ADDR=9.9.9.9", "XFORWARD ADDR=9.9.9.9"):
        assert c.say(line)[0].startswith("550 5.7.0"), line
    c.close()
    f.stop()
    f = Front(bench, mta.port, "trusted", **{"rewriter.trusted_clients": "127.0.0.0/8", "track.return_path_domain": "bounce.brand.test"})
    c = f.client()
    want = [line for line in Client(mta.port).hello().offers if re.match("250[ -]X", line)]
    assert [line[4:] for line in c.offers if re.match("250[ -]X", line)] == [line[4:] for line in want] and len(want) == 2, (want, c.offers)
    # Told again for each copy, though each is a transaction of its own.
    assert c.say("XFORWARD NAME=far.test ADDR=192.0.2.77 PORT=4711")[0].startswith("250")
    assert c.say("XFORWARD HELO=far.helo IDENT=their+2Did")[0].startswith("250")
    assert c.send(html(1), ["ok-1@a.test", "ok-2@a.test"])[0].startswith("250")
    assert c.send(html(2), "ok-3@a.test")[0].startswith("250"), "it holds for one transaction"
    assert c.say("XFORWARD FOO=1")[0].startswith("501 5.5.4")
    until("three copies", 20, lambda: len(h.taken) == 3)
    origs = said(mta, r"client=unknown\[127.0.0.1\], orig_queue_id=(\S+), orig_client=(\S+)")
    assert set(origs) == {("their-id", "far.test[192.0.2.77]")} and len(origs) >= 2, (origs, said(mta, "client=.*"))
    queued = dict(said(mta, r"smtpd\[\d+\]: (\w+): client=(.*)"))
    for rcpt, by in ((1, "far.test"), (2, "far.test"), (3, None)):
        queue_id = said(mta, r" (\w+): to=<ok-%d@a.test>.*status=sent" % rcpt)[0]
        assert ("far.test" in queued[queue_id]) == (by is not None), (rcpt, queued)
    # Who came by XCLIENT is not in the MTA's network: relaying is denied to it, and to nobody else.
    assert c.say("XCLIENT NAME=evil.test ADDR=198.51.100.9")[0].startswith("220 mta.landfall.test")
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("503 5.5.1"), "all is forgotten"
    c.offers = c.say("EHLO again")
    assert not any("XCLIENT" in line for line in c.offers), "as 198.51.100.9 it may not"
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("250")
    got = c.say("RCPT TO:<ok@a.test>")
    assert got[0].startswith("554 5.7.1") and said(mta, r"reject: RCPT from evil.test\[198.51.100.9\]"), got
    other = f.client()
    assert other.send(html(3))[0].startswith("250")
    assert c.say("RSET")[0].startswith("250") and c.say("QUIT")[0].startswith("221")
    assert f.client().send(html(4))[0].startswith("250"), "its connection was not kept"
    f.stop()


def test_smtp_xforward(bench):
    """the MTA is told who the client is and which copy it has, and its log names both"""
    h = hop(bench)
    mta = postfix(bench, h.port, XHOSTS)
    mta.start()
    f = Front(bench, mta.port, **{"rewriter.xforward": "on"})
    assert f.client().send(html(1), ["ok-1@a.test", "ok-2@a.test"])[0].startswith("250")
    assert f.lmtp().send(html(2), "ok-3@a.test")[0].startswith("250")
    assert f.client().send(b"Subject: x\r\n\r\nnot tracked\r\n", "ok-4@a.test")[0].startswith("250")
    until("four copies", 20, lambda: len(h.taken) == 4)
    got = {}
    for rcpt in range(1, 5):
        queue_id = said(mta, r" (\w+): to=<ok-%d@a.test>.*status=sent" % rcpt)[0]
        got[rcpt] = said(mta, r"smtpd\[\d+\]: %s: client=unknown\[127.0.0.1\], (.*)" % queue_id)[0]
    names = [re.fullmatch(r"orig_queue_id=([a-z2-7]{37}), orig_client=unknown\[127.0.0.1\]", got[r]).group(1) for r in (1, 2, 3)]
    assert len(set(names)) == 3 and got[4] == "orig_client=unknown[127.0.0.1]", got
    f.stop()


def v1(source, port=4711):
    return ("PROXY TCP%d %s %s %d 25\r\n" % (6 if ":" in source else 4, source, source, port)).encode()


def v2(source, port=4711, command=1, more=b""):
    family, pack = (0x21, socket.AF_INET6) if ":" in source else (0x11, socket.AF_INET)
    body = socket.inet_pton(pack, source) * 2 + struct.pack(">HH", port, 25) + more
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


def test_smtp_proxy(bench):
    """the PROXY protocol of a load balancer: its address is the client's; without a header nothing is said"""
    h = hop(bench)
    mta = postfix(bench, h.port, XHOSTS + "inet_protocols = all\n")  # else it takes no IPv6 address
    mta.start()
    pki = Pki(bench)
    smtps = free_ports(5) + 4  # behind those that Front takes
    f = Front(bench, mta.port, **{"rewriter.proxy_protocol": "127.0.0.0/8", "rewriter.trusted_clients": "192.0.2.0/24 2001:db8::/32",
                                  "rewriter.xforward": "on", "rewriter.smtps_listen": "127.0.0.1:%d" % smtps, **pki.front()})

    def come(header, port=f.port, hi="EHLO", pieces=0):
        c = Client(port, hi=hi)
        for at in range(0, len(header), pieces or len(header)):
            c.raw(header[at:at + (pieces or len(header))])
        return c

    seen = {}
    for n, (header, hi, pieces) in enumerate(((v1("192.0.2.5"), "EHLO", 0), (v1("2001:db8::5"), "EHLO", 1), (v2("192.0.2.6"), "LHLO", 0),
                                              (v2("2001:db8::6", more=b"\x04\0\x01x"), "EHLO", 1), (v1("203.0.113.9"), "EHLO", 0),
                                              (v2("9.9.9.9", command=0), "EHLO", 0), (b"PROXY UNKNOWN\r\n", "LHLO", 3))):
        c = come(header, f.port if hi == "EHLO" else f.port + 2, hi, pieces).hello()
        seen[n] = any("XCLIENT" in line for line in c.offers)
        assert c.send(html(n), "ok-%d@a.test" % n)[0].startswith("250")
        c.close()
    assert seen == {0: True, 1: True, 2: True, 3: True, 4: False, 5: False, 6: False}, seen
    until("seven copies", 20, lambda: len(h.taken) == 7)
    clients = dict(re.fullmatch(r"(\w+): client=unknown\[127.0.0.1\],.* orig_client=unknown\[(.*)\]", line).groups()
                   for line in said(mta, r"smtpd\[\d+\]: (\w+: client=.*orig_client.*)"))
    got = [clients[said(mta, r" (\w+): to=<ok-%d@a.test>.*status=sent" % n)[0]] for n in range(7)]
    assert got == ["192.0.2.5", "2001:db8::5", "192.0.2.6", "2001:db8::6", "203.0.113.9", "127.0.0.1", "127.0.0.1"], got
    # Before TLS that begins at once.
    c = come(v2("192.0.2.8"), smtps)
    c.link = ssl._create_unverified_context().wrap_socket(c.link)
    c.f = c.link.makefile("rb")
    assert any("XCLIENT" in line for line in c.hello().offers)
    c.close()
    # Whatever else is said is the last thing.
    for bad in (b"EHLO c\r\n", b"PROXY TCP4 192.0.2.5\r\n", b"\r\n\r\n\0\r\nQUIT\nX", v2("192.0.2.5")[:12] + b"\x31" + b"\0" * 30,
                b"PROXY " + b"A" * 200):
        assert come(bad).rest() == b"", bad
    assert f.metrics()["proxy_headers_refused"] == 5
    f.stop()
    # From elsewhere a header is no command.
    f = Front(bench, mta.port, "plain", **{"rewriter.proxy_protocol": "192.0.2.0/24"})
    c = f.client()
    assert c.say(v1("192.0.2.5").decode()[:-2])[0].startswith("500 5.5.2")
    f.stop()


def test_smtp_dsn(bench):
    """DSN parameters go through as they are where the hop offers them, and ENVID is ours where there is none"""
    h = Recorder()
    bench.at_end.append(h.close)
    f = Front(bench, h.port, **{"track.return_path_domain": "bounce.brand.test"})
    c = f.client()
    assert c.say("MAIL FROM:<news@brand.test> RET=HDRS ENVID=QQ+2B1")[0].startswith("250")
    assert c.say("RCPT TO:<ok-1@a.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ok+2D1@a.test")[0].startswith("250")
    assert c.say("DATA")[0].startswith("354") and c.end(html(1))[0].startswith("250")
    assert c.send(html(2), "ok-2@a.test")[0].startswith("250")
    mails = [line for line in h.lines if line.startswith(("MAIL", "RCPT"))]
    first = [line for line in mails if "ENVID=QQ+2B1" in line]
    assert len(first) == 2 and all("RET=HDRS" in line for line in first), mails
    assert mails.count("RCPT TO:<ok-1@a.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ok+2D1@a.test") == 2, mails
    ours = re.findall(r"MAIL FROM:<b\+([a-z2-7]{37})@bounce.brand.test> ENVID=([a-z2-7]{37}) ", mails[-2])
    assert len(ours) == 1 and ours[0][0] == ours[0][1], mails
    f.stop()
    h = Recorder(ehlo=["PIPELINING", "8BITMIME"])
    bench.at_end.append(h.close)
    f = Front(bench, h.port, "without", **{"track.return_path_domain": "bounce.brand.test", "track.envelope_id": "on"})
    c = f.client()
    assert not any("DSN" in line for line in c.offers)
    for line in ("MAIL FROM:<a@b.test> RET=FULL", "MAIL FROM:<a@b.test> ENVID=x"):
        assert c.say(line)[0].startswith("555 5.5.4"), line
    assert c.say("MAIL FROM:<a@b.test>")[0].startswith("250")
    assert c.say("RCPT TO:<ok@a.test> NOTIFY=NEVER")[0].startswith("555 5.5.4")
    assert c.say("RSET")[0].startswith("250")
    assert c.send(html(3))[0].startswith("250")
    assert not any("ENVID" in line for line in h.lines), h.lines
    f.stop()
