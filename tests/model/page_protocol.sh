#!/bin/sh
# Checks page_protocol.pml in every interleaving with Spin, and that the check can fail: each rule of the protocol is
# taken away in turn, and Spin has to find what goes wrong without it.
#
#   page_protocol.sh MODEL      (about a minute; needs spin and a C compiler)
set -eu
model=$1
command -v spin >/dev/null || { echo "page_protocol: spin is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# errors DEFINES...: the number of errors that the exhaustive search finds; empty when it did not finish.
errors() {
  spin "$@" -a "$model" >spin.log 2>&1 || { cat spin.log; return 1; }
  cc -O2 -DSAFETY -o pan pan.c 2>cc.log || { cat cc.log; return 1; }
  ./pan -m1000000 >pan.log 2>&1 || { cat pan.log; return 1; }
  if grep -q 'out of memory\|max search depth too small' pan.log; then cat pan.log; return 1; fi
  sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
}

status=0
for with in -DWITH_DISCARD -DWITH_PIN "-DWITH_COPY -DWITH_DISCARD" "-DWITH_COPY -DWITH_PIN"; do
  # shellcheck disable=SC2086  # several definitions
  found=$(errors $with)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored$/\1/p' pan.log)
  echo "protocol $with: $found errors in $states states"
  [ "$found" = 0 ] || { grep '^pan:' pan.log; status=1; }
done

while read -r guard with; do
  # shellcheck disable=SC2086
  found=$(errors $with "-DNO_GUARD_$guard")
  echo "without $guard: $(grep '^pan:1' pan.log || echo 'nothing found')"
  [ "${found:-0}" -gt 0 ] || { echo "page_protocol: the model holds without $guard: it checks nothing there"; status=1; }
done <<GUARDS
BUSY -DWITH_DISCARD
CLUSTER_LOCK -DWITH_DISCARD
PIN_AFTER_CLAIM -DWITH_PIN
STALE_STAGING -DWITH_DISCARD
WRITING_STATE -DWITH_PIN
DISCARD_WAITS_FOR_WRITE -DWITH_DISCARD
BUSY -DWITH_COPY -DWITH_DISCARD
PIN_AFTER_CLAIM -DWITH_COPY -DWITH_PIN
FREEZE -DWITH_COPY -DWITH_PIN
THAW -DWITH_COPY -DWITH_PIN
UNREACHABLE_MARK -DWITH_COPY -DWITH_DISCARD
GUARDS
exit $status
