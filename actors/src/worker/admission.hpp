#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "threads/threads.hpp"
#include "troupe/actors/config.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/actors/run_outcome.hpp"

namespace troupe::actors {

/// The runs of a worker: those that wait for a place, and those under way. Places go by priority, first come,
/// first served within one. Plain state.
class TROUPE_API Admission {
 public:
  struct Waiting {
    OpenRun open;
    Reply<Result<RunOpened>> promise;
    std::optional<TaskRequest> request = {};  ///< of the level above, which waits for the answer
    RunId id = 0;
    Run run =
        {};  ///< when nobody waits for the admission: it can be asked, cancelled and be too late already
    /// Given up while it waited; its run has ended, but has not said so here yet.
    bool over() const { return open.outcome && open.outcome->done(); }
  };
  struct Active {
    Run run;
    ProgramActor program;
    std::shared_ptr<RunOutcome> outcome;
    std::string name;
    std::optional<TaskRequest> request = {};  ///< of the level above, which waits for the answer
  };

  /// `places`: runs under way at once.
  explicit Admission(Count places) : places_(places) {}

  void wait(Waiting waiting) { waiting_.push_back(std::move(waiting)); }
  /// Whose turn it is; nullopt: nobody waits, or every place is taken.
  std::optional<Waiting> next();
  void begin(RunId run, Active active) { active_.emplace(run, std::move(active)); }
  /// The run has ended; nullopt: it was given up before it began, and does not wait any more.
  std::optional<Active> end(RunId run);

  /// Null: it is not under way here.
  const Active* find(RunId run) const;
  const std::map<RunId, Active>& active() const { return active_; }
  /// How many wait that somebody still wants.
  std::size_t queued() const;

  /// Programs that the level above submitted as this task: under way, and waiting.
  const std::pair<const RunId, Active>* active_for(RunId run, TaskNumber task) const;
  const Waiting* waiting_for(RunId run, TaskNumber task) const;
  struct Cancelled {
    std::vector<Waiting> waiting;       ///< wait no more
    std::vector<const Active*> active;  ///< are to be told
  };
  /// The level above takes back one task, or all of its run.
  Cancelled cancel(const Cancel& order);
  /// All that wait; they wait no more.
  std::deque<Waiting> give_up() { return std::exchange(waiting_, {}); }
  void clear() { waiting_.clear(), active_.clear(); }

 private:
  Count places_;
  std::map<RunId, Active> active_;
  std::deque<Waiting> waiting_;  ///< in the order they came
};

}  // namespace troupe::actors
