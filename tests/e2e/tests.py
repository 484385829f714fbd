"""The end-to-end tests. Each works in bench.dir with programs of bench.bin."""
import glob
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import chain as chains
from chain import Chain, Ports, Up, free_ports, until
from cluster import *  # noqa: F401,F403 - their tests are among ours
from edges import *  # noqa: F401,F403
from hops import *  # noqa: F401,F403
from kills import *  # noqa: F401,F403
from mtas import *  # noqa: F401,F403
from never import *  # noqa: F401,F403
from privacy import *  # noqa: F401,F403
from signed import *  # noqa: F401,F403
from rewrite_http import *  # noqa: F401,F403
from smtp import *  # noqa: F401,F403
from storm import *  # noqa: F401,F403
from tls import *  # noqa: F401,F403
from verbs import *  # noqa: F401,F403
import check  # noqa: E402 - behind the stars: one of them has a function of that name


def open_chain(bench, **how):
    c = Chain(bench.bin, bench.dir, Ports(free_ports(12)), **how)
    bench.chains.append(c)
    return c


def send_and_read(chain, c, limit=120):
    """The campaign's mail goes out and is read while it comes in."""
    c.send(limit=limit)
    chain.settle(c, limit)


def must_agree(chain, c, limit=60):
    rows, wrong = chain.compare(c, limit)
    assert not c.readers.wrong, "readers saw: " + "; ".join(c.readers.wrong[:10])
    assert rows and not wrong, "%s: %d of %d numbers differ:\n    %s" % (c.name, len(wrong), len(rows), "\n    ".join(wrong))
    done = chain.landfall("verify", c.name, "--config", chain.config())
    assert done.returncode == 0 and re.search("/%s: [1-9].* agree$" % re.escape(c.name), done.stdout, re.M), done


def get(port, path, method="GET", headers=None, body=None):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        link.request(method, path, body=body, headers={"User-Agent": "test", **(headers or {})})
        answer = link.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
    finally:
        link.close()


