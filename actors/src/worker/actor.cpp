// A worker's tasks: from runs to executors and back.
#include "worker/actor.hpp"

#include <algorithm>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

WorkerActor::WorkerActor(caf::actor_config& actor, std::shared_ptr<Services> services,
                         std::shared_ptr<const WorkerConfig> config, std::shared_ptr<NodeShared> shared,
                         std::int32_t index, std::uint32_t incarnation, ResultSink results,
                         std::shared_ptr<const void> above)
    : Worker::base(actor),
      stay_(services->stay()),
      services_(std::move(services)),
      config_(std::move(config)),
      shared_(std::move(shared)),
      index_(index),
      incarnation_(incarnation),
      above_(std::move(results)),
      replies_(this, Error(Errc::shut_down, shared_->path + " ended before it answered")),
      placement_(shared_->number) {
  last_word_->above = std::move(above);
}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  set_down_handler([this](caf::down_msg& down) { child_down(down); });
  end_on_exception(this, replies_, Errc::node_failed, shared_->path);
  for (const auto& executor : config_->executors) add_child(executor);
  return {
      [this](Execute& request) { execute(request); },
      [this](const Cancel& order) { cancel(order); },
      [this](const Describe&) {
        return ExecutorInfo{
            ExecutorKind::worker, config_->name, {}, static_cast<std::uint32_t>(config_->max_runs), 0};
      },
      [this](const GetStatus&) { return status(); },
      [this](const Why& question) { return why(question); },
      [this](Results& ends) { results(ends); },
      [this](Ready& tasks) { ready(tasks); },
      [this](OpenRun& request) { return open(request); },
      [this](const RunClosed& closed) { run_closed(closed.run); },
      [this](const StartWorker&) { return start_all(); },
      [this](const AddExecutor& add) { return add_executor(add); },
      [this](const RemoveExecutor& remove) { return remove_executor(remove.index); },
      [this](const ResetExecutor& reset) { return reset_executor(reset.index); },
      [this](const StoreBuffers& store) {
        auto promise = replies_.owe<Result<bool>>();
        store_buffers(store.name, [promise](const std::optional<Error>& error) {
          promise.deliver(error ? Result<bool>(*error) : Result<bool>(true));
        });
        return caf::typed_response_promise<Result<bool>>(promise);
      },
      [this](const AllocateDomain& request) { return allocate_domain(request); },
      [this](const HoldDomain& hold) { hold_domain(hold); },
      [this](const ReleaseDomain& release) { release_domain(release.domain); },
      [this](const BarrierOf& order) { return barrier(order); },
      [this](const ChipOf& which) { return chip_of(which.index); },
      [this](const StopWorker&) { return stop_all(); },
  };
}

void WorkerActor::ready(Ready& tasks) {
  placement_.take(tasks);
  move();
}

void WorkerActor::results(Results& ends) {
  const auto executor = ends.executor;
  if (executor < 0 || static_cast<std::size_t>(executor) >= children_.size()) return;
  auto& it = child(executor);
  // Those of an earlier life are answered for.
  if (it.incarnation == ends.incarnation) route(placement_.results(ends));
  // A last word is the actor's whose it is: not its successor's, and not of one life only, because a chip
  // that dies while it is reset is on the way to the next.
  if (ends.gone != 0 && it.handle && it.handle.id() == ends.gone) {
    it.gone = true;
    if (it.when_gone) std::exchange(it.when_gone, nullptr)();
    buried(executor);
  }
  move();
  remove_if_idle(executor);
}

/// Sends whatever can go now.
void WorkerActor::move() {
  auto moves = placement_.place();
  for (auto& out : moves.sends) send(child(out.executor).handle, Execute{std::move(out.requests)});
  for (auto& [run, tasks] : moves.placed) {
    if (auto known = runs_.find(run); known != runs_.end()) send(known->second.run, Placed{std::move(tasks)});
  }
  if (!moves.refused.empty()) {
    route(std::move(moves.refused));
    move();
  }
}

/// Results to their runs, in batches; usually all are of one run.
void WorkerActor::route(std::vector<TaskResult> results) {
  while (!results.empty()) {
    const auto run = results.front().key.run;
    const bool one =
        std::all_of(results.begin(), results.end(), [&](const TaskResult& r) { return r.key.run == run; });
    RunResults batch;
    if (one) {
      batch.results = std::exchange(results, {});
    } else {
      std::erase_if(results, [&](TaskResult& result) {
        if (result.key.run != run) return false;
        batch.results.push_back(std::move(result));
        return true;
      });
    }
    for (const auto& result : batch.results) {
      ++(result.outcome == Outcome::done ? completed_ : failed_);
    }
    placement_.told(run, batch.results);
    if (auto known = runs_.find(run); known != runs_.end()) send(known->second.run, std::move(batch));
  }
}

void WorkerActor::cancel(const Cancel& order) {
  if (runs_.count(order.run) == 0) return cancel_request(order);
  std::vector<std::int32_t> holders;
  route(placement_.cancel(order, holders));
  for (const auto executor : holders) send(child(executor).handle, order);
  move();
}

