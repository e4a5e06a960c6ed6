#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "program/node_shared.hpp"
#include "program/recorder.hpp"
#include "program/unwritten_buffers.hpp"
#include "program/written_parts.hpp"
#include "troupe/actors/orchestrator.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// How a program reaches its run, and how it waits: a pump for plain functions, an actor for coroutines.
class TROUPE_API ProgramPort {
 public:
  ProgramPort() = default;
  ProgramPort(const ProgramPort&) = delete;
  ProgramPort& operator=(const ProgramPort&) = delete;
  virtual ~ProgramPort() = default;

  /// `computing`: the program goes on; somebody else should take the batch up now.
  virtual void send(Submit submit, bool computing) = 0;
  virtual void send(ReadDone done) = 0;
  virtual void send(OpenDomain open) = 0;
  virtual void send(ReleaseDomain release) = 0;
  virtual void send(EnterBarrier enter) = 0;
  virtual bool may_block() const = 0;
  /// Waits for one message and hands it to the core.
  virtual void block() = 0;
};

/// Intermediates that no handle can name any more, and domains that nobody holds, until their program tells
/// its run. Handles may go on any thread and after the program: then nobody listens.
struct ReleaseBox {
  explicit ReleaseBox(std::shared_ptr<Services> of) : services(std::move(of)) {}
  const std::shared_ptr<Services> services;  ///< of the system whose intermediates they are
  std::mutex mutex;
  std::vector<std::uint64_t> numbers, domains;
  std::atomic<bool> any{false};

  void add(std::vector<std::uint64_t> ReleaseBox::*which, std::uint64_t number) {
    std::lock_guard guard(mutex);
    (this->*which).push_back(number);
    any.store(true, std::memory_order_relaxed);
  }
};

/// A number as the parameter of a plan wants it; one that its type does not hold exactly is refused.
std::uint64_t plan_word(const runtime::ScalarArg& given, runtime::ScalarKind wanted, std::size_t index);

/// The program's side of a run: numbers tasks and buffers, gathers submits into batches, keeps the limits,
/// knows who waits for what. Plain state behind a port; used from the program's thread of control only.
class TROUPE_API ProgramCore {
 public:
  ProgramCore(std::shared_ptr<NodeShared> node, RunId run, std::unique_ptr<ProgramPort> port);
  ~ProgramCore();

  NodeShared& node() const { return *node_; }
  ProgramPort& port() const { return *port_; }
  RunId run() const { return run_; }
  /// What tells the run from all others, also of other systems, when buffers are kept.
  std::uint64_t keeper() const { return keeper_; }

  /// For what a program may keep longer than it lives.
  ProgramLife itself() const { return place_; }
  /// The program's code begins or goes on, on this thread; or it does not any more. A core begins inside.
  void enter() { place_->inside = std::this_thread::get_id(); }
  void leave() { place_->inside = std::thread::id(); }

  // For the orchestrator.
  const Callable& callable(std::string_view name);
  TaskNumber submit(const Callable* callable, detail::SubmitCall&& call);
  TaskNumber submit_group(const Callable* callable, std::vector<Args> members, std::vector<int> chips,
                          detail::SubmitCall call);
  Plan record(detail::PlanRecord& record, Orchestrator& orchestrator);
  bool is_recorded() const { return recorder_ != nullptr; }
  TaskNumber submit_plan(const Plan& plan, detail::PlanCall call);
  Tensor alloc(const runtime::Shape& shape, runtime::DType dtype);
  /// Memory of the user's own is a buffer for as long as the run lasts; others stay what they are.
  Tensor with_buffer(const Tensor& tensor);
  TaskNumber read(const Tensor& tensor, CodeLine at);
  void read_done(TaskNumber task);
  void begin_scope();
  void end_scope() noexcept;
  void flush(bool computing = false, std::optional<Await> await = std::nullopt);
  std::size_t unfinished() const { return static_cast<std::size_t>(submitted_ - ended_); }
  bool below_soft_limit() const { return unfinished() < node_->soft_limit; }

  // Waiting.
  void wait(Waiter& waiter, Await::What what, TaskNumber task, std::uint64_t limit = 0);
  void open_domain(Waiter& waiter, const DomainSpec& spec);
  void release_domain(std::uint64_t id) noexcept;
  /// Where a domain is left that goes on another thread: the program releases it when it next says something.
  const std::shared_ptr<ReleaseBox>& releases() const { return releases_; }
  void enter_barrier(Waiter& waiter, const DomainInfo& domain, std::uint32_t rank);
  void block_on(Waiter& waiter);
  void forget(Waiter& waiter) noexcept;
  std::size_t waiting() const { return waiters_.size(); }
  TaskNumber last_task() const { return next_task_ - 1; }

  // For whoever drives the program: messages of the run.
  void on(const Credit& credit) { ended_ = std::max(ended_, credit.ended); }
  void on(Wake& wake);
  void on(const StopProgram& stop);
  const std::optional<Error>& stopped() const { return stopped_; }
  /// From now on every call but a destructor throws `reason`.
  void stop(const Error& reason);
  /// A coroutine to resume, if the last message brought an answer.
  std::coroutine_handle<> take_resumable() { return std::exchange(resumable_, {}); }

