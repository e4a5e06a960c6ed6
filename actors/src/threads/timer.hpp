#pragma once

#include <caf/all.hpp>
#include <chrono>
#include <utility>

#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {

/// Calls `what` inside `self` after that time, unless the actor has ended by then. A timer goes with its
/// actor: CAF keeps who gets a delayed message, with all that it holds and all that waits for it to go, until
/// the message is delivered, and forgets the time limits of requests with their actor. So this is the time
/// limit of a request that nobody gets. What is to come after `longest_wait` never comes.
template <class Self, class F>
void call_after(Self* self, std::chrono::nanoseconds after, F what) {
  if (after >= runtime::longest_wait) return;
  const auto answer = self->new_request_id(caf::message_priority::normal).response_id();
  self->add_multiplexed_response_handler(
      answer, caf::behavior{[what = std::move(what)](const caf::error&) mutable { what(); }});
  self->clock().set_request_timeout(self->clock().now() + after, self, answer);
}

}  // namespace troupe::actors
