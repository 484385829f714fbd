"""The measuring part of tests/bench/tracker.sh.

All servers are up the whole time, bound to one core; the load is on another.
They are asked in turn, in short slices and shuffled order, so that what else
the machine does falls on all alike; the same bare server stands twice in the
table and shows what the figures are worth. Cost: CPU of all threads of the
process, user and system, by the requests of the slice.
"""
import argparse
import glob
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

SCRIPT = """
local paths, at = {}, 0
init = function(args)
	local head = {["Host"] = "t.example", ["User-Agent"] = args[2]}
	for line in io.lines(args[1]) do
		paths[#paths + 1] = wrk.format("GET", line, head)
	end
end
request = function()
	at = at %% #paths + 1
	return paths[at]
end
"""
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, p):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert p.poll() is None, "a server ended at its start"
            time.sleep(0.05)
    raise SystemExit("no server on port %d" % port)


def cpu_ns(pid):
    """Of the threads that live now; none ends during a slice."""
    total = {}
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with open(path) as f:
            total[path.split("/")[4]] = int(f.read().split()[0])
    return total


def load(port, options, work):
    out = subprocess.run(["taskset", "-c", str(options.load_core), "wrk", "-t1", "-c%d" % options.connections,
                          "-d%gs" % options.seconds, "-s", work + "/wrk.lua", "http://127.0.0.1:%d" % port, "--",
                          work + "/paths", AGENT], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out or options.kind == "c", out
    assert "Socket errors" not in out, out
    return int(re.search(r"(\d+) requests in", out).group(1)), float(re.search(r"Requests/sec:\s*([\d.]+)", out).group(1))


def interval(values):
    """95 % of the medians of resampled sets."""
    rng = random.Random(1)
    m = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return m[50], m[1949]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--build", required=True)
    ap.add_argument("--rounds", type=int, default=15)
    ap.add_argument("--seconds", type=float, default=1)
    ap.add_argument("--connections", type=int, default=64)
    ap.add_argument("--kind", choices=["o", "c"], default="o")
    ap.add_argument("--server-core", type=int, default=0)
    ap.add_argument("--load-core", type=int, default=1)
    ap.add_argument("--no-redis", action="store_true")
    options = ap.parse_args()
    work = tempfile.mkdtemp(prefix="landfall-bench-")
    running = []

    def start(core, *argv):
        p = subprocess.Popen(["taskset", "-c", str(core), *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        running.append(p)
        return p

    try:
        with open(work + "/wrk.lua", "w") as f:
            f.write(SCRIPT.replace("%%", "%"))
        with open(work + "/paths", "w") as f:
            subprocess.run([options.build + "/bench/tracker_tokens", work + "/ring", "t.example", options.kind, "20000"],
                           stdout=f, check=True)
        if not options.no_redis:
            start(options.load_core, "redis-server", "--port", "0", "--unixsocket", work + "/r.sock", "--dir", work,
                  "--save", "", "--appendonly", "no", "--maxmemory", "500mb", "--maxmemory-policy", "noeviction")
        ports, servers = {}, {}
        for name in ("bare", "bare again", "tracker"):
            ports[name] = free_port()
            if name == "tracker":
                servers[name] = start(options.server_core, options.build + "/bin/landfall-tracker", "--set",
                                      "tracker.listen=127.0.0.1:%d" % ports[name], "--set", "data.dir=" + work + "/data",
                                      "--set", "keys.file=" + work + "/ring", "--set", "redis.socket=" + work + "/r.sock",
                                      "--set", "tracker.threads=1", "--set", "journal.keep_hours=0")
            else:
                servers[name] = start(options.server_core, options.build + "/bench/bare_h2o", str(ports[name]))
            wait_port(ports[name], servers[name])
        cost, rate, own = ({n: [] for n in servers} for _ in range(3))
        for round in range(options.rounds + 1):
            order = list(servers)
            random.shuffle(order)
            for name in order:
                before = cpu_ns(servers[name].pid)
                n, per_second = load(ports[name], options, work)
                after = cpu_ns(servers[name].pid)
                spent = {t: after[t] - before.get(t, 0) for t in after}
                if round:  # the first one warms up
                    cost[name].append(sum(spent.values()) / n / 1000)
                    own[name].append(max(spent.values()) / n / 1000)
                    rate[name].append(per_second)
        base = cost["bare"]
        print("%-12s %10s %14s %10s   %s" % ("server", "us/request", "serving thread", "requests/s", "ratio to bare (95 %)"))
        for name in servers:
            ratios = [a / b for a, b in zip(cost[name], base)]
            low, high = interval(ratios)
            print("%-12s %10.2f %14.2f %10.0f   %.3f (%.3f .. %.3f)" % (
                name, statistics.median(cost[name]), statistics.median(own[name]), statistics.median(rate[name]),
                statistics.median(ratios), low, high))
    finally:
        for p in running:
            p.terminate()
        for p in running:
            p.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
