"""What deploy/quickstart does once the programs are built."""
import argparse
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chain as chains  # noqa: E402
from private_postfix import Trouble  # noqa: E402


def say(text):
    print("quickstart: " + text, flush=True)


class Stopped(Exception):
    pass


def on_signal(signo, frame):
    raise Stopped


def run(chain, count, once):
    say("starting Landfall, a private Postfix and the world behind it")
    chain.start()
    name = "autumn-" + time.strftime("%Y%m%d-%H%M%S")
    c = chain.begin(name, count)
    say("sending campaign %s to %d recipients" % (name, count))
    began = time.monotonic()
    c.send(connections=4)
    say("sent in %.1f s; reading it as %d different readers would" % (time.monotonic() - began, count))
    chain.settle(c)
    for w in c.readers.wrong:
        say("WRONG: " + w)
    say("waiting until the report shows all of it")
    rows, wrong = chain.compare(c)
    print("\n" + chain.report_text(name))
    for w in wrong:
        say("WRONG: " + w)
    say("%d numbers compared with what the senders, the mailboxes and the readers saw: %s"
        % (len(rows), "all equal" if not wrong else "%d differ" % len(wrong)))
    say("report     %s/landfall report %s --config %s" % (chain.bin, name, chain.config()))
    say("API        http://127.0.0.1:%d/v1/campaigns/%s (with the API key above)" % (chain.ports.reports, name))
    say("mail in    127.0.0.1:%d   tracker http://127.0.0.1:%d" % (chain.ports.smtp, chain.ports.tracker))
    failed = bool(wrong or c.readers.wrong or not rows)
    if not once:
        say("running; Ctrl-C stops everything")
        while chain.up.process.poll() is None:
            time.sleep(0.5)
        say("landfall up has ended by itself:\n  " + "\n  ".join(chain.up.lines[-5:]))
        failed = True
    return 1 if failed else 0


def main():
    ap = argparse.ArgumentParser(prog="quickstart")
    ap.add_argument("--bin", required=True)
    ap.add_argument("--dir", default="landfall-data")
    ap.add_argument("--port-base", type=int, help="ports N, N+1, N+2, N+10, N+11 instead of 2525, 8080, 8090, 2600, 2601")
    ap.add_argument("--count", type=int, default=200)
    ap.add_argument("--once", action="store_true")
    a = ap.parse_args()
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    chain, status = None, 3
    try:
        chain = chains.Chain(a.bin, a.dir, chains.Ports(a.port_base), quiet=False)
        status = run(chain, a.count, a.once)
    except Stopped:
        status = 0 if not a.once else 3
    except (Trouble, TimeoutError, OSError) as t:
        print("quickstart: %s" % t, file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if chain:
            say("stopping")
            chain.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
