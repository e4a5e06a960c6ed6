#pragma once

#include <memory>

#include "plan/plan.hpp"
#include "program/core.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

/// Makes the actor of a coroutine program. It starts with the first (empty) `Credit`; until then its run can
/// be told about it.
ProgramActor spawn_coroutine(caf::local_actor* parent, std::shared_ptr<NodeShared> node, RunId id, Run run,
                             std::shared_ptr<BoundProgram> program);

/// Runs a plain-function program on this thread, then waits for its run to end, both by `pump`.
void run_plain(Pump& pump, std::shared_ptr<NodeShared> node, RunId id, Run run, const BoundProgram& program);

/// Runs a plain-function program on a thread of the system's own; in a deterministic system inside an actor
/// of its own, which steps the others while it waits.
void start_plain(caf::actor_system& system, std::shared_ptr<NodeShared> node, RunId id, Run run,
                 std::shared_ptr<BoundProgram> program);

/// Waits until the run that `pump` watches has ended.
void wait_for_end(Pump& pump);

/// What a run's driver is called when a pump drives it.
ProgramActor driver_of(Pump& pump);

/// The plan of a file as one of this node. Throws what the node cannot run, naming what is missing.
TROUPE_API Plan load_plan(std::shared_ptr<NodeShared> node, const SavedPlan& saved);

/// The exception a program ended with, as an error.
Error error_from(std::exception_ptr failure, const std::string& program);

}  // namespace troupe::actors
