#pragma once

#include <doctest/doctest.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "fake_driver.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module_abi.h"

namespace troupe::test {

/// A context of the fake platform, through the ABI, whose completions are kept.
struct Context {
  struct End {
    std::int32_t code = 0;
    std::uint64_t caused_by = 0;
    std::string message;
  };

  Context() {
    table.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table.size = sizeof table;
    table.data = this;
    table.complete = [](void* self, const troupe_completion* completions, std::size_t count) {
      auto& context = *static_cast<Context*>(self);
      const std::lock_guard lock(context.mutex);
      for (std::size_t i = 0; i < count; ++i) {
        const auto& done = completions[i];
        context.twice = context.twice || context.ends.contains(done.correlation);
        context.ends[done.correlation] = {done.code, done.caused_by,
                                          done.message != nullptr ? done.message : ""};
      }
      context.changed.notify_all();
    };
    table.log = [](void* self, std::int32_t, std::int32_t, const char* text) {
      auto& context = *static_cast<Context*>(self);
      const std::lock_guard lock(context.mutex);
      context.logged.emplace_back(text);
    };
    handle = create_device_context(&table);
    REQUIRE(handle != nullptr);
  }
  ~Context() {
    if (handle != nullptr) CHECK(destroy_device_context(handle) == 0);
    CHECK_FALSE(twice);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  std::uint64_t kernel(const std::string& name, bool foreign = false) {
    std::uint64_t id = 0;
    const std::int32_t code = register_kernel(name, foreign, id);
    CHECK_MESSAGE(code == 0, last_error());
    return id;
  }
  std::int32_t register_kernel(const std::string& name, bool foreign, std::uint64_t& id);
  std::string last_error() const {
    std::array<char, 512> text{};
    (void)device_last_error(handle, nullptr, text.data(), text.size());
    return text.data();
  }
  std::int32_t launch(const std::vector<troupe_run>& runs) {
    return launch_runs(handle, runs.data(), runs.size(), 0);
  }
  End end_of(std::uint64_t correlation) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ends.contains(correlation); });
    return ends[correlation];
  }
  std::size_t count_ends() {
    const std::lock_guard lock(mutex);
    return ends.size();
  }
  troupe_device_status status() const {
    troupe_device_status status{};
    status.size = sizeof status;
    std::size_t count = 0;
    CHECK(device_status(handle, &status, nullptr, 0, &count) == 0);
    return status;
  }

  troupe_host table{};
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, End> ends;
  std::vector<std::string> logged;
  bool twice = false;
  troupe_device_context* handle = nullptr;
};

/// The words of a call, as its kernel sees them.
template <class T>
T* tensor(troupe_device_block& block, std::size_t i) {
  return reinterpret_cast<T*>(block.descriptors[i].address) + block.descriptors[i].start_offset;
}

}  // namespace troupe::test
