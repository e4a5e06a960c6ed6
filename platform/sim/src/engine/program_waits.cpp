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

bool ProgramWaits::for_element(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag,
                               Crew::Lock& lock) {
  const auto access = access_of(tensor, element, tag);
  auto settled = schedule_.is_settled(access, edges_by_hand_);
  if (settled && !*settled) {
    threads_.program_waits = ProgramWait::element;
    threads_.program_stuck = false;
    crew_.serve(lock, Crew::Role::waiting, [&] {
      settled = schedule_.is_settled(access, edges_by_hand_);
      return schedule_.failure_code() != 0 || threads_.program_stuck || !settled || *settled;
    });
    threads_.program_waits = ProgramWait::nothing;
  }
  if (schedule_.failure_code() != 0) return false;
  if (settled && *settled) return true;
  schedule_.fail(settled ? deadlock_.stuck_for_element() : settled.error());
  return false;
}

}  // namespace troupe::platform::sim
