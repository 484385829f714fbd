"""What tests of the mail chain share: MTAs of one's own, and what their logs say."""
import functools
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from chain import free_ports, until
from private_postfix import PrivatePostfix

# One recipient's line of Postfix's log.
FATE = re.compile(r": ([0-9A-Za-z]+): to=<([^>]*)>,.* relay=([^,]*),.* dsn=([0-9.]+), status=(sent|bounced|deferred) \((.*)\)$")
EXIM_PACKAGES = ("exim4-base", "exim4-daemon-light")
CACHE = "/var/cache/landfall-tests"


@functools.cache
def daemons():
    return subprocess.run(["postconf", "-d", "-h", "daemon_directory"], capture_output=True, text=True, check=True).stdout.strip()


class Mta(PrivatePostfix):
    """A started Postfix that hands all on to a port. main and master: what else stands in its files."""

    def __init__(self, bench, name, hop, main="", master="", port=0):
        super().__init__(bench.dir + "/" + name)
        self.pid = self.ended = 0
        self.make(port or free_ports(1), hop)
        # Put off is for a second; given up never, within a test.
        more = "maximal_queue_lifetime = 600s\nbounce_queue_lifetime = 600s\n" + main
        names = set(re.findall(r"(?m)^(\w+) *=", more))
        with open(self.dir + "/etc/main.cf") as f:
            kept = [line for line in f if line.split(" ")[0] not in names]
        with open(self.dir + "/etc/main.cf", "w") as f:
            f.writelines(kept + [more])
        with open(self.dir + "/etc/master.cf", "a") as f:
            f.write("lmtp unix - - n - - lmtp\n" + master)
        bench.at_end.append(self.gone)
        self.start()

    def start(self):
        """As `postfix start`, which is a hundred times slower."""
        postfix = pwd.getpwnam("postfix").pw_uid
        postdrop = grp.getgrnam("postdrop").gr_gid
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace", "pid",
                     "maildrop", "public"):
            path = self.dir + "/spool/" + name
            os.makedirs(path, exist_ok=True)
            os.chown(path, 0 if name == "pid" else postfix, postdrop if name in ("maildrop", "public") else 0)
            os.chmod(path, {"maildrop": 0o1730, "public": 0o2710, "pid": 0o755}.get(name, 0o700))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ASAN_", "LSAN_", "UBSAN_", "MAIL_"))}
        env["MAIL_CONFIG"] = self.dir + "/etc"
        done = subprocess.run([daemons() + "/master", "-c", self.dir + "/etc", "-w"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, "master: %s%s" % (done.stderr, "".join(self.lines()[-5:]))
        with open(self.dir + "/spool/pid/master.pid") as f:
            self.pid = int(f.read())

    def stop(self):
        """Its end takes a second: who waits for it is the test's end."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
        self.ended, self.pid = self.pid or self.ended, 0

    def gone(self):
        self.stop()
        until("Postfix's end", 20, lambda: not os.path.exists("/proc/%d" % self.ended))

    def lines(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log, errors="replace") as f:
            return f.read().splitlines()

    def fates(self):
        """(recipient, status, dsn, relay, reply, queue id) in the order of the log."""
        found = [FATE.search(line) for line in self.lines()]
        return [(m[2], m[5], m[4], m[3], m[6], m[1]) for m in found if m]

    def final(self):
        """{recipient: status}: sent or bounced."""
        return {f[0]: f[1] for f in self.fates() if f[1] != "deferred"}

    def wait(self, rcpts, limit=60):
        """Until each has its fate; {recipient: status}."""
        until("the fate of %d recipients" % len(rcpts), limit, lambda: set(rcpts) <= set(self.final()))
        return {r: s for r, s in self.final().items() if r in set(rcpts)}


EXIM = """\
exim_path = {program}
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
exim_user = Debian-exim
exim_group = Debian-exim
trusted_users = root
deliver_drop_privilege = true
never_users =
primary_hostname = exim.test
spool_directory = {dir}/spool
log_file_path = {dir}/log/%s.log
pid_file_path = {dir}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
acl_smtp_rcpt = accept
acl_smtp_data = accept
accept_8bitmime = true
host_lookup =
rfc1413_query_timeout = 0s
dns_ipv4_lookup = *
tls_advertise_hosts =
log_selector = +smtp_confirmation
queue_run_max = 5
smtp_accept_max = 0
{main}
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = {driver}
{transport}
begin retry
* * F,1h,1s
"""


def exim_program():
    """Exim out of Debian's package, which cannot be installed beside Postfix. SkipTest where there is none."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("Exim needs root")
    if not os.path.exists(CACHE + "/usr/sbin/exim4"):
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise unittest.SkipTest("no apt-get: Exim cannot be had")
        with tempfile.TemporaryDirectory(prefix="landfall-exim-") as dir:
            os.chmod(dir, 0o755)
            got = subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *EXIM_PACKAGES], cwd=dir,
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
            if got.returncode != 0:
                raise unittest.SkipTest("Exim cannot be downloaded: " + got.stderr.strip()[-300:])
            os.makedirs(CACHE, exist_ok=True)
            for package in os.listdir(dir):
                subprocess.run(["dpkg-deb", "-x", package, CACHE], cwd=dir, check=True)
            # The user it was built for need not exist here: a library says it does, which set-user-id programs may not load.
            os.chmod(CACHE + "/usr/sbin/exim4", 0o755)
    return CACHE + "/usr/sbin/exim4", {"PATH": os.environ["PATH"], "LD_PRELOAD": "libnss_wrapper.so"}


class Exim:
    """A started Exim that hands all on to a port."""

    def __init__(self, bench, name, hop, port=0, main="", transport="", driver="smtp"):
        program, env = exim_program()
        self.dir = bench.dir + "/" + name
        for sub in ("", "/spool", "/log"):
            os.makedirs(self.dir + sub, mode=0o755)
            os.chown(self.dir + sub, pwd.getpwnam("nobody").pw_uid, -1)
        self.port, self.log = port or free_ports(1), self.dir + "/log/main.log"
        with open(self.dir + "/passwd", "w") as f:
            f.write("root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:65534:65534::/nonexistent:/bin/false\n")
        with open(self.dir + "/group", "w") as f:
            f.write("root:x:0:\nDebian-exim:x:65534:\n")
        with open(self.dir + "/exim.conf", "w") as f:
            f.write(EXIM.format(program=program, dir=self.dir, port=self.port, main=main, driver=driver,
                                transport="  port = %d\n  hosts_avoid_tls = *\n" % hop + transport))
        self.env = {**env, "NSS_WRAPPER_PASSWD": self.dir + "/passwd", "NSS_WRAPPER_GROUP": self.dir + "/group"}
        self.program = [program, "-C", self.dir + "/exim.conf"]
        self.out = open(self.dir + "/log/out", "wb")
        self.process = subprocess.Popen(self.program + ["-bdf", "-q1s"], env=self.env, stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.out)
        bench.at_end.append(self.stop)
        until("Exim's log", 20, lambda: self.alive() and os.path.exists(self.log))
        until("Exim's port", 20, lambda: self.alive() and "listening for SMTP" in self.text())

    def alive(self):
        assert self.process.poll() is None, "exim ended: " + open(self.dir + "/log/out").read()[-500:]
        return True

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.out.close()
