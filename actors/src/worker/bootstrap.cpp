// A worker's chips that come up from configuration: communicators, named buffers, staging.
#include <algorithm>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

/// Checks all of the configuration before any chip is touched.
std::optional<BootstrapPlan::Refusal> WorkerActor::plan_bring_up() {
  std::vector<std::pair<std::int32_t, std::int32_t>> chips;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    if (const auto* chip = std::get_if<ChipConfig>(&children_[i].config))
      chips.emplace_back(static_cast<std::int32_t>(i), static_cast<int>(chip->device_id));
  }
  auto refusal = BootstrapPlan::make(config_->chip_bootstrap_configs, chips, plan_);
  configured_.resize(plan_.groups().size());
  return refusal;
}

/// A chip's device is there. It is up once what its configuration wants is there too.
void WorkerActor::device_ready(std::int32_t index, std::uint32_t life, const ExecutorInfo& info) {
  auto& it = child(index);
  if (it.incarnation != life || it.state != ExecutorState::starting || life_ == Life::stopping) return;
  it.credit = info.credit;
  const auto* chip = plan_.chip(index);
  if (chip == nullptr) return child_up(index, life, info.credit);
  if (chip->group < 0) {
    shared_->configured.set(index, plan_.context(index, nullptr).value());
    return child_up(index, life, info.credit);
  }
  auto& group = configured_[static_cast<std::size_t>(chip->group)];
  group.ready.insert(index);
  form_if_ready(static_cast<std::size_t>(chip->group));
}

void WorkerActor::form_if_ready(std::size_t number) {
  auto& group = configured_[number];
  const auto& plan = plan_.groups()[number];
  if (group.domain != 0 || group.ready.size() != plan.chips.size()) return;
  DomainInfo layout;
  layout.buffers = plan.buffers;
  layout.ranks.resize(plan.chips.size());
  std::vector<DomainMember> members;
  for (const auto chip : plan.chips) {
    auto& it = child(chip);
    BufferPlaces places;
    for (const auto& buffer : plan_.chip(chip)->buffers) places.emplace_back(buffer.offset, buffer.bytes);
    members.push_back(
        {chip, it.incarnation, device_arena(shared_->number, chip), it.name, it.chip, std::move(places)});
  }
  const auto id = start_domain(std::move(layout), plan.window_bytes, std::move(members), configured_run);
  group.domain = id;
  request(domains_.at(id).handle, caf::infinite, Form{})
      .then([this, number, id](Result<DomainInfo>& formed) { configured_formed(number, id, formed); },
            [this, number, id](const caf::error&) {
              Result<DomainInfo> gone(Error(Errc::shut_down, "its communicator ended while it was formed"));
              configured_formed(number, id, gone);
            });
}

void WorkerActor::configured_formed(std::size_t number, std::uint64_t id, Result<DomainInfo>& formed) {
  auto& group = configured_[number];
  if (!formed) domains_.erase(id);
  if (group.domain != id) return;  // a member died meanwhile; its successor brings the next one up
  if (!formed) {
    group.domain = 0;
    return configured_failed(number, formed.error());
  }
  group.info = std::make_shared<const DomainInfo>(*std::move(formed));
  group.loads = 1;  // ours, so that the last answer comes when all have been asked
  const auto& chips = plan_.groups()[number].chips;
  for (std::size_t rank = 0; rank < chips.size(); ++rank) {
    const auto& buffers = plan_.chip(chips[rank])->buffers;
    for (const auto& buffer : buffers) {
      if (!buffer.input) continue;
      ++group.loads;
      StageBuffer load{true, group.info->ranks[rank].base + buffer.offset, buffer.bytes, buffer.input,
                       child(chips[rank]).incarnation};
      const auto what = child(chips[rank]).name;
      request(child(chips[rank]).chip, caf::infinite, std::move(load))
          .then(
              [this, number, id, what](const Result<bool>& answer) {
                loaded(number, id, answer ? std::nullopt : std::optional(answer.error().inside(what)));
              },
              [this, number, id, what](const caf::error&) {
                loaded(number, id, Error(Errc::chip_lost, what + " ended while it was loaded").inside(what));
              });
    }
  }
  loaded(number, id, std::nullopt);
}