def test_main_job(bench):
    """a campaign through the real chain: every number of the report is right"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("main job", 200)
    send_and_read(chain, c)
    must_agree(chain, c)
    with socket.create_connection(("127.0.0.1", chain.ports.lmtp), 10) as s:
        assert b" LMTP " in s.recv(200)
    # The same by the API, with the key that `landfall up` made, and not without one.
    with open(chain.up.dir + "/secrets/api-key") as f:
        key = f.read().strip()
    status, _, body = get(chain.ports.reports, "/v1/campaigns/main%20job", headers={"Authorization": "Bearer " + key})
    assert status == 200 and json.loads(body)["sent"] == 200, (status, body[:300])
    status, headers, _ = get(chain.ports.reports, "/v1/campaigns/main%20job", headers={"Authorization": "Bearer lf_x_y"})
    assert status == 401 and headers["content-type"] == "application/problem+json", (status, headers)
    assert get(chain.ports.reports, "/healthz")[0] == 200
    assert b"landfall_" in get(chain.ports.reports, "/metrics")[2]
    done = chain.landfall("doctor", "--config", chain.config())
    assert done.returncode == 0, done.stdout
    the_check_would_notice(chain, c)
    journals = glob.glob(chain.up.dir + "/**/*.seg", recursive=True)
    done = chain.landfall("dump", *journals)
    assert done.returncode == 0 and done.stdout.count("\n  sent ms=") == 200, (len(journals), done.stdout[-500:], done.stderr)
    dump_steps_over_damage(chain)


def dump_steps_over_damage(chain):
    """One turned bit costs one frame, and is said."""
    with open(chain.up.dir + "/rewriter/0000000000000000.seg", "rb") as f:
        segment = bytearray(f.read())
    segment[64 + 40 * 65] ^= 1
    copy = chain.dir + "/0000000000000000.seg"
    with open(copy, "wb") as f:
        f.write(segment)
    done = chain.landfall("dump", copy)
    assert done.returncode == 1 and done.stdout.count("\ndamaged ") == 1, (done.returncode, done.stderr)
    # A frame holds what one turn of the rewriter's loop delivered.
    assert 180 < done.stdout.count("\n  sent ms=") < 200, done.stdout.count("\n  sent ms=")


def test_commands(bench):
    """keys, API keys and settings: made, shown, checked, refused"""
    conf = bench.dir + "/landfall.conf"
    with open(conf, "w") as f:
        f.write("[data]\ndir = %s/data\n" % bench.dir)

    def landfall(*args, config=conf):
        done = subprocess.run([bench.bin + "/landfall", *args, "--config", config], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def mode(name):
        return os.stat(bench.dir + "/data/keys/" + name).st_mode & 0o7777

    status, _, said = landfall("key", "list")
    assert status == 3 and "landfall key add" in said, said
    assert landfall("key", "add")[0] == 0 and mode("ring") == 0o600
    status, _, said = landfall("key", "retire", "1")
    assert status == 1 and "only active key" in said, said
    assert landfall("key", "add")[0] == 0
    status, out, _ = landfall("key", "retire", "1")
    assert status == 0 and "0 days" in out, out
    status, out, _ = landfall("key", "list")
    assert status == 0 and "key  1   retired" in out and "key  2   active" in out, out
    status, out, _ = landfall("key", "add", "--api", "--tenant", "acme")
    assert status == 0 and re.fullmatch("lf_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\n", out) and mode("api") == 0o600, out
    with open(bench.dir + "/data/keys/api") as f:
        kept = f.read()
    assert kept == "%s acme %s\n" % (out[3:11], hashlib.sha256(out.strip().encode()).hexdigest()), kept
    assert landfall("key", "retire", "--api", out[3:11])[0] == 0
    assert landfall("key", "retire", "--api", out[3:11])[0] == 1
    os.chmod(bench.dir + "/data/keys/ring", 0o644)
    status, _, said = landfall("key", "list")
    assert status == 3 and "chmod 600" in said, said
    # What `config show` prints is a configuration, and the same one.
    status, out, _ = landfall("config", "show", "--set", "tracker.listen=127.0.0.1:9999")
    shown = bench.dir + "/shown.conf"
    with open(shown, "w") as f:
        f.write(out)
    assert status == 0 and "listen = 127.0.0.1:9999" in out
    assert landfall("config", "check", config=shown) == (0, shown + ": ok\n", "")
    assert landfall("config", "show", config=shown)[1] == out
    # Every command that is listed explains itself.
    listed = subprocess.run([bench.bin + "/landfall", "--help"], capture_output=True, text=True).stdout
    for command in re.findall("^  (\\w+) ", listed.split("Commands:")[1].split("\n\n")[0], re.M):
        done = subprocess.run([bench.bin + "/landfall", command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "landfall %s" % command in done.stdout and "xample" in done.stdout, (command, done)
    assert subprocess.run([bench.bin + "/landfall", "nonsense"], capture_output=True).returncode == 2


def the_check_would_notice(chain, c):
    """Every number of the report, made wrong by one, is seen to be wrong."""
    expected = chain.expected(c)
    for name in expected.counts():
        report = chain.report(c.name)
        *way, last = name.split(".")
        at = report
        for part in way:
            at = at[part]
        at[last] += 1
        assert len(check.compare(report, expected)[1]) == 1, name


def test_queue_id_join(bench):
    """without a return path of ours, log lines are joined by queue id"""
    chain = open_chain(bench, verp=False)
    chain.start()
    c = chain.begin("by queue id", 60)
    send_and_read(chain, c)
    must_agree(chain, c)


def test_log_rotation(bench):
    """the MTA's log is rotated while mail is on its way"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("rotated", 80, pace=0.4)
    sender = threading.Thread(target=c.send)
    sender.start()
    for part in (15, 40, 65):
        until("%d messages sent" % part, 60, lambda: c.done >= part)
        chain.mta.rotate()
    sender.join()
    chain.settle(c)
    must_agree(chain, c)


def start_redis(bench, dir):
    """A Redis of the test's own, that `landfall up` does not start again."""
    os.makedirs(dir, exist_ok=True)
    p = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", dir + "/r.sock", "--dir", dir, "--appendonly", "yes",
                          "--save", "", "--maxmemory-policy", "noeviction"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, start_new_session=True)
    bench.at_end.append(lambda: (p.kill(), p.wait()))

    def answers():
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(dir + "/r.sock")
                s.sendall(b"PING\r\n")
                return s.recv(5) == b"+PONG"
            except OSError:
                return False
    until("Redis", 20, answers)
    return p


