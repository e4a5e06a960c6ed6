// The data of a chip's tasks: copies of buffers, on their way in and out.
#include <algorithm>

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
    if (copy.state == Copy::State::coming || (copy.leaving && use.writes)) data = Data::coming;
  }
  return data;
}

/// 0: there is none.
std::uint64_t ChipState::free_memory(std::uint64_t bytes) {
  if (const auto spare = copies_.reuse(bytes); spare != 0) return spare;
  auto address = allocate(bytes);
  if (!address) no_memory_ = address.error();
  if (!address && lost_by(address.error())) return 0;
  if (address || copies_.spare_bytes() == 0) return address ? *address : 0;
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
  if (life_ == Life::ready && room == Room::make && in_flight_ == 0 && moving_ == 0 && !data_task_running_ &&
      batch_.empty()) {
    why = no_room_for(item);
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
    if (use.copy->address == 0 && moving_ + in_flight_ != 0)
      return "waits for room for " + title + ", " + bytes;
  }
  return {};
}

/// Copies that no task on the device uses give their memory up, the longest unused first, but for those of
/// the task itself; what only they have is stored before. Says whether there is more room now.
bool ChipState::make_room(const Item& item, std::uint64_t bytes) {
  std::uint64_t made = 0;
  bool more = false;
  for (auto* copy : copies_.idle()) {
    if (made >= bytes) break;
    const auto& uses = item.uses.all();
    if (std::any_of(uses.begin(), uses.end(), [&](const CopyUse& use) { return use.copy == copy; })) continue;
    made += copy->bytes;
    const auto buffer = copy->of.lock();
    if (copy->written && buffer && buffer->kept_by() == identity_.link.get()) {
      store(*copy, buffer, copy->piece);
      copy->goes = copy->leaving;
      if (copy->written) continue;
    }
    copies_.empty(*copy);  // nobody can want it any more, also where its writer failed
    more = true;
  }
  return more;
}

/// A piece of a buffer on its way into a copy that has it, or out of it.
MemoryCall ChipState::move_of(Copy& copy, Buffer& buffer, const Piece& what, bool to_chip,
                              std::byte* place) const {
  MemoryCall move{to_chip ? MemoryCall::What::copy_to : MemoryCall::What::copy_from, identity_.incarnation,
                  copy.address, packed_bytes(what.box), place};
  move.buffer = buffer.shared_from_this();
  move.copy = &copy;
  move.piece = what.number;
  if (what.box.rank > 0) {
    move.strided = {copy.piece.box, what.box};
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
  const auto* error = made ? nullptr : &made.error();
  if (call.what == MemoryCall::What::task) {
    const auto& [out, in, now, turned] = call.crossing;
    const auto out_at = turned && *turned ? **turned : out ? ended : began;
    const bool all_out = !turned || *turned;
    if (out) tracer_->moved(false, call.bytes, began, out_at, turned && all_out ? nullptr : error);
    if (in && all_out) tracer_->moved(true, call.bytes, out_at, ended, error);
  } else if (call.moves_bytes()) {
    const bool to_chip = call.what == MemoryCall::What::copy_to || call.what == MemoryCall::What::load;
    tracer_->moved(to_chip, call.bytes, began, ended, error);
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

std::vector<TaskResult> ChipState::take(DataOrders& orders) {
  std::vector<TaskResult> out;
  if (life_ != Life::ready) return out;  // the end of that life of the chip is the answer
  for (const auto& gone : orders.drops) copies_.drop({gone.buffer, gone.piece});
  for (auto& order : orders.stores) to_store_.push_back(std::move(order));
  serve_stores(orders.at_once);
  free_surplus(copies_.take_surplus());
  if (!queued_.empty()) launch_queued(out);
  return out;
}

/// Of what was asked to be stored, what no task writes. `at_once`: the rest is given up.
void ChipState::serve_stores(bool at_once) {
  if (life_ != Life::ready) return;  // the end of the chip is the answer
  std::erase_if(to_store_, [&](const DataOrders::Store& order) {
    const auto number = order.buffer->number();
    auto* copy = copies_.find({number, order.from});
    if (copy == nullptr || (!copy->written && copy->writers == 0)) {
      stored_.push_back({number, order.what.number});
      return true;
    }
    if (copy->leaving) return false;  // comes here again
    if (copy->writers != 0) {
      if (at_once) {
        stored_.push_back(
            {number, order.what.number,
             Error(Errc::data_lost, identity_.name + " was reset while a task wrote a tensor")});
      }
      return at_once;
    }
    store(*copy, order.buffer, order.what);
    return true;
  });
}

void ChipState::store(Copy& copy, const std::shared_ptr<Buffer>& buffer, const Piece& what) {
  const auto place = buffer->host();
  if (!place) {
    stored_.push_back({copy.buffer, what.number, place.error()});
    return;
  }
  auto move = move_of(copy, *buffer, what, false, *place);
  if (move.bytes > quick_bytes || config_.remote) {
    copy.leaving = true;
    ++moving_;
    moves_.push_back(std::move(move));
    return;
  }
  const auto made = move_now(move);
  if (!lost_by(made)) has_stored(copy, what.number, made);
}

void ChipState::has_stored(Copy& copy, std::uint32_t piece, const Result<void>& made) {
  // Of a part of it host memory has not seen the rest.
  if (piece == copy.piece.number) copy.written = copy.written && !made;
  stored_.push_back({copy.buffer, piece, made ? std::nullopt : std::optional<Error>(made.error())});
}

std::vector<TaskResult> ChipState::moved(const MemoryCall& call, const Result<void>& made) {
  std::vector<TaskResult> out;
  // Copies of an earlier life are gone.
  if (life_ != Life::ready || call.incarnation != identity_.incarnation) return out;
  if (call.what == MemoryCall::What::task) {
    if (lost_by(made)) return out;
    data_task_ended(made, out);
    launch_queued(out);
    return out;
  }
  --moving_;
  if (lost_by(made)) return out;
  auto& copy = *call.copy;
  if (call.what == MemoryCall::What::copy_to) {
    // What could not come is tried again, by the task that needs it.
    copy.state = made ? Copy::State::here : Copy::State::empty;
    if (!made) refuse_users(copy, made.error(), out);
  } else {
    copy.leaving = false;
    has_stored(copy, call.piece, made);
    if (std::exchange(copy.goes, false) && !copy.written && copy.busy == 0) copies_.empty(copy);
  }
  copies_.settle(copy);
  if (!to_store_.empty()) serve_stores(false);
  launch_queued(out);
  free_surplus(copies_.take_surplus());
  return out;
}

/// Queued tasks that need the bytes of a copy that cannot come.
void ChipState::refuse_users(const Copy& copy, const Error& why, std::vector<TaskResult>& out) {
  std::erase_if(queued_, [&](const Item& item) {
    const auto& uses = item.uses.all();
    const bool needs = std::any_of(uses.begin(), uses.end(),
                                   [&](const CopyUse& use) { return use.copy == &copy && use.reads; });
    if (needs) out.push_back(refuse(item.request, why));
    return needs;
  });
}

/// 0: it has no place; `bring` has found one for what stays at home.
std::uint64_t ChipState::host_address_of(Buffer& buffer) {
  const auto place = buffer.host();
  return place ? static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(*place)) : 0;
}

void ChipState::free_surplus(const std::vector<std::uint64_t>& addresses) {
  for (const auto address : addresses) {
    moves_.push_back({MemoryCall::What::free, identity_.incarnation, address});
  }
}

}  // namespace troupe::actors
