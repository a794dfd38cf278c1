#!/usr/bin/env python3
"""The rules of this tree that a machine can hold.

    tests/tidy/tidy.py [--root DIR] [--build DIR] [CHECK ...]

Each check is a function `check_NAME(tree)` that yields findings, one line each. Without arguments every
check runs. Exit status 1 when anything was found. tests/tidy/tidy_test.py shows each check a bad tree.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Layers bottom to top. A folder may include itself and everything before it; names on one line are one step,
# and may not include each other unless SAME_STEP says so.
LAYERS = [
    ["runtime/base"],
    ["runtime/os"],
    ["nic/isa"],
    ["nic/asm", "nic/verifier"],
    ["nic/cc"],
    ["nic/engine"],
    ["nic/wire"],
    ["nic/rtl"],
    ["nic/timing"],
    ["nic/tls", "nic/verbs"],
    ["nic/node"],
    ["nic/transport"],
    ["nic/operators"],
    ["pagetable"],
    ["fault-handler"],
    ["runtime/residency"],
    ["runtime/placement"],
    ["runtime/include"],
    ["runtime/preload"],
    ["apps"],
]
# region.h is the one header of the engine that speaks only of memory; everything that binds regions needs it.

# Foreign headers and the only folders that may include them.
OWNERS = {
    r"linux/userfaultfd\.h": ["fault-handler"],
    r"liburing\.h": ["runtime/os"],
    r"infiniband/.*": ["nic/verbs"],
    r"rdma/.*": ["nic/verbs"],
    r"jemalloc/.*": ["runtime/placement"],
    r"asmjit/.*": ["nic/engine"],
    r"xxhash\.h": ["runtime/base"],
    r"openssl/.*": ["nic/tls"],
    r"CLI/.*": ["apps"],
    r"fmt/.*": ["apps"],
    r"nlohmann/.*": ["apps"],
    r"prometheus/.*": ["apps", "nic/node"],
    r"linux/futex\.h": ["runtime/os"],
}

# Code that lives in other people's processes.
NO_EXCEPTIONS = ("runtime/", "pagetable/", "fault-handler/", "nic/")

MAX_LINES = 800
MAX_COLUMNS = 120
SOURCE = {".cc", ".h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


class Tree:
    def __init__(self, root, build=None):
        self.root = Path(root)
        self.build = Path(build) if build else None
        listed = subprocess.run(
            ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True)
        if listed.returncode == 0:
            names = [n for n in listed.stdout.decode().split("\0") if n]
        else:
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        self.files = sorted(n for n in names if (self.root / n).is_file())

    def sources(self):
        return [f for f in self.files if Path(f).suffix in SOURCE]

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def lines(self, name):
        return self.text(name).splitlines()


def layer_of(path):
    """Index of the layer that a file belongs to, or None (tests, generated files)."""
    for index, step in enumerate(LAYERS):
        for folder in step:
            if path == folder or path.startswith(folder + "/"):
                return index, folder
    return None


def includes(tree, name):
    for number, line in enumerate(tree.lines(name), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def check_layers(tree):
    """A folder includes only itself and what stands below it."""
    for name in tree.sources():
        here = layer_of(name)
        if here is None:
            continue
        for number, _, target in includes(tree, name):
            there = layer_of(target)
            if there is None:
                continue
            if there[0] > here[0]:
                yield f"{name}:{number}: includes {target}, which stands above {here[1]}"
            elif there[0] == here[0] and there[1] != here[1]:
                yield f"{name}:{number}: includes {target}: {here[1]} and {there[1]} stand side by side"


def check_owners(tree):
    """Each foreign ABI is included by one component."""
    for name in tree.sources():
        if name.startswith("tests/"):
            continue
        for number, _, target in includes(tree, name):
            for pattern, owners in OWNERS.items():
                if re.fullmatch(pattern, target) and not any(name.startswith(o + "/") for o in owners):
                    yield f"{name}:{number}: <{target}> belongs to {', '.join(owners)}"


def check_sizes(tree):
    """A file is one idea: at most 800 lines; lines of at most 120 columns."""
    for name in tree.files:
        if Path(name).suffix not in SOURCE | {".sv", ".svh", ".py"}:
            continue
        lines = tree.lines(name)
        if len(lines) > MAX_LINES:
            yield f"{name}: {len(lines)} lines, more than {MAX_LINES}"
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                yield f"{name}:{number}: {len(line)} columns, more than {MAX_COLUMNS}"


def check_headers(tree):
    """Every header says what it is for and is included once."""
    for name in tree.sources():
        if not name.endswith(".h"):
            continue
        text = tree.text(name)
        if "#pragma once" not in text:
            yield f"{name}: no #pragma once"
        if not text.lstrip().startswith(("//", "/*")):
            yield f"{name}: does not begin with a comment that says what it is for"


def check_self_contained(tree):
    """Every header compiles alone (with the flags of the build)."""
    if tree.build is None:
        return
    commands = tree.build / "compile_commands.json"
    if not commands.exists():
        yield f"{commands}: missing; configure the build first"
        return
    flags_of = {}
    proved = set()  # a header that a compiled file includes before anything else: the build shows that it stands alone
    for entry in json.loads(commands.read_text()):
        source = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.root)
        flags_of.setdefault(os.path.dirname(source), entry)
        if (tree.root / source).is_file():
            proved.add(next((target for _, _, target in includes(tree, source)), None))
    headers = [f for f in tree.sources() if f.endswith(".h") and not f.startswith("tests/") and f not in proved]

    def compile_alone(header):
        entry = flags_of.get(os.path.dirname(header)) or flags_of.get("runtime/base")
        if entry is None:
            return None
        words = entry["command"].split()
        flags = [w for w in words[1:] if w.startswith(("-I", "-D", "-std", "-isystem", "-W", "-fno-"))]
        flags = [w for w in flags if not w.startswith(("-Wl,", "-Werror"))]
        compiler = "g++"
        result = subprocess.run(
            [compiler, *flags, "-I.", "-fsyntax-only", "-x", "c++", "-include", str(tree.root / header), "/dev/null"],
            cwd=entry["directory"], capture_output=True, text=True)
        if result.returncode != 0:
            first = next((l for l in result.stderr.splitlines() if "error" in l), result.stderr.strip())
            return f"{header}: does not compile alone: {first}"
        return None

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for finding in pool.map(compile_alone, headers):
            if finding:
                yield finding


def check_exceptions(tree):
    """No exceptions in code that lives in other people's processes."""
    for name in tree.sources():
        if not name.startswith(NO_EXCEPTIONS):
            continue
        for number, line in enumerate(tree.lines(name), 1):
            code = line.split("//")[0]
            if re.search(r"\b(throw|try|catch)\b\s*[({;]", code) or re.search(r"\b(dynamic_cast|typeid)\b", code):
                yield f"{name}:{number}: exceptions or RTTI in the runtime: {line.strip()}"


