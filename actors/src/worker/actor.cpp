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
      graphs_(std::make_shared<SpareGraphs>(graph_config(config_->arena_bytes))),
      children_(config_->name, config_->restart),
      data_(
          shared_->link,
          [this](std::int32_t chip, Ticket task) { return placement_.is_unanswered(chip, task); },
          config_->recover),
      placement_(shared_->number, &data_),
      admission_(config_->max_runs),
      bring_up_(shared_->number, shared_->configured) {
  last_word_->above = std::move(above);
  if (!config_->placement) return;
  placement_.use(config_->placement);
  (void)placement_.costs().read(config_->learned);  // it was looked at when the node was asked for
}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  set_down_handler([this](caf::down_msg& down) { child_down(down); });
  end_on_exception(this, replies_, Errc::node_failed, [this] { return shared_->path; });
  shared_->link->set(caf::actor_cast<caf::weak_actor_ptr>(address()));
  for (const auto& executor : config_->executors) add_child(executor);
  const auto take_ready = [this](Ready& tasks) { ready(tasks); };
  const auto take_results = [this](Results& ends) { results(ends); };
  const auto take_closed = [this](const RunClosed& closed) { run_closed(closed.run); };
  behavior_type all{
      take_ready,
      take_results,
      take_closed,
      [this](OpenRun& request) { return open(request); },
      [this](Execute& request) { execute(request); },
      [this](const Cancel& order) { cancel(order); },
      [this](const Describe&) {
        return ExecutorInfo{
            ExecutorKind::worker, config_->name, {}, static_cast<std::uint32_t>(config_->max_runs), 0};
      },
      [this](const GetStatus&) { return status(); },
      [this](const Why& question) { return why(question); },
      [this](Stored& news) { stored(news); },
      [this](RoomWanted& request) { room_wanted(request); },
      [this](const BringHome& order) { return bring_home(order); },
      [this](const ForgetBuffer& gone) { data_.forget(gone.buffer), send_orders(); },
      [this](const SettleRun& over) { return settle(over.run); },
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
      [this](const ChipOf& which) { return children_.chip(which.index); },
      [this](const StopWorker&) { return stop_all(); },
  };
  return hot_first(this, std::move(all), take_ready, take_results, take_closed);
}

void WorkerActor::ready(Ready& tasks) {
  placement_.take(tasks);
  dispatch();
}

void WorkerActor::results(Results& ends) {
  const auto executor = ends.executor;
  if (!children_.knows(executor)) return;
  // Those of an earlier life are answered for.
  if (children_[executor].incarnation == ends.incarnation) {
    std::vector<Ticket> lost, withdrawn;
    for (const auto& result : ends.results) {
      if (result.outcome == Outcome::lost) lost.push_back(result.ticket);
      if (result.outcome != Outcome::lost && result.untouched) withdrawn.push_back(result.ticket);
    }
    std::sort(lost.begin(), lost.end());
    std::sort(withdrawn.begin(), withdrawn.end());
    if (!lost.empty()) data_.lost(executor, lost);
    if (!withdrawn.empty() && children_[executor].chip) data_.withdrawn(executor, withdrawn);
    if (ends.brought_bytes > 0)
      placement_.costs().brought(ends.brought_bytes, std::chrono::nanoseconds(ends.brought_in));
    route(placement_.results(ends));
    if (placement_.any_held()) placement_.data_came();
  }
  if (children_.note_last_word(executor, ends.gone)) {
    if (auto waiter = when_gone_.extract(executor)) waiter.mapped()();
    buried(executor);
  }
  dispatch();
  remove_if_idle(executor);
}

/// Sends whatever can go now.
void WorkerActor::dispatch() {
  auto moves = placement_.place();
  send_orders();
  for (auto& out : moves.sends) {
    if (!out.orders) {
      send(children_[out.executor].handle, Execute{std::move(out.requests)});
    } else if (const auto& chip = children_[out.executor].chip) {
      send(chip, *std::move(out.orders));
    }
  }
  for (auto& [run, tasks] : moves.placed) {
    if (const auto* known = admission_.find(run)) send(known->run, Placed{std::move(tasks)});
  }
  if (!moves.refused.empty()) {
    route(std::move(moves.refused));
    dispatch();
  }
  if (!settling_.empty()) settle_runs();
}

/// Results to their runs, in batches; usually all are of one run.
void WorkerActor::route(std::vector<TaskResult> results) {
  take_remade(results);
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
    if (const auto* known = admission_.find(run)) send(known->run, std::move(batch));
  }
}

void WorkerActor::cancel(const Cancel& order) {
  if (admission_.find(order.run) == nullptr) return cancel_request(order);
  std::vector<std::int32_t> holders;
  route(placement_.cancel(order, holders));
  for (const auto executor : holders) send(children_[executor].handle, order);
  dispatch();
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
  status.runs = static_cast<std::uint32_t>(admission_.active().size());
  status.queued = admission_.queued();
  status.completed = completed_;
  status.failed = failed_;
  for (const auto& [id, run] : admission_.active()) status.busy.push_back("program " + run.name);
  status.learned = placement_.costs().learned();
  status.children.resize(static_cast<std::size_t>(children_.size()));
  for (std::int32_t index = 0; index < children_.size(); ++index) {
    const auto& it = children_[index];
    const auto i = static_cast<std::size_t>(index);
    auto& one = status.children[i];
    one.name = it.name;
    one.state = name_of(it.state);
    one.restarts = it.incarnation;
    one.queued = placement_.queued(index);
    one.running = placement_.out(index);
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
  if (const auto* active = admission_.active_for(question.run, question.task)) {
    const auto name = "program \"" + active->second.name + "\"";
    request(active->second.run, caf::infinite, Why{active->first, 0})
        .then([promise, name](const std::string& text) { promise.deliver(name + ": " + text); },
              [promise, name](const caf::error&) { promise.deliver(name + " has just ended"); });
    return;
  }
  if (admission_.waiting_for(question.run, question.task) != nullptr) {
    return promise.deliver("waits until one of " + std::to_string(admission_.active().size()) +
                           " programs has ended");
  }
  promise.deliver("not with " + config_->name);
}

/// What the executor that has the task says of it, if one has it.
caf::typed_response_promise<std::string> WorkerActor::why(const Why& question) {
  auto promise = replies_.owe<std::string>();
  if (admission_.find(question.run) == nullptr) {
    why_above(question, promise);
    return promise;
  }
  const auto holder = placement_.holder(question.run, question.task);
  if (holder < 0) {
    promise.deliver(placement_.why(question.run, question.task));
    return promise;
  }
  const auto with = "with " + children_[holder].name;
  request(children_[holder].handle, caf::infinite, question)
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
                                           std::shared_ptr<PumpPool> pumps,
                                           std::shared_ptr<HostMemory> memory, const NodeShared* above) {
  auto shared = std::make_shared<NodeShared>();
  shared->name = config.name;
  shared->path = above != nullptr ? above->path + "/" + config.name : config.name;
  shared->number = services->next_node();
  shared->link = std::make_shared<NodeLink>(shared->path, services, pumps);
  shared->services = std::move(services);
  shared->pumps = std::move(pumps);
  shared->memory = std::move(memory);
  shared->callables = above != nullptr ? above->callables : std::make_shared<CallableRegistry>();
  shared->soft_limit = static_cast<std::uint32_t>(config.soft_limit);
  shared->hard_limit = static_cast<std::uint32_t>(config.hard_limit);
  shared->arena_bytes = config.arena_bytes;
  return shared;
}

}  // namespace troupe::actors
