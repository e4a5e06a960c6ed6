#pragma once

#include <cstdint>
#include <string>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// Bytes this process could still take before somebody is killed for it: what the machine has available, and
/// what its control group allows. Without it a reservation that is too large would not fail, it would call
/// the kernel's out-of-memory killer. An estimate: unreadable sources count as unlimited.
///
/// `proc` and `cgroup` are the roots of the two file systems (tests pass their own).
[[nodiscard]] TROUPE_API std::uint64_t memory_left(const std::string& proc = "/proc",
                                                   const std::string& cgroup = "/sys/fs/cgroup");

/// Amounts up to this are not worth the question, which reads files: it takes half a millisecond, touching
/// this much fresh memory about twenty.
inline constexpr std::uint64_t worth_asking = std::uint64_t{64} << 20;

inline constexpr const char* room_hint = "ask for less, or raise the limits (ulimit -f, cgroup memory)";

/// Whether that much may be reserved at all. To be asked first, because the kernel answers an excess with
/// more than a refusal: with SIGXFSZ beyond the file-size limit, by killing somebody when memory is out.
/// `what` is what is being done. Errors: no_memory.
[[nodiscard]] Result<void> check_room(std::uint64_t bytes, const std::string& what);

}  // namespace troupe::comm
