#!/usr/bin/env python3
"""man_pages.py TIARA FOLDER: writes the man page of every command into FOLDER, which is below the installation's prefix
when meson calls this at installation, and a folder as it stands otherwise. The pages come from `tiara COMMAND
--man`."""
import os
import re
import subprocess
import sys
from pathlib import Path


def page_of(tiara, words):
    return subprocess.run([tiara, *words, "--man"], stdout=subprocess.PIPE, text=True, check=True).stdout


def write_pages(tiara, folder, words=()):
    """The page of one command, and those of the commands that it lists. Returns the names of all of them."""
    page = page_of(tiara, words)
    name = "-".join(["tiara", *words])
    (folder / f"{name}.1").write_text(page, encoding="utf-8")
    written = [name]
    if ".SH COMMANDS" in page:
        for command in re.findall(r"^\\fB" + " ".join(["tiara", *words]) + r" ([a-z]+)\\fR$", page, re.MULTILINE):
            written += write_pages(tiara, folder, (*words, command))
    return written


def main():
    tiara, folder = sys.argv[1], Path(os.environ.get("MESON_INSTALL_DESTDIR_PREFIX", ""), sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    write_pages(tiara, folder)


if __name__ == "__main__":
    main()
