// A chip: bytes on their way back to host memory, and the ends of moves in both directions.
#include <algorithm>

#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::actors {

std::vector<TaskResult> ChipState::take(DataOrders& orders) {
  std::vector<TaskResult> out;
  if (life_ != Life::ready) return out;  // the end of that life of the chip is the answer
  for (const auto& gone : orders.drops) copies_.drop(gone);
  for (auto& order : orders.stores) to_store_.push_back(std::move(order));
  for (const auto& room : orders.rooms) put_away(room);
  for (auto& take : orders.takes) {
    if (life_ == Life::ready) take_loan(take);
  }
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
    if (order.passing != 0) return lend(order, copy, at_once);
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

void ChipState::store(Copy& copy, const std::shared_ptr<Buffer>& buffer, const Piece& what, bool for_room) {
  const auto place = buffer->host();
  if (!place) return has_stored(copy, what, for_room, place.error());
  auto move = move_of(copy, *buffer, what, false, *place);
  move.for_room = for_room;
  if (move.bytes > quick_bytes || config_.remote) {
    copy.leaving = true;
    ++moving_;
    moves_.push_back(std::move(move));
    return;
  }
  const auto made = move_now(move);
  if (!lost_by(made)) has_stored(copy, what, for_room, made);
}

void ChipState::has_stored(Copy& copy, const Piece& what, bool for_room, const Result<void>& made) {
  if (made && what.number != copy.piece.number) {
    copy.at_home.push_back(what.box);  // the rest is not
  } else if (made) {
    copy.written = false;
    copy.at_home.clear();
  }
  copy.stuck = for_room && !made;
  stored_.push_back(
      {copy.buffer, what.number, made ? std::nullopt : std::optional<Error>(made.error()), for_room});
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
    copy.state = made ? Copy::State::here : Copy::State::empty;
  } else if (call.what == MemoryCall::What::take) {
    copy.state = made ? Copy::State::here : Copy::State::empty;
    has_taken(copy, call.passing, made);
  } else {
    copy.leaving = false;
    has_stored(copy, call.piece, call.for_room, made);
    if (std::exchange(copy.goes, false) && !copy.written && copy.busy == 0) copies_.give_up_memory(copy);
  }
  copies_.settle(copy);
  // What could not come is tried again by the next who needs it. With its last user it may be gone.
  if (call.what == MemoryCall::What::copy_to && !made) refuse_users(call.copy, made.error(), out);
  answer_later_ones(out);
  if (!to_store_.empty()) serve_stores(false);
  launch_queued(out);
  free_surplus(copies_.take_surplus());
  return out;
}

}  // namespace troupe::actors
