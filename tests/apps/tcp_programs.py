#!/usr/bin/env python3
"""tcp_programs.py TIARA: whole programs whose far pages lie on a node behind tcp, one after the other.

The node has room for the pages of one program and would keep them for an hour: each next program can only run if the
one before it gave everything back when it ended."""
import os
import re
import subprocess
import sys

NO_PERMISSION = 77
TIME_LIMIT_S = 400

# Stores 20 MiB, finds every byte again, and ends in the way that its argument names.
STORE = """
import os, sys
blocks = [bytes([i % 251]) * 65536 for i in range(320)]
right = all(block == bytes([i % 251]) * 65536 for i, block in enumerate(blocks))
print('right' if right else 'WRONG', flush=True)
if sys.argv[1] == 'at once': os._exit(0)
"""


def run(tiara, url, *command, **more):
    return subprocess.run([tiara, "run", "--node", url, "--local", "8M", "--quiet", "--", *command], text=True,
                          stdout=subprocess.PIPE, timeout=TIME_LIMIT_S, check=False, **more)


def main():
    tiara = sys.argv[1]
    node = subprocess.Popen([tiara, "node", "--listen", "tcp://127.0.0.1:0", "--memory", "32M", "--workers", "1",
                             "--lease", "3600s"], stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r" at (tcp://\S+) with ", node.stdout.readline()).group(1)
        for end in ("in order", "at once", "in order"):
            done = run(tiara, url, sys.executable, "-c", STORE, end)
            if done.returncode == NO_PERMISSION:
                sys.exit(NO_PERMISSION)
            assert (done.returncode, done.stdout) == (0, "right\n"), (end, done.returncode, done.stdout)
        # A program with threads, and with far buffers in its system calls.
        lines = [f"{i * 2654435761 % 2**32:010d} {'x' * (i % 60)}\n" for i in range(120_000)]
        environment = dict(os.environ, LC_ALL="C")
        done = run(tiara, url, "sort", "--parallel=2", "--buffer-size=32M", input="".join(lines), env=environment)
        assert done.returncode == 0 and done.stdout == "".join(sorted(lines)), f"sort: status {done.returncode}"
    finally:
        node.terminate()
        said = node.communicate(timeout=TIME_LIMIT_S)[0]
    refused = re.search(r", (\d+) of them refused, (\d+) faulted", said)
    assert refused and refused.groups() == ("0", "0"), said


if __name__ == "__main__":
    main()
