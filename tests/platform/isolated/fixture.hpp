#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::test {

using tests::built;
using Options = std::vector<std::pair<std::string, std::string>>;

/// The module whose kernels take their process along.
inline const runtime::Module& isolated_kernels() {
  static const auto module =
      runtime::Module::open(built("tests/platform/isolated/isolated_kernels.so")).value();
  return module;
}

/// A context of its own process, ready, and what was heard from it.
class IsolatedChip {
 public:
  struct End {
    std::int32_t code = 0;
    std::string message;
    std::uint64_t caused_by = 0;
  };

  explicit IsolatedChip(const Options& options = {},
                        std::shared_ptr<platform::MappableMemory> memory = nullptr,
                        const std::string& library = built("lib/libtroupe_a2a3sim.so"))
      : IsolatedChip(platform::isolated({library, "test/chip0", std::move(memory), {}}), options) {}
  explicit IsolatedChip(Result<platform::DeviceApi> api, const Options& options = {}) {
    platform::ContextEvents events;
    events.complete = [this](std::span<const troupe_completion> completions) {
      const std::lock_guard lock(mutex_);
      for (const auto& end : completions) {
        CHECK_FALSE(ends_.contains(end.correlation));
        ends_[end.correlation] = {end.code, end.message != nullptr ? end.message : "", end.caused_by};
      }
      heard_.notify_all();
    };
    events.log = [this](std::int32_t, std::int32_t code, std::string_view text) {
      const std::lock_guard lock(mutex_);
      if (code == TROUPE_DEVICE_LOST) lost_ = text;
      logged_.emplace_back(text);
      heard_.notify_all();
    };
    context = std::make_unique<platform::DeviceContext>(
        platform::DeviceContext::create(std::move(api).value(), host, events).value());
    for (const auto& [name, value] : options) context->set_option(name, value).value();
    context->set_device(0).value();
  }
  ~IsolatedChip() {
    context.reset();
    CHECK(host->quarantined() == 0);
  }
  IsolatedChip(const IsolatedChip&) = delete;
  IsolatedChip& operator=(const IsolatedChip&) = delete;

  std::uint64_t kernel(const std::string& name) {
    return context->register_callable(name, *isolated_kernels().raw()).value();
  }
  /// Launches; its number.
  std::uint64_t launch(std::uint64_t kernel, const platform::RunArgs& args = {}, const char* name = nullptr) {
    auto run = args.run(++last_, kernel);
    run.name = name;
    context->launch({&run, 1}).value();
    return last_;
  }
  /// None: the chip is lost.
  std::optional<std::uint64_t> try_launch(std::uint64_t kernel, const platform::RunArgs& args) {
    const auto run = args.run(last_ + 1, kernel);
    const auto made = context->launch({&run, 1});
    if (!made) {
      CHECK(made.error() == platform::Errc::lost);
      return std::nullopt;
    }
    return ++last_;
  }
  End end_of(std::uint64_t run) {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] { return ends_.contains(run); });
    return ends_[run];
  }
  /// Waits until the chip was said to be lost; how.
  std::string lost() {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] { return !lost_.empty(); });
    return lost_;
  }
  /// How often something was logged that has this in it.
  std::size_t count_logged(std::string_view part) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(logged_.begin(), logged_.end(), [&](const auto& line) {
      return line.find(part) != std::string::npos;
    }));
  }
  void forget_lost() {
    const std::lock_guard lock(mutex_);
    lost_.clear();
  }
  std::int64_t process() {
    std::vector<std::int64_t> number(1);
    const auto run = launch(kernel("isolated_process"),
                            platform::RunArgs::of(runtime::out(runtime::Tensor::host(number.data(), {1}))));
    REQUIRE(end_of(run).code == 0);
    return number[0];
  }

  std::shared_ptr<platform::HostThreads> host = std::make_shared<platform::HostThreads>();
  std::unique_ptr<platform::DeviceContext> context;

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  std::map<std::uint64_t, End> ends_;
  std::string lost_;
  std::vector<std::string> logged_;
  std::uint64_t last_ = 0;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Whether a process of that number is there; one that nobody has waited for counts.
inline bool is_there(std::int64_t process) {
  return std::filesystem::exists("/proc/" + std::to_string(process));
}

}  // namespace troupe::test
