#pragma once

// The orchestrator: a program makes buffers, submits tasks and waits through it. It is lent to the program,
// which must not keep it after it has returned. Threads: the program's own thread of control, no other; calls
// from another one throw wrong_program.
// Errors are thrown as troupe::Error where they happen: a submit that can never run throws at once
// (bad_argument, no_such_chip, unknown_callable, wrong_program …); the failure of a task is thrown by the
// wait for it. Blocking calls inside a coroutine throw blocking_in_coroutine.

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/callable.hpp"
#include "troupe/actors/domain.hpp"
#include "troupe/actors/plan.hpp"
#include "troupe/actors/submission.hpp"
#include "troupe/actors/submit_options.hpp"
#include "troupe/actors/waiting.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// Ends its scope when it goes: intermediates made inside end with it as soon as their readers are done.
class TROUPE_API Scope {
 public:
  explicit Scope(Orchestrator& node);
  Scope(Scope&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Scope& operator=(Scope&&) = delete;
  ~Scope();

 private:
  Orchestrator* node_;
};

namespace detail {

/// Gathers the arguments and options of a submit.
struct SubmitCall {
  Args args;
  std::shared_ptr<SubmitExtras> extras;
  std::vector<After> after;
  std::optional<OnExecutor> target;  ///< none: anywhere
  Priority priority{0};
  std::optional<Deadline> deadline;
  std::optional<Retry> retry;

  SubmitExtras& more() {
    if (!extras) extras = std::make_shared<SubmitExtras>();
    return *extras;
  }
  template <class Item>
  void take(Item&& item) {
    using T = std::decay_t<Item>;
    if constexpr (std::is_same_v<T, OnExecutor>)
      target = item;
    else if constexpr (std::is_same_v<T, Anywhere>)
      target.reset();
    else if constexpr (std::is_same_v<T, Priority>)
      priority = item;
    else if constexpr (std::is_same_v<T, After>)
      after.push_back(std::forward<Item>(item));
    else if constexpr (std::is_same_v<T, Deadline>)
      deadline = item;
    else if constexpr (std::is_same_v<T, Retry>)
      retry = item;
    else if constexpr (std::is_same_v<T, Idempotent>)
      more().idempotent = true;
    else if constexpr (std::is_same_v<T, Named>)
      more().name = std::forward<Item>(item).value;
    else if constexpr (std::is_same_v<T, Blocks>)
      more().blocks = item.count;
    else if constexpr (std::is_same_v<T, runtime::CallConfig>)
      more().config = item;
    else if constexpr (check_argument<T>())
      args.add(item);
  }
  /// Of a group, whose members have arguments of their own.
  template <class Item>
  void take_option(Item&& item) {
    constexpr bool option = TaskOption<std::decay_t<Item>>;
    static_assert(option,
                  "a group has its arguments in its members: args(in(x), …); behind them stand options");
    if constexpr (option) take(std::forward<Item>(item));
  }
};

template <class T>
concept NamesCallable = std::is_convertible_v<T, std::string_view> || std::is_same_v<T, Callable> ||
    std::is_convertible_v<T, CallableRef>;

template <class T>
void refuse_element() {
  constexpr bool element = runtime::Element<T>;
  static_assert(element,
                "no tensor has elements of this type: they are float, double, half, bfloat16 or integers of "
                "8 to 64 bits");
}

template <class F>
concept ProgramFunctionPointer = ProgramShape<F>::is_program;

/// A program that is to be recorded.
struct PlanRecord {
  std::string name;
  std::vector<PlanArgument> parameters;
  std::function<void(const std::vector<Tensor>&)> take;  ///< its tensors, once they are buffers
  std::function<Program(Orchestrator&)> body;            ///< empty where the program is no coroutine
  bool names_lines = true;  ///< false: its waits are called by code that is not the user's
};

/// The parameters of a program as it wants them.
template <class F, class... Args>
auto held_parameters(Args... args) {
  if constexpr (std::is_void_v<typename ParametersOf<F>::Given>) {
    return std::make_tuple(std::move(args)...);
  } else {
    return for_parameters(typename ParametersOf<F>::Given{}, std::move(args)...);
  }
}
template <class Held>
void put_tensors(Held& held, const std::vector<Tensor>& tensors) {
  std::size_t next = 0;
  const auto one = [&](auto& parameter) {
    if constexpr (std::is_same_v<std::decay_t<decltype(parameter)>, Tensor>) parameter = tensors[next++];
  };
  std::apply([&](auto&... parameter) { (one(parameter), ...); }, held);
}
template <class F, class Held>
Program call_program(F& program, Orchestrator& node, Held& held) {
  return std::apply(
      [&](auto&... parameter) -> Program {
        constexpr bool callable = std::is_invocable_v<F&, Orchestrator&, decltype(parameter)...>;
        static_assert(callable, "a program is called with (Orchestrator&, the arguments given to record)");
        if constexpr (!callable) {
          return {};
        } else if constexpr (std::is_same_v<std::invoke_result_t<F&, Orchestrator&, decltype(parameter)...>,
                                            Program>) {
          return program(node, parameter...);
        } else {
          program(node, parameter...);
          return {};
        }
      },
      held);
}

}  // namespace detail

/// Makes buffers, submits tasks, waits. Tasks behave as if they ran one after the other, in the order of
/// their submits.
class TROUPE_API Orchestrator {
 public:
  explicit Orchestrator(ProgramCore& core);
  Orchestrator(const Orchestrator&) = delete;
  Orchestrator& operator=(const Orchestrator&) = delete;

