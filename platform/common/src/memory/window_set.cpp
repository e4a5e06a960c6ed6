#include "memory/window_set.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

namespace {

std::uint64_t address_of(const void* pointer) noexcept {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

Error unknown_window(std::uint64_t window) {
  return Error(Errc::unknown_window, "this chip has no window " + std::to_string(window));
}

static_assert(comm::window_blob_bytes <= TROUPE_WINDOW_BLOB_BYTES);

}  // namespace

WindowSet::~WindowSet() { abort_all(); }

Result<std::shared_ptr<comm::DomainMember>> WindowSet::find(std::uint64_t window) const {
  const std::lock_guard lock(mutex_);
  auto found = windows_.find(window);
  if (found == windows_.end()) return unknown_window(window);
  return found->second;
}

Result<std::uint64_t> WindowSet::create(const troupe_window_spec& spec, troupe_window_blob& blob) {
  comm::WindowSpec wanted{.domain = {spec.domain[0], spec.domain[1]},
                          .generation = static_cast<std::uint32_t>(spec.epoch),
                          .rank = spec.rank,
                          .ranks = spec.rank_count,
                          .bytes = spec.bytes};
  std::vector<troupe_window_gap> gaps;
  if (spec.gaps != nullptr) gaps.assign(spec.gaps, spec.gaps + spec.gap_count);
  for (const auto& gap : gaps) {
    if (gap.offset <= spec.bytes && gap.bytes <= spec.bytes - gap.offset) continue;
    return Error(Errc::invalid_argument, "a gap of a window reaches past its end");
  }
  auto member = comm::DomainMember::create(wanted);
  if (!member) return member.error();
  auto bytes = member->blob();
  if (!bytes) return bytes.error();
  blob = {};
  std::memcpy(blob.bytes, bytes->data(), bytes->size());
  blob.byte_count = static_cast<std::uint32_t>(bytes->size());
  blob.fd = member->memory();
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_++;
  windows_.emplace(id, std::make_shared<comm::DomainMember>(*std::move(member)));
  gaps_.emplace(id, std::move(gaps));
  return id;
}

Result<void> WindowSet::import(std::uint64_t window, std::uint32_t rank, const troupe_window_blob& blob) {
  auto member = find(window);
  if (!member) return member.error();
  if (blob.byte_count > TROUPE_WINDOW_BLOB_BYTES) {
    return Error(Errc::bad_window, "a window blob of " + std::to_string(blob.byte_count) + " bytes");
  }
  const std::span bytes(reinterpret_cast<const std::byte*>(blob.bytes), blob.byte_count);
  auto offer = comm::decode(bytes);
  if (!offer)
    return Error(Errc::bad_window, "the blob of rank " + std::to_string(rank)).caused_by(offer.error());
  if (offer->spec.rank != rank) {
    return Error(Errc::bad_window, "the blob is of rank " + std::to_string(offer->spec.rank) +
                                       ", not of rank " + std::to_string(rank));
  }
  if (blob.fd < 0 || rank == (*member)->spec().rank) return (*member)->import(bytes);
  comm::FileDescriptor memory(dup(blob.fd));
  if (!memory.valid()) {
    return Error(comm::Errc::stale,
                 "the window of rank " + std::to_string(rank) + " is gone: its descriptor is closed",
                 "the rank has withdrawn or died");
  }
  return (*member)->import(bytes, std::move(memory));
}

Result<troupe_window_view> WindowSet::commit(std::uint64_t window) {
  auto member = find(window);
  if (!member) return member.error();
  if (auto done = (*member)->commit(); !done) return done.error();
  const auto& spec = (*member)->spec();
  const auto own = (*member)->window(spec.rank);
  if (own.empty()) return view(window);
  std::vector<GuardZone> gaps;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& gap : gaps_[window]) {
      const std::uint64_t begin = address_of(own.data()) + gap.offset;
      gaps.push_back({begin, begin + gap.bytes});
    }
    gaps_.erase(window);
  }
  memory_.add_window(address_of(own.data()), own.size(), "window of rank " + std::to_string(spec.rank),
                     std::move(gaps));
  return view(window);
}

Result<troupe_window_view> WindowSet::view(std::uint64_t window) const {
  auto member = find(window);
  if (!member) return member.error();
  const auto own = (*member)->window((*member)->spec().rank);
  return troupe_window_view{.context_address = address_of((*member)->context()),
                            .local_base = address_of(own.data()),
                            .bytes = own.size(),
                            .reserved = {}};
}

