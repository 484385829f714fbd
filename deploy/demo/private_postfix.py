#!/usr/bin/env python3
"""A Postfix of one's own on loopback: below one folder, no DNS, fast retries.

    private_postfix.py make DIR PORT NEXT_HOP_PORT
    private_postfix.py start|stop|rotate|queue DIR

Nothing of /etc/postfix is read or written. The folder must be reachable by the
user postfix, so it does not lie in a home directory. Needs root.
"""
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/spool
data_directory = {dir}/data
maillog_file = {dir}/log/mail.log
maillog_file_prefixes = {dir}/log
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.landfall.test
mydomain = landfall.test
myorigin = landfall.test
mydestination =
local_recipient_maps =
local_transport = error:5.1.1 nothing is delivered here
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_forbid_bare_newline = yes
relayhost = [127.0.0.1]:{hop}
enable_long_queue_ids = yes
biff = no
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
maximal_queue_lifetime = 6s
bounce_queue_lifetime = 6s
"""

# name type private unprivileged chroot wakeup maxproc command: nothing is chrooted.
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 10 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Trouble(Exception):
    """Something of the machine is missing or broken; the text says what to do."""


class PrivatePostfix:
    def __init__(self, dir):
        self.dir = os.path.abspath(dir)
        self.log = self.dir + "/log/mail.log"
        self.rotated = 0.0

    def make(self, port, hop):
        if os.geteuid() != 0:
            raise Trouble("Postfix can only be started by root (or with sudo)")
        if not shutil.which("postfix"):
            raise Trouble("postfix is not installed: run deploy/packages")
        owner = pwd.getpwnam("postfix")
        for sub in ("", "/etc", "/spool", "/data", "/log"):
            os.makedirs(self.dir + sub, mode=0o755, exist_ok=True)
            os.chmod(self.dir + sub, 0o755)
        # Postfix's own programs write here after they gave up being root.
        for sub in ("/data", "/log"):
            os.chown(self.dir + sub, owner.pw_uid, -1)
        with open(self.dir + "/etc/main.cf", "w") as f:
            f.write(MAIN.format(dir=self.dir, hop=hop))
        with open(self.dir + "/etc/master.cf", "w") as f:
            f.write(MASTER.format(port=port))
        self.port = port

    def _postfix(self, verb):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ASAN_", "LSAN_", "MAIL_"))}
        return subprocess.run(["postfix", "-c", self.dir + "/etc", verb], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=env)

    def start(self):
        done = self._postfix("start")
        if done.returncode != 0:
            raise Trouble("postfix start: %s" % (done.stderr or done.stdout or "no reason given").strip())
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self._port()), 5) as s:
                    if s.recv(3) == b"220":
                        return
            except OSError:
                time.sleep(0.05)
        raise Trouble("Postfix does not answer on port %d; see %s" % (self._port(), self.log))

    def _port(self):
        if not hasattr(self, "port"):
            with open(self.dir + "/etc/master.cf") as f:
                self.port = int(f.readline().split()[0].split(":")[1])
        return self.port

    def stop(self):
        self._postfix("stop")
        try:
            with open(self.dir + "/spool/pid/master.pid") as f:
                pid = int(f.read())
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + 20
        while os.path.exists("/proc/%d" % pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def rotate(self):
        """As a nightly job would: the log is moved away and compressed."""
        # The new name is the second, and a second reload while the queue manager is
        # still starting makes Postfix pause it for a minute.
        while time.monotonic() - self.rotated < 3:
            time.sleep(0.05)
        self.rotated = time.monotonic()
        done = self._postfix("logrotate")
        if done.returncode != 0:
            raise Trouble("postfix logrotate: " + done.stderr.strip())

    def queue(self):
        """Messages that wait, as postqueue tells."""
        out = subprocess.run(["postqueue", "-c", self.dir + "/etc", "-j"], capture_output=True, text=True).stdout
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("make", "start", "stop", "rotate", "queue"):
        sys.exit(__doc__)
    mta = PrivatePostfix(sys.argv[2])
    try:
        result = getattr(mta, sys.argv[1])(*[int(a) for a in sys.argv[3:]])
    except Trouble as t:
        sys.exit("private_postfix: %s" % t)
    for message in result or ():
        print(json.dumps(message))


if __name__ == "__main__":
    main()
