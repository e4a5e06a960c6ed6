// What shells run on Tab. Each asks `troupe --complete WORDS…`, which answers a candidate and its meaning per
// line; ":files" and ":folders" stand for names of those.
#include "command_line/help.hpp"

namespace troupe::apps {
namespace {

constexpr std::string_view bash = R"sh(# Completion of troupe's command lines in bash.
_troupe() {
  local line candidate written kept= words
  # The shell cuts words at = and :, the command does not.
  read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
  [[ ${COMP_LINE:0:COMP_POINT} == *[[:blank:]] ]] && words+=("")
  written=${words[-1]}
  [[ $written == *[=:]* ]] && kept=${written%"${written##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) compopt -o filenames 2>/dev/null
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "${written#"$kept"}") ;;
      :folders) compopt -o filenames 2>/dev/null
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -d -- "${written#"$kept"}") ;;
      *) candidate=${line%%$'\t'*}
        [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null
        COMPREPLY+=("${candidate#"$kept"}") ;;
    esac
  done < <("${words[0]}" --complete "${words[@]:1}" 2>/dev/null)
}
complete -F _troupe troupe
)sh";

constexpr std::string_view zsh = R"sh(#compdef troupe
# Completion of troupe's command lines in zsh.
_troupe() {
  local line candidate meaning
  local -a described open
  for line in "${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      :files) [[ $PREFIX == --*=* ]] && compset -P '*='; _files ;;
      :folders) [[ $PREFIX == --*=* ]] && compset -P '*='; _files -/ ;;
      '') ;;
      *) candidate=${line%%$'\t'*} meaning=${line#*$'\t'}
        if [[ $candidate == *= ]]; then open+=("${candidate//:/\\:}:$meaning")
        else described+=("${candidate//:/\\:}:$meaning"); fi ;;
    esac
  done
  (( $#described )) && _describe troupe described
  (( $#open )) && _describe parameter open -S ''
  return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _troupe "$@"; else compdef _troupe troupe; fi
)sh";

constexpr std::string_view fish = R"sh(# Completion of troupe's command lines in fish.
function __troupe_complete
  set -l words (commandline -opc)
  set -l written (commandline -ct)
  for line in ($words[1] --complete $words[2..-1] "$written" 2>/dev/null)
    switch $line
      case ':files'
        __fish_complete_path "$written"
      case ':folders'
        __fish_complete_directories "$written" ''
      case '*'
        echo $line
    end
  end
end
complete -c troupe -f -a '(__troupe_complete)'
)sh";

}  // namespace

std::string_view completion_script(std::string_view shell) {
  return shell == "bash" ? bash : shell == "zsh" ? zsh : fish;
}

}  // namespace troupe::apps
