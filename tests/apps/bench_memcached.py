#!/usr/bin/env python3
"""`tiara bench memcached --smoke` with every contestant: no wrong value, no miss, whole JSON, nothing left behind.

    tests/apps/bench_memcached.py TIARA
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

TIARA = os.path.abspath(sys.argv[1])


def bench(*arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/b.json"
        result = subprocess.run([TIARA, "bench", "memcached", "--smoke", "--json", path, *arguments], text=True,
                                capture_output=True, timeout=240)
        assert result.returncode == 0, f"status {result.returncode}: {result.stdout}{result.stderr}"
        return json.load(open(path))


def swaps():
    return open("/proc/swaps").read()


def main():
    if shutil.which("memcached") is None:
        print("no memcached (apt-get install memcached)")
        return 77
    before = swaps()
    figures = bench("--contestants", "local,tiara,tiara-node,zram", "--local", "50%")
    assert figures["wrong_values"] == 0 and figures["misses"] == 0, figures
    kinds = [contestant["kind"] for contestant in figures["contestants"]]
    assert kinds == ["local", "tiara", "tiara-node", "zram"], kinds
    for contestant in figures["contestants"]:
        if not contestant["available"]:
            assert contestant["kind"] == "zram", contestant
            print(f"zram: {contestant['reason']}")
            continue
        assert contestant["hits"] == contestant["gets"] > 0 and contestant["refused_sets"] == 0, contestant
        if contestant["kind"].startswith("tiara"):
            assert contestant["runtime"]["faults_remote"] > 0, "nothing was far"
            assert contestant["anonymous_peak_bytes"] <= contestant["limit_bytes"] * 1.1, contestant
    assert figures["ratios"]["throughput_over_local"] > 0
    # SETs among the GETs, the other protocol and the other distribution; versions are checked.
    figures = bench("--contestants", "tiara", "--local", "25%", "--set-ratio", "0.3", "--protocol", "text",
                    "--dist", "zipf", "--fault", "message", "--chaos", "7", "--keys", "20000")
    assert figures["wrong_values"] == 0 and figures["misses"] == 0, figures
    assert figures["contestants"][1]["sets"] > 20000, figures
    assert swaps() == before, "swap was left on"
    print("every value was right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
