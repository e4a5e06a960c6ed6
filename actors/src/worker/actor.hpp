#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chip/chip.hpp"
#include "domain/domain.hpp"
#include "last_word.hpp"
#include "program/program.hpp"
#include "run/run.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"
#include "worker/bootstrap_plan.hpp"
#include "worker/placement.hpp"
#include "worker/worker.hpp"

namespace troupe::actors {

/// A worker of any level ≥ 3: admits runs, places their tasks on its executors, supervises its children. To
/// the level above it is an executor whose tasks are programs. Its parts: worker_actor.cpp (tasks),
/// worker_runs.cpp (admission), worker_children.cpp (bring-up, supervision), worker_end.cpp (children that
/// go, the end), worker_bootstrap.cpp (chips from configuration), worker_domains.cpp.
class WorkerActor : public Worker::base {
 public:
  WorkerActor(caf::actor_config& actor, std::shared_ptr<Services> services,
              std::shared_ptr<const WorkerConfig> config, std::shared_ptr<NodeShared> shared,
              std::int32_t index, std::uint32_t incarnation, ResultSink results,
              std::shared_ptr<const void> above);

  const char* name() const override { return "worker"; }
  behavior_type make_behavior() override;
  void on_exit() override;

 private:
  struct Child {
    ExecutorConfig config;
    ExecutorKind kind = ExecutorKind::chip;
    std::string name;
    Executor handle;
    Chip chip;      ///< when it is one
    Worker worker;  ///< when it is one
    ExecutorState state = ExecutorState::starting;
    std::uint32_t incarnation = 0;
    std::uint32_t credit = 0;
    std::optional<Error> died;                          ///< of this; restarted when nothing of it is left
    bool gone = false;                                  ///< nothing of it is left
    std::function<void()> when_gone;                    ///< of who waits for that
    std::deque<caf::actor_clock::time_point> restarts;  ///< within the window
    bool removing = false;
    Reply<Result<bool>> removed;
  };
  struct ActiveRun {
    Run run;
    ProgramActor program;
    std::shared_ptr<RunOutcome> outcome;
    std::string name;
    std::optional<TaskRequest> request;  ///< of the level above, which waits for the answer
    std::set<std::uint64_t> met;         ///< domains at whose barrier it has been
  };
  struct Waiting {
    OpenRun open;
    Reply<Result<RunOpened>> promise;
    std::optional<TaskRequest> request;
    RunId id = 0;
    Run run;  ///< when nobody waits for the admission: it can be asked, cancelled and be too late already
    /// Given up while it waited; its run has ended, but has not said so here yet.
    bool over() const { return open.outcome && open.outcome->done(); }
  };
  struct ActiveDomain {
    Communicator handle;
    RunId run = 0;
  };
  /// A communicator of the configuration.
  struct Configured {
    std::set<std::int32_t> ready;  ///< chips whose device is there
    std::uint64_t domain = 0;      ///< being formed, or formed; 0: none
    std::shared_ptr<const DomainInfo> info;
    std::size_t loads = 0;  ///< staged buffers on their way to the chips
  };
  static constexpr RunId configured_run = ~RunId{0};  ///< whose domains the configured ones are
  struct WaitingDomain {
    AllocateDomain order;
    Reply<Result<DomainInfo>> promise;
  };
  enum class Life : std::uint8_t { created, starting, up, stopping };

  // Tasks.
  void ready(Ready& ready);
  void results(Results& results);
  void cancel(const Cancel& cancel);
  void move();
  void route(std::vector<TaskResult> results);
  caf::typed_response_promise<ExecutorStatus> status();
  caf::typed_response_promise<std::string> why(const Why& question);
  void why_above(const Why& question, const Reply<std::string>& promise);

  // Runs.
  caf::typed_response_promise<Result<RunOpened>> open(OpenRun& open);
  void execute(Execute& execute);
  void admit();
  void start(Waiting waiting);
  void make_run(Waiting& waiting);
  void drop(Waiting& waiting, const Error& error, Outcome outcome);
  void run_closed(RunId run);
  void answer_above(const TaskRequest& request, const std::optional<Error>& error, Outcome outcome,
                    std::uint64_t inside = 0);
  void cancel_request(const Cancel& cancel);

