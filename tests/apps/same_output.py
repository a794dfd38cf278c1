#!/usr/bin/env python3
"""same_output.py TIARA MODE PROGRAM [--full]: one of Debian's programs, unmodified, with and without far memory. Its
output and exit status must be the same, with plain eviction and with chaos eviction, and pages must really have
been away. --full: 300 MB of objects or lines, a million rows, 64 MiB of them here, without chaos; for a quiet
machine and minutes. Exits 77 with the reason when the program, or userfaultfd, cannot be had."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIP, NO_PERMISSION = 77, 77
TIME_LIMIT_S = 250  # of one run of a program: far more than it needs, on a machine that does ten other things
FULL = "--full" in sys.argv

PYTHON = """
import hashlib
words = {i: "%d-%s" % (i, "x" * (i % 100)) for i in range(COUNT)}
digest = hashlib.sha256()
for i in range(0, COUNT, 7): digest.update(words[i].encode())
print(digest.hexdigest(), len(words))
""".replace("COUNT", "1800000" if FULL else "100000")
PYTHON_CALLS = """
import mmap, os, subprocess
ballast = [bytes(1000 + i % 50) for i in range(16000)]
print(subprocess.run(["echo"] + ["a" * 500] * 50, capture_output=True).stdout[:20])
print(os.popen("echo popen").read(), os.system("exit 3"))
names = sorted(os.listdir("/usr/bin"))[:500]
print(sum(os.stat("/usr/bin/" + name).st_size for name in names))
pages = mmap.mmap(-1, 8 << 20)
pages[:10] = b"0123456789"
pages.resize(16 << 20)
print(pages[:10], sum(len(b) for b in ballast))
"""
# Sorting touches two keys a comparison, in no order: what does not fit comes and goes a million times. A tenth is away.
PERL = """my %h; $h{$_} = "v" x ($_ % 50) for 1..COUNT; my $s = 0; $s += length $h{$_} for sort keys %h; print "$s\\n";
print `echo backquotes`; system("echo system");""".replace("COUNT", "150000" if FULL else "30000")
SQL = """create table t(a integer primary key, b text, c integer);
with recursive n(i) as (select 1 union all select i+1 from n where i<COUNT)
insert into t select i, hex(i*2654435761 % 4294967296)||'-abcdefghijklmnopqrstuvwxyz', (i*7919)%100003 from n;
create index tc on t(c); create index tb on t(b);
select count(*), sum(c), sum(length(b)) from t where c between 100 and 50000;
select b, c from t order by b limit 5 offset 7000;
""".replace("COUNT", "1000000" if FULL else "40000")


AWK = "NR<=COUNT{a[$0]=NR; n+=length($0)} END{print n, length(a)}".replace("COUNT", "3000000" if FULL else "40000")


def lines_file(folder):
    """5 MB (300 MB) of lines in no order, the same every time."""
    path = os.path.join(folder, "lines")
    with open(path, "w", encoding="ascii") as out:
        for block in range(300 if FULL else 5):
            value = block
            lines = []
            for _ in range(10000):
                value = (value * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                lines.append(f"{value:020d}{'-' * 78}\n")
            out.write("".join(lines))
    return path


# name: (local memory, command from a folder of its own, what goes to its standard input)
PROGRAMS = {
    "python": ("16M", lambda folder: [sys.executable, "-c", PYTHON], ""),
    "python_calls": ("12M", lambda folder: [sys.executable, "-c", PYTHON_CALLS], ""),
    "perl": ("8M", lambda folder: ["perl", "-e", PERL], ""),
    "sort": ("8M", lambda folder: ["sort", "-S", "512M" if FULL else "16M", lines_file(folder)], ""),
    "sqlite3": ("6M", lambda folder: ["sqlite3", ":memory:"], SQL),
    "awk": ("4M", lambda folder: ["awk", AWK, lines_file(folder)], ""),
}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def run(command, text):
    limit = None if FULL else TIME_LIMIT_S
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=limit, check=False)
    return done.returncode, done.stdout, done.stderr


def main():
    tiara, mode, name = os.path.abspath(sys.argv[1]), *sys.argv[2:4]
    local, command_in, text = PROGRAMS[name]
    local = "64M" if FULL else local
    with tempfile.TemporaryDirectory(prefix="tiara-same-output-") as folder:
        command = command_in(folder)
        if shutil.which(command[0]) is None:
            skip(f"{command[0]} is not installed")
        expected = run(command, text)
        for seed in ("0",) if FULL else ("0", "4711"):
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
