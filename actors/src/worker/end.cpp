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
  adding_.emplace(index, promise);
  bring_up(index);
  return promise;
}

caf::typed_response_promise<Result<bool>> WorkerActor::remove_executor(std::int32_t index) {
  auto promise = replies_.owe<Result<bool>>();
  if (life_ == Life::stopping) {
    promise.deliver(going_down());
    return promise;
  }
  if (index < 0 || static_cast<std::size_t>(index) >= children_.size() ||
      child(index).state == ExecutorState::retired || child(index).removing) {
    promise.deliver(
        Result<bool>(Error(Errc::no_such_chip, "there is no executor number " + std::to_string(index))));
    return promise;
  }
  child(index).removing = true;
  child(index).removed = promise;
  placement_.close_lane(index);
  remove_if_idle(index);
  return promise;
}

void WorkerActor::remove_if_idle(std::int32_t index) {
  auto& it = child(index);
  if (!it.removing || it.state == ExecutorState::retired || !placement_.idle(index)) return;
  demonitor(it.handle.address());
  stop_child(it, [] {});
  retire(index, Error(Errc::chip_retired, it.name + " was removed"));
}

/// In place: the chip's actor stays, everything on the chip goes, its memory gets the next incarnation.
caf::typed_response_promise<Result<bool>> WorkerActor::reset_executor(std::int32_t index) {
  auto promise = replies_.owe<Result<bool>>();
  if (life_ == Life::stopping) {
    promise.deliver(going_down());
    return promise;
  }
  if (auto access = chip_of(index); !access) {
    promise.deliver(Result<bool>(access.error()));
    return promise;
  }
  auto& it = child(index);
  if (it.removing || resetting_.count(index) != 0) {
    promise.deliver(Result<bool>(Error(Errc::wrong_state, it.name + " is being reset or removed already")));
    return promise;
  }
  resetting_.emplace(index, promise);
  it.state = ExecutorState::starting;
  ++it.incarnation;
  for (auto& [id, domain] : domains_) send(domain.handle, MemberReset{index});
  configured_lost(index);
  placement_.suspend(index);
  const auto life = it.incarnation;
  request(it.chip, caf::infinite, ResetChip{life})
      .then(
          [this, index, life](const Result<bool>& reset) {
            if (child(index).incarnation != life || child(index).state != ExecutorState::starting ||
                life_ == Life::stopping)
              return;
            route(placement_.down(
                index, Error(Errc::chip_lost, child(index).name + " was reset while it held the task")));
            move();  // tells of those that waited here and followed what was lost
            // What does not return stays behind in quarantine; the chip has a fresh context all the same.
            if (!reset) services_->warn(shared_->path, child(index).name + ": " + reset.error().message());
            bring_up(index);
          },
          [](const caf::error&) {});  // its end is a restart
  move();
  return promise;
}

Result<ChipAccess> WorkerActor::chip_of(std::int32_t index) const {
  if (index < 0 || static_cast<std::size_t>(index) >= children_.size() ||
      children_[static_cast<std::size_t>(index)].kind != ExecutorKind::chip) {
    return Error(Errc::no_such_chip, config_->name + " has no chip number " + std::to_string(index));
  }
  const auto& it = children_[static_cast<std::size_t>(index)];
  if (it.state != ExecutorState::up)
    return Error(Errc::chip_lost, it.name + " is " + std::string(name_of(it.state)));
  return ChipAccess{it.chip, it.incarnation};
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
  stop_promise_ = promise;
  const Error reason = going_down();
  if (start_promise_.pending()) start_promise_.deliver(Result<bool>(reason));
  for (auto& waiting : waiting_) drop(waiting, reason, Outcome::cancelled);
  waiting_.clear();
  for (auto& waiting : std::exchange(waiting_domains_, {}))
    waiting.promise.deliver(Result<DomainInfo>(reason));
  for (auto& [id, active] : runs_) send(active.run, CancelRun{reason});
  ++stopping_;
  store_buffers({}, [this](const std::optional<Error>& error) {
    if (error) services_->warn(shared_->path, "not stored to the host: " + error->message());
    --stopping_;
    stop_children();
  });
  return promise;
}

void WorkerActor::stop_children() {
  ++stopping_;
  for (auto& it : children_) {
    if (it.state == ExecutorState::retired || !it.handle) continue;
    ++stopping_;
    demonitor(it.handle.address());
    stop_child(it, [this] {
      --stopping_;
      stopped();
    });
  }
  --stopping_;
  stopped();
}

void WorkerActor::stop_child(Child& it, const std::function<void()>& then) {
  if (it.kind == ExecutorKind::sub_worker) {
    send_exit(it.handle, caf::exit_reason::user_shutdown);
    return then();
  }
  // Over with its last word, which comes whether it ends as asked, dies on the way or was dead before.
  if (it.gone) return then();
  it.when_gone = then;
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
  for (std::size_t i = 0; i < children_.size(); ++i) {
    route(
        placement_.down(static_cast<std::int32_t>(i), Error(Errc::shut_down, shared_->path + " went down")));
  }
  // A coroutine uses what its caller lent it until its frame is gone: only then may its run, and with it the
  // caller's wait, be over. Each has been told to end; the end of its run comes here again.
  const bool coroutines =
      std::any_of(runs_.begin(), runs_.end(), [](const auto& run) { return run.second.program != nullptr; });
  if (coroutines) return;
  services_->inform(shared_->path, "down");
  stop_promise_.deliver(true);
  quit();
}

void WorkerActor::on_exit() {
  replies_.end();
  last_word_->word = {index_, incarnation_, {}, id()};
  last_word_->to = std::exchange(above_, nullptr);
  last_word_ = nullptr;
  for (auto& waiting : waiting_) {
    if (waiting.open.outcome) waiting.open.outcome->set({replies_.otherwise(), {}, 0, 0, 0});
    if (waiting.run) send_exit(waiting.run, caf::exit_reason::user_shutdown);
  }
  for (auto& [id, active] : runs_) send_exit(active.run, caf::exit_reason::user_shutdown);
  for (auto& [id, active] : domains_) send_exit(active.handle, caf::exit_reason::user_shutdown);
  for (auto& it : children_) {
    if (it.handle && it.state != ExecutorState::retired)
      send_exit(it.handle, caf::exit_reason::user_shutdown);
  }
  runs_.clear();
  waiting_.clear();
  waiting_domains_.clear();
  domains_.clear();
  children_.clear();
  stay_ = {};
}

}  // namespace troupe::actors
