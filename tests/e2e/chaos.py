#!/usr/bin/env python3
"""Bad weather for mail, and the mailbox behind it.

    chaos.py hop PORT NEXT_PORT LEDGER SEED RATE
    chaos.py mailbox PORT 0 LEDGER

hop stands before an MTA (NEXT_PORT) and relays what it hears. At any step it may
do something else: answer 4xx or 5xx in the MTA's place, or cut both connections,
also behind the MTA's 250 and before anyone hears of it. What it does is decided
by the seed, the recipient, the step and how often this was reached, so not by
time or by who comes first. The ledger has a line for each message that the MTA
took, with whether the 250 was handed on, and for each refusal.

mailbox takes everything and writes down what.
"""
import asyncio
import collections
import json
import random
import re
import sys

LIMIT = 1 << 26
# A step may go wrong so often for the same recipient, then it goes well.
MOST = 4
TROUBLES = {
    "connect": ["421", "cut"],
    "mail": ["421", "451", "451", "452", "cut", "cut", "550"],
    "rcpt": ["421", "450", "451", "452", "cut", "550"],
    "data": ["421", "451", "451", "cut", "cut", "554"],
    "body": ["cut"],
    "dot": ["421", "451", "452", "451", "550", "554", "cut"],
    # The MTA has it: only the answer is lost.
    "answer": ["cut-early", "cut"],
}
RATES = {"connect": 0.3, "body": 0.5, "answer": 0.5}  # of the rate
ENHANCED = {"4": "4.3.2", "5": "5.7.1"}


class Cut(Exception):
    """Both connections are to end."""


class Ledger:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def put(self, **what):
        self.file.write(json.dumps(what) + "\n")


async def lines_of(reader):
    """One reply."""
    lines = []
    while True:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise Cut
        lines.append(line)
        if line[3:4] != b"-":
            return lines


def path_of(line):
    return re.search(rb"<([^>]*)>", line).group(1).decode()


async def message_of(reader):
    """What follows 354, with its dots, up to and with the end."""
    first = await reader.readline()
    if first == b".\r\n":
        return first
    return first + await reader.readuntil(b"\r\n.\r\n") if first else b""


