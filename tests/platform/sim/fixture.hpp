#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::test {

using namespace troupe::platform;
using runtime::in;
using runtime::inout;
using runtime::out;
using runtime::scalar;
using runtime::Tag;
using runtime::Tensor;

inline constexpr std::array platforms{"a2a3sim", "a5sim"};

/// Completions as they arrive; waits without a clock.
class Completions {
 public:
  struct Entry {
    troupe_completion completion{};
    std::string message;
  };
  void add(std::span<const troupe_completion> batch) {
    const std::lock_guard lock(mutex_);
    ++batches_;
    for (const auto& completion : batch) {
      entries_[completion.correlation] = {completion,
                                          completion.message != nullptr ? completion.message : ""};
      ++count_;
    }
    arrived_.notify_all();
  }
  Entry wait_for(std::uint64_t correlation) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return entries_.contains(correlation); });
    return entries_.at(correlation);
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::size_t batches() {
    const std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::uint64_t, Entry> entries_;
  std::size_t count_ = 0, batches_ = 0;
};

/// One context on one simulated chip, and what comes back from it.
struct Chip {
  explicit Chip(const std::string& platform, const std::map<std::string, std::string>& options = {},
                std::int32_t device = 0)
      : host(std::make_shared<HostThreads>()),
        context(DeviceContext::create(api(platform), host, events()).value()) {
    for (const auto& [name, value] : options) context.set_option(name, value).value();
    context.set_device(device).value();
  }

  static DeviceApi api(const std::string& platform) {
    return DeviceLibrary::open(tests::built("lib/libtroupe_" + platform + ".so")).value().api();
  }
  ContextEvents events() {
    ContextEvents wired;
    wired.complete = [this](std::span<const troupe_completion> batch) { completions.add(batch); };
    wired.trace = [this](std::span<const troupe_trace_event> events_) {
      const std::lock_guard lock(mutex);
      for (const auto& event : events_) {
        trace.push_back(event);
        if (event.task != 0 && event.block == 0)
          producers_of[event.task].insert(event.producers, event.producers + event.producer_count);
        trace_names.emplace_back(event.name);
      }
    };
    wired.log = [this](std::int32_t level, std::int32_t, std::string_view text) {
      const std::lock_guard lock(mutex);
      logged.emplace_back(level, text);
    };
    wired.dump = [this](const troupe_dump_record& record) {
      const std::lock_guard lock(mutex);
      dumps.push_back(record);
    };
    return wired;
  }

  std::uint64_t add(const std::string& name) {
    return context.register_callable(name, troupe_this_module).value();
  }
  std::uint64_t add_foreign(const std::string& name, const std::string& object,
                            std::uint32_t kind = TROUPE_CORE_AIV) {
    const std::vector<char> bytes = object_bytes(object);
    troupe_callable callable{};
    callable.name = name.c_str();
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = kind;
    return context.register_callable(callable).value();
  }
  static std::vector<char> object_bytes(const std::string& object) {
    std::ifstream file(tests::built("tests/platform/sim/foreign/" + object + ".so"), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Runs it and gives the error, if any.
  Result<troupe_completion> run(std::uint64_t callable, const RunArgs& args) {
    return context.run(args.run(0, callable));
  }

  Completions completions;
  std::mutex mutex;
  std::vector<troupe_trace_event> trace;
  std::vector<std::string> trace_names;
  std::map<std::uint64_t, std::set<std::uint64_t>> producers_of;  ///< of the tasks that were traced
  std::vector<troupe_dump_record> dumps;
  std::vector<std::pair<std::int32_t, std::string>> logged;
  std::shared_ptr<HostThreads> host;
  DeviceContext context;
};

}  // namespace troupe::test
