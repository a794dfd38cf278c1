#!/bin/sh
# rename_jemalloc.sh OBJCOPY AR ARCHIVE RENAMES OUTPUT: ARCHIVE under other names, without its operator new and
# delete (libstdc++'s own call malloc, which is ours).
set -eu
rm -f "$5"
"$1" --redefine-syms="$4" "$3" "$5"
"$2" d "$5" jemalloc_cpp.pic.o
