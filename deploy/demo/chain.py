"""The whole chain on one machine: `landfall up`, a private Postfix behind the
rewriter, the sink behind that, the sample campaign and its readers. The
quickstart and the end-to-end tests are made of it."""
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import campaign  # noqa: E402
import check  # noqa: E402
import readers  # noqa: E402
from private_postfix import PrivatePostfix, Trouble  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def free_ports(n):
    """The first of n ports in a row that are free now."""
    for base in range(21000 + os.getpid() % 400 * 16, 32000, 16):
        held = []
        try:
            for port in range(base, base + n):
                s = socket.socket()
                held.append(s)
                s.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise Trouble("no %d free ports in a row" % n)


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def until(what, limit, condition):
    """Ask again and again until it holds; Trouble after limit seconds."""
    deadline = time.monotonic() + limit
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Trouble("%s did not happen within %d s" % (what, limit))
        time.sleep(0.1)


def reachable_by_postfix(dir):
    """May the user postfix enter this folder?"""
    user = pwd.getpwnam("postfix")
    while not os.path.isdir(dir):
        dir = os.path.dirname(dir)
    return subprocess.run(["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups",
                           "test", "-x", dir]).returncode == 0


class Up:
    """`landfall up` in the background; its lines are kept."""

    def __init__(self, bin, dir, port_base, sets=(), quiet=True):
        self.bin, self.dir, self.port_base, self.quiet = bin, dir, port_base, quiet
        self.sets = list(sets)
        self.lines, self.process = [], None

    def start(self, limit=90):
        args = [self.bin + "/landfall", "up", "--dir", self.dir]
        if self.port_base:
            args += ["--port-base", str(self.port_base)]
        for s in self.sets:
            args += ["--set", s]
        self.lines = []
        # A session of its own: Ctrl-C is for us, who stop things in order.
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True)
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        until("landfall up", limit, lambda: "landfall: ready" in self.lines or self.process.poll() is not None)
        if self.process.poll() is not None:
            time.sleep(0.2)
            raise Trouble("landfall up ended with %d:\n  %s" % (self.process.returncode, "\n  ".join(self.lines)))

    def _listen(self, process):
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
            if not self.quiet:
                print("  " + line, end="", flush=True)

    def stop(self, limit=120):
        """The exit status."""
        if not self.process or self.process.poll() is not None:
            return self.process and self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Trouble("landfall up did not stop within %d s" % limit)

    def pid_of(self, name):
        """The process id of a program that it runs, or None."""
        path = "redis-server" if name == "redis" else self.bin + "/landfall-" + name
        children = "/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)
        with open(children) as f:
            for pid in f.read().split():
                try:
                    with open("/proc/%s/cmdline" % pid, "rb") as c:
                        if c.read().split(b"\0")[0].decode().split(" ")[0].endswith(path):
                            return int(pid)
                except OSError:
                    pass
        return None

    def log(self, name):
        try:
            with open("%s/log/%s.log" % (self.dir, name)) as f:
                return f.read()
        except OSError:
            return ""


class Ports:
    """Landfall's own as `landfall up --port-base` lays them out, and two more."""

    def __init__(self, base=None):
        self.base = base
        self.smtp, self.tracker, self.reports = (base, base + 1, base + 2) if base else (2525, 8080, 8090)
        self.lmtp = self.smtp - 1
        self.mta, self.sink = (base + 10, base + 11) if base else (2600, 2601)


