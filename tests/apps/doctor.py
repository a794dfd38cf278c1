#!/usr/bin/env python3
"""doctor.py TIARA: `tiara doctor` tries far memory out and says what it found, what it would do for a program, and what
to do about a mode that cannot be had. Exits 77 with the reason where no delivery mode works."""
import json
import os
import subprocess
import sys

TIARA = os.path.abspath(sys.argv[1])
MODES = {"signal delivery", "message delivery"}


def doctor(*arguments, before=()):
    done = subprocess.run([*before, TIARA, "doctor", "--json", *arguments], capture_output=True, text=True, timeout=180,
                          stdin=subprocess.DEVNULL, check=False)
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["works"] else 1), done
    return report


def section(report, name):
    return {finding["name"]: finding for finding in report["findings"] if finding["section"] == name}


def main():
    report = doctor("--", "python3")
    trials = section(report, "trial")
    if not report["works"]:
        print(f"skipped: {next(f['text'] for f in report['findings'] if f['verdict'] == 'blocks')}")
        return 77
    assert MODES <= set(trials), report
    for name in MODES:
        trial = trials[name]
        if trial["verdict"] == "good":
            assert "came back, all bytes right" in trial["text"], trial
        else:
            assert trial["cure"], trial
    assert any(trials[name]["verdict"] == "good" for name in MODES), trials
    plan = section(report, "program")["tiara run"]
    assert "would load libtiara.so into /" in plan["text"] and "--local" in plan["text"], plan

    # Where address space is short (a limit that every user can set) the trial fails, and says so with a cure.
    limited = section(doctor(before=("prlimit", "--as=200000000")), "trial")
    assert limited and all(finding["verdict"] != "good" and finding["cure"] for finding in limited.values()), limited
    return 0


if __name__ == "__main__":
    sys.exit(main())
