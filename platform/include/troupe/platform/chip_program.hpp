#pragma once

// What the author of an on-chip program writes. Nothing here owns memory: tensors and ids belong to the run
// and end with it. One thread, that of the program; calls may block while the task window is full or an
// element is not there yet.
// Errors: no call fails by its result. The first failure is remembered as fatal(), ends the run, and turns
// every later call into nothing; a wrong access to the arguments throws invalid_args.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/platform/chip_program_abi.h"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module_macros.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

/// A program looks like this:
///
///   TROUPE_CHIP_PROGRAM(vector_chain)(ChipOrchestrator& chip, ChipArgs args) {
///     auto [a, b, f] = args.tensors<3>();
///     auto c = chip.aiv("add", in(a), in(b), out_like(a));
///     chip.aiv("add", in(c), in(c), out(f));
///   }
///
/// The program runs on the chip, next to the cores; each call submits a task, whose dependencies follow from
/// its tags. Kernels are named; they are looked for in the program's own module, then among the callables
/// registered on the chip. Header-only: a module links the runtime floor and no platform.
namespace troupe::platform {

using runtime::Blocks;
using runtime::blocks;
using runtime::in;
using runtime::inout;
using runtime::no_dep;
using runtime::out;
using runtime::out_existing;
using runtime::scalar;
using runtime::Shape;
using runtime::Tensor;

/// A task of this program; for `after` and `edge`.
struct ChipTaskId {
  std::uint64_t number = 0;  ///< 0: none (after the run has failed)
};

/// The result of a submit: the task, and the N tensors that it was to allocate. A task with outputs stands
/// for its first one wherever a tensor is expected; `auto [x, y] = chip.aiv(…).outputs`.
template <std::size_t N>
struct ChipTask : ChipTaskId {
  std::array<Tensor, N> outputs{};

  operator const Tensor&() const noexcept  // NOLINT(google-explicit-constructor): this is its purpose
      requires(N >= 1) {
    return outputs[0];
  }
};

/// An output that the chip allocates; it lives until the scope it was made in ends.
struct NewTensor {
  Tensor tensor;
  bool filled = false;
  std::uint64_t initial = 0;

  /// The same, with every element set before the task runs.
  template <runtime::Element T>
  [[nodiscard]] NewTensor fill(T value) const noexcept {
    return {tensor, true, runtime::to_u64(value)};
  }
};
/// An output like `tensor`: its shape and dtype, new memory.
[[nodiscard]] inline NewTensor out_like(const Tensor& tensor) {
  return {Tensor::unallocated(tensor.shape(), tensor.dtype())};
}
template <runtime::Element T>
[[nodiscard]] NewTensor out_new(const Shape& shape) {
  return {Tensor::unallocated(shape, runtime::dtype_of<T>)};
}

/// All blocks run at the same time, so they may wait for each other. Fatal 7 when they exceed the chip.
struct SyncStart {};
inline constexpr SyncStart sync_start{};
/// An explicit producer.
struct After {
  ChipTaskId task;
};
[[nodiscard]] constexpr After after(ChipTaskId task) noexcept { return {task}; }

/// Runs the task only if the element, an integer, compares so when all producers are done.
struct When {
  Tensor tensor;
  std::uint64_t element = 0;
  runtime::Compare compare{};
  std::int64_t value = 0;
};
[[nodiscard]] inline When when(const Tensor& flag, runtime::Compare compare, std::int64_t value,
                               std::uint64_t element = 0) noexcept {
  return {flag, element, compare, value};
}

/// The kernels of a task that occupies a whole cluster; empty: that core is not used. All get the same
/// arguments.
struct Mixed {
  std::string_view aic, aiv0, aiv1;
};

/// A number that each replay of a graph brings: tasks can only be given it.
struct GraphScalar {
  runtime::ScalarArg value;
  std::uint8_t number = 0;  ///< of the graph's scalars, from 1 on
};

/// The numbers that were given to a graph, for its tasks: `r[0]` in the place of `scalar(x)`.
class GraphScalars {
 public:
  explicit GraphScalars(std::span<const GraphScalar> all) noexcept : all_(all) {}
  std::size_t size() const noexcept { return all_.size(); }
  /// Throws `invalid_args` when there is none.
  const GraphScalar& operator[](std::size_t i) const {
    if (i < all_.size()) return all_[i];
    throw Error(runtime::Errc::invalid_args, "the tasks of a graph want its scalar " + std::to_string(i) +
                                                 ", and it was given " + std::to_string(all_.size()));
  }

