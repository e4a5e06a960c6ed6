#pragma once

#include <caf/local_actor.hpp>
#include <caf/resumable.hpp>
#include <cstddef>

#include "threads/scheduling.hpp"

namespace troupe::actors {

/// Ends the process, with a sentence for what is thrown now: a thing that an actor or a thread (`whose`: its
/// name) could not say to anybody because it has no memory for it. What waited for it would wait for ever.
[[noreturn]] void cannot_go_on(const char* whose) noexcept;

/// Runs a job. Exceptions of handlers are their actors'; one that gets out comes from what CAF does about
/// them, and has left the actor as if it ran for ever.
inline caf::resumable::resume_result resumed(caf::resumable& job, caf::execution_unit& where,
                                             std::size_t throughput) noexcept {
  without_logger();
  try {
    return job.resume(&where, throughput);
  } catch (...) {
    const auto* actor = dynamic_cast<const caf::local_actor*>(&job);
    cannot_go_on(actor != nullptr ? actor->name() : "?");
  }
}

}  // namespace troupe::actors
