#!/usr/bin/env python3
"""rdma_programs.py TIARA programs|memcached|cut|user|pagewalk: whole programs whose far pages lie on a node behind
rdma, in a guest with a soft-RoCE device (tests/vm/run rdma)."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ADDRESS = os.environ["TIARA_TEST_RDMA_ADDRESS"]
COUNTERS = "/sys/class/infiniband/rxe0/ports/1/hw_counters/"
LIMIT_S = 600  # everything is emulated, on a machine that others use

# Stores 20 MiB, finds every byte again, and ends in the way that its argument names.
STORE = """
import os, sys
blocks = [bytes([i % 251]) * 65536 for i in range(320)]
right = all(block == bytes([i % 251]) * 65536 for i, block in enumerate(blocks))
print('right' if right else 'WRONG', flush=True)
if sys.argv[1] == 'at once': os._exit(0)
"""

# Says that it is ready, and touches its 20 MiB until it is told to stop.
HOLDER = """
import os, sys
blocks = [bytes([i % 251]) * 65536 for i in range(320)]
print('ready', flush=True)
rounds = 0
while not os.path.exists(sys.argv[1]):
    for i, block in enumerate(blocks):
        if block[::4096] != bytes([i % 251]) * 16:
            print('WRONG', flush=True)
            sys.exit(3)
    rounds += 1
    print('round', rounds, flush=True)
