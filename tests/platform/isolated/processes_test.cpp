// The processes of chips: where they come from, and that nothing of them is left.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "fixture.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/runtime/digest.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

std::size_t count_in(const char* folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    (void)entry;
    ++count;
  }
  return count;
}

platform::IsolatedOptions options_of(const std::string& library = built("lib/libtroupe_a2a3sim.so")) {
  platform::IsolatedOptions options;
  options.library = library;
  options.where = "test/chip0";
  return options;
}

Result<platform::DeviceContext> create(platform::IsolatedOptions options) {
  auto api = platform::isolated(std::move(options));
  if (!api) return api.error();
  return platform::DeviceContext::create(*std::move(api), std::make_shared<platform::HostThreads>());
}

}  // namespace

TEST_CASE("descriptors, mappings and processes are as many afterwards as before") {
  {
    IsolatedChip warm;
    (void)warm.process();
  }
  const auto before = count_in("/proc/self/fd"), maps = count_in("/proc/self/map_files");
  std::vector<std::int64_t> processes;
  for (int i = 0; i < 10; ++i) {
    IsolatedChip chip;
    processes.push_back(chip.process());
    if (i % 2 == 0) (void)chip.end_of(chip.launch(chip.kernel("isolated_exit")));
  }
  CHECK(count_in("/proc/self/fd") == before);
  // Threads that ended may leave a stack to the next.
  CHECK(count_in("/proc/self/map_files") <= maps + 8);
  for (const auto process : processes) CHECK_FALSE(is_there(process));
}

TEST_CASE("what is missing is a sentence that says where it was looked for") {
  auto options = options_of();
  options.program = "/nowhere/troupe-chip";
  auto none = create(options);
  REQUIRE_FALSE(none);
  CHECK_MESSAGE(contains(render(none.error()), "/nowhere/troupe-chip"), render(none.error()));

  ::setenv("TROUPE_CHIP_PROGRAM", "/nowhere/else", 1);
  none = create(options_of());
  ::unsetenv("TROUPE_CHIP_PROGRAM");
  REQUIRE_FALSE(none);
  CHECK_MESSAGE(contains(render(none.error()), "/nowhere/else"), render(none.error()));

  none = create(options_of("/nowhere/libtroupe_none.so"));
  REQUIRE_FALSE(none);
  CHECK_MESSAGE(contains(render(none.error()), "/nowhere/libtroupe_none.so"), render(none.error()));

  // A program that is another.
  for (const char* other : {"/bin/true", "/bin/cat"}) {
    options.program = other;
    none = create(options);
    REQUIRE_FALSE(none);
  }
}

TEST_CASE("a host without threads is told that isolation needs them") {
  auto api = platform::isolated(options_of()).value();
  const auto refused = platform::DeviceContext::create(api, std::make_shared<platform::ManualHost>());
  REQUIRE_FALSE(refused);
  CHECK_MESSAGE(contains(render(refused.error()), "threads"), render(refused.error()));
}

TEST_CASE("the platform that has no process of its own for chips works with all of them") {
  IsolatedChip a2a3, a5(Options{}, nullptr, built("lib/libtroupe_a5sim.so"));
  CHECK(std::string(a2a3.context->properties().value().architecture) == "a2a3sim");
  CHECK(std::string(a5.context->properties().value().architecture) == "a5sim");
  CHECK(a2a3.process() != a5.process());
}

#ifndef __SANITIZE_ADDRESS__  // whose look at an object's type needs descriptors of its own
TEST_CASE("too few descriptors are an error, and more of them mend it") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const auto open = static_cast<rlim_t>(count_in("/proc/self/fd"));
  for (rlim_t more = 0; more < 6; ++more) {
    rlimit few = before;
    few.rlim_cur = open + more;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto made = create(options_of());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    if (!made) CHECK_FALSE(made.error().message().empty());
  }
  IsolatedChip chip;
  CHECK(chip.process() != 0);
}
#endif

