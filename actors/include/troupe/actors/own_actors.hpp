#pragma once

// For CAF actors of your own that speak the protocols directly: a coroutine program is a convenient form of
// exactly that. Needs CAF's headers, which `troupe/troupe.hpp` does not.
//
//   auto mine = actors::actor_system(system).spawn<MyProgram>(actors::worker(node));
//
// The System owns everything. Such an actor has to end before the System does, and must not keep a `Worker`
// longer: the System waits for all actors. Any thread may call these two, as long as the System lives.
// Errors: worker() throws shut_down.

#include "troupe/actors/messages.hpp"
#include "troupe/actors/system.hpp"

namespace troupe::actors {

/// The CAF actor system of all actors.
TROUPE_API caf::actor_system& actor_system(const System& system);
/// The actor behind a node. Throws `shut_down` when it has gone.
TROUPE_API Worker worker(const Node& node);

}  // namespace troupe::actors
