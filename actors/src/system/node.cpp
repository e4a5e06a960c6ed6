#include "data/data.hpp"
#include "program/program.hpp"
#include "system/config_check.hpp"
#include "system/core.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {
namespace {

/// A call of a user, on the caller's thread: the system is not over before it is. Handles of actors are to go
/// before it does.
class Call {
 public:
  /// Throws `shut_down` when the system is going down.
  explicit Call(NodeCore& node)
      : node_((MayNotWait::check_for_policy(), &node)),
        pump_(node.shared->pumps->take()),
        worker_(node.get()) {}

  Pump& pump() const { return *pump_.get(); }

  /// Asks the worker (or a chip of it) something and waits for the answer.
  template <class Answer, class Question>
  Answer ask(Question question) const {
    return ask<Answer>(worker_, std::move(question));
  }
  template <class Answer, class Actor, class Question>
  Answer ask(const Actor& actor, Question question) const {
    std::optional<Result<Answer>> answer;
    pump_->request(actor, caf::infinite, std::move(question))
        .receive([&](Answer& given) { answer = std::move(given); },
                 [&](const caf::error& error) {
                   answer = error_from(error, Error(Errc::shut_down, node_->shared->path + " has gone"));
                 });
    if (!*answer) throw seen(answer->error());
    return *std::move(*answer);
  }
  /// The same, of what may be refused.
  template <class Answer, class... What>
  Answer demand(What&&... what) const {
    auto answer = ask<Result<Answer>>(std::forward<What>(what)...);
    if (!answer) throw seen(answer.error());
    return *std::move(answer);
  }

 private:
  /// When all goes down, each part of it says so in its own words.
  Error seen(const Error& error) const {
    if (!node_->shared->services->going() || error == Errc::shut_down) return error;
    return Error(Errc::shut_down, node_->shared->path + " is going down").caused_by(error);
  }

  NodeCore* node_;
  PumpPool::Lease pump_;
  Worker worker_;
};

/// Device memory of a chip; freed when the last tensor of it goes, unless the chip (or this life of it) went
/// first.
class DeviceHold final : public BufferHold {
 public:
  DeviceHold(std::shared_ptr<Services> services, caf::weak_actor_ptr chip, DeviceFree free)
      : BufferHold(services.get()), services_(std::move(services)), chip_(std::move(chip)), free_(free) {}
  ~DeviceHold() override {
    const auto here = services_->enter();
    if (!here) return;
    if (auto chip = caf::actor_cast<Chip>(chip_)) caf::anon_send(chip, free_);
  }

 private:
  std::shared_ptr<Services> services_;
  caf::weak_actor_ptr chip_;
  DeviceFree free_;
};

}  // namespace

Worker NodeCore::get() {
  std::lock_guard guard(mutex);
  if (!worker) throw Error(Errc::shut_down, shared->path + " has gone with its system");
  return worker;
}

// --- handle --------------------------------------------------------------------------------------

bool Handle::done() const { return ref_ && ref_->outcome->done(); }

namespace {

/// The core of the node; not in a child of fork, to which nobody would announce an end.
NodeCore& node_of(const RunRef& run) {
  const auto& services = *run.node->shared->services;
  if (!services.in_own_process() && !run.outcome->done()) throw services.in_a_child();
  return *run.node;
}

}  // namespace

bool Handle::wait(runtime::Nanoseconds timeout) const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  auto& node = node_of(*ref_);
  if (!node.shared->services->deterministic() || node.gone) return ref_->outcome->wait(timeout);
  auto& clock = node.shared->pumps->system().clock();
  const auto until = clock.now() + runtime::bounded(timeout);
  while (!ref_->outcome->done() && clock.now() < until && node.shared->pumps->step()) {
  }
  return ref_->outcome->done();
}

void Handle::wait() const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  auto& node = node_of(*ref_);
  if (!node.shared->services->deterministic() || node.gone) {
    ref_->outcome->wait(std::nullopt);
    return;
  }
  while (!ref_->outcome->done()) {
    if (!node.shared->pumps->step())
      throw Error(Errc::deadlock, "nothing is runnable, but the run has not ended");
  }
}

bool Handle::wait(const std::stop_token& stop, runtime::Nanoseconds timeout) const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  auto& node = node_of(*ref_);
  if (!node.shared->services->deterministic() || node.gone) return ref_->outcome->wait(stop, timeout);
  auto& clock = node.shared->pumps->system().clock();
  const auto until = clock.now() + runtime::bounded(timeout);
  while (!ref_->outcome->done() && !stop.stop_requested() && clock.now() < until &&
         node.shared->pumps->step()) {
  }
  return ref_->outcome->done();
}

namespace {

void cancel_run(const NodeCore& node, const caf::weak_actor_ptr& which) {
  const auto here = node.shared->services->enter();
  if (!here) return;  // runs end with their system
  if (auto run = caf::actor_cast<Run>(which)) {
    caf::anon_send(run, CancelRun{Error(Errc::cancelled, "the run was cancelled")});
  }
}

/// Cancels a run when a stop is asked for.
class CancelOnStop {
 public:
  CancelOnStop(const std::stop_token& stop, std::shared_ptr<NodeCore> node, const Run& run)
      : callback_(stop, [node = std::move(node), run = caf::actor_cast<caf::weak_actor_ptr>(run)] {
          cancel_run(*node, run);
        }) {}

