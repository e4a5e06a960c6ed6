#pragma once

#include <memory>
#include <string>
#include <vector>

#include "domain/communicator_state.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// The offsets of a domain's buffers in every window, 64-byte aligned, and the window that holds them; an
/// error when names repeat, a size overflows or they do not fit the window asked for.
Result<DomainInfo> layout_of(const DomainSpec& spec, std::uint64_t& window_bytes);

/// Starts the actor of one domain. Nothing is formed before `Form`.
Communicator spawn_communicator(caf::local_actor* parent, std::shared_ptr<Services> services,
                                DomainInfo layout, std::uint64_t window_bytes,
                                std::vector<DomainMember> members, std::string path);

}  // namespace troupe::actors
