#!/usr/bin/env python3
"""forks.py TIARA MODE CASE: programs that fork with most of their memory away, unmodified. `python` forks children that
change what they inherited, on the embedded pool and on a separate node; `daemon` runs memcached -d; `redis` saves in
the background while every value changes, and a plain server reads the file. Exits 77 with the reason when something
cannot be had."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIP, NO_PERMISSION = 77, 77
KEYS = 30000

PROGRAM = r"""
import os, subprocess, sys
data = [("%d" % i) * 40 for i in range(60000)]
total = sum(map(len, data))
def check(changed):
    for i, text in enumerate(data):
        if text != ("%d" % (-i if changed and i % 3 == 0 else i)) * 40:
            os._exit(9)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        for i in range(0, len(data), 3):
            data[i] = ("%d" % -i) * 40
        check(True)
        grandchild = os.fork()
        if grandchild == 0:
            check(True)
            os._exit(0)
        if os.waitpid(grandchild, 0)[1] != 0:
            os._exit(8)
        os._exit(0)
    children.append(child)
more = [("x%d" % i) * 40 for i in range(20000)]
check(False)
for child in children:
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("a child found wrong bytes")
# fork and exec, by libc's fork: what runs then is another program.
if subprocess.run(["/bin/echo", "again"], preexec_fn=lambda: None, stdout=subprocess.PIPE).stdout != b"again\n":
    sys.exit("the executed program did not run")
check(False)
if more[19999] != "x19999" * 40 or sum(map(len, data)) != total:
    sys.exit("wrong bytes in the parent")
print("right")
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def value(key, version):
    return (b"%d.%d." % (key, version) * 200)[:400 + key % 800]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


def finish(process):
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_python(far, folder):
    del folder
    done = subprocess.run(far + ["--", sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, timeout=200, check=False)
    if done.returncode == NO_PERMISSION:
        skip("userfaultfd is not allowed here")
    assert done.returncode == 0 and done.stdout == b"right\n", f"status {done.returncode}: {done.stdout!r}"


def run_python_on_a_node(far, folder):
    path = os.path.join(folder, "node.sock")
    with subprocess.Popen([far[0], "node", "--listen", f"shm://{path}", "--memory", "512M"],
                          stdout=subprocess.DEVNULL) as node:
        try:
            while not os.path.exists(path):
                assert node.poll() is None, "the node ended"
                time.sleep(0.05)
            run_python([*far, "--node", f"shm://{path}"], folder)
        finally:
            finish(node)


class Redis:
    def __init__(self, port):
        self.link = connect(port)
        self.replies = self.link.makefile("rb")

    def send(self, *commands):
        self.link.sendall(b"".join(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word)
                                                                      for word in words) for words in commands))

    def line(self):
        return self.replies.readline()

    def bulk(self):
        return self.replies.read(int(self.line()[1:]) + 2)[:-2]

    def store_all(self, version):
        for first in range(0, KEYS, 100):
            keys = range(first, first + 100)
            self.send(*[(b"SET", b"k%d" % key, value(key, version)) for key in keys])
            for key in keys:
                assert self.line() == b"+OK\r\n", f"key {key} was not stored"

    def expect_all(self, version):
        for first in range(0, KEYS, 100):
            keys = range(first, first + 100)
            self.send((b"MGET", *[b"k%d" % key for key in keys]))
            self.line()
            for key in keys:
                assert self.bulk() == value(key, version), f"wrong value of key {key}, version {version}"


def redis_command(port, folder):
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir",
            folder, "--dbfilename", "saved.rdb", "--rdbcompression", "no"]


