#pragma once

#include <memory>

#include "run/state.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// The token of the run's last word to its program.
constexpr std::uint64_t run_over_token = ~std::uint64_t{0};

/// Starts the actor of one program in flight. It announces the end in `outcome`, tells the worker and ends.
/// `asker` (null: nobody) hears of the end, too; `drives`: it is the program itself.
Run spawn_run(caf::local_actor* parent, RunConfig config, Worker worker, ProgramActor asker, bool drives,
              std::shared_ptr<RunOutcome> outcome, std::chrono::nanoseconds deadline);

}  // namespace troupe::actors
