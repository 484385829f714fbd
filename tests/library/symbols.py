"""What the C library shows, and what it asks for.

    python3 tests/library/symbols.py HEADER SHARED ARCHIVE [--instrumented]

Both define the functions that the header declares and nothing else; they ask the
system for no file, clock, process or output; and nothing in them can change but
one word for each thread (not checked with --instrumented: sanitizers bring data
of their own).
"""
import re
import subprocess
import sys

ASKED = re.compile(
    r"mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|str(len|chr|cmp|ncmp|tod)|v?snprintf|(malloc|calloc|realloc|free)|_?setjmp|longjmp|"
    r"__(mem(cpy|move|set)|v?snprintf|longjmp)_chk|__longjmp_chk|__stack_chk_fail|__tls_get_addr|_GLOBAL_OFFSET_TABLE_|"
    r"__popcountdi2|__cpu_model|__cpu_features2|__cpu_indicator_init|inet_pton|pthread_mutex_(init|destroy|lock|unlock)|idn2_(free|to_ascii_8z)|EVP_\w+|HMAC|"
    r"CRYPTO_memcmp|OPENSSL_cleanse|_ITM_\w+|__cxa_finalize|__gmon_start__|__errno_location")
INSTRUMENTS = re.compile(r"_*(asan|ubsan|tsan|gcov|sanitizer|llvm|sancov)_\w+")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def names(*command):
    rows = (l.split() for l in run("nm", "-P", *command).splitlines() if l.strip() and not l.endswith(":"))
    return {r[0].split("@")[0] for r in rows}


def main():
    header, shared, archive = sys.argv[1:4]
    instrumented = "--instrumented" in sys.argv
    wrong = []
    text = re.sub(r"/\*.*?\*/", "", open(header).read(), flags=re.S)
    declared = set(re.findall(r"\b(landfall_\w+)\(", text))
    assert len(declared) >= 7, declared
    for what, defined in [(shared, names("-D", "--defined-only", shared)), (archive, names("-g", "--defined-only", archive))]:
        wrong += ["%s shows %s" % (what, n) for n in sorted(defined - declared)]
        wrong += ["%s lacks %s" % (what, n) for n in sorted(declared - defined)]
    for what, asked in [(shared, names("-D", "-u", shared)), (archive, names("-u", archive))]:
        wrong += ["%s asks for %s" % (what, n) for n in sorted(asked)
                  if not ASKED.fullmatch(n) and not (instrumented and INSTRUMENTS.fullmatch(n))]
    if not instrumented:
        for row in run("readelf", "-SW", archive).splitlines():
            m = re.match(r"\s*\[\s*\d+\]\s+(\S+)\s+\S+\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+\S+\s+(\w*)", row)
            if m and "W" in m.group(3) and "T" not in m.group(3) and int(m.group(2), 16) and \
                    not m.group(1).startswith(".data.rel.ro"):
                wrong.append("%s has state: %s" % (archive, m.group(1)))
    print("\n".join(wrong) or "%d functions, nothing else" % len(declared))
    return 1 if wrong else 0


sys.exit(main())
