// A worker's communication domains.
#include <set>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/window.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

caf::typed_response_promise<Result<DomainInfo>> WorkerActor::allocate_domain(const AllocateDomain& order) {
  auto promise = replies_.owe<Result<DomainInfo>>();
  try_domain({order, promise});
  return promise;
}

void WorkerActor::try_domain(WaitingDomain waiting) {
  auto refuse = [&](Error error) { waiting.promise.deliver(Result<DomainInfo>(std::move(error))); };
  const auto& spec = waiting.order.spec;
  const auto& chips = spec.chips;
  if (chips.empty() || chips.size() > comm::max_ranks) {
    return refuse({Errc::bad_argument,
                   "a domain has 1 to " + std::to_string(comm::max_ranks) + " ranks, not " +
                       std::to_string(chips.size()),
                   "use fewer chips, or several domains"});
  }
  if (std::set<int>(chips.begin(), chips.end()).size() != chips.size()) {
    return refuse({Errc::bad_argument, "a chip is named twice in one domain"});
  }
  std::uint64_t window_bytes = 0;
  auto layout = layout_of(spec, window_bytes);
  if (!layout) return refuse(layout.error());
  std::vector<DomainMember> members;
  bool coming = false;
  for (const int chip : chips) {
    auto handle = chip_of(chip);
    if (!handle && handle.error() == Errc::chip_lost && child(chip).state != ExecutorState::retired) {
      coming = true;
      continue;
    }
    if (!handle) return refuse(handle.error());
    members.push_back(
        {chip, child(chip).incarnation, device_arena(shared_->number, chip), child(chip).name, handle->chip});
  }
  // A chip that is being restarted comes back, or is retired.
  if (coming) return waiting_domains_.push_back(std::move(waiting));
  const auto id = start_domain(*std::move(layout), window_bytes, std::move(members), waiting.order.run);
  const auto path = shared_->path + "/domain" + std::to_string(id);
  request(domains_.at(id).handle, caf::infinite, Form{})
      .then(
          [this, promise = waiting.promise, id](Result<DomainInfo>& formed) {
            if (!formed) domains_.erase(id);
            promise.deliver(std::move(formed));
          },
          [this, promise = waiting.promise, id, path](const caf::error&) {
            domains_.erase(id);
            promise.deliver(Result<DomainInfo>(Error(Errc::shut_down, path + " ended while it was formed")));
          });
}

/// A chip is back, or will not come back.
void WorkerActor::try_domains() {
  for (auto& waiting : std::exchange(waiting_domains_, {})) {
    // Its run may have ended meanwhile.
    if (runs_.count(waiting.order.run) != 0) try_domain(std::move(waiting));
  }
}

/// The actor of a domain that is to be formed.
std::uint64_t WorkerActor::start_domain(DomainInfo layout, std::uint64_t window_bytes,
                                        std::vector<DomainMember> members, RunId run) {
  const auto id = next_domain_++;
  layout.id = id;
  layout.epoch = id;
  layout.system = services_;
  auto handle = spawn_communicator(this, services_, std::move(layout), window_bytes, std::move(members),
                                   shared_->path + "/domain" + std::to_string(id));
  monitor(handle);
  domains_.emplace(id, ActiveDomain{std::move(handle), run});
  return id;
}

void WorkerActor::hold_domain(const HoldDomain& hold) {
  if (auto known = domains_.find(hold.domain); known != domains_.end())
    send(known->second.handle, Hold{hold.delta});
}

void WorkerActor::release_domain(std::uint64_t id) {
  const auto known = domains_.find(id);
  if (known == domains_.end()) return;
  send(known->second.handle, Dissolve{});
  known->second.run = 0;
}

caf::result<Result<std::uint64_t>> WorkerActor::barrier(const BarrierOf& order) {
  const auto known = domains_.find(order.domain);
  const auto run = runs_.find(order.barrier.run);
  if (known == domains_.end() || run == runs_.end()) {
    return Result<std::uint64_t>(
        Error(comm::Errc::peer_lost,
              shared_->path + "/domain" + std::to_string(order.domain) +
                  " is over: it was released, or a member died",
              "a communicator of the configuration is formed anew: configured_domain() has it"));
  }
  run->second.met.insert(order.domain);
  return delegate(known->second.handle, order.barrier);
}

/// A run ended: it waits at no barrier any more, and the domains it forgot go too.
void WorkerActor::sweep_domains(RunId run, const std::set<std::uint64_t>& met) {
  for (const auto id : met) {
    if (auto known = domains_.find(id); known != domains_.end()) send(known->second.handle, Withdraw{run});
  }
  for (auto& [id, domain] : domains_) {
    if (domain.run == run) release_domain(id);
  }
}

/// Whether that was a domain: it has ended with its last task, and is forgotten.
bool WorkerActor::domain_down(const caf::down_msg& down) {
  return std::erase_if(domains_, [&](const auto& domain) {
           return domain.second.handle.address() == down.source;
         }) != 0;
}

}  // namespace troupe::actors
