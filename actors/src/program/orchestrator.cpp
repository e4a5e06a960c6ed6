#include "troupe/actors/orchestrator.hpp"

#include "program/core.hpp"
#include "troupe/actors/errc.hpp"
#include "window_hold.hpp"

namespace troupe::actors {

detail::ArgReader detail::reader(const Arguments& args) { return {args.tensors, args.scalars, args.kinds()}; }

void Args::refuse_tensor(const runtime::TensorArg& arg) const {
  const auto index = std::to_string(values.tensors.size());
  if (!arg.tensor.valid()) throw Error(Errc::bad_argument, "tensor argument " + index + " describes nothing");
  throw Error(Errc::bad_argument, "a task carries at most " + index + " tensors");
}
void Args::refuse_scalar() const {
  throw Error(Errc::bad_argument,
              "a task carries at most " + std::to_string(values.scalars.size()) + " scalars");
}

Scope::Scope(Orchestrator& node) : node_(&node) { node.core_->begin_scope(); }
Scope::~Scope() {
  if (node_ != nullptr) node_->core_->end_scope();
}

// --- domains -------------------------------------------------------------------------------------

Tensor DomainRank::bytes(std::string_view name, runtime::DType dtype) const {
  const auto known = info_->buffers.find(name);
  if (known == info_->buffers.end()) {
    throw Error(Errc::bad_argument, "the domain has no buffer \"" + std::string(name) + "\"");
  }
  const auto& rank = info_->ranks[index_];
  const auto [offset, size] = known->second;
  const runtime::BufferRef ref{rank.arena, rank.generation, rank.base + offset};
  return {
      runtime::Tensor::create(ref, size, 0, runtime::Shape(size / runtime::size_of(dtype)), dtype).value(),
      info_->system ? std::make_shared<WindowHold>(info_->system, info_->id) : nullptr};
}
runtime::ScalarArg DomainRank::address_of(std::string_view name) const {
  return {bytes(name, runtime::DType::u8).description().buffer().offset, runtime::ScalarKind::any};
}
DomainContext DomainRank::context() const {
  const auto& rank = info_->ranks[index_];
  DomainContext context;
  context.domain = info_->id;
  context.address = rank.context;
  context.system = info_->system.get();
  if (rank.bytes == 0) return context;
  // In words as large as they must be for the extent to fit 32 bits.
  const auto dtype = rank.bytes % 8 == 0 ? runtime::DType::u64 : runtime::DType::u8;
  const runtime::BufferRef ref{rank.arena, rank.generation, rank.base};
  context.window =
      runtime::Tensor::create(ref, rank.bytes, 0, runtime::Shape(rank.bytes / runtime::size_of(dtype)), dtype)
          .value();
  return context;
}

Domain::Domain(ProgramLife program, std::shared_ptr<const DomainInfo> info) : info_(std::move(info)) {
  const auto here = program.lock();
  if (!here) return;  // taken back with its run
  lease_ = std::shared_ptr<void>(
      nullptr, [program = std::move(program), box = here->core->releases(), id = info_->id](void*) {
        // The last copy may go on any thread, and after the program: then the run has taken it back.
        if (const auto alive = program.lock(); alive && alive->is_here())
          return alive->core->release_domain(id);
        box->add(&ReleaseBox::domains, id);
      });
}

void Domain::refuse_rank(int index) const {
  if (!info_)
    throw Error(Errc::bad_argument, "an empty Domain has no ranks", "keep what allocate_domain gives");
  throw Error(Errc::bad_argument,
              "the domain has ranks 0 to " + std::to_string(size() - 1) + ", not " + std::to_string(index));
}

void DomainBarrier::enter() {
  (void)domain_.rank(rank_);
  core().enter_barrier(*this, domain_.info(), static_cast<std::uint32_t>(rank_));
}
void DomainBarrier::await_suspend(std::coroutine_handle<> self) {
  continuation = self;
  enter();
}
void DomainBarrier::wait() {
  enter();
  block();
  rethrow();
}

void DomainRequest::await_suspend(std::coroutine_handle<> self) {
  if (!core().is_recorded()) {
    continuation = self;
    return core().open_domain(*this, spec_);
  }
  // What is recorded waits for nothing that it could look at: the domain is formed while it stands still.
  core().open_domain(*this, spec_);
  block();
  self.resume();  // and this awaiter has gone
}
Domain DomainRequest::await_resume() {
  rethrow();
  return {program(), std::move(domain)};
}
Domain DomainRequest::get() {
  core().open_domain(*this, spec_);
  block();
  return await_resume();
}

Domain Orchestrator::configured_domain(int chip) const {
  auto info = core_->node().configured.domain(chip);
  if (info) return Domain(std::move(info));
  throw Error(Errc::wrong_state, "chip " + std::to_string(chip) + " of " + core_->node().name +
                                     " has no communicator from its configuration");
}

// --- orchestrator --------------------------------------------------------------------------------

Orchestrator::Orchestrator(ProgramCore& core) : core_(&core), keeper_(core.keeper()) {}

Tensor Orchestrator::host_tensor(const runtime::Shape& shape, runtime::DType dtype) {
  return core_->node().memory->tensor(shape, dtype).value();
}
Tensor Orchestrator::alloc(const runtime::Shape& shape, runtime::DType dtype) {
  return core_->alloc(shape, dtype);
}
const Callable& Orchestrator::data_callable(DataTask what) {
  const auto made = [](const char* name, DataTask task) {
    Callable callable;
    callable.name = name;
    callable.data_task = task;
    return callable;
  };
  static const Callable copies = made("copy", DataTask::copy), fills = made("fill", DataTask::fill),
                        prefetches = made("prefetch", DataTask::prefetch), pins = made("pin", DataTask::pin),
                        evicts = made("evict", DataTask::evict);
  switch (what) {
    case DataTask::copy:
      return copies;
    case DataTask::fill:
      return fills;
    case DataTask::prefetch:
      return prefetches;
    case DataTask::pin:
      return pins;
    default:
      return evicts;
  }
}

void Orchestrator::check_copy(const Tensor& to, const Tensor& from) {
  if (to.valid() && from.valid() && to.dtype() == from.dtype() && to.shape() == from.shape()) return;
  throw Error(Errc::bad_argument,
              "a copy goes between tensors of one shape and type, not from " + to_string(from.description()) +
                  " to " + to_string(to.description()),
              "reshape one of them");
}

void Orchestrator::check_fill(const Tensor& tensor, runtime::DType value) {
  if (tensor.valid() && tensor.dtype() == value) return;
  throw Error(
      runtime::Errc::dtype_mismatch,
      "fill with a " + std::string(runtime::name_of(value)) + " of " + to_string(tensor.description()),
      "give a value of the tensor's own type");
}

Task Orchestrator::submit_gathered(DataTask what, detail::SubmitCall call) {
  const auto& tensors = call.args.values.tensors;
  const std::size_t wanted = what == DataTask::copy ? 2 : 1;
  if (what == DataTask::none || tensors.size() != wanted) {
    throw Error(Errc::bad_argument, std::to_string(tensors.size()) + " tensors for a task of troupe's own",
                "a copy takes two, all others take one");
  }
  if (what == DataTask::copy) check_copy(Tensor(tensors[1].tensor), Tensor(tensors[0].tensor));
  if (what == DataTask::fill) {
    const auto& scalars = call.args.values.scalars;
    if (scalars.size() != 1) throw Error(Errc::bad_argument, "a fill needs the value of an element");
  }
  if ((what == DataTask::prefetch || what == DataTask::pin) && !call.target)
    throw Error(Errc::bad_argument, "bytes are brought to a chip: say which", "on_chip(0)");
  return submit_call(&data_callable(what), std::move(call));
}

Tensor Orchestrator::readable(const Tensor& tensor) {
  if (!tensor.valid() || !is_device_arena(tensor.description().buffer().arena)) return tensor;
  auto here = host_tensor(tensor.shape(), tensor.dtype());
  copy(here, tensor);
  return here;
}

const Callable& Orchestrator::callable(std::string_view name) const { return core_->callable(name); }
const Callable& Orchestrator::host_function(std::string_view name) const {
  const auto& found = callable(name);
  if (found.kind == CallableKind::function) return found;
  throw Error(Errc::bad_argument,
              "submit_sub of \"" + found.name + "\", which is a " +
                  (found.kind == CallableKind::program ? "program" : "kernel or chip program") +
                  ", no host function",
              "call submit(\"" + found.name + "\", …)");
}
ProgramLife Orchestrator::life() const { return core_->itself(); }
Task Orchestrator::submit_call(const Callable* callable, detail::SubmitCall call) {
  return {life(), core_->submit(callable, std::move(call))};
}
Plan Orchestrator::record_call(detail::PlanRecord record) {
  // While it is recorded each submit brings along what keeps its tensors, also what the run keeps already.
  struct Keeper {
    std::uint64_t& of;
    std::uint64_t before;
    ~Keeper() { of = before; }
  } keeper{keeper_, std::exchange(keeper_, 0)};
  return core_->record(record, *this);
}
Task Orchestrator::plan_call(const Plan& plan, detail::PlanCall call) {
  return {life(), core_->submit_plan(plan, std::move(call))};
}
Task Orchestrator::group_call(const Callable* callable, std::vector<Args> members, std::vector<int> chips,
                              detail::SubmitCall call) {
  return {life(), core_->submit_group(callable, std::move(members), std::move(chips), std::move(call))};
}
void Orchestrator::flush() { core_->flush(true); }
int Orchestrator::chips() const { return core_->node().executors.chips(); }
const std::string& Orchestrator::path() const { return core_->node().path; }
std::size_t Orchestrator::unfinished() const { return core_->unfinished(); }

}  // namespace troupe::actors
