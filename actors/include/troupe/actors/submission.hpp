#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/actors/callable.hpp"
#include "troupe/runtime/call_config.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

/// Tasks and buffers are numbered by their program, from 1 on, in submit order.
using TaskNumber = std::uint64_t;

/// A rank's part of a communication domain as an argument: the kernel gets the address of its CommContext,
/// the task keeps the domain alive and, unless `ordered` is off, counts as inout on that rank's window.
struct DomainContext {
  std::uint64_t domain = 0;
  std::uint64_t address = 0;
  runtime::Tensor window;
  bool ordered = true;
  const void* system = nullptr;  ///< whose domain it is; null: unknown
};

inline DomainContext no_dep(DomainContext context) {
  context.ordered = false;
  return context;
}

/// The arguments of one task: tensors and scalars, each kind counted on its own.
struct Arguments {
  std::vector<runtime::TensorArg> tensors;
  std::vector<std::uint64_t> scalars;
  std::string scalar_kinds = {};  ///< a ScalarKind for each, or empty; a string: up to 15 take no memory

  void add(const runtime::ScalarArg& arg) {
    scalars.push_back(arg.word);
    scalar_kinds.push_back(static_cast<char>(arg.kind));
  }
  /// One for each; null: nothing is known.
  const std::uint8_t* kinds() const noexcept {
    return scalar_kinds.size() == scalars.size() && !scalars.empty()
               ? reinterpret_cast<const std::uint8_t*>(scalar_kinds.data())
               : nullptr;
  }
};

/// Arguments while a submit gathers them, with what keeps their buffers. Throws when there are more than a
/// task can carry, or a tensor that describes nothing.
class TROUPE_API Args {
 public:
  Args& add(const TensorUse& use) {
    add(use.arg);
    if (!use.hold) return *this;
    if (use.hold->system != nullptr && use.hold->system != system) note_system(use.hold->system);
    if (use.hold->kept_by_runs() && use.hold->kept_by.load(std::memory_order_relaxed) != keeper) {
      holds.push_back(use.hold);
    }
    return *this;
  }
  Args& add(const runtime::TensorArg& arg) {
    if (!arg.tensor.valid() || values.tensors.size() == runtime::limits::chip_tensors) refuse_tensor(arg);
    values.tensors.push_back(arg);
    return *this;
  }
  Args& add(const runtime::ScalarArg& arg) {
    if (values.scalars.size() == runtime::limits::chip_scalars) refuse_scalar();
    values.add(arg);
    return *this;
  }
  Args& add(const DomainContext& context) {
    add(runtime::ScalarArg{context.address, runtime::ScalarKind::any});
    domains.push_back(context);
    return *this;
  }

  Arguments values;
  std::vector<std::shared_ptr<BufferHold>> holds;
  std::vector<DomainContext> domains;  ///< they live until the task is done
  /// The run's number among all that keep buffers: what it keeps already is not kept again. 0: unknown.
  std::uint64_t keeper = 0;
  const void* system = nullptr;  ///< of the first tensor that is of one, and which tensor that is
  std::int32_t of_system = -1;
  std::int32_t of_another = -1;  ///< the first tensor that is of another one
  std::int32_t home = -1;        ///< of a group's member: the chip it belongs on; -1: anywhere

 private:
  void note_system(const void* other) {
    const auto index = static_cast<std::int32_t>(values.tensors.size()) - 1;
    if (system == nullptr) {
      system = other;
      of_system = index;
    } else if (of_another < 0) {
      of_another = index;
    }
  }
  [[noreturn]] void refuse_tensor(const runtime::TensorArg& arg) const;
  [[noreturn]] void refuse_scalar() const;
};

/// What a submit may say besides its arguments. Absent for most tasks.
struct SubmitExtras {
  std::string name;                      ///< what errors, traces and `why` call the task
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

/// A task as it travels: shared, not copied. Its run fills in the addresses of intermediates before it
/// leaves; from then on nobody changes it.
struct TaskTrace;

struct TaskBody {
  const Callable* callable = nullptr;
  Arguments args;
  std::shared_ptr<SubmitExtras> extras;   ///< null for most
  std::shared_ptr<TaskTrace> trace = {};  ///< only while a trace is taken

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
  };
  Kind kind = Kind::task;
  std::int8_t priority = 0;
  std::int32_t target = -1;  ///< executor number on the node; -1: anywhere
  TaskNumber number = 0;
  TaskBodyRef body;         ///< task, group, read
  std::uint64_t bytes = 0;  ///< alloc
};

// Options of a submit, in any order between and after the arguments.
// They keep what was said, as wide as it was said; the submit refuses what makes no sense.
struct OnExecutor {
  std::int64_t index;
};
struct Anywhere {};
struct Priority {
  std::int64_t value;
};
struct Deadline {
  std::chrono::nanoseconds value;
};
struct Retry {
  std::int64_t attempts;
};
struct Idempotent {};
struct Named {
  std::string value;
};
using runtime::Blocks;
using runtime::blocks;

/// An edge that the data does not show; `after(task)` in waiting.hpp makes it.
struct After;

namespace detail {

template <class T, class... Ts>
concept OneOf = (std::is_same_v<T, Ts> || ...);
/// What is an argument of a task.
template <class T>
concept TaskArgument = OneOf<T, TensorUse, runtime::TensorArg, runtime::ScalarArg, DomainContext>;
/// What says how a task is to run.
template <class T>
concept TaskOption = OneOf<T, OnExecutor, Anywhere, Priority, After, Deadline, Retry, Idempotent, Named,
                           Blocks, runtime::CallConfig>;

/// The one place that says what is wrong with an item of a submit: in a sentence.
template <class T>
consteval bool check_argument() {
  static_assert(
      !OneOf<T, Tensor, runtime::Tensor>,
      "a tensor argument says what the task does with it: in(x), out(x), inout(x), out_existing(x), "
      "no_dep(x)");
  static_assert(!std::is_arithmetic_v<T>, "a number argument is given as scalar(x)");
  static_assert(OneOf<T, Tensor, runtime::Tensor> || std::is_arithmetic_v<T> || TaskArgument<T>,
                "this is no argument of a task: those are tensors with a tag, as in(x), and scalar(x)");
  return TaskArgument<T>;
}

template <std::integral T>
constexpr std::int64_t wide(T value) {
  return std::in_range<std::int64_t>(value) ? static_cast<std::int64_t>(value) : INT64_MAX;
}
}  // namespace detail

/// On chip number `index` of the node (at a pod: on its node number `index`).
template <std::integral T>
OnExecutor on_chip(T index) {
  return {detail::wide(index)};
}
template <std::integral T>
OnExecutor on(T executor) {
  return {detail::wide(executor)};
}
inline constexpr Anywhere anywhere{};
/// Higher goes first among tasks that are ready; -128 … 127, 0 by default.
template <std::integral T>
Priority priority(T value) {
  return {detail::wide(value)};
}
/// Given up (with `deadline_exceeded`) when not done in time, counted from the submit. More than zero.
inline Deadline deadline(std::chrono::nanoseconds value) { return {value}; }
/// Up to `attempts` further attempts after a failure or after the loss of the chip.
template <std::integral T>
Retry retry(T attempts) {
  return {detail::wide(attempts)};
}
inline constexpr Idempotent idempotent{};
inline Named name(std::string value) { return {std::move(value)}; }

/// `args(in(a), out(c), scalar(2.0f))`: the arguments of one member of a group.
template <class... Items>
Args args(const Items&... items) {
  Args result;
  if constexpr ((detail::check_argument<Items>() && ...)) (result.add(items), ...);
  return result;
}

}  // namespace troupe::actors