class Hop:
    def __init__(self, next, ledger, seed, rate):
        self.next, self.ledger, self.seed, self.rate = next, ledger, seed, rate
        self.seen, self.tasks = collections.Counter(), set()

    def trouble(self, step, key):
        n = self.seen[step, key] = self.seen[step, key] + 1
        dice = random.Random("%s %s %s %d" % (self.seed, step, key, n))
        if dice.random() >= self.rate * RATES.get(step, 1) or (n > MOST and step != "connect"):
            return None
        return dice.choice(TROUBLES[step])

    async def session(self, reader, writer):
        # Nobody else holds on to a task whose connection is closed.
        self.tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self.tasks.discard)
        ours = await asyncio.open_connection("127.0.0.1", self.next, limit=LIMIT)
        try:
            await Talk(self, reader, writer, *ours).run()
        except (Cut, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for w in (writer, ours[1]):
                w.close()


class Talk:
    def __init__(self, hop, reader, writer, next_reader, next_writer):
        self.hop, self.reader, self.writer, self.next_reader, self.next_writer = hop, reader, writer, next_reader, next_writer
        self.sender, self.rcpts = "", []

    async def say(self, lines):
        self.writer.write(b"".join(lines))
        await self.writer.drain()

    async def ask(self, data):
        self.next_writer.write(data)
        await self.next_writer.drain()
        return await lines_of(self.next_reader)

    async def instead(self, step, key):
        """Does something else happen here? A code is said; 421 and cuts end it all."""
        what = self.hop.trouble(step, key)
        if what is None:
            return False
        self.hop.ledger.put(e="trouble", step=step, what=what, sender=self.sender, rcpts=[key] if step == "rcpt" else self.rcpts)
        if what == "cut":
            raise Cut
        await self.say([b"%s %s trouble at %s\r\n" % (what.encode(), ENHANCED[what[0]].encode(), step.encode())])
        if what == "421":
            raise Cut
        return True

    async def run(self):
        greeting = await lines_of(self.next_reader)
        self.hop.seen["connections"] += 1
        await self.instead("connect", self.hop.seen["connections"])
        await self.say(greeting)
        while True:
            line = await self.reader.readline()
            if not line:
                return
            verb = line[:4].upper()
            if verb == b"EHLO":
                words = [w[4:].strip() for w in await self.ask(line)]
                words = words[:1] + [w for w in words[1:] if w.split()[0] in (
                    b"PIPELINING", b"SIZE", b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES")]
                await self.say([b"250%s%s\r\n" % (b"-" if w is not words[-1] else b" ", w) for w in words])
            elif verb == b"MAIL":
                await self.mail(line)
            elif verb == b"RCPT":
                await self.rcpt(line)
            elif verb == b"DATA":
                await self.data()
            else:
                await self.say(await self.ask(line))
                if verb == b"QUIT":
                    return

    async def mail(self, line):
        self.sender, self.rcpts = path_of(line), []
        # A return path of the rewriter's is new in each run: nothing hangs on it.
        if self.sender.startswith("b+") or not await self.instead("mail", self.sender):
            await self.say(await self.ask(line))

    async def rcpt(self, line):
        rcpt = path_of(line)
        if await self.instead("rcpt", rcpt):
            return
        reply = await self.ask(line)
        if reply[-1].startswith(b"2"):
            self.rcpts.append(rcpt)
        await self.say(reply)

    async def data(self):
        if not self.rcpts:
            await self.say([b"503 5.5.1 no recipient\r\n"])
            return
        key = " ".join(self.rcpts)
        if await self.instead("data", key):
            return
        await self.say([b"354 go on\r\n"])
        # A part of the message may be all that ever comes through, here and there.
        if self.hop.trouble("body", key):
            self.hop.ledger.put(e="trouble", step="body", what="cut", sender=self.sender, rcpts=self.rcpts)
            some = await self.reader.read(8192)
            await self.ask(b"DATA\r\n")
            self.next_writer.write(some[:len(some) // 2])
            raise Cut
        body = await message_of(self.reader)
        if await self.instead("dot", key):
            await self.ask(b"RSET\r\n")
            return
        lost = self.hop.trouble("answer", key)
        if lost == "cut-early":
            self.writer.close()
        reply = await self.ask(b"DATA\r\n")
        if reply[-1].startswith(b"354"):
            reply = await self.ask(body)
        taken = reply[-1].startswith(b"250")
        self.hop.ledger.put(e="taken" if taken else "not", sender=self.sender, rcpts=self.rcpts, reply=reply[-1].decode().strip(), heard=not lost)
        if lost:
            raise Cut
        await self.say(reply)


async def mailbox(reader, writer, ledger):
    rcpts = []
    writer.write(b"220 mailbox.test ESMTP\r\n")
    while True:
        line = await reader.readline()
        verb = line[:4].upper()
        if not line:
            break
        if verb == b"EHLO":
            writer.write(b"250-mailbox.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n")
        elif verb == b"MAIL":
            sender, rcpts = path_of(line), []
            writer.write(b"250 2.1.0 Ok\r\n")
        elif verb == b"RCPT":
            rcpts.append(path_of(line))
            writer.write(b"250 2.1.5 Ok\r\n")
        elif verb == b"DATA":
            writer.write(b"354 go on\r\n")
            await writer.drain()
            body = await message_of(reader)
            id = re.search(rb"(?m)^Message-ID: <(.*?)@", body)
            end = re.search(rb"<!-- end (\S+) -->\r\n", body[-200:])
            ledger.put(sender=sender, rcpts=rcpts, id=id and id.group(1).decode(), end=end and end.group(1).decode(), size=len(body),
                       tracked=body.count(b"https://t.brand.test/c/"), untracked=body.count(b"https://shop.example/"))
            writer.write(b"250 2.0.0 Ok\r\n")
        elif verb == b"QUIT":
            writer.write(b"221 2.0.0 Bye\r\n")
            break
        else:
            writer.write(b"250 2.0.0 Ok\r\n")
        await writer.drain()


async def serve(role, port, next, path, seed="", rate="0"):
    ledger = Ledger(path)
    hop = Hop(int(next), ledger, seed, float(rate))

    async def keep(reader, writer):
        try:
            await mailbox(reader, writer, ledger)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(hop.session if role == "hop" else keep, "127.0.0.1", int(port), limit=LIMIT, backlog=512)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
