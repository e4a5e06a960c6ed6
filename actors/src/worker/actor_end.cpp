// A worker's children that come and go, and the end of all.
#include <algorithm>

#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {

caf::typed_response_promise<Result<std::int32_t>> WorkerActor::add_executor(const AddExecutor& add) {
  auto promise = replies_.owe<Result<std::int32_t>>();
  if (life_ != Life::up) {
    promise.deliver(life_ == Life::stopping ? going_down()
                                            : Error(Errc::wrong_state, shared_->path + " is not up"));
    return promise;
  }
  const auto index = add_child(add.config);
  adding_.add(index, promise);
  bring_up(index);
  return promise;
}

caf::typed_response_promise<Result<bool>> WorkerActor::remove_executor(std::int32_t index) {
  auto promise = replies_.owe<Result<bool>>();
  if (life_ == Life::stopping) {
    promise.deliver(going_down());
    return promise;
  }
  if (const auto leaves = children_.remove(index); !leaves) {
    promise.deliver(leaves);
    return promise;
  }
  removing_.add(index, promise);
  shared_->executors.hide(index);
  placement_.close_lane(index);
  remove_if_idle(index);
  return promise;
}

void WorkerActor::remove_if_idle(std::int32_t index) {
  if (!children_.is_leaving(index) || !placement_.idle(index)) return;
  const auto& it = children_[index];
  if (it.kind == ExecutorKind::chip && data_.has_newest(index)) {
    data_.store_all(index, [this, index] { remove_if_idle(index); });
    return send_orders();
  }
  if (it.kind == ExecutorKind::chip && data_.is_storing(index)) return;  // `stored` comes here again
  // Without a handle it is away, and waited for.
  if (it.handle) {
    demonitor(it.handle.address());
    stop_child(index, [] {});
  }
  const Error removed(Errc::chip_retired, it.name + " was removed");
  if (it.kind == ExecutorKind::chip) {  // what others have too is theirs
    data_.down(index, removed);
    data_changed();
  }
  retire(index, removed);
}

/// In place: the chip's actor stays, everything on the chip goes, its memory gets the next incarnation.
caf::typed_response_promise<Result<bool>> WorkerActor::reset_executor(std::int32_t index) {
  auto promise = replies_.owe<Result<bool>>();
  if (life_ == Life::stopping) {
    promise.deliver(going_down());
    return promise;
  }
  if (auto access = children_.chip(index); !access) {
    promise.deliver(Result<bool>(access.error()));
    return promise;
  }
  const auto& it = children_[index];
  if (it.removing || resetting_.has(index)) {
    promise.deliver(Result<bool>(Error(Errc::wrong_state, it.name + " is being reset or removed already")));
    return promise;
  }
  resetting_.add(index, promise);
  data_.store_all(index, [this, index, life = it.incarnation] {
    if (children_[index].incarnation == life) reset_now(index);
  });
  send_orders();
  return promise;
}

/// What only the chip had is in host memory.
void WorkerActor::reset_now(std::int32_t index) {
  if (!resetting_.has(index) || life_ == Life::stopping) return;
  const auto& it = children_[index];
  if (it.state != ExecutorState::up) return;  // it died meanwhile, and is restarted
  const auto life = children_.reset(index);
  for (const auto& domain : domains_.all()) send(domain, MemberReset{index});
  configured_lost(index);
  placement_.suspend(index);
  request(it.chip, caf::infinite, ResetChip{life})
      .then(
          [this, index, life](const Result<bool>& reset) {
            if (!children_.is_starting(index, life) || life_ == Life::stopping) return;
            down(index, Error(Errc::chip_lost, children_[index].name + " was reset while it held the task"));
            dispatch();  // tells of those that waited here and followed what was lost
            // What does not return stays behind in quarantine; the chip has a fresh context all the same.
            if (!reset)
              services_->warn(shared_->path, children_[index].name + ": " + reset.error().message());
            bring_up(index);
          },
          [](const caf::error&) {});  // its end is a restart
  dispatch();
}

// --- the end -------------------------------------------------------------------------------------

Error WorkerActor::going_down() const { return {Errc::shut_down, shared_->path + " is going down"}; }