void WorkerActor::loaded(std::size_t number, std::uint64_t id, const std::optional<Error>& error) {
  auto& group = configured_[number];
  if (group.domain != id) return;
  if (error) {
    forget_configured(number);
    return configured_failed(number, *error);
  }
  if (--group.loads > 0) return;
  const auto& chips = plan_.groups()[number].chips;
  for (std::size_t rank = 0; rank < chips.size(); ++rank) {
    auto context = plan_.context(chips[rank], &group.info->ranks[rank]);
    if (!context) {
      forget_configured(number);
      return configured_failed(number, context.error().inside(child(chips[rank]).name));
    }
    shared_->configured.set(chips[rank], *std::move(context), group.info);
  }
  for (const auto chip : chips) {
    if (child(chip).state == ExecutorState::starting)
      child_up(chip, child(chip).incarnation, child(chip).credit);
  }
}

/// The chip at fault is the one whose name the error carries; a chip that is up already is not. Where a
/// member is gone, its death is on its way here: it is brought up again, and the communicator with it.
void WorkerActor::configured_failed(std::size_t number, const Error& error) {
  const auto names = [&](const Child& it) {
    return error.path() == it.name || error.path().rfind(it.name + "/", 0) == 0;
  };
  std::int32_t culprit = -1;
  for (const auto chip : plan_.groups()[number].chips) {
    const auto& it = child(chip);
    const bool gone = it.state == ExecutorState::lost || error == comm::Errc::peer_lost;
    if (gone && life_ != Life::starting && names(it)) return;
    if (it.state != ExecutorState::starting) continue;
    if (culprit < 0 || names(it)) culprit = chip;
  }
  if (culprit >= 0) child_failed(culprit, child(culprit).incarnation, error);
}

/// A member is gone: its domain is over for all, and formed anew when the member is back.
void WorkerActor::configured_lost(std::int32_t index) {
  const auto* chip = plan_.chip(index);
  if (chip == nullptr) return;
  if (chip->group < 0) return shared_->configured.forget(index);
  configured_[static_cast<std::size_t>(chip->group)].ready.erase(index);
  forget_configured(static_cast<std::size_t>(chip->group));
}

void WorkerActor::forget_configured(std::size_t number) {
  auto& group = configured_[number];
  for (const auto chip : plan_.groups()[number].chips) shared_->configured.forget(chip);
  if (group.domain != 0) release_domain(group.domain);
  group.domain = 0;
  group.info = nullptr;
}

/// Copies buffers back to their staging: all of them, or those of one name. `then` gets the first error,
/// after all have been tried.
void WorkerActor::store_buffers(const std::string& name, std::function<void(std::optional<Error>)> then) {
  struct Stores {
    std::size_t open = 1;  // ours, so that the last answer comes when all have been asked
    std::optional<Error> error;
    std::function<void(std::optional<Error>)> then;
    void one(const std::optional<Error>& failed) {
      if (failed && !error) error = failed;
      if (--open == 0) then(error);
    }
  };
  auto stores = std::make_shared<Stores>();
  stores->then = std::move(then);
  bool any = false;
  for (const auto& [index, plan] : plan_.chips()) {
    const auto context = shared_->configured.context(index);
    for (const auto& buffer : plan.buffers) {
      if (!buffer.output || (!name.empty() && buffer.name != name)) continue;
      any = true;
      ++stores->open;
      const auto what = child(index).name;
      if (!context) {
        stores->one(Error(Errc::data_lost, "buffer '" + buffer.name + "' died with its chip").inside(what));
        continue;
      }
      StageBuffer store{false, context->buffer_ptrs.at(buffer.name), buffer.bytes, buffer.output,
                        child(index).incarnation};
      request(child(index).chip, caf::infinite, std::move(store))
          .then(
              [stores, what](const Result<bool>& answer) {
                stores->one(answer ? std::nullopt : std::optional(answer.error().inside(what)));
              },
              [stores, what](const caf::error&) {
                stores->one(Error(Errc::chip_lost, what + " ended while it was stored").inside(what));
              });
    }
  }
  if (!any && !name.empty()) {
    stores->error =
        Error(Errc::bad_argument, "no buffer '" + name + "' is stored to the host", "set store_to_host");
  }
  stores->one(std::nullopt);
}

}  // namespace troupe::actors
