"""Signatures: made behind the rewriter they verify; made before it they stay."""
import base64
import email
import os
import quopri
import re
import shutil
import socket
import subprocess
import textwrap
import unittest

from chain import free_ports, until
from rig import Mta
from smtp import Client, Front, hop

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIANS_PYTHON = "/usr/bin/python3"  # the one that python3-dkim is for
VERP = {"track.return_path_domain": "bounce.brand.test"}
HEAD = ("From: Brand <news@brand.test>\r\nTo: reader@a.test\r\nSubject: %s\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        "Message-ID: <%s@brand.test>\r\nX-Landfall-Campaign: signed\r\nMIME-Version: 1.0\r\n")
LINK = "<p>Gr\u00fc\u00dfe: <a href=\"https://shop.example/p?id=%d&amp;x=%s\">hier</a> &euro;</p>\r\n"


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(program + " is not installed: deploy/packages test")


def run(*command, input=b"", **how):
    done = subprocess.run(command, input=input, capture_output=True, timeout=60, **how)
    assert done.returncode == 0, "%s: %s %s" % (command, done.stdout[-500:], done.stderr[-1000:])
    return done.stdout


class Keys:
    """An RSA key of brand.test's."""

    def __init__(self, dir):
        self.file = dir + "/dkim.pem"
        run("openssl", "genrsa", "-out", self.file, "2048")
        der = run("openssl", "rsa", "-in", self.file, "-pubout", "-outform", "DER")
        self.record = "v=DKIM1; k=rsa; p=" + base64.b64encode(der).decode()

    def tool(self, message, *what):
        return run(DEBIANS_PYTHON, HERE + "/dkim_tool.py", *what, input=message)

    def sign(self, message, *more):
        return self.tool(message, "sign", self.file, *more)

    def verdicts(self, *messages):
        """For each its verdicts."""
        blocks = self.tool(b"\0".join(messages), "verify", self.record).decode().split("--\n")[:-1]
        return [block.split("\n")[:-1] for block in blocks]


def page(links=3, wide=0):
    return "<html><body>\r\n.dots\r\n" + "".join(LINK % (i, "y" * wide) for i in range(links)) + "</body></html>\r\n"


def part(text, charset, encoding, kind="html", more=""):
    raw = text.encode(charset)
    body = {"quoted-printable": lambda: quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"),
            "base64": lambda: "".join(line + "\r\n" for line in textwrap.wrap(base64.b64encode(raw).decode(), 76)).encode()}.get(
        encoding, lambda: raw)()
    return ("Content-Type: text/%s; charset=%s%s\r\nContent-Transfer-Encoding: %s\r\n\r\n" % (kind, charset, more, encoding)).encode() + body


def multipart(kind, *parts):
    return b"Content-Type: multipart/%s; boundary=\"=_b %d\"\r\n\r\nThis is MIME.\r\n" % (kind.encode(), len(parts[0])) + b"".join(
        b"--=_b %d\r\n%s\r\n" % (len(parts[0]), p) for p in parts) + b"--=_b %d--\r\n" % len(parts[0])


def whole(name, content):
    return (HEAD % (name, name.replace(" ", "-"))).encode() + content


def plain(encoding="8bit", more=""):
    return part("Gr\u00fc\u00dfe\r\nhttps://shop.example/text\r\n-- \r\nend\r\n", "utf-8", encoding, "plain", more)


KINDS = {
    "html 8bit": part(page(), "utf-8", "8bit"),
    "html latin-1": part(page(), "iso-8859-1", "8bit"),
    "html qp": part(page(), "utf-8", "quoted-printable"),
    "html base64": part(page(40), "utf-8", "base64"),
    "html 7bit": part(page().replace("\u00fc", "ue").replace("\u00df", "ss"), "us-ascii", "7bit"),
    "long lines": part(page(5, 560), "utf-8", "8bit"),
    "long links in one line": part(page(12, 40).replace("\r\n", " ")[:-1] + "\r\n", "utf-8", "quoted-printable"),
    "alternative": multipart("alternative", plain(), part(page(), "utf-8", "8bit")),
    "alternative qp": multipart("alternative", plain("quoted-printable"), part(page(), "utf-8", "quoted-printable")),
    "alternative base64": multipart("alternative", plain("base64"), part(page(), "utf-8", "base64")),
    "mixed": multipart("mixed", multipart("related", multipart("alternative", plain(more="; format=flowed"), part(page(30), "utf-8", "8bit")),
                                          b"Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGODlhAQABAAAAACw=\r\n"),
                       b"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                       b"JVBERi0xLjQK" * 6 + b"\r\n"),
    "no line end": part(page(), "utf-8", "8bit").rstrip(b"\r\n"),
    "blank lines and tabs": part(page().replace("</p>\r\n", "</p> \t \r\n\r\n\r\n") + "\r\n \r\n\r\n", "utf-8", "8bit"),
    "text": plain(),
}


class Signer:
    """opendkim as Postfix's milter."""

    def __init__(self, bench, keys, canonical):
        self.port = free_ports(1)
        path = bench.dir + "/opendkim-%d.conf" % self.port
        with open(path, "w") as f:
            f.write("Syslog no\nMode s\nDomain brand.test\nSelector s1\nKeyFile %s\nCanonicalization %s\nSocket inet:%d@127.0.0.1\n"
                    "InternalHosts 127.0.0.1\nExternalIgnoreList 127.0.0.1\nRequireSafeKeys no\nOversignHeaders From\nUserID %s\n" % (
                        keys.file, canonical, self.port, "root" if os.geteuid() == 0 else os.environ.get("USER", "")))
        self.log = open(bench.dir + "/opendkim.txt", "ab")
        self.process = subprocess.Popen(["opendkim", "-f", "-x", path], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        bench.at_end.append(self.stop)
        until("opendkim", 10, self.answers)

    def answers(self):
        assert self.process.poll() is None, "opendkim ended: " + open(self.log.name).read()[-500:]
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def by_id(h):
    return {re.search(rb"(?m)^Message-ID: <(.*?)@", body).group(1).decode(): body for _, _, body, _ in h.taken}


def decoded_links(body):
    """Where the links of all parts lead, and whether a pixel is there."""
    text = "".join(p.get_payload(decode=True).decode("latin-1") for p in email.message_from_bytes(body).walk() if p.get_content_maintype() == "text")
    return text.count("https://t.brand.test/c/"), text.count("shop.example"), text.count("https://t.brand.test/o/")


def test_sign_behind(bench):
    """DKIM by opendkim behind the rewriter: all that was rewritten verifies at the end"""
    need("opendkim", "openssl")
    h, keys = hop(bench), Keys(bench.dir)
    for canonical in ("relaxed/relaxed", "simple/simple"):
        h.taken.clear()
        name = canonical.split("/")[0]
        signer = Signer(bench, keys, canonical)
        b = Mta(bench, "b-" + name, h.port, "smtpd_milters = inet:127.0.0.1:%d\nmilter_default_action = tempfail\n" % signer.port)
        f = Front(bench, b.port, "front-" + name, **VERP, **{"track.unsubscribe": "on"})
        c = f.client()
        for kind, content in KINDS.items():
            message = whole(kind, content)
            got = c.chunks(message, size=5000) if kind == "no line end" else c.send(message)
            assert got[0].startswith("250"), (kind, got)
        # Line feeds alone come in by way of a Postfix that makes them CRLF.
        a = Mta(bench, "a-" + name, f.port)
        run("sendmail", "-C", a.dir + "/etc", "-f", "news@brand.test", "ok@a.test", input=whole("lf", KINDS["alternative"]).replace(b"\r\n", b"\n"))
        until("all at the hop", 40, lambda: len(h.taken) == len(KINDS) + 1)
        wrong, links, got = [], 0, by_id(h)
        for (id, body), verdicts in zip(got.items(), keys.verdicts(*got.values())):
            clicks, left, pixels = decoded_links(body)
            links += clicks
            if verdicts != ["pass"]:
                wrong.append("%s: %s" % (id, verdicts))
            if left or not clicks or (pixels != 1 and id != "text"):
                wrong.append("%s: %d tracked, %d not, %d pixels" % (id, clicks, left, pixels))
            if max(map(len, body.split(b"\r\n"))) > 998:
                wrong.append("%s: a line is too long" % id)
            signed = re.search(rb"DKIM-Signature:.*?\bh=([^;]*);", body, re.S).group(1).lower()
            if b"list-unsubscribe" not in signed:
                wrong.append("%s: List-Unsubscribe is not signed: %s" % (id, signed))
        assert not wrong, "\n    ".join(wrong)
        print("  %s: %d messages verify, %d tracked links in them" % (canonical, len(h.taken), links))
        # The check would notice.
        assert keys.verdicts(got["html-8bit"].replace(b"</body>", b"<br></body>"))[0][0].startswith("fail")
        f.stop()
        a.stop()
        b.stop()
        signer.stop()


def cms(*args, **how):
    return run("openssl", "cms", *args, **how)


def test_sign_before(bench):
    """signed before the rewriter (DKIM, ARC, S/MIME, PGP): untouched, and it verifies behind two MTAs"""
    need("openssl", "gpg", "gpgconf")
    dir, keys = bench.dir, Keys(bench.dir)
    crt, key, home = dir + "/crt.pem", dir + "/key.pem", dir + "/gpg"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=Brand",
        "-addext", "subjectAltName=email:news@brand.test")
    os.mkdir(home, 0o700)
    bench.at_end.append(lambda: subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], capture_output=True))
    gpg = ("gpg", "--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", "")
    run(*gpg, "--quick-generate-key", "news@brand.test", "ed25519", "sign", "never")
    inner = multipart("alternative", plain("quoted-printable"), part(page(), "utf-8", "quoted-printable"))

    def crlf(data):
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def put(name, data):
        with open(dir + "/" + name, "wb") as f:
            f.write(data)
        return dir + "/" + name

    def smime(*how):
        return re.sub(rb"^MIME-Version: 1.0\r\n", b"", crlf(cms("-sign", "-signer", crt, "-inkey", key, *how, input=inner)))

    boundary = b"=_pgp"
    sealed = b"Content-Type: multipart/signed; micalg=pgp-sha512; protocol=\"application/pgp-signature\"; boundary=\"%s\"\r\n\r\n--%s\r\n%s\r\n--%s\r\n" % (
        boundary, boundary, inner, boundary) + b"Content-Type: application/pgp-signature\r\n\r\n" + crlf(
            run(*gpg, "--armor", "--detach-sign", input=inner)) + b"\r\n--%s--\r\n" % boundary
    inline = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + crlf(
        run(*gpg, "--clearsign", input=b"see https://shop.example/inline\n"))
    mail = {"dkim": keys.sign(whole("dkim", inner)), "dkim-8bit": keys.sign(whole("dkim-8bit", KINDS["html 8bit"])), "arc": keys.sign(whole("arc", inner), "arc"),
            "smime": whole("smime", smime("-md", "sha256")), "smime-opaque": whole("smime-opaque", smime("-nodetach")),
            "smime-sealed": whole("smime-sealed", re.sub(rb"^MIME-Version: 1.0\r\n", b"", crlf(cms("-encrypt", "-aes256", crt, input=inner)))),
            "pgp": whole("pgp", sealed), "pgp-inline": whole("pgp-inline", inline)}
    h = hop(bench)
    b = Mta(bench, "b", h.port)
    f = Front(bench, b.port, **VERP)
    a = Mta(bench, "a", f.port)
    c = Client(a.port).hello()
    for id, message in mail.items():
        # The campaign's field came behind a DKIM signature: it is not under it.
        assert c.send(message)[0].startswith("250"), id
    until("all at the hop", 30, lambda: len(h.taken) == len(mail))
    got = by_id(h)
    for id, message in mail.items():
        body = got[id]
        parts = message.split(b"\r\n\r\n", 1)[1], body.split(b"\r\n\r\n", 1)[1]
        assert parts[0] == parts[1], "%s: the body was changed" % id
        assert b"X-Landfall-Campaign" not in body.split(b"\r\n\r\n", 1)[0], id
    verdicts = keys.verdicts(got["dkim"], got["dkim-8bit"], got["arc"])
    assert verdicts == [["pass"], ["pass"], ["pass", "arc pass"]], verdicts
    for id in ("smime", "smime-opaque"):
        said = cms("-verify", "-CAfile", crt, "-in", put(id, got[id]))
        assert b"shop.example" in said and b"t.brand.test" not in said, id
    assert b"shop.example" in cms("-decrypt", "-recip", crt, "-inkey", key, "-in", put("sealed", got["smime-sealed"]))
    body = got["pgp"].split(b"\r\n\r\n", 1)[1].split(b"--" + boundary)
    run(*gpg, "--verify", put("sig", body[2]), put("part", body[1][2:-2]))
    run(*gpg, "--verify", put("inline", got["pgp-inline"].split(b"\r\n\r\n", 1)[1]))
    assert subprocess.run([*gpg, "--verify", dir + "/sig", put("other", body[1][2:-2] + b"x")], capture_output=True).returncode != 0
    m = f.metrics()
    print("  %d messages, byte for byte as they were signed: %s" % (len(mail), ", ".join(mail)))
    # S/MIME and PGP keep their identity in the envelope and the outer header; what others signed has no room for ours.
    own = {id: b"X-Landfall-Id:" in body.split(b"\r\n\r\n", 1)[0] for id, body in got.items()}
    print("  X-Landfall-Id outside: %s; rewritten %d, untouched %d" % (", ".join(k for k, v in own.items() if v) or "none", m["messages_rewritten"], m["messages_untouched"]))
    f.stop()
