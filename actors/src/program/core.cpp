#include "program/core.hpp"

#include <algorithm>
#include <set>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "window_hold.hpp"

namespace troupe::actors {
namespace {

constexpr std::size_t batch_lines = 64;

/// One handle on an intermediate of a program.
class IntermediateHold final : public BufferHold {
 public:
  IntermediateHold(std::shared_ptr<ReleaseBox> box, std::uint64_t number, std::shared_ptr<Buffer> of)
      : BufferHold(box->services.get(), of.get()),
        box_(std::move(box)),
        number_(number),
        of_(std::move(of)) {}
  ~IntermediateHold() override {
    if (box_->services && !box_->services->in_own_process()) return;
    box_->add(&ReleaseBox::numbers, number_);
  }
  bool kept_by_runs() const noexcept override { return false; }

 private:
  std::shared_ptr<ReleaseBox> box_;
  std::uint64_t number_;
  std::shared_ptr<Buffer> of_;
};

class Outside {
 public:
  explicit Outside(ProgramCore& core) : core_(&core) { core_->leave(); }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;
  ~Outside() { core_->enter(); }

 private:
  ProgramCore* core_;
};

}  // namespace

ProgramCore::ProgramCore(std::shared_ptr<NodeShared> node, RunId run, std::unique_ptr<ProgramPort> port)
    : node_(std::move(node)),
      run_(run),
      keeper_(run + (node_->services ? node_->services->identity() : 0)),
      port_(std::move(port)),
      releases_(std::make_shared<ReleaseBox>(node_->services)) {
  place_->core = this;
  enter();
}

ProgramCore::~ProgramCore() = default;

void ProgramCore::check_alive() const {
  if (stopped_) throw *stopped_;
  if (node_->services && !node_->services->in_own_process()) throw node_->services->in_a_child();
  if (!place_->is_here()) {
    throw Error(Errc::wrong_program, "a call of a program from a thread that is not its own",
                "let other threads compute, and submit and wait where the program runs");
  }
}

const Callable& ProgramCore::callable(std::string_view name) {
  if (auto known = callables_.find(name); known != callables_.end()) return *known->second;
  const auto* found = node_->callables->find(name).value();
  callables_.emplace(name, found);
  return *found;
}

void ProgramCore::keep(const std::vector<std::shared_ptr<BufferHold>>& holds) {
  for (const auto& hold : holds) {
    const bool is_new = hold->kept_by.exchange(keeper_, std::memory_order_relaxed) != keeper_;
    if (is_new && WindowHold::domain_of(*hold) == 0) holds_.push_back(hold);
  }
}

bool ProgramCore::is_users(const runtime::Tensor& view, const Buffer* buffer) {
  return buffer == nullptr && view.valid() && view.buffer().is_host() && view.bytes() > 0;
}

Tensor ProgramCore::with_buffer(const Tensor& tensor) {
  const auto* buffer = tensor.hold() ? tensor.hold()->buffer : nullptr;
  if (!is_users(tensor.description(), buffer)) return tensor;
  if (tensor.hold()) keep({tensor.hold()});  // what keeps the user's memory, which the run uses
  return node_->memory->borrow(tensor.description()).value();
}

void ProgramCore::borrow(Args& args) {
  for (auto& operand : args.values.tensors) {
    if (!is_users(operand.tensor, operand.buffer)) continue;
    const auto known = node_->memory->borrow(operand.tensor).value();
    operand.tensor = known.description();
    operand.buffer = known.hold()->buffer;
    args.holds.push_back(known.hold());
  }
}

TaskNumber ProgramCore::submit_copy(const Tensor& to, const Tensor& from) {
  detail::SubmitCall call;
  call.args.add(in(from)).add(out(to));
  return submit_here(&Orchestrator::data_callable(DataTask::copy), std::move(call));
}

std::vector<ProgramCore::Visitor> ProgramCore::visit(Args& args, std::int32_t place) {
  std::vector<Visitor> visitors;
  for (auto& operand : args.values.tensors) {
    const auto home = chip_with_arena(node_->number, operand.tensor.buffer().arena);
    if (home < 0 || home == place) continue;
    if (operand.tag == runtime::Tag::no_dep) {
      throw Error(Errc::bad_argument,
                  "an argument without an order (no_dep) lies on chip " + std::to_string(home) + " of " +
                      node_->name + ", and its task runs elsewhere: with a copy, which needs an order",
                  "say in(…), out(…) or inout(…), or run the task on_chip(" + std::to_string(home) + ")");
    }
    Visitor visitor{Tensor(operand.tensor), alloc(operand.tensor.shape(), operand.tensor.dtype()),
                    operand.tag != runtime::Tag::in};
    if (operand.tag != runtime::Tag::out && operand.tag != runtime::Tag::out_existing) {
      submit_copy(visitor.visits, visitor.home);
    }
    operand.tensor = visitor.visits.description();
    operand.buffer = visitor.visits.hold()->buffer;
    visitors.push_back(std::move(visitor));
  }
  return visitors;
}

void ProgramCore::send_home(const std::vector<Visitor>& visitors) {
  for (const auto& visitor : visitors) {
    if (visitor.writes) submit_copy(visitor.home, visitor.visits);
  }
}

TaskNumber ProgramCore::submit(const Callable* callable, detail::SubmitCall&& call) {
  check_alive();
  if (!recorder_) return submit_ordered(callable, std::move(call));
  auto recorded = recorder_->copy(callable, call);
  const auto number = submit_ordered(callable, std::move(call));
  recorder_->keep(std::move(recorded), number);
  return number;
}

TaskNumber ProgramCore::submit_ordered(const Callable* callable, detail::SubmitCall&& call) {
  const auto home = home_of(call.args.values, node_->number);
  if (callable->kind == CallableKind::program || home < 0) return submit_here(callable, std::move(call));
  check_system(*callable, call.args, call.extras.get());
  auto place = check_target(*callable, call.target);
  if (place < 0 && callable->kind == CallableKind::chip) place = home;
  const auto visitors = visit(call.args, place);
  const auto number = submit_here(callable, std::move(call));
  send_home(visitors);
  return number;
}

TaskNumber ProgramCore::submit_here(const Callable* callable, detail::SubmitCall&& call) {
  check_alive();
  const auto target = check_target(*callable, call.target);
  take_options(*callable, call);
  if (callable->program) (void)callable->program(call.args.values);  // says which arguments it takes
  check_system(*callable, call.args, call.extras.get());
  check_arguments(callable, call.args.values, call.extras.get());
  borrow(call.args);
  note_writes(call.args.values);
  keep(call.args.holds);
  if (!call.args.domains.empty()) {
    auto& extras = call.more();
    extras.domains = std::move(call.args.domains);
  }
  Submission line;
  line.kind = Submission::Kind::task;
  line.priority = static_cast<std::int8_t>(call.priority.value);
  line.target = target;
  line.number = next_task_++;
  line.body = new_body(callable, std::move(call.args.values), std::move(call.extras));
  ++submitted_;
  const auto number = line.number;
  append(std::move(line));
  return number;
}

TaskNumber ProgramCore::submit_group(const Callable* callable, std::vector<Args> members,
                                     std::vector<int> chips, detail::SubmitCall call) {
  check_alive();
  if (!recorder_)
    return submit_group_ordered(callable, std::move(members), std::move(chips), std::move(call));
  auto recorded = recorder_->copy(callable, call);
  recorded.members = members;
  recorded.chips = chips;
  const auto number = submit_group_ordered(callable, std::move(members), std::move(chips), std::move(call));
  recorder_->keep(std::move(recorded), number);
  return number;
}

TaskNumber ProgramCore::submit_group_ordered(const Callable* callable, std::vector<Args> members,
                                             std::vector<int> chips, detail::SubmitCall call) {
  if (chips.empty() &&
      std::all_of(members.begin(), members.end(), [](const Args& m) { return m.home >= 0; })) {
    for (const auto& member : members) chips.push_back(member.home);
  }
  if (members.empty()) throw Error(Errc::bad_argument, "a group needs at least one member");
  check_group_size(members.size());
  if (!chips.empty() &&
      (chips.size() != members.size() || std::set<int>(chips.begin(), chips.end()).size() != chips.size())) {
    throw Error(Errc::bad_argument, "a group of " + std::to_string(members.size()) +
                                        " needs as many chips, each once, or none named");
  }
  for (int chip : chips) {
    (void)check_target(*callable, OnExecutor{chip});
  }
  if (chips.empty()) (void)check_target(*callable, std::nullopt);
  if (call.target) {
    throw Error(Errc::bad_argument, "a group of \"" + callable->name + "\" runs on several chips, not on one",
                "name its chips in the list behind the members");
  }
  take_options(*callable, call);
  std::vector<Visitor> visitors;
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto& member = members[i];
    check_system(*callable, member, call.extras.get());
    // Windows are where they are: what peers write there unseen would not be in a copy.
    const auto home = member.domains.empty() ? home_of(member.values, node_->number) : -1;
    if (home < 0) continue;
    auto guests = visit(member, chips.empty() ? home : chips[i]);
    std::move(guests.begin(), guests.end(), std::back_inserter(visitors));
  }
  auto& extras = call.more();
  extras.chips = std::move(chips);
  for (auto& member : members) {
    if (callable->program) (void)callable->program(member.values);
    check_arguments(callable, member.values, &extras);
    borrow(member);
  }
  check_members(*callable, members, &extras);
  for (auto& member : members) {
    note_writes(member.values);
    keep(member.holds);
    for (auto& domain : member.domains) extras.domains.push_back(domain);
    extras.members.push_back(std::move(member.values));
  }
  Submission line;
  line.kind = Submission::Kind::group;
  line.priority = static_cast<std::int8_t>(call.priority.value);
  line.number = next_task_++;
  line.body = new_body(callable, {}, std::move(call.extras));
  ++submitted_;
  const auto number = line.number;
  append(std::move(line));
  send_home(visitors);
  return number;
}

