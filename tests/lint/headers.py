"""Every header compiles alone: it includes what its own prototypes need."""
import concurrent.futures
import json
import os
import re
import subprocess

LAW = "a header includes what it needs and compiles alone"


def flags_of(options):
    """Include folders of the vendors, as the build uses them."""
    path = os.path.join(options.get("objects") or "", "compile_commands.json")
    flags = set()
    if os.path.exists(path):
        for entry in json.load(open(path)):
            flags |= set(re.findall(r"(?:-I|-isystem )\S+", entry["command"]))
    return [f for pair in sorted(flags) for f in pair.split(" ")]


def compile_alone(root, path, flags):
    guard = '#include "%s"\n#include "%s"\n' % (path, path)
    run = subprocess.run(
        ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-DH2O_USE_LIBUV=0", "-Wall", "-Werror", "-fsyntax-only", "-I", root, *flags,
         "-x", "c", "-"], input=guard, capture_output=True, text=True)
    if run.returncode == 0:
        return None
    said = [l for l in run.stderr.splitlines() if ": error:" in l] or ["does not compile"]
    return re.sub(r"^.*error: ", "", said[0])


def check(root, files, options):
    flags = flags_of(options)
    headers = sorted(p for p in files if p.endswith(".h") and not p.startswith("tests/lint/"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, said in zip(headers, pool.map(lambda p: compile_alone(root, p, flags), headers)):
            if said:
                yield path, 1, "%s: %s" % (LAW, said)


SAMPLES = [
    ("needs another", {"core/base/a.h": "uint32_t a_of(slice s);\n"}),
    ("no guard", {"core/base/a.h": "struct a { int x; };\n"}),
]
CLEAN = {"core/base/a.h": "#ifndef A\n#define A\n#include <stdint.h>\nuint32_t a_of(void);\n#endif\n"}
ON_DISK = True
