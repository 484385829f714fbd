#!/usr/bin/env python3
"""Compare a campaign's report with what the other side saw: campaign.py's
replies, the sink's ledger and the readers' ledger.

    check.py --report FILE --campaign FILE --sink DIR --readers FILE [--run RUN]

Every number must be equal. Where a program was killed between taking and
answering, nobody outside can know: the campaign's and the readers' ledgers
count those moments, and the report may lie within them, no further.
"""
import argparse
import collections
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import campaign  # noqa: E402
import sink  # noqa: E402

# Of a report's numbers, those that are counted per recipient and provider.
PER_PROVIDER = ["sent", "accepted", "deferred", "bounced", "unsubscribed", "opened.human", "opened.machine", "opened.any",
                "clicked.human", "clicked.machine", "clicked.any"]


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


class Expected:
    """Sets of copies (recipient, return path) by what a report should say."""

    def __init__(self, result, sink_lines, reader_lines, run=None):
        mine = {a for a in result if run is None or a.split("@")[0].endswith("-" + run)}
        self.sets = collections.defaultdict(set)
        self.hits = collections.Counter()
        self.loose = collections.Counter()  # how much more a number may be
        self.sure = sum(result[a]["ok"] for a in mine)
        self.unknown_by_address = {a: result[a]["unknown"] for a in mine}
        self.unknown = sum(self.unknown_by_address.values())
        last = {}
        for line in sink_lines:
            if line["dsn"] or line["rcpt"] not in mine:
                continue
            copy = (line["rcpt"], line["from"])
            last[copy] = line["reply"]
            self.sets["seen"].add(copy)
            if line["reply"][0] == "4":
                self.sets["deferred"].add(copy)
            elif line["reply"][0] == "2":
                self.sets["accepted"].add(copy)
            else:
                self._bounced(copy)
        for copy, reply in last.items():
            # Deferred to the end of the queue's patience: the MTA gives up.
            if reply[0] == "4" and sink.RULES[sink.rule_of(copy[0])][3] == "soft":
                self._bounced(copy)
        for line in reader_lines:
            if line["rcpt"] in mine:
                self._read(line)
        for what in ("opened", "clicked"):
            self.sets[what + ".any"] = self.sets[what + ".human"] | self.sets[what + ".machine"]

    def _bounced(self, copy):
        self.sets["bounced"].add(copy)
        self.sets["bounced_by_class." + sink.RULES[sink.rule_of(copy[0])][3]].add(copy)

    def _read(self, line):
        copy = (line["rcpt"], line["from"])
        if line["class"] is None:
            return
        if line["what"] == "unsubscribe":
            self.sets["unsubscribed"].add(copy)
            return
        what = {"open": "opened", "click": "clicked"}[line["what"]]
        self.sets["%s.%s" % (what, line["class"])].add(copy)
        self.hits[what] += 1
        self.loose[what] += line["unanswered"]

    def counts(self):
        """name -> (least, most)"""
        out = {"sent": (self.sure, self.sure + self.unknown)}
        for name in ("accepted", "deferred", "bounced", "unsubscribed", "bounced_by_class.hard", "bounced_by_class.soft",
                     "bounced_by_class.block", "opened.human", "opened.machine", "opened.any", "clicked.human",
                     "clicked.machine", "clicked.any"):
            out[name] = (len(self.sets[name]),) * 2
        for what in ("opened", "clicked"):
            out[what + ".total_hits"] = (self.hits[what], self.hits[what] + self.loose[what])
        return out

    def provider_counts(self):
        """(provider, name) -> (least, most). A copy that the next hop took from a
        rewriter which was killed before it could note so has no provider: it
        may stand under "other"."""
        out = {}
        doubtful = {a for a, n in self.unknown_by_address.items() if n}
        for provider in set(campaign.DOMAINS.values()):
            for name in PER_PROVIDER:
                copies = self.sets["seen" if name == "sent" else name]
                mine = {c for c in copies if campaign.DOMAINS[c[0].split("@")[1]] == provider}
                most = mine | {c for c in copies if c[0] in doubtful} if provider == "other" else mine
                out[provider, name] = (len({c for c in mine if c[0] not in doubtful}), len(most))
        return out


def value(report, name):
    at = report
    for part in name.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    # A class without a bounce may be left out of the object.
    return 0 if at is None and name.startswith("bounced_by_class.") else at


def compare(report, expected):
    """(rows "name got want", the wrong ones)"""
    rows = []

    def row(name, got, least, most):
        fine = isinstance(got, int) and least <= got <= most
        rows.append((name, got, "%d" % least if least == most else "%d..%d" % (least, most), fine))

    for name, (least, most) in expected.counts().items():
        row(name, value(report, name), least, most)
    reported = {p["provider"]: p for p in report.get("providers", [])}
    for (provider, name), (least, most) in sorted(expected.provider_counts().items()):
        # A provider without a recipient may be left out.
        row("%s %s" % (provider, name), value(reported[provider], name) if provider in reported else 0, least, most)
    for provider in sorted(set(reported) - set(campaign.DOMAINS.values())):
        rows.append((provider, "there", "absent", False))
    wrong = ["%s: the report says %s, the ledgers say %s" % r[:3] for r in rows if not r[3]]
    return rows, wrong


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("report", "campaign", "sink", "readers"):
        ap.add_argument("--" + name, required=True)
    ap.add_argument("--run")
    a = ap.parse_args()
    with open(a.report) as f:
        report = json.load(f)
    with open(a.campaign) as f:
        result = json.load(f)
    rows, wrong = compare(report, Expected(result, lines(a.sink + "/ledger.jsonl"), lines(a.readers), a.run))
    for name, got, want, fine in rows:
        print("%-30s %8s %10s  %s" % (name, got, want, "equal" if fine else "DIFFERENT"))
    print("%d numbers compared, %d different" % (len(rows), len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
