"""An include points to the same or a lower layer; programs never include one
another; deploy/command uses core alone."""
from tree import LAYERS, PROGRAMS, c_files, folder_of, includes

LAW = "an include points to the same or a lower layer (base < parse < model < io < web < programs)"
ALONE = "the programs never include one another"
COMMAND = "deploy/command includes only core"


def check(root, files, options):
    for path, text in c_files(files).items():
        mine = folder_of(path)
        for line, target, quoted in includes(text):
            if not quoted:
                continue
            if target not in files:
                yield path, line, 'includes are written from the root: no file "%s"' % target
                continue
            if mine is None:
                continue
            theirs = folder_of(target)
            if mine == "deploy/command" and theirs not in LAYERS + ["deploy/command"]:
                yield path, line, '%s: "%s"' % (COMMAND, target)
            elif mine in PROGRAMS and theirs not in LAYERS + [mine]:
                yield path, line, '%s: "%s"' % (ALONE, target)
            elif mine in LAYERS and (theirs not in LAYERS or LAYERS.index(theirs) > LAYERS.index(mine)):
                yield path, line, '%s: "%s"' % (LAW, target)


SAMPLES = [
    ("upward", {"core/base/a.c": '#include "core/io/b.h"\n', "core/io/b.h": ""}),
    ("program to program", {"tracker/a.c": '#include "rewriter/b.h"\n', "rewriter/b.h": ""}),
    ("command to program", {"deploy/command/a.c": '#include "reports/b.h"\n', "reports/b.h": ""}),
    ("core to program", {"core/web/a.h": '\n#include "tracker/b.h"\n', "tracker/b.h": ""}),
    ("not from the root", {"core/base/a.c": '#include "b.h"\n', "core/base/b.h": ""}),
]
CLEAN = {"core/io/a.c": '#include "core/model/b.h"\n#include <time.h>\n', "core/model/b.h": ""}
