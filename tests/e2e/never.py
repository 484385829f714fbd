"""Never lose, never double: a load with a ledger of its own, while programs are killed,
Redis misbehaves, the disk fails, the power goes and the clock jumps.

What the load was told (a 250, a 302, a GIF) must be in the store once; what was
asked and never answered may be there once or not. The key of the ledger is a
message and what was done with it: opened or clicked. Behind it all stands what
`landfall report` says, and `landfall verify` must agree.

    LANDFALL_SEED=n    the same load, the same programs killed after the same pauses
"""
import collections
import contextlib
import ctypes
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from html import unescape

from chain import free_ports, until
from smtp import Client, Hop

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
MESSAGE = ("From: news@brand.test\r\nTo: %(to)s\r\nSubject: never\r\nMessage-ID: <%(id)s@brand.test>\r\n"
           "X-Landfall-Campaign: %(campaign)s\r\nX-Landfall-Recipient-Id: %(id)s\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
           "<html><body><a href=\"https://shop.example/p?id=%(id)s\">buy</a></body></html>\r\n")
CAMPAIGNS = 3
# The store keeps 128 hits of a message.
MOST_HITS = 100
DOMAIN = "bounce.brand.test"
OPEN, CLICK = 0, 1  # kinds of kept hits
# tests/shim/disk.h
CONTROL = struct.Struct("=QQQQQQqQQ")
CALLS_ALL, FOR_EVER = 31, (1 << 64) - 1
ENOSPC, EIO = 28, 5


