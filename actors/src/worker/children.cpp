// A worker's children: bring-up, supervision, the end.
#include <algorithm>

#include "function/function.hpp"
#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

std::int32_t WorkerActor::add_child(const ExecutorConfig& config) {
  const auto index = static_cast<std::int32_t>(children_.size());
  Child made;
  made.config = config;
  std::uint32_t credit = 64;
  if (const auto* chip = std::get_if<ChipConfig>(&config)) {
    made.kind = ExecutorKind::chip;
    made.name = "chip" + std::to_string(index);
    credit = static_cast<std::uint32_t>(chip->credit);
    ++shared_->chips;
  } else if (std::holds_alternative<SubWorkerConfig>(config)) {
    made.kind = ExecutorKind::sub_worker;
    made.name = "sub" + std::to_string(shared_->sub_workers++);
  } else {
    const auto& below = *std::get<std::shared_ptr<const WorkerConfig>>(config);
    made.kind = ExecutorKind::worker;
    made.name = below.name;
    credit = static_cast<std::uint32_t>(below.max_runs);
    ++shared_->chips;
    shared_->of_workers = true;
  }
  {
    std::lock_guard guard(shared_->kinds_mutex);
    shared_->kinds.push_back(made.kind);
  }
  placement_.add(made.kind, made.name, credit);
  children_.push_back(std::move(made));
  return index;
}

void WorkerActor::spawn_child(std::int32_t index) {
  auto& it = child(index);
  const auto path = shared_->path + "/" + it.name;
  const ResultSink sink = caf::actor_cast<ResultSink>(Worker(this));
  if (const auto* chip = std::get_if<ChipConfig>(&it.config)) {
    it.chip = spawn_chip(this, services_, *chip, {it.name, index, it.incarnation, shared_->number}, path,
                         shared_->callables, sink, last_word_);
    it.handle = it.chip;
  } else if (const auto* sub = std::get_if<SubWorkerConfig>(&it.config)) {
    it.handle = spawn_sub_worker(this, services_, *sub, it.name, index, it.incarnation, path, sink);
  } else {
    const auto& below = std::get<std::shared_ptr<const WorkerConfig>>(it.config);
    it.worker =
        spawn<WorkerActor>(services_, below, make_shared_of(*below, services_, shared_->pumps, shared_.get()),
                           index, it.incarnation, sink, last_word_);
    it.handle = it.worker;
  }
  monitor(it.handle);
}

void WorkerActor::bring_up(std::int32_t index) {
  auto& it = child(index);
  it.state = ExecutorState::starting;
  if (!it.handle) spawn_child(index);
  const auto life = it.incarnation;
  const Error gone(Errc::chip_lost, it.name + " ended while it was brought up");
  auto failed = [this, index, life, gone](const caf::error& error) {
    child_failed(index, life, error_from(error, gone));
  };
  if (it.kind == ExecutorKind::sub_worker) {
    request(it.handle, caf::infinite, Describe{})
        .then([this, index, life](const ExecutorInfo& info) { child_up(index, life, info.credit); }, failed);
  } else if (it.kind == ExecutorKind::chip) {
    request(it.chip, caf::infinite, BringUp{})
        .then(
            [this, index, life](const Result<ExecutorInfo>& up) {
              up ? device_ready(index, life, *up) : child_failed(index, life, up.error());
            },
            failed);
  } else {
    request(it.worker, caf::infinite, StartWorker{})
        .then(
            [this, index, life](const Result<bool>& up) {
              if (!up) return child_failed(index, life, up.error());
              const auto& below = *std::get<std::shared_ptr<const WorkerConfig>>(child(index).config);
              child_up(index, life, static_cast<std::uint32_t>(below.max_runs));
            },
            failed);
  }
}

caf::typed_response_promise<Result<bool>> WorkerActor::start_all() {
  auto promise = replies_.owe<Result<bool>>();
  if (life_ != Life::created) {
    promise.deliver(Result<bool>(Error(Errc::wrong_state, shared_->path + " has been started before")));
    return promise;
  }
  life_ = Life::starting;
  start_promise_ = promise;
  starting_ = children_.size();
  if (const auto refusal = plan_bring_up()) {
    give_up_start(refusal->error, refusal->chip);
    return promise;
  }
  if (starting_ == 0) all_up();
  // All together: a collective bring-up needs every chip there.
  for (std::size_t i = 0; i < children_.size(); ++i) bring_up(static_cast<std::int32_t>(i));
  return promise;
}