 private:
  std::span<const GraphScalar> all_;
};

/// What the tasks of a graph use: tensors, as `in(x)`, `out(y)` and so on, and numbers, as `scalar(r)`.
template <class... Args>
struct GraphSlots {
  std::tuple<Args...> all;
};
template <class... Args>
[[nodiscard]] GraphSlots<Args...> slots(const Args&... args) noexcept {
  static_assert(((std::is_same_v<Args, runtime::TensorArg> || std::is_same_v<Args, runtime::ScalarArg>)&&...),
                "what a graph is given says how it is used: in(x), out(x), inout(x), scalar(r)");
  return {{args...}};
}

class ChipOrchestrator;

/// Ends its scope when it goes: the tensors allocated inside are freed once their last reader is done.
/// Scopes nest up to 64 deep; intermediates of depth 3 and deeper share one arena.
class ChipScope {
 public:
  explicit ChipScope(const troupe_chip_v1& chip) noexcept : chip_(&chip) { chip.ops->begin_scope(chip.self); }
  ChipScope(ChipScope&& other) noexcept : chip_(std::exchange(other.chip_, nullptr)) {}
  ChipScope& operator=(ChipScope&&) = delete;
  ~ChipScope() { end(); }
  void end() noexcept {
    if (chip_ != nullptr) chip_->ops->end_scope(chip_->self);
    chip_ = nullptr;
  }

 private:
  const troupe_chip_v1* chip_;
};

/// The arguments of the run, with device addresses. Access that they do not allow throws `invalid_args`,
/// which ends the run with that code.
class ChipArgs {
 public:
  /// `kinds`: an enum troupe_scalar_kind for each scalar; null: nothing is known.
  explicit ChipArgs(const troupe_chip_arguments_v1& arguments, const std::uint8_t* kinds = nullptr) noexcept
      : arguments_(&arguments), kinds_(kinds) {}

  /// As the run was launched: tensors and scalars are counted on their own.
  std::size_t tensor_count() const noexcept { return arguments_->tensor_count; }
  std::size_t scalar_count() const noexcept { return arguments_->scalar_count; }
  Tensor tensor(std::size_t i) const {
    need(i < tensor_count(), "tensor", i, tensor_count());
    Tensor tensor;
    std::memcpy(static_cast<void*>(&tensor), &arguments_->tensors[i], sizeof tensor);
    return tensor;
  }
  /// The first N: `auto [a, b, f] = args.tensors<3>();`
  template <std::size_t N>
  std::array<Tensor, N> tensors() const {
    need(N <= tensor_count(), "tensor", N - 1, tensor_count());
    std::array<Tensor, N> all;
    for (std::size_t i = 0; i < N; ++i) all[i] = tensor(i);
    return all;
  }
  /// How the run passed tensor `i`; a program that writes a tensor which came as `in` writes to a copy that
  /// is dropped.
  runtime::Tag tag(std::size_t i) const {
    need(i < tensor_count(), "tensor", i, tensor_count());
    return static_cast<runtime::Tag>(arguments_->tags[i]);
  }
  /// Scalar `i`, read as the type it was given as; integers as any integer type that holds the value.
  template <runtime::Scalar T>
  T scalar(std::size_t i) const {
    need(i < scalar_count(), "scalar", i, scalar_count());
    return runtime::read_scalar<T>(scalar_arg(i), i);
  }
  /// The same, as it was given, to be passed on.
  runtime::ScalarArg scalar_arg(std::size_t i) const {
    need(i < scalar_count(), "scalar", i, scalar_count());
    const auto kind =
        kinds_ == nullptr ? runtime::ScalarKind::any : static_cast<runtime::ScalarKind>(kinds_[i]);
    return {arguments_->scalars[i], kind};
  }
  std::span<const std::uint64_t> scalars() const noexcept {
    return {arguments_->scalars, arguments_->scalar_count};
  }

