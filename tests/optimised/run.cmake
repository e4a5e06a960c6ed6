# Configures ROOT in WORK_DIR as somebody would who builds troupe, and compiles some of it with warnings as errors.
function(succeeds what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what}:\n${said}")
  endif()
endfunction()

succeeds("configuring" "${CMAKE_COMMAND}" -S "${ROOT}" -B "${WORK_DIR}" -G Ninja "-DCMAKE_CXX_COMPILER=${COMPILER}"
  -DCMAKE_BUILD_TYPE=Release -DTROUPE_WERROR=ON -DTROUPE_TESTS=OFF -DTROUPE_APPS=OFF)
file(STRINGS "${WORK_DIR}/CMakeCache.txt" flags REGEX "^CMAKE_CXX_FLAGS_RELEASE:.*-O3")
if(NOT flags)
  message(FATAL_ERROR "CMake's own Release is not -O3 any more: say so here")
endif()
foreach(source
    runtime/src/graph/intermediates.cpp # what g++ 12 stumbled over
    runtime/src/module.cpp
    comm/src/bootstrap/bootstrap.cpp
    platform/src/device_library.cpp)
  string(REGEX MATCH "^([a-z]+)/(.*)$" whole "${source}")
  set(object "${CMAKE_MATCH_1}/CMakeFiles/troupe_${CMAKE_MATCH_1}.dir/${CMAKE_MATCH_2}.o")
  succeeds("${source}" "${CMAKE_COMMAND}" --build "${WORK_DIR}" --target "${object}")
endforeach()

# Whoever uses it has warnings, and a way to include it, of his own.
set(folders "")
foreach(floor runtime comm platform actors)
  list(APPEND folders "-I${ROOT}/${floor}/include")
endforeach()
foreach(source
    apps/examples/failure_and_retry.cpp
    apps/examples/heat.cpp
    tests/samples/testing_sample.cpp
    tests/samples/tutorials/training.cpp)
  succeeds("${source}" "${COMPILER}" -std=c++20 -O3 -DNDEBUG -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
    ${folders} "-I${ROOT}/apps" "-I${ROOT}/tests" -c "${ROOT}/${source}" -o "${WORK_DIR}/user.o")
endforeach()
