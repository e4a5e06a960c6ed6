#pragma once

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/submission.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

class Orchestrator;
class ProgramCore;

/// Something a program waits for. The base of everything that can be awaited; a plain function calls `get` or
/// `wait` on the same objects. An object that goes away before its answer came is forgotten by the program.
class TROUPE_API Waiter {
 public:
  explicit Waiter(Orchestrator& node) : node_(&node) {}
  Waiter(Waiter&& other) noexcept : node_(other.node_) {}  ///< only before the wait begins
  Waiter& operator=(Waiter&&) = delete;
  ~Waiter();

 protected:
  friend class ProgramCore;
  bool await_ready() const noexcept { return false; }
  /// Blocks a plain function until the answer is there; throws `blocking_in_coroutine` in a coroutine.
  void block();
  void rethrow() const {
    if (error) throw *error;
  }

  Orchestrator* node_;
  std::uint64_t token = 0;  ///< 0: not registered
  bool answered = false;
  std::optional<Error> error;
  std::uint64_t value = 0;
  std::shared_ptr<const DomainInfo> domain;
  std::coroutine_handle<> continuation;
};

/// The name of a submitted task. Valid in its program; cheap to copy; keeps nothing alive.
class TROUPE_API Task {
 public:
  Task() = default;
  Task(Orchestrator& node, TaskNumber number) : node_(&node), number_(number) {}

  TaskNumber number() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ != 0; }

  /// Waits for its end; throws its error, which then does not fail the run any more. Plain functions only.
  void wait() const;

  class TROUPE_API Await : public Waiter {
   public:
    Await(Orchestrator& node, TaskNumber number) : Waiter(node), number_(number) {}
    using Waiter::await_ready;
    void await_suspend(std::coroutine_handle<> self);
    void await_resume() const { rethrow(); }
    void wait();

   private:
    TaskNumber number_;
  };
  Await operator co_await() const { return {*node_, number_}; }

 private:
  Orchestrator* node_ = nullptr;
  TaskNumber number_ = 0;
};

/// `after(task)`: an edge that the data does not show.
struct After {
  TaskNumber number;
};
inline After after(const Task& task) { return {task.number()}; }

/// `node.drained()`: everything submitted so far has ended. Throws the first failure nobody has awaited.
class TROUPE_API Drained : public Waiter {
 public:
  using Waiter::await_ready;
  using Waiter::Waiter;
  void await_suspend(std::coroutine_handle<> self);
  void await_resume() const { rethrow(); }
  void wait();
};

/// `node.room()`: the number of unfinished tasks is below the program's soft limit.
class TROUPE_API Room : public Waiter {
 public:
  using Waiter::Waiter;
  bool await_ready() const;
  void await_suspend(std::coroutine_handle<> self);
  void await_resume() const { rethrow(); }
  void wait();

 private:
  std::uint64_t room_limit() const;
};

/// `node.read<T>(tensor)`: the bytes of a tensor once its last writer is done; later writers wait until they
/// are copied.
class TROUPE_API ReadBytes : public Waiter {
 public:
  ReadBytes(Orchestrator& node, const Tensor& tensor);
  ReadBytes(ReadBytes&&) = default;
  ~ReadBytes();
  using Waiter::await_ready;
  void await_suspend(std::coroutine_handle<> self);

 protected:
  void block_for_data();
  /// Copies the first `elements` elements, in order, into `to`, then lets later writers go on.
  void finish(void* to, std::uint64_t elements);
  Tensor tensor_;

 private:
  void begin();
  TaskNumber number_ = 0;
  bool finished_ = false;
};

/// The first element.
template <runtime::Element T>
class [[nodiscard]] Read : public ReadBytes {
 public:
  using ReadBytes::ReadBytes;
  T await_resume() {
    rethrow();
    T first{};
    if (tensor_.elements() > 0) finish(&first, 1);
    return first;
  }
  T get() {
    block_for_data();
    return await_resume();
  }
  operator T() { return get(); }  // NOLINT(google-explicit-constructor): `float x = node.read<float>(t);`
};

/// All elements, row-major.
template <runtime::Element T>
class [[nodiscard]] ReadAll : public ReadBytes {
 public:
  using ReadBytes::ReadBytes;
  std::vector<T> await_resume() {
    rethrow();
    std::vector<T> values(static_cast<std::size_t>(tensor_.elements()));
    finish(values.data(), tensor_.elements());
    return values;
  }
  std::vector<T> get() {
    block_for_data();
    return await_resume();
  }
};

