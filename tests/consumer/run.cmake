# Installs troupe into a fresh prefix and moves it, then configures, builds and runs the consumer project against it.
# Variables: BUILD_DIR (troupe's build), SOURCE_DIR (the consumer project), WORK_DIR (ours to empty), PROGRAM (what it
# builds; default: consumer).
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status)
    message(FATAL_ERROR "${ARGN} failed (${status}):\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")
# Nothing of it may know where it was put first, or mind a blank in its name.
run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${WORK_DIR}/first place")
file(RENAME "${WORK_DIR}/first place" "${WORK_DIR}/moved prefix")
run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${WORK_DIR}/build" -G Ninja -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_PREFIX_PATH=${WORK_DIR}/moved prefix")
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build")
if(NOT PROGRAM)
  set(PROGRAM consumer)
endif()
run("${WORK_DIR}/build/${PROGRAM}")
if(NOT PROGRAM STREQUAL "consumer")
  return()
endif()

# Its module on a device, where there is one and code for it was made.
execute_process(COMMAND "${WORK_DIR}/moved prefix/bin/troupe" devices opencl OUTPUT_VARIABLE devices ERROR_QUIET)
file(GLOB_RECURSE images "${WORK_DIR}/build/*.spir.bc")
if(devices MATCHES "\n    0: [^\n]+ unit" AND images)
  run("${WORK_DIR}/build/on_platform" opencl)
else()
  message(STATUS "skipped: the module on a device: no OpenCL device, or no compiler for it")
endif()

# Without compilers for devices: a note for each, and the module is built for chips.
execute_process(COMMAND "${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${WORK_DIR}/without" -G Ninja -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_PREFIX_PATH=${WORK_DIR}/moved prefix" -DTROUPE_CLANG=/bin/false -DTROUPE_NVCC=OFF
  RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
foreach(note "No code for opencl devices: no clang" "No code for cuda devices: no nvcc")
  if(status OR NOT said MATCHES "${note}")
    message(FATAL_ERROR "without a compiler it should say '${note}':\n${said}")
  endif()
endforeach()
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/without")
run("${WORK_DIR}/without/on_platform")
