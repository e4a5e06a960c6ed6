// A chip: bytes that go to another chip, or come from one, without a stay in host memory.
#include <algorithm>

#include "chip/loan.hpp"
#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

/// Whether the order has been answered: it waits for who is to write the copy.
bool ChipState::lend(const DataOrders::Store& order, Copy* copy, bool at_once) {
  const bool waits = copy != nullptr && copy->writers != 0;
  if (waits && !at_once) return false;
  Stored::One answer{order.buffer->number(), order.what.number};
  answer.passing = order.passing;
  if (copy != nullptr && !waits && copy->state == Copy::State::here && copy->address != 0) {
    ++copy->lent;
    ++lent_;
    const LoanBack back{identity_.incarnation, copy};
    answer.loan = std::make_shared<Loan>(device_, copy->address, [tell = loan_is_back_, back] {
      if (tell) tell(back);
    });
  }
  stored_.push_back(std::move(answer));
  return true;
}

/// What waited for it goes on: the next writer, the memory of what is out of date.
std::vector<TaskResult> ChipState::returned(const LoanBack& back) {
  std::vector<TaskResult> out;
  if (life_ != Life::ready || back.incarnation != identity_.incarnation) return out;
  --lent_;
  auto& copy = *back.copy;
  if (--copy.lent != 0) return out;
  copies_.settle(copy);
  launch_queued(out);
  free_surplus(copies_.take_surplus());
  return out;
}

/// Only into memory that is free: nothing gives way to what no task here waits for yet.
void ChipState::take_loan(DataOrders::Take& order) {
  if (!order.loan) {
    Stored::One answer{order.buffer->number(), order.what.number,
                       Error(Errc::cancelled, "it is out of date")};
    answer.passing = order.passing;
    answer.taken = true;
    return stored_.push_back(std::move(answer));
  }
  auto& copy = copies_.of(order.buffer->number(), order.what);
  if (copy.users == 0 && copy.of.expired()) copy.of = order.buffer->weak_from_this();
  const auto answer = [&](const Result<void>& made) { has_taken(copy, order.passing, made); };
  if (copy.state == Copy::State::here) return answer({});
  if (copy.state == Copy::State::coming || copy.leaving)
    return answer(Error(Errc::wrong_state, "it is coming already"));
  if (copy.address == 0) {
    const auto address = free_memory(copy.bytes);
    if (life_ != Life::ready) return;
    if (address == 0) return answer(no_memory_);
    copies_.took(copy, address);
  }
  MemoryCall call{MemoryCall::What::take, identity_.incarnation, copy.address, copy.bytes};
  call.buffer = order.buffer;
  call.copy = &copy;
  call.piece = order.what;
  call.loan = std::move(order.loan);
  call.passing = order.passing;
  if (call.bytes > quick_bytes) {
    copy.state = Copy::State::coming;
    ++moving_;
    moves_.push_back(std::move(call));
    return;
  }
  const auto made = move_now(call);
  if (lost_by(made)) return;
  if (made) copy.state = Copy::State::here;
  answer(made);
}

/// Host memory has not seen it, as far as anybody here knows: it does not go without leave.
void ChipState::has_taken(Copy& copy, std::uint64_t passing, const Result<void>& made) {
  if (made) {
    copy.written = true;
    copy.at_home.clear();
  }
  Stored::One answer{copy.buffer, copy.piece.number,
                     made ? std::nullopt : std::optional<Error>(made.error())};
  answer.passing = passing;
  answer.taken = true;
  stored_.push_back(std::move(answer));
}

}  // namespace troupe::actors
