#pragma once

#include <caf/all.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/messages.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

class Replies;

/// A request that has not been answered. Belongs to copies of a `Reply`; dropped without an answer it gives
/// an error.
class Debt {
 public:
  Debt(caf::strong_actor_ptr asker, caf::message_id id, Replies* owner);
  Debt(const Debt&) = delete;
  Debt& operator=(const Debt&) = delete;
  ~Debt();

  bool open() const { return open_; }
  void pay(caf::message answer);
  /// It is not the actor's any more: its holder answers, on any thread, also after the actor's end.
  void outlive();
  void refuse(const Error& why) noexcept;

 private:
  friend class Replies;

  caf::strong_actor_ptr asker_;
  caf::message_id id_;
  Replies* owner_;  ///< null: nobody keeps a list that it is in
  std::size_t at_ = 0;
  bool open_ = true;
};

/// The answer to a request, given later. Copies mean the same request; it is answered once. An
/// asker never waits for ever: when the last copy goes without an answer, or the actor ends first, it gets an
/// error.
template <class T>
class Reply {
 public:
  Reply() = default;

  bool pending() const { return debt_ && debt_->open(); }
  void deliver(T answer) const {
    if (pending()) debt_->pay(caf::make_message(std::move(answer)));
  }
  void outlive() const {
    if (debt_) debt_->outlive();
  }
  /// What the handler of the request returns: the answer comes later.
  // A handler returns the Reply itself, CAF takes its own type. NOLINTNEXTLINE(google-explicit-constructor)
  operator caf::typed_response_promise<T>() const { return {}; }

 private:
  friend class Replies;
  explicit Reply(std::shared_ptr<Debt> debt) : debt_(std::move(debt)) {}
  std::shared_ptr<Debt> debt_;
};

/// What an actor owes. A member of it, made before whatever holds a `Reply`; `end` is the first thing in its
/// `on_exit`. Used by the actor only.
class Replies {
 public:
  /// `otherwise`: what those hear who are not answered.
  Replies(caf::local_actor* self, Error otherwise) : self_(self), otherwise_(std::move(otherwise)) {}
  Replies(const Replies&) = delete;
  Replies& operator=(const Replies&) = delete;
  ~Replies() { end(); }

  /// The answer to the request that is being handled.
  template <class T>
  Reply<T> owe() {
    auto promise = self_->make_response_promise<T>();
    const caf::response_promise& asked = promise;
    return Reply<T>(std::make_shared<Debt>(asked.source(), asked.id(), this));
  }
  /// The actor ends for a reason that its askers should hear.
  void because(Error reason) { otherwise_ = std::move(reason); }
  const Error& otherwise() const { return otherwise_; }
  /// The actor ends, whatever the reason: who has not been answered is now.
  void end() noexcept;
  std::size_t open() const { return debts_.size(); }

 private:
  friend class Debt;
  void add(Debt& debt);
  void remove(Debt& debt);

  caf::local_actor* self_;
  Error otherwise_;
  std::vector<Debt*> debts_;
};

/// An exception in a handler ends the actor: who asked hears what was thrown, and so do its supervisor and
/// everybody else whom it owes an answer. `what` says who: "node0: the worker".
template <class Actor, class What>
void end_on_exception(Actor* self, Replies& replies, Errc code, What what) {
  self->set_exception_handler(
      [self, &replies, code, what = std::move(what)](std::exception_ptr& thrown) -> caf::error {
        const Error reason(code, what() + " ended on an exception: " + runtime::text_of(thrown));
        replies.because(reason);
        // CAF drops the request that was being handled.
        if (auto asked = self->make_response_promise(); asked.id().is_request()) {
          asked.deliver(exit_with(reason));
        }
        return exit_with(reason);
      });
}

}  // namespace troupe::actors
