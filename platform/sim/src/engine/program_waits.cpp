#include "engine/program_waits.hpp"

namespace troupe::platform::sim {

namespace {

runtime::Access access_of(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag) noexcept {
  const std::uint64_t size = tensor.element_bytes();
  const std::uint64_t lo = tensor.byte_offset() + element * size;
  return runtime::Access::range(tensor.buffer(), tensor.buffer_bytes(), lo, lo + size, tag);
}

}  // namespace

bool ProgramWaits::wait_for_room(Crew::Lock& lock) {
  threads_.program_waits = ProgramWait::room;
  threads_.program_stuck = false;
  crew_.serve(lock, Crew::Role::waiting, [this] {
    return schedule_.failure_code() != 0 || threads_.program_stuck || schedule_.graph().has_room();
  });
  threads_.program_waits = ProgramWait::nothing;
  if (schedule_.failure_code() != 0) return false;
  if (schedule_.graph().has_room()) return true;
  schedule_.fail(deadlock_.stuck_for_room());
  return false;
}

bool ProgramWaits::wait_for_memory(const runtime::BufferRef& buffer, Crew::Lock& lock) {
  const auto is_there = [&] { return schedule_.graph().placement(buffer).has_value(); };
  if (!held_) {
    threads_.program_waits = ProgramWait::memory;
    threads_.program_stuck = false;
    crew_.serve(lock, Crew::Role::waiting,
                [&] { return schedule_.failure_code() != 0 || threads_.program_stuck || is_there(); });
    threads_.program_waits = ProgramWait::nothing;
  }
  if (schedule_.failure_code() != 0) return false;
  if (is_there()) return true;
  schedule_.fail(deadlock_.stuck_for_memory());
  return false;
}

template <class Settled>
bool ProgramWaits::wait_until(Settled is_settled, Crew::Lock& lock) {
  Result<bool> settled = is_settled();
  if (settled && !*settled) {
    threads_.program_waits = ProgramWait::element;
    threads_.program_stuck = false;
    crew_.serve(lock, Crew::Role::waiting, [&] {
      settled = is_settled();
      return schedule_.failure_code() != 0 || threads_.program_stuck || !settled || *settled;
    });
    threads_.program_waits = ProgramWait::nothing;
  }
  if (schedule_.failure_code() != 0) return false;
  if (settled && *settled) return true;
  schedule_.fail(settled ? deadlock_.stuck_for_element() : settled.error());
  return false;
}

bool ProgramWaits::for_element(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag,
                               Crew::Lock& lock) {
  const auto access = access_of(tensor, element, tag);
  return wait_until([&] { return schedule_.is_settled(access, edges_by_hand_); }, lock);
}

bool ProgramWaits::for_access(const runtime::Access& access, runtime::TaskId creator, Crew::Lock& lock) {
  return wait_until(
      [&]() -> Result<bool> {
        if (creator && schedule_.graph().state(creator) != runtime::TaskState::none) return false;
        auto settled = schedule_.is_settled(access, false);
        return settled && *settled ? schedule_.is_settled(access, true) : settled;
      },
      lock);
}

}  // namespace troupe::platform::sim
