#pragma once

// What the author of a kernel or of a host function sees: typed access to the arguments of one call. Nothing
// here owns anything: tensors, scalars and contexts are borrowed from the call and end with it.
// Threads: the thread of the call only. A kernel must not keep a view after it has returned.
// Errors: an access that the arguments do not allow throws an Error that names the argument (out_of_range,
// dtype_mismatch, not_contiguous, invalid_args). The call then fails with that text; so it does with any
// other exception that leaves the function. A wait tells by its WaitStatus that the kernel is to return.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "troupe/runtime/compare.hpp"
#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/module_abi.h"
#include "troupe/runtime/module_macros.hpp"

namespace troupe::runtime {

namespace detail {
// Throws for an index outside a tensor; out of line, to keep the loops that call it small.
[[noreturn, gnu::cold]] TROUPE_API void refuse_access(const TensorDescriptor& descriptor,
                                                      std::initializer_list<std::int64_t> indices);
[[noreturn]] TROUPE_API void refuse_element(std::size_t element, const TensorDescriptor& descriptor,
                                            std::size_t count);
[[noreturn]] TROUPE_API void refuse_gaps();
}  // namespace detail

/// Elements of a tensor at their place in memory. Borrowed from the call; copying it copies no element. An
/// index outside throws; a loop that must not pay for the check takes `span()` or `data()`.
template <Element T>
class TensorView {
 public:
  TensorView(T* data, const TensorDescriptor& descriptor) noexcept : data_(data), descriptor_(&descriptor) {
    count_ = 1;
    for (std::size_t dim = 0; dim < dims(); ++dim) count_ *= extent(dim);
    in_order_ = is_contiguous() ? count_ : 0;
  }

  /// The first element.
  T* data() const noexcept { return data_; }
  std::size_t dims() const noexcept { return descriptor_->ndims; }
  std::size_t extent(std::size_t dim) const noexcept { return descriptor_->shapes[dim]; }
  std::size_t stride(std::size_t dim) const noexcept { return descriptor_->strides[dim]; }
  bool is_contiguous() const noexcept { return descriptor_->is_contiguous != 0; }
  std::size_t size() const noexcept { return count_; }
  const TensorDescriptor& descriptor() const noexcept { return *descriptor_; }

  /// One index per dimension.
  template <std::integral... Index>
  T& operator()(Index... index) const {
    static_assert(sizeof...(Index) <= limits::max_dims, "no tensor has so many dimensions");
    // One branch for all checks.
    bool wrong = sizeof...(Index) != dims();
    std::size_t dim = 0;
    std::size_t offset = 0;
    const auto add = [&](auto at) {
      wrong |= static_cast<std::uint64_t>(at) >= extent(dim);  // a negative one is a large one
      offset += static_cast<std::size_t>(at) * stride(dim++);
    };
    (add(index), ...);
    if (wrong) [[unlikely]]
      detail::refuse_access(*descriptor_, {static_cast<std::int64_t>(index)...});
    return data_[offset];
  }
  /// All elements in order; throws `not_contiguous` for a tensor with gaps.
  std::span<T> span() const {
    if (!is_contiguous()) detail::refuse_gaps();
    return {data_, count_};
  }
  T* begin() const { return span().data(); }
  T* end() const { return span().data() + count_; }
  /// Of all elements in order; of a tensor without gaps.
  T& operator[](std::size_t i) const {
    if (i >= in_order_) detail::refuse_element(i, *descriptor_, count_);
    return data_[i];
  }

 private:
  T* data_;
  const TensorDescriptor* descriptor_;
  std::size_t count_;     ///< elements
  std::size_t in_order_;  ///< those that lie one behind the other; 0 where there are gaps
};

/// How a wait inside a kernel ended.
enum class WaitStatus : std::int32_t {
  ready = TROUPE_DONE,       ///< the condition was seen
  aborted = TROUPE_ABORTED,  ///< the run is being given up: return from the kernel
  peer_lost =
      TROUPE_PEER_LOST,  ///< the kernel that should raise the flag cannot come: return from the kernel
};

/// A place in window or device memory through which kernels tell each other things. 32 bits is what hardware
/// signals have; 64 bits never wrap.
template <class T>
concept Flag = std::same_as<T, std::int32_t> || std::same_as<T, std::uint64_t>;

/// The arguments of one kernel call. One thread, the kernel's own; lives as long as the call. An access that
/// the arguments do not allow (no such index, another element type) throws an Error that names the argument;
/// the call then fails with its text.
class TROUPE_API KernelArgs {
 public:
  explicit KernelArgs(const troupe_kernel_call_v1& call) noexcept : call_(&call) {}
  KernelArgs(const KernelArgs&) = delete;
  KernelArgs& operator=(const KernelArgs&) = delete;

