// A worker's runs: admission, and programs that the level above submits as tasks.
#include "program/program.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "worker/actor.hpp"

namespace troupe::actors {
namespace {

std::string title(RunId id, const std::string& name) {
  return "run " + std::to_string(id) + " \"" + name + "\"";
}

std::string how_it_ended(const std::optional<RunReport>& report) {
  if (!report) return " was ended from outside";
  if (report->error) return " has failed: " + report->error->message();
  return " has ended, tasks: " + std::to_string(report->tasks + report->inside);
}

}  // namespace

caf::typed_response_promise<Result<RunOpened>> WorkerActor::open(OpenRun& request) {
  auto promise = replies_.owe<Result<RunOpened>>();
  if (life_ == Life::stopping) {
    const Error error = going_down();
    if (request.outcome) request.outcome->set({error, {}, 0, 0, 0});
    promise.deliver(Result<RunOpened>(error));
    return promise;
  }
  Waiting waiting;
  waiting.open = std::move(request);
  if (waiting.open.driver) {
    waiting.promise = promise;
  } else {
    make_run(waiting);
    promise.deliver(Result<RunOpened>(RunOpened{waiting.id, waiting.run}));
  }
  waiting_.push_back(std::move(waiting));
  admit();
  return promise;
}

/// A batch of the level above: each request is a program to run here.
void WorkerActor::execute(Execute& batch) {
  for (auto& request : batch.requests) {
    const auto& callable = *request.body->callable;
    Waiting waiting;
    try {
      if (!callable.program) {
        throw Error(Errc::bad_argument, "\"" + callable.name + "\" is not a program",
                    "a node of a pod runs programs");
      }
      waiting.open.program =
          std::make_shared<BoundProgram>(callable.program(arguments_of(*request.body, request.key.member)));
    } catch (...) {
      answer_above(request, error_from(std::current_exception(), callable.name), Outcome::failed);
      continue;
    }
    waiting.open.name = request.body->name();
    waiting.open.priority = request.priority;
    waiting.open.outcome = std::make_shared<RunOutcome>();
    waiting.request = std::move(request);
    waiting_.push_back(std::move(waiting));
  }
  admit();
}

void WorkerActor::admit() {
  while (life_ == Life::up && !waiting_.empty() && std::cmp_less(runs_.size(), config_->max_runs)) {
    // First come, first served among the highest priority.
    auto next = waiting_.begin();
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (it->open.priority > next->open.priority) next = it;
    }
    auto waiting = std::move(*next);
    waiting_.erase(next);
    if (!waiting.over()) start(std::move(waiting));
  }
}

/// A program that will not begin.
void WorkerActor::drop(Waiting& waiting, const Error& error, Outcome outcome) {
  if (waiting.open.outcome) waiting.open.outcome->set({error, {}, 0, 0, 0});
  if (waiting.run) send_exit(waiting.run, caf::exit_reason::user_shutdown);
  if (waiting.promise.pending()) waiting.promise.deliver(Result<RunOpened>(error));
  if (waiting.request) answer_above(*waiting.request, error, outcome);
}

void WorkerActor::make_run(Waiting& waiting) {
  const auto& request = waiting.open;
  waiting.id = services_->next_run();
  RunConfig config;
  config.id = waiting.id;
  config.name = request.name;
  config.node = config_->name;
  config.node_number = shared_->number;
  config.path = shared_->path;
  config.recorder = services_->recorder();
  if (waiting.request && waiting.request->body->trace) config.above = waiting.request->body->trace->task;
  config.arena_bytes = config_->arena_bytes;
  if (!names_ || names_->size() != children_.size()) {
    auto names = std::make_shared<std::vector<std::string>>();
    for (const auto& it : children_) names->push_back(it.name);
    names_ = std::move(names);
  }
  config.executors = names_;
  for (std::size_t i = 0, chips = 0; i < children_.size() && chips < 2; ++i) {
    if (children_[i].kind == ExecutorKind::sub_worker || children_[i].state == ExecutorState::retired)
      continue;
    config.only_chip = ++chips == 1 ? static_cast<std::int32_t>(i) : -1;
  }
  waiting.run = spawn_run(this, std::move(config), shared_->memory, Worker(this), request.driver,
                          request.program == nullptr, request.outcome, request.deadline);
}

void WorkerActor::start(Waiting waiting) {
  auto& request = waiting.open;
  if (!waiting.run) make_run(waiting);
  const auto id = waiting.id;
  const auto run = waiting.run;
  placement_.open(id, request.priority);
  ActiveRun active{run, {}, request.outcome, request.name, std::move(waiting.request), {}};
  if (request.program && request.program->coroutine) {
    active.program = spawn_coroutine(this, shared_, id, run, request.program);
    // The run lets it begin; when that has just ended, the program ends without having begun.
    caf::anon_send(run, SetDriver{active.program});
  } else if (request.program) {
    start_plain(system(), shared_, id, run, request.program);
  }
  services_->debug(shared_->path, [&] { return title(id, active.name) + " begins"; });
  runs_.emplace(id, std::move(active));
  if (waiting.promise.pending()) waiting.promise.deliver(Result<RunOpened>(RunOpened{id, run}));
}

void WorkerActor::run_closed(RunId id) {
  const auto known = runs_.find(id);
  if (known == runs_.end()) {
    // It was given up before it began.
    std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.id == id; });
    return;
  }
  auto over = std::move(known->second);
  runs_.erase(known);
  const auto report = over.outcome->get();
  services_->debug(shared_->path, [&] { return title(id, over.name) + how_it_ended(report); });
  if (!report || report->error) {
    // Nothing of a run that ended as it should is left; of one that was killed there may be.
    std::vector<std::int32_t> holders;
    (void)placement_.cancel(Cancel{id, 0}, holders);
    for (const auto executor : holders) send(child(executor).handle, Cancel{id, 0});
    // A coroutine may have begun when its run was over already.
    if (over.program) {
      send(over.program, StopProgram{report && report->error ? *report->error
                                                             : Error(Errc::shut_down, "the run was ended")});
    }
  }
  placement_.close(id);
  sweep_domains(id, over.met);
  if (over.request) {
    const auto error = report ? report->error : std::nullopt;
    const bool cancelled = error && *error == Errc::cancelled;
    answer_above(*over.request, error,
                 !error      ? Outcome::done
                 : cancelled ? Outcome::cancelled
                             : Outcome::failed,
                 report ? report->tasks + report->inside : 0);
  }
  move();
  admit();
  if (life_ == Life::stopping) stopped();
}

void WorkerActor::answer_above(const TaskRequest& request, const std::optional<Error>& error, Outcome outcome,
                               std::uint64_t inside) {
  if (!above_) return;
  TaskResult result{request.key, request.ticket, -1, outcome, std::nullopt, inside};
  if (error) {
    // The level above puts this node's name in front itself.
    result.error = *error;
  }
  send(above_, Results{index_, incarnation_, {std::move(result)}});
}

/// The level above takes a program back.
void WorkerActor::cancel_request(const Cancel& order) {
  auto meant = [&](const std::optional<TaskRequest>& request) {
    return request && request->key.run == order.run && (order.task == 0 || request->key.task == order.task);
  };
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (!meant(it->request)) {
      ++it;
      continue;
    }
    answer_above(*it->request, std::nullopt, Outcome::cancelled);
    it = waiting_.erase(it);
  }
  for (auto& [id, active] : runs_) {
    if (meant(active.request)) {
      send(active.run,
           CancelRun{Error(Errc::cancelled, "program \"" + active.name + "\" was cancelled from above")});
    }
  }
}

}  // namespace troupe::actors
