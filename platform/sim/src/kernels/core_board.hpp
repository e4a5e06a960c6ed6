#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arch.hpp"

namespace troupe::platform::sim {

/// A reading of the processor's own counter: what a kernel's begin costs to note.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t value = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
#error "no cycle counter for this processor"
#endif
}

/// How many of them pass in a microsecond, roughly: for choices, not for times that somebody reads.
inline std::uint32_t ticks_per_microsecond() noexcept {
#if defined(__aarch64__)
  std::uint64_t frequency = 0;
  asm volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return static_cast<std::uint32_t>(frequency / 1'000'000);
#else
  return 2500;
#endif
}

/// What one core is doing, for `status`. Written by the thread that plays the core, read by anybody.
struct alignas(64) CoreSlot {
  std::atomic<const char*> name{nullptr};  ///< null: idle
  std::atomic<std::uint64_t> since{0};     ///< ticks
  std::atomic<std::uint32_t> block{0};
  std::atomic<bool> waiting{false};
  std::atomic<std::uint64_t> flag{0};  ///< what it waits for: the word of a FlagPlace
  // Of the thread that plays the core, alone:
  bool has_waited = false;      ///< its kernel came to a wait, which may have been over at once
  void* batch = nullptr;        ///< the engine's; of which the kernel is a part
  std::uint64_t waited_ns = 0;  ///< since the kernel began, in waits that were not over at once

  void enter(const char* what, std::uint32_t of_block, std::uint64_t at) noexcept {
    waited_ns = 0;
    block.store(of_block, std::memory_order_relaxed);
    since.store(at, std::memory_order_relaxed);
    name.store(what, std::memory_order_release);
  }
  void leave() noexcept { name.store(nullptr, std::memory_order_release); }
  bool waits() const noexcept { return name.load(std::memory_order_acquire) != nullptr && waiting.load(); }
};

/// The cores of a chip, and one more slot for the chip program. Core numbers as in the reference: AIC ids
/// first, then the AIVs; cluster i is {AIC i, AIV 2i, AIV 2i+1}.
class CoreBoard {
 public:
  CoreBoard() : slots_(new CoreSlot[architecture.cores() + 1]) {}
  CoreSlot& core(std::uint32_t number) noexcept { return slots_[number]; }
  CoreSlot& program() noexcept { return slots_[architecture.cores()]; }
  /// Cores whose kernels wait.
  std::vector<std::uint32_t> waiting() const {
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 0; number < architecture.cores(); ++number) {
      if (slots_[number].waits()) numbers.push_back(number);
    }
    return numbers;
  }

  static std::uint32_t aic(std::uint32_t cluster) noexcept { return cluster; }
  static std::uint32_t aiv(std::uint32_t index) noexcept { return architecture.clusters + index; }

 private:
  std::unique_ptr<CoreSlot[]> slots_;
};

/// "aic3", "aiv24": as errors and traces call a core.
inline std::string core_name(std::uint32_t number) {
  if (number >= architecture.cores()) return "the chip program";
  return (number < architecture.clusters ? "aic" : "aiv") + std::to_string(number);
}

}  // namespace troupe::platform::sim
