#pragma once

#include <memory>

#include "program/program.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Starts a worker and nothing below it yet: that is what `StartWorker` does. `results`: where it answers
/// when it is an executor of the level above.
TROUPE_API Worker spawn_worker(caf::actor_system& system, std::shared_ptr<Services> services,
                               std::shared_ptr<const WorkerConfig> config, std::shared_ptr<NodeShared> shared,
                               std::int32_t index, ResultSink results);

/// What programs of a worker may look at. Children share callables and host memory with the level above.
TROUPE_API std::shared_ptr<NodeShared> make_shared_of(const WorkerConfig& config,
                                                      std::shared_ptr<Services> services,
                                                      std::shared_ptr<PumpPool> pumps,
                                                      std::shared_ptr<HostMemory> memory,
                                                      const NodeShared* above);

}  // namespace troupe::actors