Tensor ProgramCore::alloc(const runtime::Shape& shape, runtime::DType dtype) {
  check_alive();
  const auto like = runtime::Tensor::unallocated(shape, dtype);
  if (like.bytes() == 0) throw Error(Errc::bad_argument, "an intermediate needs at least one element");
  if (like.bytes() > node_->arena_bytes) {
    throw Error(Errc::bad_argument,
                "an intermediate of " + std::to_string(like.bytes()) + " bytes never fits: the arena has " +
                    std::to_string(node_->arena_bytes),
                "configure a larger arena_bytes");
  }
  const auto number = next_buffer_++;
  const runtime::BufferRef ref{program_arena, static_cast<std::uint32_t>(run_), number};
  auto view = runtime::Tensor::create(ref, like.bytes(), 0, shape, dtype).value();
  Submission line;
  line.kind = Submission::Kind::alloc;
  line.number = number;
  line.bytes = like.bytes();
  auto buffer = node_->memory->intermediate(like);
  line.buffer = buffer;
  unwritten_.made(number);
  if (recorder_) recorder_->made(number, shape, dtype);
  append(std::move(line));
  return {view, std::make_shared<IntermediateHold>(releases_, number, std::move(buffer))};
}

void ProgramCore::refuse_recorded(const std::string& what, CodeLine at) const {
  if (!recorder_) return;
  recorder_->refuse_at(
      at, what,
      "a plan is the same whatever its tensors hold: decide between plans, outside of them; a number "
      "that changes is a Slot<T>, and a condition is one that a task looks at");
}

