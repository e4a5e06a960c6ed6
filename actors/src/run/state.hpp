#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/data.hpp"
#include "run/in_order_queues.hpp"
#include "run/known_failures.hpp"
#include "run/spare_graphs.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/runtime/ring.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::actors {

struct RunConfig {
  RunId id = 0;
  std::string name;  ///< of the program
  std::string node;  ///< first segment of the path of its errors
  std::uint64_t arena_bytes = 256ULL << 20U;
  /// The executors' names, for errors; shared by the runs of a node.
  std::shared_ptr<const std::vector<std::string>> executors = {};
  std::uint32_t node_number = 0;
  std::int32_t only_chip = -1;               ///< the node's chip when it has exactly one: no placement needed
  std::string path;                          ///< of the node, for traces
  std::shared_ptr<const Recorder> recorder;  ///< null: no trace is taken
  std::uint64_t above = 0;                   ///< in the trace: the task of the level above that it is
  std::uint32_t credit_step = 512;           ///< tell the program after so many ends
  std::shared_ptr<SpareGraphs> graphs = {};  ///< of its node; null: it makes one for itself
};

/// Of the graphs of runs whose intermediates have as much memory.
runtime::TaskGraphConfig graph_config(std::uint64_t arena_bytes);

/// The buffers of a run's tensors: those it was told to keep, and its intermediates. Tasks share it, so that
/// one that outlives its run finds what it works on.
struct TROUPE_API RunMemory final : RunHold {
  ~RunMemory() override { give_back(); }
  /// Keeps the buffer, once, however often the run is told to.
  void keep(std::shared_ptr<BufferHold> hold);
  std::size_t kept() const { return holds_.size(); }
  /// Those whose newest bytes have to be in host memory when the run ends: somebody looks at them, or they
  /// are memory of the user's.
  std::vector<std::shared_ptr<Buffer>> wanted_home() const;
  /// Somebody may write them as soon as the run has ended: what is elsewhere is out of date then.
  void hand_over();
  /// Behind that, when no task of it works on anything: memory of the user's is not lent to the run any more.
  /// Who is slow to forget an answered task keeps what the task was about, and no more.
  void give_up_loans();

  /// An intermediate, until it is `released` and the last task that names it has ended.
  struct Intermediate {
    std::shared_ptr<Buffer> buffer;
    std::uint32_t tasks = 0;
    bool released = false;
  };
  std::unordered_map<const Buffer*, Intermediate> intermediates;

 private:
  void give_back();

  std::vector<std::shared_ptr<BufferHold>> holds_;  ///< let go in this order
  std::unordered_set<const BufferHold*> kept_;      ///< the same, to find them
  bool given_back_ = false;
};

/// What a run wants sent after a message was handled. Taken by the actor around it.
struct RunEffects {
  std::vector<TaskRequest> ready;
  bool report = false;     ///< of `ready`: where tasks go matters to dependents
  std::uint64_t seen = 0;  ///< results taken so far
  std::vector<Wake> wakes;
  std::uint64_t credit = 0;  ///< ended tasks in all, to tell the program; 0: nothing to tell
  std::vector<TaskNumber> cancels;
  std::vector<std::pair<TaskNumber, std::chrono::nanoseconds>> deadlines;
  std::vector<std::pair<std::uint64_t, std::int32_t>> domain_holds;
  std::vector<TaskNumber> reads;  ///< their data is settled; the program gets it once it is at home
  std::optional<Error> stop_program;
  bool cancel_all = false;
  std::optional<RunReport> finished;

  /// All of it, after which there is nothing: of what is not a list that has to be said.
  RunEffects take() {
    RunEffects taken(std::move(*this));
    report = cancel_all = false;
    seen = credit = 0;
    stop_program.reset();
    finished.reset();
    return taken;
  }
};

/// One program in flight: its dependency graph, what was submitted, what failed and who waits for what. Plain
/// state; the actor around it turns messages into calls and sends the effects.
class TROUPE_API RunState {
 public:
  explicit RunState(RunConfig config);
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;
  ~RunState();

  void submit(Submit& submit);
  void placed(const Placed& placed);
  void results(RunResults& results);
  void await(const Await& await);
  void read_done(TaskNumber task);
  /// The buffer of a read.
  std::shared_ptr<Buffer> to_read(TaskNumber task) const;
  /// It is in host memory now, or cannot be.
  void read_is_home(TaskNumber task, const std::optional<Error>& error);
  void program_ended(const ProgramEnded& ended);
  /// The program died without having ended: nobody will ask for anything of it.
  void program_lost(const Error& reason);
  void cancel(const Error& reason);
  void deadline_due(TaskNumber task);
  std::string why(TaskNumber task) const;
  bool with_node(TaskNumber task) const;
  /// The oldest tasks that have not ended, at most so many.
  std::vector<TaskNumber> unfinished(std::size_t most) const;
  /// "task 3 \"step\"": how a task is called when several are meant.
  std::string title(TaskNumber task) const;