  // --- buffers -------------------------------------------------------------------------------------------

  /// A host buffer, visible to every executor of the node, filled with `fill`.
  template <runtime::Element T>
  Tensor tensor(const runtime::Shape& shape, T fill = {}) {
    Tensor made = host_tensor(shape, runtime::dtype_of<T>);
    for (auto& element : made.host<T>()) element = fill;
    return made;
  }
  /// The same without a fill (zeroed).
  Tensor host_tensor(const runtime::Shape& shape, runtime::DType dtype);
  /// An intermediate: memory while some task needs it, freed when its last reader is done and no handle can
  /// name it.
  template <runtime::Element T>
  Tensor alloc(const runtime::Shape& shape) {
    return alloc(shape, runtime::dtype_of<T>);
  }
  Tensor alloc(const runtime::Shape& shape, runtime::DType dtype);
  /// A host buffer with its place on that chip: memory is taken there, and stays until somebody writes the
  /// tensor elsewhere. Zero until it is written.
  template <runtime::Element T>
  Tensor device_tensor(const runtime::Shape& shape, OnExecutor chip) {
    return device_tensor(shape, runtime::dtype_of<T>, chip);
  }
  Tensor device_tensor(const runtime::Shape& shape, runtime::DType dtype, OnExecutor chip) {
    Tensor made = host_tensor(shape, dtype);
    data_task(DataTask::pin, {out(made)}, chip);
    return made;
  }
  /// An intermediate of the same shape and type, as an argument.
  TensorUse out_like(const Tensor& like) { return out(alloc(like.shape(), like.dtype())); }
  /// Intermediates made while it lives end with it.
  [[nodiscard]] Scope scope() { return Scope(*this); }

  // --- bytes ---------------------------------------------------------------------------------------------
  // A task finds the newest bytes of its tensors by itself. These are for who wants to say more, and for
  // device tensors and windows; tasks like any other, ordered by what they read and write, with the options
  // of one.

