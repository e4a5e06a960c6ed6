#pragma once

#include <cstdint>

#include "troupe/runtime/module_abi.h"

/// The macros that put a callable into the module of its binary:
///
///   TROUPE_KERNEL(add)(troupe::runtime::KernelArgs& k) { … }                  include
///   troupe/runtime/kernel.hpp TROUPE_HOST_FUNCTION(verify)(troupe::runtime::HostArgs& args) { … } include
///   troupe/runtime/kernel.hpp TROUPE_CHIP_PROGRAM(chain)(ChipOrchestrator& chip, ChipArgs args) { … }
///   include the platform's header TROUPE_PROGRAM(refine)      after the definition of `refine`, any
///   signature that CallableTraits accepts TROUPE_MODULE("my_kernels") once per binary
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

#define TROUPE_DETAIL_DESCRIBE(callable, kind_, member, function)                        \
  static const troupe_callable_v1 troupe_describe_##callable = {                         \
      sizeof(troupe_callable_v1),                                                        \
      static_cast<std::uint32_t>(kind_),                                                 \
      #callable,                                                                         \
      ::troupe::runtime::CallableTraits<kind_, &function>::signature,                    \
      {.member = &::troupe::runtime::CallableTraits<kind_, &function>::invoke}};         \
  TROUPE_DETAIL_SECTION static const troupe_callable_v1* const troupe_entry_##callable = \
      &troupe_describe_##callable

#define TROUPE_KERNEL(callable)                                                     \
  static void troupe_kernel_##callable(::troupe::runtime::KernelArgs&);             \
  TROUPE_DETAIL_DESCRIBE(callable, ::troupe::runtime::CallableKind::kernel, kernel, \
                         troupe_kernel_##callable);                                 \
  static void troupe_kernel_##callable

#define TROUPE_HOST_FUNCTION(callable)                                                            \
  static void troupe_host_##callable(::troupe::runtime::HostArgs&);                               \
  TROUPE_DETAIL_DESCRIBE(callable, ::troupe::runtime::CallableKind::host_function, host_function, \
                         troupe_host_##callable);                                                 \
  static void troupe_host_##callable

#define TROUPE_CHIP_PROGRAM(callable)                                                                      \
  static void troupe_chip_##callable(::troupe::platform::ChipOrchestrator&, ::troupe::platform::ChipArgs); \
  TROUPE_DETAIL_DESCRIBE(callable, ::troupe::runtime::CallableKind::chip_program, program,                 \
                         troupe_chip_##callable);                                                          \
  static void troupe_chip_##callable

#define TROUPE_PROGRAM(callable) \
  TROUPE_DETAIL_DESCRIBE(callable, ::troupe::runtime::CallableKind::program, program, callable)

#define TROUPE_MODULE(module_name)                                                                         \
  extern "C" {                                                                                             \
  extern const troupe_callable_v1* const __start_troupe_callables[] __attribute__((visibility("hidden"))); \
  extern const troupe_callable_v1* const __stop_troupe_callables[] __attribute__((visibility("hidden")));  \
  /* Makes the section exist in a module without callables. */                                             \
  TROUPE_DETAIL_SECTION static const troupe_callable_v1* const troupe_no_callable = nullptr;               \
  extern const troupe_module_v1 troupe_this_module __attribute__((visibility("hidden")));                  \
  const troupe_module_v1 troupe_this_module = {                                                            \
      TROUPE_MODULE_MAGIC, TROUPE_MODULE_VERSION,    sizeof(troupe_module_v1), sizeof(troupe_callable_v1), \
      module_name,         __start_troupe_callables, __stop_troupe_callables};                             \
  extern const troupe_module_v1* const troupe_module __attribute__((visibility("default")));               \
  const troupe_module_v1* const troupe_module = &troupe_this_module;                                       \
  }                                                                                                        \
  static_assert(true, "takes a semicolon")