  /// Dispatches what became ready and gathers what is to be sent. Call once after each message.
  RunEffects advance();
  bool finished() const { return finished_; }
  bool is_given_up() const { return cancelled_.has_value(); }
  const std::optional<Error>& given_up_for() const { return cancelled_; }
  /// What tasks of it that have not been answered may be working on; null: there are none.
  std::shared_ptr<const RunMemory> memory_in_use() const {
    return in_flight_ != 0 || reads_open_ != 0 ? memory_ : nullptr;
  }
  const RunConfig& config() const { return config_; }
  /// Whether nothing is to be known of the task any more.
  bool over(TaskNumber task) const { return find(task) == nullptr; }
  RunMemory& memory() const { return *memory_; }

 private:
  enum Kind : std::uint8_t { chip_kind = 0, function_kind = 1, program_kind = 2, read_kind = 3 };

  struct Record {
    TaskNumber number = 0;
    runtime::TaskId id;
    TaskBodyRef body;
    std::uint8_t kind = chip_kind;
    std::int8_t priority = 0;
    std::int32_t target = -1;
    std::int32_t queue = -1;  ///< executor it is queued on, when known
    std::uint32_t members = 1;
    std::uint32_t answered = 0;  ///< members of this attempt
    std::uint32_t attempt = 0;
    std::uint32_t retries = 0;  ///< left
    bool in_flight = false;
    bool touched = false;  ///< an attempt that did not end well had begun
    bool sent = false;     ///< at least once
    bool counted = false;  ///< among the tasks of its intermediates
    bool halting = false;  ///< a member has failed, so the others of this attempt were asked to end
    Outcome outcome = Outcome::done;  ///< worst so far of this attempt
    std::optional<Error> error;       ///< first of this attempt
    std::optional<Error> cancel_reason;
    std::vector<std::uint64_t> waiters;  ///< tokens
    std::uint64_t read_token = 0;

    /// As new, with what memory it has: apply_task sets what is not reset here.
    void clear() {
      body.reset();
      queue = -1;
      members = 1;
      answered = attempt = retries = 0;
      in_flight = halting = counted = touched = sent = false;
      outcome = Outcome::done;
      error.reset();
      cancel_reason.reset();
      waiters.clear();
      read_token = 0;
      id = {};
    }
  };
  struct DrainWaiter {
    std::uint64_t token = 0;
    TaskNumber upto = 0;
  };

  void apply(Submission& line);
  void apply_task(Submission& line);
  void apply_alloc(const Submission& line);
  bool add_accesses(Arguments& args);
  void count(const TaskBody& body, bool begins);
  void void_outputs(const Record& record, const Error& cause);
  void refuse(Record& record, const Error& error);
  Record* find(TaskNumber number);
  const Record* find(TaskNumber number) const;

  std::uint64_t in_flight_limit() const;
  void dispatch(Record& record, std::int32_t bound, bool in_order);
  static bool may_be_followed(const Record& record);
  void join_queue(Record& record, std::int32_t executor);
  void follow();
  void serve_read(Record& record);

  void one_result(TaskResult& result);
  void attempt_over(Record& record);
  void requeue(Record& record);
  Error located(const Error& error, std::int32_t executor) const;
  Error task_error(const Record& record) const;
  Error poison_error(const Record& record, const Error& cause) const;
  void ended(Record& record, const std::optional<Error>& error, bool poisoned);
  void reap();
  void hold_domains(const TaskBody& body, std::int32_t delta);

  void serve_waiters();
  std::string why_not_ready(const Record& record) const;
  void check_stuck();
  void maybe_finish();
  void wake(std::uint64_t token, std::optional<Error> error, std::uint64_t value = 0);
  bool everything_ended(TaskNumber upto);
  /// The last task that was submitted; 0: none was.
  TaskNumber latest() const { return oldest_ + records_.size() - 1; }

  RunConfig config_;
  std::optional<RunTracer> tracer_;
  std::shared_ptr<RunMemory> memory_;
  runtime::TaskGraph graph_;
  runtime::AccessList accesses_;

  runtime::Ring<std::unique_ptr<Record>> records_;  ///< by number from `oldest_` on; null: ended
  std::vector<std::unique_ptr<Record>> spare_;
  TaskNumber oldest_ = 1;
  struct Known {
    runtime::BufferRef ref;
    const Buffer* buffer = nullptr;
  };
  std::unordered_map<std::uint64_t, Known> intermediates_;  ///< that handles can name, by number
  InOrderQueues queues_;
  KnownFailures failures_;
  std::vector<DrainWaiter> drains_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rooms_;  ///< token, limit

  std::uint64_t seen_ = 0, live_ = 0, ended_ = 0, told_ = 0, reads_open_ = 0, in_flight_ = 0;
  bool program_over_ = false, finished_ = false;
  std::optional<Error> program_error_, cancelled_;
  RunReport report_;
  RunEffects effects_;
};

}  // namespace troupe::actors
