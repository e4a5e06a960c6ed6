#pragma once

#include <optional>
#include <utility>

#include "system/core.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

/// A call of a user, on the caller's thread: the system is not over before it is. Handles of actors are to go
/// before it does.
class Call {
 public:
  /// Throws `shut_down` when the system is going down.
  explicit Call(NodeCore& node)
      : node_((MayNotWait::check_for_policy(), &node)),
        pump_(node.shared->pumps->take()),
        worker_(node.get()) {}

  Pump& pump() const { return *pump_.get(); }

  /// Asks the worker (or a chip of it) something and waits for the answer.
  template <class Answer, class Question>
  Answer ask(Question question) const {
    return ask<Answer>(worker_, std::move(question));
  }
  template <class Answer, class Actor, class Question>
  Answer ask(const Actor& actor, Question question) const {
    std::optional<Result<Answer>> answer;
    pump_->request(actor, caf::infinite, std::move(question))
        .receive([&](Answer& given) { answer = std::move(given); },
                 [&](const caf::error& error) {
                   answer = error_from(error, Error(Errc::shut_down, node_->shared->path + " has gone"));
                 });
    if (!*answer) throw seen(answer->error());
    return *std::move(*answer);
  }
  /// The same, of what may be refused.
  template <class Answer, class... What>
  Answer demand(What&&... what) const {
    auto answer = ask<Result<Answer>>(std::forward<What>(what)...);
    if (!answer) throw seen(answer.error());
    return *std::move(answer);
  }

 private:
  /// When all goes down, each part of it says so in its own words.
  Error seen(const Error& error) const {
    if (!node_->shared->services->going() || error == Errc::shut_down) return error;
    return Error(Errc::shut_down, node_->shared->path + " is going down").caused_by(error);
  }

  NodeCore* node_;
  PumpPool::Lease pump_;
  Worker worker_;
};

}  // namespace troupe::actors