  std::size_t tensor_count() const noexcept { return call_->tensors; }
  std::size_t scalar_count() const noexcept { return call_->scalars; }
  /// Tensor argument `i` with elements of type T (checked; add const to read only).
  template <Element T>
  TensorView<T> tensor(std::size_t i) const {
    const TensorDescriptor& descriptor = descriptor_of(i, dtype_of<T>);
    return {static_cast<T*>(address_of(descriptor, sizeof(T))), descriptor};
  }
  const TensorDescriptor& descriptor(std::size_t i) const;
  /// Scalar argument `i`, counted without the tensors.
  /// Read as what it was given as; integers as any integer type that holds the value.
  template <Scalar T>
  T scalar(std::size_t i) const {
    return read_scalar<T>(scalar_given(i), i);
  }
  /// All 50 words as the foreign ABI has them.
  std::span<const std::int64_t> words() const noexcept { return {call_->words, limits::kernel_words}; }

  int block_idx() const noexcept { return local().block_idx; }
  int block_num() const noexcept { return local().block_num; }
  int sub_block_id() const noexcept { return global().sub_block_id; }
  /// A block is done by one thread here, and by many lanes on a device (device_kernel.hpp): each takes every
  /// lanes()-th element, and sync() waits until all lanes of the block are there.
  int lane() const noexcept { return 0; }
  int lanes() const noexcept { return 1; }
  void sync() const noexcept {}
  /// The elements of this lane, when all blocks share them out: for (auto i = k.first(); i < n; i +=
  /// k.step()).
  std::size_t first() const noexcept { return static_cast<std::size_t>(block_idx()); }
  std::size_t step() const noexcept { return static_cast<std::size_t>(block_num()); }
  /// Ends the run as failed with this text; the first one counts. Return from the kernel afterwards. For
  /// kernels that devices run, too, where nothing can be thrown.
  void fail(const char* text) noexcept;

  /// Waits until another kernel made `*flag compare value` true; everything that kernel wrote before its
  /// notify is visible then. On sim the core parks; where the platform offers no wait it loads in a loop with
  /// a growing pause, at most 1024 pause instructions, then yields its thread between loads. The first wait
  /// that is not `ready` also decides how the call ends, so a kernel just returns.
  template <Flag T>
  WaitStatus wait_until(const T& flag, Compare compare, T value) {
    TROUPE_DETAIL_MARK_WAIT();
    return wait(&flag, flag_type<T>(), compare, static_cast<std::uint64_t>(value));
  }
  /// Sets a flag of this or of a peer's window; a kernel that sees the new value also sees everything that
  /// was written before.
  template <Flag T>
  void notify(T& flag, T value) {
    notify(&flag, flag_type<T>(), TROUPE_NOTIFY_SET, static_cast<std::uint64_t>(value));
  }
  /// Adds to a flag, atomically.
  template <Flag T>
  void notify_add(T& flag, T value) {
    notify(&flag, flag_type<T>(), TROUPE_NOTIFY_ADD, static_cast<std::uint64_t>(value));
  }
  /// Whether to stop early; for kernels that compute long without waiting.
  bool aborted() const noexcept;
  /// A line in the host's log.
  void log(int level, const char* text) const noexcept;

  /// `ready` until a wait ended otherwise.
  WaitStatus status() const noexcept { return status_; }
  /// How the call ends when the kernel returns now: enum troupe_outcome.
  std::int32_t outcome() const noexcept {
    return failed_ ? TROUPE_FAILED : static_cast<std::int32_t>(status_);
  }

