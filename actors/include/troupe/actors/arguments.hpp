#pragma once

// The arguments of one task, as a program gives them. Args owns the lists and shares the buffers behind its
// tensors: they live at least as long. Plain values for one user at a time.
// Errors: add() and args() throw bad_argument for a tensor that describes nothing and for more arguments than
// a task can carry. Something that is no argument at all is a compile error that says what one is.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "troupe/actors/slot.hpp"
#include "troupe/actors/tensor.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

/// A rank's part of a communication domain as an argument: the kernel gets the address of its CommContext,
/// the task keeps the domain alive and, unless `ordered` is off, counts as inout on that rank's window.
struct DomainContext {
  std::uint64_t domain = 0;
  std::uint64_t address = 0;
  runtime::Tensor window;
  bool ordered = true;
  const void* system = nullptr;  ///< the System that it belongs to; null: unknown
};

inline DomainContext no_dep(DomainContext context) {
  context.ordered = false;
  return context;
}

/// The arguments of one task: tensors and scalars, each kind counted on its own.
struct Arguments {
  std::vector<Operand> tensors;
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

/// Arguments while a submit gathers them, with the holds that keep their buffers.
class TROUPE_API Args {
 public:
  Args& add(const TensorUse& use) {
    add(Operand(use.arg, use.hold ? use.hold->buffer : nullptr));
    if (!use.hold) return *this;
    if (use.hold->system != nullptr && use.hold->system != system) note_system(use.hold->system);
    if (use.hold->kept_by_runs() &&
        (keeper == 0 || use.hold->kept_by.load(std::memory_order_relaxed) != keeper)) {
      holds.push_back(use.hold);
    }
    return *this;
  }
  Args& add(const runtime::TensorArg& arg) { return add(Operand(arg)); }
  Args& add(const Operand& arg) {
    if (!arg.tensor.valid() || values.tensors.size() == runtime::limits::chip_tensors) refuse_tensor(arg);
    values.tensors.push_back(arg);
    return *this;
  }
  Args& add(const runtime::ScalarArg& arg) {
    if (values.scalars.size() == runtime::limits::chip_scalars) refuse_scalar();
    values.add(arg);
    return *this;
  }
  Args& add(const detail::SlotScalar& arg) {
    if (arg.slot >= 0) slots.push_back({static_cast<std::uint32_t>(values.scalars.size()), arg.slot});
    return add(arg.arg);
  }
  Args& add(const DomainContext& context) {
    add(runtime::ScalarArg{context.address, runtime::ScalarKind::any});
    domains.push_back(context);
    return *this;
  }

  Arguments values;
  std::vector<std::shared_ptr<BufferHold>> holds;
  std::vector<DomainContext> domains;  ///< they live until the task is done
  std::vector<detail::SlotUse> slots;  ///< while a program is recorded
  /// The run's number among all that keep buffers: buffers that it already keeps are not kept again. 0:
  /// unknown.
  std::uint64_t keeper = 0;
  const void* system = nullptr;  ///< of the first tensor that belongs to one
  std::int32_t of_system = -1;   ///< the number of that tensor
  std::int32_t of_another = -1;  ///< the first tensor that belongs to another one
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

namespace detail {

template <class T, class... Ts>
concept OneOf = (std::is_same_v<T, Ts> || ...);
/// The types of a task's arguments.
template <class T>
concept TaskArgument = OneOf<T, TensorUse, runtime::TensorArg, runtime::ScalarArg, SlotScalar, DomainContext>;

/// The one place that says what is wrong with an item of a submit: in a sentence.
template <class T>
consteval bool check_argument() {
  static_assert(
      !OneOf<T, Tensor, runtime::Tensor>,
      "a tensor argument says what the task does with it: in(x), out(x), inout(x), out_existing(x), "
      "no_dep(x)");
  static_assert(!std::is_arithmetic_v<T>, "a number argument is given as scalar(x)");
  static_assert(!is_slot<T>, "a slot argument is given as scalar(r)");
  static_assert(OneOf<T, Tensor, runtime::Tensor> || std::is_arithmetic_v<T> || is_slot<T> || TaskArgument<T>,
                "this is no argument of a task: those are tensors with a tag, as in(x), and scalar(x)");
  return TaskArgument<T>;
}

}  // namespace detail

/// `args(in(a), out(c), scalar(2.0f))`: the arguments of one member of a group.
template <class... Items>
Args args(const Items&... items) {
  Args result;
  if constexpr ((detail::check_argument<Items>() && ...)) (result.add(items), ...);
  return result;
}

}  // namespace troupe::actors
