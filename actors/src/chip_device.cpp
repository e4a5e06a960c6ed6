// The part of a chip's state that is not about tasks: memory, windows, what it says about itself.
#include <algorithm>

#include "chip_state.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// One piece of a copy: a millisecond or so, then other messages get their turn.
constexpr std::uint64_t copy_piece = 8ULL << 20U;

Result<bool> done(const Result<void>& result) {
  if (!result) return result.error();
  return true;
}

}  // namespace

Result<std::uint64_t> ChipState::malloc(std::uint64_t bytes) {
  if (life_ != Life::ready) return wrong_state("malloc");
  return context_->malloc(bytes);
}

Result<bool> ChipState::free(std::uint64_t address) {
  if (life_ != Life::ready) return wrong_state("free");
  return done(context_->free(address));
}

Result<bool> ChipState::copy(DeviceCopy& copy) {
  if (life_ != Life::ready) return wrong_state(copy.to_device ? "copy_to" : "copy_from");
  const auto piece = std::min(copy_piece, copy.bytes - copy.done);
  auto* host = static_cast<std::byte*>(copy.host) + copy.done;
  const auto address = copy.address + copy.done;
  auto copied =
      copy.to_device ? context_->copy_to(address, host, piece) : context_->copy_from(host, address, piece);
  if (!copied) return copied.error();
  copy.done += piece;
  return copy.done == copy.bytes;
}

Result<WindowOffer> ChipState::create_window(const WindowCreate& request) {
  if (life_ != Life::ready) return wrong_state("window_create");
  WindowOffer offer;
  auto window = context_->window_create(request.spec, offer.blob);
  if (!window) return window.error();
  offer.window = *window;
  return offer;
}

Result<troupe_window_view> ChipState::import_window(const WindowImport& request) {
  if (life_ != Life::ready) return wrong_state("window_import");
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
  if (life_ == Life::ready) (void)context_->window_abort(request.window, request.code, request.rank);
}

Result<void> ChipState::release_window(const WindowRelease& request) {
  if (life_ != Life::ready) return {};  // it went with the device
  return context_->window_release(request.window);
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
  const auto now = host_->now();
  for (const auto& core : device->busy) {
    std::string where = core.core == TROUPE_NO_CORE ? "chip program" : "core " + std::to_string(core.core);
    const auto since = now > core.since_ns ? (now - core.since_ns) / 1000 : 0;
    std::string line = where + ": " + core.name + ", for " + std::to_string(since) + " us";
    if (core.activity == TROUPE_ACTIVITY_WAITING) line += std::string(", waiting for ") + core.detail;
    status.busy.push_back(std::move(line));
  }
  return status;
}

std::string ChipState::why(const Why& why) const {
  auto meant = [&](const TaskKey& key) { return key.run == why.run && key.task == why.task; };
  for (const auto& flight : flights_) {
    if (!flight.ended && meant(flight.key)) return "launched on " + identity_.name;
  }
  for (const auto& request : queued_) {
    if (meant(request.key)) return "queued on " + identity_.name + ", which has as many runs as it takes";
  }
  return "not on " + identity_.name;
}

}  // namespace troupe::actors
