"""Real MTAs and clients before and behind the rewriter, in every way they can be joined."""
import collections
import email
import json
import re
import shutil
import smtplib
import subprocess
import unittest

from chain import free_ports, until
from rig import Exim, Mta
from smtp import Client, Front, hop, html

VERP = {"track.return_path_domain": "bounce.brand.test"}
RCPTS = ["%s@a.test" % r for r in ("ok-1", "ok-2", "d451-x", "u550-x", "d550-x", "ok-3")]


def want(rcpts):
    return {r: "bounced" if "550" in r else "sent" for r in rcpts}


def copies(h, id):
    """Who was given the message, as often as it was taken; its sender has the bounces."""
    mark = b"<%s@brand.test>" % str(id).encode()
    return collections.Counter(r for _, rcpts, body, taken in h.taken if taken and mark in body for r in rcpts.split()
                               if r.endswith("@a.test"))


def must_have(h, id, rcpts):
    got = copies(h, id)
    assert got == collections.Counter(rcpts), "%s: of %s: %s" % (id, rcpts, got)


def mixed_messages(mta, door=None):
    """Of all kinds to an MTA that hands on to the rewriter: {id: recipients}."""
    sent = {"one": ["ok-one@a.test"], "three": ["ok-t%d@a.test" % i for i in range(3)], "many": ["ok-m%d@a.test" % i for i in range(40)],
            "plain": ["ok-p%d@a.test" % i for i in range(3)]}
    c = Client(door or mta.port).hello()
    for id, rcpts in sent.items():
        message = html(id)
        if id == "plain":
            message = message.replace(b"X-Landfall-Campaign: spring\r\n", b"")
        got = c.send(message, rcpts)
        assert got[0].startswith("250"), (id, got)
    assert c.say("QUIT")[0].startswith("221")
    return sent


def check_copies(h, sent):
    for id, rcpts in sent.items():
        must_have(h, id, rcpts)
    for sender, _, body, _ in h.taken:
        if not sender:
            continue  # a bounce
        tracked = b"<plain@brand.test>" not in body
        assert (b"https://t.brand.test/c/" in body) == tracked and (b"shop.example" in body) != tracked, body
    senders = [t[0] for t in h.taken if t[0] and b"<plain@" not in t[2]]
    assert len(set(senders)) == len(senders) and all(re.fullmatch(r"b\+[a-z2-7]{37}@bounce\.brand\.test", s) for s in senders), senders


def test_mta_postfix(bench):
    """Postfix -> Landfall -> Postfix, by SMTP and by LMTP: each recipient once, the log names the other's queue id"""
    h = hop(bench)
    b = Mta(bench, "b", h.port)
    f = Front(bench, b.port, **VERP)
    for way, main in (("smtp", "default_transport = smtp:[127.0.0.1]:%d\n" % f.port),
                      ("lmtp", "default_transport = lmtp:inet:127.0.0.1:%d\n" % (f.port + 2))):
        h.taken.clear()
        a = Mta(bench, "a-" + way, h.port, main)
        sent = mixed_messages(a)
        rcpts = [r for all in sent.values() for r in all]
        assert a.wait(rcpts) == want(rcpts)
        until("the mail at the world", 60, lambda: sum(len(t[1].split()) for t in h.taken) >= len(rcpts))
        check_copies(h, sent)
        ids = {m[1] for line in b.lines() for m in [re.search(r"/qmgr\[\d+\]: (\w+): from=<b\+", line)] if m}
        told = [re.fullmatch(r"250 2\.0\.0 Ok: queued as (\w+)", f[4]) for f in a.fates() if "ok-p" not in f[0]]
        assert all(told) and {m[1] for m in told} <= ids, a.fates()
        if way == "lmtp":
            assert len({m[1] for m in told}) == len(told) == len(rcpts) - 3, "a queue id for each recipient"
        print("  %s: %d messages, %d recipients, %d copies, %d queue ids in the log of the first" % (
            way, len(sent), len(rcpts), len(h.taken), len({m[1] for m in told})))
        a.stop()
    until("no session", 20, lambda: f.metrics()["sessions_open"] == 0)
    assert f.metrics()["messages_rewritten"] == 2 * 44, f.metrics()
    f.stop()


