// A worker's chips that come up from configuration: what is sent for it.
#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

/// A chip's device is there. It is up once what its configuration wants is there too.
void WorkerActor::device_ready(std::int32_t index, std::uint32_t life, std::uint32_t credit) {
  if (!children_.is_starting(index, life) || life_ == Life::stopping) return;
  children_.granted(index, credit);
  const auto step = bring_up_.device_ready(index);
  if (step == ConfiguredBringUp::Step::up) return child_up(index, life, credit);
  if (step == ConfiguredBringUp::Step::form) form_configured(bring_up_.group_of(index));
}

void WorkerActor::form_configured(std::size_t group) {
  auto forming = bring_up_.forming(group, children_);
  const auto id = start_domain(std::move(forming.layout), forming.window_bytes, std::move(forming.members),
                               Domains::configured);
  bring_up_.forms(group, id);
  request(*domains_.find(id), caf::infinite, Form{})
      .then([this, group, id](Result<DomainInfo>& formed) { configured_formed(group, id, formed); },
            [this, group, id](const caf::error&) {
              Result<DomainInfo> gone(Error(Errc::shut_down, "its communicator ended while it was formed"));
              configured_formed(group, id, gone);
            });
}

void WorkerActor::configured_formed(std::size_t group, std::uint64_t id, Result<DomainInfo>& formed) {
  if (!formed) domains_.forget(id);
  if (!bring_up_.has(group, id)) return;
  if (!formed) {
    bring_up_.not_formed(group);
    return configured_failed(group, formed.error());
  }
  for (auto& load : bring_up_.formed(group, *std::move(formed), children_)) {
    stage(load, "loaded", [this, group, id](const std::optional<Error>& error) { loaded(group, id, error); });
  }
  loaded(group, id, std::nullopt);
}

void WorkerActor::loaded(std::size_t group, std::uint64_t id, const std::optional<Error>& error) {
  if (!bring_up_.has(group, id)) return;
  const auto all = error ? Result<bool>(*error) : bring_up_.loaded(group, children_);
  if (!all) {
    release_domain(bring_up_.forget(group));
    return configured_failed(group, all.error());
  }
  if (!*all) return;
  for (const auto chip : bring_up_.chips(group)) {
    const auto& it = children_[chip];
    if (it.state == ExecutorState::starting) child_up(chip, it.incarnation, it.credit);
  }
}

void WorkerActor::configured_failed(std::size_t group, const Error& error) {
  const auto culprit = bring_up_.culprit(group, error, children_, life_ == Life::starting);
  if (culprit >= 0) child_failed(culprit, children_[culprit].incarnation, error);
}

/// A member is gone: its domain is over for all, and formed anew when the member is back.
void WorkerActor::configured_lost(std::int32_t index) { release_domain(bring_up_.lost(index)); }

/// Asks a chip for a copy. `then` gets the error, if there is one; `done`: "loaded".
void WorkerActor::stage(ConfiguredBringUp::Staging& staging, const std::string& done,
                        const std::function<void(const std::optional<Error>&)>& then) {
  const auto what = children_[staging.chip].name;
  if (!staging.order) {
    return then(Error(Errc::data_lost, "buffer '" + staging.buffer + "' died with its chip").inside(what));
  }
  request(children_[staging.chip].chip, caf::infinite, *std::move(staging.order))
      .then(
          [then, what](const Result<bool>& answer) {
            then(answer ? std::nullopt : std::optional(answer.error().inside(what)));
          },
          [then, what, done](const caf::error&) {
            then(Error(Errc::chip_lost, what + " ended while it was " + done).inside(what));
          });
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
  auto wanted = bring_up_.stores(name, children_);
  if (!wanted) return stores->one(wanted.error());
  stores->open += wanted->size();
  for (auto& store : *wanted)
    stage(store, "stored", [stores](const std::optional<Error>& error) { stores->one(error); });
  stores->one(std::nullopt);
}

}  // namespace troupe::actors
