"""Tests of POST /v1/rewrite: the real rewriter and HTTP clients. No Redis runs, and no hop: it needs none."""
import asyncio
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time

from chain import free_ports, until
from smtp import Front, Hop, html

NAME = "rewriter-http"
SHAPES = {
    "html": html(1),
    "LF only": html(2).replace(b"\r\n", b"\n"),
    "no campaign in it": html(3).replace(b"X-Landfall-Campaign: spring\r\n", b""),
    "text": b"Message-ID: <t@b>\r\n\r\nsee https://shop.example/a, and https://shop.example/b.\r\n",
    "base64": b"Message-ID: <b@b>\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
              b"PGEgaHJlZj0iaHR0cHM6Ly9zaG9wLmV4YW1wbGUvIj54PC9hPg==\r\n",
    "quoted-printable": b"Message-ID: <q@b>\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                        b"<a href=3D\"https://shop.example/?a=3D1\">x</a>=20\r\n",
    "no Message-ID": b"Content-Type: text/html\r\n\r\n<a href=\"https://shop.example/\">x</a>",
    "bare CR, LF and NUL": b"Content-Type: text/html\r\n\r\na\rb\nc\0<a href=\"https://shop.example/\">x</a>",
}


class Api(Front):
    """A rewriter with the HTTP door open."""

    def __init__(self, bench, tenant="acme", hop_port=1, before=None, **settings):
        self.http = free_ports(4) + 3
        super().__init__(bench, hop_port, before=before, **{
            "rewriter.http_listen": "127.0.0.1:%d" % self.http, "track.return_path_domain": "bounce.brand.test", **settings})
        self.key = self.add_key(tenant)

    def add_key(self, tenant):
        got = subprocess.run([self.bench.bin + "/landfall", "key", "add", "--rewrite", "--tenant", tenant, "--config", self.config],
                             check=True, capture_output=True, text=True).stdout.strip()
        until("the key is taken up", 10, lambda: self.post(b"x", key=got, type="text/plain")[0] == 415)
        return got

    def answers(self):
        if not super().answers():
            return False
        try:
            socket.create_connection(("127.0.0.1", self.http), timeout=5).close()
            return True
        except OSError:
            return False

    def request(self, method, path, body=None, headers=None, link=None):
        own = link or http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)
        try:
            own.request(method, path, body, headers or {})
            r = own.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            if not link:
                own.close()

    def post(self, message, to="ann@a.test", key=None, type="message/rfc822", link=None, **fields):
        headers = {"Authorization": "Bearer " + (key or self.key), "Content-Type": type, "Landfall-Recipient": to,
                   **{"Landfall-" + k.replace("_", "-").title(): v for k, v in fields.items() if k != "accept"},
                   **({"Accept": fields["accept"]} if "accept" in fields else {})}
        return self.request("POST", "/v1/rewrite", message, headers, link)

    def events(self):
        got = subprocess.run("%s/landfall dump %s/data/%s/*.seg" % (self.bench.bin, self.dir, NAME), shell=True, capture_output=True, text=True)
        assert got.returncode == 0, got.stderr
        return [dict([("kind", line.split()[0])] + [p.split("=", 1) for p in line.split()[1:] if "=" in p])
                for line in got.stdout.splitlines() if line.startswith("  ")]

    def command(self, message, *args):
        got = subprocess.run([self.bench.bin + "/landfall", "rewrite", "--config", self.config, *args], input=message, capture_output=True)
        assert got.returncode == 0, got.stderr
        return got.stdout

    def token(self, text):
        got = subprocess.run([self.bench.bin + "/landfall", "token", "show", text, "--config", self.config], capture_output=True, text=True)
        assert got.returncode == 0, got.stderr
        return dict(line.split(None, 1) for line in got.stdout.splitlines() if line.strip())


