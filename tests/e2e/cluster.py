"""A real Redis Cluster on loopback: six nodes, a slot on the move, a primary that dies."""
import os
import socket
import subprocess
import threading

import chain as chains
from chain import Chain, Ports, free_ports, until

PASSWORD = "correct-horse"
NODE_TIMEOUT_MS = 1000


class Refused(Exception):
    """Redis said no."""


class Node:
    """A Redis of a cluster; the connection is made anew when it has broken."""

    def __init__(self, dir, port, bus):
        self.dir, self.port, self.bus = dir, port, bus
        self.process = self.link = None
        os.makedirs(dir)

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--cluster-port", str(self.bus), "--bind", "127.0.0.1", "--dir", self.dir,
             "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
             "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--requirepass", PASSWORD,
             "--masterauth", PASSWORD, "--logfile", self.dir + "/log", "--repl-ping-replica-period", "1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.close()

    def close(self):
        if self.link:
            self.link.close()
        self.link = None

    def ask(self, *words):
        try:
            if not self.link:
                s = socket.create_connection(("127.0.0.1", self.port), 10)
                self.link = s.makefile("rwb")
                s.close()
                self.ask("AUTH", PASSWORD)
            words = [str(w).encode() for w in words]
            self.link.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            self.link.flush()
            return self._reply()
        except OSError:
            self.close()
            raise

    def _reply(self):
        line = self.link.readline()
        if not line:
            raise ConnectionError("closed")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise Refused(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return self.link.read(int(text) + 2)[:-2].decode("latin-1") if int(text) >= 0 else None
        if kind == b"*":
            return [self._reply() for _ in range(int(text))]
        return text

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask(*section.split()).split("\r\n") if ":" in line)


