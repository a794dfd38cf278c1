#!/usr/bin/env python3
"""Over tcp, the node or the network fails under load: the program goes on or ends in time, never with wrong bytes.

    tcp_kill.py TIARA [--runs N] [--seed S] [--kinds a,b] [--bound SECONDS] [--tls]

Each run draws from its seed what happens and when. Exit status 1 when a program saw a wrong byte, ended otherwise than
it had to, or too late; 77 when nothing that was asked for is possible here.
"""
import argparse
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

# Fills far memory, then checks and rewrites it at random until it has seen its last round.
LOAD = """
import random, sys
rng = random.Random(int(sys.argv[1]))
size, count = 64 * 1024, 320
blocks = [bytes([i % 251]) * size for i in range(count)]
print('filled', flush=True)
for step in range(int(sys.argv[2])):
    i = rng.randrange(count)
    block = blocks[i]
    if block.count(block[0]) != size or block[0] % 251 != block[0]:
        print('WRONG', i, flush=True)
        sys.exit(3)
    if step % 2:
        blocks[i] = bytes([(block[0] + 1) % 251]) * size
print('done', flush=True)
"""
STEPS = 1500      # enough for half a minute on a busy machine, and for what is done to the node to meet it at work
BOUND = 3.0       # --node-timeout, or --bound
# What a busy machine may add to a bound before we call it late.
SLACK = 120.0
SHORT = (0.2, 1.0)  # below the bound
TLS_NODE, TLS_CLIENT = [], ""  # options of the node and what stands behind its address, with --tls
NAMES = f"tiara{os.getpid()}"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class TwoNamespaces:
    """A client's and a node's network, joined by a cable and with no way out: nothing can leave them."""

    def __enter__(self):
        self.client, self.node = f"{NAMES}c", f"{NAMES}n"
        try:
            for name in (self.client, self.node):
                ip("netns", "add", name)
            ip("link", "add", "cable", "netns", self.client, "type", "veth",
               "peer", "name", "cable", "netns", self.node)
            for name, address in ((self.client, "10.77.0.1/24"), (self.node, "10.77.0.2/24")):
                ip("-n", name, "addr", "add", address, "dev", "cable")
                ip("-n", name, "link", "set", "cable", "up")
                ip("-n", name, "link", "set", "lo", "up")
            for name in (self.client, self.node):
                routes = subprocess.run(["ip", "-n", name, "route"], check=True, capture_output=True, text=True).stdout
                assert "default" not in routes and "10.77.0.0/24" in routes, routes
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            self.__exit__()
            raise Impossible(f"no network namespaces here: {error}") from None
        return self

    def cut(self, whether):
        ip("-n", self.node, "link", "set", "cable", "down" if whether else "up")

    def __exit__(self, *_):
        for name in (self.client, self.node):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Impossible(Exception):
    pass


class Node:
    def __init__(self, tiara, address="127.0.0.1", inside=(), *more):
        self.process = subprocess.Popen([*inside, tiara, "node", "--listen", f"tcp://{address}:0", "--memory", "256M",
                                         "--workers", "1", *TLS_NODE, *more], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r" at (tcp://\S+) with ", line).group(1)
        self.pid = int(re.search(r"process (\d+)", line).group(1))

    def signal(self, number):
        os.kill(self.pid, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGCONT, signal.SIGKILL):
            try:
                self.signal(number)
            except ProcessLookupError:
                pass
        self.process.communicate()


