#!/usr/bin/env python3
"""The world behind the MTA: an SMTP server that decides by the recipient's name
what becomes of a message, keeps what it took, and writes down what it said.

    sink.py --port PORT --dir DIR

The local part up to the first '-' is the rule (RULES below). DIR/mail/N.eml are
the messages taken, DIR/ledger.jsonl has a line for each recipient and attempt.
Bounces (empty return path) are always taken and noted as such.
"""
import argparse
import asyncio
import itertools
import json
import os
import re
import time

# rule: (when, replies to the first attempts, reply from then on, outcome in the end)
# The outcome is what a report should say of the recipient.
RULES = {
    "ok": ("dot", [], "250 2.0.0 Ok: queued as {id}", "accepted"),
    "later": ("rcpt", ["450 4.2.1 The mailbox receives mail too fast, try again"], "250 2.0.0 Ok: queued as {id}",
              "accepted"),
    "grey": ("rcpt", ["451 4.7.1 Greylisted, please try again", "451 4.7.1 Greylisted, please try again"],
             "250 2.0.0 Ok: queued as {id}", "accepted"),
    "slowly": ("dot", ["451 4.3.2 System not accepting messages now"], "250 2.0.0 Ok: queued as {id}", "accepted"),
    "never": ("rcpt", [], "450 4.2.2 The mailbox is over its quota", "soft"),
    "nouser": ("rcpt", [], "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown", "hard"),
    "nodomain": ("rcpt", [], "550 5.1.2 <{rcpt}>: no such domain here", "hard"),
    "full": ("rcpt", [], "552 5.2.2 <{rcpt}>: The recipient's mailbox is full", "soft"),
    "policy": ("rcpt", [], "550 5.7.1 Messages from 192.0.2.7 are refused because of their reputation", "block"),
    "spam": ("dot", [], "554 5.7.1 The content of this message looks like spam", "block"),
}


def rule_of(address):
    return re.split("[-+.@]", address, maxsplit=1)[0].lower()


class World:
    def __init__(self, dir):
        os.makedirs(dir + "/mail", exist_ok=True)
        self.dir = dir
        self.numbers = itertools.count(1)
        self.attempts = {}
        self.ledger = open(dir + "/ledger.jsonl", "a", buffering=1)

    def decide(self, sender, rcpt, when):
        """The reply of this stage, or None when it is not this stage's business."""
        if not sender:
            return None
        stage, first, then, _ = RULES.get(rule_of(rcpt), RULES["ok"])
        if stage != when:
            return None
        n = self.attempts.get((sender, rcpt), 0)
        self.attempts[sender, rcpt] = n + 1
        return first[n] if n < len(first) else then

    def note(self, sender, rcpt, reply, file=None):
        self.ledger.write(json.dumps({"t": round(time.time(), 3), "from": sender, "rcpt": rcpt, "reply": reply[:9],
                                      "dsn": not sender, "file": file}) + "\n")


class Session:
    def __init__(self, world, reader, writer):
        self.world, self.reader, self.writer = world, reader, writer
        self.reset()

    def reset(self):
        self.sender, self.rcpts = None, []

    async def say(self, text):
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()

    async def rcpt(self, address):
        reply = self.world.decide(self.sender, address, "rcpt")
        if reply and reply[0] != "2":
            reply = reply.format(rcpt=address, id="")
            self.world.note(self.sender, address, reply)
            await self.say(reply)
            return
        self.rcpts.append(address)
        await self.say("250 2.1.5 Ok")

    async def data(self):
        if not self.rcpts:
            await self.say("503 5.5.1 no recipient")
            return
        await self.say("354 go on")
        lines = []
        while True:
            line = await self.reader.readline()
            if not line:
                return
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        number = next(self.world.numbers)
        reply = self.world.decide(self.sender, self.rcpts[0], "dot") or RULES["ok"][2]
        reply = reply.format(rcpt=self.rcpts[0], id="%010X" % number)
        file = None
        if reply[0] == "2":
            file = "%06d.eml" % number
            with open(os.path.join(self.world.dir, "mail", file), "wb") as f:
                f.writelines(lines)
        for rcpt in self.rcpts:
            self.world.note(self.sender, rcpt, reply, file)
        self.reset()
        await self.say(reply)

    async def run(self):
        await self.say("220 world.test ESMTP")
        while True:
            line = await self.reader.readline()
            if not line:
                return
            text = line.decode("latin-1").strip()
            verb = text[:4].upper()
            if verb == "EHLO":
                await self.say("250-world.test\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-8BITMIME\r\n"
                               "250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8")
            elif verb == "HELO":
                await self.say("250 world.test")
            elif verb == "MAIL":
                self.reset()
                self.sender = re.search("<([^>]*)>", text).group(1)
                await self.say("250 2.1.0 Ok")
            elif verb == "RCPT":
                await self.rcpt(re.search("<([^>]*)>", text).group(1))
            elif verb == "DATA":
                await self.data()
            elif verb in ("RSET", "NOOP"):
                self.reset()
                await self.say("250 2.0.0 Ok")
            elif verb == "QUIT":
                await self.say("221 2.0.0 Bye")
                return
            else:
                await self.say("502 5.5.2 what?")


async def serve(port, dir):
    world = World(dir)

    async def session(reader, writer):
        try:
            await Session(world, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(session, "127.0.0.1", port, limit=1 << 24, backlog=512)
    print("sink: ready", flush=True)
    async with server:
        await server.serve_forever()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--port", type=int, required=True)
    ap.add_argument("--dir", required=True)
    a = ap.parse_args()
    try:
        asyncio.run(serve(a.port, a.dir))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