class Cluster:
    """Three primaries and a replica of each."""

    def __init__(self, bench):
        base = free_ports(12)
        self.nodes = [Node("%s/node-%d" % (bench.dir, i), base + i, base + 6 + i) for i in range(6)]
        bench.at_end.append(self.stop)
        for n in self.nodes:
            n.start()
        until("six nodes", 20, lambda: not any(chains.port_is_free(n.port) for n in self.nodes))
        for i, n in enumerate(self.nodes):
            n.id = n.ask("CLUSTER", "MYID")
            n.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i < 3:
                n.ask("CLUSTER", "ADDSLOTSRANGE", i * 5461, 16383 if i == 2 else i * 5461 + 5460)
            for other in self.nodes[:i]:
                n.ask("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus)
        until("the nodes to know each other", 20, lambda: all(n.info("CLUSTER INFO")["cluster_known_nodes"] == "6" for n in self.nodes))
        for i in range(3):
            until("its primary to be known", 20, lambda i=i: self._replicate(self.nodes[i + 3], self.nodes[i]))
        until("the cluster", 20, lambda: all(n.info("CLUSTER INFO")["cluster_state"] == "ok" for n in self.nodes))
        until("replicas", 20, lambda: all(n.info("INFO replication").get("master_link_status") == "up" for n in self.nodes[3:]))

    @staticmethod
    def _replicate(node, primary):
        try:
            return node.ask("CLUSTER", "REPLICATE", primary.id) == "OK"
        except Refused:
            return False

    def stop(self):
        for n in self.nodes:
            n.kill()

    def alive(self):
        return [n for n in self.nodes if n.process]

    def seeds(self):
        return " ".join("127.0.0.1:%d" % n.port for n in self.nodes)

    def primaries(self):
        return [n for n in self.alive() if n.info("INFO replication")["role"] == "master"]

    def replica_of(self, primary):
        return next(n for n in self.alive() if n.info("INFO replication").get("master_port") == str(primary.port))

    def with_campaigns(self):
        """[(partition, its primary)] where there are some."""
        found = []
        for n in self.primaries():
            for p in range(16):
                try:
                    if n.ask("SCARD", "lf:{p%d}:campaigns" % p):
                        found.append((p, n))
                except Refused:
                    pass
        return found

    def begin_move(self, slot, source, target):
        """As redis-cli --cluster reshard does it."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, source, target, *keys):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys)

    def end_move(self, slot, source, target):
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            self.move_keys(source, target, *keys)
        for n in (target, source):
            n.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def forsake(self, replica, primary, partition):
        """From now on the primary's writes do not reach the replica; until there were some."""
        replica.ask("CONFIG", "SET", "masterauth", "wrong")
        primary.ask("CLIENT", "KILL", "TYPE", "replica")
        before = versions(primary, partition)
        until("counts that the replica does not know", 60, lambda: versions(primary, partition) > before + 2)


def test_cluster(bench):
    """six Redis nodes: a slot moves, a replica takes over, a primary is killed, all under load; what was lost is told again"""
    cluster = Cluster(bench)
    with open(bench.dir + "/password", "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(PASSWORD + "\n")
    chain = Chain(bench.bin, bench.dir, Ports(free_ports(12)),
                  sets=["redis.cluster=" + cluster.seeds(), "redis.password_file=" + bench.dir + "/password"])
    bench.chains.append(chain)
    chain.start()
    c = chain.begin("cluster", 240, pace=0.3)
    over = threading.Event()

    def read():
        while not over.is_set():
            c.readers.read_new()
            over.wait(0.2)

    sender, reader = threading.Thread(target=c.send, daemon=True), threading.Thread(target=read, daemon=True)
    sender.start()
    reader.start()
    try:
        partition, source = until("the first counts", 60, cluster.with_campaigns)[0]
        until("some messages sent", 60, lambda: c.done >= 20)
        slot = source.ask("CLUSTER", "KEYSLOT", "lf:{p%d}:cursor" % partition)
        primary = next(n for n in cluster.primaries() if n is not source)
        cluster.begin_move(slot, source, primary)
        cluster.move_keys(source, primary, "lf:{p%d}:cursor" % partition)
        # What is between two nodes holds up nobody else. A campaign's partition is chance: one of four is elsewhere.
        for i in range(4):
            chain.begin("meanwhile %d" % i, 2).send(limit=30)
        until("the counts of another partition", 30, lambda: {p for p, _ in cluster.with_campaigns()} - {partition})
        cluster.end_move(slot, source, primary)
        at = c.done
        until("more messages sent", 60, lambda: c.done >= at + 10)
        replica = cluster.replica_of(primary)
        until("the fold to go on where the slot is now", 60, lambda: int(replica.info("INFO replication")["slave_repl_offset"]) > 0
              and (partition, primary) in cluster.with_campaigns())
        # The replica takes over without the last writes, and no connection breaks.
        cluster.forsake(replica, primary, partition)
        replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        until("the primary to be a replica", 30, lambda: primary.info("INFO replication").get("master_link_status") == "up")
        replica.ask("CONFIG", "SET", "masterauth", PASSWORD)
        primary, replica = replica, primary
        at = versions(primary, partition)
        until("the fold to go on there", 60, lambda: versions(primary, partition) > at + 2)
        # And once more, by death.
        cluster.forsake(replica, primary, partition)
        primary.kill()
        c.pace = 0.05
        until("the replica to take over", 30, lambda: replica.info("INFO replication")["role"] == "master")
        assert not sender.join(60) and c.done == 240, "mail stopped: %s" % c.trouble
    finally:
        over.set()
        reader.join(30)
    chain.settle(c)
    rows, wrong = chain.compare(c, 60)
    assert not c.readers.wrong, c.readers.wrong[:10]
    assert rows and not wrong, "%d of %d numbers differ:\n    %s" % (len(wrong), len(rows), "\n    ".join(wrong))
    done = chain.landfall("verify", c.name, "--config", chain.config())
    assert done.returncode == 0 and " agree" in done.stdout, done
    assert "redis forgot entries" in chain.up.log("rewriter") + chain.up.log("tracker") + chain.up.log("collector"), "the replica lacked nothing"
    done = chain.landfall("doctor", "--config", chain.config())
    assert done.returncode == 0, done.stdout


def versions(node, partition):
    campaigns = node.ask("SMEMBERS", "lf:{p%d}:campaigns" % partition)
    return sum(int(node.ask("HGET", "lf:{p%d}:c:%s" % (partition, c), "version")) for c in campaigns)
