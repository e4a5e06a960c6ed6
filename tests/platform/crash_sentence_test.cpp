// The words of a crash report, which a signal handler makes without memory or locks.
#include "crash_sentence.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>

using namespace troupe::platform;

namespace {

troupe_running kernel() {
  troupe_running running{};
  running.what = "kernel";
  running.name = "step";
  running.core = 24;
  running.core_kind = TROUPE_CORE_AIV;
  running.block_count = 1;
  return running;
}

constexpr std::uint64_t stack = 0x7fff'0000'0000;

std::string said(const troupe_running* running, int signal, int code = 1, std::uint64_t address = 0) {
  siginfo_t info{};
  info.si_code = code;
  info.si_addr = reinterpret_cast<void*>(address);
  PlainText text;
  say_crash(text, running, signal, info, stack);
  return std::string(text.view());
}

std::string said(const troupe_running& running) {
  const std::string sentence = said(&running, SIGILL);
  const auto end = sentence.find(" crashed: ");
  REQUIRE(end != std::string::npos);
  return sentence.substr(0, end);
}

/// What is said of a signal, behind the place.
std::string of_signal(int signal, int code = 1, std::uint64_t address = 0) {
  const std::string sentence = said(nullptr, signal, code, address);
  const std::string place = "a thread outside of kernels and host functions crashed: ";
  REQUIRE(sentence.starts_with(place));
  return sentence.substr(place.size());
}

struct Descriptor {
  std::uint64_t address, bytes;
};
std::string next_to(std::uint64_t address, std::array<Descriptor, 2> memory) {
  const std::int64_t words[]{reinterpret_cast<std::int64_t>(&memory[0]),
                             reinterpret_cast<std::int64_t>(&memory[1])};
  auto running = kernel();
  running.words = words;
  running.tensor_count = 2;
  PlainText text;
  say_tensor(text, running, address);
  return std::string(text.view());
}

}  // namespace

TEST_CASE("numbers and addresses are written in full, and what does not fit is left out") {
  PlainText text;
  text.number(0).add(" ").number(UINT64_MAX).add(" ").hex(0).add(" ").hex(UINT64_MAX);
  CHECK(text.view() == "0 18446744073709551615 0x0 0xffffffffffffffff");
  PlainText full;
  const std::string many(1000, 'x');
  full.add(many).add(many);
  CHECK(full.view() == std::string(1024, 'x'));
  full.add("more").number(7).hex(7);
  CHECK(full.view().size() == 1024);
}

TEST_CASE("the place of a crash is as exact as what is known of it") {
  auto running = kernel();
  CHECK(said(running) == "kernel 'step' (aiv24)");
  running.task = "";
  CHECK(said(running) == "kernel 'step' (aiv24)");
  running.task = "third";
  running.where = "node0/chip1";
  CHECK(said(running) == "kernel 'step' of task 'third' on node0/chip1 (aiv24)");
  running.block = 2;
  running.block_count = 8;
  running.core = 3;
  running.core_kind = TROUPE_CORE_AIC;
  CHECK(said(running) == "kernel 'step' of task 'third' on node0/chip1 (aic3, block 2 of 8)");
  running.core_kind = TROUPE_CORE_CONTROL;
  CHECK(said(running) == "kernel 'step' of task 'third' on node0/chip1 (core 3, block 2 of 8)");
  running.what = "chip program";
  running.core = TROUPE_NO_CORE;
  CHECK(said(running) == "chip program 'step' of task 'third' on node0/chip1");
  const troupe_running nothing{};
  CHECK(said(nothing) == "kernel '' (aic0)");
}

TEST_CASE("a fault near the stack pointer is an overflow, one elsewhere tells its address") {
  constexpr std::uint64_t reach = 64 * 1024;
  const std::string overflow = "its stack overflowed (SIGSEGV)";
  CHECK(of_signal(SIGSEGV, SEGV_MAPERR, stack - 8) == overflow);
  CHECK(of_signal(SIGSEGV, SEGV_MAPERR, stack + 8) == overflow);
  for (const std::uint64_t address : {stack - reach, stack + reach, std::uint64_t{0x10}}) {
    PlainText expected;
    expected.add("it touched memory at ").hex(address).add(" that is not there for it (SIGSEGV)");
    CHECK(of_signal(SIGSEGV, SEGV_ACCERR, address) == expected.view());
  }
  CHECK(of_signal(SIGSEGV, SI_KERNEL) == "it touched memory at an address that is none (SIGSEGV)");
  CHECK(of_signal(SIGSEGV, SI_USER) == "SIGSEGV was sent to it");
}

TEST_CASE("each signal has a sentence of its own") {
  CHECK(of_signal(SIGBUS, BUS_ADRERR, 0x1000) ==
        "it touched memory at 0x1000 of a file that has become shorter since it was mapped (SIGBUS)");
  CHECK(of_signal(SIGBUS, BUS_ADRALN, 0x1001) ==
        "it touched memory at 0x1001 in a way that the machine refuses (SIGBUS)");
  CHECK(of_signal(SIGBUS, SI_USER) == "SIGBUS was sent to it");
  CHECK(of_signal(SIGABRT) == "it called abort(), or something ended it so (SIGABRT)");
  CHECK(of_signal(SIGFPE) == "it divided an integer by zero, or the like (SIGFPE)");
  CHECK(of_signal(SIGILL) == "it came to an instruction that is none (SIGILL)");
}

TEST_CASE("an address is told by the nearest tensor, before or behind it, if one is near") {
  const std::array<Descriptor, 2> memory{{{0x10'0000, 0x100}, {0x20'0000, 0x100}}};
  CHECK(next_to(0x10'0100, memory) == "that is byte 1 behind the memory of tensor 0");
  CHECK(next_to(0x1f'ffff, memory) == "that is byte 1 in front of the memory of tensor 1");
  CHECK(next_to(0x20'0104, memory) == "that is byte 5 behind the memory of tensor 1");
  CHECK(next_to(0x40'0000, memory) == "");
  CHECK(next_to(0x10'0010, {memory[0], memory[0]}) == "");  // inside
  PlainText text;
  say_tensor(text, kernel(), 0x10'0100);  // whose words are unknown
  CHECK(text.view() == "");
}
