#!/usr/bin/env bash
# Installs troupe's Debian packages into a new, minimal Debian 12, and does there what a user would: runs the command,
# builds the getting-started project with CMake and with pkg-config, imports the Python package and what scripts of the
# other system import.
#
#   clean_root.sh BUILD_DIR PROJECT     BUILD_DIR: troupe's build; PROJECT: the getting-started project
#
# Needs root (or sudo) and mmdebstrap; the packages come from Debian's mirror. Takes minutes, so only where CI is set.
set -euo pipefail
build=$1 project=$2
skipped=77

if [ -z "${CI:-}" ]; then
  echo "skipped: a new Debian takes minutes, and a mirror; with CI=true this one runs"
  exit "$skipped"
fi
fail() { printf 'clean root: %s\n' "$*" >&2; exit 1; }
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || fail "where every test counts this one needs root, or sudo without a password"
  exec sudo -n CI="$CI" bash "$0" "$@"
fi
command -v mmdebstrap >/dev/null || fail "where every test counts this one needs mmdebstrap: apt-get install mmdebstrap"

# All that follows sees mounts of its own, which go with it however it ends. Where there is memory for it the new Debian
# lies there: files by the ten thousand are made and taken away in no time.
if [ -z "${own_mounts:-}" ]; then
  unshare --mount true 2>/dev/null || fail "where every test counts this one has to be allowed to mount: a container needs CAP_SYS_ADMIN"
  exec unshare --mount --propagation private env own_mounts=1 bash "$0" "$@"
fi
place=$(mktemp -d "${TMPDIR:-/tmp}/troupe-clean-root.XXXXXX")
begun=$SECONDS child='' in_memory=''
if [ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -ge 4096 ]; then
  mount -t tmpfs -o size=3g,mode=755 troupe-clean-root "$place" && in_memory=1
fi
clear_away() {
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  [ -z "$in_memory" ] || umount --lazy "$place"
  rm -rf --one-file-system "$place"
  printf '%4d s  all of it taken away\n' $((SECONDS - begun))
}
trap clear_away EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
root=$place/root

step() { # seconds at most, what it is, the command
  local most=$1 what=$2 status=0; shift 2
  timeout --kill-after=10 "$most" "$@" >"$place/said" 2>&1 </dev/null &
  child=$! # waited for like this, a signal is answered at once
  wait "$child" || status=$?
  child=''
  if [ "$status" -ne 0 ]; then
    tail -n 40 "$place/said" >&2
    if grep -qE 'Could not resolve|Unable to connect|Connection (failed|timed out|refused)|Failed to fetch|Temporary failure' "$place/said"; then
      fail "Debian's mirror could not be reached ($what); what apt says stands above"
    fi
    [ "$status" -ne 124 ] && [ "$status" -ne 137 ] || fail "$what took more than $most s; the last lines stand above"
    fail "$what failed ($status); the last lines stand above"
  fi
  printf '%4d s  %s\n' $((SECONDS - begun)) "$what"
}
inside() { # a line of shell, run in the new root
  # shellcheck disable=SC2016
  unshare --mount --propagation private sh -c '
    mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/dev/shm" &&
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$0" sh -euc "$1"' "$root" "$1"
}
export -f inside
export root
said() { grep -qF -- "$1" "$place/said" || { cat "$place/said" >&2; fail "it did not say \"$1\""; }; }

step 240 "packages made" cpack --config "$build/CPackConfig.cmake" -B "$place/packages"
step 400 "a minimal Debian 12" mmdebstrap --mode=root --variant=minbase --skip=cleanup/apt/lists --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$root"
mkdir "$root/packages" "$root/project"
cp "$place"/packages/*.deb "$root/packages/"
cp "$project"/* "$root/project/"

# The packages bring what they need; a user who builds brings CMake.
step 400 "the packages installed" bash -c 'inside "apt-get install -y --no-install-recommends /packages/*.deb cmake ninja-build pkg-config"'
step 60 "troupe run hello" bash -c 'inside "troupe run hello"'
said "hello: 2 tasks"
step 180 "the getting-started project with CMake" bash -c 'inside "cmake -S /project -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release; cmake --build /build; /build/scale; troupe run /build/libscale_program.so --param factor=2"'
said "the first element is 9"
said "the first element is 4"
step 120 "the getting-started project with pkg-config" bash -c 'inside "cd /project; g++ -O0 -o /scale main.cpp kernels.cpp \$(pkg-config --cflags --libs troupe); /scale"'
said "the first element is 9"
if compgen -G "$place/packages/python3-troupe_*" >/dev/null; then
  step 60 "import troupe" bash -c 'inside "python3 -c \"import troupe; print(sorted(troupe.__all__)[:1])\""'
  step 60 "what scripts of the other system import" bash -c 'inside "PYTHONPATH=/usr/share/troupe/compat python3 -c \"from simpler.worker import Worker; print(Worker.__name__)\""'
  said Worker
fi
step 60 "the packages removed" bash -c 'inside "dpkg --purge \$(dpkg-query -W -f \"\\\${Package} \" \"troupe*\" \"python3-troupe*\"); ! test -e /usr/bin/troupe"'
