#pragma once

// The error codes of this floor (1 to 999) and their names. A comment says when each one comes. The numbers
// are stable: they cross C borders and appear in traces. docs/contributing.md says what else a new code
// touches.

#include <cstdint>
#include <string_view>

#include "troupe/runtime/error.hpp"

namespace troupe::runtime {

/// Every error of the runtime floor. The values are stable: they cross C borders and appear in traces.
/// 1–9 and 100 are the fatal codes of an on-chip graph (its run ends with the first one); from 101 on the
/// data model (101–139) and the task graph (140–199).
enum class Errc : std::int32_t {
  /// One scope holds so many tasks that the task window can never move on.
  scope_deadlock = 1,
  /// An arena can never satisfy an allocation: live intermediates fill it, and no task that runs will free
  /// any.
  heap_ring_deadlock = 2,
  /// The task window is full and nothing in it can complete.
  flow_control_deadlock = 3,
  /// More dependency edges than the configured pool holds.
  dep_pool_overflow = 4,
  /// A submit carried arguments that no task can have.
  invalid_args = 5,
  /// One task has more dependencies than the configured limit.
  dependency_overflow = 6,
  /// A `sync_start` task asks for more blocks than the chip can start at once.
  require_sync_start_invalid = 7,
  /// Reading or writing a tensor element waited for a producer that did not finish.
  tensor_wait_timeout = 8,
  /// The program on the chip called `report_fatal`.
  explicit_orch_fatal = 9,
  /// The scheduler saw no progress that can still come.
  scheduler_timeout = 100,

  /// A shape has no dimension, more than five, or an extent beyond 32 bits.
  invalid_shape = 101,
  /// Extents, strides or offsets multiply to more than 64 bits hold.
  size_overflow = 102,
  /// A dtype number or name that troupe does not have.
  unknown_dtype = 103,
  /// A typed access with another element type than the tensor's.
  dtype_mismatch = 104,
  /// An index, a slice or a view reaches outside what it refers to.
  out_of_range = 105,
  /// A tensor whose bytes do not lie as the operation needs them.
  not_contiguous = 106,
  /// An address or offset that is not a multiple of the element size.
  misaligned = 107,
  /// More tensors than the callable's ABI carries.
  too_many_tensors = 108,
  /// More scalars than the callable's ABI carries.
  too_many_scalars = 109,
  /// A dependency tag that troupe does not have.
  unknown_tag = 110,
  /// A call configuration with a value no chip accepts.
  invalid_call_config = 111,

  /// Encoded bytes end before what they announce.
  wire_truncated = 120,
  /// Encoded bytes that are not of this format or of a version this build cannot read.
  wire_version = 121,
  /// Encoded bytes that contradict themselves: counts, sizes, reserved fields.
  wire_malformed = 122,

  /// A file that cannot be opened or loaded as a module.
  module_unreadable = 130,
  /// A loaded file that exports no troupe module.
  module_symbol_missing = 131,
  /// A module built for another version of the module layout.
  module_version = 132,
  /// A module whose descriptors contradict themselves, or name one callable twice.
  module_malformed = 133,
  /// A module has no callable of that name.
  callable_not_found = 134,
  /// Code whose identity cannot be established (its object file cannot be found or read).
  digest_unavailable = 135,

  /// The task graph has no room now; let tasks end, then submit again.
  would_block = 140,
  /// A task was not run because a task whose result it needs failed; the cause chain tells which.
  poisoned = 141,
  /// A task or a whole graph was cancelled.
  cancelled = 142,
  /// Nothing runs and nothing can: a cycle of explicit edges, or an event that does not come.
  deadlock = 143,
};

[[nodiscard]] constexpr std::string_view error_name(Errc code) noexcept {
  switch (code) {
    case Errc::scope_deadlock:
      return "scope_deadlock";
    case Errc::heap_ring_deadlock:
      return "heap_ring_deadlock";
    case Errc::flow_control_deadlock:
      return "flow_control_deadlock";
    case Errc::dep_pool_overflow:
      return "dep_pool_overflow";
    case Errc::invalid_args:
      return "invalid_args";
    case Errc::dependency_overflow:
      return "dependency_overflow";
    case Errc::require_sync_start_invalid:
      return "require_sync_start_invalid";
    case Errc::tensor_wait_timeout:
      return "tensor_wait_timeout";
    case Errc::explicit_orch_fatal:
      return "explicit_orch_fatal";
    case Errc::scheduler_timeout:
      return "scheduler_timeout";
    case Errc::invalid_shape:
      return "invalid_shape";
    case Errc::size_overflow:
      return "size_overflow";
    case Errc::unknown_dtype:
      return "unknown_dtype";
    case Errc::dtype_mismatch:
      return "dtype_mismatch";
    case Errc::out_of_range:
      return "out_of_range";
    case Errc::not_contiguous:
      return "not_contiguous";
    case Errc::misaligned:
      return "misaligned";
    case Errc::too_many_tensors:
      return "too_many_tensors";
    case Errc::too_many_scalars:
      return "too_many_scalars";
    case Errc::unknown_tag:
      return "unknown_tag";
    case Errc::invalid_call_config:
      return "invalid_call_config";
    case Errc::wire_truncated:
      return "wire_truncated";
    case Errc::wire_version:
      return "wire_version";
    case Errc::wire_malformed:
      return "wire_malformed";
    case Errc::module_unreadable:
      return "module_unreadable";
    case Errc::module_symbol_missing:
      return "module_symbol_missing";
    case Errc::module_version:
      return "module_version";
    case Errc::module_malformed:
      return "module_malformed";
    case Errc::callable_not_found:
      return "callable_not_found";
    case Errc::digest_unavailable:
      return "digest_unavailable";
    case Errc::would_block:
      return "would_block";
    case Errc::poisoned:
      return "poisoned";
    case Errc::cancelled:
      return "cancelled";
    case Errc::deadlock:
      return "deadlock";
  }
  return "unknown";
}

}  // namespace troupe::runtime