 private:
  static void need(bool there, const char* kind, std::size_t i, std::size_t count) {
    if (there) return;
    throw Error(runtime::Errc::invalid_args, std::string("the chip program wants ") + kind + " argument " +
                                                 std::to_string(i) + ", the run has " +
                                                 std::to_string(count));
  }
  const troupe_chip_arguments_v1* arguments_;
  const std::uint8_t* kinds_;
};

/// The chip, as its program sees it. One thread: the program's. The first failure (of a call here, or of a
/// kernel) ends the run: from then on `fatal()` is its code, every call does nothing and returns empty
/// things, and nothing is copied back.
class ChipOrchestrator {
 public:
  explicit ChipOrchestrator(const troupe_chip_v1& chip) noexcept : chip_(&chip) {}
  ChipOrchestrator(const ChipOrchestrator&) = delete;
  ChipOrchestrator& operator=(const ChipOrchestrator&) = delete;

  /// A task on a vector core, on a matrix core, on a cluster. Arguments, in any order: `in out inout
  /// out_existing no_dep` tensors, `out_like`/`out_new`, `scalar`, `blocks(n)`, `sync_start`, `after(task)`,
  /// `when(…)`. At most 32 tensors and 16 scalars. Returns at once, unless the task window is full: then it
  /// waits until tasks have ended, and runs some itself meanwhile.
  template <class... Args>
  auto aiv(std::string_view kernel, const Args&... args) {
    return submit({}, kernel, {}, 0, args...);
  }
  template <class... Args>
  auto aic(std::string_view kernel, const Args&... args) {
    return submit(kernel, {}, {}, 0, args...);
  }
  template <class... Args>
  auto mixed(const Mixed& kernels, const Args&... args) {
    return submit(kernels.aic, kernels.aiv0, kernels.aiv1, 0, args...);
  }
  /// A task that does nothing: a meeting point for dependencies.
  template <class... Args>
  auto dummy(const Args&... args) {
    return submit({}, {}, {}, TROUPE_CHIP_DUMMY, args...);
  }
  /// Tasks that are submitted again and again. The first time `body` submits them, and they are kept; from
  /// then on, in later runs too, they are replayed: `body` is not called, nothing is checked or inferred for
  /// each, and other tasks wait for all of them, and they for others, as if they were one. `given` is what
  /// they use: `slots(in(x), out(y), scalar(r))`, or the program's own arguments, which must be as they were
  /// the first time, in number, type, shape, strides, and the bytes that they share; else the run fails. What
  /// `body` allocates is gone when it ends. `body` may take a `GraphScalars`, the numbers that were given:
  /// any other number in a task stays as it was recorded. It cannot read elements, and whatever else it does
  /// on the way is done once. On checked chips it is called each time, and what it submits is compared.
  ///
  ///   chip.graph("layer", slots(in(x), in(weights), out(y), scalar(keep)), [&](GraphScalars r) {
  ///     auto h = chip.aic("matmul", in(x), in(weights), out_like(y));
  ///     chip.aiv("blend", in(h), out(y), r[0]);
  ///   });
  template <class... Args, class Body>
  void graph(std::string_view name, const GraphSlots<Args...>& given, Body&& body,
             const std::source_location& where = std::source_location::current()) {
    constexpr std::size_t tensors = count_of<runtime::TensorArg, Args...>;
    Packed<tensors, sizeof...(Args) - tensors, 0> packed;
    std::apply([&](const Args&... args) { (packed.add(args), ...); }, given.all);
    run_graph(name, {packed.arguments.data(), packed.task.argument_count},
              {packed.scalars.data(), packed.task.scalar_count}, packed.kinds.data(), body, where);
  }
  template <class Body>
  void graph(std::string_view name, const ChipArgs& given, Body&& body,
             const std::source_location& where = std::source_location::current()) {
    std::vector<troupe_chip_argument_v1> tensors;
    for (std::size_t i = 0; i < given.tensor_count(); ++i)
      tensors.push_back({pack(given.tensor(i)), static_cast<std::uint32_t>(given.tag(i)), 0, 0});
    std::vector<std::uint8_t> kinds;
    for (std::size_t i = 0; i < given.scalar_count(); ++i)
      kinds.push_back(static_cast<std::uint8_t>(given.scalar_arg(i).kind));
    run_graph(name, tensors, given.scalars(), kinds.data(), body, where);
  }

