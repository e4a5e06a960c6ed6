#pragma once

#include <memory>
#include <string>

#include "chip/state.hpp"
#include "data/data.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Starts a chip actor, supervised by its parent. `results` is where it answers; `path` names it in
/// errors; `node`: what its chip programs may name; `above`: kept until its devices have been closed.
Chip spawn_chip(caf::local_actor* parent, std::shared_ptr<Services> services, ChipConfig config,
                ChipIdentity identity, std::string path, std::shared_ptr<const CallableRegistry> node,
                ResultSink results, std::shared_ptr<const void> above);

/// The configuration with the device table that it asks for: one of its own process, when the chip is to have
/// one. `memory`: what that process can map.
ChipConfig with_device(ChipConfig config, const std::string& path, std::shared_ptr<HostMemory> memory);

}  // namespace troupe::actors
