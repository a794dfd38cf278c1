#!/usr/bin/env python3
"""man_pages.py TIARA SCRIPT: SCRIPT writes a man page for every command, every option of its --help stands there, and
docs/operating.md has a line for every command."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TIARA, SCRIPT = sys.argv[1:]
OPERATING = Path(__file__).resolve().parents[2] / "docs/operating.md"


def output(*arguments):
    return subprocess.run([TIARA, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def commands(*prefix):
    """What `tiara [PREFIX] --help` lists."""
    return re.findall(r"^  ([a-z]+) +\S", output(*prefix, "--help"), re.MULTILINE)


def problems_of(words, page, document):
    name = "-".join(["tiara", *words])
    if not page.startswith(".TH ") or ".SH NAME" not in page:
        yield f"{name}.1 is not a man page"
    shown = [line for line in output(*words, "--help").splitlines() if line.startswith("  -")]
    options = re.findall(r"(?<![-\w])--[a-z][-a-z]*", "\n".join(line[:28] for line in shown))
    if words and words != ["bench"] and "--help" not in options:
        yield f"{name} --help lists no option"
    for option in options:
        if f"\\fB{option}\\fR" not in page:
            yield f"{name}.1 lacks {option}"
    if words and not re.search(rf"(`|^### )(tiara )?(bench )?{words[-1]}\b", document, re.MULTILINE):
        yield f"docs/operating.md has no line for {' '.join(words)}"


def main():
    document = OPERATING.read_text(encoding="utf-8")
    names = [[]] + [[name] for name in commands()] + [["bench", name] for name in commands("bench")]
    assert len(names) > 10, names
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, SCRIPT, TIARA, folder], check=True)
        pages = {path.stem: path.read_text(encoding="utf-8").replace("\\-", "-") for path in Path(folder).iterdir()}
    expected = {"-".join(["tiara", *words]) for words in names}
    if expected != set(pages):
        problems.append(f"pages {sorted(set(pages) ^ expected)} are missing or too many")
    for words in names:
        name = "-".join(["tiara", *words])
        if name in pages:
            problems += problems_of(words, pages[name], document)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