  /// With the explicit-edge runtimes, where tags order nothing: `later` waits for `earlier`. Directly after
  /// the submit of `later` (built on the chip), or any time (built before launch).
  void edge(ChipTaskId earlier, ChipTaskId later) {
    chip_->ops->edge(chip_->self, earlier.number, later.number);
  }

  /// A nested scope, up to 64 deep: `auto s = chip.scope();`
  [[nodiscard]] ChipScope scope() noexcept { return ChipScope(*chip_); }

  /// Memory that no task of this program has to produce; contents unspecified unless filled.
  [[nodiscard]] Tensor alloc(const NewTensor& wanted) {
    troupe_chip_argument_v1 argument = pack(wanted);
    chip_->ops->alloc(chip_->self, &argument);
    return unpack(argument.tensor);
  }
  template <runtime::Element T>
  [[nodiscard]] Tensor alloc(const Shape& shape) {
    return alloc(out_new<T>(shape));
  }

  /// Waits until all earlier tasks that write this element are done, and reads it. 0 after a fatal. Where
  /// waiting is impossible the run ends with code 8: a graph that is built before launch has no values yet.
  template <runtime::Element T, std::integral... Index>
  [[nodiscard]] T get(const Tensor& tensor, Index... index) {
    std::uint64_t value = 0;
    const troupe_chip_tensor_v1 packed = pack(tensor);
    if (const auto element = place<T>(tensor, index...); element != nowhere) {
      chip_->ops->get(chip_->self, &packed, element, &value);
    }
    return runtime::from_u64<T>(value);
  }
  /// Writes it after all earlier tasks that write or read it; later tasks see it.
  template <runtime::Element T, std::integral... Index>
  void set(const Tensor& tensor, T value, Index... index) {
    const troupe_chip_tensor_v1 packed = pack(tensor);
    if (const auto element = place<T>(tensor, index...); element != nowhere) {
      chip_->ops->set(chip_->self, &packed, element, runtime::to_u64(value));
    }
  }

  /// Ends the run with a code and a text of one's own; the first such end counts. The program goes on, but
  /// every call does nothing from here on, so a loop that waits for a value asks `fatal()` too.
  void report_fatal(std::int32_t code, const std::string& text) {
    chip_->ops->report_fatal(chip_->self, code, text.c_str());
  }
  void report_fatal(const std::string& text) {
    report_fatal(static_cast<std::int32_t>(runtime::Errc::explicit_orch_fatal), text);
  }
  /// The code that ends this run; 0 while all is well.
  std::int32_t fatal() const { return chip_->ops->fatal(chip_->self); }
  /// enum troupe_chip_runtime: how this program's graph is built; chosen by its macro or by the run.
  std::uint32_t chip_runtime() const noexcept { return chip_->ops->runtime; }
  /// A line in the host's log.
  void log(troupe_log_level level, const std::string& text) {
    chip_->ops->log(chip_->self, level, text.c_str());
  }

 private:
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};

  static troupe_chip_tensor_v1 pack(const Tensor& tensor) noexcept {
    troupe_chip_tensor_v1 packed;
    static_assert(sizeof packed == sizeof tensor);
    std::memcpy(&packed, static_cast<const void*>(&tensor), sizeof packed);
    return packed;
  }
  static Tensor unpack(const troupe_chip_tensor_v1& packed) noexcept {
    Tensor tensor;
    std::memcpy(static_cast<void*>(&tensor), &packed, sizeof tensor);
    return tensor;
  }
  static troupe_chip_argument_v1 pack(const NewTensor& wanted) noexcept {
    const std::uint32_t fill = wanted.filled ? static_cast<std::uint32_t>(TROUPE_CHIP_FILL) : 0;
    return {pack(wanted.tensor), TROUPE_TAG_OUT, TROUPE_CHIP_ALLOCATE | fill, wanted.initial};
  }

