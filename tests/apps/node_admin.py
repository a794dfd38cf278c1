#!/usr/bin/env python3
"""node_admin.py TIARA: what an administrator sees of a node with two tenants: status, tenants, fsck, metrics and events
say what happened, every refusal is counted, a wrong admin token is refused, and a node that is drained takes no session
and ends when its last one has. Exits 77 where userfaultfd is not allowed."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.request

NO_PERMISSION, UNAVAILABLE, NODE_FULL, USAGE = 77, 69, 73, 64
TIME_LIMIT_S = 240
PROGRAM = "data = [('%d' % i) * 40 for i in range(60000)]; assert data[7] == '7' * 40; print(len(data))"
# Stays until its input ends.
HOLDER = PROGRAM + "; sys = __import__('sys'); sys.stdout.flush(); sys.stdin.read(); assert data[8] == '8' * 40"


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Node:
    def __init__(self, tiara, folder, *more):
        self.tiara, self.folder, self.control = tiara, folder, os.path.join(folder, "control.sock")
        for name in ("red", "blue", "admin"):
            write_private(self.token(name), f"{name} secret\n")
        config = write_private(os.path.join(folder, "node.json"), json.dumps({
            "listen": [f"shm://{folder}/node.sock", "tcp://127.0.0.1:0"], "memory": "128M", "control": self.control,
            "admin_token_file": self.token("admin"), "metrics": "127.0.0.1:0", "log": "json",
            "tenants": [{"name": "red", "token_file": self.token("red"), "memory": "2M", "weight": 2},
                        {"name": "blue", "token_file": self.token("blue")}]}))
        self.events = open(os.path.join(folder, "events"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([tiara, "node", "--config", config, *more], stdout=subprocess.PIPE,
                                        stderr=self.events, text=True)
        said = "".join(self.process.stdout.readline() for _ in range(3))
        self.urls = re.findall(r" at (\S+) with ", said)
        self.metrics = re.search(r"metrics at (\S+)", said).group(1)

    def token(self, name):
        return os.path.join(self.folder, name + ".token")

    def ask(self, command, token="admin"):
        done = subprocess.run([self.tiara, "node", command, "--control", self.control, "--admin-token-file",
                               self.token(token)], stdout=subprocess.PIPE, timeout=TIME_LIMIT_S, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def command(self, url, token, program):
        return [self.tiara, "run", "--quiet", "--local", "8M", "--node", url, "--token-file", self.token(token), "--",
                sys.executable, "-c", program]

    def run(self, url, token):
        return subprocess.run(self.command(url, token, PROGRAM), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=TIME_LIMIT_S, check=False)

    def seen_events(self):
        self.events.seek(0)
        return [json.loads(line) for line in self.events.read().splitlines()]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.events.close()


def check_figures(node):
    code, status = node.ask("status")
    assert code == 0 and status["sessions_opened"] >= 3 and status["sessions_refused"] >= 1, status
    assert sorted(status["serves"]) == sorted(node.urls) and status["memory_bytes"] > 100 << 20, status
    tenants = {each["name"]: each for each in node.ask("tenants")[1]["tenants"]}
    red, blue = tenants["red"], tenants["blue"]
    assert red["refused"]["memory"] > 0 and red["quota_bytes"] == 2 << 20 and red["weight"] == 2, red
    assert blue["refused"]["memory"] == 0 and blue["invocations"] > 0 and blue["operator_time_us"] > 0, blue
    assert blue["quota_bytes"] > 100 << 20, blue
    code, found = node.ask("fsck")
    assert code == 0 and found["is_sound"] and found["defect_count"] == 0, found
    with urllib.request.urlopen(node.metrics, timeout=TIME_LIMIT_S) as answer:
        metrics = answer.read().decode()
    for wanted in (r'^tiara_tenant_refused_total\{tenant="red",reason="memory"\} [1-9]',
                   r'^tiara_tenant_invocations_total\{tenant="blue"\} [1-9]', r"^tiara_sessions_refused_total [1-9]",
                   r'^tiara_tenant_memory_quota_bytes\{tenant="red"\} 2097152$', r"^tiara_draining 0$"):
        assert re.search(wanted, metrics, re.MULTILINE), (wanted, metrics)


def check_control(node):
    assert node.ask("status", token="red") == (NO_PERMISSION, None)
    for raw in (b"\n", b"[1]\n", b'{"command": 3}\n', b'{"command": "status"}\n', b"\xff" * 5000 + b"\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIME_LIMIT_S)
            client.connect(node.control)
            client.sendall(raw)
            answer = json.loads(client.makefile().readline())
        assert not answer["ok"] and "token" in answer["error"], (raw[:40], answer)
    assert node.ask("status")[1]["control_refused"] == 6
    assert oct(os.stat(node.control).st_mode & 0o777) == "0o600"


def check_drain(node):
    holder = subprocess.Popen(node.command(node.urls[1], "blue", HOLDER), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "60000\n"
    code, answer = node.ask("drain")
    assert code == 0 and answer["sessions"] >= 1, answer
    for url in node.urls:
        refused = node.run(url, "blue")
        assert refused.returncode == UNAVAILABLE and b"drained" in refused.stderr, refused
    assert node.process.poll() is None and node.ask("status")[1]["is_draining"]
    holder.communicate(timeout=TIME_LIMIT_S)
    assert holder.returncode == 0, holder.returncode
    assert node.process.wait(timeout=TIME_LIMIT_S) == 0
    left = [name for name in os.listdir(node.folder) if name.endswith(".sock")]
    assert not left, f"sockets were left behind: {left}"


def main():
    tiara = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="tiara-admin-") as folder:
        node = Node(tiara, folder)
        try:
            blue = node.run(node.urls[0], "blue")
            if blue.returncode == NO_PERMISSION and b"token" not in blue.stderr:
                print("userfaultfd is not allowed here")
                sys.exit(77)
            assert (blue.returncode, blue.stdout) == (0, b"60000\n"), blue
            wrong = node.run(node.urls[1], "admin")
            assert wrong.returncode == NO_PERMISSION and b"token" in wrong.stderr, wrong
            red = node.run(node.urls[1], "red")
            assert red.returncode == NODE_FULL, red
            check_figures(node)
            check_control(node)
            check_drain(node)
            events = node.seen_events()
            wanted = {"serving", "session refused", "refused", "control request refused", "draining", "stopped"}
            assert wanted <= {each["event"] for each in events}, events
            refused = [each for each in events if each["event"] == "refused" and each["tenant"] == "red"]
            assert any(each["reason"] == "memory" and each["count"] > 0 for each in refused), events
            assert all("secret" not in json.dumps(each) for each in events), events
        finally:
            node.end()
        gone = node.ask("status")
        assert gone[0] != 0 and gone[1] is None, gone


if __name__ == "__main__":
    main()