def test_mta_answers(bench):
    """each recipient's own answer in Postfix's log, mixed as they are: none lost, none twice"""
    h = hop(bench)
    f = Front(bench, h.port, **VERP)
    reasons = {"u550-x@a.test": "5.1.1", "d550-x@a.test": "5.7.1"}
    for way, main in (("smtp", "default_transport = smtp:[127.0.0.1]:%d\n" % f.port),
                      ("lmtp", "default_transport = lmtp:inet:127.0.0.1:%d\n" % (f.port + 2))):
        h.taken.clear()
        h.tries.clear()
        a = Mta(bench, "a-" + way, h.port, main)
        ids = ["%s%d" % (way, i) for i in range(5)]
        c = Client(a.port).hello()
        for id in ids:
            rcpts = [r.replace("@", "-%s@" % id) for r in RCPTS]
            assert c.send(html(id), rcpts)[0].startswith("250")
        every = [r.replace("@", "-%s@" % id) for id in ids for r in RCPTS]
        assert a.wait(every) == want(every), a.final()
        for id in ids:
            must_have(h, id, [r.replace("@", "-%s@" % id) for r in RCPTS if "550" not in r])
        lines = [fate for fate in a.fates() if fate[0] in every]
        for rcpt, status, dsn, _, reply, _ in lines:
            if status == "bounced":
                assert dsn == reasons[re.sub(r"-\w+@", "@", rcpt)] and "said: 550" in reply, (rcpt, dsn, reply)
        per = collections.Counter(fate[1] for fate in lines)
        assert per["sent"] == 4 * len(ids) and per["bounced"] == 2 * len(ids), per
        if way == "lmtp":
            # By LMTP nobody waits for another.
            assert per["deferred"] == len(ids) and all("d451" in x[0] and "451 4.7.650" in x[4] for x in lines if x[1] == "deferred"), per
        print("  %s: %s; %d copies tried" % (way, dict(per), len(h.taken)))
        a.stop()
    f.stop()


REINJECT = ("127.0.0.1:%d inet n - n - - smtpd -o syslog_name=postfix/again -o content_filter= -o smtpd_proxy_filter= "
            "-o smtpd_recipient_restrictions=check_recipient_access,inline:{nobody@a.test=REJECT},permit_mynetworks,reject\n")


def test_mta_content_filter(bench):
    """content_filter = lmtp: one Postfix before and behind the rewriter"""
    h, port = hop(bench), free_ports(8)
    f = Front(bench, port + 5, port=port, **VERP)
    mta = Mta(bench, "mta", h.port, "content_filter = lmtp:inet:127.0.0.1:%d\n" % (f.port + 2), REINJECT % (port + 5), port=port + 4)
    sent = mixed_messages(mta)
    rcpts = [r for all in sent.values() for r in all]
    c = Client(mta.port).hello()
    assert c.send(html("mixed"), ["ok-a@a.test", "nobody@a.test", "ok-b@a.test"])[0].startswith("250")
    until("the world's copies", 60, lambda: sum(len(t[1].split()) for t in h.taken) >= len(rcpts) + 2)
    check_copies(h, {**sent, "mixed": ["ok-a@a.test", "ok-b@a.test"]})
    until("the bounce", 20, lambda: mta.final().get("nobody@a.test"))
    first = [x for x in mta.fates() if x[3].endswith(":%d" % (f.port + 2))]
    assert {x[0]: x[1] for x in first if "nobody" in x[0]} == {"nobody@a.test": "bounced"} and len([x for x in first if x[1] == "sent"]) == len(rcpts) + 2
    print("  %d recipients by the filter, %d copies behind it, 1 refused there" % (len(first), len(h.taken)))
    f.stop()


def test_mta_proxy_filter(bench):
    """smtpd_proxy_filter: the client hears what the Postfix behind the rewriter says"""
    h, port = hop(bench), free_ports(8)
    f = Front(bench, port + 5, port=port, **VERP)
    mta = Mta(bench, "mta", h.port, "", REINJECT % (port + 5) + "127.0.0.1:%d inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:%d\n" % (
        port + 6, f.port), port=port + 4)
    sent = mixed_messages(mta, port + 6)
    rcpts = [r for all in sent.values() for r in all]
    c = Client(port + 6).hello()
    assert c.ask(["ok-a@a.test", "nobody@a.test", "ok-b@a.test"]) == ["ok-a@a.test", "ok-b@a.test"], "refused before it is queued"
    assert c.say("DATA")[0].startswith("354")
    got = c.end(html("mixed"))
    assert re.fullmatch(r"250 2\.0\.0 Ok: queued as \w+", got[0]), got
    until("the world's copies", 60, lambda: sum(len(t[1].split()) for t in h.taken) >= len(rcpts) + 2)
    check_copies(h, {**sent, "mixed": ["ok-a@a.test", "ok-b@a.test"]})
    assert any(got[0].split()[-1] in line for line in mta.lines()), "the queue id is the real one"
    print("  %d recipients, %d copies; refusals at RCPT reach the client" % (len(rcpts) + 2, len(h.taken)))
    # With the rewriter gone nothing is taken, and nothing slips by.
    f.stop()
    c = Client(port + 6).hello()
    assert c.say("MAIL FROM:<news@brand.test>")[0].startswith("250")
    got = c.say("RCPT TO:<ok@a.test>")
    assert got[0][0] == "4", got