 private:
  template <Flag T>
  static constexpr std::uint32_t flag_type() noexcept {
    return std::same_as<T, std::int32_t> ? TROUPE_FLAG_I32 : TROUPE_FLAG_U64;
  }
  const TensorDescriptor& descriptor_of(std::size_t i, DType dtype) const;
  static void* address_of(const TensorDescriptor& descriptor, std::size_t element_bytes) noexcept {
    return reinterpret_cast<void*>(  // NOLINT(performance-no-int-to-ptr): the ABI carries addresses as words
        static_cast<std::uintptr_t>(descriptor.address + descriptor.start_offset * element_bytes));
  }
  ScalarArg scalar_given(std::size_t i) const;
  const LocalContext& local() const noexcept;
  const GlobalContext& global() const noexcept;
  WaitStatus wait(const void* flag, std::uint32_t type, Compare compare, std::uint64_t value);
  void notify(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value);

  const troupe_kernel_call_v1* call_;
  WaitStatus status_ = WaitStatus::ready;
  bool failed_ = false;
};

/// The arguments of one call of a host function: as KernelArgs, with tensors in host memory.
class TROUPE_API HostArgs {
 public:
  explicit HostArgs(const troupe_host_call_v1& call) noexcept : call_(&call) {}
  HostArgs(const HostArgs&) = delete;
  HostArgs& operator=(const HostArgs&) = delete;

  std::size_t tensor_count() const noexcept { return call_->tensors; }
  std::size_t scalar_count() const noexcept { return call_->scalars; }
  template <Element T>
  TensorView<T> tensor(std::size_t i) const {
    const TensorDescriptor& descriptor = descriptor_of(i, dtype_of<T>);
    return {reinterpret_cast<T*>(static_cast<std::uintptr_t>(descriptor.address)) + descriptor.start_offset,
            descriptor};
  }
  const TensorDescriptor& descriptor(std::size_t i) const;
  /// Whether the task was given it with `in`, as far as the caller tells.
  bool is_read_only(std::size_t i) const noexcept;
  template <Scalar T>
  T scalar(std::size_t i) const {
    return read_scalar<T>(scalar_given(i), i);
  }

 private:
  const TensorDescriptor& descriptor_of(std::size_t i, DType dtype) const;
  ScalarArg scalar_given(std::size_t i) const;
  const troupe_host_call_v1* call_;
};

/// The plain-memory meaning of a wait and of a notify, for platforms that implement the ops: whether `*flag
/// compare value` holds now (acquire), and setting or adding (release). `type` and `operation` as in
/// module_abi.h.
[[nodiscard]] TROUPE_API bool flag_holds(const void* flag, std::uint32_t type, Compare compare,
                                         std::uint64_t value) noexcept;
TROUPE_API void flag_update(void* flag, std::uint32_t type, std::uint32_t operation,
                            std::uint64_t value) noexcept;

namespace detail {
/// Copies `text` into a call's error buffer, cut to fit.
TROUPE_API void put_text(char* buffer, std::size_t size, std::string_view text) noexcept;
/// The text of the exception in flight.
TROUPE_API void put_current_exception(char* buffer, std::size_t size) noexcept;
}  // namespace detail

template <void (*Function)(KernelArgs&)>
struct CallableTraits<CallableKind::kernel, Function> {
  static constexpr const char* signature = "...";
  static std::int32_t invoke(const troupe_kernel_call_v1* call) noexcept {
    try {
      KernelArgs args(*call);
      Function(args);
      return args.outcome();
    } catch (...) {
      detail::put_current_exception(call->error_text, call->error_text_size);
      return TROUPE_FAILED;
    }
  }
};

template <void (*Function)(HostArgs&)>
struct CallableTraits<CallableKind::host_function, Function> {
  static constexpr const char* signature = "...";
  static std::int32_t invoke(const troupe_host_call_v1* call) noexcept {
    try {
      HostArgs args(*call);
      Function(args);
      return TROUPE_DONE;
    } catch (...) {
      detail::put_current_exception(call->error_text, call->error_text_size);
      return TROUPE_FAILED;
    }
  }
};

}  // namespace troupe::runtime
