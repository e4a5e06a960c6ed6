# What tests that start Python need in their environment. An interpreter without the address sanitizer loads it before
# the binding that was built with it; it keeps what it likes, so leaks are looked for by tests that count.
set(troupe_python_environment "PYTHONDONTWRITEBYTECODE=1")
if(TROUPE_SANITIZE)
  foreach(library asan stdc++)
    execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=lib${library}.so OUTPUT_VARIABLE ${library} OUTPUT_STRIP_TRAILING_WHITESPACE)
  endforeach()
  list(APPEND troupe_python_environment "LD_PRELOAD=${asan} ${stdc++}" "ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1")
endif()
