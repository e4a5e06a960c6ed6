// A worker's communication domains.
#include <set>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/window.hpp"
#include "worker_actor.hpp"

namespace troupe::actors {

caf::typed_response_promise<Result<DomainInfo>> WorkerActor::allocate_domain(const AllocateDomain& order) {
  auto promise = make_response_promise<Result<DomainInfo>>();
  auto refuse = [&](Error error) {
    promise.deliver(Result<DomainInfo>(std::move(error)));
    return promise;
  };
  const auto& chips = order.spec.chips;
  if (chips.empty() || chips.size() > comm::max_ranks) {
    return refuse({Errc::bad_argument, "a domain has 1 to " + std::to_string(comm::max_ranks) +
                                           " ranks, not " + std::to_string(chips.size())});
  }
  if (std::set<int>(chips.begin(), chips.end()).size() != chips.size()) {
    return refuse({Errc::bad_argument, "a chip is named twice in one domain"});
  }
  std::uint64_t window_bytes = 0;
  auto layout = layout_of(order.spec, window_bytes);
  if (!layout) return refuse(layout.error());
  std::vector<DomainMember> members;
  for (const int chip : chips) {
    auto handle = chip_of(chip);
    if (!handle) return refuse(handle.error());
    members.push_back({chip, child(chip).incarnation, device_arena(chip), child(chip).name, handle->chip});
  }
  const auto id = next_domain_++;
  layout->id = id;
  layout->epoch = id;
  const auto path = shared_->path + "/domain" + std::to_string(id);
  auto domain =
      spawn_communicator(this, services_, *std::move(layout), window_bytes, std::move(members), path);
  domains_.emplace(id, ActiveDomain{domain, order.run});
  request(domain, caf::infinite, Form{})
      .then(
          [this, promise, id](Result<DomainInfo>& formed) mutable {
            if (!formed) domains_.erase(id);
            promise.deliver(std::move(formed));
          },
          [this, promise, id, path](const caf::error&) mutable {
            domains_.erase(id);
            promise.deliver(Result<DomainInfo>(Error(Errc::shut_down, path + " ended while it was formed")));
          });
  return promise;
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

/// A run ended: the domains it forgot go too, and those it released are not needed any more.
void WorkerActor::sweep_domains(RunId run) {
  for (auto it = domains_.begin(); it != domains_.end();) {
    if (it->second.run == run) send(it->second.handle, Dissolve{});
    if (it->second.run == run || it->second.run == 0) {
      it = domains_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace troupe::actors
