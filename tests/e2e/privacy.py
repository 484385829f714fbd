"""Withdrawal and what is kept, through the real chain."""
import glob
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import time

import check
from chain import Chain, Ports, free_ports, until


class Redis:
    """The private Redis of a chain: commands in, replies as they are."""

    def __init__(self, path):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(path)
        self.file = self.link.makefile("rb")

    def ask(self, *args):
        args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.link.sendall(b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args))
        return self._reply()

    def _reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        assert kind != b"-", line
        return int(rest) if kind == b":" else rest

    def all(self):
        """(key, everything in it) of all keys."""
        for key in self.ask("KEYS", "*"):
            kind = self.ask("TYPE", key)
            value = self.ask(*{b"string": ("GET", key), b"hash": ("HGETALL", key), b"set": ("SMEMBERS", key),
                               b"stream": ("XRANGE", key, "-", "+")}[kind])
            yield key, repr_bytes(value)

    def close(self):
        self.link.close()


def repr_bytes(value):
    if isinstance(value, list):
        return b"\0".join(repr_bytes(v) for v in value)
    return value if isinstance(value, bytes) else str(value).encode()


def keys_with(redis, bytes):
    return [key for key, value in redis.all() if bytes in value or bytes in key]


def recipient_hash(chain, address):
    with open(chain.up.dir + "/keys/ring") as f:
        key = re.search("^hash ([0-9a-fA-F]{64})$", f.read(), re.M).group(1)
    local, domain = address.rsplit("@", 1)
    return hmac.new(bytes.fromhex(key), b"recipient" + (local + "@" + domain.lower()).encode(), hashlib.sha256).digest()[:8]


def counter(redis, word):
    return sum(int(redis.ask("HGET", key, word) or 0) for key in redis.ask("KEYS", "lf:{p*}:c:*"))


def wrong_without(chain, c, gone):
    """How the report differs from the ledgers without these readers."""
    lines = [line for line in check.lines(chain.dir + "/readers-%s.jsonl" % c.run) if line["rcpt"] not in gone]
    expected = check.Expected(c.result, check.lines(chain.sink_dir + "/ledger.jsonl"), lines, c.run)
    return check.compare(chain.report(c.name), expected)[1]


def test_forget(bench):
    """an address withdraws: within a second its hits are gone, later ones count nothing, its links work"""
    chain = Chain(bench.bin, bench.dir, Ports(free_ports(12)), sets=["track.mode=full"])
    bench.chains.append(chain)
    chain.start()
    c = chain.begin("forget me", 60)
    c.send(limit=120)
    chain.settle(c, 120)
    until("a right report", 60, lambda: not chain.compare(c, 1)[1])
    redis = Redis(chain.up.dir + "/redis/redis.sock")
    bench.at_end.append(redis.close)
    who = next(a for a in c.result if a.startswith("ok-reader-"))
    other = next(a for a in c.result if a.startswith("ok-reader-") and a != who)
    hash = recipient_hash(chain, who)
    assert keys_with(redis, hash), "the address is not where it should be found"

    began = time.monotonic()
    done = chain.landfall("forget", who, "--config", chain.config())
    took = time.monotonic() - began
    assert done.returncode == 0 and re.match(r"forgotten: 1 messages to 1 addresses, within 0\.\d s", done.stdout), done
    assert took < 5, took  # of a program with sanitizers on a busy machine; what it says itself is below a second
    until("a report without them", 20, lambda: not wrong_without(chain, c, {who}))
    left = [k for k in keys_with(redis, hash) + keys_with(redis, b"%016x" % int.from_bytes(hash, "little"))
            if not re.fullmatch(rb"lf:\{p\d+\}:forgotten", k)]
    assert not left, left

    # Read again: every link leads where it did, and nothing is counted. Another one's is.
    before = check.lines(chain.dir + "/readers-%s.jsonl" % c.run)
    for line in check.lines(chain.sink_dir + "/ledger.jsonl"):
        if line["rcpt"] in (who, other) and line["file"]:
            c.readers._read(line)
    assert not c.readers.wrong, c.readers.wrong
    new = check.lines(chain.dir + "/readers-%s.jsonl" % c.run)[len(before):]
    mine = [line for line in new if line["rcpt"] == who]
    assert len(mine) == 3 and [line["status"] for line in mine] == [200, 302, 302], mine
    until("all hits folded", 30, lambda: counter(redis, "hits_forgotten") == 3)
    until("a right report", 20, lambda: not wrong_without(chain, c, {who}))
    done = chain.landfall("verify", c.name, "--config", chain.config())
    assert done.returncode == 0 and " agree" in done.stdout, done
    assert not [k for k in keys_with(redis, hash) if not k.endswith(b"}:forgotten")]

    # Nobody, twice the same, and while nobody folds.
    done = chain.landfall("forget", "nobody@example.test", "--config", chain.config())
    assert done.returncode == 0 and done.stdout.startswith("forgotten: 0 messages"), done
    done = chain.landfall("forget", who, other, "--tenant", "nosuch", "--config", chain.config())
    assert done.returncode == 0 and done.stdout.startswith("forgotten: 0 messages"), done
    assert chain.landfall("forget", "nobody", "--config", chain.config()).returncode == 2
    assert not wrong_without(chain, c, {who})


def test_replay(bench):
    """a store filled again from journals alone has the same report; done twice, nothing counts twice"""
    chain = Chain(bench.bin, bench.dir, Ports(free_ports(12)))
    bench.chains.append(chain)
    chain.start()
    c = chain.begin("replay", 40)
    c.send(limit=120)
    chain.settle(c, 120)
    until("a right report", 60, lambda: not chain.compare(c, 1)[1])
    frames = glob.glob(chain.up.dir + "/**/*.seg", recursive=True)
    dir = bench.dir + "/other"
    os.makedirs(dir)
    other = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", dir + "/r.sock", "--dir", dir, "--save", ""],
                             stdout=subprocess.DEVNULL)
    bench.at_end.append(lambda: (other.kill(), other.wait()))
    until("another Redis", 20, lambda: os.path.exists(dir + "/r.sock"))
    there = ["--config", chain.config(), "--set", "redis.socket=" + dir + "/r.sock"]

    def replay(pattern):
        done = chain.landfall("dump", "--replay", *there, *frames)
        assert done.returncode == 0 and re.search(pattern, done.stdout), done

    def report():
        done = chain.landfall("report", c.name, "--json", *there)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def is_right():
        rows, wrong = check.compare(report(), chain.expected(c)) if report() else ([], ["none"])
        return rows and not wrong

    replay(r"^[1-9]\d* frames added, 0 were there or folded, 0 too late, 0 of other partitions\n")
    replay(r"^0 frames added, [1-9]\d* were there or folded, 0 too late")
    collector = subprocess.Popen([chain.bin + "/landfall-collector", *there, "--set", "collector.postfix_log=",
                                  "--set", "data.dir=" + dir], stderr=subprocess.DEVNULL)
    bench.at_end.append(lambda: (collector.kill(), collector.wait()))
    until("the same report", 60, is_right)
    replay(r"^0 frames added, [1-9]\d* were there or folded, 0 too late")
    time.sleep(1)
    assert is_right(), report()
