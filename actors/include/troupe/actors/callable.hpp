#pragma once

// What a task can call, and how a program is bound to its arguments. A Callable is immutable once others have
// it and shared by reference count; a BoundProgram owns copies of its arguments. Any thread may read a
// Callable.
// Errors: binding throws dtype_mismatch or bad_argument when the arguments do not fit the parameters; a
// function with parameters that no task can carry is a compile error.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/actors/errc.hpp"
#include "troupe/actors/program.hpp"
#include "troupe/actors/slot.hpp"
#include "troupe/actors/tensor.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module_macros.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

class Orchestrator;
struct Arguments;

/// A program that is ready to start: its function with its arguments bound (by value, so that they live as
/// long as the run). Exactly one of the two forms is set.
struct BoundProgram {
  std::string name;
  std::function<Program(Orchestrator&)> coroutine;
  std::function<void(Orchestrator&)> plain;
};

/// A type that may be a parameter of a program: everything that can travel as a task's argument.
template <class T>
concept ProgramParameter = std::is_same_v<std::decay_t<T>, Tensor> || runtime::Scalar<std::decay_t<T>> ||
    detail::is_slot<std::decay_t<T>>;

namespace detail {

/// The parameters behind the orchestrator of a function, or of an object with one call operator.
template <class F>
struct ParametersOf {
  using Given = void;  ///< a generic lambda takes any arguments
};
template <class... Params>
struct ParameterList {};
template <class R, class... Params>
struct ParametersOf<R (*)(Orchestrator&, Params...)> {
  using Given = ParameterList<std::decay_t<Params>...>;
};
template <class R, class C, class... Params>
struct ParametersOf<R (C::*)(Orchestrator&, Params...)> {
  using Given = ParameterList<std::decay_t<Params>...>;
};
template <class R, class C, class... Params>
struct ParametersOf<R (C::*)(Orchestrator&, Params...) const> {
  using Given = ParameterList<std::decay_t<Params>...>;
};
template <class F>
requires requires { &F::operator(); }
struct ParametersOf<F> : ParametersOf<decltype(&F::operator())> {};

/// An argument as its parameter wants it: a number becomes another type only where that holds it exactly.
template <class Param, class Arg>
auto for_parameter(Arg arg, std::size_t index) {
  if constexpr (is_slot<Param> && !is_slot<Arg>) {
    return Param(for_parameter<typename Param::value_type>(arg, index));
  } else if constexpr (std::is_same_v<Param, Arg> || !std::is_arithmetic_v<Param> ||
                       !std::is_arithmetic_v<Arg>) {
    return arg;
  } else {
    return runtime::convert_scalar<Param>(runtime::scalar(arg), index);
  }
}
template <class... Params, class... Args>
auto for_parameters(ParameterList<Params...>, Args... args) {
  return [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    return std::make_tuple(for_parameter<Params>(std::move(args), Index)...);
  }
  (std::index_sequence_for<Params...>{});
}

template <class F, class Held>
BoundProgram bind_held(std::string name, F function, Held held) {
  BoundProgram bound;
  bound.name = std::move(name);
  auto call = [function = std::move(function),
               held = std::move(held)](Orchestrator& node) mutable -> decltype(auto) {
    return std::apply([&](auto&... unpacked) -> decltype(auto) { return function(node, unpacked...); }, held);
  };
  if constexpr (std::is_same_v<std::invoke_result_t<decltype(call)&, Orchestrator&>, Program>) {
    bound.coroutine = std::move(call);
  } else {
    bound.plain = std::move(call);
  }
  return bound;
}

}  // namespace detail

/// Binds a function (plain or coroutine) to its arguments. A number that its parameter does not hold exactly
/// is refused with `dtype_mismatch`.
template <class F, class... Args>
BoundProgram bind_program(std::string name, F function, Args... args) {
  constexpr bool parameters = (ProgramParameter<Args> && ...);
  constexpr bool callable = std::is_invocable_v<F&, Orchestrator&, Args&...>;
  static_assert(
      parameters,
      "parameters of a program are Orchestrator&, Tensor, and trivially copyable values of up to 8 bytes");
  static_assert(!parameters || callable,
                "a program is called with (Orchestrator&, the arguments given to run or submit)");
  if constexpr (!parameters || !callable) {
    return {};
  } else if constexpr (std::is_void_v<typename detail::ParametersOf<F>::Given>) {
    return detail::bind_held(std::move(name), std::move(function), std::make_tuple(std::move(args)...));
  } else {
    auto held = detail::for_parameters(typename detail::ParametersOf<F>::Given{}, std::move(args)...);
    return detail::bind_held(std::move(name), std::move(function), std::move(held));
  }
}

