#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/thrown.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>

#include "text.hpp"

namespace troupe::runtime {
namespace {

/// The element accessors of a kernel and of a host function fail in the same words.
const TensorDescriptor& checked(const void* pointer, std::size_t i, std::size_t count) {
  if (i >= count) {
    throw Error(Errc::out_of_range, text("tensor argument ", i, " of a call with ", count));
  }
  if (pointer == nullptr) throw Error(Errc::invalid_args, text("tensor argument ", i, " has no descriptor"));
  return *static_cast<const TensorDescriptor*>(pointer);
}

const TensorDescriptor& typed(const TensorDescriptor& descriptor, std::size_t i, DType dtype) {
  if (descriptor.dtype != static_cast<std::uint8_t>(dtype)) {
    throw Error(Errc::dtype_mismatch,
                text("tensor argument ", i, " has elements of type ",
                     name_of(static_cast<DType>(descriptor.dtype)), ", not ", name_of(dtype)));
  }
  return descriptor;
}

void check_scalar(std::size_t i, std::size_t count) {
  if (i >= count) throw Error(Errc::out_of_range, text("scalar argument ", i, " of a call with ", count));
}

ScalarKind kind_at(const std::uint8_t* kinds, std::size_t i) {
  return kinds == nullptr ? ScalarKind::any : static_cast<ScalarKind>(kinds[i]);
}

template <class T>
T& pointee(std::int64_t word) noexcept {
  return *reinterpret_cast<T*>(static_cast<std::intptr_t>(word));
}

void pause_once() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class T>
T& flag_at(const void* flag) noexcept {
  return *static_cast<T*>(
      const_cast<void*>(flag));  // NOLINT(cppcoreguidelines-pro-type-const-cast): atomic_ref
}

template <class T>
void update(void* flag, std::uint32_t operation, std::uint64_t value) noexcept {
  std::atomic_ref<T> target(flag_at<T>(flag));
  if (operation == TROUPE_NOTIFY_ADD) {
    target.fetch_add(static_cast<T>(value), std::memory_order_release);
  } else {
    target.store(static_cast<T>(value), std::memory_order_release);
  }
}

}  // namespace

bool flag_holds(const void* flag, std::uint32_t type, Compare compare, std::uint64_t value) noexcept {
  if (type == TROUPE_FLAG_I32) {
    const std::atomic_ref<std::int32_t> source(flag_at<std::int32_t>(flag));
    return compares(source.load(std::memory_order_acquire), compare, static_cast<std::int32_t>(value));
  }
  const std::atomic_ref<std::uint64_t> source(flag_at<std::uint64_t>(flag));
  return compares(source.load(std::memory_order_acquire), compare, value);
}

void flag_update(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept {
  if (type == TROUPE_FLAG_I32) {
    update<std::int32_t>(flag, operation, value);
  } else {
    update<std::uint64_t>(flag, operation, value);
  }
}

const TensorDescriptor& KernelArgs::descriptor(std::size_t i) const {
  const void* pointer = i < call_->tensors ? &pointee<const char>(call_->words[i]) : nullptr;
  return checked(pointer, i, call_->tensors);
}

const TensorDescriptor& KernelArgs::descriptor_of(std::size_t i, DType dtype) const {
  return typed(descriptor(i), i, dtype);
}

ScalarArg KernelArgs::scalar_given(std::size_t i) const {
  check_scalar(i, call_->scalars);
  return {static_cast<std::uint64_t>(call_->words[call_->tensors + i]),
          kind_at(TROUPE_SCALAR_KINDS_OF(call_), i)};
}

const LocalContext& KernelArgs::local() const noexcept {
  return pointee<const LocalContext>(call_->words[limits::local_context_word]);
}

const GlobalContext& KernelArgs::global() const noexcept {
  return pointee<const GlobalContext>(call_->words[limits::global_context_word]);
}

WaitStatus KernelArgs::wait(const void* flag, std::uint32_t type, Compare compare, std::uint64_t value) {
  if (status_ != WaitStatus::ready) return status_;
  const troupe_kernel_ops_v1* ops = call_->ops;
  if (ops != nullptr && ops->wait != nullptr) {
    status_ = static_cast<WaitStatus>(
        ops->wait(call_->self, flag, type, static_cast<std::uint32_t>(compare), value));
    return status_;
  }
  constexpr unsigned longest_pause = 1024;
  for (unsigned pauses = 1; !flag_holds(flag, type, compare, value);
       pauses = std::min(pauses * 2, longest_pause)) {
    if (aborted()) return status_ = WaitStatus::aborted;
    for (unsigned i = 0; i < pauses; ++i) pause_once();
    if (pauses == longest_pause) (void)sched_yield();
  }
  return status_;
}

void KernelArgs::notify(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) {
  const troupe_kernel_ops_v1* ops = call_->ops;
  if (ops != nullptr && ops->notify != nullptr) {
    ops->notify(call_->self, flag, type, operation, value);
  } else {
    flag_update(flag, type, operation, value);
  }
}

bool KernelArgs::aborted() const noexcept {
  const troupe_kernel_ops_v1* ops = call_->ops;
  return ops != nullptr && ops->aborted != nullptr && ops->aborted(call_->self) != 0;
}

void KernelArgs::fail(const char* line) noexcept {
  if (failed_) return;
  failed_ = true;
  detail::put_text(call_->error_text, call_->error_text_size, line);
}

void KernelArgs::log(int level, const char* line) const noexcept {
  const troupe_kernel_ops_v1* ops = call_->ops;
  if (ops != nullptr && ops->log != nullptr) ops->log(call_->self, level, line);
}

const TensorDescriptor& HostArgs::descriptor(std::size_t i) const {
  return checked(i < call_->tensors ? call_->descriptors[i] : nullptr, i, call_->tensors);
}

const TensorDescriptor& HostArgs::descriptor_of(std::size_t i, DType dtype) const {
  return typed(descriptor(i), i, dtype);
}

bool HostArgs::is_read_only(std::size_t i) const noexcept {
  constexpr auto known = offsetof(troupe_host_call_v1, read_only) + sizeof call_->read_only;
  return call_->size >= known && call_->read_only != nullptr && i < call_->tensors &&
         call_->read_only[i] != 0;
}

ScalarArg HostArgs::scalar_given(std::size_t i) const {
  check_scalar(i, call_->scalars);
  return {call_->scalar_words[i], kind_at(TROUPE_SCALAR_KINDS_OF(call_), i)};
}

namespace detail {

void refuse_access(const TensorDescriptor& descriptor, std::initializer_list<std::int64_t> indices) {
  const std::size_t given = indices.size(), dims = descriptor.ndims;
  if (given != dims) {
    throw Error(Errc::out_of_range, text(given, given == 1 ? " index" : " indices", " for a tensor of ", dims,
                                         dims == 1 ? " dimension" : " dimensions"));
  }
  const auto* const index = std::find_if(indices.begin(), indices.end(), [&](const std::int64_t& at) {
    return static_cast<std::uint64_t>(at) >= descriptor.shapes[&at - indices.begin()];
  });
  const auto dim = index - indices.begin();
  throw Error(Errc::out_of_range,
              text("index ", *index, " of dimension ", dim, ", which has ", descriptor.shapes[dim]));
}
void refuse_element(std::size_t element, const TensorDescriptor& descriptor, std::size_t count) {
  if (descriptor.is_contiguous == 0) refuse_gaps();
  throw Error(Errc::out_of_range, text("element ", element, " of a tensor with ", count));
}
void refuse_gaps() {
  throw Error(Errc::not_contiguous, "this tensor has gaps between its elements",
              "index it with (i, j, …), or pass a contiguous tensor");
}

void put_text(char* buffer, std::size_t size, std::string_view text) noexcept {
  if (buffer == nullptr || size == 0) return;
  const std::size_t length = std::min(text.size(), size - 1);
  std::copy_n(text.data(), length, buffer);
  buffer[length] = '\0';
}

void put_current_exception(char* buffer, std::size_t size) noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    put_text(buffer, size, text_of(error));
  } catch (...) {
    put_text(buffer, size, "an exception that is no std::exception");
  }
}

}  // namespace detail
}  // namespace troupe::runtime