def test_http_rewrite(bench):
    """what comes back is what `landfall rewrite` makes, is recorded, and is the same when asked again, also after a restart"""
    a = Api(bench)
    links = {}
    for name, message in SHAPES.items():
        status, head, body = a.post(message, campaign="spring")
        assert status == 200 and head["content-type"] == "message/rfc822" and head["cache-control"] == "no-store", (name, status, head)
        assert "landfall-untouched" not in head and int(head["landfall-links"]) >= 1, (name, head)
        t = a.token(head["landfall-id"])
        assert t["lane"] == a.events()[-1]["lane"] and t["sequence"] == a.events()[-1]["sequence"], (name, t)
        made = a.command(message, "--campaign", "spring", "--tenant", "acme", "--recipient", "ann@a.test",
                         *(word for option in ("lane", "sequence", "day") for word in ("--" + option, t[option])))
        assert made == body, (name, made, body)
        assert head["landfall-id"].encode() in body, name
        assert head["landfall-return-path"].startswith("b+") and head["landfall-return-path"].endswith("@bounce.brand.test"), head
        links[name] = body, head["landfall-return-path"], head["landfall-id"]
    assert len({v[1] for v in links.values()}) == len(SHAPES)
    for restart in (False, True):
        if restart:
            a.kill()
            a.start()
        for name, message in SHAPES.items():
            _, head, body = a.post(message, campaign="spring")
            assert (body, head["landfall-return-path"], head["landfall-id"]) == links[name], (name, restart)
    assert a.post(SHAPES["html"], "bob@a.test", campaign="spring")[1]["landfall-return-path"] not in {v[1] for v in links.values()}
    sent = [e for e in a.events() if e["kind"] == "sent"]
    assert len(sent) == 3 * len(SHAPES) + 1 and len({e["sequence"] for e in sent}) == len(SHAPES) + 1
    # From <> it stays so; the policy is in the fields; what is not to be tracked comes back as it was.
    status, head, body = a.post(html(9), sender="<>")
    assert status == 200 and "landfall-return-path" not in head and b"t.brand.test" in body
    status, head, body = a.post(html(10), track="clicks=off")
    assert head["landfall-links"] == "0" and head["landfall-pixels"] == "1" and b"shop.example" in body
    before = len(a.events())
    plain = SHAPES["no campaign in it"]
    status, head, body = a.post(plain)
    assert (status, head["landfall-untouched"], body) == (200, "no-campaign", plain) and "landfall-id" not in head, head
    status, head, body = a.post(html(11), track="mode=off")
    assert (status, head["landfall-untouched"]) == (200, "off") and body == html(11).replace(b"X-Landfall-Campaign: spring\r\n", b""), body
    signed = b"DKIM-Signature: v=1; d=b.test\r\n" + html(12).replace(b"X-Landfall-Campaign: spring\r\n", b"")
    status, head, body = a.post(signed, campaign="spring")
    assert (status, head["landfall-untouched"], body) == (200, "signed", signed)
    # A trial: what would be done, as JSON; nothing is recorded.
    status, head, body = a.post(html(13), accept="application/json")
    assert status == 200 and head["content-type"] == "application/json"
    want = json.loads(a.command(html(13), "--tenant", "acme", "--recipient", "ann@a.test", "--explain"))
    assert json.loads(body) == want and want["edits"], (body, want)
    assert len(a.events()) == before
    m = a.metrics()
    assert m["messages_handed_out"] == 1 + len(SHAPES) + 2, m
    a.stop()


