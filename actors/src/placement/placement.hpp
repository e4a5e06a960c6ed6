#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/data.hpp"
#include "placement/costs.hpp"
#include "placement/lane_set.hpp"
#include "troupe/actors/placing.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/runtime/ring.hpp"

namespace troupe::actors {

/// Which request goes to which executor, and when. Knows executors as lanes with credit; keeps what cannot go
/// yet; remembers what is out, so that the death of an executor is the answer to its requests. Plain state.
///
/// - Requests bound to an executor queue there, in the order they came: in-order dispatch relies on it.
/// - Others go to an executor with nothing to do, or to the one of a few with most free credit, or where a
///   policy of chips says. Runs take turns, a run of higher priority first.
/// - What waits for bytes waits here, with its place and its credit; only what has to follow it waits too.
/// - A group takes its place in the queues of all its executors at once and starts when it is first in each:
///   nothing overtakes it there (it cannot starve), and two groups meet in the same order everywhere (they
///   cannot lock each other out).
class TROUPE_API Placement {
 public:
  struct Send {
    std::int32_t executor = -1;
    std::vector<TaskRequest> requests = {};
    std::optional<DataOrders> orders = {};  ///< instead: about copies, in their turn
  };
  /// What to send and to tell after a change.
  struct Moves {
    std::vector<Send> sends;
    std::map<RunId, std::vector<std::pair<TaskNumber, std::int32_t>>> placed;  ///< of runs that asked
    std::vector<TaskResult> refused;
  };

  /// `node`: the number of the node whose executors it knows. `data`: says what a task has to wait for; null:
  /// nothing.
  explicit Placement(std::uint32_t node = 0, Directory* data = nullptr) : node_(node), data_(data) {}

  /// From now on a policy says which chip. What it is shown of costs is learned.
  void use(PlacementPolicy policy) { policy_ = std::move(policy); }
  Costs& costs() { return costs_; }

  std::int32_t add(ExecutorKind kind, std::string name, std::uint32_t credit);
  std::size_t size() const { return lanes_.size(); }
  /// The executor is there: its queue moves.
  void up(std::int32_t executor, std::uint32_t credit);
  /// Nothing goes there for now; what is out, stays out.
  void suspend(std::int32_t executor) {
    lane(executor).up = false;
    relist(executor);
  }
  /// Whether an executor that was lost is expected back soon. Until it is, those that are there leave it its
  /// part of what may go anywhere: the first of many that are lost at once would take everything.
  void expect_back(std::int32_t executor, bool soon);
  /// The executor died: its requests are answered `lost`, its queue waits for it to come back.
  std::vector<TaskResult> down(std::int32_t executor, const Error& reason);
  /// The executor will not come back: what waits for it is answered too.
  std::vector<TaskResult> retire(std::int32_t executor, const Error& reason);

  /// Takes nothing new for the executor; what it has, it finishes.
  void close_lane(std::int32_t executor) {
    lane(executor).closing = true;
    relist(executor);
  }

  void open(RunId run, std::int8_t priority);
  void close(RunId run);
  void take(Ready& ready);
  /// The run will be told how tasks ended. Until it says that it knows (`Ready::seen`), it may send what was
  /// to follow those that failed: such requests are skipped, wherever the task's executor is by now.
  void told(RunId run, const std::vector<TaskResult>& results);
  /// Credit comes back; fills in `executor`. Answers that nobody waits for are dropped.
  std::vector<TaskResult> results(Results& results);
  /// Takes back what has not left; `holders`: executors that have some of it.
  std::vector<TaskResult> cancel(const Cancel& cancel, std::vector<std::int32_t>& holders);

