#!/usr/bin/env python3
"""What TLS costs the SMTP front: CPU a message on kept sessions, and CPU a session.

    python3 tests/bench/front_tls.py [--bin build/release/bin] [--count N] [--rounds N]

Messages of 30 KB with 25 links, rewritten, ten kept sessions, by plain text and by TLS 1.3
(ECDSA P-256) on the client's side, the next hop's, and both; in turn, so that what
else runs on the machine meets all of them. User and system time of the rewriter, all
threads; medians, and medians of the ratios to plain text in the same round."""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [ROOT + "/tests/e2e", ROOT + "/deploy/demo", ROOT + "/tests/bench"]
from front import answers, cpu, free_port, message  # noqa: E402
from smtp import Client, Hop  # noqa: E402
from tls import Pki, Secure, secure  # noqa: E402

SESSIONS = 10


class Sink(Hop):
    """Keeps nothing."""

    def __init__(self, **how):
        super().__init__(ehlo=["PIPELINING", "8BITMIME", "SIZE 50000000"] + (["STARTTLS"] if how else []), **how)

        class Nothing(list):
            def append(self, x):
                pass
        self.taken = self.senders = Nothing()


def send(client, text, count):
    for _ in range(count):
        assert client.send(text)[0].startswith("250")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bin", default=ROOT + "/build/release/bin")
    ap.add_argument("--count", type=int, default=2000)
    ap.add_argument("--rounds", type=int, default=7)
    options = ap.parse_args()
    dir = tempfile.mkdtemp(prefix="landfall-bench-")

    class Bench:
        at_end = []
    fronts = {}
    try:
        pki = Pki(Bench)
        context = pki.server()
        sinks = {"none": Sink(), "encrypt": Sink(secure=lambda link: context.wrap_socket(link, server_side=True))}
        for level, sink in sinks.items():
            port, config = free_port(), "%s/%s.conf" % (dir, level)
            with open(config, "w") as f:
                f.write("[data]\ndir = %s/%s\n[rewriter]\nlisten = 127.0.0.1:%d\nnext_hop = 127.0.0.1:%d\nnext_hop_tls = %s\n"
                        "tls = may\ntls_certificate = %s.pem\ntls_key = %s.key\n" % (dir, level, port, sink.port, level, pki.mx, pki.mx))
            subprocess.run([options.bin + "/landfall", "key", "add", "--config", config], check=True, stdout=subprocess.DEVNULL)
            with open(dir + "/log", "ab") as log:
                fronts[level] = subprocess.Popen([options.bin + "/landfall-rewriter", "--config", config], stderr=log), port
            answers(port)
        message(dir + "/tracked", True)
        with open(dir + "/tracked", "rb") as f:
            text = f.read().replace(b"\n", b"\r\n")
        sessions = {("plain", level): [Client(fronts[level][1]).hello() for _ in range(SESSIONS)] for level in fronts}
        sessions.update({("TLS", level): [secure(fronts[level][1]) for _ in range(SESSIONS)] for level in fronts})
        got = {key: [] for key in sessions}
        for _ in range(options.rounds):
            for (how, level), c in sessions.items():
                pid = fronts[level][0].pid
                before = cpu(pid)
                # Side by side: the messages of a turn share one sync of the journal.
                with ThreadPoolExecutor(SESSIONS) as pool:
                    list(pool.map(send, c, [text] * SESSIONS, [options.count // SESSIONS] * SESSIONS))
                got[how, level].append((cpu(pid) - before) / options.count * 1e6)
        for (how, level), used in got.items():
            ratio = statistics.median(u / p for u, p in zip(used, got["plain", "none"]))
            print("client %-5s  hop %-5s  %4.0f us CPU a message  x %.2f" % (how, "plain" if level == "none" else "TLS", statistics.median(used), ratio))
        each, (process, port) = {}, fronts["none"]
        for _ in range(options.rounds):
            for how in ("plain", "TLS"):
                before = cpu(process.pid)
                for _ in range(options.count // 4):
                    c = Secure(port).hello()
                    if how == "TLS":
                        c.starttls().again()
                    c.say("QUIT")
                    c.close()
                each.setdefault(how, []).append((cpu(process.pid) - before) / (options.count // 4) * 1e6)
        for how, used in each.items():
            print("a session without mail, %-5s  %4.0f us CPU  %6.0f/s of one core" % (how, statistics.median(used), 1e6 / statistics.median(used)))
    finally:
        for process, _ in fronts.values():
            process.kill()
            process.wait()
        for f in Bench.at_end:
            f()
        shutil.rmtree(dir, ignore_errors=True)


if __name__ == "__main__":
    main()
