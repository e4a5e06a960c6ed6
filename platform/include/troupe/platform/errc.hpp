#pragma once

// The error codes of this floor (2000 to 2999) under their C++ names; device_codes.h has them for C and says
// what each means. The numbers are stable. docs/contributing.md says what else a new code touches.

#include <cstdint>
#include <string_view>

#include "troupe/platform/device_codes.h"
#include "troupe/runtime/export.hpp"

namespace troupe::platform {

/// The errors of the platform border. The same numbers as the C codes that a device library answers
/// (`device_codes.h` says what each one means), so that a code crosses the border unchanged. A library may
/// also answer codes of the floors below it: those keep their own names.
enum class Errc : std::int32_t {
  // Wrong arguments or a wrong state: nothing has happened, and the same call will fail again.
  invalid_argument = TROUPE_DEVICE_INVALID_ARGUMENT,
  invalid_state = TROUPE_DEVICE_INVALID_STATE,
  bad_address = TROUPE_DEVICE_BAD_ADDRESS,
  out_of_range = TROUPE_DEVICE_OUT_OF_RANGE,
  double_free = TROUPE_DEVICE_DOUBLE_FREE,
  unknown_callable = TROUPE_DEVICE_UNKNOWN_CALLABLE,
  already_registered = TROUPE_DEVICE_ALREADY_REGISTERED,
  bad_callable = TROUPE_DEVICE_BAD_CALLABLE,
  bad_task_arguments = TROUPE_DEVICE_BAD_TASK_ARGUMENTS,
  no_such_device = TROUPE_DEVICE_NO_SUCH_DEVICE,
  unknown_window = TROUPE_DEVICE_UNKNOWN_WINDOW,
  bad_window = TROUPE_DEVICE_BAD_WINDOW,
  unknown_option = TROUPE_DEVICE_UNKNOWN_OPTION,
  reentrant_call = TROUPE_DEVICE_REENTRANT_CALL,
  // Limits of the device: the call may succeed later, or on another device.
  out_of_memory = TROUPE_DEVICE_OUT_OF_MEMORY,
  queue_full = TROUPE_DEVICE_QUEUE_FULL,
  capacity_exceeded = TROUPE_DEVICE_CAPACITY_EXCEEDED,
  unsupported = TROUPE_DEVICE_UNSUPPORTED,
  // How a run ended. Its outputs were not copied back; runs that depend on it end as `poisoned`.
  kernel_failed = TROUPE_DEVICE_KERNEL_FAILED,
  poisoned = TROUPE_DEVICE_POISONED,
  aborted = TROUPE_DEVICE_ABORTED,
  deadlock = TROUPE_DEVICE_DEADLOCK,
  lost = TROUPE_DEVICE_LOST,
  deadline_exceeded = TROUPE_DEVICE_DEADLINE_EXCEEDED,
  // The life of a context and of its library.
  busy = TROUPE_DEVICE_BUSY,
  finalized = TROUPE_DEVICE_FINALIZED,
  quarantined = TROUPE_DEVICE_QUARANTINED,
  // The library could not be used; no context was made.
  load_failed = TROUPE_DEVICE_LOAD_FAILED,
  missing_symbol = TROUPE_DEVICE_MISSING_SYMBOL,
  version_mismatch = TROUPE_DEVICE_VERSION_MISMATCH,
  // Defects of the platform, refusals of the operating system.
  internal = TROUPE_DEVICE_INTERNAL,
  system = TROUPE_DEVICE_SYSTEM,
};

/// The enumerator's name; "unknown_platform_code" for a number that is not one.
[[nodiscard]] TROUPE_API std::string_view error_name(Errc code) noexcept;

}  // namespace troupe::platform