Result<void> WindowSet::abort(std::uint64_t window, std::int32_t code, std::uint32_t rank) {
  auto member = find(window);
  if (!member) return member.error();
  if (code == static_cast<std::int32_t>(comm::Errc::peer_lost)) {
    if (rank >= (*member)->spec().ranks) {
      return Error(Errc::invalid_argument,
                   "window " + std::to_string(window) + " has no rank " + std::to_string(rank));
    }
    (*member)->mark_lost(rank);
  } else {
    (*member)->abort();
  }
  return {};
}

Result<void> WindowSet::release(std::uint64_t window) {
  auto member = find(window);
  if (!member) return member.error();
  const auto own = (*member)->window((*member)->spec().rank);
  if (!own.empty()) memory_.remove_window(address_of(own.data()));
  const std::lock_guard lock(mutex_);
  windows_.erase(window);
  gaps_.erase(window);
  return {};
}

std::size_t WindowSet::size() const {
  const std::lock_guard lock(mutex_);
  return windows_.size();
}

Error WindowSet::comm_failure(const char* function) const {
  const auto error = sessions_.last_error();
  if (error != nullptr) return *error;
  return Error(Errc::internal, std::string(function) + " failed");
}

Result<comm::CommSessions::Handle> WindowSet::communicator(void* comm) const {
  const std::lock_guard lock(mutex_);
  for (const auto& known : communicators_) {
    if (known.handle == comm) return known.handle;
  }
  return Error(Errc::invalid_argument, "this chip has no such communicator");
}

Result<void*> WindowSet::comm_init(std::int32_t rank, std::int32_t ranks, const char* meeting) {
  auto options = comm::CommOptions::from_environment();
  if (!options) return options.error();
  options->allow_several = several_;
  auto handle = sessions_.comm_init(rank, ranks, meeting, *options);
  if (handle == nullptr) {
    Error error = comm_failure("comm_init");
    if (error == comm::Errc::already_live) {
      return Error(Errc::invalid_state, "this chip has a live communicator",
                   "destroy it first, or set the option several_communicators before set_device")
          .caused_by(error);
    }
    return error;
  }
  const std::lock_guard lock(mutex_);
  communicators_.push_back({handle, 0});
  return static_cast<void*>(handle);
}

Result<std::uint64_t> WindowSet::comm_alloc_windows(void* comm, std::uint64_t bytes) {
  auto handle = communicator(comm);
  if (!handle) return handle.error();
  std::uint64_t context = 0;
  if (sessions_.comm_alloc_windows(*handle, bytes, &context) != 0) return comm_failure("comm_alloc_windows");
  const std::uint64_t base = address_of((*handle)->local_window_base());
  memory_.add_window(base, (*handle)->window_size(), "communicator window");
  const std::lock_guard lock(mutex_);
  for (auto& known : communicators_) {
    if (known.handle == *handle) known.base = base;
  }
  return context;
}

Result<std::uint64_t> WindowSet::comm_window_base(void* comm) const {
  auto handle = communicator(comm);
  if (!handle) return handle.error();
  std::uint64_t base = 0;
  if (sessions_.comm_get_local_window_base(*handle, &base) != 0)
    return comm_failure("comm_get_local_window_base");
  return base;
}

Result<std::uint64_t> WindowSet::comm_window_size(void* comm) const {
  auto handle = communicator(comm);
  if (!handle) return handle.error();
  std::size_t size = 0;
  if (sessions_.comm_get_window_size(*handle, &size) != 0) return comm_failure("comm_get_window_size");
  return std::uint64_t{size};
}

Result<void> WindowSet::comm_barrier(void* comm) {
  auto handle = communicator(comm);
  if (!handle) return handle.error();
  if (sessions_.comm_barrier(*handle) != 0) return comm_failure("comm_barrier");
  return {};
}

Result<void> WindowSet::comm_destroy(void* comm) {
  auto handle = communicator(comm);
  if (!handle) return handle.error();
  {
    const std::lock_guard lock(mutex_);
    auto known = std::find_if(communicators_.begin(), communicators_.end(),
                              [&](const auto& entry) { return entry.handle == *handle; });
    if (known->base != 0) memory_.remove_window(known->base);
    communicators_.erase(known);
  }
  if (sessions_.comm_destroy(*handle) != 0) return comm_failure("comm_destroy");
  return {};
}

std::shared_ptr<comm::DomainMember> WindowSet::domain_at(const void* address) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, member] : windows_) {
    if (member->locate(address)) return member;
  }
  for (const auto& known : communicators_) {
    if (known.base == 0) continue;
    // Borrowed: the session outlives the runs that use its window.
    auto& domain = known.handle->domain();
    if (domain.locate(address)) return {std::shared_ptr<void>(), &domain};
  }
  return nullptr;
}

void WindowSet::abort_all() noexcept {
  sessions_.abort_all();
  const std::lock_guard lock(mutex_);
  for (auto& [id, member] : windows_) member->abort();
}

}  // namespace troupe::platform::common