TaskNumber ProgramCore::read(const Tensor& tensor, CodeLine at) {
  check_alive();
  refuse_recorded("reads a tensor", at);
  if (tensor.hold() && tensor.hold()->system != nullptr && tensor.hold()->system != node_->services.get()) {
    throw Error(Errc::wrong_program, "the tensor to read is of another System", of_another_system);
  }
  const auto arena = tensor.description().buffer().arena;
  if (is_device_arena(arena)) {
    throw Error(Errc::bad_argument, "a device-resident tensor cannot be read by a program",
                "copy it with chip.copy_from, or let a task write it into host memory");
  }
  Submission line;
  line.kind = Submission::Kind::read;
  line.number = next_task_++;
  line.body = std::make_shared<TaskBody>();
  line.body->args.tensors.push_back(
      {{tensor.description(), runtime::Tag::in}, tensor.hold() ? tensor.hold()->buffer : nullptr});
  check_arguments(nullptr, line.body->args, nullptr);
  if (tensor.hold() && tensor.hold()->kept_by_runs()) keep({tensor.hold()});
  ++submitted_;
  const auto number = line.number;
  append(std::move(line));
  return number;
}

void ProgramCore::read_done(TaskNumber task) { port_->send(ReadDone{task}); }

void ProgramCore::begin_scope() {
  check_alive();
  if (depth_ == runtime::limits::scope_depth) {
    throw Error(Errc::bad_argument, "scopes nest up to " + std::to_string(depth_) + " deep");
  }
  ++depth_;
  Submission line;
  line.kind = Submission::Kind::scope_begin;
  append(std::move(line));
}

void ProgramCore::end_scope() noexcept {
  if (depth_ == 0 || stopped_) return;
  --depth_;
  Submission line;
  line.kind = Submission::Kind::scope_end;
  lines_.push_back(std::move(line));
}

void ProgramCore::send_releases() {
  if (!releases_->any.load(std::memory_order_relaxed)) return;
  std::vector<std::uint64_t> numbers;
  {
    std::lock_guard guard(releases_->mutex);
    numbers.swap(releases_->numbers);
    released_domains_.insert(released_domains_.end(), releases_->domains.begin(), releases_->domains.end());
    releases_->domains.clear();
    releases_->any.store(false, std::memory_order_relaxed);
  }
  for (const auto number : numbers) {
    Submission line;
    line.kind = Submission::Kind::release;
    line.number = number;
    unwritten_.written(number);
    parts_.erase(number);
    lines_.push_back(std::move(line));
  }
}