  /// The packed arguments of a submit. Sized by the arguments that the caller passes, so that nothing is
  /// allocated.
  template <std::size_t Tensors, std::size_t Scalars, std::size_t Producers>
  struct Packed {
    std::array<troupe_chip_argument_v1, Tensors + 1> arguments;
    std::array<std::uint64_t, Scalars + 1> scalars;
    std::array<std::uint8_t, Scalars + 1> kinds, slots;
    std::array<std::uint64_t, Producers + 1> after;
    troupe_chip_predicate_v1 predicate;
    troupe_chip_tensor_v1 predicate_tensor;
    troupe_chip_task_v1 task{};

    void add(const runtime::TensorArg& arg) noexcept {
      arguments[task.argument_count++] = {pack(arg.tensor), static_cast<std::uint32_t>(arg.tag), 0, 0};
    }
    void add(const NewTensor& arg) noexcept { arguments[task.argument_count++] = pack(arg); }
    void add(const runtime::ScalarArg& arg) noexcept {
      slots[task.scalar_count] = 0;
      kinds[task.scalar_count] = static_cast<std::uint8_t>(arg.kind);
      scalars[task.scalar_count++] = arg.word;
    }
    void add(const GraphScalar& arg) noexcept {
      add(arg.value);
      slots[task.scalar_count - 1] = arg.number;
    }
    void add(Blocks arg) noexcept { task.blocks = arg.count; }
    void add(SyncStart) noexcept { task.flags |= TROUPE_CHIP_SYNC_START; }
    void add(After arg) noexcept {
      if (arg.task.number != 0) after[task.after_count++] = arg.task.number;
    }
    void add(const When& arg) noexcept {
      predicate_tensor = pack(arg.tensor);
      predicate = {&predicate_tensor, arg.element, static_cast<std::uint32_t>(arg.compare), 0, arg.value};
      task.predicate = &predicate;
    }
  };

  /// Says what is wrong with an item of a submit, in a sentence.
  template <class T>
  static consteval bool check_item() {
    constexpr bool tensor = std::is_convertible_v<const T&, const Tensor&>;
    constexpr bool known = requires(Packed<1, 1, 1> packed, const T& item) { packed.add(item); };
    static_assert(!tensor,
                  "a tensor argument says what the task does with it: in(x), out(x), inout(x), "
                  "out_existing(x), no_dep(x)");
    static_assert(!std::is_arithmetic_v<T>, "a number argument is given as scalar(x)");
    static_assert(tensor || std::is_arithmetic_v<T> || known,
                  "this is neither an argument nor an option of a chip's task");
    return known && !tensor && !std::is_arithmetic_v<T>;
  }

  template <class T, class... Args>
  static constexpr std::size_t count_of = (std::size_t{0} + ... + (std::is_same_v<T, Args> ? 1 : 0));

  template <class... Args>
  auto submit(std::string_view aic, std::string_view aiv0, std::string_view aiv1, std::uint32_t flags,
              const Args&... args) {
    constexpr std::size_t outputs = count_of<NewTensor, Args...>;
    Packed<count_of<runtime::TensorArg, Args...> + outputs,
           count_of<runtime::ScalarArg, Args...> + count_of<GraphScalar, Args...>, count_of<After, Args...>>
        packed;
    packed.task.size = sizeof packed.task;
    packed.task.flags = flags;
    packed.task.blocks = 1;
    const std::array<std::string_view, 3> names{aic, aiv0, aiv1};
    for (std::size_t lane = 0; lane < names.size(); ++lane) {
      packed.task.kernels[lane] = names[lane].empty() ? nullptr : names[lane].data();
      packed.task.kernel_name_sizes[lane] = names[lane].size();
    }
    if constexpr ((check_item<Args>() && ...)) (packed.add(args), ...);
    packed.task.arguments = packed.arguments.data();
    packed.task.scalars = packed.scalars.data();
    packed.task.scalar_kinds = packed.kinds.data();
    if constexpr (count_of<GraphScalar, Args...> != 0) packed.task.scalar_slots = packed.slots.data();
    packed.task.after = packed.after.data();
    ChipTask<outputs> made;
    made.number = chip_->ops->submit(chip_->self, &packed.task);
    std::size_t next = 0;
    for (std::size_t i = 0; next < outputs; ++i) {
      if ((packed.arguments[i].flags & TROUPE_CHIP_ALLOCATE) != 0) {
        made.outputs[next++] = unpack(packed.arguments[i].tensor);
      }
    }
    return made;
  }

