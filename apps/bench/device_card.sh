#!/bin/bash
# What a card is asked, in one go of a few minutes:
#   device_card.sh pack BUILD FOLDER    puts what it takes into a folder, to be carried to a machine with a card
#   FOLDER/device_card.sh               there: names, the conformance suite, examples, the benchmark
# Exit code 0: nothing failed that ran. Each part has a limit of its own.
set -u
if [ "${1:-}" = pack ]; then
  build=$2 folder=$3
  mkdir -p "$folder/lib"
  cp "$0" "$build"/bin/{troupe,troupe-conformance,bench_device} "$build/tests/platform/cuda/add.fatbin" "$folder"
  cp -L "$build"/lib/libtroupe_{runtime,comm,platform,actors}.so.0 "$build/lib/libtroupe_cuda.so" "$folder/lib"
  # What Debian has and others may not.
  ldd "$build/bin/troupe" | awk '/libcaf_core/ { print $3 }' | xargs -r cp -L -t "$folder/lib"
  strip -g "$folder"/{troupe,troupe-conformance,bench_device} "$folder"/lib/*.so*
  du -sh "$folder"
  exit
fi
cd "$(dirname "$0")" || exit 2
export LD_LIBRARY_PATH=$PWD/lib TROUPE_PLATFORM_PATH=$PWD/lib
status=0
part() { # seconds, what, command …
  local limit=$1 what=$2; shift 2
  printf '== %s\n' "$what"
  timeout "$limit" "$@" && return
  printf '== FAILED (%s): %s\n' "$?" "$what"
  status=1
}
cuda=$PWD/lib/libtroupe_cuda.so
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
part 30 'devices' ./troupe devices cuda
part 120 'conformance' ./troupe-conformance --library "$cuda" --foreign add.fatbin --timeout 30
part 120 'conformance, one lane' ./troupe-conformance --library "$cuda" --foreign add.fatbin --option lanes=1 --timeout 30
part 30 'vector_add' ./troupe run vector_add --platform cuda --param elements=10000000
for example in dependencies refine; do part 30 "$example" ./troupe run $example --platform cuda; done
for example in pipeline multi_chip_dispatch pod; do
  TROUPE_CHIPS_PER_DEVICE=4 part 30 "$example, four chips on one card" ./troupe run $example --platform cuda --chips 4
done
part 90 'benchmark' ./bench_device cuda 9
exit $status
