#!/usr/bin/env bash
# Runs the Tcl test suite of a Redis-protocol server, in its external-server mode, against
# one node of ours, and lists what fails: suite.sh SOURCES [UNIT...]; with SUITE_GATEWAY=1
# against its gateway port, as one server without a cluster.
#
# SOURCES is a source tree of Valkey 8 or Redis 7 with its tests/ folder; it is copied, and
# the copy's harness is told three things: a server may lack FUNCTION and CONFIG SET, and a
# test that failed inside MULTI must not spoil the next one. Two units set the sizes of
# lists and the pace of timers, without which they would end there. Needs tclsh.
set -uo pipefail
[[ -d ${1:-}/tests ]] || { echo "usage: $0 SOURCES [UNIT...], where SOURCES/tests is the suite" >&2; exit 64; }
command -v tclsh >/dev/null || { echo "NOT RUN: the suite needs tclsh: apt-get install tcl"; exit 1; }
sources=$1
shift
units=("$@")
((${#units[@]})) || units=(type/string type/incr expire keyspace scan multi tracking protocol querybuf other introspection introspection-2 auth wait)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
port=${SUITE_PORT:-26100}
at=$port mode=--cluster-mode
[[ -n ${SUITE_GATEWAY:-} ]] && at=$((port + 3)) mode=

mkdir "$work/src" && cp -r "$sources/tests" "$sources/utils" "$work/" && cp "$sources/src/version.h" "$work/src/" || exit
for f in valkey-server valkey-cli valkey-benchmark; do install -m 755 /dev/null "$work/src/$f"; done
sed -i 's/^    r function flush$/    catch {r function flush}/
	s/^        dict set saved_config \$param .*$/        catch {&}/
	s/^        r config set \$param \$val$/        catch {&}/' "$work/tests/support/server.tcl"
sed -i 's/^    if {\[catch {set retval \[uplevel 1 \$code\]} error\]} {/&\n        if {[string match {*multi*} $::curfile] || [string match {*introspection*} $::curfile]} { catch {r discard} }/' "$work/tests/support/test.tcl"
sed -i 's/^ *r config set [a-z-]* .*$/catch {&}/' "$work/tests/unit/keyspace.tcl" "$work/tests/unit/querybuf.tcl"

(cd "$here/../../.." && CGO_ENABLED=0 go build -o "$work/aegis" ./cmd/aegis) || exit
"$work/aegis" --id suite --data-dir "$work/data" --client-addr "127.0.0.1:$port" --gossip-addr "127.0.0.1:$((port + 2))" --gateway-addr "127.0.0.1:$((port + 3))" 2>"$work/node.log" &
node=$!
trap 'kill $node; wait $node; rm -rf "$work"' EXIT
until "$work/aegis" set ready 1 --addr "127.0.0.1:$port" >/dev/null 2>&1; do kill -0 $node || exit; sleep 0.1; done

cd "$work" || exit
total=0
for unit in "${units[@]}"; do
	timeout 120 tclsh tests/test_helper.tcl --host 127.0.0.1 --port "$at" $mode --singledb --ignore-encoding --ignore-digest \
		--durable --tags -needs:debug --single "unit/$unit" 2>&1 | sed 's/\x1b\[[0-9;]*m//g' >log
	failed=$(grep -c '^\[err\]' log)
	echo "$unit: $(grep -c '^\[ok\]' log) passed, $failed failed"
	grep -A1 '^\[err\]' log | grep -v '^--' | cut -c1-180 | paste -d' ' - - | sed 's/^/    /'
	total=$((total + failed))
done
echo "$total failed in all; docs/redis-suite.md says which are expected, and why"