  Moves place();
  /// Bytes have come, or will not: what waited for them goes.
  void data_came();
  /// Whether anything waits for its data.
  bool any_held() const {
    return group_follows_ ||
           std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& it) { return !it.held.empty(); });
  }

  /// Whether the answer to this request of the executor is still owed.
  bool is_unanswered(std::int32_t executor, Ticket ticket) const {
    const auto& it = lane(executor);
    return ticket >= it.first && ticket - it.first < it.flights.size() &&
           !it.flights[ticket - it.first].ended;
  }
  /// The requests of the executor whose answers are owed, in order.
  std::vector<Ticket> unanswered(std::int32_t executor) const;
  std::size_t queued(std::int32_t executor) const { return lane(executor).queue.size(); }
  std::size_t out(std::int32_t executor) const { return lane(executor).used; }
  bool idle(std::int32_t executor) const { return queued(executor) == 0 && out(executor) == 0; }
  std::string why(RunId run, TaskNumber task) const;
  /// The executor that has (a member of) the task; -1: none.
  std::int32_t holder(RunId run, TaskNumber task) const;

 private:
  struct Group {
    TaskRequest request;
    std::vector<std::int32_t> lanes;
    std::vector<const Buffer*> shared;  ///< one member writes it and another sees it
    std::optional<Error> refused = {};  ///< it reads what is lost
  };
  struct Entry {
    TaskRequest request;
    std::shared_ptr<Group> group;  ///< a place in the queue of a member's executor
    int priority = 0;              ///< the run's first, then the task's
  };
  struct Flight {
    TaskKey key;
    bool ended = false;
    Costs::Model model = 0;
    std::chrono::nanoseconds takes{};  ///< as was expected
  };
  /// How much of its chip's time its tasks take: several may run at once. The latest count most.
  class Pace {
   public:
    void note(std::int64_t began, std::int64_t ended);
    double at_once() const;
    void chip_is_new() { last_end_ = 0; }

   private:
    double worked_ = 0, wall_ = 0;
    std::int64_t last_end_ = 0;
  };
  struct Lane {
    ExecutorKind kind = ExecutorKind::chip;
    std::string name;
    bool up = false, retired = false, closing = false, listed = false;
    bool free = false, idle = false;  ///< as `relist` saw it last
    bool awaited = false;             ///< it is to be back soon
    std::uint32_t credit = 0, used = 0;
    std::deque<Entry> queue;
    runtime::Ring<Flight> flights;  ///< by ticket from `first` on
    Ticket first = 1;
    std::deque<TaskRequest> held;  ///< have their place there, and wait for their data or for each other
    std::vector<TaskRequest> outbox;
    std::chrono::nanoseconds expected{};  ///< of what is there, together
    Pace pace = {};

    bool takes_at_once() const { return up && !closing && used < credit && queue.empty(); }
  };
  struct RunQueue {
    std::int8_t priority = 0;
    bool report = false;
    std::list<TaskRequest> waiting[3];  ///< by kind of executor,
    bool in_turns[3] = {};              ///< and whether the run is in the turns for it
    std::uint64_t told = 0;             ///< results
    runtime::Ring<std::pair<std::uint64_t, TaskNumber>>
        unseen;  ///< failures among them, the run may not know yet
  };

  Lane& lane(std::int32_t executor) { return lanes_[static_cast<std::size_t>(executor)]; }
  const Lane& lane(std::int32_t executor) const { return lanes_[static_cast<std::size_t>(executor)]; }
  static ExecutorKind kind_for(const TaskRequest& request);
  void touch(std::int32_t executor);
  void relist(std::int32_t executor);
  bool takes_more(const Lane& it) const;
  void share_out(std::size_t kind);
  void take_group(TaskRequest request);
  void choose_lanes(Group& group, ExecutorKind kind) const;
  void enqueue(std::int32_t executor, TaskRequest&& request, std::int8_t run_priority);
  void drain(std::int32_t executor);
  void drain_touched();
  bool start_group(const std::shared_ptr<Group>& group);
  /// `group`: that it is a member of, where it is known.
  void put(std::int32_t executor, TaskRequest&& request, const Group* group = nullptr);
  bool hold(std::int32_t executor, TaskRequest& request, std::optional<Error>& refused,
            const Group* group = nullptr);
  void give(std::int32_t executor, TaskRequest&& request);
  void order_data();
  void close_outbox(std::int32_t executor);
  void refuse_held(std::int32_t executor, const TaskRequest& request, const std::optional<Error>& error);
  void stay_home(TaskRequest& request, std::int32_t chip, const Group* group) const;
  static std::vector<const Buffer*> shared_in(const TaskBody& body);
  bool bring_group_data(Group& group);
  /// False: the answer to this request is not owed any more.
  bool settle_if_owed(std::int32_t executor, Ticket ticket);
  std::int32_t best(ExecutorKind kind) const;
  std::int32_t place_for(const TaskRequest& request, std::int32_t best) const;
  std::int32_t ask_policy(const TaskRequest& request);
  void expect(Lane& lane, Flight& flight, const TaskRequest& request);
  void learn(Lane& lane, const Flight& flight, const TaskResult& result);
  void end(std::int32_t executor, Flight& flight);
  void take_turn(RunId id, RunQueue& run, std::size_t kind);
  std::map<RunId, RunQueue>::iterator next_in_turn(std::size_t kind);
  void place_waiting(Moves& moves);
  void place_remakes();
  bool any_left(ExecutorKind kind) const;
  void refuse(const TaskRequest& request, const Error& error);
  void skip_followers(std::int32_t executor, const TaskKey& key);

  std::uint32_t node_;
  Directory* data_;
  std::deque<Lane> lanes_;
  LaneSet free_[3], idle_[3];  ///< by kind: those that take something at once, and have nothing to do
  std::map<RunId, RunQueue> runs_;
  /// By kind of executor: the runs that have something waiting, highest priority first, in turn.
  std::map<std::int8_t, std::deque<RunId>, std::greater<>> turns_[3];
  std::size_t waiting_count_[3] = {0, 0, 0};
  std::size_t awaited_[3] = {0, 0, 0};  ///< by kind: those that are to be back soon
  static constexpr std::uint32_t everything = ~std::uint32_t{0};
  std::uint32_t share_[3] = {everything, everything, everything};  ///< so many each of what may go anywhere
  std::vector<std::int32_t> touched_;
  std::vector<std::int32_t> outboxes_;
  std::vector<Send> sends_;  ///< what goes before the outboxes
  std::vector<TaskResult> refused_;
  bool group_follows_ = false;       ///< a group waits for the end of a task on any executor, for its data
  std::deque<TaskRequest> remakes_;  ///< tasks that run again for bytes that were lost; before all others
  mutable std::size_t cursor_ = 0;
  PlacementPolicy policy_;
  Costs costs_;
  std::vector<ChipForTask> shown_;      ///< to the policy
  std::vector<std::uint64_t> present_;  ///< bytes that a task reads, by executor
};

}  // namespace troupe::actors
