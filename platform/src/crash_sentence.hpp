#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "troupe/platform/device_abi.h"

namespace troupe::platform {

/// Text in a buffer of its own, for a signal handler: no memory, no locks, nothing that is not plain code.
/// What does not fit is left out.
class PlainText {
 public:
  PlainText& add(std::string_view text) noexcept;
  PlainText& add(const char* text) noexcept { return add(std::string_view(text)); }
  PlainText& number(std::uint64_t value) noexcept;
  PlainText& hex(std::uint64_t value) noexcept;

  std::string_view view() const noexcept { return {text_, size_}; }

 private:
  static constexpr std::size_t capacity = 1024;
  char text_[capacity];
  std::size_t size_ = 0;
};

/// "kernel 'k' of task 't' on node0/chip1 (aiv24) crashed: …", for a signal handler. `stack`: where the
/// thread's stack pointer was. `running` null: it was inside of nothing that is known.
void say_crash(PlainText& text, const troupe_running* running, int signal, const siginfo_t& info,
               std::uint64_t stack) noexcept;
/// Which tensor of the kernel the address lies next to: a line, or nothing. Reads what the kernel may have
/// destroyed, so it comes last.
void say_tensor(PlainText& text, const troupe_running& running, std::uint64_t address) noexcept;

}  // namespace troupe::platform
