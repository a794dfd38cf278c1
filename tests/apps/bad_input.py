#!/usr/bin/env python3
"""Bad input: each ends with ONE line that names the cause and the cure, the right exit status, and never a hang.

    tests/apps/bad_input.py TIARA [NAME ...]

Runs as root where it can (some cases need a second user); a case that this machine cannot make is reported as
skipped. Exit status 77 when every case was skipped.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIARA = os.path.abspath(sys.argv[1])
BOUND = 60  # seconds that any of these may take on a busy machine

# Builds 96 MiB that must be far under 16 MiB, says so, and then touches all of it again and again.
HOLDER = """
import sys, time
blocks = [bytes([i]) * (1 << 20) for i in range(96)]
print('ready', flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    for i, block in enumerate(blocks):
        if block[::4096] != bytes([i]) * 256:
            print('WRONG', flush=True)
            sys.exit(3)
"""


class Skipped(Exception):
    pass


def run(*arguments):
    return subprocess.run([TIARA, *arguments], capture_output=True, text=True, timeout=BOUND, stdin=subprocess.DEVNULL)


def expect(result, status, *words):
    """One line on stderr that begins with tiara:, holds the words, and has a cure behind a semicolon."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("tiara: ")]
    assert result.returncode == status, f"status {result.returncode}, not {status}: {result.stderr!r}"
    assert len(errors) == 1, f"{len(errors)} error lines: {result.stderr!r}"
    for word in words:
        assert word in errors[0], f"{word!r} is not in {errors[0]!r}"
    assert "; " in errors[0], f"no cure in {errors[0]!r}"


class Node:
    """A `tiara node` for the length of a with block."""

    def __init__(self, memory):
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"shm://{self.folder.name}/node.sock"
        self.process = subprocess.Popen([TIARA, "node", "--listen", self.url, "--memory", memory],
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert "serving" in self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


def as_nobody(*arguments):
    """Runs a copy of the command that nobody may read, as nobody."""
    if os.geteuid() != 0:
        raise Skipped("needs root to become another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        # The same shape as the build folder, so that the command finds the library.
        library = Path(TIARA).parents[2] / "runtime/preload/libtiara.so"
        copy = Path(folder) / "apps/tiara/tiara"
        copy.parent.mkdir(parents=True)
        (Path(folder) / "runtime/preload").mkdir(parents=True)
        shutil.copy(TIARA, copy)
        shutil.copy(library, Path(folder) / "runtime/preload/libtiara.so")
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, *arguments],
                              capture_output=True, text=True, timeout=BOUND, stdin=subprocess.DEVNULL, cwd="/")


def unknown_option():
    expect(run("run", "--frobnicate", "--", "true"), 64, "--frobnicate")
    expect(run("bench", "memcached", "--frobnicate"), 64, "--frobnicate")
    expect(run("frobnicate"), 64, "frobnicate")


def malformed_values():
    expect(run("run", "--local", "none", "--", "true"), 64, "--local")
    expect(run("run", "--fault", "fast", "--", "true"), 64, "--fault")
    expect(run("run", "--node", "smoke://signal", "--", "true"), 64, "smoke://signal")
    expect(run("run", "--node-timeout", "5", "--", "true"), 64, "--node-timeout")


def no_program():
    expect(run("run", "--", "tiara-no-such-program"), 127, "tiara-no-such-program")
    expect(run("run", "--", "/etc/passwd"), 126, "/etc/passwd")


def unreachable_node():
    with tempfile.TemporaryDirectory() as folder:
        expect(run("run", "--node", f"shm://{folder}/nobody", "--", "true"), 69, "nobody")


def node_of_another_user():
    with Node("16M") as node:
        expect(as_nobody("run", "--node", node.url, "--", "true"), 77, "node.sock")


def node_too_small():
    expect(run("node", "--listen", "shm:///tmp/unused", "--memory", "4K"), 64, "4K")
    for peer, complaint in (("2", "HOST=URL"), ("x=shm:///p", "HOST=URL"), ("64=shm:///p", "below 64"),
                            ("2=loop:", "cannot reach")):
        expect(run("node", "--listen", "shm:///tmp/unused", "--memory", "4M", "--peer", peer), 64, complaint)
    expect(run("node", "--listen", "shm:///tmp/unused", "--memory", "4M", "--peers-listen", "shm:///tmp/p"), 64,
           "--shared")
    with Node("16M") as node:
        result = run("run", "--quiet", "--local", "16M", "--node", node.url, "--", "python3", "-c", HOLDER)
        expect(result, 73, "no frame left")
    result = run("run", "--quiet", "--local", "16M", "--pool", "16M", "--", "python3", "-c", HOLDER)
    expect(result, 73, "no frame left")
    assert "WRONG" not in result.stdout


def rdma_without_a_device():
    if os.path.exists("/sys/class/infiniband"):
        raise Skipped("this machine has RDMA devices")
    expect(run("run", "--node", "rdma://127.0.0.1:7440", "--", "true"), 69, "RDMA")
    expect(run("node", "--listen", "rdma://127.0.0.1:0", "--memory", "4M"), 71, "RDMA")


def tls_options():
    node = ("node", "--listen", "tcp://127.0.0.1:0", "--memory", "4M")
    expect(run(*node, "--tls-cert", "/nowhere.pem"), 64, "--tls-key")
    expect(run(*node, "--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"), 64, "/nowhere.pem")
    expect(run("node", "--listen", "shm:///tmp/unused", "--memory", "4M", "--tls-cert", "/a", "--tls-key", "/b"), 64,
           "tcp://")
    for query, complaint in (("?tls=ca.pem", "whole path"), ("?tls=/nowhere.pem", "/nowhere.pem"),
                             ("?tsl=/ca.pem", "tsl="), ("?tls=/etc/passwd", "PEM")):
        expect(run("run", "--node", "tcp://127.0.0.1:1" + query, "--", "true"), 64, complaint)


def second_node():
    with Node("16M") as node:
        expect(run("node", "--listen", node.url, "--memory", "16M"), 71, "another node")
    with tempfile.NamedTemporaryFile() as file:
        expect(run("node", "--listen", f"shm://{file.name}", "--memory", "16M"), 71, "not a socket")


def userfaultfd_refused():
    if Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() != "0":
        raise Skipped("vm.unprivileged_userfaultfd is on")
    expect(as_nobody("run", "--fault", "message", "--", "true"), 77, "userfaultfd")


def static_program():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/static"
        made = subprocess.run(["cc", "-static", "-x", "c", "-o", path, "-"], input="int main(void){return 0;}",
                              text=True, capture_output=True)
        if made.returncode != 0:
            raise Skipped("no static C library")
        expect(run("run", "--", path), 126, "static")
        doctor = run("doctor", "--", path)
        assert doctor.returncode == 1 and "static" in doctor.stdout, doctor


def setuid_program():
    expect(as_nobody("run", "--", "su"), 126, "setuid")


def corrupt_program_file():
    with tempfile.TemporaryDirectory() as folder:
        source, good, bad = f"{folder}/p.tiara", f"{folder}/p", f"{folder}/bad"
        Path(source).write_text(".operator p\n.arg first 0 7\n.results 1\n  ret 1\n")
        assert run("asm", source, "-o", good).returncode == 0
        whole = Path(good).read_bytes()
        for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:9], whole + b"x",
                        whole[:20] + bytes([whole[20] ^ 1]) + whole[21:]):
            Path(bad).write_bytes(damaged)
            for command in ("disasm", "verify", "exec"):
                expect(run(command, bad), 65, bad)
        Path(source).write_text(".operator p\n  frob r1\n")
        result = run("asm", source, "-o", good)
        assert result.returncode == 65 and f"{source}:2:" in result.stderr, result
        assert run("verify", "/nonexistent").returncode == 65
        Path(source).write_text(".operator p\n.region pool r\n  st8 pool[r0], r1\n  ret 0\n")
        expect(run("verify", source), 1, "rejected")


