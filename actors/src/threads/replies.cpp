#include "threads/replies.hpp"

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

Debt::Debt(caf::strong_actor_ptr asker, caf::message_id id, Replies* owner)
    : asker_(std::move(asker)), id_(id), owner_(owner) {
  owner_->add(*this);
}

Debt::~Debt() {
  if (open_) {
    refuse(owner_ != nullptr ? owner_->otherwise()
                             : Error(Errc::shut_down, "the call was dropped before it was answered"));
  }
  outlive();
}

void Debt::outlive() {
  if (owner_ != nullptr) owner_->remove(*this);
}

void Debt::pay(caf::message answer) {
  auto* self = owner_ != nullptr ? owner_->self_ : nullptr;
  if (asker_) {
    asker_->enqueue(self != nullptr ? self->ctrl() : nullptr, id_.response_id(), std::move(answer),
                    self != nullptr ? self->context() : nullptr);
  }
  open_ = false;
  asker_ = nullptr;
  outlive();
}

void Debt::refuse(const Error& why) noexcept {
  // Nobody waits for the answer to what was no request.
  if (!id_.is_request()) asker_ = nullptr;
  pay(caf::make_message(exit_with(why)));
}

void Replies::add(Debt& debt) {
  debt.at_ = debts_.size();
  debts_.push_back(&debt);
}

void Replies::remove(Debt& debt) {
  debts_[debt.at_] = debts_.back();
  debts_[debt.at_]->at_ = debt.at_;
  debts_.pop_back();
  debt.owner_ = nullptr;
}

void Replies::end() noexcept {
  while (!debts_.empty()) debts_.back()->refuse(otherwise_);
}

}  // namespace troupe::actors