def seed(socket_path, partition, key, tenant, name, sent, accepted):
    """A campaign as the fold leaves it; docs/FORMATS.md, "Redis keys"."""
    tag = "lf:{p%d}" % partition
    lines = ["HSET lf:meta partitions 16", "SADD %s:campaigns %s" % (tag, key), "SADD %s:cl:%s 000000aa" % (tag, key),
             'HSET %s:c:%s tenant %s name "%s" first_ms 1700000000000 last_ms 1700000001000' % (tag, key, tenant, name)]
    for fact, count in (("sent", sent), ("accepted", accepted)):
        lines += ["SETBIT %s:f:%s:000000aa:%s %d 1" % (tag, key, fact, n) for n in range(count)]
    lines.append("HINCRBY %s:c:%s version 1" % (tag, key))
    subprocess.run(["redis-cli", "-s", socket_path], input="\n".join(lines), text=True, check=True, stdout=subprocess.DEVNULL)


def test_api(bench):
    """the API: keys and tenants, pages, problems, Redis away and back"""
    dir = bench.dir + "/api"
    os.makedirs(dir)
    redis, path = start_redis(bench, dir), dir + "/r.sock"
    seed(path, 1, "0000000000000001", "acme", "spring/100% \\xc3\\xbc", 5, 3)
    seed(path, 2, "0000000000000002", "globex", "spring", 7, 7)
    port, config = free_ports(1), dir + "/landfall.conf"
    os.makedirs(dir + "/log")
    with open(config, "w") as f:
        f.write("[data]\ndir = %s\n[redis]\nsocket = %s\n[reports]\nlisten = 127.0.0.1:%d\n" % (dir, path, port))

    def key(*who):
        made = subprocess.run([bench.bin + "/landfall", "key", "add", "--api", *who, "--config", config], text=True,
                              capture_output=True, check=True)
        return {"Authorization": "Bearer " + next(w for w in made.stdout.split() if w.startswith("lf_"))}

    acme = key("--tenant", "acme")
    log = open(dir + "/log/reports.log", "w")
    program = subprocess.Popen([bench.bin + "/landfall-reports", "--config", config], stderr=log)
    bench.at_end.append(lambda: (program.terminate(), program.wait(20)))
    until("the API answers", 30, lambda: not chains.port_is_free(port) and get(port, "/healthz")[0] == 200)

    def ask(path, headers, **how):
        status, head, body = get(port, path, headers=headers, **how)
        assert head["cache-control"] == "no-store" and head["x-content-type-options"] == "nosniff", head
        if status >= 400:
            assert head["content-type"] == "application/problem+json" and json.loads(body)["status"] == status, body
        return status, json.loads(body) if body else None

    status, list = ask("/v1/campaigns", acme)
    assert status == 200 and [c["campaign"] for c in list["campaigns"]] == ["spring/100% \u00fc"] and list["next"] is None, list
    assert ask("/v1/campaigns/spring%2F100%25%20%C3%BC", acme)[1]["accepted"] == 3
    # Nothing of another tenant, not even its existence.
    assert ask("/v1/campaigns/spring", acme)[0] == ask("/v1/campaigns/nothing", acme)[0] == 404
    assert ask("/v1/campaigns/spring?tenant=globex", acme)[0] == 404
    # A key made while the program runs is taken up.
    both = key("--tenant", "*")
    until("the new key is known", 20, lambda: get(port, "/v1/campaigns", headers=both)[0] == 200)
    first = ask("/v1/campaigns?limit=1", both)[1]
    second = ask("/v1/campaigns?limit=1&after=" + first["next"], both)[1]
    assert [first["campaigns"][0]["tenant"], second["campaigns"][0]["tenant"], second["next"]] == ["acme", "globex", None]
    assert ask("/v1/campaigns/spring", both)[1]["sent"] == 7
    for bad in ("limit=0", "limit=1001", "limit=x", "limit=-1", "after=xyz", "after=ffffffffffffffff"):
        assert ask("/v1/campaigns?" + bad, both)[0] == 400, bad
    for bad in ("/v1", "/v1/campaigns/", "/v1/campaigns/a/b", "/v1/campaigns/%zz", "/v1/campaigns/%", "/V1/campaigns"):
        assert ask(bad, both)[0] == 404, bad
    for none in ({}, {"Authorization": "Bearer lf_"}, {"Authorization": acme["Authorization"][:-1]}):
        status, head, body = get(port, "/v1/campaigns", headers=none)
        assert (status, head["www-authenticate"]) == (401, "Bearer"), (status, head)
    status, head, _ = get(port, "/v1/campaigns", method="DELETE", headers=both)
    assert status == 405 and head["allow"] == "GET, HEAD"
    status, head, body = get(port, "/v1/campaigns", method="HEAD", headers=both)
    assert status == 200 and body == b"" and int(head["content-length"]) > 100
    # Redis goes: the last picture stays, grows older, and health says so.
    redis.kill()
    redis.wait()
    until("health turns", 20, lambda: get(port, "/healthz")[0] == 503)
    age = ask("/v1/campaigns/spring", both)[1]["age_seconds"]
    until("the age grows", 20, lambda: ask("/v1/campaigns/spring", both)[1]["age_seconds"] > age)
    assert ask("/v1/campaigns/spring", both)[1]["sent"] == 7
    told = subprocess.run([bench.bin + "/landfall", "report", "--config", config], text=True, capture_output=True)
    assert told.returncode == 3 and path in told.stderr and "does not answer" in told.stderr, told
    start_redis(bench, dir)
    seed(path, 2, "0000000000000002", "globex", "spring", 9, 7)
    until("the picture is right again", 20, lambda: get(port, "/healthz")[0] == 200 and ask("/v1/campaigns/spring", both)[1]["sent"] == 9)