class Redis:
    """As much of a client as is needed here."""

    def __init__(self, path):
        self.link = socket.socket(socket.AF_UNIX)
        self.link.settimeout(20)
        self.link.connect(path)
        self.f = self.link.makefile("rb")

    def ask(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.read()

    def read(self):
        line = self.f.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis is gone")
        what, rest = line[:1], line[1:-2]
        if what == b"*":
            return [self.read() for _ in range(int(rest))]
        if what == b"$":
            return None if rest == b"-1" else self.f.read(int(rest) + 2)[:-2]
        return int(rest) if what == b":" else rest if what == b"+" else RuntimeError(rest.decode())

    def close(self):
        self.f.close()
        self.link.close()


class Shim:
    """libdisk_shim.so over one program's files."""

    def __init__(self, world, name, power=False):
        self.lib, self.dir = world.bench.bin + "/libdisk_shim.so", os.path.realpath(world.dir + "/data") + "/" + name
        self.path, self.log = world.dir + "/shim-" + name, world.dir + "/written-" + name if power else None
        self.set()

    def set(self, first=0, last=0, error=0, torn=0, sync_ms=0, clock_ms=0):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(CONTROL.pack(CALLS_ALL, first, last, error, torn, sync_ms, clock_ms, 0, 0))

    def failed(self):
        with open(self.path, "rb") as f:
            return CONTROL.unpack(f.read(CONTROL.size))[8]

    def env(self):
        env = {"LD_PRELOAD": self.lib, "LANDFALL_SHIM": self.path, "LANDFALL_SHIM_DIR": self.dir,
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        return {**env, "LANDFALL_SHIM_LOG": self.log} if self.log else env

    def power_cut(self, keep, seed):
        """Bytes that were not synced."""
        cut = ctypes.CDLL(self.lib).shim_power_cut
        cut.restype, cut.argtypes = ctypes.c_int64, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64]
        n = cut(self.log.encode(), self.dir.encode(), keep, seed)
        assert n >= 0, "the power cut could not be played"
        return n


class LoggingHop(Hop):
    """The MTA behind the rewriter: writes the log that the collector follows. One of five bounces."""

    def __init__(self, path):
        self.path, self.logged = path, 0
        open(path, "w").close()
        super().__init__()

    def log_new(self):
        """Lines for what was taken since the last call."""
        taken = self.taken[self.logged:]
        with open(self.path, "a") as f:
            for i, (sender, rcpt, _, _) in enumerate(taken, self.logged + 1):
                id, stamp = self.queue_id % i, time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", time.gmtime())
                how = ("dsn=5.1.1, status=bounced (550 5.1.1 none)" if bounces(rcpt) else "dsn=2.0.0, status=sent (250 2.0.0 Ok)")
                f.write("%s mx postfix/qmgr[1]: %s: from=<%s>, size=900, nrcpt=1 (queue active)\n" % (stamp, id, sender))
                f.write("%s mx postfix/smtp[1]: %s: to=<%s>, relay=h[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, %s\n" % (stamp, id, rcpt, how))
                f.write("%s mx postfix/qmgr[1]: %s: removed\n" % (stamp, id))
        self.logged += len(taken)


def bounces(rcpt):
    return int(rcpt.split("@")[0].split("-")[1]) % 5 == 0


class World:
    """The programs, each a process of the test's own, and what they are told to do."""

    def __init__(self, bench, programs=("tracker", "rewriter", "collector"), **settings):
        self.bench, self.dir = bench, bench.dir + "/never"
        self.seed = int(os.environ.get("LANDFALL_SEED", 0)) or random.randrange(1, 1 << 30)
        self.rng = random.Random(self.seed)
        os.makedirs(self.dir + "/log")
        os.makedirs(self.dir + "/redis")
        base = free_ports(8)
        self.smtp, self.web, self.health_port = base, base + 1, base + 2
        self.redis_socket, self.config = self.dir + "/redis/r.sock", self.dir + "/landfall.conf"
        self.hop = LoggingHop(self.dir + "/mail.log")
        bench.at_end.append(self.hop.close)
        all = {"data.dir": self.dir + "/data", "redis.socket": self.redis_socket, "store.partitions": "4",
               "rewriter.listen": "127.0.0.1:%d" % self.smtp, "rewriter.next_hop": "127.0.0.1:%d" % self.hop.port,
               "rewriter.metrics": "127.0.0.1:%d" % (base + 3),
               "tracker.listen": "127.0.0.1:%d" % self.web, "tracker.metrics": "127.0.0.1:%d" % self.health_port,
               "tracker.threads": "2", "track.url": "http://127.0.0.1:%d" % self.web, "track.return_path_domain": DOMAIN,
               "collector.postfix_log": self.hop.path, "journal.segment_mb": "1", **settings}
        with open(self.config, "w") as f:
            f.writelines("[%s]\n%s = %s\n" % (*key.split(".", 1), value) for key, value in all.items())
        self.landfall("key", "add")
        self.shims, self.processes, self.kills, self.redis_sets = {}, {}, collections.Counter(), []
        bench.at_end.append(self.kill_all)
        self.programs = ("redis",) + programs

    def begin(self):
        for name in self.programs:
            self.start(name)
        self.ready()

    def landfall(self, *args):
        done = subprocess.run([self.bench.bin + "/landfall", *args, "--config", self.config], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode in (0, 3), done
        return done

    def start(self, name):
        if name == "redis":
            args = ["redis-server", "--port", "0", "--unixsocket", self.redis_socket, "--dir", self.dir + "/redis", "--appendonly", "yes",
                    "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction", *self.redis_sets]
        else:
            args = [self.bench.bin + "/landfall-" + name, "--config", self.config]
        env = {**os.environ, **(self.shims[name].env() if name in self.shims else {})}
        with open("%s/log/%s.log" % (self.dir, name), "ab") as log:
            self.processes[name] = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def kill(self, name):
        p = self.processes[name]
        assert p.poll() is None, "%s ended with %s: %s" % (name, p.returncode, open("%s/log/%s.log" % (self.dir, name), errors="replace").read()[-1500:])
        p.kill()
        p.wait()
        self.kills[name] += 1

    def kill_all(self):
        for p in self.processes.values():
            p.kill()
            p.wait()

    def ready(self):
        def open_door(port):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return True

        if "tracker" in self.programs:
            until("the tracker's port", 30, lambda: open_door(self.web))
        if "rewriter" in self.programs:
            until("the rewriter's port", 30, lambda: open_door(self.smtp))
        until("Redis", 30, self.redis_answers)

    def redis_answers(self):
        with contextlib.suppress(OSError, ValueError):
            r = Redis(self.redis_socket)
            try:
                return r.ask("PING") == b"PONG"
            finally:
                r.close()

    def redis(self, *words):
        r = Redis(self.redis_socket)
        try:
            return r.ask(*words)
        finally:
            r.close()

    def health(self, port=None):
        link = http.client.HTTPConnection("127.0.0.1", port or self.health_port, timeout=10)
        try:
            link.request("GET", "/healthz")
            return link.getresponse().status
        finally:
            link.close()

    def metrics(self, port=None):
        link = http.client.HTTPConnection("127.0.0.1", port or self.health_port, timeout=10)
        try:
            link.request("GET", "/metrics")
            return {k: int(v) for k, v in re.findall(r"(?m)^landfall_(\w+) (-?\d+)", link.getresponse().read().decode())}
        finally:
            link.close()

    def stop(self):
        """All in order; each must end well."""
        for name in [n for n in ("rewriter", "tracker", "collector") if n in self.programs]:
            p = self.processes[name]
            p.terminate()
            assert p.wait(40) == 0, "%s ended with %d" % (name, p.returncode)


class Load:
    """Mail, opens and clicks, and the ledger of what was answered."""

    def __init__(self, world, messages, mailers=2, readers=4, pause=0.0, mail_pause=0.0):
        self.w, self.todo, self.pause, self.mail_pause = world, list(range(messages))[::-1], pause, mail_pause
        self.lock, self.stopping, self.trouble = threading.Lock(), threading.Event(), []
        self.ok = {}                                # message -> campaign, once it got its 250
        self.answered, self.unanswered = collections.Counter(), collections.Counter()  # of (message, kind)
        self.asked = collections.Counter()          # of message: hits, for MOST_HITS
        self.replies = collections.Counter()
        self.slowest, self.when = 0.0, collections.deque(maxlen=20000)  # of answers
        self.urls, self.read_so_far = [], 0
        self.threads = [threading.Thread(target=self.guard, args=(self.mail, n)) for n in range(mailers)]
        self.mailers = list(self.threads)
        self.threads += [threading.Thread(target=self.guard, args=(self.read, n)) for n in range(readers)]
        self.threads.append(threading.Thread(target=self.guard, args=(self.log, 0)))

    def start(self):
        for t in self.threads:
            t.start()

    def guard(self, work, n):
        try:
            work(random.Random("%d %s %d" % (self.w.seed, work.__name__, n)))
        except Exception as e:  # noqa: BLE001 - told by finish
            self.trouble.append(repr(e))

    def mail(self, rng):
        c = None
        while not self.stopping.is_set():
            with self.lock:
                n = self.todo.pop() if self.todo else None
            if n is None:
                break
            campaign, to = "never %d" % rng.randrange(CAMPAIGNS), "ok-%d@a.test" % n
            data = (MESSAGE % {"to": to, "id": "m%d" % n, "campaign": campaign}).encode()
            said = ""
            while not said.startswith("250"):
                said = "lost"
                with contextlib.suppress(OSError, IndexError, AssertionError):
                    c = c or Client(self.w.smtp, timeout=30).hello()
                    said = c.begin(to).end(data)[0]
                with self.lock:
                    self.replies["smtp " + said.split()[0]] += 1
                if not said.startswith("250"):
                    if c:
                        c.close()
                    c = None
                    time.sleep(0.02)
            with self.lock:
                self.ok[n] = campaign
            time.sleep(self.mail_pause)

    def log(self, rng):
        while not self.stopping.wait(0.05):
            self.see()
        self.see()

    def see(self):
        """What the hop took goes into its log, and to the readers."""
        self.w.hop.log_new()
        for sender, rcpt, data, _ in self.w.hop.taken[self.read_so_far:self.w.hop.logged]:
            n = int(rcpt.split("@")[0].split("-")[1])
            text = unescape(data.decode())
            found = [re.search(r'"http://[^/]*(/%s/[^"]*)"' % kind, text) for kind in "oc"]
            assert all(found), text
            self.urls.append((n, found[0][1], found[1][1]))
        self.read_so_far = self.w.hop.logged

    def read(self, rng):
        link = None
        while not self.stopping.is_set():
            if self.urls:
                link = self.hit(link, rng)
            time.sleep(self.pause if self.urls else 0.02)

    def hit(self, link, rng):
        n, *paths = self.urls[rng.randrange(len(self.urls))]
        kind = rng.randrange(2)
        with self.lock:
            self.asked[n] += 1
            if self.asked[n] > MOST_HITS:
                return link
        began, sent = time.monotonic(), False
        try:
            if not link:
                link = http.client.HTTPConnection("127.0.0.1", self.w.web, timeout=30)
                link.connect()
            sent = True
            link.request("GET", paths[kind], headers={"User-Agent": BROWSER})
            answer = link.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            status = 0
            link.close()
            link = None
        with self.lock:
            if status:
                assert status == (302 if kind == CLICK else 200), (status, paths[kind])
                self.answered[n, kind] += 1
                self.when.append(time.monotonic())
                self.replies["http %d" % status] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            elif sent:
                self.unanswered[n, kind] += 1
                self.replies["http lost"] += 1
            else:
                self.replies["http refused"] += 1
        if not status:
            time.sleep(0.02)
        return link

    def finish(self, limit=120):
        """All mail taken, then no more hits."""
        deadline = time.monotonic() + limit
        while any(t.is_alive() for t in self.mailers) and time.monotonic() < deadline and not self.trouble:
            time.sleep(0.05)
        assert not self.todo and not any(t.is_alive() for t in self.mailers), "mail was not taken: %d left; %s" % (len(self.todo), self.trouble)
        self.end()

    def end(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
        assert not self.trouble and not any(t.is_alive() for t in self.threads), self.trouble


def kept_hits(w):
    """Counter of (campaign, lane, sequence, kind), and ids of all that was sent, out of the store."""
    r, hits = Redis(w.redis_socket), collections.Counter()
    keys = r.ask("KEYS", "lf:{p*}:k:*")
    assert isinstance(keys, list), keys
    for key in keys:
        campaign, lane, block = key.decode().split(":")[3:6]
        data = r.ask("GET", key)
        for i in range(0, len(data), 17):
            kind = data[i + 1] >> 4
            hits[campaign, lane, int(block, 16) * 256 + data[i], OPEN if kind in (0, 3) else CLICK if kind in (1, 4) else kind] += 1
    r.close()
    return hits


def dumped(w, lanes):
    """What the journals hold, as text."""
    return subprocess.run("%s/landfall dump %s/data/%s/*.seg" % (w.bench.bin, w.dir, lanes), shell=True, capture_output=True, text=True).stdout


def identities(w):
    """message -> {(campaign, lane, sequence)}, out of what the rewriter recorded."""
    found = collections.defaultdict(set)
    for line in dumped(w, "rewriter").splitlines():
        if line.startswith("  recipient "):
            e = dict(re.findall(r'([\w-]+)="?([^" ]*)', line))
            found[int(e["id"][1:])].add((e["campaign"], e["lane"], int(e["sequence"])))
    return found


def differences(w, load, lost=0):
    """What is not as it must be, in words. lost: hits that the programs themselves count as lost."""
    ids, hits, wrong = identities(w), kept_hits(w), []
    gone = double = 0
    for n in load.ok:
        if len(ids[n]) != 1:
            wrong.append("message %d has the identities %s" % (n, ids[n]))
    for n in set(ids) | set(load.asked):
        for kind in (OPEN, CLICK):
            there = sum(hits.pop((*id, kind), 0) for id in ids[n])
            least, most = load.answered[n, kind], load.answered[n, kind] + load.unanswered[n, kind]
            gone += max(0, least - there)
            double += max(0, there - most)
    if hits:
        wrong.append("hits of nobody: %s" % list(hits.items())[:3])
    if gone != lost or double:
        wrong.append("%d hits lost (%d counted), %d double" % (gone, lost, double))
    by_campaign = collections.Counter(load.ok.values())
    for name, count in sorted(by_campaign.items()):
        done = w.landfall("report", name, "--json")
        if done.returncode != 0:
            wrong.append("no report of " + name)
            continue
        report = json.loads(done.stdout)
        mine = [n for n in load.ok if load.ok[n] == name]
        bounced = sum(bounces("ok-%d@" % n) for n in mine)
        for what, want in (("sent", count), ("accepted", count - bounced), ("bounced", bounced)):
            if report[what] != want:
                wrong.append("%s: %s is %s, not %d" % (name, what, report[what], want))
    return wrong


def must_agree(w, load, limit=90, lost=0):
    """Until the store says what the ledger says."""
    deadline = time.monotonic() + limit
    while True:
        try:
            wrong = differences(w, load, lost)
        except (OSError, AssertionError) as e:
            wrong = [repr(e)]
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert not wrong, "seed %d: %s" % (w.seed, "; ".join(wrong[:6]))
    for name in sorted(set(load.ok.values())):
        done = w.landfall("verify", name)
        assert done.returncode == 0 and re.search("/%s: [1-9].* agree$" % re.escape(name), done.stdout, re.M), done
    copies = len(w.hop.taken)
    print("  seed %d: killed %s; %d messages (%d copies), %d hits answered, %d not; %s; lost %d, double 0"
          % (w.seed, ", ".join("%s %d" % k for k in sorted(w.kills.items())) or "nobody", len(load.ok), copies, sum(load.answered.values()),
             sum(load.unanswered.values()), ", ".join("%s: %d" % r for r in sorted(load.replies.items())), lost))


def test_never_kill(bench):
    """kill -9 of tracker, rewriter, collector and Redis at random moments under load: zero lost, zero double, key by key"""
    kills = 1000 if bench.nightly else 100
    w = World(bench)
    w.begin()
    load = Load(w, 4 * kills, pause=0.01)
    load.start()
    began = time.monotonic()
    for _ in range(kills):
        time.sleep(w.rng.random() ** 2 * 1.2)
        name = w.rng.choice(w.programs)
        w.kill(name)
        time.sleep(w.rng.random() * 0.1)
        w.start(name)
    print("  %d kills in %.0f s" % (kills, time.monotonic() - began))
    load.finish()
    w.ready()
    must_agree(w, load)


def connected(path):
    with contextlib.suppress(OSError):
        return Redis(path)


class Undisturbed:
    """Mail and redirects that nothing may hold up."""

    def __init__(self, load):
        self.load, self.before = load, (load.unanswered.copy(), load.replies.copy())
        self.load.slowest = 0.0

    def check(self, what, limit=5.0):
        replies = self.load.replies - self.before[1]
        bad = {k: v for k, v in replies.items() if k not in ("http 200", "http 302", "smtp 250")}
        assert not bad and self.load.unanswered == self.before[0], "%s: %s" % (what, bad)
        assert replies["http 200"] > 0 and self.load.slowest < limit, "%s: %s, slowest %.1f s" % (what, replies, self.load.slowest)
        return "%s: %d mails, %d hits" % (what, replies["smtp 250"], replies["http 200"] + replies["http 302"])


def test_never_redis(bench):
    """Redis stopped, killed, cut back, flushed, full, read-only, slow and replaced: mail and redirects go on, all is there in the end, once"""
    w = World(bench, **{"redis.timeout_ms": "500"})
    w.begin()
    load = Load(w, 100000, mail_pause=0.15, pause=0.02)
    load.start()
    told = []

    def restart(cut=0):
        w.kill("redis")
        time.sleep(0.3)
        if cut:
            # What the power took: the end of the youngest file that is appended to.
            path = max([w.dir + "/redis/appendonlydir/" + n for n in os.listdir(w.dir + "/redis/appendonlydir") if n.endswith(".incr.aof")],
                       key=os.path.getmtime)
            with open(path, "r+b") as f:
                f.truncate(max(0, os.path.getsize(path) - cut))
        w.start("redis")
        until("Redis", 30, w.redis_answers)

    def stopped():
        w.processes["redis"].send_signal(signal.SIGSTOP)
        time.sleep(3)
        w.processes["redis"].send_signal(signal.SIGCONT)

    def full():
        w.redis("CONFIG", "SET", "maxmemory", 1)
        time.sleep(2)
        w.redis("CONFIG", "SET", "maxmemory", 0)

    def read_only():
        w.redis("CONFIG", "SET", "min-replicas-to-write", 1)
        time.sleep(2)
        w.redis("CONFIG", "SET", "min-replicas-to-write", 0)

    def slow():
        # Each sleeps longer than the programs wait.
        for _ in range(3):
            w.redis("DEBUG", "SLEEP", "0.8")
            time.sleep(0.1)

    def promoted():
        """A replica that has not heard of the last two seconds takes the name and the place of the one that was killed."""
        dir, port = w.dir + "/replica", free_ports(1)
        os.makedirs(dir, exist_ok=True)
        w.redis("CONFIG", "SET", "port", port)
        args = ["redis-server", "--port", "0", "--unixsocket", dir + "/r.sock", "--dir", dir, "--appendonly", "yes", "--save", "",
                "--replicaof", "127.0.0.1", str(port)]
        replica = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        bench.at_end.append(lambda: (replica.kill(), replica.wait()))
        r = until("the replica", 20, lambda: connected(dir + "/r.sock"))
        until("the replica is up", 20, lambda: b"master_link_status:up" in r.ask("INFO", "replication"))
        r.ask("REPLICAOF", "NO", "ONE")
        r.close()
        time.sleep(2)
        w.kill("redis")
        os.rename(dir + "/r.sock", w.redis_socket)
        w.processes["redis"] = replica

    w.redis_sets = ["--enable-debug-command", "yes"]
    cases = [("stopped", stopped), ("killed", restart), ("full", full), ("read-only", read_only), ("slow", slow),
             ("cut back by 1 KB", lambda: restart(1000)), ("cut back by 40 KB", lambda: restart(40000)),
             ("cut back to nothing", lambda: restart(1 << 40)), ("flushed", lambda: w.redis("FLUSHALL"))]
    try:
        for name, act in cases * (5 if bench.nightly else 1) + [("a replica promoted", promoted)]:
            time.sleep(0.5)
            u = Undisturbed(load)
            act()
            time.sleep(0.5)
            told.append(u.check(name))
    finally:
        with load.lock:
            load.todo.clear()
        if load.trouble or not told:
            load.end()
    load.finish()
    print("  " + "; ".join(told))
    must_agree(w, load)


def counted_lost(w, program):
    """What its lanes have told Redis."""
    told = w.redis("HGETALL", "lf:producers")[1::2]
    return sum(int(re.search(rb"lost=(\d+)", t)[1]) for t in told if b"program=" + program.encode() in t)


def test_never_disk(bench):
    """no room and errors under the tracker: each hit answered, each one lost counted, health red within a second, green when the disk is"""
    w = World(bench)
    disk = w.shims["tracker"] = Shim(w, "tracker")
    w.begin()
    load = Load(w, 30, pause=0.01)
    load.start()
    until("something to read", 30, lambda: load.answered)
    until("all mail", 60, lambda: not any(t.is_alive() for t in load.mailers))
    reds = []
    u = Undisturbed(load)
    for error in (ENOSPC, EIO):
        assert w.health() == 200
        lost, began = w.metrics()["events_lost"], time.monotonic()
        disk.set(1, FOR_EVER, error, torn=error == EIO)
        until("health is red", 10, lambda: w.health() == 503)
        reds.append(time.monotonic() - began)
        time.sleep(1)
        assert w.metrics()["events_lost"] > lost, "a loss is counted"
        disk.set()
        until("health is green", 10, lambda: w.health() == 200)
        lost = w.metrics()["events_lost"]
        time.sleep(0.5)
        assert w.metrics()["events_lost"] == lost, "nothing is lost any more"
    # Each call in turn.
    for n in range(1, 60 if bench.nightly else 16):
        disk.set(n, n, EIO if n % 2 else ENOSPC, torn=n % 3 == 0)
        with contextlib.suppress(Exception):
            until("the call", 1, disk.failed)
    disk.set()
    until("health is green", 10, lambda: w.health() == 200)
    print("  " + u.check("disk failed") + "; health was red after %s s" % ", ".join("%.2f" % r for r in reds))
    # The count of what was lost is on this disk, too: it needs its turn.
    time.sleep(2)
    # On a disk without room it starts and answers all the same.
    w.kill("tracker")
    disk.set(1, FOR_EVER, ENOSPC)
    w.start("tracker")
    w.ready()
    u = Undisturbed(load)
    time.sleep(1)
    u.check("started without room")
    disk.set()
    until("health is green", 10, lambda: w.health() == 200)
    time.sleep(0.5)
    load.end()
    until("the account", 20, lambda: counted_lost(w, "tracker") > 0)
    time.sleep(2)
    must_agree(w, load, lost=counted_lost(w, "tracker"))
    w.stop()


def test_never_disk_mail(bench):
    """no room and errors under the rewriter: 451, never a 250 for what is not recorded, and mail flows again by itself"""
    w = World(bench)
    disk = w.shims["rewriter"] = Shim(w, "rewriter")
    follower = w.shims["collector"] = Shim(w, "collector")
    w.begin()
    load = Load(w, 100000, readers=1, mail_pause=0.02, pause=0.05)
    load.start()
    until("some mail", 30, lambda: len(load.ok) > 10)
    for error in (ENOSPC, EIO):
        disk.set(1, FOR_EVER, error, torn=error == EIO)
        until("mail is put off", 20, lambda: load.replies["smtp 451"])
        time.sleep(0.5)
        taken = len(w.hop.taken)
        time.sleep(1)
        assert len(w.hop.taken) == taken, "mail went that could not be recorded"
        count = len(load.ok)
        disk.set()
        until("mail flows", 20, lambda: len(load.ok) > count + 10)
        load.replies.clear()
    for n in range(1, 60 if bench.nightly else 16):
        disk.set(n, n, EIO if n % 2 else ENOSPC, torn=n % 3 == 0)
        with contextlib.suppress(Exception):
            until("the call", 1, disk.failed)
    disk.set()
    # The follower of the log waits for its disk and reads nothing twice.
    for n in range(1, 60 if bench.nightly else 16):
        follower.set(n, n + 3, EIO if n % 2 else ENOSPC, torn=n % 3 == 0)
        with contextlib.suppress(Exception):
            until("the call", 1, follower.failed)
    follower.set()
    # A disk that takes a fifth of a second for a sync: slower, and that is all.
    disk.set(sync_ms=200)
    u, count = Undisturbed(load), len(load.ok)
    until("mail on a slow disk", 20, lambda: len(load.ok) > count + 10)
    u.check("slow disk")
    disk.set()
    with load.lock:
        load.todo.clear()
    load.finish()
    must_agree(w, load)
    assert counted_lost(w, "rewriter") == counted_lost(w, "collector") == 0
    w.stop()


def test_never_power(bench):
    """power cuts under the tracker and the rewriter: no mail that got its 250 is missing, of hits only the last 50 ms, no number comes twice"""
    w = World(bench)
    for name in ("tracker", "rewriter"):
        # A slow disk: who answers before it has synced is found out.
        w.shims[name] = Shim(w, name, power=True)
        w.shims[name].set(sync_ms=50)
    w.begin()
    load = Load(w, 100000, mail_pause=0.01, pause=0.005)
    load.start()
    until("something to read", 30, lambda: load.answered)
    cut_off, fresh, cuts = 0, 0, 200 if bench.nightly else 20
    for i in range(cuts):
        time.sleep(0.2 + w.rng.random() * 0.8)
        name = ("tracker", "rewriter")[i % 2]
        with load.lock:
            w.kill(name)
            now = time.monotonic()
            # More than journal.sync_ms: the machine is busy, and the sync thread must be given a turn.
            fresh += sum(t > now - 0.3 for t in load.when) if name == "tracker" else 0
        cut_off += w.shims[name].power_cut(w.rng.randrange(3000), w.rng.randrange(1, 1 << 30) if i % 3 == 0 else 0)
        w.start(name)
    w.ready()
    with load.lock:
        load.todo.clear()
    load.finish()
    deadline = time.monotonic() + 60
    while True:
        ids, hits = identities(w), kept_hits(w)
        gone = double = 0
        for n, kind in set(load.answered) | set(load.unanswered):
            there = sum(hits[(*id, kind)] for id in ids[n])
            gone += max(0, load.answered[n, kind] - there)
            double += max(0, there - load.answered[n, kind] - load.unanswered[n, kind])
        missing = [n for n in load.ok if not ids[n]]
        sent = sum(json.loads(w.landfall("report", c, "--json").stdout or "{}").get("sent", 0) for c in set(load.ok.values()))
        if (not missing and not double and gone <= fresh and sent >= len(load.ok)) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    owner = collections.defaultdict(set)
    for sender, rcpt, _, _ in w.hop.taken:
        owner[sender].add(rcpt)
    print("  seed %d: %d power cuts, %d bytes cut off; %d mails with their 250, %d missing; %d hits answered, %d gone (%d were answered within "
          "0.3 s before a cut), %d double" % (w.seed, cuts, cut_off, len(load.ok), len(missing), sum(load.answered.values()), gone, fresh, double))
    assert not missing and not double and gone <= fresh and sent >= len(load.ok), (missing[:5], double, gone, fresh, sent)
    assert all(len(r) == 1 for r in owner.values()), "a number came twice"


def test_never_clock(bench):
    """the clock jumps by hours and days under all programs: nothing lost or double, nobody waits"""
    w = World(bench)
    for name in ("tracker", "rewriter", "collector"):
        w.shims[name] = Shim(w, name)
    w.begin()
    load = Load(w, 100000, mail_pause=0.05, pause=0.02)
    load.start()
    until("something to read", 30, lambda: load.answered)
    u = Undisturbed(load)
    hour = 3600 * 1000
    for jump in (hour, -hour, 24 * hour, -24 * hour, 0) * (4 if bench.nightly else 1):
        for shim in w.shims.values():
            shim.set(clock_ms=jump)
        time.sleep(1)
    print("  " + u.check("the clock jumped"))
    with load.lock:
        load.todo.clear()
    load.finish()
    must_agree(w, load)
    stamps = [int(ms) for ms in re.findall(r"(?m)^  (?:open|click) ms=(\d+)", dumped(w, "tracker/*"))]
    assert max(stamps) - min(stamps) > 47 * hour, "the programs saw the clock jump"
    w.stop()
