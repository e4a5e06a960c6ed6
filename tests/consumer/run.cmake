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
