#pragma once

// Tensors as programs hold them. A Tensor shares ownership of its buffer, unless it was made over memory of
// the user's own, which must then outlive the run. Cheap to copy; one object has one user at a time, copies
// may be on different threads. Nothing here waits for tasks: look at elements when the tasks that write them
// have ended.
// Errors are thrown: those of runtime::Tensor, and bad_argument for elements that are not in host memory.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::actors {

/// Keeps the buffer behind its tensors; the last tensor to go releases it. For a host buffer that frees the
/// memory; for an intermediate of a program it tells the program's run that nothing can name it any more.
/// Made by the framework; users only hold it through a `Tensor`.
class BufferHold {
 public:
  BufferHold() = default;
  /// For a buffer whose reference has numbers that mean something in this System alone; the hold keeps the
  /// memory that they name.
  explicit BufferHold(const void* of_system) : system(of_system) {}
  BufferHold(const BufferHold&) = delete;
  BufferHold& operator=(const BufferHold&) = delete;
  virtual ~BufferHold() = default;

  /// Whether a run that uses the buffer must keep this object until it ends (host and device buffers), or the
  /// run's graph knows the last reader itself (intermediates).
  virtual bool kept_by_runs() const noexcept { return true; }
  /// Null: the reference is an address, the same for every System.
  const void* const system = nullptr;
  /// The run (by its keeper's number) that was last told to keep it, so that each run is told once.
  std::atomic<std::uint64_t> kept_by{0};
};

/// A tensor as a user holds it: a description of elements in a buffer (`runtime::Tensor`) that keeps the
/// buffer alive. Views share the buffer. Copies are cheap; a default-constructed one describes nothing. A
/// `runtime::Tensor` over memory of the user's own converts: then the user keeps it alive for the run.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const runtime::Tensor& view) : view_(view) {}  // NOLINT(google-explicit-constructor): see above
  Tensor(const runtime::Tensor& view, std::shared_ptr<BufferHold> hold)
      : view_(view), hold_(std::move(hold)) {}

  const runtime::Tensor& description() const noexcept { return view_; }
  const std::shared_ptr<BufferHold>& hold() const noexcept { return hold_; }

  bool valid() const noexcept { return view_.valid(); }
  runtime::Shape shape() const noexcept { return view_.shape(); }
  runtime::DType dtype() const noexcept { return view_.dtype(); }
  std::uint64_t elements() const noexcept { return view_.elements(); }
  std::uint64_t bytes() const noexcept { return view_.bytes(); }

  Tensor slice(std::size_t dim, std::uint64_t begin, std::uint64_t end) const {
    return {view_.slice(dim, begin, end), hold_};
  }
  Tensor rows(std::uint64_t begin, std::uint64_t end) const { return {view_.rows(begin, end), hold_}; }
  Tensor view(const runtime::Shape& offsets, const runtime::Shape& shape) const {
    return {view_.view(offsets, shape), hold_};
  }
  Tensor reshape(const runtime::Shape& shape) const { return {view_.reshape(shape), hold_}; }
  Tensor transpose() const { return {view_.transpose(), hold_}; }

  /// The elements of a contiguous host tensor of this type. Throws `dtype_mismatch`, `not_contiguous`, or
  /// `bad_argument` for one that is not in host memory (an intermediate has no address before it is
  /// dispatched: read it through its program). Not synchronised with running tasks.
  template <runtime::Element T>
  std::span<T> host() const {
    auto* address = view_.host_address();
    if (address == nullptr || view_.dtype() != runtime::dtype_of<T> || !view_.is_contiguous()) {
      check_host(runtime::dtype_of<T>);
    }
    return {static_cast<T*>(address), static_cast<std::size_t>(view_.elements())};
  }

 private:
  /// Throws the reason why `host` fails; returns for a tensor without elements, which needs no memory.
  TROUPE_API void check_host(runtime::DType wanted) const;
  runtime::Tensor view_;
  std::shared_ptr<BufferHold> hold_;
};

/// A tensor argument of a submit, with the hold that keeps its buffer.
struct TensorUse {
  runtime::TensorArg arg;
  std::shared_ptr<BufferHold> hold;
};

inline TensorUse in(const Tensor& tensor) {
  return {{tensor.description(), runtime::Tag::in}, tensor.hold()};
}
inline TensorUse out(const Tensor& tensor) {
  return {{tensor.description(), runtime::Tag::out}, tensor.hold()};
}
inline TensorUse inout(const Tensor& tensor) {
  return {{tensor.description(), runtime::Tag::inout}, tensor.hold()};
}
inline TensorUse out_existing(const Tensor& tensor) {
  return {{tensor.description(), runtime::Tag::out_existing}, tensor.hold()};
}
inline TensorUse no_dep(const Tensor& tensor) {
  return {{tensor.description(), runtime::Tag::no_dep}, tensor.hold()};
}
using runtime::scalar;

}  // namespace troupe::actors
