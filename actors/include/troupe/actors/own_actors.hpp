#pragma once

// For CAF actors of your own that speak the protocols directly: what a coroutine program does is sugar over
// exactly that. Needs CAF's headers, which `troupe/troupe.hpp` does not.
//
//   auto mine = actors::actor_system(system).spawn<MyProgram>(actors::worker(node));
//
// Such an actor has to end before the system does, and must not keep a `Worker` longer: the system waits for
// all actors.

#include "troupe/actors/messages.hpp"
#include "troupe/actors/system.hpp"

namespace troupe::actors {

/// What all actors of the system live in.
TROUPE_API caf::actor_system& actor_system(const System& system);
/// The actor behind a node. Throws `shut_down` when it has gone.
TROUPE_API Worker worker(const Node& node);

}  // namespace troupe::actors
