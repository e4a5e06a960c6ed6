// The part of a chip's state that is not about tasks: memory, windows, what it says about itself.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "chip_state.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/comm/host_segment.hpp"

namespace troupe::actors {
namespace {

/// One piece of a copy: a millisecond or so, then other messages get their turn.
constexpr std::uint64_t copy_piece = 8ULL << 20U;

Result<bool> done(const Result<void>& result) {
  if (!result) return result.error();
  return true;
}

/// "120 us", "3400 ms", "34 s": how long something has been going on, which nobody needs exactly.
std::string roughly(std::uint64_t us) {
  if (us < 1000) return std::to_string(us) + " us";
  return us < 10'000'000 ? std::to_string(us / 1000) + " ms" : std::to_string(us / 1'000'000) + " s";
}

/// "core 3: step, for 120 us, waiting for a flag"
std::string sentence(const troupe_core_status& core, std::uint64_t now) {
  std::string text = core.core == TROUPE_NO_CORE ? "chip program" : "core " + std::to_string(core.core);
  const auto since = now > core.since_ns ? (now - core.since_ns) / 1000 : 0;
  text += ": " + std::string(core.name) + ", for " + roughly(since);
  if (core.activity == TROUPE_ACTIVITY_WAITING) text += std::string(", waiting for ") + core.detail;
  return text;
}

}  // namespace

/// Something of an earlier life of the chip is meant, which is gone.
std::optional<Error> ChipState::of_another_life(std::string_view call, std::uint32_t incarnation) const {
  if (life_ != Life::ready) return wrong_state(call);
  if (incarnation == identity_.incarnation) return std::nullopt;
  return Error(Errc::data_lost, identity_.name + ": " + std::string(call) +
                                    ": what is meant died with an earlier life of the chip");
}

Result<std::uint64_t> ChipState::malloc(const DeviceMalloc& request) {
  if (auto error = of_another_life("malloc", request.incarnation)) return *error;
  return context_->malloc(request.bytes);
}

Result<bool> ChipState::free(const DeviceFree& request) {
  if (auto error = of_another_life("free", request.incarnation)) return *error;
  auto freed = context_->free(request.address);
  if (freed || !(freed.error() == platform::Errc::busy)) return done(freed);
  busy_memory_.push_back(request.address);
  return true;
}

/// Runs have ended: what they held up may go now.
void ChipState::release_waiting() {
  if (life_ != Life::ready) return;
  std::erase_if(busy_windows_, [this](std::uint64_t window) {
    auto released = context_->window_release(window);
    return released || !(released.error() == platform::Errc::busy);
  });
  std::erase_if(busy_memory_, [this](std::uint64_t address) {
    auto freed = context_->free(address);
    return freed || !(freed.error() == platform::Errc::busy);
  });
}

Result<bool> ChipState::copy(DeviceCopy& copy) {
  if (auto error = of_another_life(copy.to_device ? "copy_to" : "copy_from", copy.incarnation)) return *error;
  const auto piece = std::min(copy_piece, copy.bytes - copy.done);
  auto* host = static_cast<std::byte*>(copy.host) + copy.done;
  const auto address = copy.address + copy.done;
  auto copied =
      copy.to_device ? context_->copy_to(address, host, piece) : context_->copy_from(host, address, piece);
  if (!copied) return copied.error();
  copy.done += piece;
  return copy.done == copy.bytes;
}

Result<bool> ChipState::stage(StageBuffer& stage) {
  if (auto error = of_another_life(stage.to_device ? "copy_to" : "copy_from", stage.incarnation)) {
    return *error;
  }
  // Through a buffer of ours, not the mapping: a file that shrinks meanwhile is then an error, not a signal.
  std::vector<std::byte> bounce(static_cast<std::size_t>(std::min(copy_piece, stage.bytes - stage.done)));
  const auto address = stage.address + stage.done;
  Result<void> copied;
  if (stage.to_device) {
    copied = stage.segment->read(stage.done, bounce);
    if (copied) copied = context_->copy_to(address, bounce.data(), bounce.size());
  } else {
    copied = context_->copy_from(bounce.data(), address, bounce.size());
    if (copied) copied = stage.segment->write(stage.done, bounce);
  }
  if (!copied) return copied.error();
  stage.done += bounce.size();
  return stage.done == stage.bytes;
}

Result<WindowOffer> ChipState::create_window(const WindowCreate& request) {
  if (auto error = of_another_life("window_create", request.incarnation)) return *error;
  WindowOffer offer;
  auto window = context_->window_create(request.spec, offer.blob);
  if (!window) return window.error();
  offer.window = *window;
  if (offer.blob.fd >= 0) {
    comm::FileDescriptor memory(::fcntl(offer.blob.fd, F_DUPFD_CLOEXEC, 0));
    if (!memory.valid()) {
      (void)context_->window_release(*window);
      return Error(comm::Errc::system, "sharing a window: " + std::generic_category().message(errno),
                   "too many open files? (ulimit -n)");
    }
    offer.blob.fd = memory.get();
    offer.memory = std::make_shared<const comm::FileDescriptor>(std::move(memory));
  }
  return offer;
}

Result<troupe_window_view> ChipState::import_window(const WindowImport& request) {
  if (auto error = of_another_life("window_import", request.incarnation)) return *error;
  if (request.commit) return context_->window_commit(request.window);
  for (std::uint32_t rank = 0; rank < request.blobs.size(); ++rank) {
    if (auto imported = context_->window_import(request.window, rank, request.blobs[rank]); !imported) {
      return imported.error();
    }
  }
  return troupe_window_view{};
}

void ChipState::abort_window(const WindowAbort& request) {
  // Fails only when the window or the device is gone already, which is what was wanted.
  if (!of_another_life("window_abort", request.incarnation))
    (void)context_->window_abort(request.window, request.code, request.rank);
}

Result<void> ChipState::release_window(const WindowRelease& request) {
  if (of_another_life("window_release", request.incarnation)) return {};  // it went with the device
  auto released = context_->window_release(request.window);
  if (released || !(released.error() == platform::Errc::busy)) return released;
  busy_windows_.push_back(request.window);
  return {};
}

ExecutorInfo ChipState::describe() const {
  ExecutorInfo info;
  info.kind = ExecutorKind::chip;
  info.name = identity_.name;
  info.architecture = properties_.architecture;
  info.credit = config_.credit;
  info.memory_bytes = properties_.memory_bytes;
  return info;
}

ExecutorStatus ChipState::status() const {
  ExecutorStatus status;
  status.name = identity_.name;
  constexpr std::string_view names[] = {"created", "ready", "finalized", "lost"};
  status.state = names[static_cast<std::size_t>(life_)];
  status.queued = queued_.size();
  status.running = in_flight_;
  status.completed = completed_;
  status.failed = failed_;
  status.restarts = identity_.incarnation;
  if (!context_) return status;
  auto device = context_->status();
  if (!device) return status;
  status.memory_used = device->totals.memory_used;
  status.windows = device->totals.windows;
  for (const auto& core : device->busy) status.busy.push_back(sentence(core, host_->now()));
  return status;
}

std::string ChipState::why(const Why& why) const {
  auto meant = [&](const TaskKey& key) { return key.run == why.run && key.task == why.task; };
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    if (flights_[i].ended || !meant(flights_[i].key)) continue;
    std::string text = "launched";
    auto device = context_ ? context_->status() : Error(Errc::wrong_state, "no device");
    if (!device) return text;
    for (const auto& core : device->busy) {
      if (core.correlation == first_ + i) text = sentence(core, host_->now());
    }
    return text;
  }
  for (const auto& request : queued_) {
    if (meant(request.key)) return "queued, as many runs as it takes are on the device";
  }
  return "not on " + identity_.name;
}

}  // namespace troupe::actors
