# Debian packages of what `cmake --install` installs: cpack, or ./dev package.
#
# A package is a component: `runtime` is what no install rule says otherwise about, `dev` what building against troupe
# needs. A further one is a line in the list, its rules' COMPONENT, and its name and dependencies below.
set(CPACK_COMPONENTS_ALL runtime dev)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the authors of troupe <troupe@localhost>")
set(CPACK_PACKAGE_VENDOR troupe)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip) # a second instead of ten
# Dependencies are read from the libraries themselves; those of troupe lie in the build folder.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}")

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME troupe)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "${PROJECT_DESCRIPTION}: the command, the libraries, simulated chips")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS openssl) # the program, for: troupe certs, troupe pod

set(CPACK_DEBIAN_DEV_PACKAGE_NAME troupe-dev)
set(CPACK_COMPONENT_DEV_DESCRIPTION "${PROJECT_DESCRIPTION}: headers, CMake package, pkg-config files")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "troupe (= ${PROJECT_VERSION}), libcaf-dev, g++")
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS "cmake, ninja-build, clang")

if(TARGET troupe_python)
  list(APPEND CPACK_COMPONENTS_ALL python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-troupe)
  set(CPACK_COMPONENT_PYTHON_DESCRIPTION "${PROJECT_DESCRIPTION}: the Python package")
  # What is compiled is for one version of Python, 3.11 and no later one.
  string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" this_python "${TROUPE_PYTHON_VERSION}")
  math(EXPR next_python "${CMAKE_MATCH_2} + 1")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS
    "troupe (= ${PROJECT_VERSION}), python3 (>= ${this_python}), python3 (<< ${CMAKE_MATCH_1}.${next_python})")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS "python3-numpy, g++, troupe-dev, clang")
endif()

include(CPack)
