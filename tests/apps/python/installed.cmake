# Installs the package and the libraries under it, and uses it from there.
file(REMOVE_RECURSE "${WORK_DIR}")
foreach(part runtime comm platform actors apps/python)
  execute_process(COMMAND "${CMAKE_COMMAND}" "-DCMAKE_INSTALL_PREFIX=${WORK_DIR}" -P "${BUILD_DIR}/${part}/cmake_install.cmake"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endforeach()
set(ENV{PYTHONPATH} "${WORK_DIR}/lib/python3/dist-packages")
set(ENV{TROUPE_CACHE} "${WORK_DIR}/cache")
execute_process(COMMAND "${PYTHON}" -c "
import numpy, troupe
assert troupe.__file__.startswith('${WORK_DIR}'), troupe.__file__
with troupe.System(chips=1) as system:
    node = system.node()
    node.load(troupe.kernel('TROUPE_KERNEL(two)(KernelArgs& k) { k.tensor<float>(0)[0] = 2; }'))
    x = numpy.zeros(1, 'f4')
    node.run(lambda node: node.submit('two', troupe.out(x)))
    print('installed', x[0])
" COMMAND_ERROR_IS_FATAL ANY)
