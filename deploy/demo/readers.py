#!/usr/bin/env python3
"""Those who read the sample campaign: people, proxies and machines.

    readers.py --sink DIR --ledger FILE [--run RUN]

Takes the copies that the sink accepted, reads each as an ordinary client would
(Python's email and HTML parsers, nothing of ours), and does what the
recipient's name says (BEHAVIOURS). A link must lead to the very destination
that the campaign wrote. The ledger has a line for each request.
"""
import argparse
import concurrent.futures
import email
import email.policy
import html.parser
import http.client
import json
import os
import re
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import campaign  # noqa: E402

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
PHONE = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
         "Mobile/15E148 Safari/604.1")
GMAIL_PROXY = ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)")
YAHOO_PROXY = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
APPLE_PREFETCH = "Mozilla/5.0"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel/1.0; link scan)"
LIBRARY = "python-requests/2.32.3"
MAILBOX = "Mozilla/5.0 (compatible; one-click-unsubscribe)"

# behaviour: requests in order: (method, what, agent, class that the report should give it).
# what: "pixel", "links" (all), or a number: the n-th tracked link.
BEHAVIOURS = {
    "reader": [("GET", "pixel", BROWSER, "human"), ("GET", 0, BROWSER, "human"), ("GET", 3, BROWSER, "human")],
    "open": [("GET", "pixel", PHONE, "human"), ("GET", "pixel", PHONE, "human")],
    "proxy": [("GET", "pixel", "PROXY", "human")],
    "proxyclick": [("GET", "pixel", "PROXY", "human"), ("GET", 1, PHONE, "human")],
    "prefetch": [("GET", "pixel", APPLE_PREFETCH, "machine")],
    "prefetchclick": [("GET", "pixel", APPLE_PREFETCH, "machine"), ("GET", 4, PHONE, "human")],
    "scanner": [("GET", "pixel", SCANNER, "machine"), ("GET", "links", SCANNER, "machine")],
    # Says that it is a browser; that it opens every link at once gives it away.
    "gateway": [("GET", "pixel", BROWSER, "machine"), ("GET", "links", BROWSER, "machine")],
    "head": [("HEAD", "pixel", LIBRARY, "machine"), ("HEAD", 2, LIBRARY, "machine")],
    "unsub": [("GET", "pixel", BROWSER, "human"), ("GET", "unsubscribe", BROWSER, None),
              ("POST", "unsubscribe", MAILBOX, "unsubscribe")],
    "nobody": [],
}


