#pragma once

#include <string>
#include <vector>

#include "common.hpp"
#include "kernels/flag_waits.hpp"
#include "runs/runs.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::sim {

/// What an on-chip scheduler of the other system says of deferred completions that cannot be.
enum class DeferredDefect : std::int32_t {
  none = 0,
  invalid = 101,      ///< there is nothing to look at
  too_many = 102,     ///< in one call, or of tasks that wait for theirs
  unregistered = 103  ///< the kernel counted more than it has room for
};
/// An error of that kind: with its number where an orchestration of the other system runs, else with `usual`.
[[nodiscard]] Error deferred_error(const Run& run, std::int32_t number, Errc usual, const std::string& what,
                                   const std::string& hint = {});

/// What a foreign kernel started, as conditions on memory that this chip can look at. Text: why one is none
/// (then `conditions` are as before), and its number.
std::string take_deferred(const runtime::DeferredCompletions& started, std::vector<FlagCondition>& conditions,
                          std::int32_t& number);

}  // namespace troupe::platform::sim