void WorkerActor::all_up() {
  life_ = Life::up;
  std::size_t counts[3] = {};
  for (const auto& it : children_) ++counts[static_cast<std::size_t>(it.kind)];
  std::string text;
  const auto count = [&](ExecutorKind kind, const char* what) {
    const auto n = counts[static_cast<std::size_t>(kind)];
    if (n == 0) return;
    text += (text.empty() ? " with " : ", ") + std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  count(ExecutorKind::chip, "chip");
  count(ExecutorKind::worker, "node");
  count(ExecutorKind::sub_worker, "sub-worker");
  services_->inform(shared_->path, "up" + text);
  start_promise_.deliver(Result<bool>(true));
}

void WorkerActor::child_up(std::int32_t index, std::uint32_t life, std::uint32_t credit) {
  auto& it = child(index);
  if (it.incarnation != life || it.state != ExecutorState::starting || life_ == Life::stopping) return;
  it.state = ExecutorState::up;
  it.credit = credit;
  placement_.up(index, credit);
  if (auto asked = adding_.find(index); asked != adding_.end()) {
    asked->second.deliver(Result<std::int32_t>(index));
    adding_.erase(asked);
  }
  if (auto asked = resetting_.find(index); asked != resetting_.end()) {
    asked->second.deliver(Result<bool>(true));
    resetting_.erase(asked);
  }
  if (life_ == Life::starting) {
    if (--starting_ == 0) all_up();
  } else {
    services_->inform(shared_->path, it.name + (life == 0 ? " is up" : " is up again"));
  }
  try_domains();
  move();
  admit();
}

void WorkerActor::child_failed(std::int32_t index, std::uint32_t life, const Error& error) {
  auto& it = child(index);
  if (it.incarnation != life || it.state != ExecutorState::starting || life_ == Life::stopping) return;
  if (life_ == Life::starting) return give_up_start(error, index);
  // The child is there but cannot work: its end (which follows) is no other failure, only the end of this
  // one.
  demonitor(it.handle.address());
  send_exit(it.handle, caf::exit_reason::user_shutdown);
  if (auto asked = adding_.find(index); asked != adding_.end()) {
    asked->second.deliver(Result<std::int32_t>(error));
    adding_.erase(asked);
    return retire(index, error);
  }
  child_lost(index, error);
}

void WorkerActor::give_up_start(const Error& error, std::int32_t index) {
  std::string pending;
  for (const auto& it : children_) {
    if (it.state == ExecutorState::starting && it.kind != ExecutorKind::sub_worker && &it != &child(index))
      pending += (pending.empty() ? "" : ", ") + it.name;
  }
  const auto& failed = child(index);
  const auto what = failed.kind == ExecutorKind::chip ? "chip " + std::to_string(index) : failed.name;
  Error all(Errc::bootstrap_failed, what + " bootstrap failed: " + error.message(),
            pending.empty() ? error.hint() : "still pending: " + pending);
  all = all.caused_by(error).inside(config_->name);
  life_ = Life::stopping;
  start_error_ = all;
  stop_children();
}

void WorkerActor::child_down(const caf::down_msg& down) {
  if (domain_down(down)) return;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    auto& it = children_[i];
    if (!it.handle || it.handle.address() != down.source || it.state == ExecutorState::retired) continue;
    const auto index = static_cast<std::int32_t>(i);
    const Error fallback(Errc::chip_lost, shared_->path + "/" + it.name + " died");
    const auto reason = error_from(down.reason, fallback);
    if (life_ == Life::stopping) return;
    // All come up or none, also when one had come up before the others.
    return life_ == Life::starting ? give_up_start(reason, index) : child_lost(index, reason);
  }
}

/// It is restarted when nothing of it is left: its devices may still write what its tasks write, and its last
/// word comes when they cannot.
void WorkerActor::child_lost(std::int32_t index, const Error& reason) {
  auto& it = child(index);
  it.died = reason;
  it.state = ExecutorState::lost;
  placement_.suspend(index);
  configured_lost(index);
  if (it.kind == ExecutorKind::sub_worker) it.gone = true;
  buried(index);
}

/// Nothing of a child that died is left.
void WorkerActor::buried(std::int32_t index) {
  auto& it = child(index);
  if (!it.died || !it.gone || life_ == Life::stopping) return;
  const auto reason = *std::exchange(it.died, std::nullopt);
  it.removing ? retire(index, reason) : restart(index, reason);
}

/// In place, with a fresh context and the next incarnation; not without end.
void WorkerActor::restart(std::int32_t index, const Error& reason) {
  auto& it = child(index);
  route(placement_.down(index, reason));
  const auto now = clock().now();
  it.restarts.push_back(now);
  while (!it.restarts.empty() && now - it.restarts.front() > config_->restart.within) it.restarts.pop_front();
  if (std::cmp_greater(it.restarts.size(), config_->restart.restarts)) {
    return retire(index, Error(Errc::chip_retired, it.name + " died " + std::to_string(it.restarts.size()) +
                                                       " times in a short while and is out of use")
                             .caused_by(reason));
  }
  services_->warn(shared_->path, it.name + " is restarted: " + reason.message());
  if (const auto& recorder = services_->recorder()) {
    recorder->mark(shared_->path + "/" + it.name, "restarted", reason.message());
  }
  ++it.incarnation;
  it.handle = nullptr;
  it.gone = false;
  bring_up(index);
  move();
}

void WorkerActor::retire(std::int32_t index, const Error& reason) {
  auto& it = child(index);
  it.state = ExecutorState::retired;
  it.handle = nullptr;
  it.chip = nullptr;
  it.worker = nullptr;
  route(placement_.retire(index, reason));
  configured_lost(index);
  if (auto asked = resetting_.find(index); asked != resetting_.end()) {
    asked->second.deliver(Result<bool>(reason));
    resetting_.erase(asked);
  }
  if (auto asked = adding_.find(index); asked != adding_.end()) {
    asked->second.deliver(Result<std::int32_t>(reason));
    adding_.erase(asked);
  }
  try_domains();
  if (it.removing) {
    it.removed.deliver(Result<bool>(true));
  } else {
    services_->log(1, shared_->path, reason.message());
  }
  move();
  const bool any_left = std::any_of(children_.begin(), children_.end(), [&](const Child& other) {
    return other.kind == it.kind && other.state != ExecutorState::retired;
  });
  if (any_left || it.kind == ExecutorKind::sub_worker || it.removing) return;
  // Nothing left to work with: the level above decides.
  const auto escalated =
      Error(Errc::node_failed, "all executors of " + config_->name + " are out of use").caused_by(reason);
  for (auto& [id, active] : runs_) send(active.run, CancelRun{escalated});
  for (auto& waiting : waiting_) drop(waiting, escalated, Outcome::lost);
  waiting_.clear();
  if (above_) quit(exit_with(escalated));
}

}  // namespace troupe::actors
