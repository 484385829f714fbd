#!/usr/bin/env python3
"""The SMTP front beside no front: messages a second, CPU a message, latency of the dot.

    python3 tests/bench/front.py [--bin build/release/bin] [--count N] [--rounds N]

smtp-source and smtp-sink (package postfix) send messages of 30 KB with 25 links,
directly and through the rewriter in turn: untouched, rewritten, and rewritten
with a return path of ours; and the same message by POST /v1/rewrite. Medians; CPU
is that of the rewriter, all threads, and of that the threads behind the one that
serves (syncing the journal). The HTTP client is Python: it, not the rewriter,
sets the rate.

What rewriting alone takes is measured between the rounds, by rewrite_bench with the
same message; the rest is what is called plumbing. It is a lower bound: within a
server caches and branch predictors are cold.

The latency is from the last byte of a message to its answer, for one client that
comes directly and through the rewriter by turns; an fdatasync of the same disk
stands beside it, since a rewritten message waits for one. On a machine that
others use run it with `chrt -r 5`."""
import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SENDER = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
SINK = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit("nothing answers on port %d" % port)


def message(path, campaign):
    row = '<tr><td style="padding:8px"><a href="https://shop.example/item/%d?a=1&amp;b=%d">Item %d</a> and some words about it.</td></tr>\n'
    fill = '<tr><td style="padding:8px 16px;font-family:Helvetica,Arial;font-size:14px;color:#333">Paragraph %d. It costs less.</td></tr>\n'
    html = "<html><body><table>\n" + "".join(row % (i, i, i) for i in range(25)) + "".join(fill % i for i in range(226)) + "</table></body></html>\n"
    with open(path, "w") as f:
        f.write("From: news@brand.test\nTo: u@a.test\nSubject: bench\n%sMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n%s" % (
            "X-Landfall-Campaign: bench\n" if campaign else "", html))


def cpu(pid):
    """Seconds: of all threads, and of the first one."""
    used = {}
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as f:
            used[int(thread)] = int(f.read().split()[0]) / 1e9
    return sum(used.values()), used[pid]


def rewriting(worker, path):
    """Microseconds of CPU to rewrite this message, and nothing else."""
    with open(path, "rb") as f, open(path + ".eml", "wb") as out:
        out.write(f.read().replace(b"\n", b"\r\n"))
    said = subprocess.run([worker, "--worker", "landfall", path + ".eml"], input="go 0.2\n", check=True, capture_output=True, text=True)
    spent = json.loads(said.stdout.splitlines()[-1])
    return spent["cpu"] / spent["messages"] * 1e6


def load(port, path, count, sessions):
    began = time.monotonic()
    subprocess.run([SENDER, "-d", "-F", path, "-s", str(sessions), "-m", str(count), "127.0.0.1:%d" % port], check=True)
    return count / (time.monotonic() - began)


def post(port, key, path, count, sessions):
    with open(path, "rb") as f:
        message = f.read()

    def work(n):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for i in range(n, count, sessions):
            # Its own Message-ID: the sender of the SMTP rows gives none.
            link.request("POST", "/v1/rewrite", b"Message-ID: <%d@b>\n" % i + message, {
                "Authorization": "Bearer " + key, "Content-Type": "message/rfc822", "Landfall-Recipient": "u@a.test"})
            r = link.getresponse()
            if r.status != 200 or len(r.read()) < len(message):
                sys.exit("HTTP: %d" % r.status)

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(sessions)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return count / (time.monotonic() - began)


class Client:
    """One message after the other, on one connection."""

    def __init__(self, port, path):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.link.makefile("rb")
        with open(path, "rb") as f:
            self.body = f.read().replace(b"\n", b"\r\n") + b".\r\n"
        self.read()
        self.say(b"EHLO bench\r\n")

    def read(self):
        while (line := self.f.readline())[3:4] == b"-":
            pass
        assert line[:1] in b"23", line

    def say(self, data):
        self.link.sendall(data)
        self.read()

    def dot(self):
        """Microseconds."""
        for line in (b"MAIL FROM:<news@brand.test>\r\n", b"RCPT TO:<u@a.test>\r\n", b"DATA\r\n"):
            self.say(line)
        began = time.perf_counter()
        self.say(self.body)
        return (time.perf_counter() - began) * 1e6