class Page(html.parser.HTMLParser):
    """Links and images in the order in which a client meets them."""

    def __init__(self):
        super().__init__()
        self.links, self.images = [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(reversed(attrs))
        if tag == "a":
            self.links.append(attrs.get("href", ""))
        elif tag == "img":
            self.images.append(attrs.get("src", ""))


class Copy:
    """One accepted copy, as its reader's client shows it."""

    def __init__(self, raw, sender, rcpt):
        m = email.message_from_bytes(raw, policy=email.policy.default)
        self.sender, self.rcpt = sender, rcpt
        self.behaviour, self.number = rcpt.split("-")[1], int(rcpt.split("-")[2])
        page = Page()
        page.feed(m.get_body(("html",)).get_content())
        self.text = m.get_body(("plain",)).get_content()
        if len(page.links) != len(campaign.LINKS):
            raise ValueError("%s: %d links instead of %d" % (rcpt, len(page.links), len(campaign.LINKS)))
        self.tracked, self.wrong = [], []
        for href, (written, lands) in zip(page.links, campaign.LINKS):
            if lands is None:
                if href != html.unescape(written):
                    self.wrong.append("%s was changed to %s" % (written, href))
            elif "/c/" not in href:
                self.wrong.append("%s is not tracked" % written)
            else:
                self.tracked.append((href, lands))
        if "X-Landfall-Campaign" in m:
            self.wrong.append("the control header is still there")
        self.pixels = [i for i in page.images if "/o/" in i]
        if len(self.pixels) != 1:
            self.wrong.append("%d pixels" % len(self.pixels))
        found = re.search("<(https?:[^>]*)>", m.get("List-Unsubscribe", ""))
        self.unsubscribe = found and found.group(1)
        # The address of the copy is its reader's network.
        self.address = "198.51.%d.%d" % (100 + self.number // 250, 1 + self.number % 250)


class Web:
    """Connections to the tracker, one a thread; a request is tried until it is
    answered, and what stayed without an answer is counted: it may have been
    recorded all the same."""

    def __init__(self, limit):
        self.local = threading.local()
        self.limit = limit

    def ask(self, method, url, agent, address, body=None):
        """(status, location, tries without an answer)"""
        parts = urllib.parse.urlsplit(url)
        path = parts.path + ("?" + parts.query if parts.query else "")
        headers = {"User-Agent": agent, "X-Forwarded-For": address, "Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        unanswered, deadline = 0, time.monotonic() + self.limit
        while True:
            kept = getattr(self.local, "kept", {})
            self.local.kept = kept
            sent = False
            try:
                if parts.netloc not in kept:
                    kept[parts.netloc] = http.client.HTTPConnection(parts.netloc, timeout=20)
                    kept[parts.netloc].connect()
                link = kept[parts.netloc]
                sent = True
                link.request(method, path, body=body, headers=headers)
                answer = link.getresponse()
                answer.read()
                return answer.status, answer.getheader("Location"), unanswered
            except (OSError, http.client.HTTPException) as e:
                kept.pop(parts.netloc, None)
                unanswered += sent
                if time.monotonic() > deadline:
                    raise TimeoutError("no answer to %s %s...: %s" % (method, path[:12], e))
                time.sleep(0.05)


class Readers:
    """May be asked again and again: a copy is read once."""

    def __init__(self, sink, ledger, run=None, threads=4, limit=120, pace=0.0):
        self.sink, self.run, self.threads, self.pace = sink, run, threads, pace
        self.ledger = open(ledger, "a", buffering=1)
        self.web = Web(limit)
        self.read_so_far = set()
        self.lock = threading.Lock()
        self.wrong = []

    def _note(self, copy, method, what, cls, status, unanswered, wrong):
        with self.lock:
            if wrong:
                self.wrong.append("%s: %s" % (copy.rcpt, wrong))
            self.ledger.write(json.dumps({"rcpt": copy.rcpt, "from": copy.sender, "method": method, "what": what,
                                          "class": cls, "status": status, "unanswered": unanswered}) + "\n")

    def _link(self, copy, method, href, lands, agent, cls):
        status, location, unanswered = self.web.ask(method, href, agent, copy.address)
        wrong = None if (status, location) == (302, lands) else "%s led to %s %s" % (lands, status, location)
        self._note(copy, method, "click", cls, status, unanswered, wrong)

    def _act(self, copy, method, what, agent, cls):
        if agent == "PROXY":
            agent = YAHOO_PROXY if "yahoo" in copy.rcpt else GMAIL_PROXY
        if what == "pixel":
            status, _, unanswered = self.web.ask(method, copy.pixels[0], agent, copy.address)
            self._note(copy, method, "open", cls, status, unanswered, None if status == 200 else "pixel: %d" % status)
        elif what == "unsubscribe":
            body = "List-Unsubscribe=One-Click" if method == "POST" else None
            status, _, unanswered = self.web.ask(method, copy.unsubscribe, agent, copy.address, body)
            self._note(copy, method, "unsubscribe", cls, status, unanswered,
                       None if status == 200 else "unsubscribe: %d" % status)
        elif what == "links":
            for href, lands in copy.tracked:
                self._link(copy, method, href, lands, agent, cls)
        else:
            self._link(copy, method, *copy.tracked[what], agent, cls)

    def _read(self, line):
        with open(os.path.join(self.sink, "mail", line["file"]), "rb") as f:
            copy = Copy(f.read(), line["from"], line["rcpt"])
        self.wrong.extend("%s: %s" % (copy.rcpt, w) for w in copy.wrong)
        for step in BEHAVIOURS[copy.behaviour]:
            self._act(copy, *step)
            if self.pace:
                time.sleep(self.pace)

    def waiting(self):
        """Accepted copies of this run that were not read yet."""
        found = []
        try:
            with open(os.path.join(self.sink, "ledger.jsonl")) as f:
                for text in f:
                    line = json.loads(text)
                    if not line["file"] or line["dsn"] or line["file"] in self.read_so_far:
                        continue
                    if self.run is None or line["rcpt"].split("@")[0].endswith("-" + self.run):
                        found.append(line)
        except (FileNotFoundError, json.JSONDecodeError):
            pass  # nothing yet, or a line that is being written
        return found

    def read_new(self):
        """Read what has come in since the last call; how many copies."""
        new = self.waiting()
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(self._read, new))
        self.read_so_far.update(line["file"] for line in new)
        return len(new)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--sink", required=True)
    ap.add_argument("--ledger", required=True)
    ap.add_argument("--run")
    a = ap.parse_args()
    r = Readers(a.sink, a.ledger, a.run)
    print("%d copies read" % r.read_new())
    for w in r.wrong:
        print("wrong: " + w)
    return 1 if r.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