 private:
  std::stop_callback<std::function<void()>> callback_;
};

/// The outcome keeps it, as long as somebody may want to know how the run ends.
void listen(const RunOptions& options, const std::shared_ptr<NodeCore>& node, const Run& run,
            RunOutcome& outcome) {
  if (options.stop.stop_possible())
    outcome.keep(std::make_shared<const CancelOnStop>(options.stop, node, run));
}

}  // namespace

void Handle::cancel() const {
  if (ref_) cancel_run(*ref_->node, ref_->run);
}

std::string Handle::why(std::uint64_t task) const {
  if (!ref_) throw Error(Errc::bad_argument, "an empty handle stands for no run");
  std::string text = "the run has ended";
  if (done()) return text;
  auto pump = ref_->node->shared->pumps->take();
  if (const auto run = caf::actor_cast<Run>(ref_->run)) {
    pump->request(run, caf::infinite, Why{0, task})
        .receive([&](std::string& answer) { text = std::move(answer); }, [](const caf::error&) {});
  }
  return text;
}

RunReport Handle::report() const {
  wait();
  return *ref_->outcome->get();
}

Result<void> Handle::result() const {
  const auto how = report();
  if (how.error) return *how.error;
  return {};
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

void Node::run_bound(RunOptions options, BoundProgram program) const {
  validate(options).value();
  const Call call(*core_);
  if (options.before_waiting) call.pump().set_before_waiting(std::move(options.before_waiting));
  auto outcome = std::make_shared<RunOutcome>();
  OpenRun open;
  open.name = options.name;
  open.priority = static_cast<std::int8_t>(options.priority);
  open.deadline = options.deadline;
  open.outcome = outcome;
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
  OpenRun open;
  open.program = std::make_shared<BoundProgram>(std::move(program));
  open.name = options.name;
  open.priority = static_cast<std::int8_t>(options.priority);
  open.deadline = options.deadline;
  open.outcome = std::make_shared<RunOutcome>();
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

void ChipDevice::reset() const { (void)Call(*core_).demand<bool>(ResetExecutor{index_}); }
Tensor ChipDevice::malloc(const runtime::Shape& shape, runtime::DType dtype) const {
  const auto like = runtime::Tensor::unallocated(shape, dtype);
  const Call call(*core_);
  const auto access = call.demand<ChipAccess>(ChipOf{index_});
  const DeviceMalloc order{like.bytes(), access.incarnation};
  const auto address = call.demand<std::uint64_t>(access.chip, order);
  auto hold =
      std::make_shared<DeviceHold>(core_->shared->services, caf::actor_cast<caf::weak_actor_ptr>(access.chip),
                                   DeviceFree{address, access.incarnation});
  const runtime::BufferRef ref{device_arena(core_->shared->number, index_),
                               device_generation(access.incarnation), address};
  return {runtime::Tensor::create(ref, like.bytes(), 0, shape, dtype).value(), std::move(hold)};
}

namespace {

void copy(NodeCore& core, int index, const Tensor& device, const Tensor& host, bool to_device) {
  (void)core.get();
  const auto& there = device.description();
  const auto& here = host.description();
  const auto* system = device.hold() ? device.hold()->system : nullptr;
  if (there.buffer().arena != device_arena(core.shared->number, index) ||
      (system != nullptr && system != core.shared->services.get())) {
    throw Error(Errc::bad_argument, "the device tensor does not live on chip " + std::to_string(index) +
                                        " of " + core.shared->name);
  }
  if (here.host_address() == nullptr)
    throw Error(Errc::bad_argument, "the other tensor is not in host memory");
  if (auto* buffer = host.hold() ? host.hold()->buffer : nullptr) {
    buffer->bring_home();
    if (!to_device) buffer->changed_at_home();
  }
  if (here.bytes() != there.bytes() || !here.is_contiguous() || !there.is_contiguous()) {
    throw Error(Errc::bad_argument, "copies go between contiguous tensors of one size, not " +
                                        to_string(here) + " and " + to_string(there));
  }
  if (here.dtype() != there.dtype()) {
    throw Error(runtime::Errc::dtype_mismatch,
                "a copy between " + to_string(here) + " and " + to_string(there) +
                    ": the bytes would become " + "other values",
                "make the host tensor of the device tensor's element type");
  }
  const Call call(core);
  const auto access = call.demand<ChipAccess>(ChipOf{index});
  if (!of_life(there.buffer().generation, access.incarnation)) {
    throw Error(Errc::data_lost, "device tensor " + to_string(there) + " died with an earlier life of chip " +
                                     std::to_string(index));
  }
  DeviceCopy order;
  order.to_device = to_device;
  order.address = there.buffer().offset + there.byte_offset();
  order.host = here.host_address();
  order.bytes = here.bytes();
  order.incarnation = access.incarnation;
  (void)call.demand<bool>(access.chip, order);
}

}  // namespace

void ChipDevice::copy_to(const Tensor& device, const Tensor& host) const {
  copy(*core_, index_, device, host, true);
}
void ChipDevice::copy_from(const Tensor& host, const Tensor& device) const {
  copy(*core_, index_, device, host, false);
}
void ChipDevice::run_program(BoundProgram program) const { Node(core_).run_bound({}, std::move(program)); }

}  // namespace troupe::actors
