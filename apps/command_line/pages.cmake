# Writes what the command says of itself into files: manual pages, and completions of shells.
# Variables: TROUPE (the command), FOLDER (where to), MANUAL (the pages: troupe;troupe-run;…).
function(write file)
  execute_process(COMMAND "${TROUPE}" ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status ERROR_VARIABLE problem)
  if(status)
    message(FATAL_ERROR "troupe ${ARGN} failed (${status}):\n${problem}")
  endif()
  file(WRITE "${FOLDER}/${file}" "${text}")
endfunction()

foreach(page IN LISTS MANUAL)
  string(REPLACE "-" ";" words "${page}")
  list(POP_FRONT words)
  write("man/man1/${page}.1" help --man ${words})
endforeach()
write(bash-completion/completions/troupe completion bash)
write(zsh/site-functions/_troupe completion zsh)
write(fish/vendor_completions.d/troupe.fish completion fish)
