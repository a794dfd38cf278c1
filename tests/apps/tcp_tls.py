#!/usr/bin/env python3
"""tcp_tls.py TIARA: whole programs whose far pages travel over TLS, memcached among them; and who is not let in."""
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NO_PERMISSION = 77
TIME_LIMIT_S = 400
KEYS = 6000

STORE = """
blocks = [bytes([i % 251]) * 65536 for i in range(320)]
right = all(block == bytes([i % 251]) * 65536 for i, block in enumerate(blocks))
print('right' if right else 'WRONG', flush=True)
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=TIME_LIMIT_S)


def make_certificate(folder, name):
    """One that signs itself: authority and node in one."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    return certificate, key


def run(tiara, url):
    return subprocess.run([tiara, "run", "--node", url, "--local", "8M", "--quiet", "--", sys.executable, "-c", STORE],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIME_LIMIT_S, check=False)


def connect(path, server):
    end = time.monotonic() + TIME_LIMIT_S
    while time.monotonic() < end:
        assert server.poll() is None, f"memcached ended with status {server.returncode}"
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
            link.settimeout(TIME_LIMIT_S)
            return link
        except OSError:  # it does not listen yet
            link.close()
            time.sleep(0.05)
    raise AssertionError("memcached does not listen")


def value(key):
    return b"%d." % key * 700


def check_memcached(tiara, url, folder):
    """Three times its local memory of values, all of them as they were stored."""
    path = str(folder / "memcached")
    server = subprocess.Popen([tiara, "run", "--node", url, "--local", "8M", "--quiet", "--", "memcached", "-u", "root",
                               "-s", path, "-m", "64", "-t", "2"])
    try:
        with connect(path, server) as link, link.makefile("rb") as replies:
            for key in range(KEYS):
                link.sendall(b"set k%d 0 0 %d\r\n%s\r\n" % (key, len(value(key)), value(key)))
                assert replies.readline() == b"STORED\r\n", key
            for key in range(KEYS):
                link.sendall(b"get k%d\r\n" % key)
                header = replies.readline()
                assert header == b"VALUE k%d 0 %d\r\n" % (key, len(value(key))), (key, header)
                assert replies.read(len(value(key))) == value(key), key
                assert replies.readline() + replies.readline() == b"\r\nEND\r\n", key
    finally:
        server.terminate()
        server.wait(timeout=TIME_LIMIT_S)


def check(tiara, folder):
    certificate, key = make_certificate(folder, "node")
    stranger, _ = make_certificate(folder, "stranger")
    node = subprocess.Popen([tiara, "node", "--listen", "tcp://127.0.0.1:0", "--memory", "64M", "--workers", "1",
                             "--tls-cert", certificate, "--tls-key", key], stdout=subprocess.PIPE, text=True)
    try:
        line = node.stdout.readline()
        assert line.endswith("and TLS\n"), line
        url = re.search(r" at (tcp://\S+) with ", line).group(1)
        done = run(tiara, f"{url}?tls={certificate}")
        if done.returncode == NO_PERMISSION and "userfaultfd" in done.stderr:
            sys.exit(NO_PERMISSION)
        assert (done.returncode, done.stdout) == (0, "right\n"), done
        check_memcached(tiara, f"{url}?tls={certificate}", folder)
        for query, text in (("", "it speaks TLS only"), (f"?tls={stranger}", "no TLS with it")):
            refused = run(tiara, url + query)
            assert refused.returncode == NO_PERMISSION and text in refused.stderr, refused
            assert refused.stdout == "", refused
    finally:
        node.terminate()
        node.communicate(timeout=TIME_LIMIT_S)


def main():
    with tempfile.TemporaryDirectory(prefix="tiara-tls-") as folder:
        check(sys.argv[1], Path(folder))


if __name__ == "__main__":
    main()
