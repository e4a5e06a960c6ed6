# Modules of kernels for chips and devices:
#
#   troupe_add_module(NAME kernels.cpp … [TARGETS sim opencl cuda] [LINKS troupe::actors …])
#     a module file. sim: the sources as they are. opencl, cuda: code for devices besides, of sources that include
#     troupe/runtime/device_kernel.hpp and nothing of the host.
#   troupe_device_images(TARGET kernels.cpp … TARGETS opencl cuda)
#     the same code for devices, in any binary with a TROUPE_MODULE line.
#
# A target whose compiler is not there is left out with a note. Compilers: clang 14 or newer for opencl (with
# llvm-spirv also SPIR-V, which most GPUs want), nvcc for cuda; TROUPE_CLANG, TROUPE_LLVM_SPIRV and TROUPE_NVCC say
# where they are, TROUPE_CUDA_ARCHITECTURES for which GPUs.
include_guard()

find_program(TROUPE_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
find_program(TROUPE_LLVM_SPIRV NAMES llvm-spirv llvm-spirv-19 llvm-spirv-18 llvm-spirv-17 llvm-spirv-16 llvm-spirv-15 llvm-spirv-14)
find_program(TROUPE_NVCC NAMES nvcc PATHS /usr/local/cuda/bin)
# The newest that this nvcc knows, of those that are tried.
set(troupe_cuda_architectures "80;90")
if(TROUPE_NVCC AND NOT DEFINED TROUPE_CUDA_ARCHITECTURES)
  execute_process(COMMAND "${TROUPE_NVCC}" --list-gpu-arch OUTPUT_VARIABLE known ERROR_QUIET)
  if(known MATCHES "compute_100(\n|$)")
    list(APPEND troupe_cuda_architectures 100)
  endif()
endif()
set(TROUPE_CUDA_ARCHITECTURES "${troupe_cuda_architectures}" CACHE STRING "GPUs that nvcc makes code for; newer ones translate the last")
mark_as_advanced(TROUPE_CLANG TROUPE_LLVM_SPIRV TROUPE_NVCC TROUPE_CUDA_ARCHITECTURES)

# Whether clang knows C++ for OpenCL.
if(TROUPE_CLANG AND NOT DEFINED TROUPE_CLANG_FOR_OPENCL)
  execute_process(COMMAND "${TROUPE_CLANG}" -x cl -cl-std=clc++2021 -target spir64 -fsyntax-only /dev/null
    RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
  if(refused EQUAL 0)
    set(TROUPE_CLANG_FOR_OPENCL ON CACHE INTERNAL "")
  else()
    set(TROUPE_CLANG_FOR_OPENCL OFF CACHE INTERNAL "")
  endif()
endif()

function(troupe_note_once target text)
  get_property(said GLOBAL PROPERTY troupe_said_no_${target})
  if(NOT said)
    message(STATUS "No code for ${target} devices: ${text}")
    set_property(GLOBAL PROPERTY troupe_said_no_${target} ON)
  endif()
endfunction()

# One image file becomes part of a binary: bytes, and a descriptor that TROUPE_MODULE finds.
function(troupe_embed_image binary image format source)
  get_filename_component(file "${image}" NAME)
  string(MAKE_C_IDENTIFIER "${binary}_${file}" id)
  set(code "${CMAKE_CURRENT_BINARY_DIR}/${id}.cpp")
  file(CONFIGURE OUTPUT "${code}" @ONLY CONTENT [[
// Made by troupe_device_images: the image of a source, and its troupe_device_image_v1.
asm(R"(
  .section .rodata
  .balign 64
troupe_bytes_@id@:
  .incbin "@image@"
troupe_bytes_end_@id@:
  .byte 0
troupe_source_@id@:
  .asciz "@source@"
  .section .data.rel.ro,"aw"
  .balign 8
troupe_image_@id@:
  .long 40, @format@
  .quad troupe_bytes_@id@
  .quad troupe_bytes_end_@id@ - troupe_bytes_@id@
  .quad troupe_source_@id@
  .section troupe_images,"awR"
  .balign 8
  .quad troupe_image_@id@
  .text
)");
]])
  set_source_files_properties("${code}" PROPERTIES OBJECT_DEPENDS "${image}" SKIP_UNITY_BUILD_INCLUSION ON
    SKIP_PRECOMPILE_HEADERS ON)
  target_sources(${binary} PRIVATE "${code}")
endfunction()

function(troupe_device_images binary)
  cmake_parse_arguments(arg "" "" "TARGETS" ${ARGN})
  set(includes "$<TARGET_PROPERTY:troupe::runtime,INTERFACE_INCLUDE_DIRECTORIES>")
  foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
    get_filename_component(name "${source}" NAME_WE)
    get_filename_component(path "${source}" ABSOLUTE)
    set(base "${CMAKE_CURRENT_BINARY_DIR}/${binary}_${name}")
    foreach(target IN LISTS arg_TARGETS)
      if(target STREQUAL "opencl" AND NOT TROUPE_CLANG_FOR_OPENCL)
        troupe_note_once(opencl "no clang that knows C++ for OpenCL (on Debian: apt-get install clang)")
      elseif(target STREQUAL "opencl")
        add_custom_command(OUTPUT "${base}.spir.bc"
          COMMAND "${TROUPE_CLANG}" -x cl -cl-std=clc++2021 -target spir64 -O2 -Wall -Wno-sometimes-uninitialized
                  "-I$<JOIN:${includes},;-I>" -MMD -MF "${base}.spir.bc.d" -MT "${base}.spir.bc"
                  -emit-llvm -c "${path}" -o "${base}.spir.bc"
          DEPENDS "${path}" DEPFILE "${base}.spir.bc.d" COMMAND_EXPAND_LISTS VERBATIM
          COMMENT "Compiling ${name} for OpenCL devices")
        troupe_embed_image(${binary} "${base}.spir.bc" 1 "${source}")
        if(TROUPE_LLVM_SPIRV)
          add_custom_command(OUTPUT "${base}.spv"
            COMMAND "${TROUPE_LLVM_SPIRV}" "${base}.spir.bc" -o "${base}.spv" DEPENDS "${base}.spir.bc" VERBATIM
            COMMENT "Translating ${name} to SPIR-V")
          troupe_embed_image(${binary} "${base}.spv" 2 "${source}")
        endif()
      elseif(target STREQUAL "cuda" AND NOT TROUPE_NVCC)
        troupe_note_once(cuda "no nvcc")
      elseif(target STREQUAL "cuda")
        set(codes "")
        foreach(arch IN LISTS TROUPE_CUDA_ARCHITECTURES)
          list(APPEND codes "-gencode=arch=compute_${arch},code=sm_${arch}")
        endforeach()
        list(GET TROUPE_CUDA_ARCHITECTURES -1 newest)
        list(APPEND codes "-gencode=arch=compute_${newest},code=compute_${newest}")
        add_custom_command(OUTPUT "${base}.fatbin"
          COMMAND "${TROUPE_NVCC}" -x cu -std=c++17 -O2 "-I$<JOIN:${includes},;-I>" ${codes}
                  -MMD -MF "${base}.fatbin.d" -MT "${base}.fatbin" -fatbin "${path}" -o "${base}.fatbin"
          DEPENDS "${path}" DEPFILE "${base}.fatbin.d" COMMAND_EXPAND_LISTS VERBATIM
          COMMENT "Compiling ${name} for CUDA devices")
        troupe_embed_image(${binary} "${base}.fatbin" 4 "${source}")
      else()
        message(FATAL_ERROR "troupe_device_images: no target '${target}'; there are opencl and cuda")
      endif()
    endforeach()
  endforeach()
endfunction()

function(troupe_add_module name)
  cmake_parse_arguments(arg "" "" "TARGETS;LINKS" ${ARGN})
  if(NOT arg_LINKS)
    set(arg_LINKS troupe::runtime)
  endif()
  add_library(${name} MODULE ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_LINKS})
  list(REMOVE_ITEM arg_TARGETS sim)
  if(arg_TARGETS)
    troupe_device_images(${name} ${arg_UNPARSED_ARGUMENTS} TARGETS ${arg_TARGETS})
  endif()
endfunction()
