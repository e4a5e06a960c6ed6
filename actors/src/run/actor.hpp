#pragma once

#include <memory>

#include "run/state.hpp"
#include "threads/services.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Starts the actor of one program in flight. It announces the end in `outcome`, tells the worker and ends.
/// `asker` (null: nobody) hears of the end, too; `drives`: it is the program itself.
Run spawn_run(caf::local_actor* parent, RunConfig config, std::shared_ptr<HostMemory> memory, Worker worker,
              ProgramActor asker, bool drives, std::shared_ptr<RunOutcome> outcome,
              std::chrono::nanoseconds deadline);

}  // namespace troupe::actors