def test_mta_exim(bench):
    """Exim as the client (by BDAT and by DATA) and as the next hop"""
    h = hop(bench)
    behind = Exim(bench, "behind", h.port)
    f = Front(bench, behind.port, **VERP)
    for way, how in (("bdat", {}), ("data", {"transport": "  hosts_try_chunking =\n"}),
                     ("lmtp", {"driver": "smtp", "transport": "  protocol = lmtp\n"})):
        h.taken.clear()
        exim = Exim(bench, way, f.port + (2 if way == "lmtp" else 0), **how)
        sent = mixed_messages(exim)
        rcpts = [r for all in sent.values() for r in all]
        until("Exim's deliveries by " + way, 60, lambda: len(re.findall(r" [=-]> \S+@a\.test", exim.text())) >= len(rcpts))
        until("the world's copies", 60, lambda: sum(len(t[1].split()) for t in h.taken) >= len(rcpts))
        check_copies(h, sent)
        lines = [line for line in exim.text().splitlines() if re.search(r" [=-]> \S+@a\.test", line)]
        chunked = sum(" K " in line for line in lines)
        told = {m for line in lines for m in re.findall(r'C="250 OK id=([\w-]+)"', line)}
        assert " == " not in exim.text() and "no time left" not in exim.text(), "put off, though all is well:\n" + exim.text()
        assert len(lines) == len(rcpts) and bool(chunked) == (way != "data"), "\n".join(lines)
        assert all(id in behind.text() for id in told) and len(told) >= 4, told
        print("  %s: %d recipients, %d of them by BDAT, %d copies, %d ids of the next hop" % (way, len(lines), chunked, len(h.taken), len(told)))
        exim.stop()
    f.stop()


def test_mta_exim_answers(bench):
    """Exim as the client of a hop that says different things: each recipient's own, none lost, none twice"""
    h = hop(bench)
    f = Front(bench, h.port, **VERP)
    for way, how in (("smtp", {}), ("lmtp", {"transport": "  protocol = lmtp\n"})):
        h.taken.clear()
        h.tries.clear()
        exim = Exim(bench, way, f.port + (2 if way == "lmtp" else 0), **how)
        assert Client(exim.port).hello().send(html(way), RCPTS)[0].startswith("250")

        def final():
            found = re.findall(r" (=>|->|\*\*) (\S+@a\.test)", exim.text())
            assert len(found) == len({r for _, r in found}), found
            return {r: "bounced" if sign == "**" else "sent" for sign, r in found}

        until("the fate of all by " + way, 60, lambda: set(final()) == set(RCPTS))
        assert final() == want(RCPTS), final()
        must_have(h, way, [r for r in RCPTS if "550" not in r])
        print("  %s: %s; %d tries" % (way, collections.Counter(final().values()), exim.text().count("Start queue run")))
        exim.stop()
    f.stop()


def test_mta_clients(bench):
    """msmtp, swaks and Python's smtplib"""
    for program in ("msmtp", "swaks"):
        if not shutil.which(program):
            raise unittest.SkipTest(program + " is not installed: deploy/packages test")
    h = hop(bench)
    b = Mta(bench, "b", h.port)
    f = Front(bench, b.port, **VERP)
    address, rcpts = "127.0.0.1:%d" % f.port, ["ok-1@a.test", "ok-2@a.test"]

    def run(*command, **how):
        done = subprocess.run(command, capture_output=True, timeout=60, **how)
        assert done.returncode == 0, (command, done.stdout[-800:], done.stderr[-800:])
        return done.stdout.decode()

    run("msmtp", "--host=127.0.0.1", "--port=%d" % f.port, "--tls=off", "--auth=off", "--from=news@brand.test", *rcpts,
        input=html("msmtp").replace(b"\r\n", b"\n"))
    with open(bench.dir + "/mail.eml", "wb") as m:
        m.write(html("swaks").replace(b"\r\n", b"\n"))
    said = run("swaks", "--server", address, "--from", "news@brand.test", "--to", ",".join(rcpts), "--data", "@" + bench.dir + "/mail.eml",
               "--pipeline")
    assert "queued as" in said, said
    with smtplib.SMTP("127.0.0.1", f.port) as s:
        assert s.sendmail("news@brand.test", rcpts, html("smtplib")) == {}
    until("the world's copies", 60, lambda: sum(copies(h, p)[r] for p in ("msmtp", "swaks", "smtplib") for r in rcpts) >= 6)
    check_copies(h, {p: rcpts for p in ("msmtp", "swaks", "smtplib")})
    print("  3 clients, 2 recipients each, 6 copies")
    until("no session", 10, lambda: f.metrics()["sessions_open"] == 0)
    f.stop()


