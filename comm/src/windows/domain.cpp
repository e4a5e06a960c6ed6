#include "troupe/comm/domain.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string>

#include "system_error.hpp"
#include "windows/domain_impl.hpp"

namespace troupe::comm {

WaitPolicy WaitPolicy::for_ranks(std::uint32_t ranks, unsigned processors) noexcept {
  // A hand-over between two cores takes 0.1 µs, a yield under one, waking a parked thread some 55. Spin only
  // for the first: even ranks that could have a core each share one when the machine has other work.
  if (ranks <= processors) return {.spins = 100, .yields = 200};
  return {.spins = 20, .yields = 100};
}

std::string render_ranks(RankSet ranks) {
  std::string text;
  for (RankSet rest = ranks; rest != 0; rest &= rest - 1) {
    if (!text.empty()) text += (rest & (rest - 1)) == 0 ? " and " : ", ";
    text += std::to_string(std::countr_zero(rest));
  }
  return text.empty() ? "none" : text;
}

DomainMember::DomainMember() = default;
DomainMember::DomainMember(DomainMember&&) noexcept = default;
DomainMember& DomainMember::operator=(DomainMember&& other) noexcept {
  if (this != &other) {
    release();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
DomainMember::~DomainMember() { release(); }

Result<DomainMember> DomainMember::create(const WindowSpec& spec, const Environment& environment) {
  auto window = Window::create(spec, environment);
  if (!window) return window.error();
  DomainMember member;
  member.impl_ = std::make_unique<Impl>();
  member.impl_->spec = spec;
  member.impl_->environment = &environment;
  member.impl_->windows[spec.rank] = std::move(*window);
  member.impl_->imported = rank_bit(spec.rank);
  return member;
}

DomainMember::State DomainMember::state() const noexcept { return impl_ ? impl_->state : State::empty; }

const WindowSpec& DomainMember::spec() const noexcept {
  static constexpr WindowSpec none{};
  return impl_ ? impl_->spec : none;
}

Result<WindowBlob> DomainMember::blob() const {
  if (state() != State::created)
    return Error(Errc::wrong_state, "a window is exported between create and commit");
  auto offer = impl_->windows[impl_->spec.rank].offer();
  if (!offer) return offer.error();
  return encode(*offer);
}

int DomainMember::memory() const noexcept {
  return state() == State::created ? impl_->windows[impl_->spec.rank].memory().get() : -1;
}

Result<void> DomainMember::import(std::span<const std::byte> blob) {
  auto offer = decode(blob);
  if (!offer) return offer.error();
  if (offer->process != static_cast<std::uint64_t>(::getpid()))
    return Error(Errc::stale,
                 "the window of rank " + std::to_string(offer->spec.rank) + " lives in process " +
                     std::to_string(offer->process),
                 "windows of other processes are imported with their memory descriptor");
  if (state() == State::created && offer->spec.rank == impl_->spec.rank)
    return import(blob, FileDescriptor());
  FileDescriptor memory(::fcntl(offer->descriptor, F_DUPFD_CLOEXEC, 0));
  if (!memory.valid() && errno != EBADF)
    return system_error("sharing the window of rank " + std::to_string(offer->spec.rank), errno,
                        "too many open files? (ulimit -n)");
  return import(blob, std::move(memory));
}

Result<void> DomainMember::import(std::span<const std::byte> blob, FileDescriptor memory) {
  if (state() != State::created)
    return Error(Errc::wrong_state, "windows are imported between create and commit");
  if (impl_->early_end != 0) return impl_->why_ended();
  auto offer = decode(blob);
  if (!offer) return offer.error();
  const std::uint32_t rank = offer->spec.rank;
  if (rank == impl_->spec.rank) {
    auto own = this->blob();
    if (!own) return own.error();
    if (std::ranges::equal(blob.first(window_blob_bytes), *own)) return {};
    return Error(Errc::mismatch, "another window claims to be rank " + std::to_string(rank));
  }
  if (rank < max_ranks && (impl_->imported & rank_bit(rank)) != 0)
    return Error(Errc::wrong_state, "the window of rank " + std::to_string(rank) + " is imported already");
  auto window = Window::import(impl_->spec, *offer, std::move(memory));
  if (!window) return window.error();
  impl_->windows[rank] = std::move(*window);
  impl_->imported |= rank_bit(rank);
  return {};
}

RankSet DomainMember::missing() const noexcept {
  return impl_ ? all_ranks(impl_->spec.ranks) & ~impl_->imported : 0;
}

Result<void> DomainMember::commit() {
  if (state() != State::created) return Error(Errc::wrong_state, "a domain is committed once, after create");
  if (impl_->early_end != 0) return impl_->why_ended();
  if (missing() != 0)
    return Error(Errc::wrong_state,
                 "the windows of rank " + render_ranks(missing()) + " are not imported yet");
  Impl& impl = *impl_;
  Environment::ProcessorSet processors{};
  for (std::uint32_t rank = 0; rank < impl.spec.ranks; ++rank) {
    Window& window = impl.windows[rank];
    impl.bases[rank] = window.base();
    impl.headers[rank] = &window.header();
    impl.context.windows_in[rank] = reinterpret_cast<std::uintptr_t>(window.base());
    impl.context.windows_out[rank] = impl.context.windows_in[rank];
    for (std::size_t word = 0; word < processors.size(); ++word)
      processors[word] |= window.header().processors[word];
  }
  unsigned usable = 0;
  for (const std::uint64_t word : processors) usable += static_cast<unsigned>(std::popcount(word));
  impl.patience.policy = WaitPolicy::for_ranks(impl.spec.ranks, usable);
  impl.context.rank = impl.spec.rank;
  impl.context.rank_count = impl.spec.ranks;
  impl.context.window_size = impl.spec.bytes;
  impl.meeting = impl.headers[0];
  impl.state = State::committed;
  impl.windows[impl.spec.rank].close_memory();
  return {};
}

const runtime::CommContext* DomainMember::context() const noexcept {
  return state() == State::committed ? &impl_->context : nullptr;
}

std::span<std::byte> DomainMember::window(std::uint32_t rank) const noexcept {
  if (state() != State::committed || rank >= impl_->spec.ranks) return {};
  return {impl_->bases[rank], impl_->spec.bytes};
}

std::optional<DomainMember::Location> DomainMember::locate(const void* address) const noexcept {
  if (state() != State::committed) return std::nullopt;
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::uint32_t rank = 0; rank < impl_->spec.ranks; ++rank) {
    const std::uintptr_t base = impl_->context.windows_in[rank];
    if (wanted >= base && wanted - base < impl_->spec.bytes) return Location{rank, wanted - base};
  }
  return std::nullopt;
}

void DomainMember::set_wait_policy(WaitPolicy policy) noexcept {
  if (impl_) impl_->patience.policy = policy;
}

void DomainMember::release() noexcept {
  if (!impl_ || impl_->state == State::released) return;
  if (impl_->committed() && !impl_->all_departed()) impl_->end(EndKind::left, impl_->spec.rank);
  impl_->state = State::released;
  for (Window& window : impl_->windows) window = Window();
  impl_->context = {};
  impl_->meeting = nullptr;
}

}  // namespace troupe::comm
