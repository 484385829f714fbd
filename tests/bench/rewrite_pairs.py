"""Runs two workers in turns, a slice of CPU time each, and prints medians and the
ratio. Called by rewrite.sh: rewrite_pairs.py TURNS BENCH WORKER.JS DIR"""
import json
import statistics
import subprocess
import sys

turns, bench, worker, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
SLICE = 0.5


class Worker:
    def __init__(self, command):
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.p.stdout.readline())

    def turn(self):
        self.p.stdin.write(f"go {SLICE}\n")
        self.p.stdin.flush()
        r = json.loads(self.p.stdout.readline())
        return r["cpu"] / r["messages"] * 1e6

    def end(self):
        self.p.stdin.close()
        self.p.wait()


print(f"{'':6} {'landfall us':>12} {'mailsplit us':>13} {'ratio':>8} {'lowest':>8} {'links':>7}")
for encoding in ("qp", "b64", "8bit"):
    ours = Worker([bench, "--worker", folder, encoding])
    theirs = Worker(["node", worker, folder, encoding])
    for w in (ours, theirs):
        w.turn()
    pairs = []
    for n in range(turns):
        if n % 2:
            b = theirs.turn()
            a = ours.turn()
        else:
            a = ours.turn()
            b = theirs.turn()
        pairs.append((a, b))
    ratios = [b / a for a, b in pairs]
    print(f"{encoding:6} {statistics.median(a for a, _ in pairs):12.1f} {statistics.median(b for _, b in pairs):13.1f} "
          f"{statistics.median(ratios):8.1f} {min(ratios):8.1f} {ours.about['links']:3}/{theirs.about['links']}")
    ours.end()
    theirs.end()
