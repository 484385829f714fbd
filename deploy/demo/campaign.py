#!/usr/bin/env python3
"""The sample campaign: made, and handed to the rewriter over SMTP.

    campaign.py --port PORT --name NAME [--count N] [--ledger FILE]

A recipient's name says what the world does with the message (sink.py) and what
its reader does with it (readers.py): RULE-BEHAVIOUR-NUMBER-RUN@DOMAIN. What got
no 250 is sent again, as any MTA would; the ledger says what was answered.
"""
import argparse
import email.message
import email.policy
import json
import socket
import sys
import threading
import time

# domain: the word of its mailbox provider in reports
DOMAINS = {
    "gmail.com": "gmail",
    "googlemail.com": "gmail",
    "outlook.com": "microsoft",
    "hotmail.com": "microsoft",
    "yahoo.com": "yahoo",
    "icloud.com": "apple",
    "me.com": "apple",
    "gmx.de": "gmx",
    "web.de": "gmx",
    "comcast.net": "comcast",
    "example.test": "other",
    "firma.test": "other",
}

# Of twenty messages, these meet trouble; the rest arrives at once.
FATES = ["later", "grey", "slowly", "never", "nouser", "nodomain", "full", "policy", "spam"]

# href as written in the HTML: where the reader must land; None: left alone
LINKS = [
    ("https://shop.landfall.test/offer?campaign=autumn&amp;item=1&#38;size=m", "https://shop.landfall.test/offer?campaign=autumn&item=1&size=m"),
    ("https://shop.landfall.test/sale#top", "https://shop.landfall.test/sale#top"),
    ("https://shop.landfall.test/caf%C3%A9/menu", "https://shop.landfall.test/caf%C3%A9/menu"),
    ("http://blog.landfall.test/post?id=42&copy=1", "http://blog.landfall.test/post?id=42&copy=1"),
    ("https://shop.landfall.test/basket?utm_source=mail&amp;utm_medium=newsletter&amp;utm_campaign=autumn-2026&amp;note=a+b%20c",
     "https://shop.landfall.test/basket?utm_source=mail&utm_medium=newsletter&utm_campaign=autumn-2026&note=a+b%20c"),
    ("https://shop.landfall.test/it's?q='1'", "https://shop.landfall.test/it's?q='1'"),
    ("https://maps.landfall.test/@52.5,13.4,17z", "https://maps.landfall.test/@52.5,13.4,17z"),
    ("mailto:help@landfall.test?subject=Order", None),
    ("https://shop.landfall.test/sale#top", "https://shop.landfall.test/sale#top"),
    ("https://shop.landfall.test/preferences", None),  # opted out in HTML below
    ("https://social.landfall.test/landfall", "https://social.landfall.test/landfall"),
    ("#top", None),
]
OPTED_OUT = 9

FILLER = ("The autumn harvest is in: apples from the hills, walnuts, the first pumpkins, and bread that is "
          "baked while you read this. Grüße aus der Küche - from all of us at the shop. ")


def behaviour_of(i, domain):
    """What this recipient's reader will do; readers.py has the meaning."""
    provider = DOMAINS[domain]
    turn = i % 10
    if provider in ("gmail", "yahoo") and turn < 5:
        return ["proxy", "proxyclick", "scanner", "reader", "unsub"][turn]
    if provider == "apple" and turn < 5:
        return ["prefetch", "prefetchclick", "reader", "prefetch", "nobody"][turn]
    return ["reader", "open", "scanner", "nobody", "reader", "head", "gateway", "open", "nobody", "unsub"][turn]


