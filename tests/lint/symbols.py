"""What the object files of pure code ask of the linker: only what pure code
defines, and a short list of the C library and of the vendors whose home it is."""
import os
import re
import subprocess

from tree import LAYERS, PROGRAMS, PURE_LAYERS, folder_of, pure_files

LAW = "an object of pure code asks for a symbol that is not pure"

C_LIBRARY = r"mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|casecmp|ncasecmp)|" \
    r"explicit_bzero|v?snprintf|strtod|strtol|strtoul|strtoll|strtoull|inet_pton|inet_ntop|qsort(_r)?|bsearch|abs|labs|free|abort|" \
    r"(exp|exp2|expm1|log|log2|log10|log1p|pow|sqrt|cbrt|floor|ceil|fabs|fmin|fmax|lgamma|lgamma_r|tgamma|erf|erfc|" \
    r"round|trunc|fmod|ldexp|frexp|modf|hypot|rint|lround|llround|isnan|isinf|__isnan|__isinf|__finite|signgam)f?|" \
    r"__(mem(cpy|move|set)|v?snprintf|explicit_bzero)_chk|__stack_chk_fail|__errno_location|_GLOBAL_OFFSET_TABLE_|" \
    r"__ctype_\w+_loc|__cpu_model|__cpu_features2|__cpu_indicator_init|setjmp|_setjmp|longjmp|__longjmp_chk|__sigsetjmp"
INSTRUMENTS = r"__asan_\w+|__ubsan_\w+|__tsan_\w+|__gcov_\w+|__sanitizer_\w+|__gcc_\w+|__popcount[sdt]i2|__llvm_\w+|__sancov_\w+"
HOME = {
    "core/base": r"malloc|calloc|realloc|stderr|f?printf|dprintf|write|__fprintf_chk|__dprintf_chk|fflush|raise",
    "core/parse": r"cJSON_\w+|idn2_\w+|iconv(_open|_close)?",
    "core/model": r"EVP_\w+|HMAC\w*|SHA\d+\w*|CRYPTO_memcmp|OPENSSL_cleanse|ERR_clear_error|OSSL_\w+",
}
# Pure files of the programs may compute digests as the model does.
HOME.update((p, HOME["core/model"]) for p in PROGRAMS)
ANYWHERE = "%s|%s" % (C_LIBRARY, INSTRUMENTS)


def nm(path, *options):
    out = subprocess.run(["nm", *options, "-P", path], capture_output=True, text=True).stdout
    return {l.split()[0].split("@")[0] for l in out.splitlines() if l.strip() and not l.endswith(":")}


def objects(build, files):
    """Source path -> object, of those whose source still is there."""
    found = {}
    for here, _, names in os.walk(os.path.join(build, "CMakeFiles")):
        for name in names:
            if name.endswith(".c.o"):
                full = os.path.join(here, name)
                source = re.sub(r"^.*?\.dir/", "", os.path.relpath(full, os.path.join(build, "CMakeFiles")))[:-2]
                if source in files:
                    found[source] = full
    return found


def judge(source, wanted, defined_by_pure):
    """The symbols of one object that pure code may not ask for."""
    allowed = "%s|%s" % (ANYWHERE, HOME.get(folder_of(source), "(?!)"))
    return sorted(s for s in wanted if s not in defined_by_pure and not re.fullmatch(allowed, s))


def check(root, files, options):
    build = options.get("objects")
    if not build:
        return
    pure = pure_files(files)
    found = {s: o for s, o in objects(build, files).items() if s in pure}
    if not found:
        yield build, 1, "no object of pure code found: build first"
    defined = set()
    for obj in found.values():
        defined |= nm(obj, "--defined-only", "--extern-only")
    for source, obj in sorted(found.items()):
        for symbol in judge(source, nm(obj, "-u"), defined):
            yield source, 1, "%s: %s" % (LAW, symbol)


def selftest():
    """Broken samples must be seen, clean ones not."""
    assert judge("core/parse/a.c", {"time"}, set()) == ["time"]
    assert judge("core/parse/a.c", {"malloc"}, set()) == ["malloc"]
    assert judge("core/base/a.c", {"malloc", "memcpy"}, set()) == []
    assert judge("core/parse/a.c", {"EVP_MAC_init"}, set()) == ["EVP_MAC_init"]
    assert judge("core/model/a.c", {"EVP_MAC_init", "buf_put", "__asan_init"}, {"buf_put"}) == []
    assert judge("tracker/a.c", {"pthread_mutex_lock"}, set()) == ["pthread_mutex_lock"]
    assert LAYERS[:3] == PURE_LAYERS