def test_http_refusals(bench):
    """requests that are refused say why, as problem JSON; nothing is recorded"""
    a = Api(bench, **{"rewriter.max_message_mb": "1"})
    good = {"Authorization": "Bearer " + a.key, "Content-Type": "message/rfc822", "Landfall-Recipient": "ann@a.test"}

    def refused(status, method="POST", path="/v1/rewrite", body=html(1), **change):
        headers = {k: v for k, v in {**good, **{k.replace("_", "-"): v for k, v in change.items()}}.items() if v is not None}
        got, head, text = a.request(method, path, body, headers)
        assert got == status and head["content-type"] == "application/problem+json", (status, got, head, text)
        problem = json.loads(text)
        assert problem["status"] == status and problem["title"] and problem["detail"], problem
        return head

    assert refused(401, Authorization=None)["www-authenticate"] == "Bearer"
    for wrong in ("Bearer lf_00000000_x", "Bearer " + a.key[:-1], "Bearer " + a.key + "x", "Basic " + a.key, a.key):
        refused(401, Authorization=wrong)
    refused(403, Landfall_Tenant="other")
    refused(404, path="/v1/rewrite/")
    refused(404, path="/")
    assert refused(405, method="GET", body=None)["allow"] == "POST"
    # It is answered as soon as the length is known, and closed: a client that asks first (Expect) does not send it at all.
    with socket.create_connection(("127.0.0.1", a.http), timeout=20) as s:
        s.sendall(b"POST /v1/rewrite HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % ((1 << 20) + 1))
        head, _, body = b"".join(iter(lambda: s.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ") and b"application/problem+json" in head and json.loads(body)["status"] == 413, (head, body)
    assert a.request("POST", "/v1/rewrite", html(1) + b"x" * ((1 << 20) - len(html(1))), good)[0] == 200, "the largest"
    refused(415, Content_Type="application/json")
    refused(400, body=b"")
    for change in ({"Landfall_Recipient": None}, {"Landfall_Recipient": "a@b, c@d"}, {"Landfall_Recipient": "a@b> X=Y"},
                   {"Landfall_Sender": "x y"}, {"Landfall_Campaign": "x" * 513}):
        refused(400, **change)
    # Said twice.
    with socket.create_connection(("127.0.0.1", a.http), timeout=20) as s:
        s.sendall(b"POST /v1/rewrite HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\nAuthorization: Bearer " + a.key.encode() +
                  b"\r\nLandfall-Recipient: a@b.test\r\nLandfall-Recipient: c@d.test\r\n\r\nx")
        assert s.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert a.request("GET", "/healthz")[0] == 200 and not os.path.getsize(a.log) == 0
    # A key for all tenants names one; the message may where the setting lets it.
    every = a.add_key("*")
    assert a.post(html(1), key=every, tenant="other")[0] == 200
    assert any(e["kind"] == "campaign" and e["tenant"] == '"other"' for e in a.events()), a.events()
    within = html(2).replace(b"MIME", b"X-Landfall-Tenant: third\r\nMIME", 1)
    assert a.post(within, key=every)[0] == 200 and not any(e.get("tenant") == '"third"' for e in a.events())
    # A key that is taken back.
    subprocess.run([bench.bin + "/landfall", "key", "retire", every.split("_")[1], "--rewrite", "--config", a.config], check=True, capture_output=True)
    until("the key is gone", 10, lambda: a.post(html(1), key=every, tenant="other")[0] == 401)
    # Keys of the reports do not open this door.
    report = subprocess.run([bench.bin + "/landfall", "key", "add", "--api", "--tenant", "*", "--config", a.config], check=True, capture_output=True, text=True)
    assert a.post(html(1), key=report.stdout.strip())[0] == 401
    a.stop()


async def post_at_once(a, n):
    """n connections at the same time; the answers as (status line, body)."""
    gate = asyncio.Event()

    async def one(i):
        body = html("many-%d" % i)
        reader, writer = await asyncio.open_connection("127.0.0.1", a.http)
        head = ("POST /v1/rewrite HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: message/rfc822\r\n"
                "Landfall-Recipient: u%d@a.test\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (a.key, i, len(body))).encode()
        writer.write(head + body[:20])
        await writer.drain()
        await gate.wait()
        writer.write(body[20:])
        got = await reader.read()
        writer.close()
        head, _, body = got.partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0], body

    jobs = [asyncio.ensure_future(one(i)) for i in range(n)]
    await asyncio.sleep(1)
    gate.set()
    return await asyncio.gather(*jobs)


def test_http_many(bench):
    """a thousand posts at once: each gets its own number, all are recorded, and SMTP goes on beside them"""
    h = Hop()
    bench.at_end.append(h.close)
    a = Api(bench, hop_port=h.port)
    got, mail, done = [], [], threading.Event()

    def beside():
        c = a.client()
        while not done.is_set():
            began = time.monotonic()
            assert c.send(html("smtp-%d" % len(mail)))[0].startswith("250")
            mail.append(time.monotonic() - began)

    t = threading.Thread(target=beside)
    t.start()
    try:
        got = asyncio.run(post_at_once(a, 1000))
    finally:
        done.set()
        t.join()
    assert [g[0] for g in got] == [b"HTTP/1.1 200 OK"] * 1000, {g[0] for g in got}
    sent = [e for e in a.events() if e["kind"] == "sent"]
    assert sorted(int(e["sequence"]) for e in sent) == list(range(1000))
    assert len({g[1] for g in got}) == 1000 and all(b"t.brand.test/c/" in g[1] for g in got)
    assert len(mail) > 5 and len(h.taken) == len(mail)
    a.stop()


def test_http_keep(bench):
    """a connection serves many messages; one whose body has an unclear frame is closed behind its answer"""
    a = Api(bench)
    link = http.client.HTTPConnection("127.0.0.1", a.http, timeout=20)
    for i in range(50):
        assert a.post(html("keep-%d" % i), link=link)[0] == 200
        first = first if i else link.sock
        assert link.sock is first, "a new connection was made"
    link.close()
    head = b"POST /v1/rewrite HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + a.key.encode() + b"\r\nLandfall-Recipient: a@b.test\r\n"
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for frame, body in ((b"Content-Length: 1\r\n", b"x"), (b"Content-Length: 1\r\ncontent-length: 1\r\n", b"x"),
                        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\n\r\n"),
                        (b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n0\r\n\r\n")):
        with socket.create_connection(("127.0.0.1", a.http), timeout=20) as s:
            s.sendall(head + frame + b"\r\n" + body + smuggled)
            s.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: s.recv(65536), b""))
        assert got.startswith(b"HTTP/1.1 200 OK"), got
        assert got.count(b"HTTP/1.1 ") == (2 if frame.count(b"\n") == 1 and frame.startswith(b"Content") else 1), (frame, got)
    a.stop()


def test_http_kill(bench):
    """kill -9 while posting: what was answered is recorded, and what comes again has the same bytes"""
    a = Api(bench)
    told, lock, stop = {}, threading.Lock(), threading.Event()

    def work(name):
        n = 0
        while not stop.is_set():
            id = "%s-%d" % (name, n)
            try:
                status, _, body = a.post(html(id), "%s@a.test" % id)
            except (OSError, http.client.HTTPException):
                continue
            assert status == 200, status
            with lock:
                told[id] = body
            n += 1

    threads = [threading.Thread(target=work, args=("t%d" % i,)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(60 if bench.nightly else 6):
            had = len(told)
            until("answers", 20, lambda had=had: len(told) > had + 5)
            a.kill()
            a.start()
    finally:
        stop.set()
        for t in threads:
            t.join()
    sent = {e["sequence"] for e in a.events() if e["kind"] == "sent"}
    numbers = {a.token(html_id(body))["sequence"] for body in list(told.values())[-30:]}
    assert numbers <= sent and len(sent) >= len(told), (len(sent), len(told))
    for id, body in list(told.items())[-50:]:
        assert a.post(html(id), "%s@a.test" % id)[2] == body, id
    a.stop()


def html_id(body):
    return [line.split(b": ")[1].decode() for line in body.split(b"\r\n") if line.startswith(b"X-Landfall-Id: ")][0]


def test_http_slow(bench):
    """a body that does not come holds up nobody, and its connection ends; a message of many megabytes passes"""
    a = Api(bench)
    slow = []
    for _ in range(50):
        s = socket.create_connection(("127.0.0.1", a.http), timeout=60)
        s.sendall(b"POST /v1/rewrite HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + a.key.encode() +
                  b"\r\nLandfall-Recipient: a@b.test\r\nContent-Length: 1000\r\n\r\nhalf")
        slow.append(s)
    began = time.monotonic()
    for i in range(20):
        assert a.post(html(i))[0] == 200
    assert time.monotonic() - began < 9, "they waited for the slow ones"
    big = html("big") + b"<p>words</p>\r\n" * 600000
    status, _, body = a.post(big)
    assert status == 200 and len(body) > len(big)
    for s in slow:
        assert b"200 OK" not in b"".join(iter(lambda s=s: s.recv(65536), b""))
        s.close()
    assert time.monotonic() - began < 40
    assert len([e for e in a.events() if e["kind"] == "sent"]) == 21
    a.stop()


def test_http_disk_full(bench):
    """no room to record: 503 with Retry-After, and later all goes on"""
    a = Api(bench, before=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
    assert a.post(html(1))[0] == 200
    old = resource.prlimit(a.process.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    for campaign in ("new", "spring"):
        status, head, body = a.post(html(2, campaign=campaign))
        assert status == 503 and int(head["retry-after"]) > 0 and json.loads(body)["status"] == 503, (campaign, status, head)
    assert a.post(SHAPES["no campaign in it"])[0] == 200, "what needs no record flows"
    resource.prlimit(a.process.pid, resource.RLIMIT_FSIZE, old)
    status, _, body = a.post(html(2))
    assert status == 200 and b"t.brand.test/c/" in body
    assert {e["sequence"] for e in a.events() if e["kind"] == "sent"} == {"0", "1"}
    a.stop()