def test_redis_away(bench):
    """Redis is stopped while mail is sent and read, and comes back"""
    dir = bench.dir + "/redis"
    redis = start_redis(bench, dir)
    chain = open_chain(bench, sets=["redis.socket=" + dir + "/r.sock"])
    chain.start()
    c = chain.begin("redis away", 80, pace=0.03)
    sender = threading.Thread(target=c.send)
    sender.start()
    until("some messages sent", 60, lambda: c.done >= 15)
    redis.terminate()
    redis.wait()
    sender.join()
    assert c.done == 80, "mail stopped when Redis was away: %s" % c.trouble
    # Half of the reading happens without Redis as well: links never need it.
    until("something to read", 60, lambda: chain.mta.queue() == [] or c.readers.waiting())
    assert c.readers.read_new() > 0
    start_redis(bench, dir)
    chain.settle(c)
    must_agree(chain, c)


def test_kills(bench):
    """every program is killed while mail is sent and read, and started again"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("kills", 120, pace=0.05)
    reading = threading.Event()

    def read():
        while not reading.is_set():
            c.readers.read_new()
            time.sleep(0.2)

    sender, reader = threading.Thread(target=c.send), threading.Thread(target=read)
    sender.start()
    reader.start()
    try:
        for i, name in enumerate(["rewriter", "tracker", "collector", "reports", "redis"] * (4 if bench.nightly else 1)):
            until("some more mail", 60, lambda: c.done >= min(115, 15 + 20 * i) or not sender.is_alive())
            pid = until("%s to run" % name, 20, lambda: chain.up.pid_of(name))
            os.kill(pid, signal.SIGKILL)
            until("%s to be started again" % name, 20, lambda: (chain.up.pid_of(name) or pid) != pid)
    finally:
        sender.join()
        reading.set()
        reader.join()
    assert not c.trouble, c.trouble
    chain.settle(c)
    must_agree(chain, c)
    said = [line for line in chain.up.lines if "starting it again" in line]
    assert len(said) >= 5, chain.up.lines


def test_restart(bench):
    """all is stopped between sending and reading, and again before the report; the log is rotated meanwhile"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("restart", 40)
    c.send()
    assert chain.up.stop() == 0, chain.up.lines
    chain.mta.rotate()
    until("a delivery into the new log", 30, lambda: os.path.exists(chain.mta.log) and os.path.getsize(chain.mta.log))
    chain.mta.rotate()
    chain.up.start()
    chain.settle(c)
    assert chain.up.stop() == 0, chain.up.lines
    chain.up.start()
    must_agree(chain, c)


