// A chip: memory for copies. What has to go when there is none, and what the error says when nothing may go.
#include <algorithm>

#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {

/// 0: there is none.
std::uint64_t ChipState::free_memory(std::uint64_t bytes) {
  if (const auto spare = copies_.reuse(bytes); spare != 0) return spare;
  auto address = allocate(bytes);
  if (!address) no_memory_ = address.error();
  if (!address && lost_by(address.error())) return 0;
  if (address || !copies_.has_spare()) return address ? *address : 0;
  free_spare();
  address = allocate(bytes);
  if (!address) no_memory_ = address.error();
  if (!address) (void)lost_by(address.error());
  return address ? *address : 0;
}

/// False without an error: there is none now.
bool ChipState::find_memory(const Item& item, Copy& copy, Room room, std::optional<Error>& why) {
  auto address = free_memory(copy.bytes);
  // What became free may lie in pieces that are too small.
  while (address == 0 && life_ == Life::ready && room == Room::make && make_room(item, copy.bytes))
    address = free_memory(copy.bytes);
  if (address != 0) {
    copies_.took(copy, address);
    return true;
  }
  if (life_ == Life::ready && room == Room::make && in_flight_ == 0 && moving_ == 0 && asked_ == 0 &&
      !data_task_running_ && batch_.empty()) {
    why = no_room_for(item);
    for (auto* idle : copies_.idle()) idle->stuck = false;  // the next task may have more luck
  }
  return false;
}

/// Says what it would take, and what is in the way.
Error ChipState::no_room_for(const Item& item) const {
  constexpr std::size_t most = 8;
  std::string text;
  const auto list = [&](std::size_t count, auto line_of) {
    for (std::size_t i = 0; i < std::min(count, most); ++i) text += (i == 0 ? "" : ", ") + line_of(i);
    if (count > most) text += " and " + std::to_string(count - most) + " more";
  };
  const auto sized = [](const std::string& title, std::uint64_t bytes) {
    return title + " (" + std::to_string(bytes) + " bytes)";
  };
  text = "no room on " + identity_.name + " for the tensors of task \"" +
         std::string(item.request.body->name()) + "\" together: ";
  const auto& tensors = arguments_of(*item.request.body, item.request.key.member).tensors;
  const auto& uses = item.uses.all();
  list(uses.size(), [&](std::size_t i) {
    const auto& copy = *uses[i].copy;
    return sized((copy.piece.number == 0 ? "" : "a part of ") + tensors[uses[i].argument].buffer->title(),
                 copy.bytes);
  });
  const auto pins = copies_.pinned();
  if (!pins.empty()) {
    text += "; beside what is pinned there: ";
    list(pins.size(), [&](std::size_t i) {
      const auto buffer = pins[i]->of.lock();
      return sized(buffer ? buffer->title() : "a tensor", pins[i]->bytes);
    });
  }
  return Error(Errc::out_of_memory, text,
               pins.empty() ? "use smaller tensors, or free device tensors and domains there"
                            : "node.evict(x) takes a pin away; or use smaller tensors")
      .caused_by(no_memory_);
}

/// Copies that no task on the device uses give their memory up, the longest unused first, but for those of
/// the task itself. What only they have goes to host memory before, when the node lets it: others may be
/// reading there, or writing. Says whether there is more room now.
bool ChipState::make_room(const Item& item, std::uint64_t bytes) {
  std::uint64_t made = 0;
  bool more = false;
  for (auto* copy : copies_.idle()) {
    if (made >= bytes) break;
    const auto& uses = item.uses.all();
    if (copy->stuck) continue;
    if (std::any_of(uses.begin(), uses.end(), [&](const CopyUse& use) { return use.copy == copy; })) continue;
    made += copy->bytes;
    const auto buffer = copy->of.lock();
    if (copy->written && buffer && buffer->kept_by() == identity_.link.get()) {
      if (std::exchange(copy->asked, true)) continue;
      wanted_room_.push_back({copy->buffer, copy->piece.number});
      ++asked_;
      continue;
    }
    copies_.give_up_memory(*copy);  // nobody can want it any more, also where its writer failed
    more = true;
  }
  return more;
}

/// The node has been asked whether this may go to host memory. It knows which tasks were sent, the chip which
/// of them have begun.
void ChipState::put_away(const DataOrders::Room& order) {
  --asked_;
  auto* copy = copies_.find(order.piece);
  if (copy != nullptr) copy->asked = false;
  const bool idle = copy != nullptr && copy->busy == 0 && copy->written && !copy->leaving && !copy->pinned;
  const auto buffer = idle ? copy->of.lock() : nullptr;
  if (!order.may) {
    if (idle) copies_.give_up_memory(*copy);  // it is the newest nowhere
    return;
  }
  if (!buffer) {
    const Error changed(Errc::cancelled, "it is used again");
    stored_.push_back({order.piece.buffer, order.piece.piece, changed, true});
    return;
  }
  store(*copy, buffer, copy->piece, true);
  copy->goes = copy->leaving;
  if (!copy->leaving && !copy->written) copies_.give_up_memory(*copy);
}

void ChipState::free_surplus(const std::vector<std::uint64_t>& addresses) {
  for (const auto address : addresses) {
    moves_.push_back({MemoryCall::What::free, identity_.incarnation, address});
  }
}

}  // namespace troupe::actors
