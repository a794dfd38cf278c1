#!/usr/bin/env python3
"""Runs `tiara bench pagewalk --smoke` and holds its JSON to what the benchmark promises: every result is right, the
operator and the RPC take one round trip at every depth, the one-sided walk one for each level (and one for the page),
and the file says what it was measured on."""
import json
import subprocess
import sys
import tempfile

TRIPS = {"one-sided": lambda levels, task: levels + (task == "page"), "rpc": lambda *_: 1, "cached": lambda *_: 1,
         "operator": lambda *_: 1}


def main(tiara):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([tiara, "bench", "pagewalk", "--smoke", "--json", out.name], check=True, timeout=100)
        report = json.load(out)
    assert report["wrong"] == 0
    seen = set()
    digests = {}
    for each in report["results"]:
        key = each["levels"], each["task"]
        seen.add(key + (each["contestant"],))
        assert each["round_trips"] == TRIPS[each["contestant"]](*key), each
        assert each["failures"] == 0 and each["wrong"] == 0 and each["finds"] >= 100, each
        assert 0 < each["p50_us"] <= each["p99_us"], each
        assert digests.setdefault(key, each["digest"]) == each["digest"], "contestants found different things"
    assert len(seen) == 5 * 2 * len(TRIPS)
    assert report["ratios"]["pagewalk_latency_reduction"] < 1
    assert report["machine"]["kernel"] and report["machine"]["commit"] and report["config"]["seed"] == 1

    for arguments, status in (["--levels", "0"], 64), (["--levels", "5-1"], 64), (["--nonsense"], 64):
        refused = subprocess.run([tiara, "bench", "pagewalk", *arguments], capture_output=True, text=True, timeout=10)
        assert refused.returncode == status and refused.stderr.count("\n") == 1, refused


main(sys.argv[1])