def check_smells(tree):
    """Words that stand where work is missing, and names that say nothing."""
    for name in tree.files:
        if Path(name).suffix not in SOURCE | {".sv", ".sh", ".tiara", ".c"}:
            continue
        stem = Path(name).stem
        if re.search(r"(^|_)(utils?|helpers?|misc|common)($|_)", stem):
            yield f"{name}: a name that says nothing"
        for number, line in enumerate(tree.lines(name), 1):
            if re.search(r"\b(TODO|FIXME|XXX|not implemented|unimplemented)\b", line):
                yield f"{name}:{number}: work is missing: {line.strip()}"
            if name.startswith("tests/") and re.search(r"\bsleep_for\b|\busleep\(", line) and "sleep:" not in line:
                yield f"{name}:{number}: a test that sleeps must say why on the line, as in `// sleep: REASON`"


def check_switch_default(tree):
    """Every switch over an enum names all its values: no default in one."""
    for name in tree.sources():
        if name.startswith("tests/"):
            continue
        text = tree.text(name)
        for match in re.finditer(r"\bcase\s+(?:\w+::)*k[A-Z]\w*\s*:(?:(?!\bswitch\b)[\s\S])*?\bdefault\s*:", text):
            number = text.count("\n", 0, match.end()) + 1
            if "any other" not in text[match.end():match.end() + 120]:
                yield f"{name}:{number}: default in an enum switch (name the values, or comment `any other ...`)"


