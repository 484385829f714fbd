"""The measuring part of tests/bench/rewrite.sh.

Every worker is a process that has read the messages and waits; they get a slice of
CPU time each, in turns of changing order, so that what else the machine does falls
on all alike. A ratio is of two slices of the same turn.
"""
import argparse
import glob
import json
import os
import random
import statistics
import subprocess

# How many times dearer the peer should be, by encoding.
WANTED = {"mailsplit": {"qp": 120, "b64": 60}, "gmime": {"qp": 8, "b64": 8}, "gumbo": {"qp": 45, "b64": 45},
          "postal": {"qp": 45, "b64": 45}, "sha256": {"qp": 1, "b64": 1, "8bit": 1}}
NAMES = {"qp": "quoted-printable", "b64": "base64", "8bit": "8bit"}


class Worker:
    def __init__(self, command, core):
        self.p = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.p.stdout.readline()
        self.about = json.loads(line) if line else None

    def turn(self, seconds):
        self.p.stdin.write(f"go {seconds}\n")
        self.p.stdin.flush()
        r = json.loads(self.p.stdout.readline())
        return r["cpu"] / r["messages"] * 1e6

    def end(self):
        self.p.stdin.close()
        self.p.wait()


def interval(values):
    """95 % of the medians of resampled sets."""
    rng = random.Random(1)
    m = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(2000))
    return m[50], m[1949]


def number(x):
    return f"{x:.3g}" if x < 100 else f"{x:.0f}"


def measure(options, files, jobs):
    workers = {}
    for name, command in jobs:
        w = Worker([*command, *files], options.core)
        if w.about:
            workers[name] = w
        else:
            w.end()
    times = {name: [] for name in workers}
    rng = random.Random(7)
    for turn in range(options.turns + 1):
        order = list(workers)
        rng.shuffle(order)
        for name in order:
            t = workers[name].turn(options.seconds)
            if turn:  # the first warms up
                times[name].append(t)
    about = {name: w.about for name, w in workers.items()}
    for w in workers.values():
        w.end()
    return times, about


def table(title, times, about, encoding):
    n = about["landfall"]["messages"]
    rows = {}
    print(f"\n{title}, {NAMES[encoding]}: {n} messages, {about['landfall']['bytes'] / n / 1000:.0f} KB on average")
    print(f"{'':12} {'us a message':>12} {'95 %':>19} {'times ours':>10} {'95 %':>15} {'wanted':>7} {'links':>6}")
    for name, t in sorted(times.items(), key=lambda x: statistics.median(x[1])):
        ratios = [a / b for a, b in zip(t, times["landfall"])]
        low, high = interval(t)
        least, most = interval(ratios)
        want = WANTED.get(name, {}).get(encoding) if title.startswith("made") else None
        links = about[name].get("links")
        print(f"{name:12} {statistics.median(t):12.1f} {f'{low:.1f}-{high:.1f}':>19} {number(statistics.median(ratios)):>10} "
              f"{number(least) + '-' + number(most):>15} {f'{want}' if want else '':>7} "
              f"{f'{links / n:.1f}' if links else '':>6}")
        rows[name] = {"us": statistics.median(t), "us_95": [low, high], "ratio": statistics.median(ratios),
                      "ratio_95": [least, most], "links": links}
    if "passes" in times:
        share = [p / o * 100 for p, o in zip(times["passes"], times["landfall"])]
        low, high = interval(share)
        print(f"of the limit: {statistics.median(share):.0f} % ({low:.0f}-{high:.0f})")
        rows["limit"] = {"percent": statistics.median(share), "percent_95": [low, high]}
    return rows


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--turns", type=int, default=15)
    ap.add_argument("--core", type=int, default=1)
    ap.add_argument("--seconds", type=float, default=0.25)
    ap.add_argument("--json")
    ap.add_argument("bench")
    ap.add_argument("folder")
    ap.add_argument("peer", nargs="*", help="name=command:argument")
    options = ap.parse_args()
    jobs = [(job, [options.bench, "--worker", job]) for job in ("landfall", "passes", "sha256", "memcpy")]
    for peer in options.peer:
        name, command = peer.split("=", 1)
        jobs.append((name, command.split(":")))
    result = {}
    for title, start in (("made-up newsletters", "made"), ("real templates", "real")):
        for encoding in NAMES:
            files = sorted(glob.glob(os.path.join(options.folder, f"{start}-*.{encoding}.eml")))
            if files:
                times, about = measure(options, files, jobs)
                result[f"{start}-{encoding}"] = table(title, times, about, encoding)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
