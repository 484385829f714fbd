"""End-to-end tests: the real programs, Redis, Postfix, mail and HTTP.

    python3 tests/e2e/run.py --bin build/dev/bin [--results FILE] [--nightly] [--keep] [TEST...]

A test is a function of tests.py; it gets a folder of its own and free ports.
What it leaves running is ended, and a sanitizer's complaint in any log fails it.
One that cannot run here raises unittest.SkipTest with the reason.
"""
import argparse
import glob
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, ROOT + "/deploy/demo"]
import tests  # noqa: E402

COMPLAINT = re.compile(r"ERROR: (Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:|fatal: \S+: must\(")


class Bench:
    """What a test works with."""

    def __init__(self, bin, dir, nightly):
        self.bin, self.dir, self.nightly = bin, dir, nightly
        self.chains, self.at_end = [], []

    def close(self):
        trouble = []
        for chain in self.chains:
            try:
                status = chain.stop()
                if status not in (0, None):
                    trouble.append("landfall up ended with %d" % status)
            except Exception as e:  # noqa: BLE001 - every one is told
                trouble.append(str(e))
        for f in reversed(self.at_end):
            f()
        return trouble

    def complaints(self):
        found = []
        for path in sorted(glob.glob(self.dir + "/**/log/*.log", recursive=True)):
            with open(path, errors="replace") as f:
                text = f.read()
            m = COMPLAINT.search(text)
            if m:
                found.append("%s: %s" % (os.path.basename(path), text[m.start():m.start() + 1500]))
        return found


def tail_of_logs(dir):
    out = []
    for path in sorted(glob.glob(dir + "/**/landfall/log/*.log", recursive=True)):
        with open(path, errors="replace") as f:
            lines = f.read().splitlines()[-6:]
        out.append("  --- %s\n%s" % (os.path.relpath(path, dir), "\n".join("  " + line for line in lines)))
    return "\n".join(out)


def run(name, options):
    test = getattr(tests, "test_" + name)
    # Short: a Unix socket's path has 107 bytes; and open: Postfix works in it.
    dir = tempfile.mkdtemp(prefix="landfall-e2e-")
    os.chmod(dir, 0o755)
    bench = Bench(options.bin, dir, options.nightly)
    began, wrong, skipped = time.monotonic(), [], False
    print("-- %s: %s" % (name, (test.__doc__ or "").split("\n")[0]), flush=True)
    try:
        test(bench)
    except unittest.SkipTest as e:
        skipped = True
        print("  skipped: %s" % e)
    except AssertionError as e:
        wrong.append(str(e) or traceback.format_exc())
    except Exception:  # noqa: BLE001 - a test may die of anything
        wrong.append(traceback.format_exc())
    wrong += bench.close()
    wrong += bench.complaints()
    if wrong:
        print("\n".join("  " + w for w in wrong))
        print(tail_of_logs(dir))
    word = "fail" if wrong else "skip" if skipped else "pass"
    print("%s %s (%.1f s)" % ({"pass": "ok  "}.get(word, word.upper()), name, time.monotonic() - began), flush=True)
    if options.keep:
        print("  kept: " + dir)
    else:
        shutil.rmtree(dir, ignore_errors=True)
    return word


def main():
    names = [n[5:] for n in vars(tests) if n.startswith("test_")]
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bin", required=True)
    ap.add_argument("--results")
    ap.add_argument("--nightly", action="store_true")
    ap.add_argument("--keep", action="store_true", help="leave the folders of the tests")
    ap.add_argument("test", nargs="*", choices=names + [[]], metavar="TEST", help=", ".join(names))
    options = ap.parse_args()
    options.bin = os.path.abspath(options.bin)
    os.environ.setdefault("LSAN_OPTIONS", "suppressions=%s/tests/lsan.supp:print_suppressions=0" % ROOT)
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    results = []
    for name in options.test or names:
        results.append((run(name, options), "e2e-" + name))
    if options.results:
        with open(options.results, "w") as f:
            f.writelines("%s %s\n" % r for r in results)
    return any(word == "fail" for word, _ in results)


if __name__ == "__main__":
    sys.exit(main())
