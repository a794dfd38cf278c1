#!/usr/bin/env python3
"""same_output.py TIARA MODE PROGRAM: one of Debian's programs, unmodified, with and without far memory. Its output and
exit status must be the same, with plain eviction and with chaos eviction, and pages must really have been away.
Exits 77 with the reason when the program, or userfaultfd, cannot be had."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIP, NO_PERMISSION, TIME_LIMIT_S = 77, 77, 120

PYTHON = """
import hashlib
words = {i: "%d-%s" % (i, "x" * (i % 100)) for i in range(300000)}
digest = hashlib.sha256()
for i in range(0, 300000, 7): digest.update(words[i].encode())
print(digest.hexdigest(), len(words))
"""
PYTHON_CALLS = """
import mmap, os, subprocess
ballast = [bytes(1000 + i % 50) for i in range(40000)]
print(subprocess.run(["echo"] + ["a" * 500] * 50, capture_output=True).stdout[:20])
print(os.popen("echo popen").read(), os.system("exit 3"))
names = sorted(os.listdir("/usr/bin"))[:500]
print(sum(os.stat("/usr/bin/" + name).st_size for name in names))
pages = mmap.mmap(-1, 8 << 20)
pages[:10] = b"0123456789"
pages.resize(16 << 20)
print(pages[:10], sum(len(b) for b in ballast))
"""
PERL = """my %h; $h{$_} = "v" x ($_ % 50) for 1..150000; my $s = 0; $s += length $h{$_} for sort keys %h; print "$s\\n";
print `echo backquotes`; system("echo system");"""
SQL = """create table t(a integer primary key, b text, c integer);
with recursive n(i) as (select 1 union all select i+1 from n where i<150000)
insert into t select i, hex(i*2654435761 % 4294967296)||'-abcdefghijklmnopqrstuvwxyz', (i*7919)%100003 from n;
create index tc on t(c); create index tb on t(b);
select count(*), sum(c), sum(length(b)) from t where c between 100 and 50000;
select b, c from t order by b limit 5 offset 70000;
"""


def lines_file(folder):
    """20 MB of lines in no order, the same every time."""
    path = os.path.join(folder, "lines")
    with open(path, "w", encoding="ascii") as out:
        for block in range(20):
            value = block
            lines = []
            for _ in range(10000):
                value = (value * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                lines.append(f"{value:020d}{'-' * 78}\n")
            out.write("".join(lines))
    return path


# name: (local memory, command from a folder of its own, what goes to its standard input)
PROGRAMS = {
    "python": ("24M", lambda folder: [sys.executable, "-c", PYTHON], ""),
    "python_calls": ("16M", lambda folder: [sys.executable, "-c", PYTHON_CALLS], ""),
    "perl": ("16M", lambda folder: ["perl", "-e", PERL], ""),
    "sort": ("16M", lambda folder: ["sort", "-S", "60M", lines_file(folder)], ""),
    "sqlite3": ("12M", lambda folder: ["sqlite3", ":memory:"], SQL),
    "awk": ("32M", lambda folder: ["awk", "{a[$0]=NR; n+=length($0)} END{print n, length(a)}", lines_file(folder)], ""),
}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def run(command, text):
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIME_LIMIT_S, check=False)
    return done.returncode, done.stdout, done.stderr


def main():
    tiara, mode, name = os.path.abspath(sys.argv[1]), *sys.argv[2:]
    local, command_in, text = PROGRAMS[name]
    with tempfile.TemporaryDirectory(prefix="tiara-same-output-") as folder:
        command = command_in(folder)
        if shutil.which(command[0]) is None:
            skip(f"{command[0]} is not installed")
        expected = run(command, text)
        for seed in ("0", "4711"):
            stats = os.path.join(folder, "stats.json")
            far = [tiara, "run", "--quiet", "--local", local, "--fault", mode, "--chaos", seed, "--stats", stats, "--"]
            status, output, errors = run(far + command, text)
            if status == NO_PERMISSION and expected[0] != NO_PERMISSION:
                skip(errors.decode(errors="replace").strip())
            assert status == expected[0], f"status {status}, not {expected[0]} (chaos {seed}): {errors.decode()[:2000]}"
            assert output == expected[1], f"the output differs (chaos {seed})"
            with open(stats, encoding="utf-8") as file:
                fetched = sum(process["counters"]["fetched_pages"] for process in json.load(file)["processes"])
            assert fetched > 0, f"no page was away (chaos {seed}): the test tests nothing"


if __name__ == "__main__":
    main()
