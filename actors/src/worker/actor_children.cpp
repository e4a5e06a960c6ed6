// A worker's children: bring-up, supervision, the end.
#include "function/function.hpp"
#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

/// Into the table; placement and programs have their own view of it.
std::int32_t WorkerActor::add_child(const ExecutorConfig& config) {
  const auto index = children_.add(config);
  const auto& it = children_[index];
  placement_.add(it.kind, it.name, it.credit);
  data_.add(it.kind, it.name);
  shared_->executors.show(it.kind, it.name);
  return index;
}

void WorkerActor::spawn_child(std::int32_t index) {
  const auto& it = children_[index];
  const auto path = shared_->path + "/" + it.name;
  const ResultSink sink = caf::actor_cast<ResultSink>(Worker(this));
  if (const auto* chip = std::get_if<ChipConfig>(&it.config)) {
    auto made = spawn_chip(this, services_, with_device(*chip, path, shared_->memory),
                           {it.name, index, it.incarnation, shared_->number, shared_->link}, path,
                           shared_->callables, sink, last_word_);
    children_.spawned(index, made, made);
  } else if (const auto* sub = std::get_if<SubWorkerConfig>(&it.config)) {
    children_.spawned(index,
                      spawn_sub_worker(this, services_, *sub, it.name, index, it.incarnation, path, sink));
  } else {
    const auto& below = std::get<std::shared_ptr<const WorkerConfig>>(it.config);
    const Worker made = spawn<WorkerActor>(
        services_, below, make_shared_of(*below, services_, shared_->pumps, shared_->memory, shared_.get()),
        index, it.incarnation, sink, last_word_);
    children_.spawned(index, made, {}, made);
  }
  monitor(it.handle);
}

void WorkerActor::bring_up(std::int32_t index) {
  children_.starting(index);
  const auto& it = children_[index];
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
              if (up && children_.is_starting(index, life)) data_.takes_moves(index, up->moves);
              up ? device_ready(index, life, up->credit) : child_failed(index, life, up.error());
            },
            failed);
  } else {
    request(it.worker, caf::infinite, StartWorker{})
        .then(
            [this, index, life](const Result<bool>& up) {
              if (!up) return child_failed(index, life, up.error());
              const auto& below = *std::get<std::shared_ptr<const WorkerConfig>>(children_[index].config);
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
  if (const auto refusal = bring_up_.plan(config_->chip_bootstrap_configs, children_)) {
    give_up_start(refusal->error, refusal->chip);
    return promise;
  }
  if (children_.size() == 0) all_up();
  // All together: a collective bring-up needs every chip there.
  for (std::int32_t index = 0; index < children_.size(); ++index) bring_up(index);
  return promise;
}

void WorkerActor::all_up() {
  life_ = Life::up;
  services_->inform(shared_->path, "up" + children_.counted());
  start_promise_.deliver(Result<bool>(true));
}

void WorkerActor::child_up(std::int32_t index, std::uint32_t life, std::uint32_t credit) {
  if (!children_.is_starting(index, life) || life_ == Life::stopping) return;
  children_.up(index, credit);
  placement_.up(index, credit);
  adding_.answer(index, index);
  resetting_.answer(index, true);
  if (life_ != Life::starting) {
    services_->inform(shared_->path, children_[index].name + (life == 0 ? " is up" : " is up again"));
  } else if (children_.all_up()) {
    all_up();
  }
  try_domains();
  dispatch();
  admit();
}

void WorkerActor::child_failed(std::int32_t index, std::uint32_t life, const Error& error) {
  if (!children_.is_starting(index, life) || life_ == Life::stopping) return;
  if (life_ == Life::starting) return give_up_start(error, index);
  // The child is there but cannot work. Its actor ends next; that is not counted as a second failure.
  const auto& it = children_[index];
  demonitor(it.handle.address());
  send_exit(it.handle, caf::exit_reason::user_shutdown);
  if (adding_.has(index)) return retire(index, error);
  children_.did_not_come(index);
  child_lost(index, error);
}

/// All come up or none.
void WorkerActor::give_up_start(const Error& error, std::int32_t index) {
  life_ = Life::stopping;
  data_.recover_no_more();
  start_error_ = children_.not_started(index, error);
  stop_children();
}

void WorkerActor::child_down(const caf::down_msg& down) {
  if (domains_.ended(down.source)) return;
  const auto index = children_.find(down.source);
  if (!index) return;
  const auto reason =
      error_from(down.reason, Error(Errc::chip_lost, shared_->path + "/" + children_[*index].name + " died"));
  if (life_ == Life::stopping) {  // nobody waits any longer for what it was to store
    if (children_[*index].kind == ExecutorKind::chip) data_.down(*index, reason);
    return send_orders();  // others may be to store it instead
  }
  // Also when it had come up before the others.
  life_ == Life::starting ? give_up_start(reason, *index) : child_lost(*index, reason);
}

/// Nothing of what the executor had is there any more: its tasks are lost, and what only it had.
void WorkerActor::down(std::int32_t index, const Error& reason) {
  if (children_[index].kind == ExecutorKind::chip) {
    data_.lost(index, placement_.unanswered(index));
    data_.down(index, reason);
  }
  route(placement_.down(index, reason));
  data_changed();
}

/// It is restarted when nothing of it is left: its devices may still write what its tasks write, and its last
/// word comes when they cannot.
void WorkerActor::child_lost(std::int32_t index, const Error& reason) {
  children_.lost(index, reason);
  placement_.suspend(index);
  placement_.expect_back(index, true);
  configured_lost(index);
  buried(index);
}

/// Nothing of a child that died is left: it is restarted in place, with a fresh context, or out of use.
void WorkerActor::buried(std::int32_t index) {
  if (life_ == Life::stopping) return;
  const auto fate = children_.bury(index, clock().now());
  if (!fate) return;
  down(index, fate->died);
  if (fate->out_of_use) return retire(index, *fate->out_of_use, fate->told);
  const auto& it = children_[index];
  if (!fate->told) services_->warn(shared_->path, it.name + " is restarted: " + fate->died.message());
  if (fate->after.count() != 0) {
    children_.starting(index);
    // One that has been tried often may be away for long, or for good.
    constexpr unsigned often = 4;
    if (it.tries >= often) placement_.expect_back(index, false);
    call_after(this, fate->after, [this, index, life = it.incarnation] {
      if (children_.is_starting(index, life) && life_ != Life::stopping) bring_up(index);
    });
    return dispatch();
  }
  if (const auto& recorder = services_->recorder()) {
    recorder->mark(shared_->path + "/" + it.name, "restarted", fate->died.message());
  }
  bring_up(index);
  dispatch();
}

void WorkerActor::retire(std::int32_t index, const Error& reason, bool told) {
  children_.retire(index);
  route(placement_.retire(index, reason));
  configured_lost(index);
  resetting_.answer(index, reason);
  adding_.answer(index, reason);
  try_domains();
  if (removing_.has(index)) {
    removing_.answer(index, true);
  } else if (!told) {
    services_->log(1, shared_->path, reason.message());
  }
  dispatch();
  if (!children_.was_last(index)) return;
  // Nothing left to work with: the level above decides.
  const auto escalated =
      Error(Errc::node_failed, "all executors of " + config_->name + " are out of use").caused_by(reason);
  for (const auto& [id, active] : admission_.active()) send(active.run, CancelRun{escalated});
  drop_all(escalated, Outcome::lost);
  if (above_) quit(exit_with(escalated));
}

}  // namespace troupe::actors
