"""Each vendor's library has one home."""
from tree import c_files, code_only, includes
import re

TLS_HOME = r"core/io/tls\.c|core/web/[^/]+|tests/certs\.c|tests/unit/tls_test\.c|tests/bench/(tls_bench|bare_h2o)\.c"
HOMES = [
    ("libh2o", r"h2o(/.*)?\.h|h2o\.h|wslay.*|picohttpparser\.h", r"core/web/[^/]+|tests/bench/bare_h2o\.c"),
    ("hiredis", r"hiredis/.*", r"core/io/rds\.c"),
    ("cJSON", r"cjson/.*|cJSON\.h", r"core/parse/json\.c"),
    ("libmaxminddb", r"maxminddb.*\.h", r"tracker/geo\.c"),
    ("libev", r"ev\.h|ev/.*|libev/.*", r"core/io/loop\.c"),
    ("libmilter", r"libmilter/.*", r"rewriter/milter\.c"),
    ("libssl", r"openssl/(ssl|bio|pem|x509|x509v3|err|dtls1|tls1)\.h", TLS_HOME),
]
NAMES = [
    ("libh2o", r"\bh2o_\w+\s*\(", r"core/web/[^/]+|tests/bench/bare_h2o\.c"),
    ("hiredis", r"\bredis(Connect|Command|AppendCommand|GetReply|Free)\w*\s*\(", r"core/io/rds\.c"),
    ("cJSON", r"\bcJSON_\w+\s*\(", r"core/parse/json\.c"),
    ("libmaxminddb", r"\bMMDB_\w+\s*\(", r"tracker/geo\.c"),
    ("libssl", r"\b(SSL|BIO|PEM|X509)_\w+\s*\(", TLS_HOME),
    ("libev", r"\bev_(run|loop|io|timer|async|signal|child|break)_?\w*\s*\(", r"core/io/loop\.c"),
]


def check(root, files, options):
    for path, text in c_files(files).items():
        if path.startswith("tests/lint/"):
            continue
        for line, target, _ in includes(text):
            for vendor, pattern, home in HOMES:
                if re.fullmatch(pattern, target) and not re.fullmatch(home, path):
                    yield path, line, "%s lives in %s alone: <%s>" % (vendor, home.replace("\\", ""), target)
        code = code_only(text)
        for vendor, pattern, home in NAMES:
            if re.fullmatch(home, path):
                continue
            for m in re.finditer(pattern, code):
                yield path, code.count("\n", 0, m.start()) + 1, "%s lives in %s alone: %s" % (
                    vendor, home.replace("\\", ""), m.group(0).rstrip("( \t"))


SAMPLES = [
    ("h2o in the tracker", {"tracker/a.c": "#include <h2o.h>\n"}),
    ("hiredis beside rds.c", {"core/io/outbox.c": "#include <hiredis/hiredis.h>\n"}),
    ("cJSON in reports", {"reports/a.c": "#include <cjson/cJSON.h>\n"}),
    ("libev in the rewriter", {"rewriter/a.c": "#include <ev.h>\n"}),
    ("maxminddb in core", {"core/io/a.c": "#include <maxminddb.h>\n"}),
    ("libssl in the rewriter", {"rewriter/a.c": "#include <openssl/ssl.h>\n"}),
    ("by its functions", {"core/io/a.c": "\nvoid f(void)\n{\n\tredisCommand(c, \"PING\");\n}\n"}),
]
CLEAN = {"core/io/rds.c": "#include <hiredis/hiredis.h>\n", "tracker/a.c": "/* h2o_start() */\n"}
