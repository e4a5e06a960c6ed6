# Installs everything that is needed, and runs a script of the other system with the one line that it needs.
file(REMOVE_RECURSE "${WORK_DIR}")
foreach(part runtime comm platform actors apps/python apps/compat)
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DCMAKE_INSTALL_PREFIX=${WORK_DIR}" -P "${BUILD_DIR}/${part}/cmake_install.cmake"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endforeach()
set(ENV{PYTHONPATH} "${WORK_DIR}/share/troupe/compat")
execute_process(COMMAND "${PYTHON}" "${SCRIPT}" -p a2a3sim -d 0-1 "${OBJECTS}" COMMAND_ERROR_IS_FATAL ANY)
