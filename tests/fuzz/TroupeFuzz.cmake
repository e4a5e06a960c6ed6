# Fuzz targets: files with LLVMFuzzerTestOneInput, for everything that decodes bytes from outside.
#
#   troupe_fuzz(wire_args SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_wire_args.cpp LINKS troupe::runtime)
#
# makes fuzz_wire_args and feeds it tests/fuzz/corpus/wire_args. Usually built with a small main that runs the
# corpus and a bounded number of mutations of it from a printed seed (one ctest entry); with TROUPE_FUZZ=ON
# (clang) as a libFuzzer program instead.
include_guard()
option(TROUPE_FUZZ "Build the fuzz targets with libFuzzer (needs clang)" OFF)
add_custom_target(troupe_fuzzers)

function(troupe_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  set(target fuzz_${name})
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE ${arg_LINKS} troupe_warnings)
  add_dependencies(troupe_fuzzers ${target})
  if(TROUPE_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_main.cpp")
    add_test(NAME "fuzz: ${name}" COMMAND ${target} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
    set_tests_properties("fuzz: ${name}" PROPERTIES TIMEOUT 300 LABELS fuzz
      ENVIRONMENT "${TROUPE_TEST_ENVIRONMENT}")
  endif()
endfunction()
