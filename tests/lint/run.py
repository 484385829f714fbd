"""Check the laws of the source tree.

    python3 tests/lint/run.py [--objects build/dev] [--results FILE]

Each check yields (path, line, law). Each carries samples of what it must
refuse, and one of what it must let pass; they are tried before it is believed.
"""
import argparse
import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import format  # noqa: E402
import headers  # noqa: E402
import layers  # noqa: E402
import purity  # noqa: E402
import symbols  # noqa: E402
import text  # noqa: E402
import tree  # noqa: E402
import vendors  # noqa: E402

CHECKS = [layers, vendors, purity, symbols, headers, text, format]


def on_sample(check, sample):
    """What the check says of a made-up tree."""
    root = None
    if getattr(check, "ON_DISK", False):
        root = tempfile.mkdtemp(prefix="landfall-lint-")
        shutil.copy(os.path.join(HERE, "../../.clang-format"), root)
        for path, content in sample.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w") as f:
                f.write(content)
    try:
        return list(check.check(root, sample, {}))
    finally:
        if root:
            shutil.rmtree(root)


def selftest(check):
    """None, or what is wrong with the check itself."""
    if check is format and not format.tool():
        return None
    if hasattr(check, "selftest"):
        check.selftest()
        return None
    for name, sample in check.SAMPLES:
        if not on_sample(check, sample):
            return 'does not see its broken sample "%s"' % name
    said = on_sample(check, check.CLEAN)
    return "refuses its clean sample: %s" % (said[0],) if said else None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--objects", help="build folder whose object files are looked at as well")
    ap.add_argument("--results", help='write lines "pass NAME" and "fail NAME" here')
    options = vars(ap.parse_args())
    root = os.path.normpath(os.path.join(HERE, "../.."))
    if options["objects"]:
        options["objects"] = os.path.abspath(options["objects"])
    files = tree.read_tree(root)
    results = []
    for check in CHECKS:
        name = "lint-" + check.__name__
        wrong = selftest(check)
        results.append(("fail" if wrong else "pass", name + "-selftest"))
        if wrong:
            print("%s: %s" % (name, wrong))
        found = list(check.check(root, files, options))
        for path, line, law in found:
            print("%s:%d: %s" % (path, line, law))
        print("%s %s" % ("FAIL" if found else "ok  ", name))
        results.append(("fail" if found else "pass", name))
    if options["results"]:
        with open(options["results"], "w") as f:
            f.writelines("%s %s\n" % r for r in results)
    return any(word == "fail" for word, _ in results)


if __name__ == "__main__":
    sys.exit(main())
