#!/usr/bin/env bash
# Does what a page says, as somebody would who has nothing but the page: writes the files that it shows, runs its
# commands in that folder, and compares what they print with what the page shows behind them.
#
#   follow.sh PAGE FOLDER [HEADING]      FOLDER is ours to empty; HOME is where the page's ~ is; from that heading on
#
# A block ```cpp file=DIRECTORY/NAME is the next part of NAME, ```cmake of CMakeLists.txt. In a ```console block a line
# that begins with "$ " is a command; below it stands what it prints, or nothing where that is not shown. … stands for
# anything.
set -euo pipefail
page=$1 folder=$2 begin=${3:-}
rm -rf "$folder"
mkdir -p "$folder"

fail() { printf '%s: %s\n' "$page" "$*" >&2; exit 1; }

ran=0 command='' expected=''
finish() { # the command whose output has been read by now
  [ -n "$command" ] || return 0
  if [[ $command == 'export '* ]]; then eval "$command"; fi # for those that come
  local output status=0 pattern
  output=$(cd "$folder" && bash -c "$command" 2>&1 </dev/null) || status=$?
  [ "$status" -eq 0 ] || fail "$command answers $status:"$'\n'"$output"
  pattern=$(sed -e 's/[][\\*?+@!()|]/\\&/g' -e 's/…/*/g' <<<"${expected%$'\n'}")
  # shellcheck disable=SC2053 # a pattern
  if [ -n "$expected" ] && [[ $output != $pattern ]]; then
    fail "$command prints"$'\n'"$output"$'\n'"where the page shows"$'\n'"$expected"
  fi
  printf '$ %s\n%s\n' "$command" "$output"
  ran=$((ran + 1)) command='' expected=''
}

into='' # the file that the block at hand belongs to, or "console"
while IFS= read -r line; do
  if [ -n "$begin" ]; then
    [ "$line" != "$begin" ] || begin=''
    continue
  fi
  case $line in
    '```') finish; into='' ;;
    '```cpp file='*) into=$folder/${line##*/} ;;
    '```cmake') into=$folder/CMakeLists.txt ;;
    '```console') into=console ;;
    '```'*) into=/dev/null ;;
    *)
      if [ "$into" != console ]; then
        [ -z "$into" ] || printf '%s\n' "$line" >>"$into"
      elif [[ $line == '$ '* ]]; then
        finish
        command=${line#'$ '}
      else
        expected+=$line$'\n'
      fi
      ;;
  esac
done <"$page"
[ "$ran" -gt 0 ] || fail "it shows no command${begin:+ behind $begin}"
