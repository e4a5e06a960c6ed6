#pragma once

// The kernels that ship with troupe for chips that share windows: all_reduce, all_gather, reduce_scatter,
// broadcast, all_to_all, barrier. Any thread. docs/reference.md lists their arguments.

#include <cstdint>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::actors {

/// `node.load(troupe::collectives())`; then submit them as a group, one member per rank of a domain. The
/// module lies beside troupe's libraries, so nothing has to be built or linked for it. Throws what
/// `Module::open` does when it does not.
[[nodiscard]] TROUPE_API runtime::Module collectives();

/// Bytes of the window buffer that each of them takes as its last tensor: `{"workspace",
/// collective_workspace}` in a DomainSpec. 4096 are enough where all arrays lie in the windows.
inline constexpr std::uint64_t collective_workspace = 4096 + (std::uint64_t{1} << 20U);

}  // namespace troupe::actors
