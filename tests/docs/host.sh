#!/usr/bin/env bash
# Programs of the command on a node of an installed troupe, which nothing tells where its libraries are.
set -euo pipefail
troupe=$1/bin/troupe
unset LD_LIBRARY_PATH
folder=$(mktemp -d)
node=''
trap '[ -z "$node" ] || kill "$node" 2>/dev/null || true; rm -rf "$folder"' EXIT

"$troupe" node --listen "unix:$folder/socket" --chips 1 >"$folder/node.log" 2>&1 &
node=$!
while [ ! -S "$folder/socket" ]; do
  kill -0 "$node" 2>/dev/null || { cat "$folder/node.log"; exit 1; }
done
for program in hello vector_add; do
  "$troupe" run "$program" --hosts "unix:$folder/socket" || { cat "$folder/node.log"; exit 1; }
done