def test_forged_tokens(bench):
    """a token that was touched leads nowhere and counts nothing"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("forged", 10)
    c.send()
    until("a copy", 60, lambda: c.readers.waiting())
    line = c.readers.waiting()[0]
    with open(chain.sink_dir + "/mail/" + line["file"], "rb") as f:
        copy = chains.readers.Copy(f.read(), line["from"], line["rcpt"])
    href = copy.tracked[0][0]
    path = "/c/" + href.split("/c/")[1]
    assert get(chain.ports.tracker, path, "OPTIONS")[0] == 405
    for at in range(4, len(path), max(1, len(path) // 40)):
        other = "A" if path[at] != "A" else "B"
        status, headers, _ = get(chain.ports.tracker, path[:at] + other + path[at + 1:])
        assert status == 404 and "location" not in headers, (status, headers, at)
    for bad in ("/c/", path[:-5], path.replace("/c/", "/u/"), path + "AAAA", "/c/" + "A" * 4000):
        status, headers, _ = get(chain.ports.tracker, bad)
        assert status in (404, 414) and "location" not in headers, (status, headers, bad)
    pixel = "/o/" + copy.pixels[0].split("/o/")[1]
    status, headers, body = get(chain.ports.tracker, pixel[:-10] + "AAAAAA.gif")
    assert status == 200 and headers["content-type"] == "image/gif" and len(body) == 43, (status, headers)
    # A scanner that follows the unsubscribe link unsubscribes nobody.
    unsubscribe = "/u/" + copy.unsubscribe.split("/u/")[1]
    assert get(chain.ports.tracker, unsubscribe)[0] == 200
    # What is in the token, says the command; a forged one, it refuses.
    done = chain.landfall("token", "show", href, "--config", chain.config())
    assert done.returncode == 0 and copy.tracked[0][1] in done.stdout, done
    done = chain.landfall("token", "show", href[:-4] + "AAAA", "--config", chain.config())
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    # Nothing of this reached the report, while one true click does.
    chain.settle(c)
    must_agree(chain, c)


def test_wrong_settings(bench):
    """an unknown key, a bad value and a taken port are named, with the right exit status"""
    up = Up(bench.bin, bench.dir + "/d", free_ports(12))

    def fails(*args):
        done = subprocess.run([bench.bin + "/landfall", "up", "--dir", up.dir, "--port-base", str(up.port_base), *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    conf = bench.dir + "/wrong.conf"
    with open(conf, "w") as f:
        f.write("[tracker]\nlisten = 127.0.0.1:1\nlisten_adress = x\n")
    for program in ("landfall-rewriter", "landfall-tracker", "landfall-collector", "landfall-reports"):
        done = subprocess.run([bench.bin + "/" + program, "--config", conf], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and "listen_adress" in done.stderr and ":3" in done.stderr, done
        assert done.stderr.count("\n") == 1, done.stderr
    status, said = fails("--config", conf)
    assert status == 1 and "listen_adress" in said, (status, said)
    status, said = fails("--set", "store.partitions=0")
    assert status == 1 and "store.partitions" in said and "1..1024" in said, (status, said)
    status, said = fails("--nonsense")
    assert status == 2 and "--nonsense" in said, (status, said)
    for name, port in (("rewriter", up.port_base), ("tracker", up.port_base + 1), ("reports", up.port_base + 2)):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            status, said = fails()
        assert status == 3 and name + ".listen" in said and str(port) in said, (status, said)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert up.dir not in left, "something was left running: " + left


def test_many_connections(bench):
    """mail and clicks from many connections at once"""
    chain = open_chain(bench)
    chain.start()
    c = chain.begin("many", 400 if bench.nightly else 160)
    c.readers.threads = 16
    c.send(connections=24)
    chain.settle(c)
    must_agree(chain, c)


