#!/usr/bin/env python3
"""servers.py TIARA MODE PROGRAM: an unmodified server holds several times its local memory under chaos eviction; every
value that it gives back is compared with what was stored. stress-ng verifies itself. Exits 77 with the reason when the
program, or userfaultfd, cannot be had."""
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIP, NO_PERMISSION = 77, 77
KEYS, BATCH = 12000, 100


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def value(key):
    return (hashlib.sha256(str(key).encode()).hexdigest() * 20)[:400 + key % 800].encode()


def connect(port, server):
    for _ in range(200):
        if server.poll() is not None:
            if server.returncode == NO_PERMISSION:
                skip("userfaultfd is not allowed here")
            raise AssertionError(f"the server ended with status {server.returncode}")
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


def memcached(port, server, wrong):
    def fill(first):
        link = connect(port, server)
        replies = link.makefile("rb")
        for key in range(first, KEYS, 2):
            data = value(key)
            link.sendall(b"set k%d 0 0 %d\r\n%s\r\n" % (key, len(data), data))
            if replies.readline() != b"STORED\r\n":
                wrong.append(key)

    def read(seed):
        link = connect(port, server)
        replies = link.makefile("rb")
        chance = random.Random(seed)
        for _ in range(60):
            keys = [chance.randrange(KEYS) for _ in range(chance.choice([1, 20, 60]))]
            link.sendall(b"get " + b" ".join(b"k%d" % key for key in keys) + b"\r\n")
            for key in keys:
                header = replies.readline().split()
                if header[:2] != [b"VALUE", b"k%d" % key] or replies.read(int(header[3]) + 2)[:-2] != value(key):
                    wrong.append(key)
            if replies.readline() != b"END\r\n":
                wrong.append(-1)

    for work in (fill, read):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def redis(port, server, wrong):
    link = connect(port, server)
    replies = link.makefile("rb")

    def command(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    for first in range(0, KEYS, BATCH):
        link.sendall(b"".join(command(b"SET", b"k%d" % key, value(key)) for key in range(first, first + BATCH)))
        wrong.extend(key for key in range(first, first + BATCH) if replies.readline() != b"+OK\r\n")
    chance = random.Random(1)
    for _ in range(40):
        keys = [chance.randrange(KEYS) for _ in range(BATCH)]
        link.sendall(command(b"MGET", *[b"k%d" % key for key in keys]))
        replies.readline()
        for key in keys:
            if replies.read(int(replies.readline()[1:]) + 2)[:-2] != value(key):
                wrong.append(key)


SERVERS = {
    "memcached": (memcached, lambda port: ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(port), "-m", "128",
                                           "-t", "2"]),
    "redis-server": (redis, lambda port: ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                                          "--appendonly", "no"]),
}


def serve(tiara, mode, name):
    drive, command = SERVERS[name]
    with tempfile.TemporaryDirectory(prefix="tiara-servers-") as folder:
        port, stats = free_port(), os.path.join(folder, "stats.json")
        far = [tiara, "run", "--quiet", "--local", "8M", "--pool", "1G", "--fault", mode, "--chaos", "99"]
        server = subprocess.Popen(far + ["--stats", stats, "--"] + command(port), stdout=subprocess.DEVNULL, cwd=folder)
        wrong = []
        try:
            drive(port, server, wrong)
            assert server.poll() is None, f"the server ended with status {server.returncode}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
        assert not wrong, f"{len(wrong)} wrong values, first of key {wrong[0]}"
        with open(stats, encoding="utf-8") as file:
            fetched = sum(process["counters"]["fetched_pages"] for process in json.load(file)["processes"])
        assert fetched > 0, "no page was away: the test tests nothing"


def stress(tiara, mode):
    far = [tiara, "run", "--quiet", "--local", "16M", "--fault", mode, "--chaos", "5", "--"]
    command = ["stress-ng", "--vm", "2", "--vm-bytes", "48M", "--verify", "--vm-ops", "24", "--timeout", "120"]
    status = subprocess.run(far + command, timeout=250, check=False).returncode
    if status == NO_PERMISSION:
        skip("userfaultfd is not allowed here")
    assert status == 0, f"stress-ng found wrong bytes or ended badly: status {status}"


def main():
    tiara, mode, name = os.path.abspath(sys.argv[1]), *sys.argv[2:]
    if shutil.which(name) is None:
        skip(f"{name} is not installed")
    if name == "stress-ng":
        stress(tiara, mode)
    else:
        serve(tiara, mode, name)


if __name__ == "__main__":
    main()
