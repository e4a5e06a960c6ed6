#pragma once

#include "troupe/actors/config.hpp"
#include "troupe/actors/system.hpp"

namespace troupe::actors {

/// What a person configured, before anything is started with it: `bad_argument`, naming the value, what it is
/// and what is allowed. Values that would wrap, hang or mean something else are refused here.
Result<void> validate(const SystemConfig& config);
Result<void> validate(const NodeConfig& config);
Result<void> validate(const PodConfig& config);
Result<void> validate(const WorkerConfig& config);
Result<void> validate(const ExecutorConfig& config);
Result<void> validate(const RunOptions& options);

}  // namespace troupe::actors