  /// Elements of one tensor into another of the same shape and type, wherever they are.
  template <class... Options>
  Task copy(const Tensor& to, const Tensor& from, Options&&... options) {
    check_copy(to, from);
    return data_task(DataTask::copy, {in(from), out(to)}, std::forward<Options>(options)...);
  }
  /// Every element becomes `value`.
  template <runtime::Element T, class... Options>
  Task fill(const Tensor& tensor, T value, Options&&... options) {
    check_fill(tensor, runtime::dtype_of<T>);
    detail::SubmitCall call;
    call.args.add(out(tensor)).add(scalar(value));
    (call.take_option(std::forward<Options>(options)), ...);
    return submit_call(&data_callable(DataTask::fill), std::move(call));
  }
  /// Brings the bytes to a chip before they are needed there: `prefetch(x, on_chip(1))`.
  template <class... Options>
  Task prefetch(const Tensor& tensor, OnExecutor chip, Options&&... options) {
    return data_task(DataTask::prefetch, {in(tensor)}, chip, std::forward<Options>(options)...);
  }
  /// The same, and there they stay until somebody writes them elsewhere.
  template <class... Options>
  Task pin(const Tensor& tensor, OnExecutor chip, Options&&... options) {
    return data_task(DataTask::pin, {in(tensor)}, chip, std::forward<Options>(options)...);
  }
  /// Brings the bytes to host memory, and frees what chips have of them.
  template <class... Options>
  Task evict(const Tensor& tensor, Options&&... options) {
    return data_task(DataTask::evict, {in(tensor)}, std::forward<Options>(options)...);
  }

  // --- submits -------------------------------------------------------------------------------------------

  /// The callable of a name; look it up once when a loop submits it often. Throws `unknown_callable`.
  const Callable& callable(std::string_view name) const;

  /// A task: `submit("vector_add", in(a), in(b), out(c), on_chip(1))`. Throws when it can never run.
  template <class... Items>
  Task submit(std::string_view name, Items&&... items) {
    return submit(callable(name), std::forward<Items>(items)...);
  }
  template <class... Items>
  Task submit(const Callable& callable, Items&&... items) {
    (void)detail::each_option_once<std::decay_t<Items>...>();
    auto call = new_call(sizeof...(Items));
    (call.take(std::forward<Items>(items)), ...);
    return submit_call(&callable, std::move(call));
  }
  /// A callable of the caller's own; kept until the run ends.
  template <class... Items>
  Task submit(const CallableRef& callable, Items&&... items) {
    (void)detail::each_option_once<std::decay_t<Items>...>();
    detail::SubmitCall call;
    (call.take(std::forward<Items>(items)), ...);
    call.more().owned = callable;
    return submit_call(callable.get(), std::move(call));
  }
  /// At a pod and above: a program of the level below, run by one of its nodes.
  template <class F, class... Items>
  requires(!detail::NamesCallable<F> && !std::is_same_v<F, Plan>) Task submit(F program, Items&&... items) {
    constexpr bool program_pointer = detail::ProgramFunctionPointer<F>;
    static_assert(
        program_pointer,
        "submit takes the name of a callable, or a pointer to a program, void or Program f(Orchestrator&, "
        "…); put + before a lambda without captures");
    if constexpr (program_pointer) {
      return submit(program_callable("program", program), std::forward<Items>(items)...);
    } else {
      return {};
    }
  }

  // --- plans ---------------------------------------------------------------------------------------------

