#!/bin/bash
# Returned messages per second, beside Sisimai (Debian: libsisimai-perl) over the
# same files: tests/bench/sisimai.sh FOLDER
set -eu
folder=$(realpath "${1:?a folder of messages}")
cd "$(dirname "$0")/../.."
build/release/bench/bounce_bench "$folder"/*
perl -MSisimai -MTime::HiRes=time -e '
	my ($folder, $files, $facts) = (shift, 0, 0);
	my @names = glob "$folder/*";
	my $from = time;
	for my $name (@names) {
		my $found = Sisimai->make($name, "delivered" => 1);
		$facts += @$found if $found;
		$files++;
	}
	printf "%-16s %d files: %.0f messages/s, %.0f facts/s\n", "Sisimai $Sisimai::VERSION", $files,
		$files / (time - $from), $facts / (time - $from);' "$folder"
