"""No machine's own paths, no trailing white space, a newline at the end."""
import re

# Written so that this file does not name them itself.
OWN_PATHS = re.compile("(?<![\\w.-])/(?:" + "|".join(["wor" + "k/", "roo" + "t/", "hom" + "e/\\w"]) + ")")


def check(root, files, options):
    for path, text in files.items():
        if not text:
            continue
        for n, line in enumerate(text.split("\n"), 1):
            m = OWN_PATHS.search(line)
            if m:
                yield path, n, "no path of one machine in the source: %s" % m.group(0)
            if line != line.rstrip(" \t") and not path.startswith("tests/data/") and not path.endswith(".md"):
                yield path, n, "no trailing white space"
            if re.match(r"(<{7}|>{7}) ", line):
                yield path, n, "a merge conflict was left here"
        if not text.endswith("\n") and not path.startswith("tests/data/"):
            yield path, text.count("\n") + 1, "a text file ends with a newline"


SAMPLES = [
    ("machine path", {"docs/a.md": "see /wor" + "k/x\n"}),
    ("blank at the end", {"core/base/a.c": "int x; \n"}),
    ("no newline", {"core/base/a.c": "int x;"}),
    ("conflict", {"core/base/a.c": "<<<<<<" + "< HEAD\n"}),
]
CLEAN = {"core/base/a.c": "int x;\n", "docs/a.md": "network/x homework/y\n"}