  /// Runs a program once, as a part of this one, and keeps what it submits: `node.record(layer, x, y, 0.1f)`.
  /// It may not wait for anything or read. Throws what is refused, see plan.hpp.
  template <class F, class... Args>
  requires(!std::is_same_v<F, Named>) Plan record(F program, Args... args) {
    return record(name("plan"), std::move(program), std::move(args)...);
  }
  /// The same under a name, for errors and traces.
  template <class F, class... Args>
  Plan record(Named named, F program, Args... args) {
    constexpr bool parameters = (ProgramParameter<Args> && ...);
    static_assert(parameters,
                  "parameters of a program are Tensor, Slot<T>, and trivially copyable values of up "
                  "to 8 bytes behind Orchestrator&");
    if constexpr (parameters) {
      auto held = detail::held_parameters<F>(std::move(args)...);
      auto kept = std::make_shared<decltype(held)>(std::move(held));
      detail::PlanRecord record;
      record.name = std::move(named.value);
      record.parameters = detail::plan_parameters(*kept);
      record.take = [kept](const std::vector<Tensor>& tensors) { detail::put_tensors(*kept, tensors); };
      record.body = [kept, &program](Orchestrator& node) {
        using Given = std::decay_t<decltype(*kept)>;
        return detail::call_program<F, Given>(program, node, *kept);
      };
      return record_call(std::move(record));
    } else {
      return {};
    }
  }
  /// The same, gathered piece by piece: parameters, and a body that submits with them.
  Plan record_gathered(detail::PlanRecord record) { return record_call(std::move(record)); }
  /// What was recorded, as one task with these arguments: `node.submit(plan, in(x), out(y), scalar(0.3f))`,
  /// or plainly `node.submit(plan, x, y, 0.3f)`. Throws `bad_argument` where they do not fit.
  template <class... Items>
  Task submit(const Plan& plan, Items&&... items) {
    (void)detail::each_option_once<std::decay_t<Items>...>();
    detail::PlanCall call;
    (call.take(std::forward<Items>(items)), ...);
    return plan_call(plan, std::move(call));
  }
  /// The same, gathered piece by piece.
  Task submit_gathered(const Plan& plan, detail::PlanCall call) { return plan_call(plan, std::move(call)); }

  /// A host function on a sub-worker: by name, or a function object called with `HostArgs&`. Throws
  /// `bad_argument` for the name of something else.
  template <class... Items>
  Task submit_sub(std::string_view name, Items&&... items) {
    return submit(host_function(name), std::forward<Items>(items)...);
  }
  template <class F, class... Items>
  requires(!std::is_convertible_v<F, std::string_view>) Task submit_sub(F function, Items&&... items) {
    constexpr bool called = std::is_invocable_v<F&, runtime::HostArgs&>;
    static_assert(called, "a host function is called with (HostArgs&)");
    if constexpr (called) {
      return submit(host_callable("function", std::move(function)), std::forward<Items>(items)...);
    } else {
      return {};
    }
  }

  /// ONE task with a member on each of several distinct chips, started all or none. `chips` empty: the node
  /// chooses. Members run at the same time: two that have the same bytes as `out` are refused.
  template <class... Options>
  Task submit_group(std::string_view name, std::vector<Args> members, std::vector<int> chips,
                    Options&&... options) {
    (void)detail::each_option_once<std::decay_t<Options>...>();
    detail::SubmitCall call;
    (call.take_option(std::forward<Options>(options)), ...);
    return group_call(&callable(name), std::move(members), std::move(chips), std::move(call));
  }
  template <class... Options>
  Task submit_group(std::string_view name, std::vector<Args> members, Options&&... options) {
    return submit_group(name, std::move(members), std::vector<int>{}, std::forward<Options>(options)...);
  }

  /// Room for so many arguments of a submit that is gathered piece by piece.
  detail::SubmitCall new_call(std::size_t arguments) const {
    detail::SubmitCall call;
    call.args.keeper = keeper_;
    call.args.values.tensors.reserve(arguments);
    return call;
  }
  /// Every submit ends here.
  Task submit_gathered(const Callable& callable, detail::SubmitCall call) {
    return submit_call(&callable, std::move(call));
  }
  /// A copy (what is read first, then what is written), a fill (a tensor and a scalar of its type), a
  /// prefetch, pin or evict, gathered piece by piece.
  Task submit_gathered(DataTask what, detail::SubmitCall call);
  /// A group whose members were gathered piece by piece.
  Task submit_gathered(const Callable& callable, std::vector<Args> members, std::vector<int> chips,
                       detail::SubmitCall call) {
    return group_call(&callable, std::move(members), std::move(chips), std::move(call));
  }

  // --- waiting -------------------------------------------------------------------------------------------
  // Objects to `co_await` in a coroutine; a plain function calls get() or wait() on them.

