#!/usr/bin/env bash
# What .ci/check-includes has to refuse is refused: each violation is made in a copy of the tree, and seen.
set -euo pipefail
source=$1 copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

(cd "$source" && git ls-files -z -- .ci '*pp' '*.h' '*/README.md' ':(exclude)docs' | tar --null -T - -c) | tar -x -C "$copy"
cd "$copy"
git init -q .
git add -A
.ci/check-includes >/dev/null || { echo "the tree as it is was refused"; exit 1; }

failed=0
refused() { # file, line, words of the answer
  local answer
  printf '%s\n' "$2" >>"$1"
  git add -A
  if answer=$(.ci/check-includes); then
    echo "not refused: $2 in $1"
    failed=1
  elif [[ $answer != *"$3"* ]]; then
    printf 'refused with other words: %s in %s\n%s\n' "$2" "$1" "$answer"
    failed=1
  fi
  (cd "$source" && cat "$1" 2>/dev/null) >"$1" || rm "$1"
  git add -A
}
first() { git ls-files "$1" | head -n 1; }

refused "$(first 'runtime/src/*.cpp')" '#include "troupe/comm/errc.hpp"' "runtime/ is the bottom floor"
refused "$(first 'runtime/src/*.cpp')" '#  include <mutex>' "runtime/ knows no actors, sockets or threads"
refused "$(first 'comm/src/*/*.cpp')" '#include <caf/all.hpp>' "CAF stays in actors/ and above"
refused "$(first 'actors/src/threads/*.cpp')" '#include "worker/worker.hpp"' "includes the borders of the rooms below it"
refused "$(first 'actors/src/worker/*.cpp')" '#include "chip/state.hpp"' "includes the borders of the rooms below it"
refused "$(first 'actors/src/worker/*.cpp')" '#include <chip/state.hpp>' "what is private is included in quotes"
mkdir -p actors/src/attic
refused actors/src/attic/attic.cpp '// a room that nobody has put into the order' "say in .ci/check-includes which rooms it stands on"
rmdir actors/src/attic
refused comm/include/troupe/comm/new.hpp '#pragma once' "comm/README.md -> say what new.hpp is for"
for i in $(seq 25); do : >"tests/runtime/graph/more$i.cpp"; done
refused tests/runtime/graph/more1.cpp '' "a folder of more than 24 sources needs rooms"
exit "$failed"