def check_paths_in_docs(tree):
    """Paths of the tree that documents name exist."""
    known = set(tree.files)
    folders = {str(parent) for f in tree.files for parent in Path(f).parents}
    tops = {f.split("/")[0] for f in tree.files if "/" in f}
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        for number, line in enumerate(tree.lines(name), 1):
            for path in re.findall(r"[`(]((?:[\w.-]+/)+[\w.*{},-]*)[`)]", line):
                clean = path.rstrip("/")
                if clean.split("/")[0] not in tops or any(c in clean for c in "*{}"):
                    continue
                local = os.path.normpath(os.path.join(os.path.dirname(name), clean))
                if not ({clean, local} & (known | folders)):
                    yield f"{name}:{number}: {path} does not exist"


def check_links_in_docs(tree):
    """Relative links of documents lead somewhere."""
    known = set(tree.files) | {str(parent) for f in tree.files for parent in Path(f).parents}
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        for number, line in enumerate(tree.lines(name), 1):
            for target in re.findall(r"\]\(([^)#\s]+)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                if os.path.normpath(os.path.join(os.path.dirname(name), target)) not in known:
                    yield f"{name}:{number}: link to {target}, which does not exist"


def check_statistics_documented(tree):
    """Every counter and gauge stands in docs/operating.md."""
    if "runtime/base/stats.h" not in tree.files:
        return
    document = tree.text("docs/operating.md") if "docs/operating.md" in tree.files else ""
    for counter in re.findall(r"^\s*X\((\w+),", tree.text("runtime/base/stats.h"), re.M):
        if f"`{counter}`" not in document:
            yield f"docs/operating.md: the counter `{counter}` is not described"


def check_options_documented(tree):
    """Every option of every subcommand stands in docs/operating.md."""
    document = tree.text("docs/operating.md") if "docs/operating.md" in tree.files else ""
    for name in tree.sources():
        if not name.startswith("apps/"):
            continue
        text = tree.text(name)
        for option in re.findall(r"add_(?:option|flag)\w*(?:<[^>]*>)?\(\s*\"([^\"]+)\"", text):
            for spelling in option.split(","):
                if spelling.startswith("--") and f"`{spelling}" not in document:
                    yield f"docs/operating.md: the option `{spelling}` of {name} is not described"


def check_variables_documented(tree):
    """Every environment variable of the runtime stands in docs/operating.md."""
    if "runtime/base/config.cc" not in tree.files:
        return
    document = tree.text("docs/operating.md") if "docs/operating.md" in tree.files else ""
    for variable in sorted(set(re.findall(r'"(TIARA_[A-Z_]+)"', tree.text("runtime/base/config.cc")))):
        if variable not in document:
            yield f"docs/operating.md: the environment variable {variable} is not described"


def check_shell(tree):
    """Shell scripts stop at the first error."""
    for name in tree.files:
        text = None
        if name.startswith(("scripts/", ".ci/")) or name.endswith(".sh"):
            text = tree.text(name)
        if text and text.startswith("#!") and "sh" in text.splitlines()[0] and "python" not in text.splitlines()[0]:
            if not re.search(r"^set -[a-z]*e|^set -u", text, re.M):
                yield f"{name}: no `set -e`"
            if not os.access(tree.root / name, os.X_OK):
                yield f"{name}: not executable"


CHECKS = {name[len("check_"):]: function for name, function in globals().items() if name.startswith("check_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--build", help="a configured build folder, for the checks that compile")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    options = parser.parse_args()
    unknown = [c for c in options.checks if c not in CHECKS]
    if unknown:
        parser.error(f"unknown check {unknown[0]}; there are {', '.join(CHECKS)}")
    tree = Tree(options.root, options.build)
    found = 0
    for name in options.checks or CHECKS:
        for finding in CHECKS[name](tree):
            print(f"{name}: {finding}")
            found += 1
    print(f"tidy: {found} findings in {len(tree.files)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
