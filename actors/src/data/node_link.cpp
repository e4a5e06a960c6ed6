#include "data/node_link.hpp"

#include "troupe/actors/errc.hpp"
#include "troupe/actors/messages.hpp"

namespace troupe::actors {

void NodeLink::set(caf::weak_actor_ptr worker) {
  std::lock_guard guard(mutex_);
  worker_ = std::move(worker);
}

Worker NodeLink::worker() const {
  std::lock_guard guard(mutex_);
  return caf::actor_cast<Worker>(worker_);
}

Result<void> NodeLink::bring_home(const std::shared_ptr<Buffer>& buffer, bool all) const {
  const Error gone(Errc::shut_down, path_ + " has gone");
  try {
    const auto pump = pumps_->take();
    const auto there = worker();
    if (!there) return gone;
    Result<bool> brought(gone);
    pump->request(there, caf::infinite, BringHome{buffer, all})
        .receive([&](Result<bool>& answer) { brought = std::move(answer); },
                 [&](const caf::error& error) { brought = error_from(error, gone); });
    if (!brought) return brought.error();
    return {};
  } catch (const Error& error) {
    return error;
  }
}

void NodeLink::forget(std::uint64_t buffer) const {
  const auto here = services_->enter();
  if (!here) return;
  if (const auto there = worker()) caf::anon_send(there, ForgetBuffer{buffer});
}

void NodeLink::hold_domain(std::uint64_t domain, std::int32_t delta) const {
  const auto here = services_->enter();
  if (!here) return;
  if (const auto there = worker()) caf::anon_send(there, HoldDomain{domain, delta});
}

std::shared_ptr<const void> NodeLink::keep_domain(std::shared_ptr<const NodeLink> link,
                                                  std::uint64_t domain) {
  link->hold_domain(domain, 1);
  return {nullptr, [link = std::move(link), domain](const void*) { link->hold_domain(domain, -1); }};
}

MayNotWait::Code& MayNotWait::current() {
  // It is the thread that must not wait, whatever system its code is of.
  static thread_local Code code = Code::none;
  return code;
}

void MayNotWait::check_for_policy() {
  if (here() != Code::placement_policy) return;
  throw Error(Errc::wrong_state,
              "a placement policy asks a node for something, which waits until it has answered",
              "a policy decides by what it is shown");
}

}  // namespace troupe::actors
