#pragma once

#include <string>
#include <vector>

#include "kernels/flag_waits.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::sim {

/// What a foreign kernel started, as conditions on memory that this chip can look at. Text: why one is none
/// (then `conditions` are as before).
std::string take_deferred(const runtime::DeferredCompletions& started,
                          std::vector<FlagCondition>& conditions);

}  // namespace troupe::platform::sim
