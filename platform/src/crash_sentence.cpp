#include "crash_sentence.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::platform {

PlainText& PlainText::add(std::string_view text) noexcept {
  const std::size_t fits = std::min(text.size(), capacity - size_);
  std::memcpy(text_ + size_, text.data(), fits);
  size_ += fits;
  return *this;
}

PlainText& PlainText::number(std::uint64_t value) noexcept {
  char digits[20];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return add({digits + at, sizeof digits - at});
}

PlainText& PlainText::hex(std::uint64_t value) noexcept {
  char digits[16];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return add("0x").add({digits + at, sizeof digits - at});
}

namespace {

/// A fault so near to the stack pointer is the stack's own.
constexpr std::uint64_t stack_reach = 64 * 1024;

bool was_sent(const siginfo_t& info) noexcept { return info.si_code <= 0; }

void say_place(PlainText& text, const troupe_running& running) noexcept {
  text.add(running.what != nullptr ? running.what : "kernel").add(" '");
  text.add(running.name != nullptr ? running.name : "").add("'");
  if (running.task != nullptr && running.task[0] != '\0') text.add(" of task '").add(running.task).add("'");
  if (running.where != nullptr) text.add(" on ").add(running.where);
  if (running.core == TROUPE_NO_CORE) return;
  text.add(" (").add(running.core_kind == TROUPE_CORE_AIC   ? "aic"
                     : running.core_kind == TROUPE_CORE_AIV ? "aiv"
                                                            : "core ");
  text.number(running.core);
  if (running.block_count > 1) {
    text.add(", block ").number(running.block).add(" of ").number(running.block_count);
  }
  text.add(")");
}

void say_signal(PlainText& text, int signal, const siginfo_t& info, std::uint64_t stack) noexcept {
  const auto address = reinterpret_cast<std::uint64_t>(info.si_addr);
  switch (signal) {
    case SIGABRT:
      text.add("it called abort(), or something ended it so (SIGABRT)");
      return;
    case SIGSEGV:
      if (was_sent(info)) {
        text.add("SIGSEGV was sent to it");
      } else if (info.si_code == SI_KERNEL) {  // the processor does not tell the address
        text.add("it touched memory at an address that is none (SIGSEGV)");
      } else if (address + stack_reach > stack && address < stack + stack_reach) {
        text.add("its stack overflowed (SIGSEGV)");
      } else {
        text.add("it touched memory at ").hex(address).add(" that is not there for it (SIGSEGV)");
      }
      return;
    case SIGBUS:
      if (was_sent(info)) {
        text.add("SIGBUS was sent to it");
      } else if (info.si_code == BUS_ADRERR) {
        text.add("it touched memory at ").hex(address);
        text.add(" of a file that has become shorter since it was mapped (SIGBUS)");
      } else {
        text.add("it touched memory at ").hex(address).add(" in a way that the machine refuses (SIGBUS)");
      }
      return;
    case SIGFPE:
      text.add("it divided an integer by zero, or the like (SIGFPE)");
      return;
    default:
      text.add("it came to an instruction that is none (SIGILL)");
      return;
  }
}

}  // namespace

void say_crash(PlainText& text, const troupe_running* running, int signal, const siginfo_t& info,
               std::uint64_t stack) noexcept {
  if (running != nullptr) {
    say_place(text, *running);
  } else {
    text.add("a thread outside of kernels and host functions");
  }
  text.add(" crashed: ");
  say_signal(text, signal, info, stack);
}

void say_tensor(PlainText& text, const troupe_running& running, std::uint64_t address) noexcept {
  constexpr std::uint64_t near = std::uint64_t{1} << 20;
  if (running.words == nullptr) return;
  std::uint64_t nearest = near;
  std::uint32_t tensor = 0;
  bool behind = false;
  for (std::uint32_t i = 0; i < running.tensor_count; ++i) {
    // The first two fields of a descriptor.
    std::uint64_t memory[2];
    std::memcpy(memory, reinterpret_cast<const void*>(running.words[i]), sizeof memory);  // NOLINT
    const std::uint64_t begin = memory[0], end = memory[0] + memory[1];
    if (address >= end && address - end < nearest) {
      nearest = address - end;
      tensor = i;
      behind = true;
    } else if (address < begin && begin - address - 1 < nearest) {
      nearest = begin - address - 1;
      tensor = i;
      behind = false;
    }
  }
  if (nearest == near) return;
  text.add("that is byte ").number(nearest + 1).add(behind ? " behind" : " in front of");
  text.add(" the memory of tensor ").number(tensor);
}

}  // namespace troupe::platform
