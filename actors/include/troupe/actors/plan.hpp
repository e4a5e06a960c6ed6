#pragma once

// Plans: what a program submitted, kept to be submitted again with other tensors and numbers. A Plan is a
// cheap shared name of something that never changes: any thread may hold one and run it. It keeps the tensors
// that it captured and belongs to the node that recorded it. Errors are thrown: bad_argument when the
// arguments of a replay do not fit the recorded ones (number, type, shape, strides, what overlaps what),
// dtype_mismatch for a number that its parameter does not hold exactly, wrong_program on another node. What
// cannot be recorded is refused by the record, with what to do instead.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/callable.hpp"
#include "troupe/actors/slot.hpp"
#include "troupe/actors/submit_options.hpp"
#include "troupe/actors/waiting.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::actors {

struct PlanImage;  ///< what a plan is made of; troupe's own

/// A parameter of a plan.
struct PlanParameterInfo {
  bool is_tensor = false;
  bool is_slot = false;            ///< may be another one in each replay, as every tensor may
  runtime::Tensor tensor = {};     ///< as it was recorded, without its memory
  runtime::ScalarArg scalar = {};  ///< as it was recorded
  bool reads = false, writes = false;
};

/// What a program submitted when it was recorded. Its tensor parameters, and the numbers that it took as
/// `Slot<T>`, are given anew with each replay; everything else is as it was.
class TROUPE_API Plan {
 public:
  Plan() = default;
  explicit Plan(std::shared_ptr<const PlanImage> image) : image_(std::move(image)) {}

  explicit operator bool() const noexcept { return image_ != nullptr; }
  /// As it was recorded under; empty for an empty plan.
  const std::string& name() const;
  /// Tasks of the recorded program.
  std::size_t tasks() const;
  /// What a replay submits for them: tasks that run on one chip one after the other are submitted as one.
  std::size_t steps() const;
  /// Memory of the plan itself, without the tensors it has captured.
  std::size_t bytes() const;
  /// Parameters, steps and what they depend on, in words: a line each.
  std::string describe() const;
  /// What a replay is given, in order.
  std::vector<PlanParameterInfo> parameters() const;
  /// Into a file, for `node.load_plan` of any process that has the same modules: the program, with parameters
  /// for tensors and digests for code. Throws cannot_write, and bad_argument, naming the task, for a plan
  /// that keeps tensors or has host functions or code without a name.
  void save(const std::string& path) const;

  const std::shared_ptr<const PlanImage>& image() const noexcept { return image_; }

 private:
  std::shared_ptr<const PlanImage> image_;
};

namespace detail {

/// A parameter of a program that is recorded, and an argument of a replay.
struct PlanArgument {
  bool is_tensor = false;
  Tensor tensor = {};
  std::optional<runtime::Tag> tag = {};  ///< what the caller says of it
  runtime::ScalarArg scalar = {};
  bool is_slot = false;    ///< of a record: may be another number in a replay
  std::int32_t slot = -1;  ///< of a replay: which slot of the program that is recorded around it
};

template <class T>
PlanArgument plan_argument(const T& item) {
  PlanArgument argument;
  if constexpr (std::is_same_v<T, Tensor>) {
    argument.is_tensor = true;
    argument.tensor = item;
  } else if constexpr (std::is_same_v<T, TensorUse>) {
    argument.is_tensor = true;
    argument.tensor = Tensor(item.arg.tensor, item.hold);
    argument.tag = item.arg.tag;
  } else if constexpr (std::is_same_v<T, runtime::ScalarArg>) {
    argument.scalar = item;
  } else if constexpr (is_slot<T>) {
    argument.scalar = runtime::scalar(SlotAccess::value(item));
    argument.is_slot = true;
    argument.slot = SlotAccess::number(item);
  } else if constexpr (std::is_same_v<T, SlotScalar>) {
    argument.scalar = item.arg;
    argument.slot = item.slot;
  } else {
    constexpr bool number = runtime::Scalar<T>;
    static_assert(number,
                  "a plan is given tensors, x or in(x), and numbers, r or scalar(r), in the order of its "
                  "program's parameters");
    if constexpr (number) argument.scalar = runtime::scalar(item);
  }
  return argument;
}

/// The arguments and options of a replay.
struct PlanCall {
  std::vector<PlanArgument> arguments;
  std::vector<After> after;
  std::optional<Priority> priority;
  std::optional<Deadline> deadline;
  std::optional<Retry> retry;
  bool idempotent = false;

  template <class Item>
  void take(Item&& item) {
    using T = std::decay_t<Item>;
    if constexpr (std::is_same_v<T, After>) {
      after.push_back(std::forward<Item>(item));
    } else if constexpr (std::is_same_v<T, Priority>) {
      priority = item;
    } else if constexpr (std::is_same_v<T, Deadline>) {
      deadline = item;
    } else if constexpr (std::is_same_v<T, Retry>) {
      retry = item;
    } else if constexpr (std::is_same_v<T, Idempotent>) {
      idempotent = true;
    } else {
      constexpr bool fixed = TaskOption<T>;
      static_assert(!fixed,
                    "where the tasks of a plan run, and what they are called, was recorded with them; a "
                    "replay takes after, priority, deadline, retry and idempotent");
      if constexpr (!fixed) arguments.push_back(plan_argument(item));
    }
  }
};

/// A program's parameters as a record keeps them; each slot among them gets its number.
template <class Held>
std::vector<PlanArgument> plan_parameters(Held& held) {
  std::vector<PlanArgument> parameters;
  std::apply(
      [&](auto&... value) {
        [[maybe_unused]] const auto one = [&](auto& parameter) {
          if constexpr (is_slot<std::decay_t<decltype(parameter)>>)
            SlotAccess::number(parameter) = static_cast<std::int32_t>(parameters.size());
          parameters.push_back(plan_argument(parameter));
        };
        (one(value), ...);
      },
      held);
  return parameters;
}

TROUPE_API BoundProgram bind_plan(Plan plan, PlanCall call);

}  // namespace detail

/// A plan as a program: what `node.run(plan, x, y)` and `node.submit(plan, x, y)` run.
template <class... Args>
BoundProgram bind_program([[maybe_unused]] std::string name, Plan plan, Args... args) {
  detail::PlanCall call;
  (call.take(std::move(args)), ...);
  return detail::bind_plan(std::move(plan), std::move(call));
}

}  // namespace troupe::actors
