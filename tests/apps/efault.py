#!/usr/bin/env python3
"""efault.py TIARA: no system call of a program fails with EFAULT that does not without Tiara. Runs a few programs under
`strace -f`, plain and in signal mode with little local memory and chaos eviction, and compares what failed so.
Exits 77 with the reason without strace, without the right to trace, or without userfaultfd."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIP, NO_PERMISSION, TIME_LIMIT_S = 77, 77, 300
# What a miss itself calls is not stopped at: it would take nearly all of the time. Only the calls that it makes by the
# thousand and that these programs do not make with buffers.
STRACE = ["strace", "-f", "--seccomp-bpf", "-qq", "-Z", "-e", "signal=none",
          "-e", "trace=!ioctl,madvise,rt_sigreturn,sched_yield"]

PYTHON = """
import os, socket, subprocess, tempfile
blocks = [bytearray(os.urandom(16)) * 4096 for _ in range(300)]   # 64 KiB each
with tempfile.TemporaryFile() as file:
    for block in blocks: file.write(block); file.flush()
    file.seek(0)
    for block in blocks: file.readinto(block)
a, b = socket.socketpair()
for block in blocks[::4]:
    a.sendmsg([memoryview(block)[:3000], memoryview(block)[40000:43000]]); b.recv_into(block, 6000)
names = ["/usr/bin/" + name for name in sorted(os.listdir("/usr/bin"))[:200]]
print(sum(os.stat(name).st_size > 0 for name in names), len(subprocess.check_output(["echo"] + names)) > 0)
"""
SQL = """create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i+1 from n where i<60000) insert into t select i, hex(i*7919) from n;
create index tb on t(b); select count(*), sum(length(b)) from t; select b from t order by b limit 3 offset 30000;
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def lines(folder):
    path = os.path.join(folder, "lines")
    with open(path, "w", encoding="ascii") as out:
        for i in range(60000):
            out.write(f"{i * 2654435761 % (1 << 32):010d}{'-' * 88}\n")
    return path


# name: (local memory, command in a folder of its own, standard input)
PROGRAMS = {
    "python3": ("8M", lambda folder: [sys.executable, "-c", PYTHON], ""),
    "sort": ("4M", lambda folder: ["sort", "-S", "12M", lines(folder)], ""),
    "sqlite3": ("4M", lambda folder: ["sqlite3", ":memory:"], SQL),
}


def traced(folder, command, text):
    """(status, output, system calls that failed with EFAULT) of the command and its children."""
    log = os.path.join(folder, "log")
    done = subprocess.run(STRACE + ["-o", log] + command, input=text.encode(), capture_output=True,
                          timeout=TIME_LIMIT_S, check=False)
    with open(log, encoding="utf-8", errors="replace") as file:
        failed = [line.strip() for line in file if re.search(r"= -1 EFAULT\b", line)]
    return done, failed


def can_trace():
    if shutil.which("strace") is None:
        skip("strace is not installed")
    probe = subprocess.run(STRACE + ["-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        skip(f"strace cannot trace here: {probe.stderr.decode(errors='replace').strip()}")


def main():
    tiara = os.path.abspath(sys.argv[1])
    can_trace()
    for name, (local, command_in, text) in PROGRAMS.items():
        with tempfile.TemporaryDirectory(prefix="tiara-efault-") as folder:
            command = command_in(folder)
            if shutil.which(command[0]) is None:
                skip(f"{command[0]} is not installed")
            plain, expected = traced(folder, command, text)
            far = [tiara, "run", "--quiet", "--local", local, "--pool", "1G", "--fault", "signal",
                   "--chaos", "31", "--"]
            done, failed = traced(folder, far + command, text)
            if done.returncode == NO_PERMISSION and plain.returncode != NO_PERMISSION:
                skip(done.stderr.decode(errors="replace").strip())
            assert done.returncode == plain.returncode, f"{name}: status {done.returncode}: {done.stderr[:2000]}"
            assert done.stdout == plain.stdout, f"{name}: the output differs"
            assert len(failed) <= len(expected), f"{name}: {len(failed)} failed, without Tiara {len(expected)}: " \
                                                 f"{failed[:5]}"
            print(f"{name}: {len(failed)} EFAULT, {len(expected)} without Tiara")


if __name__ == "__main__":
    main()
