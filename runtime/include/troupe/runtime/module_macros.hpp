#pragma once

// The macros that put a callable into the module of its binary. They define constant data and nothing else:
// no code runs when a binary is loaded, and no thread is involved. A mistake is a compile or link error: a
// macro inside a function, a second TROUPE_MODULE, or none in a binary that asks for this_module().

#include <cstdint>

#include "troupe/runtime/module_abi.h"

// clang-format off
/// The macros that put a callable into the module of its binary:
///
///   TROUPE_KERNEL(add)(KernelArgs& k) { … }                          troupe/runtime/kernel.hpp
///   TROUPE_HOST_FUNCTION(verify)(HostArgs& args) { … }               troupe/runtime/kernel.hpp
///   TROUPE_CHIP_PROGRAM(chain)(ChipOrchestrator& chip, ChipArgs a)   the platform floor's header
///   TROUPE_CHIP_PROGRAM_WITH(chain, runtime)(… the same …)           builds its graph in this way
///   TROUPE_PROGRAM(refine);            after the function's definition; any signature CallableTraits knows
///   TROUPE_MODULE("my_kernels");       once per binary
// clang-format on
///
/// They emit constant data into the ELF section `troupe_callables`; nothing runs at load time, and nothing is
/// lost with -fvisibility=hidden, -O2 or --gc-sections. Use them at namespace scope; the functions are local
/// to their file.
namespace troupe::runtime {

enum class CallableKind : std::uint32_t {
  kernel = TROUPE_CALLABLE_KERNEL,
  chip_program = TROUPE_CALLABLE_CHIP_PROGRAM,
  program = TROUPE_CALLABLE_PROGRAM,
  host_function = TROUPE_CALLABLE_HOST_FUNCTION,
};

/// How a function becomes a descriptor. Each floor specialises it for the kinds it runs: kernels and host
/// functions here, chip programs in the platform floor, programs in the actors floor. A specialisation has
///   static constexpr const char* signature;
///   static std::int32_t invoke(const troupe_…_call_v1*) noexcept;
template <CallableKind Kind, auto Function>
struct CallableTraits;

}  // namespace troupe::runtime

namespace troupe::platform {
class ChipOrchestrator;
class ChipArgs;
}  // namespace troupe::platform

#define TROUPE_DETAIL_SECTION __attribute__((used, retain, section("troupe_callables")))
/// Leaves a byte in the module for a place where a kernel may wait, wherever it is inlined to. No code.
#define TROUPE_DETAIL_MARK_WAIT() \
  asm volatile(".pushsection troupe_waits,\"aR\",%progbits\n\t.byte 1\n\t.popsection")

#define TROUPE_DETAIL_DESCRIBE(callable, kind_, variant_, member, function)                                 \
  static const troupe_callable_v1 troupe_describe_##function = {                                            \
      sizeof(troupe_callable_v1),                                                                           \
      static_cast<std::uint32_t>(::troupe::runtime::CallableKind::kind_),                                   \
      static_cast<std::uint32_t>(variant_),                                                                 \
      0,                                                                                                    \
      #callable,                                                                                            \
      ::troupe::runtime::CallableTraits<::troupe::runtime::CallableKind::kind_, &function>::signature,      \
      {.member =                                                                                            \
           &::troupe::runtime::CallableTraits<::troupe::runtime::CallableKind::kind_, &function>::invoke}}; \
  TROUPE_DETAIL_SECTION static const troupe_callable_v1* const troupe_entry_##function =                    \
      &troupe_describe_##function

#define TROUPE_KERNEL(callable)                                                  \
  static void troupe_kernel_##callable(::troupe::runtime::KernelArgs&);          \
  TROUPE_DETAIL_DESCRIBE(callable, kernel, 0, kernel, troupe_kernel_##callable); \
  static void troupe_kernel_##callable

#define TROUPE_HOST_FUNCTION(callable)                                                       \
  static void troupe_host_##callable(::troupe::runtime::HostArgs&);                          \
  TROUPE_DETAIL_DESCRIBE(callable, host_function, 0, host_function, troupe_host_##callable); \
  static void troupe_host_##callable

#define TROUPE_CHIP_PROGRAM(callable) TROUPE_CHIP_PROGRAM_WITH(callable, 0)
#define TROUPE_CHIP_PROGRAM_WITH(callable, chip_runtime)                                                   \
  static void troupe_chip_##callable(::troupe::platform::ChipOrchestrator&, ::troupe::platform::ChipArgs); \
  TROUPE_DETAIL_DESCRIBE(callable, chip_program, chip_runtime, program, troupe_chip_##callable);           \
  static void troupe_chip_##callable

#define TROUPE_PROGRAM(callable) TROUPE_DETAIL_DESCRIBE(callable, program, 0, program, callable)

#define TROUPE_MODULE(module_name)                                                                          \
  extern "C" {                                                                                              \
  extern const troupe_callable_v1* const __start_troupe_callables[] __attribute__((visibility("hidden")));  \
  extern const troupe_callable_v1* const __stop_troupe_callables[] __attribute__((visibility("hidden")));   \
  /* Makes the section exist in a module without callables. */                                              \
  TROUPE_DETAIL_SECTION static const troupe_callable_v1* const troupe_no_callable = nullptr;                \
  extern const std::uint8_t __start_troupe_waits[] __attribute__((visibility("hidden")));                   \
  extern const std::uint8_t __stop_troupe_waits[] __attribute__((visibility("hidden")));                    \
  __attribute__((used, retain, section("troupe_waits"))) static const std::uint8_t troupe_no_wait = 0;      \
  extern const troupe_device_image_v1* const __start_troupe_images[] __attribute__((visibility("hidden"))); \
  extern const troupe_device_image_v1* const __stop_troupe_images[] __attribute__((visibility("hidden")));  \
  __attribute__((used, retain,                                                                              \
                 section("troupe_images"))) static const troupe_device_image_v1* const troupe_no_image =    \
      nullptr;                                                                                              \
  extern const troupe_module_v1 troupe_this_module __attribute__((visibility("hidden")));                   \
  const troupe_module_v1 troupe_this_module = {                                                             \
      TROUPE_MODULE_MAGIC, TROUPE_MODULE_VERSION,    sizeof(troupe_module_v1), sizeof(troupe_callable_v1),  \
      module_name,         __start_troupe_callables, __stop_troupe_callables,  __start_troupe_waits,        \
      __stop_troupe_waits, __start_troupe_images,    __stop_troupe_images};                                 \
  extern const troupe_module_v1* const troupe_module __attribute__((visibility("default")));                \
  const troupe_module_v1* const troupe_module = &troupe_this_module;                                        \
  }                                                                                                         \
  static_assert(true, "takes a semicolon")