class Proxy:
    """Passes connections on, and cuts them all when told."""

    def __init__(self, url):
        host, port = url[len("tcp://"):].rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets, self.lock = [], threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
                other = socket.create_connection(self.target)
            except OSError:
                return
            for end in (one, other):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.sockets += [one, other]
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=self.passing, args=(source, sink), daemon=True).start()

    @staticmethod
    def passing(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            old, self.sockets = self.sockets, []
        for end in old:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        self.cut()


class Program:
    def __init__(self, tiara, url, seed, inside=()):
        self.process = subprocess.Popen(
            [*inside, tiara, "run", "--quiet", "--local", "12M", "--node", url + TLS_CLIENT,
             "--node-timeout", f"{BOUND}s", "--", "python3", "-c", LOAD, str(seed), str(STEPS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if line != "filled\n":
            out, err = self.process.communicate()
            raise AssertionError(f"the program did not start: {line}{out}{err}")

    def goes_on(self):
        out, err = self.process.communicate(timeout=BOUND + SLACK)
        assert (self.process.returncode, out, err) == (0, "done\n", ""), (self.process.returncode, out, err)

    def ends(self):
        """By one line, in time; or it was done before anything happened."""
        out, err = self.process.communicate(timeout=BOUND + SLACK)
        assert "WRONG" not in out, out
        if self.process.returncode == 0 and out == "done\n":
            return
        lines = err.splitlines()
        assert self.process.returncode == 69 and len(lines) == 1 and "lost while" in lines[0], \
            (self.process.returncode, out, err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def killed(tiara, rng):
    with Node(tiara) as node, Program(tiara, node.url, rng.randrange(1 << 30)) as program:
        time.sleep(rng.uniform(0, 0.5))
        node.signal(signal.SIGKILL)
        program.ends()


def stopped_shortly(tiara, rng):
    with Node(tiara) as node, Program(tiara, node.url, rng.randrange(1 << 30)) as program:
        for _ in range(2):
            time.sleep(rng.uniform(0, 0.2))
            node.signal(signal.SIGSTOP)
            time.sleep(rng.uniform(*SHORT))
            node.signal(signal.SIGCONT)
        program.goes_on()


def stopped_for_good(tiara, rng):
    with Node(tiara) as node, Program(tiara, node.url, rng.randrange(1 << 30)) as program:
        time.sleep(rng.uniform(0, 0.2))
        node.signal(signal.SIGSTOP)
        program.ends()


def cut(tiara, rng):
    with Node(tiara) as node:
        proxy = Proxy(node.url)
        try:
            with Program(tiara, proxy.url, rng.randrange(1 << 30)) as program:
                for _ in range(rng.randrange(1, 8)):
                    time.sleep(rng.uniform(0, 0.15))
                    proxy.cut()
                program.goes_on()
        finally:
            proxy.close()


def partitioned(tiara, rng, is_short):
    with TwoNamespaces() as world:
        enter = ["ip", "netns", "exec"]
        with Node(tiara, "10.77.0.2", [*enter, world.node]) as node, \
                Program(tiara, node.url, rng.randrange(1 << 30), [*enter, world.client]) as program:
            time.sleep(rng.uniform(0, 0.3))
            world.cut(True)
            if not is_short:
                program.ends()
                return
            time.sleep(rng.uniform(*SHORT))
            world.cut(False)
            program.goes_on()


KINDS = {
    "killed": killed,
    "stopped-shortly": stopped_shortly,
    "stopped-for-good": stopped_for_good,
    "cut": cut,
    "partitioned-shortly": lambda tiara, rng: partitioned(tiara, rng, True),
    "partitioned-for-good": lambda tiara, rng: partitioned(tiara, rng, False),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tiara")
    parser.add_argument("--runs", type=int, default=1, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--bound", type=float, default=BOUND, help="--node-timeout of the programs")
    parser.add_argument("--tls", action="store_true", help="over TLS")
    options = parser.parse_args()
    globals()["BOUND"] = options.bound
    if not options.tls:
        return run_all(options)
    with tempfile.TemporaryDirectory(prefix="tiara-tls-") as folder:
        key, certificate = f"{folder}/node.key", f"{folder}/node.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1,IP:10.77.0.2",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        globals().update(TLS_NODE=["--tls-cert", certificate, "--tls-key", key], TLS_CLIENT=f"?tls={certificate}")
        return run_all(options)


def run_all(options):
    done, impossible, failed = 0, [], 0
    for run in range(options.runs):
        for kind in options.kinds.split(","):
            seed = options.seed + run
            start = time.monotonic()
            try:
                KINDS[kind](options.tiara, random.Random(f"{kind} {seed}"))
                done += 1
                print(f"ok {kind}, seed {seed}: {time.monotonic() - start:.1f} s", flush=True)
            except Impossible as reason:
                impossible.append(str(reason))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"FAILED {kind} --seed {seed}: {error}", flush=True)
    for reason in sorted(set(impossible)):
        print(f"left out: {reason}")
    print(f"{done} runs as they must be, {failed} not")
    return 1 if failed else 0 if done else 77


if __name__ == "__main__":
    sys.exit(main())