TaskBodyRef ProgramCore::new_body(const Callable* callable, Arguments args,
                                  std::shared_ptr<SubmitExtras> extras) {
  if (bodies_used_ == bodies_made_) {
    bodies_made_ = std::clamp<std::size_t>(2 * bodies_made_, 2, most_bodies);
    bodies_ = std::make_shared<TaskBody[]>(bodies_made_);
    bodies_used_ = 0;
  }
  auto& body = bodies_[bodies_used_++];
  body.callable = callable;
  body.args = std::move(args);
  body.extras = std::move(extras);
  return {bodies_, &body};
}

void ProgramCore::append(Submission line) {
  lines_.push_back(std::move(line));
  send_releases();
  if (lines_.size() < batch_lines && released_domains_.empty()) return;
  flush(true);
  make_room();
}

void ProgramCore::make_room() {
  if (port_->may_block()) {
    Room(itself()).wait();
  } else if (unfinished() > node_->hard_limit) {
    throw Error(Errc::submit_overrun,
                std::to_string(unfinished()) +
                    " unfinished tasks: the program submits without "
                    "ever awaiting",
                "co_await node.room() in the loop");
  }
}

void ProgramCore::flush(bool computing, std::optional<Await> await) {
  send_releases();
  if (lines_.empty() && holds_.empty() && !await) return send_domain_releases();
  Submit submit;
  // The next batch will be about as large as this one.
  submit.lines.reserve(std::min(batch_lines, lines_.size()));
  submit.lines.swap(lines_);
  submit.holds.swap(holds_);
  submit.await = await;
  port_->send(std::move(submit), computing);
  send_domain_releases();
}

void ProgramCore::send_domain_releases() {
  if (recorder_) return;  // its plan, once there is one, keeps those that its tasks use
  for (const auto id : std::exchange(released_domains_, {})) port_->send(ReleaseDomain{id});
}

// --- waiting -------------------------------------------------------------------------------------

void ProgramCore::wait(Waiter& waiter, Await::What what, TaskNumber task, std::uint64_t limit) {
  check_alive();
  if (what != Await::What::room) refuse_recorded("waits for tasks", waiter.line);
  waiter.token = next_token_++;
  waiters_.emplace(waiter.token, &waiter);
  flush(false, Await{what, waiter.token, task, limit});
}

void ProgramCore::open_domain(Waiter& waiter, const DomainSpec& spec) {
  check_alive();
  waiter.token = next_token_++;
  waiters_.emplace(waiter.token, &waiter);
  flush();
  port_->send(OpenDomain{waiter.token, spec});
}

void ProgramCore::release_domain(std::uint64_t id) noexcept {
  if (stopped_) return;  // the run's end takes it
  released_domains_.push_back(id);
  flush(true);
}

void ProgramCore::enter_barrier(Waiter& waiter, const DomainInfo& domain, std::uint32_t rank) {
  check_alive();
  refuse_recorded("waits at a barrier", waiter.line);
  const auto arena = domain.ranks[rank].arena;
  if ((domain.system != nullptr && domain.system != node_->services) ||
      (is_device_arena(arena) && chip_with_arena(node_->number, arena) < 0)) {
    throw Error(Errc::bad_argument, "a barrier of a domain of another node, not of " + node_->name,
                "a domain is used on the node that formed it");
  }
  waiter.token = next_token_++;
  waiters_.emplace(waiter.token, &waiter);
  flush();
  port_->send(EnterBarrier{waiter.token, domain.id, domain.epoch, rank});
}

void ProgramCore::block_on(Waiter& waiter) {
  if (!port_->may_block()) {
    forget(waiter);
    throw Error(Errc::blocking_in_coroutine,
                "a blocking call inside a coroutine would hold up everything else", "use the co_await form");
  }
  while (!waiter.answered) {
    {
      // While it waits, others may run on this thread: in a deterministic system all do.
      const Outside others(*this);
      port_->block();
    }
    if (stopped_ && !waiter.answered) {
      forget(waiter);
      throw *stopped_;
    }
  }
}

void ProgramCore::forget(Waiter& waiter) noexcept {
  if (waiter.token == 0) return;
  waiters_.erase(waiter.token);
  waiter.token = 0;
}

void ProgramCore::on(Wake& wake) {
  ended_ = std::max(ended_, wake.ended);
  const auto known = waiters_.find(wake.token);
  if (known == waiters_.end()) return;
  auto& waiter = *known->second;
  waiters_.erase(known);
  waiter.token = 0;
  waiter.answered = true;
  waiter.error = std::move(wake.error);
  waiter.value = wake.value;
  waiter.domain = std::move(wake.domain);
  resumable_ = waiter.continuation;
}

void ProgramCore::on(const StopProgram& order) { stop(order.reason); }

void ProgramCore::stop(const Error& reason) {
  if (!stopped_) stopped_ = reason;
}

}  // namespace troupe::actors
