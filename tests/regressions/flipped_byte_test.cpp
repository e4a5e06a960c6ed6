// One flipped byte in a kernel object killed the process inside the dynamic linker, or at the first call,
// without a word: an undefined symbol that says it is hidden is not looked for but taken as it stands, and
// its callers call the head of the file; relocations of kinds that only programs have, two of them on one
// place, tables that lie in the dynamic table, which the linker writes to before it reads them.
//
// Promised now: what the linker follows is looked at before it gets to see it, and refused with a sentence.
// What is left is code of the object itself that is not what it was (its constructors, say): if that crashes,
// the crash report says which kernel was being loaded.
#include <doctest/doctest.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/crash_report.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"

using namespace troupe;
using platform::DeviceContext;

namespace {

constexpr int crashed_in_linker = 99, crashed_elsewhere = 98;

std::string object() {
  std::ifstream file(tests::built("tests/platform/sim/foreign/awkward_1.so"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!bytes.empty());
  return bytes;
}

template <class T>
T at(const std::string& bytes, std::size_t place) {
  T value;
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

Result<std::uint64_t> load(const std::string& bytes) {
  auto library = platform::DeviceLibrary::open(tests::built("lib/libtroupe_a2a3sim.so")).value();
  platform::ContextEvents events;
  events.where = "chip0";
  auto context =
      DeviceContext::create(library.api(), std::make_shared<platform::HostThreads>(), events).value();
  context.set_device(0).value();
  troupe_callable callable{};
  callable.name = "flipped";
  callable.bytes = bytes.data();
  callable.byte_count = bytes.size();
  callable.core_kind = TROUPE_CORE_AIV;
  return context.register_callable(callable);
}

/// Where code of the dynamic linker lies; for a signal handler.
std::uintptr_t linker_begin = 0, linker_end = 0;

void find_linker() {
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void*) {
        if (std::strstr(info->dlpi_name, "ld-linux") == nullptr) return 0;
        for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
          linker_begin = info->dlpi_addr + segment.p_vaddr;
          linker_end = linker_begin + segment.p_memsz;
        }
        return 1;
      },
      nullptr);
}

// In charge once the crash report has said what it has to say.
void say_where(int, siginfo_t*, void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  const auto place = static_cast<std::uintptr_t>(registers.gregs[REG_RIP]);
#else
  const auto place = static_cast<std::uintptr_t>(registers.pc);
#endif
  _exit(place >= linker_begin && place < linker_end ? crashed_in_linker : crashed_elsewhere);
}

struct Ended {
  int exit = -1;
  std::string said;
};

/// Loads it in a process of its own.
Ended load_apart(const std::string& bytes) {
  const int words = memfd_create("words", MFD_CLOEXEC);
  const pid_t child = fork();
  if (child == 0) {
    (void)alarm(60);
    (void)dup2(words, STDERR_FILENO);
    struct sigaction last {};
    last.sa_sigaction = say_where;
    last.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &last, nullptr);
    const platform::CrashReport report([](const platform::Crash&) {});
    const bool good = static_cast<bool>(load(bytes));
    _exit(good ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Ended ended;
  ended.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  char text[4096];
  const auto length = pread(words, text, sizeof text, 0);
  if (length > 0) ended.said.assign(text, static_cast<std::size_t>(length));
  close(words);
  return ended;
}

/// Begin and end in the file of what the linker reads: all in front of the code, and the dynamic table.
std::vector<std::pair<std::size_t, std::size_t>> tables(const std::string& bytes) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  const auto header = at<Elf64_Ehdr>(bytes, 0);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = at<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
    const bool first = segment.p_type == PT_LOAD && segment.p_offset == 0;
    if (first || segment.p_type == PT_DYNAMIC)
      places.emplace_back(segment.p_offset, segment.p_offset + segment.p_filesz);
  }
  return places;
}

