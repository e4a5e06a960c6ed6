// The part of a chip's state that is not about tasks: memory, windows, what it says about itself.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "chip/chip.hpp"
#include "chip/state.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/platform/nodes.hpp"

namespace troupe::actors {
namespace {

/// Giving back an allocation of this size keeps the kernel busy for as long.
constexpr std::uint64_t large_bytes = 4ULL << 20U;

/// "120 us", "1.5 s": as exactly as somebody who waits wants to know.
std::string duration(std::uint64_t nanos) {
  constexpr std::uint64_t milli = 1'000'000, second = 1'000 * milli;
  if (nanos < milli) return std::to_string(nanos / 1'000) + " us";
  if (nanos < second) return std::to_string(nanos / milli) + " ms";
  return std::to_string(nanos / second) + "." + std::to_string(nanos % second / (100 * milli)) + " s";
}

std::string name_of(const troupe_core_status& core) {
  if (core.core == TROUPE_NO_CORE) return core.core_kind == TROUPE_CORE_CONTROL ? "chip program" : "no core";
  const char* kind = core.core_kind == TROUPE_CORE_AIC   ? "aic"
                     : core.core_kind == TROUPE_CORE_AIV ? "aiv"
                                                         : "core ";
  return kind + std::to_string(core.core);
}

/// "aiv3: step, for 120 us, waiting for a flag"
std::string sentence(const troupe_core_status& core, std::uint64_t now) {
  std::string text =
      name_of(core) + ": " + core.name + ", for " + duration(now > core.since_ns ? now - core.since_ns : 0);
  if (core.activity != TROUPE_ACTIVITY_WAITING) return text;
  text += ", waiting";
  if (core.detail[0] != '\0') text += std::string(" for ") + core.detail;
  return text;
}

/// A lost device, reported to the caller as a lost chip.
Error lost(const Error& by_device) {
  // What it died of comes first; what was asked of it then stays with the cause.
  constexpr std::string_view failed = " failed: ";
  const std::string& said = by_device.message();
  const auto end = said.find(failed);
  const bool told = end != std::string::npos && said.find(" is lost: ", end) != std::string::npos;
  return Error(Errc::chip_lost, told ? said.substr(end + failed.size()) : said, by_device.hint())
      .caused_by(by_device);
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
  auto address = allocate(request.bytes);
  if (address || address.error() == Errc::chip_lost) return address;
  // Copies that nobody has on the device give way, as far as host memory has what they have.
  for (auto* copy : copies_.idle()) {
    if (!copy->written || copy->of.expired()) copies_.give_up_memory(*copy);
  }
  if (!copies_.has_spare()) return address;
  free_spare();
  return allocate(request.bytes);
}

Result<std::uint64_t> ChipState::allocate(std::uint64_t bytes) {
  auto address = context().malloc(bytes);
  if (!address && address.error() == platform::Errc::lost) return lost(address.error());
  if (address && bytes >= large_bytes) large_[*address] = bytes;
  return address;
}

void ChipState::free_spare() {
  for (const auto spare : copies_.take_spare()) {
    (void)context().free(spare);
    large_.erase(spare);
  }
}

std::optional<Error> ChipState::refuses(const MemoryCall& call) const {
  return of_another_life(call.name(), call.incarnation);
}

bool ChipState::takes_long(const MemoryCall& call) const {
  if (config_.remote) return true;  // each waits for a network
  if (call.moves_bytes()) return call.bytes > quick_bytes;
  if (call.what == MemoryCall::What::release_window) return !quick_windows_.contains(call.address);
  return large_.contains(call.address);
}

Result<bool> ChipState::answer_of(const MemoryCall& call, const Result<void>& made) {
  if (made || (!call.moves_bytes() && made.error() == platform::Errc::busy)) return true;
  return made.error() == platform::Errc::lost ? lost(made.error()) : made.error();
}

void ChipState::account_for(const MemoryCall& call, const Result<void>& made) {
  if (call.moves_bytes() || of_another_life(call.name(), call.incarnation)) return;
  if (!made && made.error() == platform::Errc::busy) {
    busy_.push_back(call);
  } else if (call.what == MemoryCall::What::release_window) {
    quick_windows_.erase(call.address);
  } else {
    large_.erase(call.address);
  }
}

Result<bool> ChipState::make(const MemoryCall& call) {
  if (auto error = refuses(call)) return *error;
  const auto made = move_now(call);
  account_for(call, made);
  return answer_of(call, made);
}

std::vector<MemoryCall> ChipState::due_again() { return std::exchange(busy_, {}); }

bool ChipState::takes_long(const WindowCreate& request) const { return request.spec.bytes > quick_bytes; }

Result<WindowOffer> ChipState::create_window(const WindowCreate& request) {
  if (auto error = refuses(request)) return *error;
  auto offer = actors::create_window(*device_, request.spec);
  if (offer) quick_windows_.insert(offer->window);
  return offer;
}

std::optional<Error> ChipState::refuses(const WindowCreate& request) const {
  return of_another_life("window_create", request.incarnation);
}

Result<troupe_window_view> ChipState::import_window(const WindowImport& request) {
  if (auto error = of_another_life("window_import", request.incarnation)) return *error;
  if (request.commit) return context().window_commit(request.window);
  for (std::uint32_t rank = 0; rank < request.blobs.size(); ++rank) {
    if (auto imported = context().window_import(request.window, rank, request.blobs[rank]); !imported) {
      return imported.error();
    }
  }
  return troupe_window_view{};
}

void ChipState::abort_window(const WindowAbort& request) {
  // Fails only when the window or the device is gone already, which is what was wanted.
  if (!of_another_life("window_abort", request.incarnation))
    (void)context().window_abort(request.window, request.code, request.rank);
}

ExecutorInfo ChipState::describe() const {
  ExecutorInfo info;
  info.kind = ExecutorKind::chip;
  info.name = identity_.name;
  info.architecture = properties_.architecture;
  info.credit = static_cast<std::uint32_t>(config_.credit);
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
  if (!device_) return status;
  auto device = context().status();
  if (!device) return status;
  status.memory_cached = copies_.bytes();
  status.memory_used =
      device->totals.memory_used - std::min(status.memory_cached, device->totals.memory_used);
  status.memory_peak = device->totals.memory_peak;
  status.windows = device->totals.windows;
  for (const auto& core : device->busy) status.busy.push_back(sentence(core, host_->now()));
  return status;
}

std::string ChipState::why(const Why& why) const {
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    if (flights_[i].ended || !is_meant(flights_[i].key, why)) continue;
    const auto& flight = flights_[i];
    // Of tasks that became one, the first that has not ended: those before it have. Of a graph the device
    // knows.
    const bool is_part = flight.bundle != nullptr && flight.task != Flight::whole;
    const auto which = is_part ? "its task \"" + std::string(flight.name()) + "\" (number " +
                                     std::to_string(flight.task) + "): "
                               : std::string();
    std::string text = "launched";
    auto device = device_ ? context().status() : Error(Errc::wrong_state, "no device");
    if (!device) return which + text;
    // What its kernels do says more than that their program has not ended.
    constexpr std::size_t most = 4;
    std::size_t kernels = 0;
    for (const auto& core : device->busy) {
      if (core.correlation != first_ + i) continue;
      const bool is_program = core.core == TROUPE_NO_CORE && core.core_kind == TROUPE_CORE_CONTROL;
      if (is_program && kernels != 0) continue;
      if (!is_program && kernels++ >= most) continue;
      text = is_program || kernels == 1 ? sentence(core, host_->now())
                                        : text + "; " + sentence(core, host_->now());
    }
    if (kernels > most) text += "; and " + std::to_string(kernels - most) + " more kernels";
    return which + text;
  }
  for (const auto& item : queued_) {
    if (!is_meant(item.request.key, why)) continue;
    const auto& first = *queued_.front().request.body;
    if (links_.contains(key_of(*first.callable, owner_of(first))))
      return "queued until \"" + first.callable->name + "\" is linked in";
    if (!links_.empty()) return "queued until what its node knows is linked in";
    if (auto text = why_data(item); !text.empty()) return text;
    if (moving_ != 0) return "queued until tensors of others have been brought";
    return "queued, as many runs as it takes are on the device";
  }
  return "not on " + identity_.name;
}

ChipConfig with_device(ChipConfig config, const std::string& path, std::shared_ptr<HostMemory> memory) {
  if (config.remote) {
    auto chip = *config.remote;
    chip.where = path;
    config.device = [chip](std::uint32_t) { return platform::remote(chip); };
    return config;
  }
  if (!config.own_process) return config;
  config.device = [platform = config.platform, path, memory = std::move(memory)](std::uint32_t) {
    platform::IsolatedOptions options;
    options.library = platform;
    options.where = path;
    options.memory = memory;
    return platform::isolated(std::move(options));
  };
  return config;
}

}  // namespace troupe::actors
