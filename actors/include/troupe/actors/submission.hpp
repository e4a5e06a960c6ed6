#pragma once

// A submit as it travels: from the program to its run, and from there to the executor of the task. The
// orchestrator makes them, programs do not. A TaskBody is shared by all actors on its way and changed by its
// run alone, before it leaves. After that any thread may read it. Errors: none here, all was checked at the
// submit.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/callable.hpp"
#include "troupe/runtime/call_config.hpp"

namespace troupe::actors {

/// Tasks and buffers are numbered by their program, from 1 on, in submit order.
using TaskNumber = std::uint64_t;

/// The options of a submit. Absent for most tasks.
struct SubmitExtras {
  std::string name;                      ///< of the task in errors, traces and `why`
  std::vector<TaskNumber> after;         ///< explicit edges
  std::vector<int> chips;                ///< a group's executors; empty: the node chooses
  std::chrono::nanoseconds deadline{0};  ///< from submit; 0: none
  std::uint32_t retries = 0;             ///< further attempts after a failure
  bool idempotent = false;               ///< running it again on its own `inout` is harmless
  std::optional<runtime::CallConfig> config;
  std::uint32_t blocks = 0;  ///< SPMD width of a bare kernel; 0: one
  CallableRef owned;         ///< a callable that came with the submit
  std::vector<DomainContext> domains;
  std::vector<Arguments> members;  ///< of a group: the arguments of each
};

struct TaskTrace;

/// A task as it travels: shared, not copied. It names buffers, never addresses, and does not change once its
/// run has taken it.
struct TaskBody {
  const Callable* callable = nullptr;
  Arguments args;
  std::shared_ptr<SubmitExtras> extras;   ///< null for most
  std::shared_ptr<TaskTrace> trace = {};  ///< only while a trace is taken
  /// Set by the worker before it goes to a chip: it may have to run again, so the arguments stay.
  bool kept = false;

  std::string_view name() const noexcept {
    if (extras && !extras->name.empty()) return extras->name;
    return callable != nullptr ? std::string_view(callable->name) : std::string_view("a read");
  }
};
using TaskBodyRef = std::shared_ptr<TaskBody>;

/// One line of a program, as it travels to its run.
struct Submission {
  enum class Kind : std::uint8_t {
    task,     ///< on a chip, a sub-worker or a worker, as the callable says
    group,    ///< one task on several chips at once
    alloc,    ///< intermediate `number` of `bytes` bytes
    release,  ///< no handle can name intermediate `number` any more
    scope_begin,
    scope_end,
    read,  ///< the program wants to look at a tensor: done when the program says so
    join,  ///< done when those that it comes after are
  };
  Kind kind = Kind::task;
  std::int8_t priority = 0;
  std::int32_t target = -1;  ///< executor number on the node; -1: anywhere
  TaskNumber number = 0;
  TaskBodyRef body;                     ///< task, group, read
  std::uint64_t bytes = 0;              ///< alloc
  std::shared_ptr<Buffer> buffer = {};  ///< alloc: what its tensors view
};

}  // namespace troupe::actors
