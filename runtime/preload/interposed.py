#!/usr/bin/env python3
"""interposed.py map|names|table INTERPOSED_TXT: what libtiara.so exports, as a version script, a list or a table."""
import sys


def read(path):
    """[(group, why, [names])] in the file's order."""
    groups = []
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            group, why = line[1:].split("] ", 1)
            groups.append((group, why, []))
        else:
            groups[-1][2].extend(line.split())
    return groups


def main():
    form, groups = sys.argv[1], read(sys.argv[2])
    if form == "map":
        names = [name for _, _, names in groups for name in names]
        print("{\n  global:\n" + "".join(f"    {name};\n" for name in names) + "  local: *;\n};")
    elif form == "names":
        print("\n".join(sorted(name for _, _, names in groups for name in names)))
    elif form == "table":
        print("| group | functions | what is done, and why |\n|---|---|---|")
        for group, why, names in groups:
            print(f"| {group} | {' '.join(f'`{name}`' for name in names)} | {why} |")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
