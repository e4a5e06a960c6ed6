#include "worker/domains.hpp"

#include "troupe/actors/errc.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::actors {

Result<Domains::Plan> Domains::plan(const DomainSpec& spec, const Children& chips, std::uint32_t node) {
  if (spec.chips.empty() || spec.chips.size() > comm::max_ranks) {
    return Error(Errc::bad_argument,
                 "a domain has 1 to " + std::to_string(comm::max_ranks) + " ranks, not " +
                     std::to_string(spec.chips.size()),
                 "use fewer chips, or several domains");
  }
  if (std::set<int>(spec.chips.begin(), spec.chips.end()).size() != spec.chips.size()) {
    return Error(Errc::bad_argument, "a chip is named twice in one domain");
  }
  Plan plan;
  auto layout = layout_of(spec, plan.window_bytes);
  if (!layout) return layout.error();
  plan.layout = *std::move(layout);
  for (const int chip : spec.chips) {
    const auto access = chips.chip(chip);
    if (access) {
      plan.members.push_back(
          {chip, access->incarnation, device_arena(node, chip), chips[chip].name, access->chip});
    } else if (access.error() == Errc::chip_lost && chips[chip].state != ExecutorState::retired) {
      plan.coming = true;
    } else {
      return access.error();
    }
  }
  return plan;
}

const Communicator* Domains::find(std::uint64_t domain) const {
  const auto known = domains_.find(domain);
  return known == domains_.end() ? nullptr : &known->second.handle;
}

bool Domains::ended(const caf::actor_addr& who) {
  return std::erase_if(domains_, [&](const auto& it) { return it.second.handle.address() == who; }) != 0;
}

void Domains::released(std::uint64_t domain) {
  if (auto known = domains_.find(domain); known != domains_.end()) known->second.run = 0;
}

Domains::Leaving Domains::run_ended(RunId run) {
  Leaving leaving;
  if (auto met = met_.extract(run)) {
    for (const auto domain : met.mapped()) {
      if (domains_.count(domain) != 0) leaving.withdraw.push_back(domain);
    }
  }
  for (const auto& [domain, it] : domains_) {
    if (it.run == run) leaving.release.push_back(domain);
  }
  return leaving;
}

std::vector<Communicator> Domains::all() const {
  std::vector<Communicator> handles;
  for (const auto& [domain, it] : domains_) handles.push_back(it.handle);
  return handles;
}

}  // namespace troupe::actors