  // Children.
  std::int32_t add_child(const ExecutorConfig& config);
  void spawn_child(std::int32_t index);
  void bring_up(std::int32_t index);
  void all_up();
  void child_up(std::int32_t index, std::uint32_t incarnation, std::uint32_t credit);
  void child_failed(std::int32_t index, std::uint32_t incarnation, const Error& error);
  void child_down(const caf::down_msg& down);
  void child_lost(std::int32_t index, const Error& reason);
  void buried(std::int32_t index);
  void restart(std::int32_t index, const Error& reason);
  void retire(std::int32_t index, const Error& reason);
  caf::typed_response_promise<Result<bool>> start_all();
  void give_up_start(const Error& error, std::int32_t index);
  caf::typed_response_promise<Result<bool>> reset_executor(std::int32_t index);
  caf::typed_response_promise<bool> stop_all();
  Error going_down() const;
  void stop_children();
  void stop_child(Child& child, const std::function<void()>& then);
  void stopped();
  caf::typed_response_promise<Result<std::int32_t>> add_executor(const AddExecutor& add);
  caf::typed_response_promise<Result<bool>> remove_executor(std::int32_t index);
  void remove_if_idle(std::int32_t index);
  Result<ChipAccess> chip_of(std::int32_t index) const;
  Child& child(std::int32_t index) { return children_[static_cast<std::size_t>(index)]; }

  // Bring-up from configuration.
  std::optional<BootstrapPlan::Refusal> plan_bring_up();
  void device_ready(std::int32_t index, std::uint32_t incarnation, const ExecutorInfo& info);
  void form_if_ready(std::size_t group);
  void configured_formed(std::size_t group, std::uint64_t domain, Result<DomainInfo>& formed);
  void loaded(std::size_t group, std::uint64_t domain, const std::optional<Error>& error);
  void configured_failed(std::size_t group, const Error& error);
  void configured_lost(std::int32_t index);
  void forget_configured(std::size_t group);
  void store_buffers(const std::string& name, std::function<void(std::optional<Error>)> then);

  // Domains.
  caf::typed_response_promise<Result<DomainInfo>> allocate_domain(const AllocateDomain& request);
  void try_domain(WaitingDomain waiting);
  void try_domains();
  std::uint64_t start_domain(DomainInfo layout, std::uint64_t window_bytes, std::vector<DomainMember> members,
                             RunId run);
  void hold_domain(const HoldDomain& hold);
  void release_domain(std::uint64_t id);
  caf::result<Result<std::uint64_t>> barrier(const BarrierOf& order);
  void sweep_domains(RunId run, const std::set<std::uint64_t>& met);
  bool domain_down(const caf::down_msg& down);

  Stay stay_;
  std::shared_ptr<Services> services_;
  std::shared_ptr<const WorkerConfig> config_;
  std::shared_ptr<NodeShared> shared_;
  std::int32_t index_;
  std::uint32_t incarnation_;
  ResultSink above_;
  std::shared_ptr<LastWord> last_word_ = std::make_shared<LastWord>();
  Life life_ = Life::created;
  Replies replies_;

  std::deque<Child> children_;
  Placement placement_;
  std::size_t starting_ = 0;
  Reply<Result<bool>> start_promise_;
  std::optional<Error> start_error_;  ///< what the start is given up for
  BootstrapPlan plan_;
  std::vector<Configured> configured_;  ///< by group of the plan
  std::map<std::int32_t, Reply<Result<bool>>> resetting_;
  std::map<std::int32_t, Reply<Result<std::int32_t>>> adding_;
  Reply<bool> stop_promise_;
  std::size_t stopping_ = 0;

  std::map<RunId, ActiveRun> runs_;
  std::shared_ptr<const std::vector<std::string>> names_;  ///< of the children
  std::deque<Waiting> waiting_;
  std::map<std::uint64_t, ActiveDomain> domains_;
  std::vector<WaitingDomain> waiting_domains_;  ///< for a chip that is coming back
  std::uint64_t next_domain_ = 1;
  std::uint64_t completed_ = 0, failed_ = 0;
};

}  // namespace troupe::actors
