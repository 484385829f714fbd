"""Pure files call no clock, file, socket, log, lock, process or malloc, by their
source; `symbols` asks the object files as well."""
import re

from tree import c_files, code_only, folder_of, includes, pure_files

WORLD = ["core/io", "core/web"]
LAW = "pure code knows no clock, file, socket, log, lock or process"

HEADERS = {
    "time.h", "sys/time.h", "fcntl.h", "unistd.h", "sys/stat.h", "sys/mman.h", "sys/file.h", "dirent.h", "sys/socket.h",
    "sys/un.h", "netdb.h", "poll.h", "sys/epoll.h", "sys/select.h", "signal.h", "pthread.h", "threads.h", "semaphore.h",
    "stdatomic.h", "syslog.h", "sys/wait.h", "sys/random.h", "spawn.h", "sys/ioctl.h", "sys/resource.h", "locale.h",
}
CALLS = re.compile(
    r"(?<![\w.>])(fopen|fdopen|freopen|open|openat|creat|close|read|pread|write|pwrite|fread|fwrite|fgets|fputs|puts|"
    r"putchar|printf|fprintf|dprintf|perror|stat|fstat|unlink|rename|mkdir|socket|connect|accept|bind|listen|send|"
    r"sendto|sendmsg|recv|recvfrom|recvmsg|select|poll|time|clock|clock_gettime|gettimeofday|localtime|localtime_r|"
    r"gmtime|gmtime_r|mktime|strftime|sleep|usleep|nanosleep|getenv|setenv|setlocale|rand|srand|random|getrandom|"
    r"arc4random|pthread_\w+|fork|execv|execvp|system|popen|kill|signal|sigaction|exit|_exit|syslog|"
    r"log_line|log_info|log_warn|log_error|log_debug|clock_ms|clock_mono_ms|metric_add|metric_set)\s*\(")
MEMORY = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|alloca)\s*\(")
# must.c is where the process stops: it says so on stderr.
EXCEPT = {"core/base/must.c": {"fprintf", "dprintf", "write", "unistd.h"}}
# A function of the file's own may bear such a name.
OWN = re.compile(r"^static\s[^;={]*?\b(\w+)\(", re.M)


def check(root, files, options):
    pure = pure_files(files)
    for path in sorted(pure):
        text, fine = files[path], EXCEPT.get(path, set())
        for line, target, quoted in includes(text):
            if not quoted and target in HEADERS and target not in fine:
                yield path, line, "%s: <%s>" % (LAW, target)
            if quoted and folder_of(target) in WORLD:
                yield path, line, '%s: "%s" is not pure' % (LAW, target)
        code = code_only(text)
        fine = fine | set(OWN.findall(code))
        patterns = [CALLS] if folder_of(path) == "core/base" else [CALLS, MEMORY]
        for pattern in patterns:
            for m in pattern.finditer(code):
                if m.group(1) not in fine:
                    law = LAW if pattern is CALLS else "memory comes from base (arena, buf, must_alloc)"
                    yield path, code.count("\n", 0, m.start()) + 1, "%s: %s()" % (law, m.group(1))


SAMPLES = [
    ("clock", {"core/parse/a.c": "int f(void)\n{\n\treturn time(0);\n}\n"}),
    ("file header", {"core/model/a.c": "#include <fcntl.h>\n"}),
    ("malloc above base", {"core/model/a.c": "void *f(void)\n{\n\treturn malloc(3);\n}\n"}),
    ("log", {"core/parse/a.c": 'void f(void)\n{\n\tlog_info("x", "y", NULL);\n}\n'}),
    ("lock in a file marked pure", {"tracker/v.h": "/* Verdicts.\n * pure: nothing of the world.\n */\n",
                                    "tracker/v.c": "void f(void)\n{\n\tpthread_mutex_lock(&m);\n}\n"}),
    ("marked pure and uses io", {"tracker/v.h": '/* pure: yes */\n#include "core/io/log.h"\n', "core/io/log.h": ""}),
]
CLEAN = {"core/parse/a.c": "/* open(x) */\nint f(void)\n{\n\treturn reopen(s->time(1), \"read(\");\n}\n",
         "tracker/v.c": "#include <time.h>\n"}