/// One rank of a domain, as a program names it in arguments.
class TROUPE_API DomainRank {
 public:
  DomainRank(const DomainInfo& info, std::size_t index) : info_(&info), index_(index) {}

  int index() const noexcept { return static_cast<int>(index_); }
  int chip() const noexcept { return info_->ranks[index_].chip; }
  int ranks() const noexcept { return static_cast<int>(info_->ranks.size()); }
  /// A named buffer in this rank's window, as a device-resident tensor. Throws for an unknown name.
  template <runtime::Element T = float>
  Tensor buffer(std::string_view name) const {
    return bytes(name, runtime::dtype_of<T>);
  }
  /// The address of a buffer as a scalar word, for kernels that take addresses.
  runtime::ScalarArg address_of(std::string_view name) const;
  /// The domain itself, as an argument.
  DomainContext context() const;

 private:
  Tensor bytes(std::string_view name, runtime::DType dtype) const;
  const DomainInfo* info_;
  std::size_t index_;
};

/// A communication domain that has been formed. When the last copy goes (or its run ends) it is released,
/// once no task names it any more.
class TROUPE_API Domain {
 public:
  Domain() = default;
  Domain(Orchestrator& node, std::shared_ptr<const DomainInfo> info);

  int size() const noexcept { return static_cast<int>(info_->ranks.size()); }
  DomainRank rank(int index) const { return {*info_, static_cast<std::size_t>(index)}; }
  const DomainInfo& info() const noexcept { return *info_; }

  /// The members of a group with one member per rank, each on its rank's chip:
  /// `domain.each([](auto& rank) { return args(inout(rank.buffer("scratch")), rank.context()); })`.
  template <class F>
  std::vector<Args> each(F make) const {
    std::vector<Args> members;
    for (int i = 0; i < size(); ++i) {
      auto it = rank(i);
      members.push_back(make(it));
      members.back().home = it.chip();
    }
    return members;
  }

 private:
  std::shared_ptr<const DomainInfo> info_;
  std::shared_ptr<void> lease_;
};

/// `node.allocate_domain(spec)`: all windows or none.
class TROUPE_API DomainRequest : public Waiter {
 public:
  DomainRequest(Orchestrator& node, DomainSpec spec) : Waiter(node), spec_(std::move(spec)) {}
  using Waiter::await_ready;
  void await_suspend(std::coroutine_handle<> self);
  Domain await_resume();
  Domain get();

 private:
  DomainSpec spec_;
};

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

/// Gathers what a submit call was given.
struct SubmitCall {
  Args args;
  std::shared_ptr<SubmitExtras> extras;
  std::int32_t target = -1;
  std::int8_t priority = 0;

  SubmitExtras& more() {
    if (!extras) extras = std::make_shared<SubmitExtras>();
    return *extras;
  }
  template <class Item>
  void take(Item&& item) {
    using T = std::decay_t<Item>;
    if constexpr (std::is_same_v<T, OnExecutor>)
      target = item.index;
    else if constexpr (std::is_same_v<T, Anywhere>)
      target = -1;
    else if constexpr (std::is_same_v<T, Priority>)
      priority = item.value;
    else if constexpr (std::is_same_v<T, After>)
      more().after.push_back(item.number);
    else if constexpr (std::is_same_v<T, Deadline>)
      more().deadline = item.value;
    else if constexpr (std::is_same_v<T, Retry>)
      more().retries = item.attempts;
    else if constexpr (std::is_same_v<T, Idempotent>)
      more().idempotent = true;
    else if constexpr (std::is_same_v<T, Named>)
      more().name = std::forward<Item>(item).value;
    else if constexpr (std::is_same_v<T, Blocks>)
      more().blocks = item.value;
    else if constexpr (std::is_same_v<T, runtime::CallConfig>)
      more().config = item;
    else
      args.add(item);
  }
};

template <class F>
concept ProgramFunctionPointer =
    std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>> && requires {
  typename ProgramShape<F>::Signature;
};

}  // namespace detail

