#!/usr/bin/env python3
"""exported_symbols_test.py LIBRARY SOURCE_ROOT: libtiara.so exports what interposed.txt lists and nothing else, defines
nothing that would have to be found at first use, and docs/preload.md holds the table of that list."""
import subprocess
import sys
from pathlib import Path


def main():
    library, root = sys.argv[1], Path(sys.argv[2])
    script, listing = root / "runtime/preload/interposed.py", root / "runtime/preload/interposed.txt"

    def made(form):
        command = [sys.executable, script, form, listing]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    failures = []
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in symbols.splitlines()}
    listed = made("names").split()
    if len(listed) != len(set(listed)):
        failures.append(f"listed twice: {sorted(name for name in set(listed) if listed.count(name) > 1)}")
    for name in sorted(exported - set(listed)):
        failures.append(f"{name} is exported but not in interposed.txt")
    for name in sorted(set(listed) - exported):
        failures.append(f"{name} is in interposed.txt but not exported")
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    if "BIND_NOW" not in dynamic and "NOW" not in dynamic:
        failures.append("symbols are bound lazily: the loader would run inside a fault")
    for needed in ("libstdc++", "libgcc_s", "libjemalloc"):
        if needed in dynamic:
            failures.append(f"needs {needed}: the program's own may be another version")
    if made("table") not in (root / "docs/preload.md").read_text(encoding="utf-8"):
        failures.append("docs/preload.md does not hold the table; paste: runtime/preload/interposed.py table "
                        "runtime/preload/interposed.txt")
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
