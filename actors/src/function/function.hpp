#pragma once

#include <memory>
#include <string>

#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Starts a sub-worker: host functions, one after the other, on a thread of its own. `incarnation`: which one
/// in its place.
Executor spawn_sub_worker(caf::local_actor* parent, std::shared_ptr<Services> services,
                          SubWorkerConfig config, std::string name, std::int32_t index,
                          std::uint32_t incarnation, std::string path, ResultSink results);

}  // namespace troupe::actors
