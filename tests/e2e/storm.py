"""Many messages through Postfix -> Landfall -> Postfix while the way behind Landfall
answers as it likes and is cut at any moment: who was told what, and who got it."""
import collections
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

from chain import free_ports, until
from rig import FATE, Mta
from smtp import Client, Front

HERE = os.path.dirname(os.path.abspath(__file__))
LINE = "<p>An offer of the week: <a href=\"https://shop.example/%s/%d?id=7\">see it here</a>, and more of it below.</p>\r\n"


def message(id, rng):
    """Nine of ten have a campaign; a few are large."""
    tracked = rng.random() < 0.85
    size = int(1024 * 300 ** (rng.random() ** 4))
    lines = ["From: news@brand.test\r\nTo: reader@a.test\r\nSubject: offers\r\nMessage-ID: <%s@brand.test>\r\n" % id,
             "X-Landfall-Campaign: storm %d\r\n" % rng.randrange(5) if tracked else "",
             "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n"]
    length, n = sum(map(len, lines)), 0
    while length < size:
        # Links for a screen; then text, or there would be nothing but tokens.
        lines.append(LINE % (id, n) if n < 20 else ".%06d is a line of text that starts with a dot and has no link in it at all\r\n" % n)
        length += len(lines[-1])
        n += 1
    lines.append("</body></html>\r\n<!-- end %s -->\r\n" % id)
    return "".join(lines).encode(), tracked


def recipients(id, rng):
    u = rng.random()
    count = 1 if u < 0.7 else rng.randrange(2, 6) if u < 0.95 else rng.randrange(6, 21)
    return ["r%d-%s@a.test" % (i, id) for i in range(count)]