  template <class Body>
  static void call(Body& body, const GraphScalars& scalars) {
    if constexpr (std::is_invocable_v<Body&, const GraphScalars&>) {
      body(scalars);
    } else {
      static_assert(std::is_invocable_v<Body&>, "the body of a graph takes nothing, or its GraphScalars");
      body();
    }
  }

  /// Ends a graph that was begun, also when an exception leaves its body.
  struct OpenGraph {
    explicit OpenGraph(const troupe_chip_v1& chip) noexcept : chip_(chip) {}
    OpenGraph(const OpenGraph&) = delete;
    OpenGraph& operator=(const OpenGraph&) = delete;
    ~OpenGraph() { chip_.ops->end_graph(chip_.self, complete ? 1 : 0); }
    const troupe_chip_v1& chip_;
    bool complete = false;
  };

  template <class Body>
  void run_graph(std::string_view name, std::span<const troupe_chip_argument_v1> tensors,
                 std::span<const std::uint64_t> scalars, const std::uint8_t* kinds, Body& body,
                 const std::source_location& where) {
    std::vector<GraphScalar> numbers;
    for (std::size_t i = 0; i < scalars.size(); ++i) {
      numbers.push_back(
          {{scalars[i], static_cast<runtime::ScalarKind>(kinds[i])}, static_cast<std::uint8_t>(i + 1)});
    }
    const GraphScalars given(numbers);
    if (!TROUPE_CHIP_HAS_GRAPHS(chip_->ops)) {  // then it is what it stands for
      const auto own = scope();
      return call(body, given);
    }
    troupe_chip_graph_v1 graph{};
    graph.size = sizeof graph;
    graph.line = where.line();
    graph.file = where.file_name();
    graph.name = name.data();
    graph.name_size = name.size();
    graph.tensors = tensors.data();
    graph.scalars = scalars.data();
    graph.scalar_kinds = kinds;
    graph.tensor_count = static_cast<std::uint32_t>(tensors.size());
    graph.scalar_count = static_cast<std::uint32_t>(scalars.size());
    if (chip_->ops->begin_graph(chip_->self, &graph) == 0) return;
    OpenGraph open(*chip_);
    call(body, given);
    open.complete = true;
  }

  template <runtime::Element T, std::integral... Index>
  std::uint64_t place(const Tensor& tensor, Index... index) {
    std::uint64_t element = 0;
    std::size_t dim = 0;
    bool inside = sizeof...(index) == tensor.dims() && tensor.dtype() == runtime::dtype_of<T>;
    if (inside) {
      ((inside = inside && static_cast<std::uint64_t>(index) < tensor.extent(dim),
        element += static_cast<std::uint64_t>(index) * tensor.stride(dim), ++dim),
       ...);
    }
    if (inside) return element;
    if (fatal() == 0) {
      report_fatal(static_cast<std::int32_t>(runtime::Errc::invalid_args),
                   "an element of " + runtime::to_string(tensor) + " with other indices or type than it has");
    }
    return nowhere;
  }

  const troupe_chip_v1* chip_;
};

}  // namespace troupe::platform

template <void (*Function)(troupe::platform::ChipOrchestrator&, troupe::platform::ChipArgs)>
struct troupe::runtime::CallableTraits<troupe::runtime::CallableKind::chip_program, Function> {
  static constexpr const char* signature = "...";
  static std::int32_t invoke(const troupe_program_call_v1* call) noexcept {
    platform::ChipOrchestrator chip(*static_cast<const troupe_chip_v1*>(call->orchestrator));
    try {
      Function(chip, platform::ChipArgs(*static_cast<const troupe_chip_arguments_v1*>(call->arguments),
                                        TROUPE_SCALAR_KINDS_OF(call)));
      return TROUPE_DONE;
    } catch (const Error& error) {
      chip.report_fatal(error.code().value, error.message());
    } catch (...) {
      detail::put_current_exception(call->error_text, call->error_text_size);
    }
    return TROUPE_FAILED;
  }
};
