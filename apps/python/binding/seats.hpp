#pragma once

// What a program is called with, from its begin to its end. Inside Python only.

#include "program.hpp"

namespace troupe::python {

/// A seat, and what a program has of it. To make them anew for each run would cost more than to call a short
/// program, so one that its program has not kept serves the next one. Inside Python only.
class LentSeat {
 public:
  LentSeat() = default;
  LentSeat(actors::Orchestrator& node, bool coroutine, std::int64_t soft_limit) {
    if (auto& one = spare(); one.seat_) {
      seat_ = std::move(one.seat_);
      object_ = std::move(one.object_);
    } else {
      seat_ = std::make_shared<Seat>();
      object_ = py::cast(seat_);
    }
    seat_->take(node, coroutine, soft_limit);
  }
  LentSeat(LentSeat&&) = default;
  LentSeat& operator=(LentSeat&&) = default;
  ~LentSeat() { leave(); }

  const SeatRef& seat() const { return seat_; }
  py::tuple with(const py::tuple& args) const {
    py::tuple all(args.size() + 1);
    all[0] = object_;
    for (std::size_t i = 0; i < args.size(); ++i) all[i + 1] = args[i];
    return all;
  }
  /// The program is over, whatever it has kept.
  void leave() {
    if (!seat_) return;
    seat_->leave();
    const auto* instance = reinterpret_cast<const py::detail::instance*>(object_.ptr());
    const bool kept = object_.ref_count() != 1 || seat_.use_count() != 2 || instance->weakrefs != nullptr;
    if (auto& one = spare(); !kept && !one.seat_) {
      one.seat_ = std::move(seat_);
      one.object_ = std::move(object_);
    } else {
      seat_ = nullptr;
      object_ = py::object();
    }
  }
  /// Python has gone, and what is Python's stays as it is.
  void forget() {
    seat_ = nullptr;
    (void)object_.release();
  }

 private:
  static LentSeat& spare() {
    static auto* const one = new LentSeat;  // as long as the process
    return *one;
  }

  SeatRef seat_;
  py::object object_;
};

}  // namespace troupe::python
