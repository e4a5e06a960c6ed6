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
    if (request.outcome) request.outcome->set({.error = error});
    promise.deliver(Result<RunOpened>(error));
    return promise;
  }
  Admission::Waiting waiting;
  waiting.open = std::move(request);
  if (waiting.open.driver) {
    waiting.promise = promise;
  } else {
    make_run(waiting);
    promise.deliver(Result<RunOpened>(RunOpened{waiting.id, waiting.run}));
  }
  admission_.wait(std::move(waiting));
  admit();
  return promise;
}

/// A batch of the level above: each request is a program to run here.
void WorkerActor::execute(Execute& batch) {
  for (auto& request : batch.requests) {
    const auto& callable = *request.body->callable;
    Admission::Waiting waiting;
    try {
      if (!callable.program) {
        throw Error(Errc::bad_argument, "\"" + callable.name + "\" is not a program",
                    "a node of a pod runs programs");
      }
      waiting.open.program =
          std::make_shared<BoundProgram>(callable.program(arguments_of(*request.body, request.key.member)));
    } catch (...) {
      report_above(request, error_from(std::current_exception(), callable.name), Outcome::failed);
      continue;
    }
    waiting.open.name = request.body->name();
    waiting.open.priority = request.priority;
    waiting.open.outcome = std::make_shared<RunOutcome>();
    waiting.request = std::move(request);
    admission_.wait(std::move(waiting));
  }
  admit();
}

void WorkerActor::admit() {
  while (life_ == Life::up) {
    auto next = admission_.next();
    if (!next) return;
    start(*std::move(next));
  }
}

/// A program that will not begin.
void WorkerActor::drop(Admission::Waiting& waiting, const Error& error, Outcome outcome) {
  if (waiting.open.outcome) waiting.open.outcome->set({.error = error});
  if (waiting.run) send_exit(waiting.run, caf::exit_reason::user_shutdown);
  if (waiting.promise.pending()) waiting.promise.deliver(Result<RunOpened>(error));
  if (waiting.request) report_above(*waiting.request, error, outcome);
}

void WorkerActor::drop_all(const Error& error, Outcome outcome) {
  for (auto& waiting : admission_.give_up()) drop(waiting, error, outcome);
}

void WorkerActor::make_run(Admission::Waiting& waiting) {
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
  config.graphs = graphs_;
  config.executors = children_.names();
  config.only_chip = children_.only_chip();
  waiting.run = spawn_run(this, std::move(config), Worker(this), request.driver, request.program == nullptr,
                          request.outcome, request.deadline);
}

void WorkerActor::start(Admission::Waiting waiting) {
  auto& request = waiting.open;
  if (!waiting.run) make_run(waiting);
  const auto id = waiting.id;
  const auto run = waiting.run;
  placement_.open(id, request.priority);
  Admission::Active active{run, {}, request.outcome, request.name, std::move(waiting.request)};
  if (request.program && request.program->coroutine) {
    active.program = spawn_coroutine(this, shared_, id, run, request.program);
    // The run lets it begin; when that has just ended, the program ends without having begun.
    caf::anon_send(run, SetDriver{active.program});
  } else if (request.program) {
    start_plain(system(), shared_, id, run, request.program);
  }
  services_->debug(shared_->path, [&] { return title(id, active.name) + " begins"; });
  admission_.begin(id, std::move(active));
  if (waiting.promise.pending()) waiting.promise.deliver(Result<RunOpened>(RunOpened{id, run}));
}

void WorkerActor::run_closed(RunId id) {
  const auto over = admission_.end(id);
  if (!over) return;
  const auto report = over->outcome->get();
  services_->debug(shared_->path, [&] { return title(id, over->name) + how_it_ended(report); });
  if (!report || report->error) {
    // Nothing of a run that ended as it should is left; of one that was killed there may be.
    std::vector<std::int32_t> holders;
    auto taken_back = placement_.cancel(Cancel{id, 0}, holders);
    take_remade(taken_back);
    for (const auto executor : holders) send(children_[executor].handle, Cancel{id, 0});
    // A coroutine may have begun when its run was over already.
    if (over->program) {
      send(over->program, StopProgram{report && report->error ? *report->error
                                                              : Error(Errc::shut_down, "the run was ended")});
    }
  }
  placement_.close(id);
  sweep_domains(id);
  if (over->request) {
    const auto error = report ? report->error : std::nullopt;
    const bool cancelled = error && *error == Errc::cancelled;
    report_above(*over->request, error,
                 !error      ? Outcome::done
                 : cancelled ? Outcome::cancelled
                             : Outcome::failed,
                 report ? report->tasks + report->inside : 0);
  }
  dispatch();
  admit();
  if (life_ == Life::stopping) stopped();
}

void WorkerActor::report_above(const TaskRequest& request, const std::optional<Error>& error, Outcome outcome,
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
  const auto cancelled = admission_.cancel(order);
  for (const auto& waiting : cancelled.waiting)
    report_above(*waiting.request, std::nullopt, Outcome::cancelled);
  for (const auto* active : cancelled.active) {
    send(active->run,
         CancelRun{Error(Errc::cancelled, "program \"" + active->name + "\" was cancelled from above")});
  }
}

}  // namespace troupe::actors
