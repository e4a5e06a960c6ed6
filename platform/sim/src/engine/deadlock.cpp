#include "engine/deadlock.hpp"

namespace troupe::platform::sim {

namespace {

bool is_fatal_code(const Error& error) noexcept {
  return error.code().value <= static_cast<std::int32_t>(runtime::Errc::explicit_orch_fatal);
}

}  // namespace

std::string DeadlockProof::flags_waited_for() const {
  const std::string flags = flags_->describe();
  return flags.empty() ? "" : "; what runs waits for: " + flags;
}

Error DeadlockProof::stuck_for_room() const {
  const std::uint32_t live = schedule_.graph().live();
  const std::string tasks = std::to_string(live) + " tasks are alive";
  if (edges_are_limited_ && live < task_window_) {
    return Error(runtime::Errc::dep_pool_overflow,
                 "more dependencies than the pool holds, and none will end: " + tasks + flags_waited_for(),
                 "raise PTO2_RING_DEP_POOL");
  }
  if (schedule_.holds_any()) {
    return Error(runtime::Errc::scope_deadlock,
                 "the graph does not fit the task window: " + tasks + " and none may start yet",
                 "raise PTO2_RING_TASK_WINDOW, or build the graph while it runs");
  }
  if (auto reason = schedule_.graph().deadlock(); reason && is_fatal_code(*reason)) return *std::move(reason);
  return Error(runtime::Errc::flow_control_deadlock,
               "the task window is full and nothing in it can end: " + tasks + flags_waited_for(),
               "raise PTO2_RING_TASK_WINDOW");
}

Error DeadlockProof::stuck_for_element() const {
  if (auto reason = schedule_.graph().deadlock(); reason && *reason == runtime::Errc::heap_ring_deadlock)
    return *std::move(reason);
  return Error(runtime::Errc::tensor_wait_timeout,
               "an element is asked for whose tasks cannot end" + flags_waited_for(),
               schedule_.holds_any() ? "a graph that is built before launch has no values yet"
                                     : "submit what they wait for before");
}

Error DeadlockProof::stuck_for_memory() const {
  if (auto reason = schedule_.graph().deadlock(); reason && *reason == runtime::Errc::heap_ring_deadlock)
    return *std::move(reason);
  return Error(runtime::Errc::heap_ring_deadlock,
               "intermediates fill their arena, and none will be freed" + flags_waited_for() + "\n" +
                   schedule_.graph().memory_map(),
               "raise PTO2_RING_HEAP, or end scopes earlier");
}

DeadlockProof::Finding DeadlockProof::look_closer() const {
  // On a host that gives no threads, work may be ready and no thread left to do it.
  if (schedule_.can_take(true) && (threads_.looking != 0 || !threads_.helpless)) return {};
  if (threads_.executing != 0) {
    Finding found{.failure = std::nullopt, .ends_waits = true};
    if (threads_.program_waits == ProgramWait::room) found.failure = stuck_for_room();
    if (threads_.program_waits == ProgramWait::element) found.failure = stuck_for_element();
    if (threads_.program_waits == ProgramWait::memory) found.failure = stuck_for_memory();
    return found;
  }
  if (threads_.program_waits != ProgramWait::nothing)
    return {.failure = std::nullopt, .ends_program_wait = true};
  const std::uint32_t live = schedule_.graph().live();
  if (live == 0) return {};
  auto reason = schedule_.graph().deadlock();
  if (reason && is_fatal_code(*reason)) return {.failure = std::move(reason)};
  return {.failure =
              Error(runtime::Errc::scheduler_timeout,
                    reason ? reason->message() : std::to_string(live) + " tasks wait for what cannot come",
                    reason ? reason->hint() : "")};
}

}  // namespace troupe::platform::sim