def syncs(dir, count):
    """What an fdatasync behind a small write takes, in microseconds."""
    fd, took = os.open(dir + "/sync", os.O_WRONLY | os.O_CREAT), []
    for _ in range(count):
        os.write(fd, b"x" * 200)
        began = time.perf_counter()
        os.fdatasync(fd)
        took.append((time.perf_counter() - began) * 1e6)
    os.close(fd)
    return took


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bin", default=ROOT + "/build/release/bin")
    ap.add_argument("--count", type=int, default=5000)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--sessions", type=int, default=10)
    options = ap.parse_args()
    dir = tempfile.mkdtemp(prefix="landfall-bench-")
    sink, port, door = free_port(), free_port(), free_port()
    config = dir + "/landfall.conf"
    with open(config, "w") as f:
        f.write("[data]\ndir = %s/data\n[rewriter]\nlisten = 127.0.0.1:%d\nnext_hop = 127.0.0.1:%d\nhttp_listen = 127.0.0.1:%d\n" % (dir, port, sink, door))
    message(dir + "/plain", False)
    message(dir + "/tracked", True)
    subprocess.run([options.bin + "/landfall", "key", "add", "--config", config], check=True, stdout=subprocess.DEVNULL)
    key = subprocess.run([options.bin + "/landfall", "key", "add", "--rewrite", "--tenant", "default", "--config", config], check=True,
                         capture_output=True, text=True).stdout.strip()
    cases = (("untouched", "plain", []), ("rewritten", "tracked", []),
             ("rewritten, own return path", "tracked", ["--set", "track.return_path_domain=b.test"]),
             ("over HTTP", "tracked", None))
    worker = os.path.join(os.path.dirname(options.bin.rstrip("/")), "bench", "rewrite_bench")
    got = {name: ([], [], []) for name, _, _ in cases}
    direct, alone, dots = [], [], {name: ([], []) for name, _, _ in cases}
    # As root smtp-sink wants to become somebody else.
    hop = subprocess.Popen([SINK] + (["-u", "nobody"] if os.geteuid() == 0 else []) + ["127.0.0.1:%d" % sink, "500"])
    try:
        answers(sink)
        for _ in range(options.rounds):
            direct.append(load(sink, dir + "/plain", options.count, options.sessions))
            if os.path.exists(worker):
                alone.append(rewriting(worker, dir + "/tracked"))
            for name, file, more in cases:
                with open(dir + "/log", "ab") as log:
                    front = subprocess.Popen([options.bin + "/landfall-rewriter", "--config", config, *(more or [])], stderr=log)
                try:
                    answers(port)
                    answers(door)
                    before = cpu(front.pid)
                    got[name][0].append(load(port, dir + "/" + file, options.count, options.sessions) if more is not None else
                                        post(door, key, dir + "/" + file, options.count, options.sessions))
                    for place, then, now in zip((1, 2), before, cpu(front.pid)):
                        got[name][place].append((now - then) / options.count * 1e6)
                    if more is None:
                        continue
                    straight, through = Client(sink, dir + "/" + file), Client(port, dir + "/" + file)
                    for _ in range(200):
                        dots[name][0].append(straight.dot())
                        dots[name][1].append(through.dot())
                    straight.link.close()
                    through.link.close()
                finally:
                    front.terminate()
                    front.wait()
        disk = syncs(dir, 200)
    finally:
        hop.kill()
        hop.wait()
        shutil.rmtree(dir, ignore_errors=True)
    print("%-28s %6.0f messages/s" % ("direct", statistics.median(direct)))
    for name, (rate, used, serving) in got.items():
        rate, used, serving = map(statistics.median, (rate, used, serving))
        line = "%-28s %6.0f messages/s  %4.0f us CPU a message" % (name, rate, used)
        if dots[name][0]:
            line += ", %3.0f of it syncing" % (used - serving)
        if alone and name != "untouched":
            line += ", %3.0f plumbing" % (used - statistics.median(alone))
        if dots[name][0]:
            straight, through = map(statistics.median, dots[name])
            line += "  dot %4.0f us, %4.0f us without: %+5.0f us" % (through, straight, through - straight)
        print(line)
    if alone:
        print("%-28s %6.0f us CPU a message" % ("rewriting alone", statistics.median(alone)))
    print("%-28s %6.0f us (the disk's limit for a rewritten message)" % ("fdatasync", statistics.median(disk)))


if __name__ == "__main__":
    main()
