#include "troupe/comm/one_sided.hpp"

#include <cstring>
#include <string>

#include "windows/domain_impl.hpp"

namespace troupe::comm {

namespace {

Error out_of_bounds(std::uint32_t rank, std::uint64_t offset, std::uint64_t size, std::uint64_t window) {
  return Error(Errc::out_of_bounds, std::to_string(size) + " bytes at offset " + std::to_string(offset) +
                                        " do not lie in the window of rank " + std::to_string(rank) +
                                        ", which has " + std::to_string(window) + " bytes");
}

}  // namespace

Result<std::byte*> OneSided::reach(std::uint32_t rank, std::uint64_t offset, std::uint64_t size) const {
  if (impl_ == nullptr || !impl_->committed())
    return Error(Errc::wrong_state, "one-sided operations need a committed domain");
  if (rank >= impl_->spec.ranks)
    return Error(Errc::bad_rank, "there is no rank " + std::to_string(rank) + " in a domain of " +
                                     std::to_string(impl_->spec.ranks));
  if (offset > impl_->spec.bytes || size > impl_->spec.bytes - offset)
    return out_of_bounds(rank, offset, size, impl_->spec.bytes);
  return impl_->bases[rank] + offset;
}

Result<void> OneSided::put(std::uint32_t rank, std::uint64_t offset, std::span<const std::byte> data) const {
  auto target = reach(rank, offset, data.size());
  if (!target) return target.error();
  // Overlap is possible when the source is a window, too.
  if (!data.empty()) std::memmove(*target, data.data(), data.size());
  return {};
}

Result<void> OneSided::get(std::uint32_t rank, std::uint64_t offset, std::span<std::byte> data) const {
  auto source = reach(rank, offset, data.size());
  if (!source) return source.error();
  if (!data.empty()) std::memmove(data.data(), *source, data.size());
  return {};
}

template <class T>
Result<std::atomic<T>*> OneSided::signal(std::uint32_t rank, std::uint64_t offset) const {
  auto address = reach(rank, offset, sizeof(T));
  if (!address) return address.error();
  if (offset % sizeof(T) != 0)
    return Error(Errc::misaligned, "a signal word of " + std::to_string(sizeof(T)) + " bytes at offset " +
                                       std::to_string(offset) + " of the window");
  static_assert(std::atomic<T>::is_always_lock_free && sizeof(std::atomic<T>) == sizeof(T));
  return reinterpret_cast<std::atomic<T>*>(*address);
}

template <class T>
Result<void> OneSided::notify(std::uint32_t rank, std::uint64_t offset, NotifyOp op, T value) const {
  auto word = signal<T>(rank, offset);
  if (!word) return word.error();
  EventCount& inbox = impl_->headers[rank]->inbox;
  if (op == NotifyOp::set) {
    set_and_announce(**word, value, inbox, *impl_->environment);
  } else {
    (*word)->fetch_add(value, std::memory_order_seq_cst);
    announce(inbox, *impl_->environment);
  }
  return {};
}

template <class T>
Result<void> OneSided::wait_until(std::uint32_t rank, std::uint64_t offset, Compare compare, T value,
                                  Deadline until) const {
  auto word = signal<T>(rank, offset);
  if (!word) return word.error();
  const Waited waited = wait_for(
      impl_->headers[rank]->inbox, impl_->patience, *impl_->environment, until,
      [&] { return runtime::compares((*word)->load(std::memory_order_seq_cst), compare, value); },
      [&] { return impl_->ended(); });
  if (waited == Waited::ready) return {};
  if (waited == Waited::ended) return impl_->why_ended();
  return Error(Errc::deadline, "nobody has set the signal at offset " + std::to_string(offset) +
                                   " in the window of rank " + std::to_string(rank) + " in time: it is " +
                                   std::to_string((*word)->load()) + ", awaited " + std::to_string(value));
}

template <class T>
Result<bool> OneSided::test(std::uint32_t rank, std::uint64_t offset, Compare compare, T value) const {
  auto word = signal<T>(rank, offset);
  if (!word) return word.error();
  if (runtime::compares((*word)->load(std::memory_order_seq_cst), compare, value)) return true;
  if (impl_->ended()) return impl_->why_ended();
  return false;
}

void OneSided::fence() const noexcept {
  // A locked operation on a local word orders like a fence, and thread sanitizer understands it.
  std::atomic<std::uint32_t> word{0};
  word.exchange(1, std::memory_order_seq_cst);
}

#define TROUPE_SIGNAL(T)                                                                                 \
  template TROUPE_API Result<void> OneSided::notify<T>(std::uint32_t, std::uint64_t, NotifyOp, T) const; \
  template TROUPE_API Result<void> OneSided::wait_until<T>(std::uint32_t, std::uint64_t, Compare, T,     \
                                                           Deadline) const;                              \
  template TROUPE_API Result<bool> OneSided::test<T>(std::uint32_t, std::uint64_t, Compare, T) const;
TROUPE_SIGNAL(std::int32_t)
TROUPE_SIGNAL(std::uint32_t)
TROUPE_SIGNAL(std::int64_t)
TROUPE_SIGNAL(std::uint64_t)
#undef TROUPE_SIGNAL

}  // namespace troupe::comm
