#!/usr/bin/env python3
"""node_rtl.py TIARA: an unmodified program on the far memory of `tiara node --engine rtl`.

Every page that the program loses and finds again goes through the simulated NIC as Ethernet frames. Exit status 77
where the build has no simulated NIC, or where userfaultfd is not allowed.
"""
import subprocess
import sys
import tempfile

NO_PERMISSION = 77

# Twice as much as may stay here; each string holds what only it should.
PROGRAM = """
my @far;
$far[$_] = pack("Q", $_ * 40503 + 1) x 500 for 0 .. 999;
for (0 .. 999) { die "string $_" if $far[$_] ne pack("Q", $_ * 40503 + 1) x 500 }
print "right\\n";
"""


def main(tiara):
    with tempfile.TemporaryDirectory() as folder:
        url = f"shm://{folder}/node.sock"
        node = subprocess.Popen([tiara, "node", "--listen", url, "--memory", "64M", "--engine", "rtl"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if "serving" not in node.stdout.readline():
                _, complaint = node.communicate()
                assert "no simulated NIC" in complaint, complaint
                print(complaint, file=sys.stderr)
                return 77
            done = subprocess.run([tiara, "run", "--node", url, "--node-timeout", "120s", "--local", "2M", "--",
                                   "perl", "-e", PROGRAM], stdout=subprocess.PIPE, timeout=280, check=False)
        finally:
            node.terminate()
            said, _ = node.communicate()
        if done.returncode == NO_PERMISSION:
            print("userfaultfd is not allowed here", file=sys.stderr)
            return 77
        assert done.returncode == 0 and done.stdout == b"right\n", f"status {done.returncode}: {done.stdout!r}"
        assert "invocations" in said and "0 faulted" in said, said
        print(said.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
