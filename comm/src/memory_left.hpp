#pragma once

#include <cstdint>
#include <string>

namespace troupe::comm {

/// Bytes this process could still take before somebody is killed for it: what the machine has available, and
/// what its control group allows. Without it a reservation that is too large would not fail, it would call
/// the kernel's out-of-memory killer. An estimate: unreadable sources count as unlimited.
///
/// `proc` and `cgroup` are the roots of the two file systems (tests pass their own).
std::uint64_t memory_left(const std::string& proc = "/proc", const std::string& cgroup = "/sys/fs/cgroup");

}  // namespace troupe::comm
