#pragma once

// A device that does nothing but end its runs, so that what a bench measures is troupe.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "troupe/platform/scripted_chip.hpp"

namespace troupe::bench {

using Clock = std::chrono::steady_clock;

/// A device without kernels: every run ends at the host's next turn. What remains is what troupe costs.
struct NullDevice {
  troupe_host host{};
  std::mutex mutex;
  std::vector<troupe_completion> ends;
  bool posted = false;
  // With kernels that take time: the device's only core.
  std::chrono::microseconds kernel{0};
  bool holds = false;  ///< runs end only when they are given up
  std::condition_variable launched;
  bool ending = false;
  std::thread core;

  void work() {
    std::unique_lock guard(mutex);
    for (;;) {
      launched.wait(guard, [this] { return ending || !ends.empty(); });
      if (ending) return;
      const auto end = ends.front();
      ends.erase(ends.begin());
      guard.unlock();
      const auto until = Clock::now() + kernel;
      while (Clock::now() < until) {
      }
      host.complete(host.data, &end, 1);
      guard.lock();
    }
  }
};

inline NullDevice* null_device(troupe_device_context* context) {
  return reinterpret_cast<NullDevice*>(context);
}

inline void null_turn(void* arg, std::int32_t cancelled) {
  auto& device = *static_cast<NullDevice*>(arg);
  std::vector<troupe_completion> ends;
  {
    std::lock_guard guard(device.mutex);
    ends.swap(device.ends);
    device.posted = false;
  }
  if (cancelled == 0) device.host.complete(device.host.data, ends.data(), ends.size());
}

inline std::int32_t null_launch(troupe_device_context* context, const troupe_run* runs, size_t count,
                                std::uint64_t) {
  auto& device = *null_device(context);
  bool post = false;
  {
    std::lock_guard guard(device.mutex);
    for (size_t i = 0; i < count; ++i) device.ends.emplace_back().correlation = runs[i].correlation;
    post = device.kernel.count() == 0 && !device.holds && !std::exchange(device.posted, true);
  }
  if (device.holds) return 0;
  device.launched.notify_one();
  if (post) device.host.post(device.host.data, 0, null_turn, &device);
  return 0;
}

inline constexpr int until_given_up = -1;

template <int Microseconds>
troupe_device_context* null_create(const troupe_host* host) {
  auto* device = new NullDevice;
  device->host = *host;
  device->kernel = std::chrono::microseconds(std::max(0, Microseconds));
  device->holds = Microseconds == until_given_up;
  if (Microseconds > 0) device->core = std::thread([device] { device->work(); });
  return reinterpret_cast<troupe_device_context*>(device);
}

inline platform::DeviceApi null_api(int microseconds = 0) {
  auto api = platform::ScriptedChip().api();
  api.create_device_context = microseconds == 0    ? null_create<0>
                              : microseconds == 2  ? null_create<2>
                              : microseconds == 10 ? null_create<10>
                              : microseconds == 50 ? null_create<50>
                                                   : null_create<until_given_up>;
  api.destroy_device_context = [](troupe_device_context* context) -> std::int32_t {
    auto* device = null_device(context);
    {
      std::lock_guard guard(device->mutex);
      device->ending = true;
    }
    device->launched.notify_one();
    if (device->core.joinable()) device->core.join();
    return delete device, 0;
  };
  // Nothing runs there, so no byte is needed.
  api.device_malloc_ctx = [](troupe_device_context*, std::uint64_t, std::uint64_t* address) -> std::int32_t {
    return *address = 4096, 0;
  };
  api.device_free_ctx = [](troupe_device_context*, std::uint64_t) -> std::int32_t { return 0; };
  api.copy_to_device_ctx = [](troupe_device_context*, std::uint64_t, const void*,
                              std::uint64_t) -> std::int32_t { return 0; };
  api.copy_from_device_ctx = [](troupe_device_context*, void*, std::uint64_t, std::uint64_t) -> std::int32_t {
    return 0;
  };
  api.set_device = [](troupe_device_context*, std::int32_t) -> std::int32_t { return 0; };
  api.reset_device = [](troupe_device_context*) -> std::int32_t { return 0; };
  api.finalize_device = [](troupe_device_context*) -> std::int32_t { return 0; };
  api.register_callable = [](troupe_device_context*, const troupe_callable*,
                             std::uint64_t* id) -> std::int32_t { return *id = 1, 0; };
  api.device_status = [](troupe_device_context* context, troupe_device_status* status, troupe_core_status*,
                         size_t, size_t* count) -> std::int32_t {
    auto& device = *null_device(context);
    std::lock_guard guard(device.mutex);
    status->runs_queued = device.ends.size();
    return *count = 0, 0;
  };
  api.launch_runs = null_launch;
  api.abort_runs = [](troupe_device_context* context, std::uint64_t) -> std::int32_t {
    auto& device = *null_device(context);
    if (!device.holds) return 0;
    std::lock_guard guard(device.mutex);
    for (auto& end : device.ends) end.code = TROUPE_DEVICE_ABORTED;
    if (!device.ends.empty() && !std::exchange(device.posted, true)) {
      device.host.post(device.host.data, 0, null_turn, &device);
    }
    return 0;
  };
  api.device_properties = [](troupe_device_context*, troupe_device_properties* properties) -> std::int32_t {
    properties->queue_depth = 1U << 20U;
    return 0;
  };
  return api;
}

}  // namespace troupe::bench
