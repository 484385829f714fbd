#!/usr/bin/env python3
"""
"Accepted and not opened, by provider": reports from cold Redis, and the same
question over the same data in Postgres and SQLite as other tools lay it out, with a
row for each view.

	tests/bench/report.py [--build build/release] [--rounds 3] [MESSAGES ...]

Without a number: 1000000. 10000000 takes some minutes, 6 GB of disk and 2 of memory.
Everything is private and removed: a Redis without persistence, a Postgres of its
own (shared_buffers 512 MB, work_mem 256 MB, two workers), a file for SQLite. They
have what helps them: the provider beside the delivery (others have an address in
another table), indexes, VACUUM and ANALYZE, their data in memory from a first round
that does not count. What is not installed (deploy/packages bench) is said and left out.
"""
import argparse
import glob
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

# 2 and 1 are image proxies and people: who has been seen to open (core/model/event.h).
QUESTION = """SELECT provider, count(*) FROM deliveries d WHERE campaign = 1 AND accepted = 1 AND NOT EXISTS (
	SELECT 1 FROM views v WHERE v.campaign = 1 AND v.recipient = d.recipient AND v.class IN (1, 2))
	GROUP BY provider ORDER BY provider"""
TABLES = """CREATE TABLE deliveries (campaign INTEGER NOT NULL, recipient INTEGER NOT NULL,
	provider SMALLINT NOT NULL, accepted SMALLINT NOT NULL);
	CREATE TABLE views (campaign INTEGER NOT NULL, recipient INTEGER NOT NULL, class SMALLINT NOT NULL);"""
INDEXES = """CREATE INDEX deliveries_recipient ON deliveries (campaign, recipient);
	CREATE INDEX views_recipient ON views (campaign, recipient, class);"""


def run(*argv, **more):
	return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def ours(build, base, messages):
	"""What report_bench says: its times, and the answer."""
	socket = f"{base}/redis.sock"
	server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", base],
		stdout=subprocess.DEVNULL)
	try:
		while subprocess.run(["redis-cli", "-s", socket, "ping"], capture_output=True, text=True).stdout != "PONG\n":
			assert server.poll() is None, "redis-server ended"
			time.sleep(0.05)
		said = run(f"{build}/bench/report_bench", socket, str(messages), base).splitlines()
	finally:
		server.kill()
		server.wait()
	return said[0], [tuple(int(n) for n in line.split()[1:]) for line in said[1:]]


def times(ask, rounds, want, name):
	ask()
	took = []
	for _ in range(rounds):
		at = time.monotonic()
		got = ask()
		took.append(time.monotonic() - at)
		if got != want:
			sys.exit(f"report.py: {name} counts something else: {got} instead of {want}")
	return statistics.median(took)


class Postgres:
	"""A server of our own on a socket. It will not run as root."""

	def __init__(self, base):
		self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
		self.dir = f"{base}/postgres"
		os.mkdir(self.dir)
		self.user = []
		if os.geteuid() == 0:
			self.user = ["runuser", "-u", "postgres", "--"]
			shutil.chown(self.dir, "postgres")
			os.chmod(base, 0o755)
		run(*self.user, f"{self.bin}/initdb", "-D", f"{self.dir}/data", "-A", "trust", "-U", "postgres", cwd="/")
		options = (f"-c listen_addresses= -k {self.dir} -c shared_buffers=512MB -c work_mem=256MB -c fsync=off"
			" -c max_wal_size=8GB -c max_parallel_workers_per_gather=2 -c autovacuum=off")
		run(*self.user, f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-l", f"{self.dir}/log", "-w", "-o", options,
			"start", cwd="/")

	def ask(self, *sql, **more):
		argv = [f"{self.bin}/psql", "-h", self.dir, "-U", "postgres", "-qAt", "-F", " ", "-v", "ON_ERROR_STOP=1"]
		return run(*argv, *(a for s in sql for a in ("-c", s)), **more)

	def load(self, base):
		for statement in TABLES.split(";")[:-1]:
			self.ask(statement)
		for table, columns, rows in (("deliveries", "recipient, provider, accepted", "sent"),
			("views", "recipient, class", "views")):
			self.ask(f"ALTER TABLE {table} ALTER campaign SET DEFAULT 1")
			with open(f"{base}/{rows}", encoding="ascii") as f:
				self.ask(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)", stdin=f)
		self.ask(*INDEXES.split(";")[:-1])
		self.ask("VACUUM ANALYZE")

	def answer(self):
		return [tuple(int(n) for n in line.split()) for line in self.ask(QUESTION).splitlines()]

	def close(self):
		run(*self.user, f"{self.bin}/pg_ctl", "-D", f"{self.dir}/data", "-m", "immediate", "stop", cwd="/")


def postgres(base, rounds, want):
	server = Postgres(base)
	try:
		server.load(base)
		return times(server.answer, rounds, want, "Postgres")
	finally:
		server.close()


def sqlite(base, rounds, want):
	db = sqlite3.connect(f"{base}/sqlite")
	db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;" + TABLES)
	for table, rows, marks in (("deliveries", "sent", "1, ?, ?, ?"), ("views", "views", "1, ?, ?")):
		with open(f"{base}/{rows}", encoding="ascii") as f:
			db.executemany(f"INSERT INTO {table} VALUES ({marks})", (tuple(map(int, line.split(","))) for line in f))
	db.commit()
	db.executescript(INDEXES + "ANALYZE;")
	return times(lambda: db.execute(QUESTION).fetchall(), rounds, want, "SQLite")


def bench(build, messages, rounds):
	base = tempfile.mkdtemp(prefix="landfall-report-")
	try:
		said, want = ours(build, base, messages)
		words = said.split()
		cold, known = float(words[1]) / 1e3, float(words[-2]) / 1e3
		print(f"{messages} recipients: {said}", flush=True)
		for name, there, ask in (("Postgres", glob.glob("/usr/lib/postgresql/*/bin/initdb"), postgres),
			("SQLite", True, sqlite)):
			if not there:
				print(f"{name}: not installed (deploy/packages bench)")
				continue
			took = ask(base, rounds, want)
			print(f"{name}: {took:.2f} s, {took / cold:.0f} times cold, {took / known:.0f} times a campaign that is"
				" known", flush=True)
	finally:
		shutil.rmtree(base)


def main():
	args = argparse.ArgumentParser(usage=__doc__)
	args.add_argument("--build", default="build/release")
	args.add_argument("--rounds", type=int, default=3)
	args.add_argument("messages", type=int, nargs="*", default=[1000000])
	args = args.parse_args()
	for messages in args.messages:
		bench(args.build, messages, args.rounds)


if __name__ == "__main__":
	main()
