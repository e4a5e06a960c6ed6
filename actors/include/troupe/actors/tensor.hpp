#pragma once

// Tensors as programs hold them. A Tensor shares ownership of its buffer, unless it was made over memory of
// the user's own, which must then outlive the run. Cheap to copy; one object has one user at a time, copies
// may be on different threads.
// The bytes of a buffer are where they were used last: in host memory, or on a chip. A view (`host`) brings
// them to host memory and waits for that, but for no task: look at elements when the tasks that write them
// have ended.
// Errors are thrown: those of runtime::Tensor, bad_argument for elements that no host can look at, data_lost
// for those whose chip died, and for those whose writer failed; blocking_in_coroutine when a coroutine would
// have to wait.

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::actors {

class Buffer;  ///< the bytes behind tensors, wherever they are; troupe's own

/// Keeps the buffer behind its tensors; the last tensor to go releases it. For a host buffer that frees the
/// memory; for an intermediate of a program it tells the program's run that nothing can name it any more.
/// Made by the framework; users only hold it through a `Tensor`.
class BufferHold {
 public:
  BufferHold() = default;
  /// For a buffer whose reference has numbers that mean something in this System alone; the hold keeps the
  /// memory that they name.
  explicit BufferHold(const void* of_system, Buffer* of = nullptr) : system(of_system), buffer(of) {}
  BufferHold(const BufferHold&) = delete;
  BufferHold& operator=(const BufferHold&) = delete;
  virtual ~BufferHold() = default;

  /// Whether a run that uses the buffer must keep this object until it ends (host and device buffers), or the
  /// run's graph knows the last reader itself (intermediates).
  virtual bool kept_by_runs() const noexcept { return true; }
  /// Null: the reference is an address, the same for every System.
  const void* const system = nullptr;
  /// Null: memory of a chip, or of the user's own.
  Buffer* const buffer = nullptr;
  /// The run (by its keeper's number) that was last told to keep it, so that each run is told once.
  std::atomic<std::uint64_t> kept_by{0};
};

namespace detail {
/// What the host does with the elements that it looks at.
enum class HostUse : std::uint8_t { look, change, overwrite };

/// Counts the views of a buffer that are alive.
class TROUPE_API LiveView {
 public:
  LiveView(std::shared_ptr<BufferHold> hold, bool writes) noexcept;
  LiveView(const LiveView& other) noexcept : LiveView(other.hold_, other.writes_) {}
  LiveView(LiveView&& other) noexcept : hold_(std::move(other.hold_)), writes_(other.writes_) {}
  LiveView& operator=(LiveView other) noexcept {
    std::swap(hold_, other.hold_);
    std::swap(writes_, other.writes_);
    return *this;
  }
  ~LiveView();

 private:
  std::shared_ptr<BufferHold> hold_;
  bool writes_;
};
}  // namespace detail

/// The elements of a tensor in host memory, for as long as it lives; a contiguous range like `std::span`.
/// While it lives, a run that wrote the tensor brings the bytes back before it ends, and what was written
/// through a writable one is what the next run sees. It keeps the buffer.
template <class T>
class HostView {
 public:
  using element_type = T;
  using value_type = std::remove_const_t<T>;

  HostView(T* data, std::size_t size, detail::LiveView live)
      : data_(data), size_(size), live_(std::move(live)) {}

  T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
  bool empty() const noexcept { return size_ == 0; }
  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t index) const noexcept { return data_[index]; }
  T& front() const noexcept { return data_[0]; }
  T& back() const noexcept { return data_[size_ - 1]; }

 private:
  T* data_;
  std::size_t size_;
  detail::LiveView live_;
};

template <class T>
concept HostElement = runtime::Element<std::remove_const_t<T>>;

/// A tensor as a user holds it: a description of elements in a buffer (`runtime::Tensor`) that keeps the
/// buffer alive. Views share the buffer. Copies are cheap; a default-constructed one describes nothing. A
/// `runtime::Tensor` over memory of the user's own converts: then the user keeps it alive for the run.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const runtime::Tensor& view) : view_(view) {}  // NOLINT(google-explicit-constructor): see above
  Tensor(const runtime::Tensor& view, std::shared_ptr<BufferHold> hold)
      : view_(view), hold_(std::move(hold)) {}

  /// Memory of the user's own, densely packed, which has to outlive the runs that use it; what they wrote is
  /// brought back when they end. Inside memory that troupe knows it is a view of that; memory that lies
  /// partly in a known tensor is refused by the submit. Over const elements: for tasks that only read.
  template <class T>
  requires runtime::Element<std::remove_const_t<T>>
  static Tensor borrow(T* elements, const runtime::Shape& shape) {
    return borrow(elements, shape, runtime::dtype_of<std::remove_const_t<T>>);
  }
  static Tensor borrow(const void* elements, const runtime::Shape& shape, runtime::DType dtype) {
    return Tensor(runtime::Tensor::host_bytes(elements, shape, dtype));
  }

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

  /// The elements of a contiguous host tensor of this type: `host<const T>()` to look at them, `host<T>()`
  /// also to write them. Brings the newest bytes to host memory when they are elsewhere, which waits, so not
  /// in a coroutine (`co_await node.fetch(x)` first). Throws `dtype_mismatch`, `not_contiguous`, or
  /// `bad_argument` for one that is not in host memory (an intermediate: read it through its program). Not
  /// synchronised with running tasks.
  template <HostElement T>
  HostView<T> host() const {
    return view_as<T>(std::is_const_v<T> ? detail::HostUse::look : detail::HostUse::change);
  }
  /// The same for a host that writes every element: that the bytes were lost is forgotten then.
  template <HostElement T>
  requires(!std::is_const_v<T>) HostView<T> overwrite()
  const { return view_as<T>(detail::HostUse::overwrite); }

 private:
  template <class T>
  HostView<T> view_as(detail::HostUse use) const {
    detail::LiveView live(hold_, use != detail::HostUse::look);
    void* address = open_host(runtime::dtype_of<std::remove_const_t<T>>, use);
    return {static_cast<T*>(address), static_cast<std::size_t>(view_.elements()), std::move(live)};
  }
  /// The address of the first element, once the bytes are there; null for a tensor without elements.
  TROUPE_API void* open_host(runtime::DType wanted, detail::HostUse use) const;
  void check_host(runtime::DType wanted) const;
  runtime::Tensor view_;
  std::shared_ptr<BufferHold> hold_;
};

/// A tensor argument of a submit, with the hold that keeps its buffer.
struct TensorUse {
  runtime::TensorArg arg;
  std::shared_ptr<BufferHold> hold;
};

/// A tensor argument on its way, with the buffer that it views; whoever keeps the argument keeps that.
struct Operand : runtime::TensorArg {
  Operand() = default;
  // Where there is no buffer, an argument is all of it. NOLINTNEXTLINE(google-explicit-constructor)
  Operand(const runtime::TensorArg& arg, Buffer* of = nullptr) : TensorArg(arg), buffer(of) {}

  Buffer* buffer = nullptr;  ///< null: memory of a chip, or of the user's own
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
