// The orchestrator as a program in Python holds it: who may use it, and its scopes.
#include "seats.hpp"

namespace troupe::python {

actors::Orchestrator& Seat::use() const {
  if (node_ == nullptr)
    throw Error(actors::Errc::wrong_program, "the program has returned",
                "a node lent to a program ends with it");
  if (thread_ != std::this_thread::get_id()) {
    throw Error(actors::Errc::wrong_program, "a call of a program from a thread that is not its own",
                "let other threads compute, and submit and wait where the program runs");
  }
  return *node_;
}

std::size_t Seat::open_scope() {
  scopes_.push_back({call([](actors::Orchestrator& node) { return actors::Scope(node); })});
  return scopes_.size() - 1;
}
void Seat::leave_scope(std::size_t place) {
  scopes_[place].left = true;
  while (!scopes_.empty() && scopes_.back().left) scopes_.pop_back();
}

}  // namespace troupe::python
