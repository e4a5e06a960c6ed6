#include "host_chip/host_chip.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

HostChip::HostChip(HostServices& host, const ChipOptions& options, std::int32_t number, LoadCode load)
    : host_(host),
      number_(number),
      grace_(options.grace),
      checked_(options.checked),
      memory_(options.memory_bytes, options.checked),
      callables_(std::move(load), nullptr, &host),
      windows_(memory_, options.several_communicators),
      threads_(host),
      queue_(host, threads_, callables_, *this) {}

Result<std::uint64_t> HostChip::allocate(std::uint64_t bytes) {
  return memory_.allocate(bytes, "device_malloc");
}

Result<void> HostChip::launch(std::span<const troupe_run> runs, std::uint64_t settled) {
  return queue_.launch(runs, settled);
}

Outcome HostChip::run_and_wait(const troupe_run& run, troupe_completion* completion) {
  return queue_.run_and_wait(run, completion);
}

Result<void> HostChip::abort(std::uint64_t correlation) { return queue_.abort(correlation); }

Result<void> HostChip::write(std::uint64_t address, const void* data, std::uint64_t size) {
  auto inside = memory_.check(address, size, "destination");
  if (inside) store(address, data, size);
  return inside;
}

Result<void> HostChip::read(void* target, std::uint64_t address, std::uint64_t size) {
  auto inside = memory_.check(address, size, "source");
  if (inside) std::memcpy(target, pointer(address), size);
  return inside;
}

Result<void> HostChip::release(std::uint64_t address) {
  if (address == 0) return {};
  std::string user;
  queue_.for_each_unfinished([&](const Run& run, bool) {
    for (const auto& tensor : run.tensors) {
      const bool uses = tensor.address_space == TROUPE_SPACE_DEVICE && tensor.buffer >= address &&
                        memory_.same_allocation(address, tensor.buffer);
      if (uses && run.callable != nullptr) user = run.callable->name;
    }
  });
  if (user.empty()) return memory_.release(address);
  return Error(Errc::busy, "an unfinished run of '" + user + "' uses this memory",
               "free it after the run's completion");
}

Result<void> HostChip::release_window(std::uint64_t window) {
  auto view = windows_.view(window);
  if (!view) return view.error();
  auto inside = [&](std::uint64_t word) {
    return (view->bytes != 0 && word - view->local_base < view->bytes) ||
           (view->context_address != 0 && word == view->context_address);
  };
  bool used = false;
  queue_.for_each_unfinished([&](const Run& run, bool) {
    used = used || std::any_of(run.scalars.begin(), run.scalars.end(), inside) ||
           std::any_of(run.tensors.begin(), run.tensors.end(),
                       [&](const troupe_tensor_arg& tensor) { return inside(tensor.buffer); });
  });
  if (used) return Error(Errc::busy, "an unfinished run uses window " + std::to_string(window));
  return windows_.release(window);
}

void HostChip::report(troupe_device_status& status) const {
  queue_.report(status);
  const auto memory = memory_.statistics();
  status.allocations = memory.live_allocations;
  status.memory_used = memory.in_use;
  status.memory_peak = memory.peak;
  status.callables = callables_.size();
  status.windows = windows_.size();
}

Error HostChip::busy() const {
  troupe_core_status core{};
  if (report_cores(&core, 1) == 0) return {Errc::busy, "a thread of this chip has not returned yet"};
  return {Errc::busy,
          "kernel '" + std::string(core.name) + "' does not return (" + name_of_core(core.core) + ")",
          "the chip is quarantined; destroy it again once the kernel has returned"};
}

// What the user left behind goes with the device; a search for leaks wants to know.
void HostChip::report_leaks() const {
  const auto left = memory_.live();
  if (left.empty()) return;
  std::string text = "device " + std::to_string(number_) + " is closed with " + std::to_string(left.size()) +
                     " live allocations:";
  constexpr std::size_t most = 16;
  for (std::size_t i = 0; i < std::min(most, left.size()); ++i) text += "\n  " + left[i];
  if (left.size() > most) text += "\n  and " + std::to_string(left.size() - most) + " more";
  host_.log(checked_ ? TROUPE_LOG_WARNING : TROUPE_LOG_DEBUG, 0, text);
}

Result<void> HostChip::close() {
  const auto deadline = RunQueue::Clock::now() + grace_;
  windows_.abort_all();
  const bool ended = queue_.close(deadline);
  if (!ended || !threads_.close(deadline)) return busy();
  report_leaks();
  return {};
}

}  // namespace troupe::platform::common