TEST_CASE("a program that is killed leaves no process of its chips") {
  // A child of ours that has chips, and is killed.
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto program = ::fork();
  if (program == 0) {
    IsolatedChip chip;
    const auto process = chip.process();
    (void)!::write(ends[1], &process, sizeof process);
    for (;;) ::pause();
  }
  std::int64_t process = 0;
  REQUIRE(::read(ends[0], &process, sizeof process) == sizeof process);
  CHECK(is_there(process));
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  const auto gone = [&] {
    std::string state;
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::getline(file, state);
    const auto end = state.rfind(')');
    return end == std::string::npos || state[end + 2] == 'Z';
  };
  while (!gone()) std::this_thread::yield();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("processes that are killed at any moment end each run once, and the chip comes back") {
  std::mt19937_64 random(first_seed());
  IsolatedChip chip(Options{{"grace_ms", "100"}});
  std::vector<float> own(64, 0.0F);
  for (std::uint64_t round = 0; round < cases(25); ++round) {
    CAPTURE(round);
    const auto process = chip.process();
    const auto nothing = chip.kernel("isolated_nothing");
    const auto add = chip.kernel("isolated_add");
    std::thread killer([&, wait = random() % 3000] {
      const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(wait);
      while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
      ::kill(static_cast<pid_t>(process), SIGKILL);
    });
    std::vector<std::uint64_t> runs;
    const auto args =
        RunArgs::of(runtime::inout(runtime::Tensor::host(own.data(), {64})), runtime::scalar(1.0F));
    for (int i = 0; i < 60; ++i) {
      const auto made = chip.try_launch(i % 3 == 0 ? add : nothing, i % 3 == 0 ? args : RunArgs{});
      if (!made) break;
      runs.push_back(*made);
      if (i % 7 == 0) (void)chip.context->malloc(64);
    }
    killer.join();
    for (const auto run : runs) {
      const auto code = chip.end_of(run).code;
      CHECK((code == 0 || code == TROUPE_DEVICE_LOST));
    }
    (void)chip.lost();
    CHECK_FALSE(is_there(process));
    chip.forget_lost();
    chip.context->reset_device().value();
    chip.context->set_device(0).value();
  }
}

TEST_CASE("a module whose file was replaced since it was loaded is refused: it would be another kernel") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "kernels.so", next = folder.path() / "next.so";
  std::filesystem::copy_file(built("tests/platform/isolated/isolated_kernels.so"), file);
  const auto loaded = runtime::Module::open(file.string()).value();
  const auto id = runtime::build_id_of(loaded.raw());
  REQUIRE_FALSE(id.empty());
  std::string bytes;
  {
    std::ifstream from(file, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(from), {});
  }
  const auto at = bytes.find(std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
  REQUIRE(at != std::string::npos);
  bytes[at] = static_cast<char>(~bytes[at]);
  std::ofstream(next, std::ios::binary) << bytes;
  std::filesystem::rename(next, file);
  IsolatedChip chip;
  const auto refused = chip.context->register_callable("isolated_add", *loaded.raw());
  REQUIRE_FALSE(refused);
  CHECK(contains(refused.error().message(), "was replaced since the program loaded module"));
}

TEST_CASE("a chip is closed while other threads are inside its calls") {
  for (int round = 0; round < 10; ++round) {
    IsolatedChip chip(Options{{"grace_ms", "50"}});
    const auto run = chip.launch(chip.kernel("isolated_loop"));
    std::thread other([&] {
      for (int i = 0; i < 50; ++i) {
        (void)chip.context->status();
        (void)chip.context->malloc(64);
      }
    });
    if (round % 2 == 0) (void)chip.context->abort(run);
    other.join();
    CHECK(chip.context->close());
    CHECK(chip.end_of(run).code == TROUPE_DEVICE_ABORTED);
  }
}