class Helper:
    """A role of chaos.py as a process."""

    def __init__(self, bench, role, port, next, *more):
        self.path = "%s/%s.jsonl" % (bench.dir, role)
        self.process = subprocess.Popen([sys.executable, HERE + "/chaos.py", role, str(port), str(next), self.path, *map(str, more)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        bench.at_end.append(self.stop)
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def lines(self):
        with open(self.path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def count(self):
        with open(self.path, "rb") as f:
            return sum(1 for _ in f)


class Follower:
    """What the first Postfix was told, read as its log grows."""

    def __init__(self, path):
        self.file, self.final, self.tries, self.rest = open(path, errors="replace"), {}, collections.Counter(), ""

    def read(self):
        text = self.rest + self.file.read()
        *lines, self.rest = text.split("\n")
        for line in lines:
            m = FATE.search(line)
            if not m or not m[2].endswith("@a.test"):
                continue
            self.tries[m[5]] += 1
            if m[5] != "deferred":
                assert m[2] not in self.final, "two fates: %s, before: %s" % (line, self.final[m[2]])
                self.final[m[2]] = (m[5], m[6])
        return self.final


def feed(port, count, seed, sent):
    """All messages into the first Postfix, by four at once."""
    lock, numbers, wrong = threading.Lock(), iter(range(count)), []

    def work():
        try:
            c = Client(port, timeout=60).hello()
            while True:
                with lock:
                    n = next(numbers, None)
                if n is None:
                    return
                id = "m%06d" % n
                rng = random.Random("%s %s" % (seed, id))
                rcpts = recipients(id, rng)
                body, tracked = message(id, rng)
                c.raw("".join(["MAIL FROM:<s-%s@brand.test>\r\n" % id] + ["RCPT TO:<%s>\r\n" % r for r in rcpts] + ["DATA\r\n"]).encode())
                said = [c.read()[-1][:3] for _ in range(len(rcpts) + 2)]
                assert said == ["250"] * (len(rcpts) + 1) + ["354"], said
                assert c.end(body)[0].startswith("250")
                with lock:
                    sent[id] = (rcpts, tracked)
        except Exception as e:  # noqa: BLE001 - told by the test
            wrong.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(sent) == count, wrong


def reckon(sent, final, hop, mailbox, events, metrics):
    """The books against each other. What is wrong, and the figures."""
    wrong, taken, heard, lost, refusals, delivered = [], *(collections.Counter() for _ in range(3)), collections.defaultdict(list), collections.Counter()
    tracked_copies = 0
    for line in hop:
        for r in line["rcpts"] or [line["sender"]]:
            if line["e"] == "taken":
                taken[r] += 1
                (heard if line["heard"] else lost)[r] += 1
            elif line["e"] == "trouble" and line["what"][0] == "5":
                refusals[r].append(line["what"])
        if line["e"] == "taken" and line["heard"] and sent[line["rcpts"][0].split("@")[0].split("-")[1]][1]:
            tracked_copies += 1
        if line["e"] == "not" and line["reply"][0] == "5":
            wrong.append("the second Postfix refused: %s" % line)
    for line in mailbox:
        for r in line["rcpts"]:
            delivered[r] += 1
            id = r.split("@")[0].split("-")[-1]
            if line["id"] != id or line["end"] != id:
                wrong.append("%s got the message %s that ends %s" % (r, line["id"], line["end"]))
                continue
            if bool(line["tracked"]) != sent[id][1] or bool(line["untracked"]) == sent[id][1]:
                wrong.append("%s: %d links rewritten, %d not" % (r, line["tracked"], line["untracked"]))
    statuses = collections.Counter()
    for id, (rcpts, tracked) in sent.items():
        for r in rcpts:
            status, reply = final[r]
            statuses[status] += 1
            if delivered[r] != taken[r]:
                wrong.append("%s: taken %d times, delivered %d times" % (r, taken[r], delivered[r]))
            if status == "sent" and heard[r] != 1:
                wrong.append("%s: the first MTA was told %s, but %d times 250 was said to Landfall" % (r, reply[:60], heard[r]))
            if status == "bounced" and (heard[r] or not (refusals[r] or refusals["s-%s@brand.test" % id])):
                wrong.append("%s: bounced with %s; 250 was said %d times, 5xx %s" % (r, reply[-90:], heard[r], refusals[r]))
    strangers = set(delivered) - {r for rcpts, _ in sent.values() for r in rcpts}
    if strangers:
        wrong.append("mail to strangers: %s" % strangers)
    recorded = [e for e in events if e["kind"] == "sent"]
    if len(recorded) != tracked_copies:
        wrong.append("%d sent events, %d tracked copies were taken and heard of" % (len(recorded), tracked_copies))
    if metrics["sessions_open"]:
        wrong.append("%d sessions are left" % metrics["sessions_open"])
    # Where the way was cut behind the 250 nobody can know; and only there.
    again = sum(delivered[r] - 1 for r in final if final[r][0] == "sent")
    lost_of_sent = sum(lost[r] for r in final if final[r][0] == "sent")
    if again != lost_of_sent:
        wrong.append("%d delivered again, but %d answers were lost" % (again, lost_of_sent))
    return wrong, {"recipients": sum(statuses.values()), **statuses, "250 of the second MTA": sum(taken.values()),
                   "delivered": sum(delivered.values()), "250 lost on the way": sum(lost.values()), "so delivered again": again,
                   "and delivered, refused later": sum(lost[r] for r in final if final[r][0] == "bounced"), "sent events": len(recorded)}


def storm(bench, count, lmtp=False):
    count = int(os.environ.get("STORM_MESSAGES") or count)
    seed = os.environ.get("STORM_SEED") or "%d" % random.SystemRandom().randrange(10 ** 6)
    began, port = time.monotonic(), free_ports(8)
    mailbox = Helper(bench, "mailbox", port, 0)
    quick = "default_destination_concurrency_limit = 20\ninitial_destination_concurrency = 20\nsmtpd_error_sleep_time = 0\n"
    b = Mta(bench, "b", port, quick, port=port + 1)
    hop = Helper(bench, "hop", port + 2, b.port, seed, 0.06)
    f = Front(bench, port + 2, port=port + 3, **{"track.return_path_domain": "bounce.brand.test"})
    a = Mta(bench, "a", f.port, quick + "default_destination_concurrency_failed_cohort_limit = 100000\n"
            "transport_maps = inline:{brand.test=discard:}\n" + (
                "default_transport = lmtp:inet:127.0.0.1:%d\n" % (f.port + 2) if lmtp else ""), port=port + 6)
    sent = {}
    feed(a.port, count, seed, sent)
    fed = time.monotonic() - began
    every = {r for rcpts, _ in sent.values() for r in rcpts}
    told = Follower(a.log)
    try:
        until("the fate of %d recipients" % len(every), 120 + count / 4, lambda: f.alive() and len(told.read()) >= len(every))
        took = time.monotonic() - began
        lines = hop.lines()
        owed = sum(len(line["rcpts"]) for line in lines if line["e"] == "taken")
        until("the mailbox", 120, lambda: sum(len(line["rcpts"]) for line in mailbox.lines()) >= owed)
        until("the end of the sessions", 30, lambda: f.metrics()["sessions_open"] == 0)
        wrong, figures = reckon(sent, told.final, hop.lines(), mailbox.lines(), f.events(), f.metrics())
        troubles = collections.Counter(line["step"] + " " + line["what"] for line in lines if line["e"] == "trouble")
        print("  %d messages, fed in %.0f s, all told in %.0f s; seed %s" % (count, fed, took, seed))
        print("  " + ", ".join("%s %d" % x for x in figures.items()))
        print("  told to the first MTA: %s; troubles: %d: %s" % (dict(told.tries), sum(troubles.values()), ", ".join("%s %d" % x for x in sorted(troubles.items()))))
        assert not wrong, "%d wrong (STORM_SEED=%s STORM_MESSAGES=%d):\n    %s" % (len(wrong), seed, count, "\n    ".join(wrong[:20]))
    except Exception:
        print("  STORM_SEED=%s STORM_MESSAGES=%d" % (seed, count))
        raise
    f.stop()


def test_mta_storm(bench):
    """Postfix -> Landfall -> Postfix in bad weather: each is delivered as often as was said, none is lost"""
    storm(bench, 10000 if bench.nightly else 2000)


def test_mta_storm_lmtp(bench):
    """the same by LMTP, with an answer for each recipient"""
    storm(bench, 10000 if bench.nightly else 400, lmtp=True)
