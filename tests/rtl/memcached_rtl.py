#!/usr/bin/env python3
"""memcached_rtl.py TIARA [KEYS]: an unmodified memcached whose far memory is `tiara node --engine rtl`.

KEYS values (300, of 4 to 12 KiB) are stored, then read back in another order and compared. They are more than may stay
here, so that most are away when they are asked for and come back through the simulated NIC. Exit status 77 with the
reason where the build has no simulated NIC, memcached is not installed, or userfaultfd is not allowed.
"""
import hashlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIP = NO_PERMISSION = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def value(key):
    return (hashlib.sha256(str(key).encode()).hexdigest() * 200)[:4000 + key * 37 % 8000].encode()


def connect(path, server):
    while True:
        if server.poll() is not None:
            if server.returncode == NO_PERMISSION:
                skip("userfaultfd is not allowed here")
            raise AssertionError(f"memcached ended with status {server.returncode}")
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            return link
        except OSError:
            link.close()
            time.sleep(0.05)


def drive(path, server, keys):
    link = connect(path, server)
    replies = link.makefile("rb")
    for key in range(keys):
        data = value(key)
        link.sendall(b"set k%d 0 0 %d\r\n%s\r\n" % (key, len(data), data))
        said = replies.readline()
        assert said == b"STORED\r\n", f"key {key}: {said!r}"
    order = list(range(keys))
    random.Random(1).shuffle(order)
    for key in order:
        link.sendall(b"get k%d\r\n" % key)
        header = replies.readline().split()
        assert header[:2] == [b"VALUE", b"k%d" % key], f"key {key}: {header}"
        assert replies.read(int(header[3]) + 2)[:-2] == value(key), f"key {key} has another value"
        assert replies.readline() == b"END\r\n"


def serve(tiara, url, folder, keys):
    path, stats = os.path.join(folder, "memcached.sock"), os.path.join(folder, "stats.json")
    far = [tiara, "run", "--quiet", "--node", url, "--node-timeout", "120s", "--local", "2M", "--stats", stats,
           "--"]
    server = subprocess.Popen(far + ["memcached", "-u", "root", "-s", path, "-m", "64", "-t", "1"], cwd=folder)
    begin = time.monotonic()
    try:
        drive(path, server, keys)
    finally:
        took = time.monotonic() - begin
        server.terminate()
        try:
            server.wait(timeout=200)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    with open(stats, encoding="utf-8") as file:
        fetched = sum(process["counters"]["fetched_pages"] for process in json.load(file)["processes"])
    return fetched, took


def main(tiara, keys):
    if shutil.which("memcached") is None:
        skip("memcached is not installed")
    with tempfile.TemporaryDirectory(prefix="tiara-rtl-") as folder:
        url = f"shm://{folder}/node.sock"
        node = subprocess.Popen([tiara, "node", "--listen", url, "--memory", "256M", "--engine", "rtl"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if "serving" not in node.stdout.readline():
                _, complaint = node.communicate()
                assert "no simulated NIC" in complaint, complaint
                skip(complaint.strip())
            fetched, took = serve(tiara, url, folder, keys)
        finally:
            node.terminate()
            said, _ = node.communicate()
        assert fetched > 0, "no page was away: the test tests nothing"
        ended = re.search(r"(\d+) invocations, 0 of them refused, 0 faulted", said)
        assert ended is not None, said
        print(f"{keys} values stored and read back in {took:.1f} s; {fetched} pages came back, "
              f"{ended[1]} invocations on the NIC")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300)
