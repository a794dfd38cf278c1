#!/bin/sh
set -eu
# Stands for the tests of the RTL where they could not be built.
echo "verilator is not installed; scripts/setup installs it, then meson setup --reconfigure"
exit 77