def reports(h):
    """What the world got from <>: {(recipient, action): the report}."""
    found = {}
    for sender, to, body, _ in h.taken:
        if sender:
            continue
        parts = email.message_from_bytes(body)
        fields = [p for p in parts.walk() if p.get_content_type() == "message/delivery-status"]
        whole, *each = fields[0].get_payload()
        for one in each:
            key = one["Final-Recipient"].split(";")[1].strip(), one["Action"].split()[0]
            assert key not in found, "two reports of %s" % (key,)
            found[key] = {"to": to, "envid": whole["Original-Envelope-Id"], "orcpt": one["Original-Recipient"], "status": one["Status"],
                          "reporter": whole["Reporting-MTA"], "body": body, "returned": [p.get_content_type() for p in parts.walk()]}
    return found


def test_mta_dsn(bench):
    """NOTIFY, ENVID, ORCPT and RET through Postfix -> Landfall -> Postfix end in the right reports"""
    h = hop(bench, ehlo=["PIPELINING", "SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES"])
    b = Mta(bench, "b", h.port, "myhostname = behind.test\n")
    for way, offset in (("smtp", 0), ("lmtp", 2)):
        h.taken.clear()
        f = Front(bench, b.port, "front-" + way, **VERP)
        a = Mta(bench, "a-" + way, f.port, "myhostname = before.test\n" + (
            "default_transport = lmtp:inet:127.0.0.1:%d\n" % (f.port + offset) if offset else ""))
        c = Client(a.port).hello()
        assert c.say("MAIL FROM:<news@brand.test> RET=HDRS ENVID=QQ%s+2B314159" % way)[0].startswith("250")
        asks = {"ok-s": "SUCCESS,FAILURE", "ok-f": "FAILURE", "u550-f": "FAILURE", "u550-n": "NEVER", "d550-f": "SUCCESS,FAILURE", "ok-n": "NEVER"}
        for who, when in asks.items():
            assert c.say("RCPT TO:<%s@a.test> NOTIFY=%s ORCPT=rfc822;the+2B%s@brand.test" % (who, when, who))[0].startswith("250")
        assert c.say("DATA")[0].startswith("354") and c.end(html("dsn-" + way))[0].startswith("250")
        # One report of what arrived, two of what did not; nothing of the others.
        want = {("ok-s@a.test", "relayed"), ("u550-f@a.test", "failed"), ("d550-f@a.test", "failed")}
        until("the reports", 40, lambda: len(reports(h)) >= len(want))
        until("the first MTA's end", 20, lambda: len(a.final()) >= len(asks))
        until("no mail on its way", 20, lambda: not a.queue() and not b.queue())
        got = reports(h)
        assert set(got) == want, sorted(got)
        senders = {t[1]: t[0] for t in h.taken if t[0]}
        for (rcpt, action), r in got.items():
            who = rcpt.split("@")[0]
            assert r["envid"] == "QQ%s+314159" % way and r["orcpt"] == "rfc822;the+%s@brand.test" % who, r
            assert r["reporter"].endswith("behind.test") and r["to"].startswith("b+") and r["to"].endswith("@bounce.brand.test"), r
            assert ("text/rfc822-headers" in r["returned"]) and "message/rfc822" not in r["returned"], r["returned"]
            assert action == "relayed" or r["status"] == {"u550-f": "5.1.1", "d550-f": "5.7.1"}[who], r
            said = subprocess.run([bench.bin + "/landfall", "bounce", "--config", f.config], input=r["body"], capture_output=True, timeout=30)
            line = json.loads(said.stdout)
            assert line["recipient"] == rcpt and line["identity"] and line["identity"]["via"] == "return-path", (line, said.stderr)
            assert line["kind"] == ("bounced" if action == "failed" else line["kind"]) and line["envelope_id"] == r["envid"], line
        assert got["ok-s@a.test", "relayed"]["to"] == senders["ok-s@a.test"], "the report goes to the copy's own return path"
        print("  %s: 6 recipients, reports: %s" % (way, ", ".join("%s %s" % k for k in sorted(got))))
        a.stop()
        f.stop()
