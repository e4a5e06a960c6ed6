#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "engine/baton.hpp"
#include "engine/bell.hpp"
#include "engine/deadlock.hpp"
#include "engine/deferrals.hpp"
#include "engine/kernel_runner.hpp"
#include "engine/schedule.hpp"
#include "engine/whereabouts.hpp"
#include "runs/runs.hpp"
#include "tasks/tasks.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// The threads of a run, and which of them does what: each takes work with the baton, gives the baton back
/// before it enters a kernel, and takes it again to complete. The program's own thread runs, in between its
/// submits and while it waits, the kernels that are known to be so short that another thread would cost more
/// than it brings; helpers run the others, at most as many as the host has processors; the members of a set
/// that has to run together get threads of their own.
///
/// With the baton, but for what says otherwise. A function that gets the `lock` may give the baton back in
/// between: what was known before has to be looked at again.
class Crew {
 public:
  using Lock = std::unique_lock<Baton>;
  struct Parts {
    Baton& baton;
    Bell& bell;
    Service& service;
    Whereabouts& whereabouts;
    Schedule& schedule;
    KernelRunner& runner;
    const DeadlockProof& deadlock;
    Deferrals& deferrals;
    Pace& pace;
    TaskChecks& checks;
    TaskRecords& records;
    CoreThreads& threads;
    CoreBoard& board;
  };
  explicit Crew(const Parts& parts);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void begin(KernelHost& kernels, RunQueue& queue) noexcept;

  /// As what a thread serves: a helper, the program's thread after its program, or that thread while the
  /// program waits, when it leaves to others what is long.
  enum class Role : std::uint8_t { helper, main, waiting };
  using Done = std::function<bool()>;
  /// Runs what comes until `done()`; a helper goes when nothing has come for a while.
  void serve(Lock& lock, Role role, const Done& done);
  /// The program's thread, between two submits: the quick tasks that are ready. And short ones, when the
  /// helpers fall behind: a backlog that grows gets cold, and then costs more than it brings.
  void help(Lock& lock);
  /// After every submit: whether somebody asks for that, or many are ready.
  bool is_of_help() const noexcept { return parts_.service.is_asked() || schedule_.falls_behind(); }
  /// The program's thread, which is alone, without the baton: runs a task that the graph does not know on
  /// that core (of the pool), and gives the record back.
  void run_at_once(TaskRecord& task, std::uint32_t core);
  /// The same beside others, with the baton: runs a task that the graph does not know and that waits for
  /// nobody, while they have enough to do. False: it has no core.
  bool run_inside(TaskRecord& task, Lock& lock);
  /// Whether others have that.
  bool others_have_enough() const noexcept { return schedule_.has_backlog(); }
  /// Starts a helper if there is something that one could take. Threads that work are as many as the host has
  /// processors; those whose kernel may wait do not count: what it waits for needs a thread too.
  void want_helper();
  /// Whether the program has returned and nothing of the run is left that could run.
  bool is_finished() const noexcept;

  /// The kernel on `core` is about to sleep. Its thread, without the baton.
  void about_to_park(CoreSlot& core);
  /// What a task has left is completed. Its thread, without the baton.
  void end_deferral(Deferrals::Deferral& deferral) noexcept;

 private:
  /// A thread that takes any work there is, until there is none for a while.
  struct Helper final : Job {
    explicit Helper(Crew& of) : crew(of) {}
    void run() noexcept override { crew.run_helper(*this); }
    Crew& crew;
  };
  /// A thread for one member of a set that runs together.
  struct Member final : Job {
    explicit Member(Crew& of) : crew(of) {}
    void run() noexcept override { crew.run_member(*this); }
    Crew& crew;
    Piece piece;
  };

  bool take_set(Piece& own);
  void start_member(const Piece& piece);
  void run_taken(Batch& batch, ArgumentWords& words, Lock& lock);
  bool gets_more(const Batch& tray, ArgumentWords& words);
  void run_own(Lock& lock, std::uint32_t& budget);
  void run_helper(Helper& helper) noexcept;
  void run_member(Member& member) noexcept;
  void after_other_thread();
  void do_without_helper();
  void fail_for_threads(const std::string& what);
  void ring_if_of_use() noexcept;
  void look_for_deadlock();

  const Parts parts_;
  Schedule& schedule_;
  Whereabouts& where_;
  KernelHost* kernels_ = nullptr;
  RunQueue* queue_ = nullptr;
  std::deque<Helper> helpers_;
  std::vector<Helper*> idle_helpers_;
  std::deque<Member> members_;
  std::vector<Member*> idle_members_;
  std::vector<Piece> started_;  ///< in take_set alone
  Batch own_batch_;             ///< the program thread's
  ArgumentWords own_words_;
  std::uint64_t untended_ = 0;  ///< ticks since the last look at the trays of others
};

}  // namespace troupe::platform::sim
