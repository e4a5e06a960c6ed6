#pragma once

// How much memory may still be reserved. Reads files of the system during the call and keeps nothing; safe on
// any thread.
// Errors: check_room() returns no_memory; memory_left() takes what it cannot read as unlimited.

#include <cstdint>
#include <string>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// Bytes this process could still take before the kernel kills some process for lack of memory: the smaller
/// of the machine's available memory and the control group's limit. Without it a reservation that is too
/// large would not fail, it would call the kernel's out-of-memory killer. An estimate: unreadable sources
/// count as unlimited.
///
/// `proc` and `cgroup` are the roots of the two file systems (tests pass their own).
[[nodiscard]] TROUPE_API std::uint64_t memory_left(const std::string& proc = "/proc",
                                                   const std::string& cgroup = "/sys/fs/cgroup");

/// Amounts up to this are not worth the check, which reads files: the check takes half a millisecond,
/// touching this much fresh memory about twenty.
inline constexpr std::uint64_t worth_asking = std::uint64_t{64} << 20;

inline constexpr const char* room_hint =
    "ask for less: it is more than the machine, or the control group of this process (memory.max), has left";

/// Whether that much may be reserved at all. Call it before a reservation, because the kernel does more than
/// refuse an excess: it sends SIGXFSZ beyond the file-size limit, and kills a process when memory is out.
/// `what` names the action, for the error. Errors: no_memory.
[[nodiscard]] Result<void> check_room(std::uint64_t bytes, const std::string& what);

}  // namespace troupe::comm
