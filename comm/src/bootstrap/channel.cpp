#include "troupe/comm/bootstrap_channel.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "troupe/comm/errc.hpp"

namespace troupe::comm {

namespace {

/// The mailbox, byte for byte.
struct Mailbox {
  std::int32_t state;
  std::int32_t error_code;
  std::int32_t buffer_count;
  std::int32_t reserved;
  std::uint64_t device_ctx;
  std::uint64_t local_window_base;
  std::uint64_t actual_window_size;
  std::uint64_t reserved_too[3];
  std::uint64_t buffers[bootstrap_max_buffers];
  char message[bootstrap_max_message + 1];
};
static_assert(sizeof(Mailbox) == bootstrap_mailbox_bytes);
static_assert(offsetof(Mailbox, error_code) == 4 && offsetof(Mailbox, buffer_count) == 8);
static_assert(offsetof(Mailbox, device_ctx) == 16 && offsetof(Mailbox, local_window_base) == 24);
static_assert(offsetof(Mailbox, actual_window_size) == 32 && offsetof(Mailbox, buffers) == 64);
static_assert(offsetof(Mailbox, message) == 3072);

Mailbox& in(std::byte* memory) noexcept { return *reinterpret_cast<Mailbox*>(memory); }

void publish(Mailbox& mailbox, ChipBootstrapState state) noexcept {
  std::atomic_ref<std::int32_t>(mailbox.state)
      .store(static_cast<std::int32_t>(state), std::memory_order_release);
}

std::int32_t observe(std::byte* memory) noexcept {
  return std::atomic_ref<std::int32_t>(in(memory).state).load(std::memory_order_acquire);
}

/// Another process may still be scribbling: every field is read once, into memory of our own.
template <class T>
T once(const T& shared) noexcept {
  return *static_cast<const volatile T*>(&shared);
}

/// Does not look at the state again: who wrote "error" may write something else meanwhile.
ChipBootstrapFailure failure_in(const Mailbox& mailbox) {
  ChipBootstrapFailure failure{.code = once(mailbox.error_code), .message = {}};
  for (std::size_t i = 0; i < bootstrap_max_message; ++i) {
    const char c = once(mailbox.message[i]);
    if (c == '\0') break;
    failure.message.push_back(c);
  }
  return failure;
}

}  // namespace

Result<ChipBootstrapChannel> ChipBootstrapChannel::over(void* mailbox, std::size_t max_buffer_count) {
  if (mailbox == nullptr) return Error(Errc::bad_argument, "mailbox must not be null");
  if (reinterpret_cast<std::uintptr_t>(mailbox) % alignof(Mailbox) != 0) {
    return Error(Errc::bad_argument, "mailbox must be 8-byte aligned");
  }
  if (max_buffer_count > bootstrap_max_buffers) {
    return Error(Errc::bad_argument, "max_buffer_count " + std::to_string(max_buffer_count) + " exceeds " +
                                         std::to_string(bootstrap_max_buffers));
  }
  return ChipBootstrapChannel(static_cast<std::byte*>(mailbox), max_buffer_count);
}

void ChipBootstrapChannel::reset() noexcept {
  std::memset(mailbox_ + sizeof(std::int32_t), 0, sizeof(Mailbox) - sizeof(std::int32_t));
  publish(in(mailbox_), ChipBootstrapState::idle);
}

Result<void> ChipBootstrapChannel::write_success(const ChipBootstrapResult& result) noexcept {
  if (result.buffer_ptrs.size() > max_buffers_) {
    return Error(Errc::bad_argument, "buffer_ptrs exceeds max_buffer_count");
  }
  Mailbox& mailbox = in(mailbox_);
  mailbox.error_code = 0;
  mailbox.buffer_count = static_cast<std::int32_t>(result.buffer_ptrs.size());
  mailbox.device_ctx = result.device_ctx;
  mailbox.local_window_base = result.local_window_base;
  mailbox.actual_window_size = result.actual_window_size;
  std::copy(result.buffer_ptrs.begin(), result.buffer_ptrs.end(), mailbox.buffers);
  publish(mailbox, ChipBootstrapState::success);
  return {};
}

void ChipBootstrapChannel::write_error(std::int32_t code, std::string_view message) noexcept {
  Mailbox& mailbox = in(mailbox_);
  mailbox.error_code = code;
  const std::size_t length = std::min(message.size(), bootstrap_max_message);
  std::copy_n(message.data(), length, mailbox.message);
  mailbox.message[length] = '\0';
  publish(mailbox, ChipBootstrapState::error);
}

Result<ChipBootstrapState> ChipBootstrapChannel::state() const {
  const std::int32_t state = observe(mailbox_);
  if (state < 0 || state > 2) {
    return Error(Errc::bad_blob, "bootstrap mailbox: state " + std::to_string(state) + " does not exist");
  }
  return static_cast<ChipBootstrapState>(state);
}

Result<std::optional<ChipBootstrapResult>> ChipBootstrapChannel::read() const {
  const auto now = state();
  if (!now) return now.error();
  if (*now == ChipBootstrapState::idle) return std::optional<ChipBootstrapResult>();
  if (*now == ChipBootstrapState::error) {
    return Error(Errc::chip_failed, failure_in(in(mailbox_)).message);
  }
  const Mailbox& mailbox = in(mailbox_);
  const std::int32_t count = once(mailbox.buffer_count);
  if (count < 0 || static_cast<std::size_t>(count) > max_buffers_) {
    return Error(Errc::bad_blob, "bootstrap mailbox: " + std::to_string(count) + " buffers, at most " +
                                     std::to_string(max_buffers_) + " can be");
  }
  ChipBootstrapResult result{.device_ctx = once(mailbox.device_ctx),
                             .local_window_base = once(mailbox.local_window_base),
                             .actual_window_size = once(mailbox.actual_window_size),
                             .buffer_ptrs = {}};
  if (result.local_window_base + result.actual_window_size < result.local_window_base) {
    return Error(Errc::bad_blob, "bootstrap mailbox: the window goes past the end of memory");
  }
  for (std::int32_t i = 0; i < count; ++i) result.buffer_ptrs.push_back(once(mailbox.buffers[i]));
  return std::optional(std::move(result));
}

std::optional<ChipBootstrapFailure> ChipBootstrapChannel::failure() const {
  if (observe(mailbox_) != static_cast<std::int32_t>(ChipBootstrapState::error)) return std::nullopt;
  return failure_in(in(mailbox_));
}

}  // namespace troupe::comm
