#include "worker/configured_bring_up.hpp"

#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::actors {

std::optional<BootstrapPlan::Refusal> ConfiguredBringUp::plan(
    const std::vector<comm::ChipBootstrapConfig>& configs, const Children& children) {
  std::vector<std::pair<std::int32_t, std::int32_t>> chips;
  for (std::int32_t index = 0; index < children.size(); ++index) {
    if (const auto* chip = std::get_if<ChipConfig>(&children[index].config))
      chips.emplace_back(index, static_cast<int>(chip->device_id));
  }
  auto refusal = BootstrapPlan::make(configs, chips, plan_);
  groups_.resize(plan_.groups().size());
  return refusal;
}

ConfiguredBringUp::Step ConfiguredBringUp::device_ready(std::int32_t index) {
  const auto* chip = plan_.chip(index);
  if (chip == nullptr) return Step::up;
  if (chip->group < 0) {
    shown_.set(index, plan_.context(index, nullptr).value());
    return Step::up;
  }
  auto& group = groups_[group_of(index)];
  group.ready.insert(index);
  const bool all = group.ready.size() == chips(group_of(index)).size();
  return all && group.domain == 0 ? Step::form : Step::waits;
}

std::size_t ConfiguredBringUp::group_of(std::int32_t chip) const {
  return static_cast<std::size_t>(plan_.chip(chip)->group);
}

ConfiguredBringUp::Forming ConfiguredBringUp::forming(std::size_t number, const Children& children) const {
  const auto& group = plan_.groups()[number];
  Forming forming;
  forming.window_bytes = group.window_bytes;
  forming.layout.buffers = group.buffers;
  forming.layout.ranks.resize(group.chips.size());
  for (const auto chip : group.chips) {
    const auto& it = children[chip];
    BufferPlaces places;
    for (const auto& buffer : plan_.chip(chip)->buffers) places.emplace_back(buffer.offset, buffer.bytes);
    forming.members.push_back(
        {chip, it.incarnation, device_arena(node_, chip), it.name, it.chip, std::move(places)});
  }
  return forming;
}

std::vector<ConfiguredBringUp::Staging> ConfiguredBringUp::formed(std::size_t number, DomainInfo info,
                                                                  const Children& children) {
  auto& group = groups_[number];
  group.info = std::make_shared<const DomainInfo>(std::move(info));
  std::vector<Staging> loads;
  for (std::size_t rank = 0; rank < chips(number).size(); ++rank) {
    const auto chip = chips(number)[rank];
    for (const auto& buffer : plan_.chip(chip)->buffers) {
      if (!buffer.input) continue;
      const auto address = group.info->ranks[rank].base + buffer.offset;
      loads.push_back({chip, buffer.name,
                       StageBuffer{true, address, buffer.bytes, buffer.input, children[chip].incarnation}});
    }
  }
  group.loads = 1 + loads.size();
  return loads;
}

Result<bool> ConfiguredBringUp::loaded(std::size_t number, const Children& children) {
  auto& group = groups_[number];
  if (--group.loads > 0) return false;
  for (std::size_t rank = 0; rank < chips(number).size(); ++rank) {
    const auto chip = chips(number)[rank];
    auto context = plan_.context(chip, &group.info->ranks[rank]);
    if (!context) return context.error().inside(children[chip].name);
    shown_.set(chip, *std::move(context), group.info);
  }
  return true;
}

std::uint64_t ConfiguredBringUp::forget(std::size_t number) {
  auto& group = groups_[number];
  for (const auto chip : chips(number)) shown_.forget(chip);
  group.info = nullptr;
  return std::exchange(group.domain, 0);
}

std::uint64_t ConfiguredBringUp::lost(std::int32_t index) {
  const auto* chip = plan_.chip(index);
  if (chip == nullptr) return 0;
  if (chip->group < 0) {
    shown_.forget(index);
    return 0;
  }
  groups_[group_of(index)].ready.erase(index);
  return forget(group_of(index));
}

std::int32_t ConfiguredBringUp::culprit(std::size_t group, const Error& error, const Children& children,
                                        bool starting) const {
  const auto names = [&](const Children::Child& it) {
    return error.path() == it.name || error.path().rfind(it.name + "/", 0) == 0;
  };
  std::int32_t culprit = -1;
  for (const auto chip : chips(group)) {
    const auto& it = children[chip];
    const bool gone = it.state == ExecutorState::lost || error == comm::Errc::peer_lost;
    if (gone && !starting && names(it)) return -1;
    if (it.state != ExecutorState::starting) continue;
    if (culprit < 0 || names(it)) culprit = chip;
  }
  return culprit;
}

Result<std::vector<ConfiguredBringUp::Staging>> ConfiguredBringUp::stores(const std::string& name,
                                                                          const Children& children) const {
  std::vector<Staging> stores;
  for (const auto& [chip, plan] : plan_.chips()) {
    const auto context = shown_.context(chip);
    for (const auto& buffer : plan.buffers) {
      if (!buffer.output || (!name.empty() && buffer.name != name)) continue;
      Staging store{chip, buffer.name, std::nullopt};
      if (context) {
        store.order = StageBuffer{false, context->buffer_ptrs.at(buffer.name), buffer.bytes, buffer.output,
                                  children[chip].incarnation};
      }
      stores.push_back(std::move(store));
    }
  }
  if (stores.empty() && !name.empty()) {
    return Error(Errc::bad_argument, "no buffer '" + name + "' is stored to the host", "set store_to_host");
  }
  return stores;
}

}  // namespace troupe::actors