/// What a program talks to: makes buffers, submits tasks, waits. Handed to the program by its run; valid
/// until the program returns; used from the program's own thread of control only. Submits behave as if they
/// ran one after the other in program order.
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
  /// An intermediate of the same shape and type, as an argument.
  TensorUse out_like(const Tensor& like) { return out(alloc(like.shape(), like.dtype())); }
  /// Intermediates made while it lives end with it.
  [[nodiscard]] Scope scope() { return Scope(*this); }

  // --- submits -------------------------------------------------------------------------------------------

  /// What a name stands for; look it up once when a loop submits it often. Throws `unknown_callable`.
  const Callable& callable(std::string_view name) const;

  /// A task: `submit("vector_add", in(a), in(b), out(c), on_chip(1))`. Throws when it can never run.
  template <class... Items>
  Task submit(std::string_view name, Items&&... items) {
    return submit(callable(name), std::forward<Items>(items)...);
  }
  template <class... Items>
  Task submit(const Callable& callable, Items&&... items) {
    auto call = new_call(sizeof...(Items));
    (call.take(std::forward<Items>(items)), ...);
    return submit_call(&callable, std::move(call));
  }
  /// A callable of the caller's own; kept until the run ends.
  template <class... Items>
  Task submit(const CallableRef& callable, Items&&... items) {
    detail::SubmitCall call;
    (call.take(std::forward<Items>(items)), ...);
    call.more().owned = callable;
    return submit_call(callable.get(), std::move(call));
  }
  /// At a pod and above: a program of the level below, run by one of its nodes.
  template <detail::ProgramFunctionPointer F, class... Items>
  Task submit(F program, Items&&... items) {
    return submit(program_callable("program", program), std::forward<Items>(items)...);
  }

  /// A host function on a sub-worker: by name, or a function object called with `HostArgs&`.
  template <class... Items>
  Task submit_sub(std::string_view name, Items&&... items) {
    return submit(callable(name), std::forward<Items>(items)...);
  }
  template <class F, class... Items>
  requires std::is_invocable_v<F&, runtime::HostArgs&> Task submit_sub(F function, Items&&... items) {
    return submit(host_callable("function", std::move(function)), std::forward<Items>(items)...);
  }

  /// ONE task with a member on each of several distinct chips, started all or none. `chips` empty: the node
  /// chooses.
  template <class... Options>
  Task submit_group(std::string_view name, std::vector<Args> members, std::vector<int> chips,
                    Options&&... options) {
    detail::SubmitCall call;
    (call.take(std::forward<Options>(options)), ...);
    return group_call(&callable(name), std::move(members), std::move(chips), std::move(call));
  }
  template <class... Options>
  Task submit_group(std::string_view name, std::vector<Args> members, Options&&... options) {
    return submit_group(name, std::move(members), std::vector<int>{}, std::forward<Options>(options)...);
  }

  /// Room for so many arguments of a submit that is gathered piece by piece.
  detail::SubmitCall new_call(std::size_t arguments) const {
    detail::SubmitCall call;
    call.args.run = run_;
    call.args.values.tensors.reserve(arguments);
    return call;
  }
  /// What every submit ends up as.
  Task submit_gathered(const Callable& callable, detail::SubmitCall call) {
    return submit_call(&callable, std::move(call));
  }

  // --- waiting -------------------------------------------------------------------------------------------
  // Objects to `co_await` in a coroutine; a plain function calls get() or wait() on them.

  template <runtime::Element T>
  Read<T> read(const Tensor& tensor) {
    return {*this, tensor};
  }
  template <runtime::Element T>
  ReadAll<T> read_all(const Tensor& tensor) {
    return {*this, tensor};
  }
  [[nodiscard]] Drained drained() { return Drained(*this); }
  [[nodiscard]] Room room() { return Room(*this); }
  /// Blocks a plain function until everything submitted so far has ended; throws the first failure.
  void drain() { drained().wait(); }
  /// Sends what has been submitted so far on its way. Needed only by a plain function that computes for long
  /// between submits: they leave by themselves in batches, and whenever the program waits or returns.
  void flush();

  // --- communication -------------------------------------------------------------------------------------

  /// A domain over chips of this node: `auto domain = co_await node.allocate_domain(spec);`
  [[nodiscard]] DomainRequest allocate_domain(const DomainSpec& spec) { return {*this, spec}; }

  // --- the world -----------------------------------------------------------------------------------------

  /// Executors for chip tasks (at a pod: nodes).
  int chips() const;
  /// "node0", "pod0/node1": where this program runs.
  const std::string& path() const;
  /// Unfinished tasks as far as the program knows.
  std::size_t unfinished() const;

 private:
  friend class Waiter;
  friend class Scope;
  friend class Drained;
  friend class Room;
  friend class ReadBytes;
  friend class Domain;
  friend class DomainRequest;
  friend class Task::Await;
  Task submit_call(const Callable* callable, detail::SubmitCall call);
  Task group_call(const Callable* callable, std::vector<Args> members, std::vector<int> chips,
                  detail::SubmitCall call);
  ProgramCore* core_;
  std::uint64_t run_;
};

}  // namespace troupe::actors
