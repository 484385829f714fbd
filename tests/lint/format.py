"""Source files stand as .clang-format lays them out."""
import os
import re
import shutil
import subprocess

LAW = "run clang-format-14 -i on it"
# Headers hold tables of macros and columns of comments, which are set by hand.
CHECKED = (".c",)


def tool():
    return shutil.which("clang-format-14") or shutil.which("clang-format")


def check(root, files, options):
    if not tool():
        print("  warning: clang-format-14 is not installed; the layout of C files is not checked")
        return
    paths = sorted(p for p in files if p.endswith(CHECKED))
    if not paths:
        return
    out = subprocess.run([tool(), "--dry-run", "--style=file", *paths], cwd=root, capture_output=True, text=True).stderr
    seen = set()
    for m in re.finditer(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", out, re.M):
        if m.group(1) not in seen:
            seen.add(m.group(1))
            yield os.path.normpath(m.group(1)), int(m.group(2)), LAW


SAMPLES = [("spaces", {"core/base/a.c": "int   x ;\n"})]
CLEAN = {"core/base/a.c": "int x;\n"}
ON_DISK = True
