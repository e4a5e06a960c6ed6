// A chip: bytes that its tasks need, on their way in.
#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {
namespace {

/// For how many queued tasks behind the next one data is copied before their turn.
constexpr std::size_t ahead = 4;

}  // namespace

/// Brings what the task needs, as far as that is not on its way: memory for all of it, then bytes.
ChipState::Data ChipState::bring(const Item& item, Room room, std::optional<Error>& why) {
  const auto& tensors = arguments_of(*item.request.body, item.request.key.member).tensors;
  for (const auto index : item.request.at_home) {
    const auto place = tensors[index].buffer->host();
    if (place) continue;
    why = place.error();
    return Data::refused;
  }
  auto data = Data::there;
  for (const auto& use : item.uses.all()) {
    auto& copy = *use.copy;
    if (copy.address == 0 && !find_memory(item, copy, room, why)) {
      if (why) return Data::refused;
      data = Data::no_room;
    }
  }
  if (data == Data::no_room) return data;
  for (const auto& use : item.uses.all()) {
    auto& copy = *use.copy;
    if (copy.state == Copy::State::empty && use.reads) {
      const auto brought = bring_bytes(copy, *tensors[use.argument].buffer, why);
      if (brought == Data::refused) return brought;
      if (brought == Data::coming) data = brought;
    }
    // What is being copied must not be written meanwhile.
    if (copy.state == Copy::State::coming || ((copy.leaving || copy.lent != 0) && use.writes))
      data = Data::coming;
  }
  return data;
}

/// What of its data a queued task waits for; empty: nothing is under way.
std::string ChipState::why_data(const Item& item) const {
  if (item.request.key == data_task_running_) return "copies its bytes";
  const auto& tensors = arguments_of(*item.request.body, item.request.key.member).tensors;
  for (const auto& use : item.uses.all()) {
    const auto title = tensors[use.argument].buffer->title();
    const auto bytes = std::to_string(use.copy->bytes) + " bytes";
    if (use.copy->state == Copy::State::coming) return "waits for the copy of " + title + ", " + bytes;
    if (use.copy->leaving && use.writes)
      return "waits until " + title + ", " + bytes + ", is in host memory, too";
    if (use.copy->lent != 0 && use.writes)
      return "waits until " + title + ", " + bytes + ", is on another chip, too";
    if (use.copy->address == 0 && moving_ + in_flight_ != 0)
      return "waits for room for " + title + ", " + bytes;
  }
  return {};
}

/// A piece of a buffer on its way into a copy that has it, or out of it.
MemoryCall ChipState::move_of(Copy& copy, Buffer& buffer, const Piece& what, bool to_chip,
                              std::byte* place) const {
  MemoryCall move{to_chip ? MemoryCall::What::copy_to : MemoryCall::What::copy_from, identity_.incarnation,
                  copy.address, packed_bytes(what.box), place};
  move.buffer = buffer.shared_from_this();
  move.copy = &copy;
  move.piece = what;
  std::vector<runtime::Box> but;
  if (!to_chip) {
    std::copy_if(copy.at_home.begin(), copy.at_home.end(), std::back_inserter(but),
                 [&](const runtime::Box& part) { return runtime::overlaps(part, what.box); });
  }
  if (what.box.rank > 0 || !but.empty()) {
    move.strided = {copy.piece.box, what.box, std::move(but)};
  } else {
    move.address += packed_offset(copy.piece.box, what.box.lo);
    move.host = place + what.box.lo;
  }
  return move;
}

Result<void> ChipState::move_now(const MemoryCall& move) {
  const auto began = tracer_ ? tracer_->now() : 0;
  auto made = perform(*device_, move);
  if (tracer_) trace(move, began, tracer_->now(), made);
  return made;
}

void ChipState::trace(const MemoryCall& call, std::int64_t began, std::int64_t ended,
                      const Result<void>& made) {
  if (!tracer_) return;
  using Way = ChipTracer::Way;
  const auto* error = made ? nullptr : &made.error();
  if (call.what == MemoryCall::What::task) {
    const auto& [out, in, now, turned] = call.crossing;
    const auto out_at = turned && *turned ? **turned : out ? ended : began;
    const bool all_out = !turned || *turned;
    if (out) tracer_->moved(Way::to_host, call.bytes, began, out_at, turned && all_out ? nullptr : error);
    if (in && all_out) tracer_->moved(Way::to_chip, call.bytes, out_at, ended, error);
  } else if (call.moves_bytes()) {
    const bool to_chip = call.what == MemoryCall::What::copy_to || call.what == MemoryCall::What::load;
    const auto way = call.what == MemoryCall::What::take ? Way::from_chip
                     : to_chip                           ? Way::to_chip
                                                         : Way::to_host;
    tracer_->moved(way, call.bytes, began, ended, error);
  }
}

ChipState::Data ChipState::bring_bytes(Copy& copy, Buffer& buffer, std::optional<Error>& why) {
  const auto place = buffer.host();
  if (!place) {
    why = place.error();
    return Data::refused;
  }
  auto move = move_of(copy, buffer, copy.piece, true, *place);
  if (copy.bytes > quick_bytes) {
    copy.state = Copy::State::coming;
    ++moving_;
    moves_.push_back(std::move(move));
    return Data::coming;
  }
  if (const auto made = move_now(move); !made) {
    if (lost_by(made)) return Data::coming;
    why = made.error();
    return Data::refused;
  }
  copy.state = Copy::State::here;
  return Data::there;
}

/// The device is gone, so the chip ends: that is the answer to all who wait for something on it.
bool ChipState::lost_by(const Error& error) {
  if (!(error.root() == platform::Errc::lost)) return false;
  life_ = Life::lost;
  how_lost_ = error.message();
  return true;
}
bool ChipState::lost_by(const Result<void>& made) { return !made && lost_by(made.error()); }

/// While a task waits for its data, or for others to end, the data of those behind it comes, too.
void ChipState::bring_ahead() {
  for (std::size_t i = 0; i < std::min(ahead, queued_.size()); ++i) {
    std::optional<Error> why;  // it is told when its turn has come
    if (bring(queued_[i], i == 0 ? Room::make : Room::only_free, why) == Data::no_room) return;
  }
}

/// Queued tasks that need the bytes of a copy that cannot come.
void ChipState::refuse_users(const Copy* copy, const Error& why, std::vector<TaskResult>& out) {
  const auto needs = [&](const Item& item) {
    const auto& uses = item.uses.all();
    return std::any_of(uses.begin(), uses.end(),
                       [&](const CopyUse& use) { return use.copy == copy && use.reads; });
  };
  take_from_queue(needs, [&](Item& item) { answer(item, refuse(item.request, why), out); });
}

/// 0: it has no place; `bring` has found one for what stays at home.
std::uint64_t ChipState::host_address_of(Buffer& buffer) {
  const auto place = buffer.host();
  return place ? static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(*place)) : 0;
}

}  // namespace troupe::actors
