#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chip/chip.hpp"
#include "domain/domain.hpp"
#include "last_word.hpp"
#include "placement/placement.hpp"
#include "program/program.hpp"
#include "run/run.hpp"
#include "threads/threads.hpp"
#include "troupe/actors/messages.hpp"
#include "worker/admission.hpp"
#include "worker/children.hpp"
#include "worker/configured_bring_up.hpp"
#include "worker/domains.hpp"
#include "worker/worker.hpp"

namespace troupe::actors {

/// A worker of any level ≥ 3: admits runs, places their tasks on its executors, supervises its children. To
/// the level above it is an executor whose tasks are programs. What it decides, its state decides
/// (`Children`, `Placement`, `Admission`, `ConfiguredBringUp`, `Domains`); here messages become calls, and
/// what the calls return is sent.
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
  /// Answers that are owed, by executor.
  template <class T>
  class Awaited {
   public:
    void add(std::int32_t executor, const Reply<Result<T>>& reply) { replies_.emplace(executor, reply); }
    bool has(std::int32_t executor) const { return replies_.count(executor) != 0; }
    void answer(std::int32_t executor, const Result<T>& result) {
      if (auto asked = replies_.extract(executor)) asked.mapped().deliver(result);
    }

   private:
    std::map<std::int32_t, Reply<Result<T>>> replies_;
  };
  enum class Life : std::uint8_t { created, starting, up, stopping };

  // Tasks: actor.cpp.
  void ready(Ready& ready);
  void results(Results& results);
  void cancel(const Cancel& cancel);
  void dispatch();
  void route(std::vector<TaskResult> results);
  caf::typed_response_promise<ExecutorStatus> status();
  caf::typed_response_promise<std::string> why(const Why& question);
  void why_above(const Why& question, const Reply<std::string>& promise);

  // Runs: actor_runs.cpp.
  caf::typed_response_promise<Result<RunOpened>> open(OpenRun& open);
  void execute(Execute& execute);
  void admit();
  void start(Admission::Waiting waiting);
  void make_run(Admission::Waiting& waiting);
  void drop(Admission::Waiting& waiting, const Error& error, Outcome outcome);
  void drop_all(const Error& error, Outcome outcome);
  void run_closed(RunId run);
  void report_above(const TaskRequest& request, const std::optional<Error>& error, Outcome outcome,
                    std::uint64_t inside = 0);
  void cancel_request(const Cancel& cancel);

  // Children: actor_children.cpp, and how they go: actor_end.cpp.
  std::int32_t add_child(const ExecutorConfig& config);
  void spawn_child(std::int32_t index);
  void bring_up(std::int32_t index);
  void all_up();
  void child_up(std::int32_t index, std::uint32_t life, std::uint32_t credit);
  void child_failed(std::int32_t index, std::uint32_t life, const Error& error);
  void child_down(const caf::down_msg& down);
  void child_lost(std::int32_t index, const Error& reason);
  void down(std::int32_t index, const Error& reason);
  void buried(std::int32_t index);
  void retire(std::int32_t index, const Error& reason, bool told = false);
  caf::typed_response_promise<Result<bool>> start_all();
  void give_up_start(const Error& error, std::int32_t index);
  caf::typed_response_promise<Result<bool>> reset_executor(std::int32_t index);
  void reset_now(std::int32_t index);
  caf::typed_response_promise<bool> stop_all();
  Error going_down() const;
  void stop_children();
  void stop_child(std::int32_t index, const std::function<void()>& then);
  void stopped();
  void keep_costs();
  caf::typed_response_promise<Result<std::int32_t>> add_executor(const AddExecutor& add);
  caf::typed_response_promise<Result<bool>> remove_executor(std::int32_t index);
  void remove_if_idle(std::int32_t index);

  // Bring-up from configuration: actor_bring_up.cpp.
  void device_ready(std::int32_t index, std::uint32_t life, std::uint32_t credit);
  void form_configured(std::size_t group);
  void configured_formed(std::size_t group, std::uint64_t domain, Result<DomainInfo>& formed);
  void loaded(std::size_t group, std::uint64_t domain, const std::optional<Error>& error);
  void configured_failed(std::size_t group, const Error& error);
  void configured_lost(std::int32_t index);
  void stage(ConfiguredBringUp::Staging& staging, const std::string& done,
             const std::function<void(const std::optional<Error>&)>& then);
  void store_buffers(const std::string& name, std::function<void(std::optional<Error>)> then);

  // Data: actor_data.cpp.
  void stored(Stored& news);
  void room_wanted(const RoomWanted& request);
  caf::typed_response_promise<Result<bool>> bring_home(const BringHome& order);
  void fetch(std::shared_ptr<Buffer> buffer);
  void fetch_from_another_system(std::shared_ptr<NodeLink> from, std::shared_ptr<Buffer> buffer);
  void send_orders();
  void take_remade(std::vector<TaskResult>& results);
  caf::typed_response_promise<bool> settle(RunId run);
  void settle_runs();
  void data_changed();
  void store_chips(std::function<void()> then);

  // Domains: actor_domains.cpp.
  caf::typed_response_promise<Result<DomainInfo>> allocate_domain(const AllocateDomain& order);
  void try_domain(Domains::Waiting waiting);
  void try_domains();
  std::uint64_t start_domain(DomainInfo layout, std::uint64_t window_bytes, std::vector<DomainMember> members,
                             RunId run);
  void hold_domain(const HoldDomain& hold);
  void release_domain(std::uint64_t domain);
  caf::result<Result<std::uint64_t>> barrier(const BarrierOf& order);
  void sweep_domains(RunId run);

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

  std::shared_ptr<SpareGraphs> graphs_;
  Children children_;
  Directory data_;
  Placement placement_;
  Admission admission_;
  ConfiguredBringUp bring_up_;
  Domains domains_;

  std::vector<std::pair<RunId, Reply<bool>>> settling_;  ///< runs that wait until nothing is made again
  Reply<Result<bool>> start_promise_;
  std::optional<Error> start_error_;  ///< what the start is given up for
  /// By executor: who waits for it to have come, to be up again, to have left.
  Awaited<std::int32_t> adding_;
  Awaited<bool> resetting_, removing_;
  std::map<std::int32_t, std::function<void()>> when_gone_;  ///< who waits for an executor's last word
  Reply<bool> stop_promise_;
  std::size_t stopping_ = 0;

  std::uint64_t completed_ = 0, failed_ = 0;
};

}  // namespace troupe::actors
