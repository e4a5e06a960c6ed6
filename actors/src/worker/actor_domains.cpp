// A worker's communication domains.
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

caf::typed_response_promise<Result<DomainInfo>> WorkerActor::allocate_domain(const AllocateDomain& order) {
  auto promise = replies_.owe<Result<DomainInfo>>();
  try_domain({order, promise});
  return promise;
}

void WorkerActor::try_domain(Domains::Waiting waiting) {
  auto plan = Domains::plan(waiting.order.spec, children_, shared_->number);
  if (!plan) return waiting.promise.deliver(Result<DomainInfo>(plan.error()));
  if (plan->coming) return domains_.wait(std::move(waiting));
  const auto id =
      start_domain(std::move(plan->layout), plan->window_bytes, std::move(plan->members), waiting.order.run);
  const auto path = shared_->path + "/domain" + std::to_string(id);
  request(*domains_.find(id), caf::infinite, Form{})
      .then(
          [this, promise = waiting.promise, id](Result<DomainInfo>& formed) {
            if (!formed) domains_.forget(id);
            promise.deliver(std::move(formed));
          },
          [this, promise = waiting.promise, id, path](const caf::error&) {
            domains_.forget(id);
            promise.deliver(Result<DomainInfo>(Error(Errc::shut_down, path + " ended while it was formed")));
          });
}

/// A chip is back, or will not come back.
void WorkerActor::try_domains() {
  for (auto& waiting : domains_.take_waiting()) {
    // Its run may have ended meanwhile.
    if (admission_.find(waiting.order.run) != nullptr) try_domain(std::move(waiting));
  }
}

/// The actor of a domain that is to be formed.
std::uint64_t WorkerActor::start_domain(DomainInfo layout, std::uint64_t window_bytes,
                                        std::vector<DomainMember> members, RunId run) {
  const auto id = domains_.next_number();
  layout.id = id;
  layout.epoch = id;
  layout.system = services_;
  auto handle = spawn_communicator(this, services_, std::move(layout), window_bytes, std::move(members),
                                   shared_->path + "/domain" + std::to_string(id));
  monitor(handle);
  domains_.add(id, std::move(handle), run);
  return id;
}

void WorkerActor::hold_domain(const HoldDomain& hold) {
  if (const auto* known = domains_.find(hold.domain)) send(*known, Hold{hold.delta});
}

void WorkerActor::release_domain(std::uint64_t domain) {
  if (const auto* known = domains_.find(domain)) send(*known, Dissolve{});
  domains_.released(domain);
}

caf::result<Result<std::uint64_t>> WorkerActor::barrier(const BarrierOf& order) {
  const auto* known = domains_.find(order.domain);
  if (known == nullptr || admission_.find(order.barrier.run) == nullptr) {
    return Result<std::uint64_t>(
        Error(comm::Errc::peer_lost,
              shared_->path + "/domain" + std::to_string(order.domain) +
                  " is over: it was released, or a member died",
              "a communicator of the configuration is formed anew: configured_domain() has it"));
  }
  domains_.met(order.domain, order.barrier.run);
  return delegate(*known, order.barrier);
}

/// A run ended: it waits at no barrier any more, and the domains it forgot go too.
void WorkerActor::sweep_domains(RunId run) {
  const auto leaving = domains_.run_ended(run);
  for (const auto domain : leaving.withdraw) send(*domains_.find(domain), Withdraw{run});
  for (const auto domain : leaving.release) release_domain(domain);
}

}  // namespace troupe::actors
