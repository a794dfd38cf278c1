#!/usr/bin/env python3
"""node_tenants.py TIARA: a node with two tenants, over shm and over tcp. Programs that bring a tenant's token are
served, others are not; a tenant at its quota of memory is stopped with its own line and the other one goes on; a
configuration that makes no sense is refused with a line that names what is wrong. Exits 77 where userfaultfd is not
allowed."""
import json
import os
import re
import subprocess
import sys
import tempfile

NO_PERMISSION, NODE_FULL, USAGE = 77, 73, 64
TIME_LIMIT_S = 240
# Some 12 MiB of objects, 8 MiB of which may be near.
PROGRAM = "data = [('%d' % i) * 40 for i in range(60000)]; assert data[7] == '7' * 40; print(len(data))"
BAD_CONFIGURATIONS = [
    '{"listen": 3}', '{"tenant": []}', '{"tenants": [{"name": "a", "token": "x"}]}', "[", '{"memory": -1}',
    '{"tenants": []}', '{"tenants": [{"name": "a"}]}', '{"tenants": [{"name": "a", "token_env": "NOT_THERE"}]}',
    '{"tenants": [{"name": "a", "token_env": "PATH", "weight": 0}]}',
    '{"tenants": [{"name": "a", "token_env": "PATH", "shared": 1}]}']


def write(path, text, mode=0o600):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def run(tiara, url, *options, **environment):
    command = [tiara, "run", "--quiet", "--local", "8M", "--node", url, *options, "--", sys.executable, "-c", PROGRAM]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIME_LIMIT_S, check=False,
                          env={**os.environ, **environment})


def check_programs(tiara, urls, red_file):
    for url in urls:
        blue = run(tiara, url, TIARA_TOKEN="blue secret")
        if blue.returncode == NO_PERMISSION and b"token" not in blue.stderr:
            print("userfaultfd is not allowed here")
            sys.exit(77)
        assert (blue.returncode, blue.stdout) == (0, b"60000\n"), blue
        for wrong in (run(tiara, url), run(tiara, url, TIARA_TOKEN="red"), run(tiara, url, TIARA_TOKEN="x" * 300)):
            assert wrong.returncode != 0 and b"token" in wrong.stderr and wrong.stdout == b"", wrong
        missing = run(tiara, url, "--token-file", red_file + ".missing")
        assert missing.returncode != 0 and b"red.token.missing" in missing.stderr, missing
        red = run(tiara, url, "--token-file", red_file)
        assert red.returncode == NODE_FULL and red.stdout == b"", red
    blue = run(tiara, urls[0], TIARA_TOKEN="blue secret")
    assert (blue.returncode, blue.stdout) == (0, b"60000\n"), blue


def refused_start(tiara, *options):
    done = subprocess.run([tiara, "node", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=TIME_LIMIT_S, check=False)
    assert done.stdout == b"", done
    return done.returncode, done.stderr


def check_configurations(tiara, folder):
    config = os.path.join(folder, "bad.json")
    for bad in BAD_CONFIGURATIONS:
        write(config, bad)
        status, said = refused_start(tiara, "--config", config, "--listen", f"shm://{folder}/unused")
        assert status == USAGE and b"bad.json" in said, (bad, status, said)
    tenants = [{"name": "a", "token_env": "A_TOKEN", "memory": "6M"},
               {"name": "b", "token_env": "B_TOKEN", "memory": "6M"}]
    write(config, json.dumps({"memory": "8M", "listen": [f"shm://{folder}/unused"], "tenants": tenants}))
    os.environ.update(A_TOKEN="one", B_TOKEN="two")
    status, said = refused_start(tiara, "--config", config)
    assert status == USAGE and b"quotas" in said, said
    os.environ.update(B_TOKEN="one")
    status, said = refused_start(tiara, "--config", config, "--memory", "64M")
    assert status == USAGE and b'"b"' in said and b"token" in said, said
    open_file = write(os.path.join(folder, "open.token"), "secret\n", 0o644)
    status, said = refused_start(tiara, "--listen", f"shm://{folder}/unused", "--token-file", open_file)
    assert status == NO_PERMISSION and b"chmod 600" in said, said


def main():
    tiara = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="tiara-tenants-") as folder:
        red_file = write(os.path.join(folder, "red.token"), "red secret\n")
        config = write(os.path.join(folder, "node.json"), json.dumps({
            "listen": [f"shm://{folder}/node.sock", "tcp://127.0.0.1:0"], "memory": "128M",
            "tenants": [{"name": "red", "token_file": red_file, "memory": "2M", "weight": 2},
                        {"name": "blue", "token_env": "BLUE_TOKEN"}]}))
        node = subprocess.Popen([tiara, "node", "--config", config], stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "BLUE_TOKEN": "blue secret"})
        try:
            urls = [re.search(r" at (\S+) with ", node.stdout.readline()).group(1) for _ in range(2)]
            check_programs(tiara, urls, red_file)
        finally:
            node.terminate()
            node.communicate(timeout=TIME_LIMIT_S)
        check_configurations(tiara, folder)


if __name__ == "__main__":
    main()
