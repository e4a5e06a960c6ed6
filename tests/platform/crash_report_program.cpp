// Crashes with reports on, as the first argument says. What it was inside of: kernel 'k' of task 't'.
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "troupe/platform/crash_report.hpp"

using troupe::platform::Crash;
using troupe::platform::CrashReport;
using troupe::platform::set_running;

namespace {

void last_words(const char* who, const Crash& crash) {
  const std::string line = std::string(who) + " heard: " + crash.sentence + " [" + crash.where + "]\n";
  (void)!::write(STDOUT_FILENO, line.data(), line.size());
}

[[noreturn]] void crash() {
  int* volatile nowhere = reinterpret_cast<int*>(0x10);  // NOLINT: on purpose
  *nowhere = 1;
  std::_Exit(EXIT_FAILURE);
}

/// Memory of a file that is cut while it is mapped.
[[noreturn]] void touch_cut_file() {
  constexpr std::size_t bytes = 8192;
  const int file = memfd_create("module", 0);
  void* const mapped = ftruncate(file, bytes) == 0
                           ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                           : MAP_FAILED;
  if (mapped != MAP_FAILED && ftruncate(file, 0) == 0) static_cast<volatile char*>(mapped)[4096] = 1;
  std::_Exit(EXIT_FAILURE);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view how = argc > 1 ? argv[1] : "";
  std::optional<CrashReport> first, second;
  first.emplace([](const Crash& crash) { last_words("the first", crash); });
  second.emplace([](const Crash& crash) { last_words("the second", crash); });
  troupe_running outer{}, inner{};
  outer.what = "kernel";
  outer.name = "k";
  outer.task = "t";
  outer.core = TROUPE_NO_CORE;
  outer.where = "node7/chip3";
  inner = outer;
  inner.name = "another";
  // In and out again: what counts is what the thread is inside of now.
  auto* const nothing = set_running(&outer);
  auto* const was = set_running(&inner);
  if (nothing != nullptr || was != &outer || set_running(was) != &inner) return EXIT_FAILURE;
  if (how == "two reports") crash();
  if (how == "one left") second.reset();
  if (how == "one left") crash();
  if (how == "none left") {
    first.reset();
    second.reset();
    crash();
  }
  if (how == "outside") {
    set_running(nullptr);
    crash();
  }
  if (how == "aborts outside") {
    set_running(nullptr);
    std::abort();
  }
  if (how == "last words crash") {
    second.emplace([](const Crash&) { crash(); });
    crash();
  }
  if (how == "last words throw") {
    first.emplace([](const Crash&) { throw 1; });
    crash();
  }
  if (how == "cut file" || how == "cut file outside") {
    if (how == "cut file outside") set_running(nullptr);
    touch_cut_file();
  }
  if (how == "sent") ::kill(::getpid(), SIGSEGV);
  return EXIT_FAILURE;
}