caf::typed_response_promise<bool> WorkerActor::stop_all() {
  auto promise = replies_.owe<bool>();
  if (life_ == Life::stopping) {
    promise.deliver(true);
    return promise;
  }
  life_ = Life::stopping;
  data_.recover_no_more();
  dispatch();  // what was to be made again is given up
  stop_promise_ = promise;
  const Error reason = going_down();
  if (start_promise_.pending()) start_promise_.deliver(Result<bool>(reason));
  drop_all(reason, Outcome::cancelled);
  for (auto& waiting : domains_.take_waiting()) waiting.promise.deliver(Result<DomainInfo>(reason));
  for (const auto& [id, active] : admission_.active()) send(active.run, CancelRun{reason});
  ++stopping_;
  store_buffers({}, [this](const std::optional<Error>& error) {
    if (error) services_->warn(shared_->path, "not stored to the host: " + error->message());
    store_chips([this] {
      --stopping_;
      stop_children();
    });
  });
  return promise;
}

void WorkerActor::stop_children() {
  ++stopping_;
  for (std::int32_t index = 0; index < children_.size(); ++index) {
    const auto& it = children_[index];
    if (it.state == ExecutorState::retired || !it.handle) continue;
    ++stopping_;
    demonitor(it.handle.address());
    stop_child(index, [this] {
      --stopping_;
      stopped();
    });
  }
  --stopping_;
  stopped();
}

void WorkerActor::stop_child(std::int32_t index, const std::function<void()>& then) {
  const auto& it = children_[index];
  if (it.kind == ExecutorKind::sub_worker) {
    send_exit(it.handle, caf::exit_reason::user_shutdown);
    return then();
  }
  // Over with its last word, which comes whether it ends as asked, dies on the way or was dead before.
  if (it.gone) return then();
  when_gone_[index] = then;
  if (it.kind == ExecutorKind::chip) {
    request(it.chip, caf::infinite, FinalizeChip{})
        .then([](const Result<bool>&) {}, [](const caf::error&) {});
  } else {
    request(it.worker, caf::infinite, StopWorker{}).then([](bool) {}, [](const caf::error&) {});
  }
}

/// Children are gone. Runs whose program does not listen (a plain function busy elsewhere) end with the
/// worker.
void WorkerActor::stopped() {
  if (stopping_ != 0) return;
  if (start_error_) {
    start_promise_.deliver(Result<bool>(*start_error_));
    return quit(exit_with(*start_error_));
  }
  if (!stop_promise_.pending()) return;
  const Error down(Errc::shut_down, shared_->path + " went down");
  for (std::int32_t index = 0; index < children_.size(); ++index) this->down(index, down);
  // A coroutine uses what its caller lent it until its frame is gone: only then may its run, and with it the
  // caller's wait, be over. Each has been told to end; the end of its run comes here again.
  const auto& runs = admission_.active();
  const bool coroutines =
      std::any_of(runs.begin(), runs.end(), [](const auto& run) { return run.second.program != nullptr; });
  if (coroutines) return;
  services_->inform(shared_->path, "down");
  keep_costs();
  stop_promise_.deliver(true);
  quit();
}

/// What was learned, for the next node.
void WorkerActor::keep_costs() {
  if (config_->models.empty() || !config_->placement) return;
  services_->run_blocking("troupe-models", [services = services_.get(), path = shared_->path,
                                            file = config_->models, text = placement_.costs().text()] {
    if (const auto written = write_costs(file, text); !written)
      services->warn(path, "what was learned of tasks is not kept: " + written.error().message());
  });
}

void WorkerActor::on_exit() {
  data_.end();
  replies_.end();
  last_word_->word = {index_, incarnation_, {}, id()};
  last_word_->to = std::exchange(above_, nullptr);
  last_word_ = nullptr;
  for (auto& waiting : admission_.give_up()) {
    if (waiting.open.outcome) waiting.open.outcome->set({.error = replies_.otherwise()});
    if (waiting.run) send_exit(waiting.run, caf::exit_reason::user_shutdown);
  }
  for (const auto& [id, active] : admission_.active()) send_exit(active.run, caf::exit_reason::user_shutdown);
  for (const auto& domain : domains_.all()) send_exit(domain, caf::exit_reason::user_shutdown);
  for (const auto& it : children_) {
    if (it.handle && it.state != ExecutorState::retired)
      send_exit(it.handle, caf::exit_reason::user_shutdown);
  }
  admission_.clear();
  domains_.clear();
  when_gone_.clear();
  children_.clear();
  stay_ = {};
}

}  // namespace troupe::actors
