"""Install the C library into a folder of its own, and use it from there as a
stranger would.

    python3 tests/library/install.py BUILD SOURCE CC [FLAG]...

The example of the manual is compiled with what pkg-config says, against the
shared library and against the archive, and run; the header is compiled as C89
and as C++. FLAGs are for instrumented builds.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HEX = "".join("%02x" % i for i in range(32))
RING = "hash %s\nkey 1 active 2023-01-01 %s\n" % (HEX, HEX)
MESSAGE = b'Content-Type: text/html\r\n\r\n<body><a href="https://a.example/x">x</a></body>\r\n'
HEADER_USE = """#include <landfall.h>
#include <landfall.h>
int main(void)
{
	struct landfall_options o = LANDFALL_OPTIONS_INIT;
	struct landfall_recipient w = LANDFALL_RECIPIENT_INIT;
	struct landfall_result r = LANDFALL_RESULT_INIT;
	struct landfall *l = 0;

	return landfall_open(&l, &o, 0, 0) == LANDFALL_BAD_CALL && landfall_rewrite(l, &w, "", 0, &r) && !r.message ? 0 : 1;
}
"""
build, source, cc = sys.argv[1:4]
flags = sys.argv[4:]


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit("%s\nfailed (%d):\n%s%s" % (" ".join(command), done.returncode, done.stdout.decode("utf-8", "replace"),
                                           done.stderr.decode("utf-8", "replace")))
    return done.stdout


def main(top):
    run("cmake", "--install", build, "--component", "library", env={**os.environ, "DESTDIR": top})
    pc = glob.glob(top + "/**/pkgconfig/landfall.pc", recursive=True)
    assert len(pc) == 1, pc
    for want in ["include/landfall.h", "man/man3/landfall.3", "LIBRARY.md", "rewrite.c"]:
        assert glob.glob("%s/**/%s" % (top, want), recursive=True), "not installed: " + want
    lib = os.path.dirname(os.path.dirname(pc[0]))
    assert os.path.exists(lib + "/liblandfall.so") and os.path.exists(lib + "/liblandfall.a")
    config = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc[0])}

    def pkg(*what):
        return run("pkg-config", *what, "landfall", env=config).decode().split()

    assert pkg("--modversion")[0] == re.search(r"project\(landfall VERSION (\S+)", open(source + "/CMakeLists.txt").read()).group(1)
    strict = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
    example = source + "/docs/examples/rewrite.c"
    shared, static = top + "/shared", top + "/static"
    run(cc, *flags, "-std=c89", *strict, *pkg("--cflags"), example, "-o", shared, *pkg("--libs"), "-Wl,-rpath," + lib)
    archive = ["-l:liblandfall.a" if w == "-llandfall" else w for w in pkg("--static", "--libs")]
    run(cc, *flags, "-std=c89", *strict, *pkg("--cflags"), example, "-o", static, *archive)
    assert b"liblandfall" not in run("ldd", static) and lib.encode() in run("ldd", shared)
    with open(top + "/use.c", "w") as f:
        f.write(HEADER_USE)
    for compiler, language, standard in [(cc, "c", "c89"), (cc, "c", "c17"), ("c++", "c++", "c++98"), ("c++", "c++", "c++17")]:
        if not shutil.which(compiler):
            print("no %s: the header is not tried as %s" % (compiler, standard))
            continue
        run(compiler, *flags, "-x", language, "-std=" + standard, *strict, *pkg("--cflags"), top + "/use.c", "-x", "none",
            "-o", top + "/use", *pkg("--libs"), "-Wl,-rpath," + lib)
        run(top + "/use")

    ring = top + "/ring"
    with open(ring, "w") as f:
        f.write(RING)
    os.chmod(ring, 0o600)
    args = [ring, "https://t.example", "spring", "5"]
    filter_of = [build + "/bin/landfall-rewriter", "rewrite", "--key", ring, "--set", "track.url=https://t.example", "--campaign",
                 "spring", "--recipient", "ann@b.example", "--sequence", "5"]
    for attempt in range(2):
        outs = [run(p, *args, input=MESSAGE) for p in (shared, static)]
        if os.path.exists(filter_of[0]):
            outs.append(run(*filter_of, input=MESSAGE))
        if len(set(outs)) == 1:  # else it was midnight in between
            break
    assert len(set(outs)) == 1, outs
    assert b'href="https://t.example/c/' in outs[0] and b"/o/" in outs[0], outs[0]
    # A bad ring: an error on stderr, nothing on stdout.
    with open(ring, "a") as f:
        f.write("x\n")
    bad = subprocess.run([shared, *args], input=MESSAGE, capture_output=True)
    assert bad.returncode == 1 and not bad.stdout and b"line 3" in bad.stderr, bad
    page = glob.glob(top + "/**/man3/landfall.3", recursive=True)[0]
    if shutil.which("groff"):
        said = subprocess.run(["groff", "-ww", "-mandoc", "-Tascii", "-z", page], capture_output=True).stderr
        assert not said, said
    print("installed, compiled and run: shared, static, C++%s" % (", same as the filter" if len(outs) == 3 else ""))


folder = tempfile.mkdtemp(prefix="landfall-install-")
try:
    main(folder)
finally:
    shutil.rmtree(folder)