/// A function for a sub-worker, with typed access to its tensors (in host memory) and scalars. It is called
/// on the sub-worker's own thread and may block; an exception fails its task with function_failed.
using HostFunction = std::function<void(runtime::HostArgs&)>;
/// Makes a program from the arguments of a task; how a level above runs a program of this one.
using ProgramFactory = std::function<BoundProgram(const Arguments&)>;

enum class CallableKind : std::uint8_t {
  chip,      ///< a kernel or chip program; runs on a chip
  function,  ///< a host function; runs on a sub-worker
  program,   ///< an orchestration program; runs on a worker of the level below
};

/// What a task of a chip does that runs no kernel but moves bytes, or says where copies are to be.
enum class DataTask : std::uint8_t { none, copy, fill, prefetch, evict, pin };

/// The cores that a foreign kernel is for; a kernel of a module says so itself.
enum class CoreKind : std::uint32_t {
  matrix = 0,  ///< AIC
  vector = 1,  ///< AIV
};

/// The identity of a callable: known from the start, or computed at the first call of digest(). An address
/// would not do, because another callable may live there later. A copy computes it anew, since its fields may
/// have been changed.
class CallableIdentity {
 public:
  CallableIdentity() = default;
  CallableIdentity(const CallableIdentity& other) : known_(other.known_) {}
  CallableIdentity& operator=(const CallableIdentity&) = delete;
  /// Only before the callable is shared.
  void set(const runtime::Digest& known) { known_ = known; }

 private:
  friend struct Callable;
  runtime::Digest known_;
  mutable std::once_flag once_;
  mutable runtime::Digest digest_;
};

struct Bundle;  ///< tasks of a plan that run on one chip; troupe's own

/// Something a task can call. Immutable; a node's stay where they are for the life of the node, those that a
/// submit brings along (lambdas) for the life of the run.
struct Callable {
  std::string name;
  CallableKind kind = CallableKind::chip;
  const troupe_callable_v1* descriptor = nullptr;  ///< the module's description of it; null: the fields below
  const troupe_module_v1* module = nullptr;        ///< chip: the module of the descriptor, or
  std::vector<std::uint8_t> bytes;                 ///< chip: a foreign object with `kernel_entry`
  CoreKind core_kind = CoreKind::vector;           ///< of foreign bytes
  HostFunction function;
  ProgramFactory program;
  CallableIdentity identity = {};
  DataTask data_task = DataTask::none;             ///< troupe's own
  std::shared_ptr<const Bundle> bundle = nullptr;  ///< troupe's own

  /// For callables of a chip: the same for the same code under the same name. Computed at the first call,
  /// which may come from any thread.
  TROUPE_API const runtime::Digest& digest() const;
};
using CallableRef = std::shared_ptr<const Callable>;

namespace detail {

/// Takes program parameters from a task's arguments, in order: tensors and scalars are counted apart.
struct ArgReader {
  std::span<const Operand> tensors;
  std::span<const std::uint64_t> scalars;
  const std::uint8_t* kinds = nullptr;  ///< of the scalars
  std::size_t tensor = 0, scalar = 0;

  template <class T>
  std::decay_t<T> next(const std::string& program) {
    if constexpr (std::is_same_v<std::decay_t<T>, Tensor>) {
      if (tensor >= tensors.size()) missing(program, "tensor", tensor);
      return tensor_of(tensors[tensor++]);
    } else if constexpr (is_slot<std::decay_t<T>>) {
      return next<typename std::decay_t<T>::value_type>(program);
    } else {
      if (scalar >= scalars.size()) missing(program, "scalar", scalar);
      const auto index = scalar++;
      const auto kind =
          kinds == nullptr ? runtime::ScalarKind::any : static_cast<runtime::ScalarKind>(kinds[index]);
      return runtime::convert_scalar<std::decay_t<T>>({scalars[index], kind}, index);
    }
  }
  /// With the hold that keeps its buffer.
  TROUPE_API static Tensor tensor_of(const Operand& operand);
  [[noreturn]] static void missing(const std::string& program, const char* kind, std::size_t index) {
    throw Error(Errc::bad_argument, "program \"" + program + "\" wants a " + kind + " argument " +
                                        std::to_string(index) + " that the task does not have");
  }
};

TROUPE_API ArgReader reader(const Arguments& args);

}  // namespace detail