class Chain:
    """Everything below one directory."""

    def __init__(self, bin, dir, ports, verp=True, sets=(), quiet=True):
        self.dir = os.path.abspath(dir)
        self.ports = ports
        self.bin = os.path.abspath(bin)
        os.makedirs(self.dir, exist_ok=True)
        self.mta_dir, self.mta_is_ours = self.dir + "/mta", False
        if not reachable_by_postfix(self.dir):
            self.mta_dir, self.mta_is_ours = tempfile.mkdtemp(prefix="landfall-mta-"), True
        self.mta = PrivatePostfix(self.mta_dir)
        self.sink_dir = self.dir + "/sink"
        self.sink_process = None
        self.up = Up(self.bin, self.dir + "/landfall", ports.base, [], quiet)
        self.settings = [
            "data.dir=" + self.up.dir,
            "rewriter.listen=127.0.0.1:%d" % ports.smtp,
            "rewriter.next_hop=127.0.0.1:%d" % ports.mta,
            "tracker.listen=127.0.0.1:%d" % ports.tracker,
            "tracker.trusted_proxies=127.0.0.1/32",
            "track.url=http://127.0.0.1:%d" % ports.tracker,
            "track.unsubscribe=on",
            "track.return_path_domain=" + ("bounce.landfall.test" if verp else ""),
            "collector.postfix_log=" + self.mta.log,
            "reports.listen=127.0.0.1:%d" % ports.reports,
            *sets]
        self.campaigns = {}

    def start_world(self):
        """The MTA and what lies behind it."""
        for name, port in (("the MTA", self.ports.mta), ("the sink", self.ports.sink)):
            if not port_is_free(port):
                raise Trouble("port %d, meant for %s, is taken: choose others with --port-base" % (port, name))
        self.mta.make(self.ports.mta, self.ports.sink)
        # A new world: mailboxes of an earlier run are not read again.
        shutil.rmtree(self.sink_dir, ignore_errors=True)
        os.makedirs(self.sink_dir)
        self.sink_process = subprocess.Popen(
            [sys.executable, HERE + "/sink.py", "--port", str(self.ports.sink), "--dir", self.sink_dir],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        until("the sink", 20, lambda: not port_is_free(self.ports.sink))
        self.mta.start()

    def write_config(self):
        sections = {}
        for setting in self.settings:
            name, value = setting.split("=", 1)
            section, key = name.split(".", 1)
            sections.setdefault(section, {})[key] = value
        os.makedirs(self.up.dir, mode=0o700, exist_ok=True)
        with open(self.config(), "w") as f:
            for section, keys in sections.items():
                f.write("[%s]\n%s\n" % (section, "".join("%s = %s\n" % kv for kv in keys.items())))

    def start(self):
        self.write_config()
        self.start_world()
        self.up.start()

    def stop(self):
        status = None
        try:
            status = self.up.stop()
        finally:
            self.mta.stop()
            if self.sink_process:
                self.sink_process.terminate()
                self.sink_process.wait()
            if self.mta_is_ours:
                shutil.rmtree(self.mta_dir, ignore_errors=True)
        return status

    def landfall(self, *args, input=None):
        return subprocess.run([self.bin + "/landfall", *args], stdin=None if input else subprocess.DEVNULL, input=input,
                              capture_output=True, text=True)

    def config(self):
        return self.up.dir + "/landfall.conf"

    def report(self, name):
        """The campaign object, or None while there is none."""
        done = self.landfall("report", name, "--json", "--config", self.config())
        if done.returncode == 0:
            return json.loads(done.stdout)
        return None

    def report_text(self, name):
        done = self.landfall("report", name, "--config", self.config())
        return done.stdout if done.returncode == 0 else done.stderr

    def begin(self, name, count, pace=0.0):
        """A campaign that is not sent yet."""
        run = re.sub("[^a-z0-9]", "", name.lower())
        c = campaign.Campaign(self.ports.smtp, name, campaign.recipients(run, count), pace=pace)
        c.run = run
        c.readers = readers.Readers(self.sink_dir, self.dir + "/readers-%s.jsonl" % run, run)
        self.campaigns[name] = c
        return c

    def expected(self, c):
        return check.Expected(c.result, check.lines(self.sink_dir + "/ledger.jsonl"),
                              check.lines(self.dir + "/readers-%s.jsonl" % c.run), c.run)

    def settle(self, c, limit=150):
        """Read what comes until the MTA has nothing left to deliver."""
        def settled():
            c.readers.read_new()
            return not self.mta.queue() and not c.readers.waiting()
        try:
            until("an empty queue of the MTA", limit, settled)
        except Trouble as t:
            with open(self.mta.log, errors="replace") as f:
                log = "".join(f.readlines()[-12:])
            raise Trouble("%s; %d copies wait for their readers, in the queue: %s\n%s"
                          % (t, len(c.readers.waiting()), self.mta.queue()[:3], log))

    def compare(self, c, limit=60):
        """Wait until the report says what the ledgers say. (rows, wrong)"""
        expected = self.expected(c)
        deadline = time.monotonic() + limit
        while True:
            report = self.report(c.name)
            rows, wrong = check.compare(report, expected) if report else ([], ["there is no report of " + c.name])
            if not wrong or time.monotonic() > deadline:
                return rows, wrong
            time.sleep(0.3)
