#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "troupe/comm/environment.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {

/// A machine on a script, for one thread: time moves when told, parking runs the next step of a story (what a
/// peer does meanwhile), memory runs out on request.
class FakeEnvironment final : public Environment {
 public:
  Deadline now() const override { return clock; }
  void park(const std::atomic<std::uint32_t>& word, std::uint32_t expected, Deadline until) const override {
    ++parks;
    if (word.load() != expected) return;  // as the kernel does: the event came first
    on_park(until);
  }
  void wake_all(const std::atomic<std::uint32_t>&) const override { ++wakes; }
  void yield() const override {
    ++yields;
    if (on_yield) on_yield();
  }
  ProcessorSet processors() const override {
    ProcessorSet set{};
    set[0] = processor_mask;
    return set;
  }
  Result<FileDescriptor> create_memory(std::string_view name, std::uint64_t bytes) const override {
    if (bytes > memory_left)
      return Error(Errc::no_memory,
                   "no room for " + std::to_string(bytes) + " bytes of " + std::string(name));
    memory_left -= bytes;
    return machine().create_memory(name, bytes);
  }

  Deadline clock = Deadline(std::chrono::hours(1));
  std::uint64_t processor_mask = 1;
  std::function<void(Deadline until)> on_park = [](Deadline) {};
  std::function<void()> on_yield;
  mutable std::uint64_t memory_left = ~std::uint64_t{0};
  mutable int parks = 0, wakes = 0, yields = 0;
};

}  // namespace troupe::comm::test