std::size_t value_of(const std::string& bytes, std::int64_t tag) {
  const auto [begin, end] = tables(bytes).back();
  for (auto place = begin; place < end; place += sizeof(Elf64_Dyn)) {
    const auto entry = at<Elf64_Dyn>(bytes, place);
    if (entry.d_tag == tag) return entry.d_un.d_val;
  }
  FAIL("no such entry");
  return 0;
}

}  // namespace

TEST_CASE("an undefined symbol of a kernel that says it is hidden is refused, with its name") {
  const auto good = object();
  const std::size_t symbols = value_of(good, DT_SYMTAB), strings = value_of(good, DT_STRTAB);
  int undefined = 0;
  for (std::size_t place = symbols + sizeof(Elf64_Sym); place < strings; place += sizeof(Elf64_Sym)) {
    if (at<Elf64_Sym>(good, place).st_shndx != SHN_UNDEF) continue;
    ++undefined;
    for (const int visibility : {STV_INTERNAL, STV_HIDDEN, STV_PROTECTED}) {
      auto bytes = good;
      bytes[place + offsetof(Elf64_Sym, st_other)] = static_cast<char>(visibility);
      const auto refused = load(bytes);
      REQUIRE_FALSE(refused);
      const std::string name = &good[strings + at<Elf64_Sym>(good, place).st_name];
      CHECK(refused.error().message().find("cannot load kernel 'flipped': symbol '" + name +
                                           "' is neither in it nor to be looked for elsewhere") !=
            std::string::npos);
    }
  }
  CHECK(undefined > 0);
}

#ifndef __SANITIZE_THREAD__  // which does not come back from some crashes of a forked child
TEST_CASE(
    "a flipped bit in what the dynamic linker follows never crashes it, and no crash goes without a word") {
  find_linker();
  REQUIRE(linker_end != 0);
  const auto good = object();
  REQUIRE(load_apart(good).exit == 0);
  int refused = 0, loaded = 0;
#ifdef __SANITIZE_ADDRESS__
  constexpr std::size_t step = 61;  // a forked child of a sanitizer's takes half a second
#else
  constexpr std::size_t step = 7;
#endif
  for (const auto& [begin, end] : tables(good)) {
    for (std::size_t place = begin; place < end; place += step) {
      auto bytes = good;
      bytes[place] = static_cast<char>(bytes[place] ^ (1U << place % 8));
      const auto ended = load_apart(bytes);
      CAPTURE(place);
      CAPTURE(ended.said);
      CHECK((ended.exit == 0 || ended.exit == 1 || ended.exit == crashed_elsewhere));
      if (ended.exit == crashed_elsewhere)
        CHECK(ended.said.find("troupe: the loading of callable 'flipped' on chip0 crashed: ") !=
              std::string::npos);
      loaded += ended.exit == 0 ? 1 : 0;
      refused += ended.exit == 1 ? 1 : 0;
    }
  }
  CHECK(loaded > 0);
  CHECK(refused > 0);
}
#endif

TEST_CASE("a kernel object whose constructor crashes is told by name") {
  auto bytes = object();
  // The first relocation writes the address of a constructor.
  const auto constructor = at<Elf64_Rela>(bytes, value_of(bytes, DT_RELA)).r_addend;
  const auto header = at<Elf64_Ehdr>(bytes, 0);
  const std::string no_instruction =
      header.e_machine == EM_X86_64 ? std::string("\x0f\x0b\x0f\x0b") : std::string(4, '\0');
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = at<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const auto place = static_cast<std::size_t>(constructor) - segment.p_vaddr + segment.p_offset;
    REQUIRE(place < segment.p_offset + segment.p_filesz);
    bytes.replace(place, no_instruction.size(), no_instruction);
  }
  find_linker();
  const auto ended = load_apart(bytes);
  CAPTURE(ended.said);
  CHECK(ended.exit == crashed_elsewhere);
  CHECK(ended.said.find("troupe: the loading of callable 'flipped' on chip0 crashed: ") != std::string::npos);
}
