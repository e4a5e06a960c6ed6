#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "troupe/actors/submission.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/ring.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::actors {

/// The tasks of a run that failed, and which failures its program knows of: those are its to handle, of the
/// others the first one ends the run. Plain state.
///
/// A task that was poisoned only shares another's failure. Unless its program knew of that one when it
/// submitted the task: then the task is what nobody knows was not run.
///
/// A program that handles its failures may go on for ever: of failures that are known (and of tasks that only
/// share another's) the latest `remembered` keep their errors; of earlier ones it is
/// only remembered that they failed. Every step costs the same however many there are.
class TROUPE_API KnownFailures {
 public:
  static constexpr std::size_t remembered = 4096;

  void add(TaskNumber task, runtime::TaskId id, Error error, bool poisoned);
  /// The program asks how the task ended; nothing: not by failing. Whoever awaits a task knows of the failure
  /// at the root of its error, and with it of all that failed for the same reason. `latest`: the last task
  /// that it has submitted.
  std::optional<Error> await(TaskNumber task, TaskNumber latest);
  /// The program has waited for all tasks up to this one: the first failure among them that it did not know
  /// of. It knows of all of them now.
  std::optional<Error> await_all(TaskNumber upto, TaskNumber latest);
  /// The first failure that the program does not know of.
  std::optional<Error> first_unknown() const;
  bool failed(TaskNumber task) const;
  /// In the graph; nothing when its failure is not remembered any more.
  std::optional<runtime::TaskId> id_of(TaskNumber task) const;
  /// Errors that are kept.
  std::size_t kept() const { return failures_.size(); }

 private:
  using Order = std::uint64_t;
  static constexpr std::size_t block = 512;

  struct Failure {
    Error error;
    runtime::TaskId id;
    bool poisoned = false;
  };
  /// Errors are shared when they are copied, so the root's message tells the root; an unknown failure keeps
  /// it where it is.
  static const void* root_of(const Error& error) { return &error.root().message(); }
  void know(std::map<Order, TaskNumber>::iterator unknown, TaskNumber latest);
  void may_forget(TaskNumber task);

  std::unordered_map<TaskNumber, Failure> failures_;
  std::map<Order, TaskNumber> unknown_;              ///< failures the program does not know of, as they came
  std::set<std::pair<const void*, Order>> by_root_;  ///< the same
  /// By root: the last task that was submitted without knowing of it. Of failures in failures_.
  std::unordered_map<const void*, TaskNumber> known_after_;
  runtime::Ring<TaskNumber> forgettable_;               ///< the others of failures_, oldest first
  std::map<TaskNumber, std::bitset<block>> forgotten_;  ///< by task number / block
  Order next_ = 0;
};

}  // namespace troupe::actors
