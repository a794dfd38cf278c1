#!/usr/bin/env python3
"""quarter.py TIARA [--runs N] [PROGRAM...]: each program with default delivery, local memory of a quarter of its own
peak, and chaos eviction with another seed each time; its output, or every value that it serves, must be right, and the
mode must be the signal mode. Prints passed/runs and the local memory for each. A long test, by hand."""
import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

import same_output
import servers

TIME_LIMIT_S = 600
STRESS = ["stress-ng", "--vm", "2", "--vm-bytes", "192M", "--verify", "--vm-ops", "100", "--timeout", "120"]


def peak_of(command, text, folder):
    """(output, status, bytes resident at the peak) of the command alone, children included."""
    def run():
        done = subprocess.run(command, input=text, capture_output=True, timeout=TIME_LIMIT_S, check=False, cwd=folder)
        return done.stdout, done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    # In a child of its own: ru_maxrss is the largest of all children so far.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        output, status, peak = run()
        with os.fdopen(writer, "wb") as out:
            out.write(b"%d %d\n" % (status, peak) + output)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        status, peak = map(int, file.readline().split())
        output = file.read()
    os.waitpid(child, 0)
    return output, status, peak


def far_command(tiara, local, seed, stats):
    return [tiara, "run", "--quiet", "--local", str(local), "--pool", "2G", "--chaos", str(seed),
            "--stats", stats, "--"]


def check_mode(stats):
    with open(stats, encoding="utf-8") as file:
        processes = json.load(file)["processes"]
    assert processes and all(process["mode"] == "signal" for process in processes), "not in signal mode"
    assert sum(process["counters"]["fetched_pages"] for process in processes) > 0, "no page was away"


def program_runs(tiara, command, text, folder, runs):
    output, status, peak = peak_of(command, text, folder)
    local = peak // 4
    passed = 0
    for seed in range(1, runs + 1):
        stats = os.path.join(folder, "stats.json")
        done = subprocess.run(far_command(tiara, local, seed, stats) + command, input=text, capture_output=True,
                              timeout=TIME_LIMIT_S, check=False, cwd=folder)
        try:
            assert done.returncode == status, f"status {done.returncode}: {done.stderr[-500:]}"
            assert done.stdout == output, "the output differs"
            check_mode(stats)
            passed += 1
        except AssertionError as problem:
            print(f"  seed {seed}: {problem}", flush=True)
    return passed, local


def serve(prefix, name, folder):
    drive, command = servers.SERVERS[name]
    port, wrong = servers.free_port(), []
    server = subprocess.Popen(prefix + command(port), stdout=subprocess.DEVNULL, cwd=folder)
    try:
        drive(port, server, wrong)
        assert server.poll() is None, f"the server ended with status {server.returncode}"
        with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert not wrong, f"{len(wrong)} wrong values"
    return peak


def server_runs(tiara, name, folder, runs):
    local = serve([], name, folder) // 4
    passed = 0
    for seed in range(1, runs + 1):
        stats = os.path.join(folder, "stats.json")
        try:
            serve(far_command(tiara, local, seed, stats), name, folder)
            check_mode(stats)
            passed += 1
        except AssertionError as problem:
            print(f"  seed {seed}: {problem}", flush=True)
    return passed, local


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiara")
    parser.add_argument("--runs", type=int, default=20)
    names = ["memcached", "redis-server", "sqlite3", "python3", "sort", "stress-ng"]
    parser.add_argument("programs", nargs="*", default=[])
    options = parser.parse_intermixed_args()
    tiara, failed = os.path.abspath(options.tiara), 0
    for name in options.programs or names:
        if shutil.which(name) is None:
            print(f"{name}: not installed", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="tiara-quarter-") as folder:
            if name in servers.SERVERS:
                passed, local = server_runs(tiara, name, folder, options.runs)
            elif name == "stress-ng":
                passed, local = program_runs(tiara, STRESS, b"", folder, options.runs)
            else:
                _, command_in, text = same_output.PROGRAMS["python" if name == "python3" else name]
                passed, local = program_runs(tiara, command_in(folder), text.encode(), folder, options.runs)
        print(f"{name}: {passed} of {options.runs} passed with --local {local >> 20}M", flush=True)
        failed += options.runs - passed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