  template <runtime::Element T>
  Read<T> read(const Tensor& tensor, CodeLine at = CodeLine::here()) {
    return {life(), readable(tensor), at};
  }
  template <runtime::Element T>
  ReadAll<T> read_all(const Tensor& tensor, CodeLine at = CodeLine::here()) {
    return {life(), readable(tensor), at};
  }
  /// Says what elements are.
  template <class T>
  requires(!runtime::Element<T>) Read<float> read(const Tensor& tensor) {
    detail::refuse_element<T>();
    return {life(), tensor, {}};
  }
  template <class T>
  requires(!runtime::Element<T>) ReadAll<float> read_all(const Tensor& tensor) {
    detail::refuse_element<T>();
    return {life(), tensor, {}};
  }
  /// Brings the newest bytes to host memory: behind `co_await node.fetch(x)`, `x.host<const T>()` does not
  /// wait. Device tensors and buffers of windows stay on their chip; of these it gives a copy:
  /// `(co_await node.fetch(x)).host<const T>()`.
  [[nodiscard]] Fetch fetch(const Tensor& tensor, CodeLine at = CodeLine::here()) {
    return {life(), readable(tensor), at};
  }
  [[nodiscard]] Drained drained(CodeLine at = CodeLine::here()) { return Drained(life(), at); }
  [[nodiscard]] Room room() { return Room(life()); }
  /// Blocks a plain function until everything submitted so far has ended; throws the first failure that no
  /// wait has thrown yet.
  void drain(CodeLine at = CodeLine::here()) { drained(at).wait(); }
  /// Sends what has been submitted so far on its way. Needed only by a plain function that computes for long
  /// between submits: they leave by themselves in batches, and whenever the program waits or returns.
  void flush();

  // --- communication -------------------------------------------------------------------------------------

  /// A domain over chips of this node: `auto domain = co_await node.allocate_domain(spec);`
  [[nodiscard]] DomainRequest allocate_domain(const DomainSpec& spec) { return {life(), spec}; }
  /// For programs that share a domain, each speaking for some of its ranks: goes on when all ranks have come
  /// here. Tasks are not waited for: await those first that the others rely on.
  [[nodiscard]] DomainBarrier barrier(const Domain& domain, int rank, CodeLine at = CodeLine::here()) {
    return {life(), domain, rank, at};
  }
  /// The communicator that chip `chip` came up with (`chip_bootstrap_configs`); belongs to the node. Named
  /// are the buffers that all its ranks have alike. Throws `wrong_state` when there is none (now).
  Domain configured_domain(int chip = 0) const;

  // --- the world -----------------------------------------------------------------------------------------

  /// Executors for chip tasks (at a pod: nodes) that are there now; those that were removed do not count, and
  /// their numbers do not come again.
  int chips() const;
  /// "node0", "pod0/node1": where this program runs.
  const std::string& path() const;
  /// Unfinished tasks as far as the program knows.
  std::size_t unfinished() const;

 private:
  friend class Scope;
  const Callable& host_function(std::string_view name) const;
  friend class ProgramCore;
  template <class... Options>
  Task data_task(DataTask what, std::initializer_list<TensorUse> uses, Options&&... options) {
    detail::SubmitCall call;
    for (const auto& use : uses) call.args.add(use);
    (call.take_option(std::forward<Options>(options)), ...);
    return submit_call(&data_callable(what), std::move(call));
  }
  static const Callable& data_callable(DataTask what);
  static void check_copy(const Tensor& to, const Tensor& from);
  static void check_fill(const Tensor& tensor, runtime::DType value);
  /// The tensor, or what is in a chip's memory, copied into host memory first.
  Tensor readable(const Tensor& tensor);
  ProgramLife life() const;
  Plan record_call(detail::PlanRecord record);
  Task plan_call(const Plan& plan, detail::PlanCall call);
  Task submit_call(const Callable* callable, detail::SubmitCall call);
  Task group_call(const Callable* callable, std::vector<Args> members, std::vector<int> chips,
                  detail::SubmitCall call);
  ProgramCore* core_;
  std::uint64_t keeper_;
};

}  // namespace troupe::actors
