# The build's whole vocabulary:
#
#   troupe_floor(NAME …)     one SHARED library per floor, installed and exported as troupe::NAME
#   troupe_tests(NAME …)     one doctest program, one ctest entry per test case
#   troupe_bench(NAME …)     one benchmark program (built, never run as a test)
#   troupe_install_package() what find_package(troupe) needs
#
# With HIDDEN_TWIN, troupe_floor also makes troupe_NAME_hidden: the same objects as a static library. Platform
# plugins link that twin and keep its symbols to themselves, so that two of them in one process share nothing.
include_guard()
include(TroupeModules)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(CheckLinkerFlag)

# What an install rule does not say belongs to the package that runs programs; see TroupePackages.cmake.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME runtime)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need the sloppiness; the base folder lets two checkouts share what they have in common.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
      "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${TROUPE_CCACHE}")
endif()

if(TROUPE_SANITIZE)
  add_compile_options(-fsanitize=${TROUPE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TROUPE_SANITIZE})
endif()

if(TROUPE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

# Callables of the running program are identified by its build-id.
add_link_options(-Wl,--build-id=sha1)

# Debian's lld links in a third of the time; without it the compiler's own linker does. Modules are laid out the way
# their users' are: by that linker always.
check_linker_flag(CXX -fuse-ld=lld TROUPE_LLD_WORKS)
if(TROUPE_LLD_WORKS)
  add_link_options("$<$<IN_LIST:$<TARGET_PROPERTY:TYPE>,EXECUTABLE;SHARED_LIBRARY>:-fuse-ld=lld>")
endif()

# Errors for who works on troupe (the presets and CI say so), never for who builds it with a compiler of another day.
option(TROUPE_WERROR "Warnings are errors" OFF)
add_library(troupe_warnings INTERFACE)
target_compile_options(troupe_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${TROUPE_WERROR}>:-Werror>)
if("${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELEASE}" MATCHES "-O3" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # With that much inlined, g++ 12 sees copies that overlap in every sum of strings.
  target_compile_options(troupe_warnings INTERFACE -Wno-restrict)
endif()
if(CMAKE_UNITY_BUILD)
  # Several sources are one there: what one keeps to itself is seen by the next, and all of it seems to be in a header.
  target_compile_options(troupe_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
else()
  target_compile_options(troupe_warnings INTERFACE -Wshadow)
endif()

find_package(Threads REQUIRED)

# With CMAKE_UNITY_BUILD, the sources of a folder are one: they know each other, and a new one elsewhere moves none
# of them to another batch.
function(troupe_compile_by_folder target)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_filename_component(folder "${source}" DIRECTORY)
    string(MAKE_C_IDENTIFIER "${folder}" folder)
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${folder}")
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
endfunction()

function(troupe_floor name)
  cmake_parse_arguments(arg "HIDDEN_TWIN" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  set(target troupe_${name})
  add_library(${target} SHARED ${arg_SOURCES})
  troupe_compile_by_folder(${target})
  add_library(troupe::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    INSTALL_RPATH "$ORIGIN")
  # Nobody replaces a function of a floor from outside, so calls inside one may be inlined.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE "$<BUILD_INTERFACE:troupe_warnings>")
  set(twins "")
  if(arg_HIDDEN_TWIN)
    # Compiled once for both: what sees the twin declares its symbols hidden, and the plugins' version script
    # makes the rest local. Unique symbols would be shared all the same; a normal link of the floors needs none.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    add_library(${target}_hidden STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${target}>)
    set_target_properties(${target}_hidden PROPERTIES LINKER_LANGUAGE CXX)
    target_compile_definitions(${target}_hidden INTERFACE TROUPE_HIDDEN)
    set(twins "_hidden")
  endif()
  foreach(twin "" ${twins})
    set(target troupe_${name}${twin})
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>")
    foreach(link IN LISTS arg_LINKS)
      # A floor below, by its bare name, or any other target as it is.
      if(TARGET troupe_${link})
        target_link_libraries(${target} PUBLIC troupe_${link}${twin})
      else()
        target_link_libraries(${target} PUBLIC ${link})
      endif()
    endforeach()
    target_link_libraries(${target} PRIVATE ${arg_PRIVATE_LINKS})
  endforeach()
  # Public headers are a file set: installed with the library, and each one compiled alone by ./dev check.
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/include/*.h*")
  target_sources(troupe_${name} PUBLIC FILE_SET HEADERS
    BASE_DIRS "${CMAKE_CURRENT_SOURCE_DIR}/include" FILES ${headers})
  set_target_properties(troupe_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  install(TARGETS troupe_${name} EXPORT troupeTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT dev
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# Never with a path of this checkout as a definition of the whole program: no object of it would be found in a
# compiler cache that another checkout filled. tests/support/built.hpp tells a test where things are.
# TIMEOUT is per test case, in seconds, and generous: it ends a hang, it does not measure.
function(troupe_tests name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS ${name})
  endif()
  include("${doctest_DIR}/doctest.cmake")
  set(target troupe_${name}_tests)
  add_executable(${target} ${arg_SOURCES})
  # What they test is optimised, not they.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_link_libraries(${target} PRIVATE ${arg_LINKS} troupe_test_support troupe_warnings Threads::Threads)
  doctest_discover_tests(${target} TEST_PREFIX "${name}: "
    PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" ENVIRONMENT "${TROUPE_TEST_ENVIRONMENT}")
endfunction()

# For what includes CAF's headers: links CAF, and leaves out the checks of the undefined-behaviour sanitizer that
# make its templates compile for twice as long (docs/decisions/0003-what-a-cold-build-costs.md).
function(troupe_uses_caf target)
  find_package(CAF 0.17.6 REQUIRED)
  target_link_libraries(${target} PRIVATE CAF::core)
  if(TROUPE_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment,vptr,pointer-overflow)
  endif()
endfunction()

# Under the thread sanitizer, tells it about the synchronisation inside Debian's uninstrumented CAF: for every
# program that runs actors.
function(troupe_caf_for_sanitizer target)
  if(TROUPE_SANITIZE MATCHES "thread")
    find_package(CAF REQUIRED)
    set(edges "${PROJECT_SOURCE_DIR}/tests/support/caf_tsan.cpp")
    # Its definitions stand in for the library's only when the program exports them.
    set_source_files_properties("${edges}" PROPERTIES COMPILE_OPTIONS -fvisibility=default)
    target_sources(${target} PRIVATE "${edges}")
    target_link_libraries(${target} PRIVATE CAF::core ${CMAKE_DL_LIBS})
    target_link_options(${target} PRIVATE -Wl,--export-dynamic)
  endif()
endfunction()

function(troupe_bench name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(bench_${name} ${arg_SOURCES})
  target_include_directories(bench_${name} PRIVATE "${PROJECT_SOURCE_DIR}/apps/bench")
  target_link_libraries(bench_${name} PRIVATE ${arg_LINKS} troupe_warnings Threads::Threads)
endfunction()

function(troupe_install_package)
  set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/troupe")
  configure_package_config_file("${PROJECT_SOURCE_DIR}/.cmake/troupeConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/troupeConfig.cmake" INSTALL_DESTINATION "${config_dir}")
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/troupeConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
  install(EXPORT troupeTargets NAMESPACE troupe:: DESTINATION "${config_dir}" COMPONENT dev)
  install(FILES "${PROJECT_BINARY_DIR}/troupeConfig.cmake" "${PROJECT_BINARY_DIR}/troupeConfigVersion.cmake"
                "${PROJECT_SOURCE_DIR}/.cmake/FindCAF.cmake"
                "${PROJECT_SOURCE_DIR}/.cmake/TroupeModules.cmake" DESTINATION "${config_dir}" COMPONENT dev)
  # For who builds without CMake: all of troupe, and what a module of kernels needs.
  troupe_pkg_config(troupe "${PROJECT_DESCRIPTION}" "-ltroupe_actors -ltroupe_platform -ltroupe_comm -ltroupe_runtime -lcaf_core")
  troupe_pkg_config(troupe-runtime "Kernels and modules for troupe" "-ltroupe_runtime")
endfunction()

# Finds itself, so that an installation can be moved.
function(troupe_pkg_config name description libraries)
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY CONTENT [[
libdir=${pcfiledir}/..
includedir=${pcfiledir}/../../@CMAKE_INSTALL_INCLUDEDIR@

Name: @name@
Description: @description@
Version: @PROJECT_VERSION@
Cflags: -std=c++20 -I${includedir}
Libs: -L${libdir} @libraries@
]])
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)
endfunction()