print('right', flush=True)
"""


def device(name):
    time.sleep(0.05)  # the kernel looks at the device's counters every 12 ms (their `lifespan`)
    with open(COUNTERS + name, encoding="ascii") as file:
        return int(file.read())


class Counted:
    """What the device sent and received since this was made. Connections are made and ended by datagrams, which the
    device counts as one SEND and one receive each; an invocation is a SEND and two receives: itself and its answer."""
    def __init__(self):
        self.before = device("rdma_sends"), device("rdma_recvs")

    def messages(self):
        """SENDs that were answered, and datagrams: five a connection."""
        sends, receives = device("rdma_sends") - self.before[0], device("rdma_recvs") - self.before[1]
        return receives - sends, 2 * sends - receives


class Node:
    def __init__(self, tiara, *more):
        self.process = subprocess.Popen([tiara, "node", "--listen", f"rdma://{ADDRESS}:0", "--memory", "32M",
                                         "--workers", "1", *more], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r" at (rdma://\S+) with ", line).group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.communicate()

    def stop(self):
        """Ends it properly; what it says at its end: invocations, refused, faulted."""
        self.process.terminate()
        said = self.process.communicate(timeout=LIMIT_S)[0]
        return tuple(int(n) for n in re.search(r", (\d+) invocations, (\d+) of them refused, (\d+) faulted", said)
                     .groups())


def far(tiara, node, node_timeout="200s"):
    # Raw system calls are not caught: the guest's clock is one that libc asks the kernel for from within the vDSO, and
    # that is such a call.
    return [tiara, "run", "--node", node.url, "--node-timeout", node_timeout, "--local", "8M", "--quiet",
            "--raw-syscalls", "ignore", "--"]


def programs(tiara):
    """The node has room for the pages of one program and would keep them for an hour: each next program can only run if
    the one before it gave everything back when it ended."""
    with Node(tiara, "--lease", "3600s") as node:
        for end in ("in order", "at once", "in order"):
            done = subprocess.run([*far(tiara, node), "/usr/bin/python3", "-c", STORE, end], text=True,
                                  stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
            assert (done.returncode, done.stdout) == (0, "right\n"), (end, done.returncode, done.stdout)
        assert node.stop()[1:] == (0, 0)


class Memcached:
    def __init__(self, command, path):
        self.process = subprocess.Popen([*command, "/usr/bin/memcached", "-s", path, "-m", "64", "-t", "2"])
        self.path = path
        self.file = None

    def connect(self):
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(self.path)
                break
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, "memcached does not listen"
                time.sleep(0.1)
        connection.settimeout(LIMIT_S)
        self.file = connection.makefile("rwb")

    def set(self, key, value):
        self.file.write(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        self.file.flush()
        answer = self.file.readline()
        assert answer == b"STORED\r\n", answer

    def get(self, key):
        self.file.write(b"get %s\r\n" % key)
        self.file.flush()
        head = self.file.readline().split()
        assert head[:2] == [b"VALUE", key], head
        value = self.file.read(int(head[3]))
        assert self.file.readline() == b"\r\n" and self.file.readline() == b"END\r\n"
        return value


def memcached(tiara):
    """memcached with three times as many values as it may keep here: every value comes back, and the device counts one
    SEND and one answer for each invocation."""
    keys, size, steps = 4000, 4000, 2000

    def value(i, version):
        return random.Random(i * 10 + version).randbytes(size)

    counted = Counted()
    with Node(tiara) as node, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        # As the user that it stays: memcached would change root's, and what opened a device may not change its user.
        server = Memcached(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *far(tiara, node)],
                           f"{folder}/socket")
        try:
            server.connect()
            versions = {}
            order = random.Random(1)
            for i in range(keys):
                server.set(b"key-%d" % i, value(i, 0))
                versions[i] = 0
            wrong = 0
            for step in range(steps):
                i = order.randrange(keys)
                if step % 5 == 0:
                    versions[i] += 1
                    server.set(b"key-%d" % i, value(i, versions[i]))
                else:
                    wrong += server.get(b"key-%d" % i) != value(i, versions[i])
            assert wrong == 0, f"{wrong} wrong values"
            server.process.terminate()
            assert server.process.wait(timeout=LIMIT_S) == 0, server.process.returncode
        finally:
            server.process.kill()
        invocations, refused, faulted = node.stop()
    sends, datagrams = counted.messages()
    assert (refused, faulted) == (0, 0)
    assert invocations > 500, invocations
    # Beside the invocations: handshakes and control questions, of the check before the start and of the program.
    assert 0 < sends - invocations < 30, (sends, invocations)
    assert datagrams == 2 * 5, datagrams
    print(f"seen: memcached, 0 wrong of {steps * 4 // 5} reads: {invocations} invocations, "
          f"{sends} SENDs with one answer each, handshakes and questions among them")


def cut(tiara):
    """The node is stopped for a while; stopped for longer than the bound; killed; and the program is killed."""
    def hold(node, folder, node_timeout="200s"):
        command = [*far(tiara, node, node_timeout), "/usr/bin/python3", "-c", HOLDER, f"{folder}/stop"]
        process = subprocess.Popen(command,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout.readline() == "ready\n"
        process.stdout.readline()  # a whole round
        return process

    def ends_with_one_line(process):
        out, errors = process.communicate(timeout=LIMIT_S)
        lines = [line for line in errors.splitlines() if line.startswith("tiara: ")]
        assert process.returncode == 69 and len(lines) == 1 and "WRONG" not in out, (process.returncode, errors)

    with Node(tiara, "--lease", "2s") as node, tempfile.TemporaryDirectory() as folder:
        process = hold(node, folder)
        node.process.send_signal(signal.SIGSTOP)
        time.sleep(5)  # the while
        node.process.send_signal(signal.SIGCONT)
        process.stdout.readline()
        with open(f"{folder}/stop", "w", encoding="ascii"):
            pass
        out, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0 and out.endswith("right\n"), (process.returncode, out, errors)
        os.unlink(f"{folder}/stop")

        killed = hold(node, folder)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        # There is room for one: the lease of the killed one has to run out first.
        end = time.monotonic() + LIMIT_S
        while subprocess.run([*far(tiara, node), "/usr/bin/python3", "-c", STORE, "in order"], capture_output=True,
                             timeout=LIMIT_S, check=False).returncode != 0:
            assert time.monotonic() < end, "what a killed program had is not given up"

        process = hold(node, folder, "5s")
        node.process.send_signal(signal.SIGSTOP)
        ends_with_one_line(process)
        node.process.send_signal(signal.SIGCONT)

    with Node(tiara) as node, tempfile.TemporaryDirectory() as folder:
        process = hold(node, folder)
        node.process.kill()
        ends_with_one_line(process)


def user(tiara):
    """A program that changes its user after it has opened the device ends, and is told why."""
    changer = "import os; kept = bytearray(12 << 20); os.setgroups([]); os.setresuid(65534, 65534, 65534); "
    with Node(tiara) as node:
        done = subprocess.run([*far(tiara, node), "/usr/bin/python3", "-c", changer + "print(sum(kept))"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False)
        assert done.returncode == 69 and "changed its user" in done.stderr, (done.returncode, done.stdout, done.stderr)


def pagewalk(tiara):
    """The benchmark over rdma: what each contestant posts for a find, by the client's own count and by the device's."""
    counted = Counted()
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([tiara, "bench", "pagewalk", "--smoke", "--listen", f"rdma://{ADDRESS}:0", "--json", out.name],
                       check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)
        report = json.load(out)
    assert report["wrong"] == 0
    for each in report["results"]:
        posted = each["sends"], each["answers"], each["reads"]
        trips = each["levels"] + (each["task"] == "page")
        wanted = {"one-sided": (0, 0, trips), "cached": (0, 0, 1)}.get(each["contestant"], (1, 1, 0))
        assert posted == wanted, each
        if each["contestant"] in ("one-sided", "operator"):
            print("seen: {levels} levels, {task}, {contestant}: {sends:g} SENDs, {answers:g} answers, {reads:g} READs"
                  .format(**each))
    sends, datagrams = counted.messages()
    assert sends > 0 and datagrams > 0 and datagrams % 5 == 0, (sends, datagrams)


if __name__ == "__main__":
    parts = {part.__name__: part for part in (programs, memcached, cut, user, pagewalk)}
    parts[sys.argv[2]](sys.argv[1])