def node_lost(how, *options):
    """Ends (or stops) the node while a program works on pages that it holds; seconds until the program was stopped."""
    with Node("512M") as node:
        program = subprocess.Popen([TIARA, "run", "--quiet", "--local", "16M", *options, "--node", node.url, "--",
                                    "python3", "-c", HOLDER],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert program.stdout.readline() == "ready\n", program.communicate()
            os.kill(node.process.pid, how)
            started = time.monotonic()
            out, err = program.communicate(timeout=BOUND)
            seconds = time.monotonic() - started
        finally:
            program.kill()
            program.wait()
            node.process.send_signal(signal.SIGCONT)
        assert "WRONG" not in out, out
        expect(subprocess.CompletedProcess([], program.returncode, out, err), 69, "lost")
        return seconds


def node_killed():
    seconds = node_lost(signal.SIGKILL)
    assert seconds < 25, f"noticed after {seconds:.1f} s"


def node_stopped():
    seconds = node_lost(signal.SIGSTOP, "--node-timeout", "3s")
    assert seconds < 25, f"noticed after {seconds:.1f} s"


CASES = [unknown_option, malformed_values, no_program, unreachable_node, node_of_another_user, node_too_small,
         rdma_without_a_device, tls_options, second_node, userfaultfd_refused, static_program, setuid_program,
         corrupt_program_file,
         node_killed, node_stopped]


def main():
    wanted = sys.argv[2:]
    failed = skipped = 0
    chosen = [case for case in CASES if not wanted or case.__name__ in wanted]
    for case in chosen:
        try:
            case()
            print(f"ok      {case.__name__}", flush=True)
        except Skipped as reason:
            skipped += 1
            print(f"skipped {case.__name__}: {reason}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            failed += 1
            print(f"FAILED  {case.__name__}: {problem}", flush=True)
    print(f"{len(chosen) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 77 if skipped == len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