/// Binds a program's function to the arguments of a task.
template <class R, class... Params>
BoundProgram bind_task(const std::string& name, R (*function)(Orchestrator&, Params...),
                       [[maybe_unused]] detail::ArgReader reader) {
  static_assert(
      (ProgramParameter<Params> && ...),
      "parameters of a program are Orchestrator&, Tensor, and trivially copyable values of up to 8 bytes");
  // Braces, not parentheses: the arguments are taken left to right.
  auto values = std::tuple<std::decay_t<Params>...>{reader.next<Params>(name)...};
  return std::apply([&](auto&... unpacked) { return bind_program(name, function, unpacked...); }, values);
}

/// A program as something that tasks of the level above can call.
template <class R, class... Params>
CallableRef program_callable(std::string name, R (*function)(Orchestrator&, Params...)) {
  auto callable = std::make_shared<Callable>();
  callable->name = name;
  callable->kind = CallableKind::program;
  callable->program = [name, function](const Arguments& args) {
    return bind_task(name, function, detail::reader(args));
  };
  return callable;
}

inline CallableRef host_callable(std::string name, HostFunction function) {
  auto callable = std::make_shared<Callable>();
  callable->name = std::move(name);
  callable->kind = CallableKind::function;
  callable->function = std::move(function);
  return callable;
}

namespace detail {

template <class T>
consteval std::string_view parameter_word() {
  using Plain = std::decay_t<T>;
  if constexpr (std::is_same_v<Plain, Tensor>)
    return "tensor";
  else if constexpr (is_slot<Plain>)
    return parameter_word<typename Plain::value_type>();
  else if constexpr (std::is_same_v<Plain, bool>)
    return "bool";
  else if constexpr (std::is_same_v<Plain, float>)
    return "f32";
  else if constexpr (std::is_same_v<Plain, double>)
    return "f64";
  else if constexpr (std::is_integral_v<Plain>) {
    constexpr std::string_view words[] = {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64"};
    constexpr std::size_t width = sizeof(Plain) == 1   ? 0
                                  : sizeof(Plain) == 2 ? 2
                                  : sizeof(Plain) == 4 ? 4
                                                       : 6;
    return words[width + (std::is_unsigned_v<Plain> ? 1 : 0)];
  } else {
    constexpr std::string_view words[] = {"1b", "2b", "3b", "4b", "5b", "6b", "7b", "8b"};
    return words[sizeof(Plain) - 1];
  }
}

/// "tensor,f32", null-terminated, at compile time.
template <class... Params>
struct SignatureText {
  static constexpr auto make() {
    std::array<char, (parameter_word<Params>().size() + ... + sizeof...(Params)) + 1> made{};
    std::size_t at = 0;
    [[maybe_unused]] auto put = [&](std::string_view word) {
      if (at != 0) made[at++] = ',';
      for (char c : word) made[at++] = c;
    };
    (put(parameter_word<Params>()), ...);
    return made;
  }
  static constexpr auto text = make();
};

template <class F>
struct ProgramShape {
  static constexpr bool is_program = false;
  using Signature = SignatureText<>;
};
template <class R, class... Params>
struct ProgramShape<R (*)(Orchestrator&, Params...)> {
  static constexpr bool is_program = true;
  using Signature = SignatureText<Params...>;
};

}  // namespace detail
}  // namespace troupe::actors

/// The code behind TROUPE_PROGRAM. `arguments` is an actors::Arguments, `orchestrator` receives an
/// actors::BoundProgram: invoking a program descriptor binds it, a run starts it.
template <auto Function>
struct troupe::runtime::CallableTraits<troupe::runtime::CallableKind::program, Function> {
  using Shape = troupe::actors::detail::ProgramShape<decltype(Function)>;
  static_assert(Shape::is_program, "a program is void or Program f(Orchestrator&, its parameters)");
  static constexpr const char* signature = Shape::Signature::text.data();
  static std::int32_t invoke(const troupe_program_call_v1* call) noexcept {
    try {
      if constexpr (Shape::is_program) {
        *static_cast<troupe::actors::BoundProgram*>(call->orchestrator) = troupe::actors::bind_task(
            "program", *Function,
            troupe::actors::detail::reader(*static_cast<const troupe::actors::Arguments*>(call->arguments)));
      }
      return TROUPE_DONE;
    } catch (...) {
      troupe::runtime::detail::put_current_exception(call->error_text, call->error_text_size);
      return TROUPE_FAILED;
    }
  }
};