 private:
  void check_alive() const;
  std::int32_t check_target(const Callable& callable, const std::optional<OnExecutor>& target) const;
  void check_arguments(const Callable* callable, const Arguments& args, const SubmitExtras* extras) const;
  void take_options(const Callable& callable, detail::SubmitCall& call) const;
  static void check_retry(const Callable& callable, const Arguments& args, const SubmitExtras* extras);
  void check_group_size(std::size_t members) const;
  static void check_members(const Callable& callable, const std::vector<Args>& members,
                            const SubmitExtras* extras);
  void check_system(const Callable& callable, const Args& args, const SubmitExtras* extras) const;
  void check_written(const std::string& which, const runtime::Tensor& view, bool all) const;
  void note_writes(const Arguments& args);
  static bool is_users(const runtime::Tensor& view, const Buffer* buffer);
  void borrow(Args& args);
  /// A device tensor of another chip than the task's: copied to where it runs before, and back after it.
  struct Visitor {
    Tensor home, visits;
    bool writes = false;
  };
  /// The task runs on the chip `place`; -1: in host memory.
  std::vector<Visitor> visit(Args& args, std::int32_t place);
  void send_home(const std::vector<Visitor>& visitors);
  /// What a replay was given, and has made so far.
  struct PlanValues {
    const detail::PlanCall* call = nullptr;
    std::vector<Tensor> slots;          ///< by parameter
    std::vector<std::uint64_t> words;   ///< by parameter
    std::vector<std::int32_t> outer;    ///< by parameter: the slot of a recording around it
    std::vector<Tensor> intermediates;  ///< while steps to come use them
    std::vector<TaskNumber> numbers;    ///< of the steps
  };
  void check_plan(const PlanImage& plan, const detail::PlanCall& call) const;
  void check_plan_arguments(const PlanImage& plan, const detail::PlanCall& call) const;
  void check_steps(const PlanImage& plan, const detail::PlanCall& call) const;
  /// The number of the node below that recorded the plan; -1: none did.
  int node_of(const PlanImage& plan) const;
  TaskNumber submit_plan_below(const Plan& plan, const detail::PlanCall& call, int node);
  detail::SubmitCall bound_call(const PlanImage& plan, const PlanStep& step, PlanValues& values,
                                std::vector<Args>& members) const;
  TaskNumber join(const std::string& name, std::vector<TaskNumber> tasks);
  TaskNumber submit_ordered(const Callable* callable, detail::SubmitCall&& call);
  TaskNumber submit_group_ordered(const Callable* callable, std::vector<Args> members, std::vector<int> chips,
                                  detail::SubmitCall call);
  /// A plan cannot have what the program is about to do.
  void refuse_recorded(const std::string& what, CodeLine at) const;
  TaskNumber submit_copy(const Tensor& to, const Tensor& from);
  TaskNumber submit_here(const Callable* callable, detail::SubmitCall&& call);
  void keep(const std::vector<std::shared_ptr<BufferHold>>& holds);
  TaskBodyRef new_body(const Callable* callable, Arguments args, std::shared_ptr<SubmitExtras> extras);
  void append(Submission line);
  void make_room();
  void send_releases();
  void send_domain_releases();

  std::shared_ptr<NodeShared> node_;
  RunId run_;
  std::uint64_t keeper_;
  std::unique_ptr<ProgramPort> port_;
  std::shared_ptr<ReleaseBox> releases_;
  std::vector<std::uint64_t> released_domains_;  ///< to be said once the lines before are under way
  std::vector<Submission> lines_;
  /// Bodies are made several at a time: they are freed on other threads, which costs more than making them.
  /// Few, because the last one of a block keeps the others; and fewer of a program that has just begun.
  static constexpr std::size_t most_bodies = 16;
  std::shared_ptr<TaskBody[]> bodies_;
  std::size_t bodies_made_ = 0, bodies_used_ = 0;
  std::vector<std::shared_ptr<BufferHold>> holds_;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, const Callable*, Hash, std::equal_to<>> callables_;
  std::unordered_map<std::uint64_t, Waiter*> waiters_;
  std::coroutine_handle<> resumable_;
  std::optional<Error> stopped_;
  std::shared_ptr<ProgramPlace> place_ = std::make_shared<ProgramPlace>();
  TaskNumber next_task_ = 1;
  std::uint64_t next_buffer_ = 1, next_token_ = 1, submitted_ = 0, ended_ = 0;
  std::size_t depth_ = 0;
  std::unique_ptr<PlanRecorder> recorder_;  ///< while a plan is made
  UnwrittenBuffers unwritten_;
  std::unordered_map<std::uint64_t, WrittenParts> parts_;  ///< of intermediates that are written in part
};

/// What to do instead with a tensor of another System.
constexpr auto of_another_system = "copy it into host memory first: systems do not reach into each other";

}  // namespace troupe::actors
