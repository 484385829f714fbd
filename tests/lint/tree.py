"""The source tree as the checks see it: files by path, comments and strings
blanked where a check wants code alone."""
import os
import re

LAYERS = ["core/base", "core/parse", "core/model", "core/io", "core/web"]
PROGRAMS = ["rewriter", "tracker", "collector", "reports"]
SOURCE_DIRS = LAYERS + PROGRAMS + ["deploy", "tests", "docs", ".ci"]
LEFT_OUT = {".git", "build", "node_modules", "landfall-data", "__pycache__"}
PURE_LAYERS = LAYERS[:3]


def read_tree(root):
    """Path -> text of every text file of the project."""
    files = {}
    for here, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d not in LEFT_OUT)
        for name in sorted(names):
            path = os.path.join(here, name)
            if os.path.islink(path) or name == ".git":
                continue
            with open(path, "rb") as f:
                raw = f.read()
            if b"\0" in raw:
                continue
            files[os.path.relpath(path, root)] = raw.decode("utf-8", "replace")
    return files


def c_files(files):
    return {p: t for p, t in files.items() if p.endswith((".c", ".h", ".def"))}


def folder_of(path):
    """The layer or program a file belongs to; None for tests and the like."""
    for d in LAYERS + PROGRAMS + ["deploy/command"]:
        if path.startswith(d + "/"):
            return d
    return None


INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.M)


def includes(text):
    """(line, path, quoted) of every include."""
    for m in INCLUDE.finditer(text):
        yield text.count("\n", 0, m.start(0) + len(m.group(0))) + 1, m.group(1) or m.group(2), m.group(1) is not None


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """Comments and literals blanked out, line numbers kept."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def pure_files(files):
    """Files that must be pure: the pure layers, and of a program every header
    whose opening comment has a line starting with "pure:", with its .c."""
    pure = {p for p in c_files(files) if folder_of(p) in PURE_LAYERS}
    for p, text in files.items():
        if p.endswith(".h") and folder_of(p) in PROGRAMS + LAYERS[3:]:
            head = re.match(r"\s*/\*.*?\*/", text, re.S)
            if head and re.search(r"^\s*/?\*\s*pure:", head.group(0), re.M):
                pure.add(p)
                if p[:-1] + "c" in files:
                    pure.add(p[:-1] + "c")
    return pure
