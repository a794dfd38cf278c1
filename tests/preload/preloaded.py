#!/usr/bin/env python3
"""preloaded.py LIBRARY MODE PROGRAM [ARGUMENT...]: the program under libtiara.so with little local memory and chaos
eviction, in one delivery mode. Exits as the program does; 77 when this machine does not let us use userfaultfd."""
import os
import subprocess
import sys

NO_PERMISSION = 77
TIME_LIMIT_S = 600


def main():
    library, mode, *program = sys.argv[1:]
    environment = dict(os.environ)
    environment.update(LD_PRELOAD=library, TIARA_LOCAL=os.environ.get("TIARA_LOCAL", "8M"), TIARA_FAULT=mode,
                       TIARA_CHAOS=os.environ.get("TIARA_CHAOS", "20177"), TIARA_POOL="1G")
    process = subprocess.Popen(program, env=environment)
    try:
        status = process.wait(timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        sys.exit(f"{program[0]}: still running after {TIME_LIMIT_S} s (mode {mode})")
    if status == NO_PERMISSION:
        print(f"skipped: {mode} mode is not allowed here (the line above says why)")
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