def recipients(run, count):
    """Addresses of a campaign, always the same for the same count but for the run."""
    domains = sorted(DOMAINS)
    made = []
    for i in range(count):
        domain = domains[(i * 7 + i // len(domains)) % len(domains)]
        # A third of the messages meets a fate other than a plain 250.
        rule = FATES[(i // 3) % len(FATES)] if i % 3 == 2 else "ok"
        made.append("%s-%s-%d-%s@%s" % (rule, behaviour_of(i // 2, domain), i, run, domain))
    return made


def html_of(number):
    rows = []
    for i, (href, _) in enumerate(LINKS):
        off = ' data-landfall="off"' if i == OPTED_OUT else ""
        rows.append('<tr><td><p>%s</p><a class="b%d"%s href="%s">Read number %d</a></td></tr>'
                    % (FILLER, i, off, href, i + 1))
    return ('<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>Autumn</title>\n'
            "<style>a { color: #247 } td > p { margin: 0 }</style></head>\n<body bgcolor=\"#ffffff\">\n"
            '<!-- a comment with <a href="https://not.a.link.test/">a link</a> that is none -->\n'
            "<table>\n%s\n</table>\n<p>Order %d</p>\n</body></html>\n" % ("\n".join(rows), number))


def message(address, name, number):
    m = email.message.EmailMessage(policy=email.policy.SMTP.clone(max_line_length=76))
    m["From"] = "The Shop <news@shop.landfall.test>"
    m["To"] = address
    m["Subject"] = "Autumn at the shop, Grüße"
    m["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    m["Message-ID"] = "<%s@shop.landfall.test>" % address.replace("@", ".at.")
    m["X-Landfall-Campaign"] = name
    m.set_content("Autumn at the shop\n\n%s\n\nTo the sale: https://shop.landfall.test/sale#text\n" % FILLER,
                  cte="quoted-printable")
    m.add_alternative(html_of(number), subtype="html", cte="quoted-printable" if number % 2 else "base64")
    return m.as_bytes()


class Smtp:
    """One kept connection, one recipient a transaction."""

    def __init__(self, port, timeout):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")
        self.dot_sent = False
        self.expect("220")
        self.command("EHLO campaign.landfall.test", "250")

    def reply(self):
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("connection lost")
            if line[3:4] != b"-":
                return line.decode("latin-1").strip()

    def expect(self, code):
        got = self.reply()
        if not got.startswith(code):
            raise ConnectionError(got)
        return got

    def command(self, text, code):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.expect(code)

    def send(self, sender, rcpt, body):
        """The reply to the end of data, or to what was refused before."""
        self.dot_sent = False
        for text, code in (("MAIL FROM:<%s>" % sender, "2"), ("RCPT TO:<%s>" % rcpt, "2"), ("DATA", "354")):
            self.socket.sendall(text.encode() + b"\r\n")
            got = self.reply()
            if not got.startswith(code):
                self.command("RSET", "2")
                return got
        stuffed = body.replace(b"\r\n.", b"\r\n..")
        self.dot_sent = True
        self.socket.sendall(stuffed + b".\r\n")
        got = self.reply()
        self.dot_sent = False
        return got

    def close(self):
        try:
            self.command("QUIT", "2")
        except OSError:
            pass
        self.file.close()
        self.socket.close()


class Campaign:
    def __init__(self, port, name, addresses, sender="news@shop.landfall.test", timeout=60, pace=0.0):
        self.port, self.name, self.sender, self.timeout, self.pace = port, name, sender, timeout, pace
        self.todo = list(enumerate(addresses))[::-1]
        self.result = {a: {"ok": 0, "unknown": 0, "refused": None} for a in addresses}
        self.lock = threading.Lock()
        self.done = 0
        self.trouble = None

    def _take(self):
        with self.lock:
            return self.todo.pop() if self.todo else None

    def _one(self, link, number, address, deadline):
        """Until it got its 250 or a refusal for good. The connection to go on with."""
        result = self.result[address]
        body = message(address, self.name, number)
        while True:
            try:
                link = link or Smtp(self.port, self.timeout)
                reply = link.send(self.sender, address, body)
                if reply[0] == "2":
                    result["ok"] += 1
                    return link
                if reply[0] == "5":
                    result["refused"] = reply
                    return link
            except OSError as e:
                reply = str(e)
                # After the dot nobody knows: the message may have been taken.
                if link and link.dot_sent:
                    result["unknown"] += 1
                link = None
            if time.monotonic() > deadline:
                raise TimeoutError("no 250 for a message within the time: %s" % reply)
            time.sleep(0.1)

    def _worker(self, deadline):
        link = None
        try:
            while not self.trouble:
                job = self._take()
                if job is None:
                    break
                link = self._one(link, *job, deadline)
                with self.lock:
                    self.done += 1
                if self.pace:
                    time.sleep(self.pace)
        except Exception as e:  # noqa: BLE001 - told by send()
            self.trouble = e
        finally:
            if link:
                link.close()

    def send(self, connections=4, limit=300):
        """Returns address -> {"ok": 250s, "unknown": dots without answer, "refused"}."""
        deadline = time.monotonic() + limit
        threads = [threading.Thread(target=self._worker, args=(deadline,)) for _ in range(connections)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.trouble:
            raise self.trouble
        return self.result


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--port", type=int, default=2525)
    ap.add_argument("--name", required=True)
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--connections", type=int, default=4)
    ap.add_argument("--ledger")
    a = ap.parse_args()
    run = "%x" % int(time.time())
    result = Campaign(a.port, a.name, recipients(run, a.count)).send(a.connections)
    if a.ledger:
        with open(a.ledger, "w") as f:
            json.dump(result, f, indent=1)
    taken = sum(r["ok"] for r in result.values())
    print("campaign %s: %d of %d messages taken" % (a.name, taken, len(result)))
    return 0 if taken == len(result) else 1


if __name__ == "__main__":
    sys.exit(main())
