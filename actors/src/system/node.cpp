// A node, as its user has it: callables, programs, tensors, executors.
#include "program/program.hpp"
#include "system/call.hpp"
#include "system/config_check.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

Worker NodeCore::get() {
  std::lock_guard guard(mutex);
  if (!worker) throw Error(Errc::shut_down, shared->path + " has gone with its system");
  return worker;
}

void NodeCore::cancel(const caf::weak_actor_ptr& run) const {
  const auto here = shared->services->enter();
  if (!here) return;  // runs end with their system
  if (const auto there = caf::actor_cast<Run>(run)) {
    caf::anon_send(there, CancelRun{Error(Errc::cancelled, "the run was cancelled")});
  }
}

// --- callables -----------------------------------------------------------------------------------

void Node::load(const std::string& path) const { load(runtime::Module::open(path).value()); }
void Node::load(const runtime::Module& module) const {
  (void)core_->get();
  core_->shared->callables->load(module).value();
}
void Node::add(CallableRef callable) const {
  (void)core_->get();
  (void)core_->shared->callables->add(std::move(callable)).value();
}
void Node::add_kernel(const std::string& name, std::vector<std::uint8_t> object, CoreKind cores) const {
  auto callable = std::make_shared<Callable>();
  callable->name = name;
  callable->bytes = std::move(object);
  callable->core_kind = cores;
  add(std::move(callable));
}
void Node::add_function(const std::string& name, HostFunction function) const {
  add(host_callable(name, std::move(function)));
}

Plan Node::load_plan(const std::string& path) const {
  (void)core_->get();
  return actors::load_plan(core_->shared, read_plan(path).value());
}

// --- programs ------------------------------------------------------------------------------------

namespace {

/// Cancels a run when a stop is asked for.
class CancelOnStop {
 public:
  CancelOnStop(const std::stop_token& stop, std::shared_ptr<NodeCore> node, const Run& run)
      : callback_(stop, [node = std::move(node), run = caf::actor_cast<caf::weak_actor_ptr>(run)] {
          node->cancel(run);
        }) {}

 private:
  std::stop_callback<std::function<void()>> callback_;
};

OpenRun opening(const RunOptions& options) {
  OpenRun open;
  open.name = options.name;
  open.priority = static_cast<std::int8_t>(options.priority);
  open.deadline = options.deadline;
  open.outcome = std::make_shared<RunOutcome>();
  return open;
}

/// The outcome keeps it, as long as somebody may want to know how the run ends.
void listen(const RunOptions& options, const std::shared_ptr<NodeCore>& node, const Run& run,
            RunOutcome& outcome) {
  if (options.stop.stop_possible())
    outcome.keep(std::make_shared<const CancelOnStop>(options.stop, node, run));
}

}  // namespace

void Node::run_bound(RunOptions options, BoundProgram program) const {
  validate(options).value();
  const Call call(*core_);
  auto open = opening(options);
  const auto outcome = open.outcome;
  open.driver = driver_of(call.pump());
  const bool plain = static_cast<bool>(program.plain);
  auto held = std::make_shared<BoundProgram>(std::move(program));
  if (!plain) open.program = held;
  const auto opened = call.demand<RunOpened>(std::move(open));
  listen(options, core_, opened.run, *outcome);
  if (plain) {
    run_plain(call.pump(), core_->shared, opened.id, opened.run, *held);
  } else {
    call.pump().set_own_run(opened.id);
    wait_for_end(call.pump());
  }
  const auto report = outcome->get();
  if (report && report->error) throw *report->error;
}

Handle Node::submit_bound(RunOptions options, BoundProgram program) const {
  validate(options).value();
  const Call call(*core_);
  auto open = opening(options);
  open.program = std::make_shared<BoundProgram>(std::move(program));
  Handle handle;
  handle.ref_ = std::make_shared<RunRef>();
  handle.ref_->outcome = open.outcome;
  handle.ref_->node = core_;
  const auto opened = call.demand<RunOpened>(std::move(open));
  handle.ref_->run = caf::actor_cast<caf::weak_actor_ptr>(opened.run);
  listen(options, core_, opened.run, *handle.ref_->outcome);
  return handle;
}

namespace {

/// A program of a loaded module with its arguments; it names the run unless the options do.
BoundProgram bound(NodeCore& core, std::string_view program, const Args& args, RunOptions& options) {
  (void)core.get();  // who asks a system that has ended for a program hears of that first
  const auto* callable = core.shared->callables->find(program).value();
  if (!callable->program) {
    throw Error(Errc::bad_argument, "\"" + std::string(program) + "\" is not an orchestration program",
                "a program submits what is not one");
  }
  if (options.name == "program") options.name = std::string(program);
  return callable->program(args.values);
}

}  // namespace

void Node::run(std::string_view program, const Args& args, RunOptions options) const {
  auto ready = bound(*core_, program, args, options);
  run_bound(std::move(options), std::move(ready));
}
Handle Node::submit(std::string_view program, const Args& args, RunOptions options) const {
  auto ready = bound(*core_, program, args, options);
  return submit_bound(std::move(options), std::move(ready));
}

// --- buffers and chips ---------------------------------------------------------------------------

namespace {

/// Who has it says whether there is such a one; a number that fits none is not cut to fit one.
std::int32_t executor_number(const Node& node, Count index) {
  if (std::in_range<std::int32_t>(index)) return static_cast<std::int32_t>(index);
  throw Error(Errc::no_such_chip, node.name() + " has no executor number " + std::to_string(index));
}

}  // namespace

Tensor Node::host_tensor(const runtime::Shape& shape, runtime::DType dtype) const {
  return core_->shared->memory->tensor(shape, dtype).value();
}
int Node::chips() const { return core_->shared->executors.chips(); }
const std::string& Node::name() const { return core_->shared->name; }
ExecutorStatus Node::status() const { return Call(*core_).ask<ExecutorStatus>(GetStatus{}); }
int Node::add_executor(const ExecutorConfig& config) const {
  validate(config).value();
  return Call(*core_).demand<std::int32_t>(AddExecutor{config});
}
void Node::remove_executor(Count index) const {
  (void)Call(*core_).demand<bool>(RemoveExecutor{executor_number(*this, index)});
}
ChipDevice Node::chip(Count index) const {
  const Call call(*core_);
  const auto number = executor_number(*this, index);
  (void)call.demand<ChipAccess>(ChipOf{number});
  return {core_, number};
}

std::vector<comm::ChipContext> Node::chip_contexts() const {
  const auto& configured = core_->shared->configured;
  std::vector<comm::ChipContext> contexts;
  for (const auto chip : configured.chips()) {
    auto context = configured.context(chip);
    if (!context) {
      throw Error(Errc::chip_lost, "chip " + std::to_string(chip) + " of " + name() +
                                       " (or a peer of it) died and is being brought up again");
    }
    contexts.push_back(*std::move(context));
  }
  if (contexts.empty()) {
    throw Error(Errc::wrong_state, name() + " was brought up without chip_bootstrap_configs");
  }
  return contexts;
}
void Node::store_to_host(const std::string& name) const {
  (void)Call(*core_).demand<bool>(StoreBuffers{name});
}

}  // namespace troupe::actors