def run_redis(far, folder):
    if shutil.which("redis-server") is None:
        skip("redis-server is not installed")
    port = free_port()
    server = subprocess.Popen(far + ["--"] + redis_command(port, folder), stdout=subprocess.DEVNULL)
    try:
        redis = Redis(port)
        redis.store_all(1)
        redis.send((b"BGSAVE",))
        assert redis.line().startswith(b"+Background"), "BGSAVE was refused"
        redis.store_all(2)
        redis.expect_all(2)
        for _ in range(1200):
            redis.send((b"INFO", b"persistence"))
            info = redis.bulk()
            if b"rdb_bgsave_in_progress:0" in info:
                break
            time.sleep(0.05)
        assert b"rdb_last_bgsave_status:ok" in info, info.decode()
        redis.expect_all(2)
    finally:
        finish(server)
    port = free_port()
    plain = subprocess.Popen(redis_command(port, folder), stdout=subprocess.DEVNULL)
    try:
        redis = Redis(port)
        while True:
            redis.send((b"PING",))
            if redis.line() == b"+PONG\r\n":
                break
            time.sleep(0.05)  # it is loading
        redis.expect_all(1)
    finally:
        finish(plain)


def run_daemon(far, folder):
    if shutil.which("memcached") is None:
        skip("memcached is not installed")
    port, pid_file = free_port(), os.path.join(folder, "pid")
    command = ["memcached", "-d", "-u", "root", "-l", "127.0.0.1", "-p", str(port), "-m", "128", "-t", "2", "-P",
               pid_file]
    started = subprocess.run(far + ["--"] + command, stdout=subprocess.DEVNULL, timeout=60, check=False)
    if started.returncode == NO_PERMISSION:
        skip("userfaultfd is not allowed here")
    assert started.returncode == 0, f"memcached did not start: status {started.returncode}"
    pid = None
    try:
        link = connect(port)
        replies = link.makefile("rb")
        with open(pid_file, encoding="utf-8") as file:
            pid = int(file.read())
        for first in range(0, KEYS, 100):
            keys = range(first, first + 100)
            link.sendall(b"".join(b"set k%d 0 0 %d\r\n%s\r\n" % (key, len(value(key, 1)), value(key, 1))
                                  for key in keys))
            assert all(replies.readline() == b"STORED\r\n" for key in keys), "a value was not stored"
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            assert "tiara-pool" in file.read(), "the daemon has no far memory"
        for first in range(0, KEYS, 50):
            keys = range(first, first + 50)
            link.sendall(b"get " + b" ".join(b"k%d" % key for key in keys) + b"\r\n")
            for key in keys:
                header = replies.readline().split()
                assert replies.read(int(header[3]) + 2)[:-2] == value(key, 1), f"wrong value of key {key}"
            assert replies.readline() == b"END\r\n"
    finally:
        if pid is None and os.path.exists(pid_file):
            with open(pid_file, encoding="utf-8") as file:
                pid = int(file.read())
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


# jemalloc's fork handlers must come before the runtime's, also when nothing in the environment is long enough to be
# allocated for.
def run_with_short_names(far, folder):
    del folder
    library = os.path.join(os.path.dirname(far[0]), "../../runtime/preload/libtiara.so")
    short = {name: text for name, text in os.environ.items() if not name.startswith("TIARA_")}
    short.update(LD_PRELOAD=library, TIARA_LOCAL="16M", TIARA_POOL="512M", TIARA_FAULT=far[-1], TIARA_FORK="clone")
    program = ("import os\ndata = [('%d' % i) * 40 for i in range(60000)]\nchild = os.fork()\n"
               "if child == 0: os._exit(7 if data[59999] == '59999' * 40 else 1)\n"
               "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))")
    status = subprocess.run([sys.executable, "-c", program], timeout=200, env=short, check=False).returncode
    if status == NO_PERMISSION:
        skip("userfaultfd is not allowed here")
    assert status == 7, f"status {status}"


CASES = {"python": run_python, "short_names": run_with_short_names,
         "python_node": run_python_on_a_node, "redis": run_redis, "daemon": run_daemon}


def main():
    tiara, mode, case = os.path.abspath(sys.argv[1]), *sys.argv[2:]
    far = [tiara, "run", "--quiet", "--local", "16M", "--pool", "512M", "--fork", "clone", "--fault", mode]
    with tempfile.TemporaryDirectory(prefix="tiara-forks-") as folder:
        CASES[case](far, folder)


if __name__ == "__main__":
    main()
