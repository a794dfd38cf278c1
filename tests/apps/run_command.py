#!/usr/bin/env python3
"""What `tiara run` promises besides far memory: status, signals, environment, statistics, no orphans.

    tests/apps/run_command.py TIARA
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

TIARA = os.path.abspath(sys.argv[1])
BOUND = 60

# 48 MiB of which 8 MiB may be here; prints a checksum that does not depend on where they are.
WORK = """
blocks = [bytes([i]) * (1 << 20) for i in range(48)]
print(sum(block[i * 4096 + 17] for block in blocks for i in range(256)))
"""


def run(*arguments, **options):
    return subprocess.run([TIARA, "run", *arguments], capture_output=True, text=True, timeout=BOUND, **options)


def status_is_the_programs():
    assert run("-q", "--", "sh", "-c", "exit 42").returncode == 42
    assert run("-q", "--", "sh", "-c", "kill -9 $$").returncode == 128 + signal.SIGKILL


def streams_are_the_programs():
    result = run("-q", "--", "cat", input="through and through\n")
    assert result.stdout == "through and through\n" and result.stderr == "", result


def same_output_as_without():
    wanted = subprocess.run(["python3", "-c", WORK], capture_output=True, text=True).stdout
    for mode in ("signal", "message"):
        result = run("-q", "--local", "8M", "--fault", mode, "--", "python3", "-c", WORK)
        assert result.returncode == 0 and result.stdout == wanted, result


def statistics_are_whole():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s.json"
        result = run("--local", "8M", "--stats", path, "--", "python3", "-c", WORK)
        assert result.returncode == 0, result
        stats = json.load(open(path))
    (process,) = stats["processes"]
    counters = process["counters"]
    assert set(stats["units"]) == set(counters), "a counter without a unit"
    assert process["command"] == "python3" and process["fatal"] == "" and stats["exit_status"] == 0
    assert counters["faults_remote"] > 0, counters
    assert counters["pages_staged"] + counters["pages_stored_directly"] > 0, counters
    assert counters["fetched_bytes"] == 4096 * counters["fetched_pages"]
    assert counters["far_pages_peak"] * 4096 > 40 << 20
    assert counters["resident_pages_peak"] * 4096 <= 8 << 20, "more far memory here than --local allows"
    assert process["fault_latency"]["count"] > 0 and stats["totals"]["faults_remote"] == counters["faults_remote"]
    for line in ("faults", "fetched", "evicted", "memory"):
        assert f"\n  {line}" in result.stderr, result.stderr


def signals_are_passed_on():
    script = "trap 'echo got it; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    program = subprocess.Popen([TIARA, "run", "-q", "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "up\n"
    program.send_signal(signal.SIGTERM)
    out, _ = program.communicate(timeout=BOUND)
    assert out == "got it\n" and program.returncode == 5, (out, program.returncode)


def no_orphans():
    program = subprocess.Popen([TIARA, "run", "-q", "--", "sh", "-c", "echo $$; exec sleep 100"],
                               stdout=subprocess.PIPE,
                               text=True)
    pid = int(program.stdout.readline())
    program.kill()
    program.wait()
    for _ in range(1200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] == "Z":
            return
        time.sleep(0.05)  # sleep: another process's end cannot be waited for here, only looked for
    raise AssertionError(f"process {pid} outlived tiara run")


def environment_is_kept():
    result = run("-q", "--", "sh", "-c", "echo $LD_PRELOAD; echo $HOME", env={**os.environ, "LD_PRELOAD": "libm.so.6"})
    preload, home = result.stdout.splitlines()
    assert preload.endswith("libtiara.so:libm.so.6") and home == os.environ["HOME"], result


CASES = [status_is_the_programs, streams_are_the_programs, same_output_as_without, statistics_are_whole,
         signals_are_passed_on, no_orphans, environment_is_kept]


def main():
    failed = 0
    for case in CASES:
        try:
            case()
            print(f"ok      {case.__name__}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            failed += 1
            print(f"FAILED  {case.__name__}: {problem}", flush=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