/// What the worker knows, and what its executors say of themselves.
caf::typed_response_promise<ExecutorStatus> WorkerActor::status() {
  struct Gather {
    ExecutorStatus status;
    std::size_t open = 1;  // ours, so that the last answer comes when all have been asked
    Reply<ExecutorStatus> promise;
    void one() {
      if (--open == 0) promise.deliver(std::move(status));
    }
  };
  auto gather = std::make_shared<Gather>();
  gather->promise = replies_.owe<ExecutorStatus>();
  auto& status = gather->status;
  status.name = config_->name;
  constexpr std::string_view names[] = {"created", "starting", "up", "stopping"};
  status.state = names[static_cast<std::size_t>(life_)];
  status.runs = static_cast<std::uint32_t>(runs_.size());
  status.queued = static_cast<std::size_t>(
      std::count_if(waiting_.begin(), waiting_.end(), [](const Waiting& it) { return !it.over(); }));
  status.completed = completed_;
  status.failed = failed_;
  for (const auto& [id, run] : runs_) status.busy.push_back("program " + run.name);
  status.children.resize(children_.size());
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const auto& it = children_[i];
    auto& one = status.children[i];
    one.name = it.name;
    one.state = name_of(it.state);
    one.restarts = it.incarnation;
    one.queued = placement_.queued(static_cast<std::int32_t>(i));
    one.running = placement_.out(static_cast<std::int32_t>(i));
    if (!it.handle) continue;
    ++gather->open;
    request(it.handle, caf::infinite, GetStatus{})
        .then(
            [gather, i](ExecutorStatus& own) {
              auto& known = gather->status.children[i];
              own.name = std::move(known.name);
              own.state = std::move(known.state);
              own.restarts = known.restarts;
              // With us, with the executor, and inside: what it has not started waits too.
              own.queued += known.queued;
              known = std::move(own);
              gather->one();
            },
            [gather](const caf::error&) { gather->one(); });
  }
  auto promise = gather->promise;
  gather->one();
  return promise;
}

/// Of a program that the level above submitted: what its run waits for.
void WorkerActor::why_above(const Why& question, const Reply<std::string>& promise) {
  auto meant = [&](const std::optional<TaskRequest>& request) {
    return request && request->key.run == question.run && request->key.task == question.task;
  };
  for (const auto& [id, active] : runs_) {
    if (!meant(active.request)) continue;
    const auto name = "program \"" + active.name + "\"";
    request(active.run, caf::infinite, Why{id, 0})
        .then([promise, name](const std::string& text) { promise.deliver(name + ": " + text); },
              [promise, name](const caf::error&) { promise.deliver(name + " has just ended"); });
    return;
  }
  for (const auto& waiting : waiting_) {
    if (!meant(waiting.request)) continue;
    promise.deliver("waits until one of " + std::to_string(runs_.size()) + " programs has ended");
    return;
  }
  promise.deliver("not with " + config_->name);
}

/// What the executor that has the task says of it, if one has it.
caf::typed_response_promise<std::string> WorkerActor::why(const Why& question) {
  auto promise = replies_.owe<std::string>();
  if (runs_.count(question.run) == 0) {
    why_above(question, promise);
    return promise;
  }
  const auto holder = placement_.holder(question.run, question.task);
  if (holder < 0) {
    promise.deliver(placement_.why(question.run, question.task));
    return promise;
  }
  const auto with = "with " + child(holder).name;
  request(child(holder).handle, caf::infinite, question)
      .then([promise, with](const std::string& text) { promise.deliver(with + ": " + text); },
            [promise, with](const caf::error&) { promise.deliver(with); });
  return promise;
}

Worker spawn_worker(caf::actor_system& system, std::shared_ptr<Services> services,
                    std::shared_ptr<const WorkerConfig> config, std::shared_ptr<NodeShared> shared,
                    std::int32_t index, ResultSink results) {
  return system.spawn<WorkerActor>(std::move(services), std::move(config), std::move(shared), index,
                                   std::uint32_t{0}, std::move(results), nullptr);
}

std::shared_ptr<NodeShared> make_shared_of(const WorkerConfig& config, std::shared_ptr<Services> services,
                                           std::shared_ptr<PumpPool> pumps, const NodeShared* above) {
  auto shared = std::make_shared<NodeShared>();
  shared->name = config.name;
  shared->path = above != nullptr ? above->path + "/" + config.name : config.name;
  shared->number = services->next_node();
  shared->services = std::move(services);
  shared->pumps = std::move(pumps);
  shared->memory = above != nullptr ? above->memory : std::make_shared<HostMemory>();
  shared->callables = above != nullptr ? above->callables : std::make_shared<CallableRegistry>();
  shared->soft_limit = static_cast<std::uint32_t>(config.soft_limit);
  shared->hard_limit = static_cast<std::uint32_t>(config.hard_limit);
  shared->arena_bytes = config.arena_bytes;
  return shared;
}

}  // namespace troupe::actors
